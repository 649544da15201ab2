"""The merged index is a cache: lost, damaged or impossible to write, the answers are the same (D6)."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import Damaged, NotFound
from artvc.model.ids import Id, Kind, id_of
from artvc.store import index
from artvc.store.fsio import Disk
from artvc.store.packs import Place


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
    for at in range(index._ITEM - 1, 40 * index._ITEM, index._ITEM):
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


class Listed:
    """A pack of which there is only the index."""

    def __init__(self, name: str, places: list[tuple[bytes, Place]]) -> None:
        self.name = name
        self._places = sorted(places)

    def index(self) -> bytes:
        return b"".join(struct.pack("<32sBIIII", raw, *place[1:]) for raw, place in self._places)


# Few different ids, many in one slot of the fan-out, and such as an id occurs inside of by chance.
IDS = st.builds(
    lambda head, body, tail: (head + body * 32)[:31] + tail,
    st.sampled_from([b"", b"\0", b"\0\0", b"\xff\xff"]),
    st.sampled_from([b"\0", b"\1", b"\xff", b"ab"]),
    st.binary(min_size=1, max_size=1),
)
PLACES = st.tuples(IDS, st.builds(lambda a, b: Place("", 1 + a % 4, a, b, 0, b), *[st.integers(0, 2**32 - 1)] * 2))


@given(st.lists(st.lists(PLACES, max_size=120), max_size=8), st.sampled_from([1, 3, 100]))
def test_it_answers_as_a_dict_of_lists_would(packs, limit):
    """Whatever comes in whatever packs, with merges in between: every place of every id, and no other."""
    kept = {}

    class Memory(Disk):
        """A disk with room for one file."""

        def ensure_dir(self, path):
            pass

        def write_file(self, path, data, *, tmp, durable):
            kept["file"] = b"".join(data)

    class Index(index.PackIndex):
        def _mapped(self):
            return index.Merged(kept["file"])

    expected: dict[bytes, list[Place]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_LOOSE_PACKS", limit)
        patch.setattr(index, "_WINDOW", limit)
        patch.setattr(index, "_WRITE", index._ITEM)
        made = Index(Memory(sync=False), packs="", cache="", tmp="")
        for number, places in enumerate(packs):
            name = f"{number:064x}"
            for raw, place in places:
                expected.setdefault(raw, []).append(place._replace(pack=name))
            made.add(Listed(name, places))
        for raw, places in expected.items():
            assert sorted(made.find_all(raw)) == sorted(places)
            assert made.find(raw) in places
            assert raw in made
            other = raw[:-1] + bytes([raw[-1] ^ 1])
            assert (other in made) == (other in expected) == (made.find(other) is not None)
        assert sorted(made.ids()) == sorted(raw for raw, places in expected.items() for _ in places)
        for kind in Kind:
            assert set(made.ids(kind)) == {
                raw for raw, places in expected.items() for one in places if one.kind == kind
            }
        assert made.packs == {f"{number:064x}" for number in range(len(packs))}
        assert ("file" in kept) == (len(packs) > limit)


@pytest.mark.parametrize("there", [True, False])
def test_bytes_that_look_like_an_id_are_none(there):
    """The entry before an id may hold the same bytes, one off: the end of its own id and its kind."""
    wanted = bytes(2) + b"chunk".ljust(29, b".") + bytes([Kind.CHUNK])
    entries = [bytes(1) + wanted[:31], *([wanted] if there else [])]
    packed = [raw + struct.pack("<BIIIII", Kind.CHUNK, number, 1, 0, 1, 0) for number, raw in enumerate(entries)]
    merged = index.Merged(b"".join(index._merged_pieces(None, ["00" * 32], packed, len(packed))))  # type: ignore[arg-type]
    assert wanted in packed[0]
    assert list(merged.find(wanted)) == ([packed[1][32:]] if there else [])


def test_a_lost_merged_file_is_made_again_in_steps(store, many, monkeypatch):
    """However many packs there are, few of their entries are in memory at a time."""
    (store.root / "cache" / "packs.idx").unlink()
    monkeypatch.setattr(index, "_LOOSE_PACKS", 100)
    monkeypatch.setattr(index, "_LOOSE_ENTRIES", 50)
    monkeypatch.setattr(index, "_LOOSE_ENTRIES_LIMIT", 70)
    most = 0

    class Watching(Disk):
        def write_file(self, path, data, *, tmp, durable):
            nonlocal most
            most = max(most, len(again.objects.index._table.loose))
            super().write_file(path, data, tmp=tmp, durable=durable)

    again = type(store)(store.root, Watching(sync=False))
    assert everything(again) == many
    assert 70 < most <= 90
