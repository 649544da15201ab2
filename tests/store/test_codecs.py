"""Blocks: bounded decoding whatever the bytes claim, and a writer that checks its compressor (D7, F7)."""

import os
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import Damaged
from artvc.store import codecs
from artvc.store.codecs import Codec


@given(st.binary(max_size=2000), st.booleans())
def test_round_trip(data, try_zstd):
    codec, payload = codecs.encode(data, try_zstd=try_zstd)
    assert len(payload) <= len(data)
    assert codecs.decode(codec, payload, len(data)) == data


def frame(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


BOMB = frame(bytes(codecs.BLOCK_BYTES * 4), level=19)


@pytest.mark.parametrize(
    "size", [0, 1, 1000, codecs.BLOCK_BYTES, codecs.BLOCK_BYTES + 1, codecs.BLOCK_BYTES * 4, 1 << 40]
)
def test_bombs_and_lying_sizes(size):
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            codecs.decode(Codec.ZSTD, BOMB, size)
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_frame_that_hides_its_size():
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000)
    with pytest.raises(Damaged):
        codecs.decode(Codec.ZSTD, hidden, 1000)


def test_a_frame_whose_header_lies():
    good = bytearray(frame(os.urandom(40) * 30))
    for value in range(256):
        bad = bytearray(good)
        bad[5] = value
        if bad == good:
            continue
        for size in (1200, zstandard.frame_content_size(bytes(bad))):
            with pytest.raises(Damaged):
                codecs.decode(Codec.ZSTD, bytes(bad), size)


def test_trailing_and_missing_bytes_and_many_frames():
    good = frame(b"y" * 500)
    for bad in (
        good + b"x",
        good + good,
        good[:-1],
        b"",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + good,
    ):
        with pytest.raises(Damaged):
            codecs.decode(Codec.ZSTD, bad, 500)


def test_a_window_beyond_the_limit():
    options = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj(size=1 << 25)
    wide = compressor.compress(bytes(1 << 25)) + compressor.flush()
    with pytest.raises(Damaged):
        codecs.decode(Codec.ZSTD, wide, 1 << 25)
    with pytest.raises(Damaged):
        codecs.decode(Codec.ZSTD, wide, 1 << 24)


@given(st.binary(max_size=100), st.integers(0, 255), st.integers(0, 1 << 33))
def test_arbitrary_blocks(payload, codec, size):
    try:
        data = codecs.decode(codec, payload, size)
    except Damaged:
        return
    assert len(data) == size


def test_a_dictionary_is_not_asked_for():
    trained = zstandard.ZstdCompressionDict(b"abcdefgh" * 100)
    wrapped = zstandard.ZstdCompressor(dict_data=trained).compress(b"abcdefgh" * 20)
    try:
        assert codecs.decode(Codec.ZSTD, wrapped, 160) == b"abcdefgh" * 20
    except Damaged:
        pass


def test_a_compressor_that_errs_is_noticed(monkeypatch):
    class Wrong:
        def compress(self, data: bytes) -> bytes:
            changed = bytearray(data)
            changed[len(changed) // 2] ^= 1
            return frame(bytes(changed))

    monkeypatch.setattr(codecs._local, "compressor", Wrong())
    with pytest.raises(Damaged):
        codecs.encode(b"z" * 1000)


def test_worthwhile():
    assert codecs.worthwhile(memoryview(bytes(100_000)))
    assert not codecs.worthwhile(memoryview(os.urandom(100_000)))
