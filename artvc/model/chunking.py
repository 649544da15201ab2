"""Where files are cut: FastCDC 2020 behind one function, arrays at their borders, and the parameters of the format.

Theory.  A gear hash rolls over the bytes; a chunk ends where the masked hash is zero, so that an insertion moves
only the cuts near it.  Before the average size a stricter mask is used, after it a looser one (normalisation 2),
which narrows the spread of sizes.  Reference: Xia et al., "The Design of Fast Content-Defined Chunking for Data
Deduplication Based Storage Systems", IEEE TPDS 31 (2020).  The gear table is GEAR[i] = the first 8 bytes,
big-endian, of MD5(bytes([i]) * 64); table, masks and rules are frozen in ``docs/format-chunking.md``.

``pyfastcdc`` does the work where it is present and gives the cuts of the format's test vector at first use;
otherwise an identical version on numpy does it, 10 to 20 times slower.  A cut depends only on the bytes from its
chunk's start to its end, and where it lies on at most MAX_SIZE bytes from there, so a file may be cut in
segments: see :func:`cut`.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy

MIN_SIZE: Final = 16 * 1024
AVERAGE_SIZE: Final = 64 * 1024
MAX_SIZE: Final = 256 * 1024
WHOLE: Final = 64 * 1024  # a file smaller than this is one chunk
RULE: Final = "fastcdc-2020/16384/65536/262144/2"

# The masks that the FastCDC 2020 reference publishes for 18 and 14 one-bits (average 16 bits, plus and minus 2).
MASK_STRICT: Final = 0x0000D90707537000
MASK_LOOSE: Final = 0x0000D90313530000
WINDOW: Final = 48  # the masks use bits 0 to 47 of a hash that shifts by one bit a byte

SELF_TEST_BYTES: Final = 1 << 20
SELF_TEST_CUTS: Final = "8ea25535896002c2"

PIECE: Final = 256 * 1024  # an array is cut into pieces of this size from its start
LONE: Final = 512  # an array smaller than this lies in one chunk with what is around it
ARRAY_RULE: Final = "borders/262144/512"

Buffer = bytes | bytearray | memoryview
Cutter = Callable[[memoryview], list[int]]


def cut(buffer: Buffer, *, final: bool) -> list[int]:
    """Cut a buffer that starts where a chunk starts.

    Args:
        buffer: bytes of a file from some chunk's start on.
        final: whether the file ends with the buffer.

    Returns:
        The ends of the chunks, rising, as offsets into the buffer.  Not final: only the cuts that no byte after
        the buffer can move; the bytes behind the last one belong in front of the next buffer.
    """
    ends = _cutter()(memoryview(buffer))
    if not final and ends:
        # Every other cut was found by what lies before it; this one may only be where the buffer ends.
        ends.pop()
    return ends


def cut_whole(file: Buffer) -> list[int]:
    """The chunk ends of a whole file; one smaller than WHOLE is not cut, an empty one is one empty chunk."""
    return [len(file)] if len(file) < WHOLE else cut(file, final=True)


class Region(NamedTuple):
    """One array in a file.

    Attributes:
        name: what the file calls it; "" for the only one.
        start: its first byte.
        size: bytes.
        width: bytes of a number: 1, 2, 4 or 8.
    """

    name: str
    start: int
    size: int
    width: int


class Piece(NamedTuple):
    """A chunk of a file that holds arrays.

    Attributes:
        end: offset in the file of the byte behind it.
        width: bytes of a number in it; 1 for what lies between the arrays.
        array: number of the array in the list, -1 for what lies between.
        offset: of its first byte in the array.
    """

    end: int
    width: int
    array: int
    offset: int


def cut_arrays(arrays: Sequence[Region], size: int) -> Iterator[Piece]:
    """Cut a file at the borders of its arrays, and these into equal pieces from their start.

    No content decides: a header that grows or an array that comes between moves no other cut within an array, and two
    versions of an array can be compared piece by piece.

    Args:
        arrays: in order of their place, as :func:`artvc.store.containers.regions` gives them.
        size: of the file, bytes.
    """
    at = 0
    for number, array in enumerate(arrays):
        if array.size < LONE:
            continue
        yield from (Piece(end, 1, -1, 0) for end in _ends(at, array.start))
        at = array.start + array.size
        for end in _ends(array.start, at):
            yield Piece(end, array.width, number, max(0, end - array.start - 1) // PIECE * PIECE)
    yield from (Piece(end, 1, -1, 0) for end in _ends(at, size))


def _ends(start: int, stop: int) -> Iterator[int]:
    while start < stop:
        start = min(start + PIECE, stop)
        yield start


@functools.cache
def _cutter() -> Cutter:
    """The fastest cutter that gives the format's cuts on the test vector."""
    try:
        from pyfastcdc import FastCDC  # noqa: PLC0415 -- optional, and 27 ms that most commands need not pay
    except ImportError:
        return cut_with_numpy
    native = FastCDC(AVERAGE_SIZE, min_size=MIN_SIZE, max_size=MAX_SIZE, normalized_chunking=2)

    def cut_natively(view: memoryview) -> list[int]:
        end = 0
        return [end := end + chunk.length for chunk in native.cut_buf(view)]

    fits = FastCDC.__module__.startswith("pyfastcdc.cy") and _digest(cut_natively) == SELF_TEST_CUTS
    return cut_natively if fits else cut_with_numpy


