"""Three calls of the C library that Python's ``os`` lacks; each is a wish that other systems may leave unheard.

``reserve`` and ``start_writing`` only make things faster, so whatever goes wrong with them is passed over: the
write or sync that follows meets the same trouble and reports it.
"""

import functools
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ctypes

_SYNC_FILE_RANGE_WRITE: Final = 2
_LINUX: Final = sys.platform == "linux" and sys.maxsize > 1 << 32  # offsets are passed as 64 bits


@functools.cache
def _c_library() -> "ctypes.CDLL":
    import ctypes  # noqa: PLC0415 -- 1 ms that most commands need not pay

    library = ctypes.CDLL(None, use_errno=True)
    library.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    library.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    library.syncfs.argtypes = [ctypes.c_int]
    return library


def reserve(fd: int, size: int) -> None:
    """Ask for the blocks of a file that will have ``size`` bytes, in one go; the file grows to that size.

    One large request costs half of what many small ones do.  Not ``os.posix_fallocate``, which writes a byte into
    each block where the file system can't do better.
    """
    if _LINUX:
        _c_library().fallocate(fd, 0, 0, size)


def start_writing(fd: int, offset: int, size: int) -> None:
    """Let the disk begin with bytes that will be synced later, so that the sync finds little left to do."""
    if _LINUX:
        _c_library().sync_file_range(fd, offset, size, _SYNC_FILE_RANGE_WRITE)


def sync_file_system(fd: int) -> None:
    """Make all of the file system durable that ``fd`` is on.  Raises OSError."""
    if not _LINUX:
        os.sync()
    elif _c_library().syncfs(fd) != 0:
        import ctypes  # noqa: PLC0415

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
