"""Numbers as planes of bytes, and as differences to earlier numbers: what makes weights compressible.

Theory.  In floats of one tensor sign and exponent repeat while the low bits of the mantissa are noise.  Put apart, byte
by byte of significance, the first kind compresses and the second need not be tried.  Two versions of a tensor that was
trained on differ by little: as integers, the bit patterns of two near floats are near, so their difference, folded so
that small negative numbers are small too (zigzag), has its high bytes mostly zero.  All of it is arithmetic modulo
2^(8 * width) on bit patterns, so NaNs, infinities, negative zeros and denormals come back bit by bit.

Numbers are read as little-endian whatever they are.  Slices and Python's long integers do the work: one integer holds
all numbers side by side, and masks keep borrows within their lanes (Warren, "Hacker's Delight", 2-18).  Where numpy is
installed and there is enough to do, it does the same in a quarter of the time; a property test compares them.
"""

import sys
from types import ModuleType
from typing import Final

Buffer = bytes | bytearray | memoryview

WIDTHS: Final = (2, 4, 8)


_PATIENCE: Final = 16 * 1024 * 1024  # so many bytes cost less without numpy than its import takes
_done = 0


def _numpy(size: int) -> ModuleType | None:
    """numpy, if it is there and worth its import of 100 ms; ``size`` bytes are to be worked on."""
    global _done
    _done += size
    if "numpy" not in sys.modules and _done < _PATIENCE:
        return None
    try:
        import numpy  # noqa: ICN001, PLC0415 -- optional, see above
    except ImportError:
        return None
    return numpy


def split(data: Buffer, width: int) -> list[Buffer]:
    """The planes of the numbers in ``data``, least significant first.

    Args:
        data: whole numbers.
        width: bytes of each: 2, 4 or 8.
    """
    np = _numpy(len(data))
    if np is None:
        whole = bytes(data)
        return [whole[k::width] for k in range(width)]
    numbers = np.frombuffer(data, f"<u{width}")
    # Shifting and narrowing reads with stride one; a strided copy of single bytes takes twice as long.
    return [(numbers >> numbers.dtype.type(8 * k)).astype(np.uint8).data for k in range(width)]


def join(planes: list[Buffer], width: int) -> Buffer:
    """The bytes of which :func:`split` gives the planes."""
    np = _numpy(width * len(planes[0]))
    if np is None:
        data = bytearray(width * len(planes[0]))
        for k, plane in enumerate(planes):
            data[k::width] = plane
        return data
    kind = np.dtype(f"<u{width}")
    arrays = [np.frombuffer(plane, np.uint8) for plane in planes]
    numbers = arrays[0].astype(kind)
    wide = np.empty_like(numbers)
    for k, array in enumerate(arrays[1:], 1):
        np.copyto(wide, array)
        wide <<= kind.type(8 * k)
        numbers |= wide
    return memoryview(numbers).cast("B")


def difference(new: Buffer, base: Buffer, width: int) -> Buffer:
    """What must be added to each number of ``base`` for that of ``new``, modulo 2^(8 * width), folded by zigzag.

    0, -1, 1, -2, ... become 0, 1, 2, 3, ...

    Args:
        new, base: whole numbers, equally many.
        width: bytes of each.
    """
    np = _numpy(len(new))
    if np is None:
        lanes = _Lanes(width, len(new) // width)
        return lanes.fold(lanes.subtract(_long(new), _long(base))).to_bytes(len(new), "little")
    one = np.dtype(f"<u{width}").type(1)
    step = np.frombuffer(new, one.dtype) - np.frombuffer(base, one.dtype)
    signs = (step.view(f"<i{width}") >> (8 * width - 1)).view(step.dtype)
    step <<= one
    step ^= signs
    return memoryview(step).cast("B")


def sum_of(base: Buffer, folded: Buffer, width: int) -> Buffer:
    """The bytes whose :func:`difference` to ``base`` is ``folded``."""
    np = _numpy(len(folded))
    if np is None:
        lanes = _Lanes(width, len(folded) // width)
        return lanes.add(_long(base), lanes.unfold(_long(folded))).to_bytes(len(folded), "little")
    one = np.dtype(f"<u{width}").type(1)
    given = np.frombuffer(folded, one.dtype)
    step = given & one
    np.negative(step, out=step)
    step ^= given >> one
    step += np.frombuffer(base, one.dtype)
    return memoryview(step).cast("B")


def _long(data: Buffer) -> int:
    return int.from_bytes(data, "little")


class _Lanes:
    """Arithmetic on all numbers in one long integer, each in a lane of its own.

    Args:
        width: bytes of a lane.
        count: lanes.
    """

    def __init__(self, width: int, count: int) -> None:
        self._bits = 8 * width
        self._lowest = _long((b"\1" + bytes(width - 1)) * count)  # the lowest bit of each lane
        self._highest = self._lowest << (self._bits - 1)
        self._all = (1 << self._bits * count) - 1

    def subtract(self, left: int, right: int) -> int:
        """Each lane's difference: the highest bits are set apart so that no borrow crosses."""
        high = self._highest
        return ((left | high) - (right & ~high & self._all)) ^ ((left ^ ~right) & high)

    def add(self, left: int, right: int) -> int:
        """Each lane's sum, in the same way."""
        low = self._all ^ self._highest
        return ((left & low) + (right & low)) ^ ((left ^ right) & self._highest)

    def _spread(self, bits: int) -> int:
        """Lanes of ones where the lane's lowest bit is set, of zeros elsewhere."""
        return (bits << self._bits) - bits

    def fold(self, steps: int) -> int:
        """Zigzag: twice the number, all bits turned where it is negative."""
        negative = self._spread(steps >> (self._bits - 1) & self._lowest)
        return ((steps & ~self._highest & self._all) << 1) ^ negative

    def unfold(self, folded: int) -> int:
        """The opposite of :meth:`fold`."""
        negative = self._spread(folded & self._lowest)
        return ((folded & ~self._lowest) >> 1) ^ negative
