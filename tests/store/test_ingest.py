"""Intake: the same content whichever way it comes, and never a mixture."""

import array
import json
import os
import random
import threading

import pytest

from artvc.errors import Damaged, NotFound, SourceError
from artvc.model import chunking, merkle
from artvc.model.ids import Kind, id_of
from artvc.model.objects import Content, EntryKind
from artvc.store import codecs, packs
from artvc.store import ingest as ingest_module
from artvc.store.ingest import Source, content_of
from tests.model_layer.test_chunking import blob

KIB = 1024
SIZES = [
    0, 1, 16 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB, 256 * KIB + 1,
    ingest_module.SEGMENT - 1, ingest_module.SEGMENT, ingest_module.SEGMENT + 1,
    ingest_module.SEGMENT + chunking.MAX_SIZE - 1, ingest_module.SEGMENT + chunking.MAX_SIZE,
    ingest_module.SEGMENT + chunking.MAX_SIZE + 1, 2 * ingest_module.SEGMENT + 12_345,
]  # fmt: skip


def read(store, content: Content) -> bytes:
    return b"".join(
        store.objects.get(Kind.CHUNK, piece.id) for piece in merkle.slices(content, store.objects.get) if piece.size
    )


@pytest.mark.parametrize("size", SIZES)
def test_content_is_the_same_whichever_way_it_comes(store, tmp_path, size):
    data = blob(size, size)
    path = tmp_path / "file"
    path.write_bytes(data)
    with store.ingest() as ingest:
        from_file = ingest.add_file(str(path)).content
        from_bytes = ingest.add_bytes(data)
        ingest.seal()
    assert from_file == from_bytes == content_of(str(path))[0]
    assert from_file.size == size
    assert (from_file.kind == EntryKind.CHUNK) == (len(chunking.cut_whole(data)) == 1)
    again = store.reopen()
    assert read(again, from_file) == data
    assert not list(again.objects.verify_packs())


@pytest.mark.parametrize("segment", [300 * KIB, 512 * KIB, 1000 * KIB])
def test_segment_borders(store, tmp_path, monkeypatch, segment):
    monkeypatch.setattr(ingest_module, "SEGMENT", segment)
    for size in (segment - 1, segment, segment + chunking.MAX_SIZE, segment + chunking.MAX_SIZE + 1, 3 * segment + 7):
        for kind in ("random", "zeros", "mixed"):
            data = blob(size, size, kind)
            (tmp_path / "file").write_bytes(data)
            with store.ingest() as ingest:
                content = ingest.add_file(str(tmp_path / "file")).content
                assert content == ingest.add_bytes(data) == content_of(str(tmp_path / "file"))[0]
                ingest.seal()
            assert read(store, content) == data


