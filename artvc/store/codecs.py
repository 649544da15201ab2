"""How blocks are encoded: the number that a record names, and the code behind it.

A block is one object or several small ones end to end.  Encoding never changes an id and is never larger than
the plain bytes.  Decoding is bounded before it allocates: a record says how long its plain bytes are, the frames
must say the same, and the window may not exceed the limit.

Four ways to store bytes: as they are; as one zstd frame; as planes (numbers taken apart by significance, the planes
that shrink compressed); as a delta, the planes of the difference to another object of the same length, the *base*.  A
base is never itself a delta: restoring costs at most two decodings, and a damaged base harms what names it and no
more.  Which way, is decided on a small sample of the data by :func:`choose`.
"""

import enum
import struct
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import zstandard

from artvc.errors import Damaged
from artvc.store import planes

Buffer = bytes | bytearray | memoryview

BLOCK_BYTES: Final = 16 * 1024 * 1024
STORED_BYTES: Final = 64 * 1024 * 1024
BASE_BYTES: Final = 32
LEVEL: Final = 1  # of text, level 3 costs 1.3 to 1.9 times the time for 0 to 5 % (docs/decisions/0004-codecs.md)
# Arrays of few different numbers (pixels as float32): a fifth smaller than with LEVEL, and no slower.
HIGH_LEVEL: Final = 3
BEST_LEVEL: Final = 19  # those above want larger windows than a reader grants
_WINDOW: Final = 1 << 24
_SAMPLE: Final = 4096
_SAMPLES: Final = 3
_ARRAY_SAMPLE: Final = 8192
# A way is worth its time if it leaves at most so much of what the next cheaper one leaves.
_ZSTD_PAYS: Final = 0.9
_LEVEL_PAYS: Final = 0.95
_PLANE_PAYS: Final = 0.97
_PLANES_PAY: Final = 0.97
# Beyond this a new whole copy is better: deltas to it will be small again.
_DELTA_PAYS: Final = 0.85
_PLANES_HEAD = struct.Struct("<BB")  # width, mask of the planes that are compressed
_FRAME = struct.Struct("<I")

FetchBase = Callable[[bytes], Buffer]


class Codec(enum.IntEnum):
    """The codec byte of a record."""

    RAW = 0
    ZSTD = 1
    PLANES = 2
    DELTA = 3


class Way(NamedTuple):
    """How to encode blocks of one kind of data.

    Attributes:
        codec: what to try.
        width: bytes of a number.
        mask: bit k says that plane k is worth compressing.
        level: of zstd; of commits LEVEL or, where numbers repeat as wholes, HIGH_LEVEL.
    """

    codec: Codec
    width: int = 1
    mask: int = 0
    level: int = LEVEL


PLAIN: Final = Way(Codec.RAW)
ZSTD: Final = Way(Codec.ZSTD)


