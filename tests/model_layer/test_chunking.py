"""Cuts: the published table and rules, two implementations, and cutting in pieces."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.model import chunking


def blob(seed: int, size: int, kind: str = "random") -> bytes:
    rng = random.Random(seed)
    if kind == "zeros":
        return bytes(size)
    if kind == "period":
        return (rng.randbytes(997) * (size // 997 + 1))[:size]
    if kind == "mixed":
        pieces = [rng.choice([bytes(70_000), rng.randbytes(90_000), b"ab" * 40_000]) for _ in range(size // 70_000 + 1)]
        return b"".join(pieces)[:size]
    return rng.randbytes(size)


def slow_cut(data: bytes) -> list[int]:
    """The rules written down byte by byte, from the published description."""
    gear = [int.from_bytes(hashlib.md5(bytes([i]) * 64).digest()[:8], "big") for i in range(256)]
    ends, start = [], 0
    while start < len(data):
        left = len(data) - start
        length = left
        if left > chunking.MIN_SIZE:
            limit = min(left, chunking.MAX_SIZE)
            middle = min(chunking.AVERAGE_SIZE, limit) // 2 * 2
            stop = limit // 2 * 2
            length, value = limit, 0
            for at in range(chunking.MIN_SIZE, stop):
                value = (value << 1) + gear[data[start + at]] & 0xFFFF_FFFF_FFFF_FFFF
                if not value & (chunking.MASK_STRICT if at < middle else chunking.MASK_LOOSE):
                    length = at
                    break
        start += length
        ends.append(start)
    return ends


def test_the_published_constants():
    table = b"".join(number.to_bytes(8, "big") for number in chunking.gear_table())
    # The gear table that the FastCDC crates publish, entry by entry, is MD5 of 64 equal bytes.
    assert table[:8].hex() == "3b5d3c7d207e37dc"
    assert table[-8:].hex() == hashlib.md5(b"\xff" * 64).hexdigest()[:16]
    assert hashlib.sha256(table).hexdigest() == GEAR_SHA256
    assert (chunking.MASK_STRICT.bit_count(), chunking.MASK_LOOSE.bit_count()) == (18, 14)
    assert chunking.MASK_STRICT < 1 << chunking.WINDOW
    assert chunking.RULE == "fastcdc-2020/16384/65536/262144/2"


GEAR_SHA256 = "9df0a720752a7d211fdebaf39bed01610983756fc340a1cfef41052b7356ae73"


def test_the_test_vector_of_the_format():
    assert chunking._digest(chunking.cut_with_numpy) == chunking.SELF_TEST_CUTS
    assert chunking._digest(lambda view: slow_cut(bytes(view))) == chunking.SELF_TEST_CUTS


def test_the_native_cutter_is_in_use():
    assert chunking._cutter() is not chunking.cut_with_numpy


SIZES = [0, 1, 2, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 300_001, 1_000_003]


@pytest.mark.parametrize("kind", ["random", "zeros", "period", "mixed"])
@pytest.mark.parametrize("size", SIZES)
def test_numpy_and_native_agree(kind, size):
    data = blob(size, size, kind)
    assert chunking.cut_with_numpy(memoryview(data)) == chunking.cut(data, final=True)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(0, 900_000), st.sampled_from(["random", "zeros", "period", "mixed"]))
def test_numpy_and_native_agree_anywhere(seed, size, kind):
    data = blob(seed, size, kind)
    assert chunking.cut_with_numpy(memoryview(data)) == chunking.cut(data, final=True)


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.integers(0, 2_500_000),
    st.sampled_from(["random", "zeros", "period", "mixed"]),
    st.lists(st.integers(1, 1_200_000), min_size=1, max_size=5),
)
def test_cut_in_segments_is_cut_whole(seed, size, kind, segments):
    data = blob(seed, size, kind)
    whole = chunking.cut(data, final=True)
    ends: list[int] = []
    start = at = number = 0
    while at < len(data) or (not ends and data):
        at = min(len(data), at + segments[number % len(segments)])
        number += 1
        found = chunking.cut(data[start:at], final=at == len(data))
        ends += [start + end for end in found]
        start = ends[-1] if ends else 0
    assert ends == whole


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 2_000_000), st.sampled_from(["random", "zeros", "mixed"]))
def test_sizes_of_chunks(seed, size, kind):
    ends = chunking.cut(blob(seed, size, kind), final=True)
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    assert sum(lengths) == size
    assert all(chunking.MIN_SIZE <= length <= chunking.MAX_SIZE for length in lengths[:-1])
    assert 0 < lengths[-1] <= chunking.MAX_SIZE


def test_an_insertion_moves_only_the_cuts_near_it():
    data = blob(1, 4_000_000)
    changed = data[:2_000_000] + b"inserted" + data[2_000_000:]

    def chunks(whole: bytes) -> set[bytes]:
        ends = chunking.cut(whole, final=True)
        return {whole[start:end] for start, end in zip([0, *ends], ends, strict=False)}

    assert len(chunks(changed) - chunks(data)) <= 4


def test_small_files_are_not_cut():
    assert chunking.cut_whole(b"") == [0]
    assert chunking.cut_whole(bytes(chunking.WHOLE - 1)) == [chunking.WHOLE - 1]
    assert chunking.cut_whole(blob(3, chunking.WHOLE)) == chunking.cut(blob(3, chunking.WHOLE), final=True)
