"""Numbers as planes of bytes, and as differences to earlier numbers: what makes weights compressible.

Theory.  In floats of one tensor sign and exponent repeat while the low bits of the mantissa are noise.  Put apart, byte
by byte of significance, the first kind compresses and the second need not be tried.  Two versions of a tensor that was
trained on differ by little: as integers, the bit patterns of two near floats are near, so their difference, folded so
that small negative numbers are small too (zigzag), has its high bytes mostly zero.  All of it is arithmetic modulo
2^(8 * width) on bit patterns, so NaNs, infinities, negative zeros and denormals come back bit by bit.

Bytes behind the last whole number (the tail) stay as they are.  Numbers are read as little-endian whatever they are.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy

Buffer = bytes | bytearray | memoryview

WIDTHS: Final = (2, 4, 8)


def split(numbers: "numpy.ndarray", width: int) -> "list[numpy.ndarray]":
    """The planes of an array of unsigned integers: uint8 arrays of its length, least significant first."""
    import numpy as np  # noqa: PLC0415 -- 100 ms that only numeric data pay

    # Shifting and narrowing reads with stride one; a strided copy of single bytes takes twice as long.
    return [(numbers >> numbers.dtype.type(8 * k)).astype(np.uint8) for k in range(width)]


def join(planes: "list[numpy.ndarray]", width: int) -> "numpy.ndarray":
    """The array of which :func:`split` gives the planes."""
    import numpy as np  # noqa: PLC0415

    kind = np.dtype(f"<u{width}")
    numbers = planes[0].astype(kind)
    wide = np.empty_like(numbers)
    for k, plane in enumerate(planes[1:], 1):
        np.copyto(wide, plane)
        wide <<= kind.type(8 * k)
        numbers |= wide
    return numbers


def numbers_of(data: Buffer, width: int) -> "numpy.ndarray":
    """The whole numbers at the front of bytes, without a copy."""
    import numpy as np  # noqa: PLC0415

    return np.frombuffer(data, dtype=f"<u{width}", count=len(data) // width)


def difference(new: "numpy.ndarray", base: "numpy.ndarray") -> "numpy.ndarray":
    """What was added to the base modulo 2^n, small numbers of either sign as small ones."""
    width = new.dtype.itemsize
    step: numpy.ndarray = new - base
    signed = step.view(f"<i{width}")
    step = (step << step.dtype.type(1)) ^ (signed >> signed.dtype.type(8 * width - 1)).view(step.dtype)
    return step


def sum_of(base: "numpy.ndarray", folded: "numpy.ndarray") -> "numpy.ndarray":
    """The array of which :func:`difference` to ``base`` is ``folded``."""
    import numpy as np  # noqa: PLC0415

    one = folded.dtype.type(1)
    step: numpy.ndarray = (folded >> one) ^ (np.zeros_like(folded) - (folded & one))
    step += base
    return step
