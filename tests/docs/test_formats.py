"""The format pages are true: their vectors decode by the pages, and artvc reads and writes the same bytes."""

import hashlib
import re
import struct
from pathlib import Path

import make_vectors
import pytest
import reader

from artvc.model import chunking, codec
from artvc.repo import _FORMAT
from artvc.store import refs

DOCS = Path(__file__).parents[2] / "artvc" / "docs"


def vector(name: str) -> tuple[bytes, str | None]:
    for page in DOCS.glob("format-*.md"):
        found = re.search(
            rf"<!-- vector {name} -->\n```hex\n(.*?)```\n(?:\nIts id is `(.*?)`.)?", page.read_text(), flags=re.S
        )
        if found:
            return bytes.fromhex(found[1]), found[2]
    raise AssertionError(f"no page has the vector {name}")


@pytest.mark.parametrize("name", list(make_vectors.vectors()))
def test_artvc_still_writes_what_the_pages_say(name):
    assert vector(name)[0] == make_vectors.vectors()[name][1]


@pytest.mark.parametrize("kind", ["tree", "blob", "artifact", "properties", "commit"])
def test_ids_follow_from_the_page(kind):
    data, wanted = vector(kind.upper())
    assert reader.object_id(kind, data) == wanted


def test_tree_by_the_page():
    data, _ = vector("TREE")
    entries = reader.tree(data)
    assert [entry["name"] for entry in entries] == ["a.txt", "big", "dir", "link", "out"]
    assert [entry["kind"] for entry in entries] == [0, 1, 2, 3, 4]
    for mine, theirs in zip(entries, codec.decode_tree(data).entries, strict=True):
        assert (mine["name"], mine["size"], mine["executable"]) == (theirs.name, theirs.size, theirs.executable)
        assert mine.get("id") == (theirs.id.hex() if theirs.id else None)
        assert mine.get("target", "") == theirs.target


def test_blob_by_the_page():
    data, _ = vector("BLOB")
    size, items = reader.blob(data)
    assert size == sum(one for one, _ in items) == codec.decode_blob(data).size


def test_json_objects_by_the_page():
    for name, decode in (
        ("ARTIFACT", codec.decode_artifact),
        ("PROPERTIES", codec.decode_properties),
        ("COMMIT", codec.decode_commit),
    ):
        data, _ = vector(name)
        value = reader.canonical(data)
        decode(data)
        page = (DOCS / "format-objects.md").read_text()
        assert all(f"`{field}`" in page for field in value)


def test_pack_by_the_page():
    name, found = reader.pack(vector("PACK")[0])
    assert len(name) == 64
    one, next_one = struct.pack("<f", 1), struct.pack("<f", 1.0000001192)
    assert sorted(found.values()) == sorted([b"", b"a" * 1000, b"hello", one * 64 + b"!", (one + next_one) * 32 + b"?"])


def test_transaction_by_the_page():
    data, _ = vector("TRANSACTION")
    value = reader.two_lines(data)
    assert refs._decode_transaction(data.split(b"\n")[0], value["number"]).edits[0].name == value["edits"][0]["name"]


def test_format_file_by_the_page():
    page = (DOCS / "format.md").read_text()
    assert codec.encode_json(_FORMAT).decode() in page


def test_chunking_by_the_page():
    """A slow cutter written from the page gives the cuts of the vector, and those of artvc."""
    data = hashlib.shake_128(b"fastcdc-2020/16384/65536/262144/2").digest(1 << 20)
    gear = [int.from_bytes(hashlib.md5(bytes([i]) * 64).digest()[:8], "big") for i in range(256)]
    ends, start = [], 0
    while start < len(data):
        n = min(len(data) - start, 262_144)
        size, hashed, p = n, 0, 16_384
        middle = min(65_536, n) // 2 * 2
        while n > 16_384 and p < n // 2 * 2:
            hashed = ((hashed << 1) + gear[data[start + p]]) & (2**64 - 1)
            if hashed & (0x0000D90707537000 if p < middle else 0x0000D90313530000) == 0:
                size = p
                break
            p += 1
        start += size
        ends.append(start)
    assert ends == chunking.cut(data, final=True) == chunking.cut_with_numpy(memoryview(data))
    digest = hashlib.sha256(" ".join(map(str, ends)).encode()).hexdigest()[:16]
    assert digest == chunking.SELF_TEST_CUTS
    assert digest in (DOCS / "format-chunking.md").read_text()