def _digest(cutter: Cutter) -> str:
    """A fingerprint of a cutter's cuts on 1 MiB that SHAKE-128 expands from the rule's name."""
    import hashlib  # noqa: PLC0415 -- 3 ms that readers need not pay

    ends = cutter(memoryview(hashlib.shake_128(RULE.encode()).digest(SELF_TEST_BYTES)))
    return hashlib.sha256(" ".join(map(str, ends)).encode()).hexdigest()[:16]


def gear_table() -> list[int]:
    """The 256 numbers that a byte adds to the hash."""
    import hashlib  # noqa: PLC0415

    return [int.from_bytes(hashlib.md5(bytes([i]) * 64, usedforsecurity=False).digest()[:8], "big") for i in range(256)]


def cut_with_numpy(view: memoryview) -> list[int]:
    """All chunk ends of a whole buffer, by numpy; the same as pyfastcdc's (a property test says so)."""
    import numpy as np  # noqa: PLC0415 -- 100 ms that most commands need not pay

    gear = _numpy_gear()
    data = np.frombuffer(view, dtype=np.uint8)
    ends: list[int] = []
    start = 0
    while start < len(data):
        start += _first_cut(data[start : start + MAX_SIZE], gear)
        ends.append(start)
    return ends


@functools.cache
def _numpy_gear() -> "numpy.ndarray":
    import numpy as np  # noqa: PLC0415

    return np.array(gear_table(), dtype=np.uint64)


def _first_cut(data: "numpy.ndarray", gear: "numpy.ndarray") -> int:
    """The length of the first chunk of ``data`` (uint8, at most MAX_SIZE of them)."""
    if len(data) <= MIN_SIZE:
        return len(data)
    # The reference looks at pairs of bytes: both borders are rounded down to even.
    middle = min(AVERAGE_SIZE, len(data)) // 2 * 2
    end = len(data) // 2 * 2
    for low, high, mask in ((MIN_SIZE, middle, MASK_STRICT), (middle, end, MASK_LOOSE)):
        for block in range(low, high, 32 * 1024):
            stop = min(block + 32 * 1024, high)
            # The hash starts from nothing at MIN_SIZE, so bytes before it don't count even within the window.
            first = max(MIN_SIZE, block - WINDOW + 1)
            found = _masked_zero(gear[data[first:stop]], block - first, mask)
            if found is not None:
                return first + found
    return len(data)


def _masked_zero(gears: "numpy.ndarray", skip: int, mask: int) -> int | None:
    """The first position from ``skip`` on where the hash of the 48 bytes up to it has no bit of the mask."""
    import numpy as np  # noqa: PLC0415

    def joined(left: "numpy.ndarray", right: "numpy.ndarray", by: int) -> "numpy.ndarray":
        """Hashes of longer windows: those that end ``by`` bytes earlier, shifted, added to the later ones."""
        out = right.copy()
        if by < len(out):
            out[by:] += left[:-by] << np.uint64(by)
        return out

    hashes = gears
    for width in (1, 2, 4, 8):
        hashes = joined(hashes, hashes, width)
    sixteen = hashes
    hashes = joined(sixteen, joined(sixteen, sixteen, 16), 32)
    zero = np.flatnonzero((hashes[skip:] & np.uint64(mask)) == 0)
    return int(zero[0]) + skip if len(zero) else None