def test_many_files_at_once_and_dedup(store, tmp_path):
    files = {f"f{n:03}": blob(n, [0, 10, 5000, 70_000, 300_000][n % 5]) for n in range(120)}
    files |= {f"copy of {name}": data for name, data in files.items()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with store.ingest() as ingest:
        sources = [Source(str(tmp_path / name), len(data), name) for name, data in files.items()]
        taken = {one.key: one.content for one in ingest.add_files(sources)}
        totals = ingest.seal()
    assert taken.keys() == files.keys()
    assert totals.files == len(files)
    assert totals.read == sum(map(len, files.values()))
    for name, data in files.items():
        assert read(store, taken[name]) == data
    assert totals.new <= sum(map(len, files.values())) * 0.9  # copies in other batches may have raced
    stored = sum(path.stat().st_size for path in store.packs())
    with store.ingest() as ingest:
        sources = [Source(str(tmp_path / name), len(data), name) for name, data in files.items()]
        assert {one.key: one.content for one in ingest.add_files(sources)} == taken
        assert ingest.seal().stored == 0
    assert sum(path.stat().st_size for path in store.packs()) == stored


def test_more_metadata_objects_than_a_record_may_have(store):
    """Ten thousand directories with a file each: small objects, many to a record, but no more than the limit."""
    with store.ingest() as ingest:
        ids = [ingest.put(Kind.TREE, f"{number:010}".encode()) for number in range(3 * packs.MEMBERS + 1)]
        ingest.seal()
    again = store.reopen()
    assert again.objects.get(Kind.TREE, ids[-1]) == f"{len(ids) - 1:010}".encode()
    assert not list(again.objects.verify_packs())


def test_several_packs(store, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "PACK_BYTES", 256 * KIB)
    data = {f"x{n}": blob(n, 700_000) for n in range(4)}
    with store.ingest() as ingest:
        contents = {name: ingest.add_bytes(one) for name, one in data.items()}
        ingest.seal()
    assert len(store.packs()) > 8
    assert all(read(store.reopen(), contents[name]) == one for name, one in data.items())


def test_nothing_counts_before_seal(store):
    with store.ingest() as ingest:
        ingest.add_bytes(b"x" * 100_000)
    assert store.packs() == []
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_a_file_that_changes_meanwhile(store, tmp_path, monkeypatch, size):
    path = tmp_path / "file"
    path.write_bytes(blob(1, size))
    real = os.fstat
    seen = []

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        if os.path.exists(path) and found.st_ino == os.stat(path).st_ino:
            seen.append(fd)
            if len(seen) == 1:
                with open(path, "ab") as file:
                    file.write(b"more")
        return found

    monkeypatch.setattr(ingest_module.os, "fstat", fstat)
    with store.ingest() as ingest, pytest.raises(SourceError, match="changed"):
        ingest.add_file(str(path))


@pytest.mark.parametrize(("said", "really"), [(10, 100_000), (100_000, 10), (100_000, 0), (0, 64 * KIB)])
def test_a_file_of_another_size_than_listed(store, tmp_path, said, really):
    path = tmp_path / "file"
    path.write_bytes(blob(1, really))
    with store.ingest() as ingest:
        try:
            (taken,) = ingest.add_files([Source(str(path), said, None)])
        except SourceError:
            return
        assert taken.content == content_of(str(path))[0]


def test_what_is_no_file(store, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with store.ingest() as ingest:
        for path in (fifo, tmp_path, "/dev/null", tmp_path / "missing"):
            for size in (0, 1_000_000):
                with pytest.raises(SourceError):
                    list(ingest.add_files([Source(str(path), size, None)]))
    with pytest.raises(SourceError):
        content_of(str(fifo))


def test_a_compressor_that_errs_fails_the_intake(store, monkeypatch):
    """In all threads: every compressor gives frames of other bytes (D7)."""
    real = codecs._Local

    class Wrong:
        def __init__(self, compressor) -> None:
            self._compressor = compressor

        def compress(self, data) -> bytes:
            changed = bytearray(data)
            changed[0] ^= 1
            return self._compressor.compress(bytes(changed))

    class Local(real):
        def __init__(self) -> None:
            super().__init__()
            self.compressor = Wrong(self.compressor)

    monkeypatch.setattr(codecs, "_local", Local())
    with store.ingest() as ingest, pytest.raises(Damaged):
        ingest.add_bytes(b"compressible " * 100)
    assert store.packs() == []


def test_a_buffer_used_again_too_early_is_noticed(store, monkeypatch):
    """The bytes that reach the disk are those that were hashed, or the pack is refused."""
    real = packs.PackWriter.flush

    def flush(self) -> None:
        for queued in self._queue:
            if isinstance(queued, memoryview) and not queued.readonly and len(queued) > 100:
                queued[50] ^= 1
        real(self)

    monkeypatch.setattr(packs.PackWriter, "flush", flush)
    path = store.root / "source"
    path.write_bytes(blob(3, 200_000))
    with store.ingest() as ingest:
        ingest.add_file(str(path))
        with pytest.raises(Damaged):
            ingest.seal()
    again = store.reopen()  # the chunk list's pack may be there, which nothing refers to
    again.objects.refresh()
    assert list(again.objects.index.ids(Kind.CHUNK)) == []


def test_paranoid_intake_stores_damaged_chunks_anew(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(blob(9, 900_000))
    with store.ingest() as ingest:
        content = ingest.add_file(str(path)).content
        ingest.seal()
    largest = max(store.packs(), key=lambda one: one.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[1000] ^= 1
    largest.write_bytes(raw)
    again = store.reopen()
    with again.ingest(paranoid=True) as ingest:
        assert not ingest.has(content), "a file with a damaged chunk must be read again"
        ingest.add_file(str(path))
        ingest.seal()
    assert read(again.reopen(), content) == path.read_bytes()


def test_threads_end(store):
    before = threading.active_count()
    for _ in range(5):
        with store.ingest() as ingest:
            ingest.add_bytes(b"x" * 200_000)
            ingest.seal()
    assert threading.active_count() <= before + 1


# -- arrays and their earlier versions --------------------------------------------------------------------


def weights(seed: int, count: int = 150_000) -> array.array:
    draw = random.Random(seed)
    return array.array("f", (draw.gauss(0, 0.02) for _ in range(count)))


def nudged(data: array.array, seed: int) -> array.array:
    draw = random.Random(seed)
    return array.array("f", (one + draw.gauss(0, 1e-6) for one in data))


def save(path, arrays: dict[str, array.array], note: str = "") -> None:
    header, blob = {"__metadata__": {"note": note}}, b""
    for name, one in arrays.items():
        piece = one.tobytes()
        header[name] = {"dtype": "F32", "shape": [len(one)], "data_offsets": [len(blob), len(blob) + len(piece)]}
        blob += piece
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + blob)


def take(store, path, base: Content | None = None) -> tuple[Content, int]:
    """The content of a file, and the bytes that storing it took."""
    with store.ingest() as ingest:
        (taken,) = ingest.add_files([Source(str(path), path.stat().st_size, None, base)])
        return taken.content, ingest.seal().stored


def test_arrays_are_stored_once_whatever_lies_around_them(store, tmp_path):
    old = {"a": weights(1), "b": weights(2, 70_001)}
    save(tmp_path / "old", old)
    save(tmp_path / "new", {"first": weights(3, 5000), "b": old["b"], "a": old["a"]}, note="a longer header")
    first, _ = take(store, tmp_path / "old")
    second, stored = take(store, tmp_path / "new")
    assert stored < 30_000
    assert read(store, first) == (tmp_path / "old").read_bytes()
    assert read(store, second) == (tmp_path / "new").read_bytes() == read(store.reopen(), second)


def test_a_version_is_a_delta_to_the_first_one_and_no_chain_grows(store, tmp_path):
    data = {"a": weights(1), "b": weights(2, 70_001)}
    save(tmp_path / "0", data)
    contents = [take(store, tmp_path / "0")[0]]
    size = (tmp_path / "0").stat().st_size
    for number in range(1, 4):
        data = {name: nudged(one, number) for name, one in data.items()}
        save(tmp_path / str(number), data, note="x" * number)
        content, stored = take(store, tmp_path / str(number), contents[-1])
        assert stored < 0.6 * size
        contents.append(content)
    for number, content in enumerate(contents):
        assert read(store, content) == (tmp_path / str(number)).read_bytes()
    again = store.reopen()
    assert not list(again.objects.verify_packs())
    deltas = {}
    for path in again.packs():
        pack = packs.Pack.open(again.disk, str(path))
        deltas |= dict(pack.bases())
        pack.close()
    assert len(deltas) == 3 * 5
    assert not deltas.keys() & set(deltas.values())


def test_another_name_of_an_array_of_the_same_size_still_helps(store, tmp_path):
    data = weights(1)
    save(tmp_path / "old", {"a": data})
    save(tmp_path / "new", {"other": nudged(data, 1)})
    first, _ = take(store, tmp_path / "old")
    second, stored = take(store, tmp_path / "new", first)
    assert stored < 0.6 * len(data) * 4
    assert read(store, second) == (tmp_path / "new").read_bytes()


def test_what_is_unlike_its_base_is_stored_whole(store, tmp_path):
    save(tmp_path / "old", {"a": weights(1)})
    save(tmp_path / "new", {"a": weights(2)})
    first, _ = take(store, tmp_path / "old")
    take(store, tmp_path / "new", first)
    for path in store.packs():
        pack = packs.Pack.open(store.disk, str(path))
        assert not list(pack.bases())
        pack.close()


@pytest.mark.parametrize("harm", ["lost", "flipped"])
def test_a_damaged_base_is_said_and_stored_anew(store, tmp_path, harm):
    data = weights(1)
    save(tmp_path / "old", {"a": data})
    save(tmp_path / "new", {"a": nudged(data, 1)})
    first, _ = take(store, tmp_path / "old")
    [old] = [path for path in store.packs() if path.stat().st_size > 10_000]
    second, _ = take(store, tmp_path / "new", first)
    whole = old.read_bytes()
    if harm == "lost":
        old.unlink()
    else:
        old.write_bytes(whole[:200_000] + bytes([whole[200_000] ^ 1]) + whole[200_001:])
    again = store.reopen()
    with pytest.raises((Damaged, NotFound), match="base|not in this repository"):
        read(again, second)
    assert list(again.objects.verify_packs())
    with again.ingest(paranoid=True) as ingest:
        ingest.add_file(str(tmp_path / "old"))
        ingest.add_file(str(tmp_path / "new"))
        ingest.seal()
    assert read(again, first) == (tmp_path / "old").read_bytes()
    assert read(again, second) == (tmp_path / "new").read_bytes()


def test_a_damaged_base_is_no_base_for_others(store, tmp_path):
    data = weights(1)
    save(tmp_path / "old", {"a": data})
    first, _ = take(store, tmp_path / "old")
    [old] = [path for path in store.packs() if path.stat().st_size > 10_000]
    whole = old.read_bytes()
    old.write_bytes(whole[:200_000] + bytes([whole[200_000] ^ 1]) + whole[200_001:])
    again = store.reopen()
    save(tmp_path / "new", {"a": nudged(data, 1)})
    second, _ = take(again, tmp_path / "new", first)
    assert read(again, second) == (tmp_path / "new").read_bytes()


def test_an_earlier_version_that_is_gone_is_no_trouble(store, tmp_path):
    save(tmp_path / "new", {"a": weights(1)})
    missing = Content(EntryKind.BLOB, id_of(Kind.BLOB, b"never stored"), 600_000)
    content, _ = take(store, tmp_path / "new", missing)
    assert read(store, content) == (tmp_path / "new").read_bytes()
