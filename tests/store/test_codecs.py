"""Blocks: bounded decoding whatever the bytes claim, and a writer that checks its compressor (D7, F7)."""

import array
import os
import random
import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from artvc.errors import Damaged
from artvc.store import codecs
from artvc.store.codecs import Codec

BASE_ID = bytes(range(32))


def encode(data, way=codecs.ZSTD, base=None):
    """Codec and stored bytes, in one."""
    found = codecs.encode(data, way, base)
    payload = b"".join(found.pieces)
    assert found.size == len(payload)
    assert found.base == codecs.base_of(found.codec, payload)
    return found.codec, payload


MANY = settings(max_examples=int(os.environ.get("ARTVC_EXAMPLES", "300")))
# Bit patterns that arithmetic on floats would not leave alone: zeros, infinities, NaNs with payloads, denormals.
PATTERNS = {
    2: [0, 0x8000, 0x7C00, 0x7F80, 0x7FC1, 0xFFFF, 1, 0x8001, 0x3F80],
    4: [0, 1 << 31, 0x7F800000, 0x7FC00001, 0xFFFFFFFF, 1, 0x80000001, 0x3F800000, 0x33D6BF95],
    8: [0, 1 << 63, 0x7FF0 << 48, (0x7FF8 << 48) + 1, (1 << 64) - 1, 1, (1 << 63) + 1, 0x3FF0 << 48],
}


@st.composite
def numbers(draw, width):
    """Bytes of numbers of either end first, special ones among them, and an odd tail."""
    one = st.one_of(st.sampled_from(PATTERNS[width]), st.integers(0, (1 << 8 * width) - 1))
    drawn = draw(st.lists(one, min_size=1, max_size=60)) * draw(st.integers(1, 40))
    order = draw(st.sampled_from(["little", "big"]))
    return b"".join(number.to_bytes(width, order) for number in drawn) + draw(st.binary(max_size=width - 1))


@st.composite
def neighbours(draw, width):
    """Numbers, and the same moved a little here and there."""
    data = draw(numbers(width))
    moved = bytearray(data)
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=8)):
        moved[place] = (moved[place] + draw(st.integers(-2, 2))) % 256
    return data, bytes(moved)


@MANY
@given(st.binary(max_size=2000))
def test_zstd_round_trip(data):
    codec, payload = encode(data, codecs.ZSTD)
    assert len(payload) <= len(data)
    assert codecs.decode(codec, payload, len(data)) == data


@pytest.mark.parametrize("width", [2, 4, 8])
@MANY
@given(st.data())
def test_planes_round_trip_bit_by_bit(width, data):
    plain = data.draw(numbers(width))
    way = codecs.Way(Codec.PLANES, width, data.draw(st.integers(0, (1 << width) - 1)))
    codec, payload = encode(plain, way)
    assert len(payload) <= len(plain)
    assert bytes(codecs.decode(codec, payload, len(plain))) == plain


@pytest.mark.parametrize("width", [2, 4, 8])
@MANY
@given(st.data())
def test_delta_round_trip_bit_by_bit(width, data):
    base, plain = data.draw(neighbours(width))
    way = codecs.Way(Codec.DELTA, width, data.draw(st.integers(0, (1 << width) - 1)))
    codec, payload = encode(plain, way, (BASE_ID, base))
    assert len(payload) <= len(plain)
    if codec == Codec.DELTA:
        assert codecs.base_of(codec, payload) == BASE_ID
    assert bytes(codecs.decode(codec, payload, len(plain), base)) == plain


@MANY
@given(st.data())
def test_what_is_chosen_round_trips(data):
    width = data.draw(st.sampled_from([1, 2, 4, 8]))
    base, plain = data.draw(neighbours(max(2, width)))
    base = data.draw(st.sampled_from([base, None]))
    way = codecs.choose(memoryview(plain), width, base)
    codec, payload = encode(plain, way, None if base is None else (BASE_ID, base))
    assert bytes(codecs.decode(codec, payload, len(plain), base)) == plain


def test_weights_are_stored_as_planes_and_their_next_version_as_a_delta():
    draw = random.Random(1)
    old = array.array("f", (draw.gauss(0, 0.02) for _ in range(65536)))
    new = array.array("f", (one * (1 + 2e-5) for one in old)).tobytes()
    way = codecs.choose(memoryview(old.tobytes()), 4)
    assert (way.codec, way.mask) == (Codec.PLANES, 0b1000)
    assert len(encode(old.tobytes(), way)[1]) < 0.86 * 65536 * 4
    way = codecs.choose(memoryview(new), 4, old.tobytes())
    assert way.codec == Codec.DELTA
    assert len(encode(new, way, (BASE_ID, old.tobytes()))[1]) < 0.5 * 65536 * 4
    unrelated = array.array("f", (draw.gauss(0, 0.02) for _ in range(65536))).tobytes()
    assert codecs.choose(memoryview(new), 4, unrelated).codec == Codec.PLANES


def test_few_different_numbers_are_compressed_harder():
    draw = random.Random(1)
    pixels = [0.0] * 3 + [number / 255 for number in range(0, 256, 9)]
    image = array.array("f", (draw.choice(pixels) if draw.random() < 0.3 else 0.0 for _ in range(65536))).tobytes()
    way = codecs.choose(memoryview(image), 4)
    assert way == codecs.Way(Codec.ZSTD, level=codecs.HIGH_LEVEL)
    assert len(encode(image, way)[1]) < 0.9 * len(encode(image, codecs.ZSTD)[1])


def test_text_and_noise_that_are_said_to_be_numbers():
    assert codecs.choose(memoryview(b"the same words again and again, " * 9000), 4).codec == Codec.ZSTD
    assert codecs.choose(memoryview(os.urandom(300_000)), 4) == codecs.PLAIN


@pytest.mark.parametrize("base", [None, b"", b"x" * 7, b"x" * 9])
def test_a_delta_whose_base_is_not_of_its_size(base):
    with pytest.raises(Damaged):
        codecs.decode(Codec.DELTA, BASE_ID + bytes([4, 0]) + b"x" * 8, 8, base)
    assert bytes(codecs.decode(Codec.DELTA, BASE_ID + bytes([4, 0]) + bytes(8), 8, b"x" * 8)) == b"x" * 8


@given(st.sampled_from([Codec.PLANES, Codec.DELTA]), st.data())
def test_planes_that_lie(codec, data):
    """A sound block with some bytes changed, cut or added decodes to the length it claims, or is damaged."""
    plain = data.draw(numbers(4))
    base = bytes(len(plain))
    _, payload = encode(plain, codecs.Way(codec, 4, 15), (BASE_ID, base))
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    piece = bytes(changed)[: data.draw(st.integers(0, len(changed)))] + data.draw(st.binary(max_size=4))
    for size in (len(plain), data.draw(st.integers(0, 1 << 33))):
        try:
            found = codecs.decode(codec, piece, size, base)
        except Damaged:
            continue
        assert len(found) == size


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
        encode(b"z" * 1000)


def test_worthwhile():
    assert codecs.worthwhile(memoryview(bytes(100_000)))
    assert not codecs.worthwhile(memoryview(os.urandom(100_000)))
