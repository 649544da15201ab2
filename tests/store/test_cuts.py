"""The cuts of a file must not depend on whether an earlier version was at hand, nor on how it is read."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.errors import Damaged
from artvc.model import chunking
from artvc.model.ids import Kind, id_of, raw_id
from artvc.model.merkle import ChunkList
from artvc.model.objects import Content
from artvc.store import cuts
from artvc.store.cuts import Cutter, Earlier

BASE = random.Random(1).randbytes(3_000_000)


class Store:
    """Objects in a dict, and how often chunks were searched for by content."""

    def __init__(self):
        self.objects = {}

    def put(self, kind, data):
        found = id_of(kind, data)
        self.objects[found] = bytes(data)
        return found

    def get(self, kind, wanted):
        return self.objects[wanted]

    def keep(self, data: bytes) -> Content:
        chunks = ChunkList(self.put)
        start = 0
        for end, _ in cut(data):
            chunks.add(self.put(Kind.CHUNK, data[start:end]), end - start)
            start = end
        return chunks.finish()


def cut(data: bytes, earlier: Earlier | None = None, segment: int = 600_000):
    """All cuts of a file, with the ids that the cutter found."""
    cutter = Cutter(lambda offset, count: data[offset : offset + count], len(data), earlier)
    found, at, stop = [], 0, 0
    while stop < len(data):
        stop = min(len(data), stop + segment)
        view = memoryview(data)[at:stop]
        start = 0
        ends = cutter.cut(view, last=stop == len(data))
        for one in ends:
            if one.id is not None:
                assert one.id == raw_id(Kind.CHUNK, view[start : one.end])
            found.append((at + one.end, one.id))
            start = one.end
        at += start
    assert at == len(data)
    return found


def ends(data, **how):
    return [end for end, _ in cut(data, **how)]


def edited(data: bytes, edits) -> bytes:
    for where, size, new in edits:
        at = where % (len(data) + 1)
        data = data[:at] + random.Random(new).randbytes(new) + data[at + size :]
    return data


EDIT = st.tuples(st.integers(0, 4_000_000), st.integers(0, 300_000), st.integers(0, 300_000))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(EDIT, max_size=4), st.lists(EDIT, max_size=4), st.sampled_from([300_000, 600_000, 2_000_000, 9_000_000])
)
def test_an_earlier_version_changes_no_cut(before, after, segment):
    old, new = edited(BASE, before), edited(BASE, after)
    store = Store()
    content = store.keep(old)
    assert ends(new, earlier=Earlier(content, store.get), segment=segment) == chunking.cut_whole(new)


@pytest.mark.parametrize("keep", [0, 1, 65_535, 65_536, 1_000_001, 2_999_999])
def test_append_to_and_cut_off_an_earlier_version(keep):
    store = Store()
    short, whole = store.keep(BASE[:keep]) if keep else None, store.keep(BASE)
    if short is not None:
        assert ends(BASE, earlier=Earlier(short, store.get)) == chunking.cut_whole(BASE)
    if keep >= chunking.WHOLE:
        assert ends(BASE[:keep], earlier=Earlier(whole, store.get)) == chunking.cut_whole(BASE[:keep])


def test_equal_bytes_are_not_searched_again(monkeypatch):
    store = Store()
    content = store.keep(BASE)
    searched = []
    search = chunking.cut
    monkeypatch.setattr(chunking, "cut", lambda view, **how: searched.append(len(view)) or search(view, **how))
    new = BASE[:1_500_000] + b"inserted" + BASE[1_500_000:]
    found = cut(new, Earlier(content, store.get))
    assert [end for end, _ in found] == chunking._cutter()(memoryview(new))
    assert sum(searched) < 1_200_000  # around the insertion, and no more than two looks
    assert all(raw for _, raw in found)


def test_a_file_that_is_nothing_like_it_is_soon_only_searched(monkeypatch):
    monkeypatch.setattr(cuts, "_STRANGE", 4)
    store = Store()
    content = store.keep(BASE)
    other = random.Random(2).randbytes(6_000_000)
    found = cut(other, Earlier(content, store.get))
    assert sum(raw is not None for _, raw in found) < 4 + cuts._TRIES * 11
    # ... and is found again where it goes on as before
    both = other + BASE
    again = cut(both, Earlier(content, store.get))
    assert [end for end, _ in again] == chunking.cut_whole(both)
    assert sum(raw is not None for _, raw in again[-30:]) > 20


def test_an_earlier_version_of_arrays_is_no_guide():
    # The same bytes, once inside of a container and once not: the pieces of arrays are no cuts by content.
    header = b'{"a":{"dtype":"F32","shape":[500000],"data_offsets":[0,2000000]}}'
    container = struct.pack("<Q", len(header)) + header + BASE[:2_000_000]
    store = Store()
    content = store.keep(container)
    assert Earlier(content, store.get).arrays()
    plain = b"x" + container[1:]
    assert ends(plain, earlier=Earlier(content, store.get)) == chunking.cut_whole(plain)


def test_what_is_held_of_an_earlier_version_is_bounded(monkeypatch):
    monkeypatch.setattr(cuts, "_NEAR", 500_000)
    store = Store()
    content = store.keep(BASE * 3)
    trail = cuts._Trail(Earlier(content, store.get))
    held = 0
    at = 0
    data = memoryview(BASE * 3)
    while at < len(data):
        stop = min(len(data), at + 600_000)
        trail.cut(data[at:stop], last=stop == len(data))
        at = trail._at
        held = max(held, len(trail._near))
        assert set(trail._numbers.values()) <= set(range(trail._first, trail._first + len(trail._near)))
    assert 10 < held < 60 < len(chunking.cut_whole(BASE * 3))


def test_a_damaged_earlier_version_costs_nothing_but_time():
    store = Store()
    content = store.keep(BASE)

    def get(kind, wanted):
        raise Damaged("gone")

    assert ends(BASE, earlier=Earlier(content, get)) == chunking.cut_whole(BASE)
    header = b'{"a":{"dtype":"F32","shape":[500000],"data_offsets":[0,2000000]}}'
    container = struct.pack("<Q", len(header)) + header + BASE[:2_000_000]
    assert ends(container, earlier=Earlier(content, get)) == ends(container)
