"""How large directories and files are cut into nodes: a writer made from the page alone gives the roots on the page."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import reader
import xxhash

from artvc.model import codec, merkle
from artvc.model.ids import Id, Kind, id_of
from artvc.model.objects import Content, EntryKind, file_entry

PAGE = (Path(__file__).parents[2] / "artvc" / "docs" / "format-objects.md").read_text()
EMPTY = bytes.fromhex(reader.object_id("chunk", b""))

# Of a node or an item of one: what its parent says about it.
Item = tuple[bytes, int, int, bytes]  # last name, size, files, id


def groups(items: list, ends: Callable[[object], bool]) -> list[list]:
    found, here = [], []
    for item in items:
        here.append(item)
        if len(here) == 1024 or (len(here) >= 64 and ends(item)):
            found.append(here)
            here = []
    return found + [here] if here or not found else found


def tree_root(count: int) -> tuple[int, str]:
    """A directory of empty files ``000000``, ``000001``...: the level of its root and its id."""
    names = [f"{i:06}".encode() for i in range(count)]
    entries = [struct.pack("<BBQ", 0, len(name), 0) + name + EMPTY for name in names]
    items: list[tuple[bytes, int, bytes]] = [(name, 1, raw) for name, raw in zip(names, entries, strict=True)]
    level = 0
    while True:
        nodes = []
        for group in groups(items, lambda item: (xxhash.xxh3_64_intdigest(item[0]) >> (8 * level)) & 255 == 0):  # noqa: B023
            data = struct.pack("<BBH", 1, level, len(group)) + b"".join(item[2] for item in group)
            last, files = (group[-1][0] if group else b""), sum(item[1] for item in group)
            raw = bytes.fromhex(reader.object_id("tree", data))
            nodes.append((last, files, struct.pack("<BQQ32s", len(last), 0, files, raw) + last))
        if len(nodes) == 1:
            return level, reader.object_id("tree", data)
        items, level = nodes, level + 1


def blob_root(count: int) -> tuple[int, str]:
    """A file whose chunk i holds the number i in decimal: the level of its root and its id."""
    items = [(len(str(i)), bytes.fromhex(reader.object_id("chunk", str(i).encode()))) for i in range(count)]
    level = 0
    while True:
        nodes = []
        for group in groups(items, lambda item: item[1][0] == 0):
            size = sum(item[0] for item in group)
            data = struct.pack("<BBHQ", 1, level, len(group), size)
            data += b"".join(struct.pack("<Q32s", *item) for item in group)
            nodes.append((size, bytes.fromhex(reader.object_id("blob", data))))
        if len(nodes) == 1:
            return level, nodes[0][1].hex()
        items, level = nodes, level + 1


def put_nothing(kind: Kind, data: bytes) -> Id:
    return id_of(kind, data)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 320, 1025, 5000, 50_000])
def test_directories_are_cut_as_the_page_says(count):
    content = Content(EntryKind.CHUNK, Id(EMPTY), 0)
    made = merkle.write_directory([file_entry(f"{i:06}", content) for i in range(count)], put_nothing)
    assert made.id.hex() == tree_root(count)[1]


@pytest.mark.parametrize("count", [2, 63, 64, 65, 320, 1025, 5000, 50_000])
def test_chunk_lists_are_cut_as_the_page_says(count):
    chunks = merkle.ChunkList(put_nothing)
    for i in range(count):
        chunks.add(id_of(Kind.CHUNK, str(i).encode()), len(str(i)))
    assert chunks.finish().id.hex() == blob_root(count)[1]


def test_the_roots_on_the_page():
    rows = re.findall(r"^\| (directory|file) \| ([\d,]+) \| (\d) \| `(\w{64})` \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) >= 6
    for what, count, level, root in rows:
        number = int(count.replace(",", ""))
        assert (tree_root if what == "directory" else blob_root)(number) == (int(level), root)


def test_an_inner_node_decodes_by_the_page():
    nodes: dict[Id, bytes] = {}

    def put(kind: Kind, data: bytes) -> Id:
        nodes[found := id_of(kind, data)] = data
        return found

    content = Content(EntryKind.CHUNK, Id(EMPTY), 0)
    root = merkle.write_directory([file_entry(f"{i:06}", content) for i in range(5000)], put).id
    data = nodes[root]
    version, level, count = struct.unpack_from("<BBH", data)
    assert (version, level) == (1, 1)
    at, total, last = 4, 0, b""
    for _ in range(count):
        length, size, files, raw = struct.unpack_from("<BQQ32s", data, at)
        name = data[at + 49 : at + 49 + length]
        assert name > last
        assert size == 0
        below = codec.decode_tree(nodes[Id(raw)])
        assert below.entries[-1].name.encode() == name
        assert len(below.entries) == files
        at, total, last = at + 49 + length, total + files, name
    assert (at, total) == (len(data), 5000)