class _Local(threading.local):
    """Compressors and a decompressor for each thread: making one costs more than compressing 64 KiB."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
        self.higher = zstandard.ZstdCompressor(level=HIGH_LEVEL, write_checksum=False, write_content_size=True)
        # Planes of exponents have few different bytes and no long repeats: only zstd's entropy coder is of use, and
        # looking for matches costs time and makes the frame larger (measured: decision 0009).
        self.entropy = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters(
                window_log=18,
                chain_log=6,
                hash_log=6,
                search_log=1,
                min_match=7,
                target_length=0,
                strategy=zstandard.STRATEGY_FAST,
                write_checksum=False,
                write_content_size=True,
            )
        )
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._others: dict[int, zstandard.ZstdCompressor] = {}

    def of_level(self, level: int) -> zstandard.ZstdCompressor:
        """The compressor of a level."""
        if level in {LEVEL, HIGH_LEVEL}:
            return self.compressor if level == LEVEL else self.higher
        if level not in self._others:
            self._others[level] = zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)
        return self._others[level]


_local = _Local()


# -- choosing -------------------------------------------------------------------------------------------------


def worthwhile(data: memoryview) -> bool:
    """Whether zstd is worth its time on data like this, by three small samples."""
    if len(data) <= 2 * _SAMPLES * _SAMPLE:
        return True
    sample = _sampled(data, _SAMPLE)
    return len(_local.compressor.compress(sample)) < _ZSTD_PAYS * len(sample)


def _sampled(data: memoryview, piece: int) -> bytes:
    """Three pieces of the data, from whole numbers on."""
    if len(data) <= _SAMPLES * piece:
        return bytes(data)
    step = (len(data) - piece) // (_SAMPLES - 1) & -8
    return b"".join(data[step * i : step * i + piece] for i in range(_SAMPLES))


def choose(data: memoryview, width: int, base: Buffer | None = None) -> Way:
    """The way that stores data like this in the fewest bytes worth their time.

    Args:
        data: some of it; begins with a whole number.
        width: bytes of a number; 1 where it is no array.
        base: an earlier version of ``data``, as long as it.
    """
    if width not in planes.WIDTHS or len(data) < width:
        return ZSTD if worthwhile(data) else PLAIN
    sample = _sampled(data, _ARRAY_SAMPLE)
    best, left = PLAIN, 1.0
    zstd = len(_local.compressor.compress(sample)) / len(sample)
    if zstd < _ZSTD_PAYS:
        best, left = ZSTD, zstd
    sample = sample[: len(sample) // width * width]
    mask, share = _shrinking(sample, width)
    if share < _PLANES_PAY * left:
        best, left = Way(Codec.PLANES, width, mask), share
    if best.codec == Codec.ZSTD:
        # zstd's parameters depend on the size of its input, so that a sample tells nothing of the level.
        low, high = (len(one.compress(data)) for one in (_local.compressor, _local.higher))
        if high < _LEVEL_PAYS * low:
            best = Way(Codec.ZSTD, level=HIGH_LEVEL)
    if base is not None:
        earlier = _sampled(memoryview(base), _ARRAY_SAMPLE)[: len(sample)]
        mask, share = _shrinking(planes.difference(sample, earlier, width), width)
        if share < _DELTA_PAYS * left:
            best = Way(Codec.DELTA, width, mask)
    return best


def _shrinking(numbers: Buffer, width: int) -> tuple[int, float]:
    """Which planes shrink, as a mask, and the share of the bytes that is left if they are compressed."""
    mask = stored = 0
    for k, plane in enumerate(planes.split(numbers, width)):
        packed = len(_local.entropy.compress(plane))
        if packed < _PLANE_PAYS * len(plane):
            mask |= 1 << k
        stored += min(packed, len(plane))
    return mask, stored / max(1, len(numbers))


# -- encoding -------------------------------------------------------------------------------------------------


class Encoded(NamedTuple):
    """A block as it is stored.

    Attributes:
        codec: the codec byte.
        pieces: the stored bytes, in order; joining them would cost a tenth of the time of a commit.
        size: of them all.
        base: the id of the base of a delta.
    """

    codec: Codec
    pieces: tuple[Buffer, ...]
    size: int
    base: bytes | None = None


def encode(data: Buffer, way: Way = ZSTD, base: tuple[bytes, Buffer] | None = None) -> Encoded:
    """Encode one block; every frame was decoded again and compared.

    Args:
        data: the plain bytes, at most BLOCK_BYTES.
        way: what to try; where that is no smaller than the plain bytes, they are stored as they are.
        base: id and bytes of the base, as long as ``data``; needed where the way is a delta.

    Raises:
        Damaged: the compressor gave bytes that do not decode to the input (a fault of memory or library).
    """
    found = Encoded(Codec.RAW, (data,), len(data))
    if way.codec == Codec.ZSTD and len(data):
        frame = _checked_frame(_local.of_level(way.level), data)
        found = Encoded(Codec.ZSTD, (frame,), len(frame))
    elif way.codec == Codec.PLANES and len(data) >= way.width:
        numbers, tail = _whole_numbers(data, way.width)
        pieces = _encode_planes(numbers, tail, way)
        found = Encoded(Codec.PLANES, pieces, sum(map(len, pieces)))
    elif way.codec == Codec.DELTA and base is not None and len(base[1]) == len(data) >= way.width:
        numbers, tail = _whole_numbers(data, way.width)
        step = planes.difference(numbers, memoryview(base[1])[: len(numbers)], way.width)
        pieces = (base[0], *_encode_planes(step, tail, way))
        found = Encoded(Codec.DELTA, pieces, sum(map(len, pieces)), base[0])
    return found if found.size < len(data) else Encoded(Codec.RAW, (data,), len(data))


def _whole_numbers(data: Buffer, width: int) -> tuple[memoryview, memoryview]:
    """The whole numbers at the front, and the rest."""
    view = memoryview(data)
    size = len(view) // width * width
    return view[:size], view[size:]


def _encode_planes(numbers: Buffer, tail: Buffer, way: Way) -> tuple[Buffer, ...]:
    """Head, planes, and the bytes that are no whole number."""
    mask = 0
    stored: list[Buffer] = []
    for k, plane in enumerate(planes.split(numbers, way.width)):
        if way.mask >> k & 1:
            frame = _checked_frame(_local.entropy, plane)
            if len(frame) + _FRAME.size < len(plane):
                mask |= 1 << k
                stored += (_FRAME.pack(len(frame)), frame)
                continue
        stored.append(plane)
    return (_PLANES_HEAD.pack(way.width, mask), *stored, bytes(tail))


def _checked_frame(compressor: zstandard.ZstdCompressor, data: Buffer) -> bytes:
    frame = compressor.compress(data)
    # A library bug once made zstd frames that could not be read (restic 0.16.0): never trust, look.
    # (Copied first: comparing with a memoryview goes item by item and takes ten times as long as comparing bytes.)
    if len(frame) < len(data) and _local.decompressor.decompress(frame) != bytes(data):
        raise Damaged("zstd gave a frame that does not decode to its input")
    return frame


# -- decoding -------------------------------------------------------------------------------------------------


def base_of(codec: int, payload: Buffer) -> bytes | None:
    """The id of the base that a block needs, or None.  Raises Damaged where it should have one and is too short."""
    if codec != Codec.DELTA:
        return None
    if len(payload) < BASE_BYTES + _PLANES_HEAD.size:
        raise Damaged("delta ends too early")
    return bytes(memoryview(payload)[:BASE_BYTES])


def width_of(codec: int, payload: Buffer) -> int:
    """The bytes of a number by which a block was taken apart; 1 where it was not."""
    if codec not in {Codec.PLANES, Codec.DELTA}:
        return 1
    at = BASE_BYTES if codec == Codec.DELTA else 0
    return memoryview(payload)[at] if len(payload) > at else 1


def decode(codec: int, payload: Buffer, size: int, base: Buffer | None = None) -> Buffer:
    """The plain bytes of a block.

    Args:
        codec: the record's codec byte.
        payload: the stored bytes.
        size: of the plain bytes, as the record says.
        base: the bytes of the base where :func:`base_of` names one.

    Raises:
        Damaged: unknown codec, a size that does not fit, or a frame that does not decode.
    """
    if size > BLOCK_BYTES:
        raise Damaged(f"block of {size} bytes is beyond the limit")
    if codec == Codec.RAW:
        if len(payload) != size:
            raise Damaged(f"plain block has {len(payload)} bytes instead of {size}")
        return payload
    if codec == Codec.ZSTD:
        return _decoded_frame(payload, size)
    if codec == Codec.PLANES:
        numbers, tail, _ = _decode_planes(memoryview(payload), size)
    elif codec == Codec.DELTA:
        if base is None or len(base) != size:
            raise Damaged("delta's base is not of its size")
        step, tail, width = _decode_planes(memoryview(payload)[BASE_BYTES:], size)
        numbers = planes.sum_of(memoryview(base)[: len(step)], step, width)
    else:
        raise Damaged(f"unknown codec {codec}")
    return numbers if not len(tail) else bytes(numbers) + bytes(tail)


def _decoded_frame(frame: Buffer, size: int) -> bytes:
    try:
        if zstandard.frame_content_size(frame) != size:
            raise Damaged("zstd frame is not of the size that its record says")
        data = _local.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise Damaged(f"zstd frame does not decode: {exc}") from exc
    if len(data) != size:
        raise Damaged("zstd frame decodes to another size than it says")
    return data


def _decode_planes(payload: memoryview, size: int) -> tuple[Buffer, memoryview, int]:
    """The numbers of a block of planes, its tail, and the width."""
    if len(payload) < _PLANES_HEAD.size:
        raise Damaged("planes end too early")
    width, mask = _PLANES_HEAD.unpack_from(payload)
    if width not in planes.WIDTHS or mask >> width or size < width:
        raise Damaged(f"planes of width {width} and mask {mask:#x}")
    count, at = size // width, _PLANES_HEAD.size
    found: list[Buffer] = []
    for k in range(width):
        if mask >> k & 1:
            if len(payload) < at + _FRAME.size:
                raise Damaged("planes end too early")
            (stored,) = _FRAME.unpack_from(payload, at)
            at += _FRAME.size
            plane: Buffer = _decoded_frame(payload[at : at + stored], count)
        else:
            stored = count
            plane = payload[at : at + stored]
        if len(plane) != count:
            raise Damaged("planes end too early")
        found.append(plane)
        at += stored
    tail = payload[at:]
    if len(tail) != size - count * width:
        raise Damaged("planes do not fill their block")
    return planes.join(found, width), tail, width
