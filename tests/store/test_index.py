"""The merged index is a cache: lost, damaged or impossible to write, the answers are the same (D6)."""

import random

import pytest

from artvc.errors import Damaged, NotFound
from artvc.model.ids import Id, Kind, id_of
from artvc.store import index
from artvc.store.fsio import Disk


def fill(store, packs: int, objects: int = 20) -> dict[Id, bytes]:
    """Packs with some objects each; one object is in all of them."""
    found = {}
    for number in range(packs):
        with store.ingest() as ingest:
            for at in range(objects):
                data = f"object {number} {at}".encode() * 3
                ingest.add_bytes(data)
                found[id_of(Kind.CHUNK, data)] = data
            ingest.seal()
    return found


@pytest.fixture
def many(store, monkeypatch):
    monkeypatch.setattr(index, "_LOOSE_PACKS", 4)
    return fill(store, 13)


def everything(store) -> dict[Id, bytes]:
    store.objects.refresh()
    return {Id(raw): store.objects.get(Kind.CHUNK, Id(raw)) for raw in store.objects.index.ids(Kind.CHUNK)}


def test_many_packs(store, many):
    assert (store.root / "cache" / "packs.idx").exists()
    again = store.reopen()
    assert everything(again) == many
    assert len(again.objects.index.packs) == 13
    with pytest.raises(NotFound):
        again.objects.get(Kind.CHUNK, Id(bytes(32)))
    assert again.objects.find(bytes(32)) is None


def test_the_merged_file_is_lost(store, many):
    (store.root / "cache" / "packs.idx").unlink()
    assert everything(store.reopen()) == many


def test_the_cache_directory_is_lost(store, many):
    (store.root / "cache" / "packs.idx").unlink()
    (store.root / "cache").rmdir()
    assert everything(store.reopen()) == many
    assert (store.root / "cache" / "packs.idx").exists()  # it is made again


def test_the_merged_file_is_damaged(store, many):
    """Whatever byte is wrong: reading gives the same, chunk by chunk and in runs."""
    path = store.root / "cache" / "packs.idx"
    good = path.read_bytes()
    rng = random.Random(5)
    regions = [range(2000), range(len(good) - 600, len(good)), range(len(good))]
    for at in [rng.choice(region) for region in regions for _ in range(40)]:
        broken = bytearray(good)
        broken[at] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        again = store.reopen()
        wanted = list(many)
        assert {one: bytes(data) for one, data in zip(wanted, again.objects.chunks(wanted), strict=True)} == many
        assert all(again.objects.get(Kind.CHUNK, one) == data for one, data in many.items())
        again.objects.close()
        path.write_bytes(good)


@pytest.mark.parametrize("how", ["empty", "cut", "longer", "zeros", "other"])
def test_the_merged_file_is_something_else(store, many, how):
    path = store.root / "cache" / "packs.idx"
    good = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "cut": good[: len(good) // 2],
            "longer": good + b"x",
            "zeros": bytes(len(good)),
            "other": b"ARTVCMIX" * 100,
        }[how]
    )
    assert everything(store.reopen()) == many


def test_entries_of_a_damaged_merged_file_do_not_stop_an_ingest(store, many):
    path = store.root / "cache" / "packs.idx"
    broken = bytearray(path.read_bytes())
    for at in range(index._ITEM.size - 1, 40 * index._ITEM.size, index._ITEM.size):
        broken[at] = 0xFF  # the number of the pack
    path.write_bytes(broken)
    again = store.reopen()
    with again.ingest() as ingest:
        for data in many.values():
            ingest.add_bytes(data)
        ingest.seal()
    assert all(again.objects.get(Kind.CHUNK, one) == data for one, data in many.items())


def test_a_pack_goes(store, many):
    gone = store.packs()[3]
    store.objects.refresh()
    data = gone.read_bytes()
    gone.unlink()
    left = everything(store)
    assert len(left) == len(many) - 20
    assert left.items() <= many.items()
    (store.root / "packs" / gone.name).write_bytes(data)
    assert everything(store) == many


def test_a_pack_with_a_damaged_index_is_named_and_the_others_work(store, many):
    (store.root / "cache" / "packs.idx").unlink()
    bad = store.packs()[0]
    raw = bytearray(bad.read_bytes())
    raw[-100] ^= 1
    bad.write_bytes(raw)
    again = store.reopen()
    assert len(everything(again)) == len(many) - 20
    assert list(again.objects.index.bad) == [bad.stem]
    assert isinstance(again.objects.index.bad[bad.stem], Damaged)
    assert [name for name, _ in again.objects.verify_packs()] == [bad.stem]


def test_a_second_copy_serves(store):
    with store.ingest() as ingest:
        content = ingest.add_bytes(b"precious" * 50)
        ingest.seal()
    first = store.packs()[0]
    raw = bytearray(first.read_bytes())
    raw[100] ^= 1
    first.write_bytes(raw)
    again = store.reopen()
    with pytest.raises(Damaged):
        again.objects.get(Kind.CHUNK, content.id)
    with again.ingest(paranoid=True) as ingest:  # it looks, and stores anew
        assert ingest.add_bytes(b"precious" * 50) == content
        ingest.seal()
    assert again.objects.get(Kind.CHUNK, content.id) == b"precious" * 50
    assert again.reopen().objects.get(Kind.CHUNK, content.id) == b"precious" * 50
    with again.ingest(paranoid=True) as ingest:  # one sound copy is enough
        ingest.add_bytes(b"precious" * 50)
        assert ingest.seal().stored == 0


def test_nothing_is_written_where_nothing_can_be(store, monkeypatch):
    class Refusing(Disk):
        def open_new(self, path: str) -> int:
            raise index.StorageError("read-only")

    found = fill(store, 6)
    monkeypatch.setattr(index, "_LOOSE_PACKS", 1)
    again = type(store)(store.root, Refusing(sync=False))
    assert everything(again) == found
    assert not (store.root / "cache" / "packs.idx").exists()
