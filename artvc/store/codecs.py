"""How blocks are encoded: the number that a record names, and the code behind it.

A block is one object or several small ones end to end.  Encoding never changes an id and is never larger than
the plain bytes.  Decoding is bounded before it allocates: a record says how long its plain bytes are, the frame
must say the same, and the window may not exceed the limit.
"""

import enum
import threading
from typing import Final

import zstandard

from artvc.errors import Damaged

Buffer = bytes | bytearray | memoryview

BLOCK_BYTES: Final = 16 * 1024 * 1024
STORED_BYTES: Final = 64 * 1024 * 1024
LEVEL: Final = 1  # level 3 costs 1.3 to 1.9 times the time for 0 to 5 % (docs/decisions/0004-codecs.md)
_WINDOW: Final = 1 << 24
_SAMPLE: Final = 4096
_SAMPLES: Final = 3
_WORTHWHILE: Final = 0.9


class Codec(enum.IntEnum):
    """The codec byte of a record; 2 and up are kept for grouped and delta codecs."""

    RAW = 0
    ZSTD = 1


class _Local(threading.local):
    """One compressor and one decompressor a thread: making one costs more than compressing 64 KiB."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)


_local = _Local()


def worthwhile(data: memoryview) -> bool:
    """Whether zstd is worth its time on data like this, by three small samples.

    Weights in float32 shrink by 8 % at a tenth of the speed of a copy; they are better kept plain until the
    codecs made for them are there.
    """
    if len(data) <= 2 * _SAMPLES * _SAMPLE:
        return True
    step = (len(data) - _SAMPLE) // (_SAMPLES - 1)
    sample = b"".join(data[step * i : step * i + _SAMPLE] for i in range(_SAMPLES))
    return len(_local.compressor.compress(sample)) < _WORTHWHILE * len(sample)


def encode(data: Buffer, *, try_zstd: bool = True) -> tuple[Codec, Buffer]:
    """Encode one block; what comes back was decoded again and compared.

    Args:
        data: the plain bytes, at most BLOCK_BYTES.
        try_zstd: False keeps them plain without trying.

    Raises:
        Damaged: the compressor gave bytes that do not decode to the input (a fault of memory or library).
    """
    if try_zstd and len(data):
        packed = _local.compressor.compress(data)
        if len(packed) < len(data):
            # A library bug once made zstd frames that could not be read (restic 0.16.0): never trust, look.
            if _local.decompressor.decompress(packed) != data:
                raise Damaged("zstd gave a frame that does not decode to its input")
            return Codec.ZSTD, packed
    return Codec.RAW, data


def decode(codec: int, payload: Buffer, size: int) -> Buffer:
    """The plain bytes of a block.

    Args:
        codec: the record's codec byte.
        payload: the stored bytes.
        size: of the plain bytes, as the record says.

    Raises:
        Damaged: unknown codec, a size that does not fit, or a frame that does not decode.
    """
    if size > BLOCK_BYTES:
        raise Damaged(f"block of {size} bytes is beyond the limit")
    if codec == Codec.RAW:
        if len(payload) != size:
            raise Damaged(f"plain block has {len(payload)} bytes instead of {size}")
        return payload
    if codec != Codec.ZSTD:
        raise Damaged(f"unknown codec {codec}")
    try:
        if zstandard.frame_content_size(payload) != size:
            raise Damaged("zstd frame is not of the size that its record says")
        data = _local.decompressor.decompress(payload, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise Damaged(f"zstd frame does not decode: {exc}") from exc
    if len(data) != size:
        raise Damaged("zstd frame decodes to another size than it says")
    return data
