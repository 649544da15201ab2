"""Packs: any damage is found or harmless, nothing that a pack claims is trusted."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.errors import Damaged, NotFound
from artvc.model.ids import Kind, raw_id
from artvc.store import packs
from artvc.store.codecs import PLAIN, ZSTD, Codec, FetchBase, Way
from artvc.store.fsio import Disk
from artvc.store.packs import DATA, Member, Pack, PackWriter, encode_block, index_places


def write_pack(
    directory: Path, blocks: list[list[bytes]], *, way: Way = ZSTD, deltas: list[tuple[bytes, bytes]] | None = None
) -> Path:
    disk = Disk(sync=False)
    writer = PackWriter(disk, str(directory), DATA)
    for pieces in blocks:
        members = [Member(Kind.CHUNK, raw_id(Kind.CHUNK, piece), len(piece)) for piece in pieces]
        writer.append(encode_block(members, b"".join(pieces), way=way))
    for base, data in deltas or []:
        members = [Member(Kind.CHUNK, raw_id(Kind.CHUNK, data), len(data))]
        writer.append(encode_block(members, data, way=Way(Codec.DELTA, 4, 15), base=(raw_id(Kind.CHUNK, base), base)))
    pack = writer.seal(str(directory))
    pack.close()
    return Path(pack.path)


def fetch_from(bases: dict[bytes, bytes] | None) -> FetchBase:
    def fetch(base: bytes) -> bytes:
        if base not in (bases or {}):
            raise NotFound("no such base")
        return bases[base]

    return fetch


def contents(path: Path, bases: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """All objects of a pack, read as a reader does; Damaged where anything is wrong."""
    pack = Pack.open(Disk(sync=False), str(path))
    try:
        found = {}
        for raw, place in index_places(pack.name, pack.index()):
            _, data = packs.decode_record(pack.record(place.offset, place.length), fetch_from(bases))
            piece = bytes(memoryview(data)[place.inside : place.inside + place.size])
            packs.check_object(Kind.CHUNK, raw, piece)
            found[raw] = piece
        return found
    finally:
        pack.close()


def problems(path: Path, bases: dict[bytes, bytes] | None = None) -> list[Damaged]:
    pack = Pack.open(Disk(sync=False), str(path))
    try:
        return list(pack.verify(fetch_from(bases)))
    finally:
        pack.close()


BASES = {raw_id(Kind.CHUNK, one): one for one in (bytes(800), b"abcd" * 90)}
DELTAS = [(one, one[:-4] + b"\0\0\0\1") for one in BASES.values()]
BLOCKS = [[b"one" * 40, b"two", b""], [bytes(300)], [bytes(range(256))]]


@given(
    st.lists(st.lists(st.binary(max_size=80), min_size=1, max_size=5), min_size=1, max_size=6),
    st.sampled_from([ZSTD, PLAIN]),
)
@settings(max_examples=40, deadline=None)
def test_round_trip(tmp_path_factory, blocks, way):
    path = write_pack(tmp_path_factory.mktemp("pack"), blocks, way=way)
    assert contents(path) == {raw_id(Kind.CHUNK, piece): piece for pieces in blocks for piece in pieces}
    assert not problems(path)


def test_deltas_name_their_bases(tmp_path):
    path = write_pack(tmp_path, BLOCKS, deltas=DELTAS)
    assert {new for _, new in DELTAS} < set(contents(path, BASES).values())
    assert not problems(path, BASES)
    pack = Pack.open(Disk(sync=False), str(path))
    found = dict(pack.bases())
    pack.close()
    assert found == {raw_id(Kind.CHUNK, new): raw_id(Kind.CHUNK, old) for old, new in DELTAS}


def test_every_flipped_bit_is_found(tmp_path):
    path = write_pack(tmp_path, BLOCKS, deltas=DELTAS)
    good, wanted = path.read_bytes(), contents(path, BASES)
    for at in range(len(good)):
        broken = bytearray(good)
        broken[at] ^= 1 << at % 8
        path.write_bytes(broken)
        assert problems(path, BASES), f"byte {at}"
        try:
            assert contents(path, BASES) == wanted, f"byte {at}: wrong bytes"
        except (Damaged, NotFound):
            pass


def test_every_truncation_is_found(tmp_path):
    path = write_pack(tmp_path, BLOCKS, deltas=DELTAS)
    good = path.read_bytes()
    for size in range(0, len(good), 3):
        path.write_bytes(good[:size])
        assert problems(path, BASES)
        with pytest.raises((Damaged, NotFound)):
            contents(path, BASES)
    path.write_bytes(good + b"x")
    assert problems(path, BASES)


def test_records_larger_than_a_read(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "_READ", 100)
    path = write_pack(tmp_path, [[bytes(range(256)) * 5], [b"s"], [b"t" * 99], [b"u" * 60, b"v" * 90]], way=PLAIN)
    assert not problems(path)
    assert len(contents(path)) == 5


@pytest.mark.parametrize("place", [0, 5, 8, 20, 30, 60, 61, 150])
def test_a_pack_that_reads_back_otherwise_is_no_pack(tmp_path, place):
    """The disk gives other bytes than were written: the writer notices before anything counts."""

    class Lying(Disk):
        def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
            got = super().read_into(fd, buffer, offset)
            buffer[place] ^= 4
            return got

    writer = PackWriter(Lying(sync=False), str(tmp_path), DATA)
    writer.append(encode_block([Member(Kind.CHUNK, raw_id(Kind.CHUNK, b"x" * 500), 500)], b"x" * 500, way=PLAIN))
    with pytest.raises(Damaged):
        writer.seal(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rename_leaves_nothing(tmp_path):
    class Failing(Disk):
        def rename(self, old: str, new: str) -> None:
            raise OSError(28, "full")

    writer = PackWriter(Failing(sync=False), str(tmp_path), DATA)
    writer.append(encode_block([Member(Kind.CHUNK, raw_id(Kind.CHUNK, b"x"), 1)], b"x"))
    with pytest.raises(OSError, match="full"):
        writer.seal(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_aliasing_is_noticed(tmp_path):
    """A buffer changed between hashing and writing: the checksum was made from other bytes."""
    data = bytearray(b"x" * 1000)
    block = encode_block([Member(Kind.CHUNK, raw_id(Kind.CHUNK, data), 1000)], data, way=PLAIN)
    data[500] = 0
    writer = PackWriter(Disk(sync=False), str(tmp_path), DATA)
    writer.append(block)
    with pytest.raises(Damaged):
        writer.seal(str(tmp_path))


@pytest.mark.parametrize(("field", "value"), [("<Q", 1 << 62), ("<Q", 0), ("<I", 1 << 31)])
def test_lying_trailers_allocate_nothing(tmp_path, field, value):
    path = write_pack(tmp_path, BLOCKS)
    raw = bytearray(path.read_bytes())
    at = len(raw) - packs.TRAILER_BYTES + (8 if field == "<Q" else 16)
    struct.pack_into(field, raw, at, value)
    path.write_bytes(raw)
    assert problems(path)


def test_lying_places_allocate_nothing(tmp_path):
    path = write_pack(tmp_path, BLOCKS)
    pack = Pack.open(Disk(sync=False), str(path))
    for offset, length in [(16, 0xFFFF_FFFF), (1 << 40, 10), (0xFFFF_FFF0, 0xFFFF_FFF0)]:
        with pytest.raises(Damaged):
            pack.record(offset, length)
    pack.close()


@given(st.binary(max_size=200))
def test_arbitrary_records(raw):
    for read in (packs.record_length, packs.check_record, packs.decode_record):
        with pytest.raises(Damaged):
            read(raw)


@given(st.binary(min_size=0, max_size=60), st.integers(0, 255), st.integers(0, 70_000), st.integers(0, 2**32 - 1))
def test_records_with_lying_heads(payload, codec, members, size):
    head = packs._RECORD.pack(b"ARec", codec, members & 0xFFFF, size, len(payload), 0)
    with pytest.raises(Damaged):
        found, data = packs.decode_record(head + payload)
        for member in found:
            packs.check_object(member.kind, member.id, data)
        raise Damaged("an empty record that says so") if not found else AssertionError(found)


def test_names_of_packs():
    assert packs.is_pack_name("0" * 64 + ".pack")
    for name in ("0" * 63 + ".pack", "0" * 64 + ".pack~", "A" * 64 + ".pack", ".DS_Store", "0" * 64, "a (2).pack"):
        assert not packs.is_pack_name(name)
