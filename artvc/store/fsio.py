"""The one door to the repository's files: every write, sync, rename, link and unlink below ``.artvc`` is here.

That is what makes exhaustive fault injection possible: a test subclasses :class:`Disk`, counts its operations and
fails, kills or forgets at each of them (``tests/faults``).  Rules kept here and nowhere else:

* A file becomes visible under its name only after it was synced: temporary name, ``fsync``, ``rename`` or
  ``link``, then ``fsync`` of the directory.
* After a failed ``fsync`` the file is given up; it is never synced a second time (the kernel forgets the error).
* Files of the store never get descriptors 0 to 2, into which a stray ``print`` could write.
* The operating system's errors come out as StorageFull or StorageError, naming file and reason.
"""

import contextlib
import errno
import fcntl
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, ParamSpec, TypeVar

from artvc.errors import StorageError, StorageFull
from artvc.store import kernel

P = ParamSpec("P")
R = TypeVar("R")
Buffer = bytes | bytearray | memoryview

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_IOV: Final = min(1024, os.sysconf("SC_IOV_MAX"))
_FIRST_FD: Final = 3

# The operations that tests may interrupt; each is a method of Disk.
OPERATIONS: Final = (
    "open_new",
    "open_append",
    "write",
    "fsync",
    "close",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "fsync_dir",
    "truncate",
    "reserve",
)


def storage_error(exc: OSError, what: str) -> StorageError | StorageFull:
    """The failure that an operating-system error on the repository's disk amounts to."""
    if exc.errno in FULL:
        return StorageFull(f"{what}: {exc.strerror}", hint=_free_space(exc.filename))
    return StorageError(f"{what}: {exc.strerror or exc}")


def _free_space(path: object) -> str | None:
    """What is free where a write failed, as a hint; the write itself says nothing of it."""
    if not isinstance(path, str):
        return None
    with contextlib.suppress(OSError):
        found = os.statvfs(os.path.dirname(path) or ".")
        return f"{found.f_bavail * found.f_frsize} bytes and {found.f_favail} inodes are free there"
    return None


def _translated(method: Callable[P, R]) -> Callable[P, R]:
    """Turn OSError into the error family, but for the two answers that callers decide by."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError as exc:
            target = next((arg for arg in args[1:] if isinstance(arg, str)), None)
            if exc.filename is None and target is not None:
                exc.filename = target
            raise storage_error(exc, f"cannot {method.__name__} {target or 'a file of the repository'}") from exc

    return call


class Disk:
    """The real disk.

    Args:
        sync: False leaves out every fsync (tests, bulk imports); what is acknowledged may then be lost.
    """

    def __init__(self, *, sync: bool = True) -> None:
        self.sync = sync

    # -- single operations: the points at which tests interfere -------------------------------------------

    @_translated
    def open_new(self, path: str) -> int:
        """Create a file that must not exist and open it for reading and writing."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return _safe(os.open(path, flags, 0o666))

    @_translated
    def open_append(self, path: str) -> int:
        """Open a file, new or not, whose writes go to its end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return _safe(os.open(path, flags, 0o666))

    @_translated
    def write(self, fd: int, buffers: Sequence[Buffer]) -> int:
        """Write all buffers at the file's position; returns the number of bytes."""
        views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        total, first = 0, 0
        while first < len(views):
            done = os.writev(fd, views[first : first + _IOV])
            total += done
            while first < len(views) and done >= len(views[first]):
                done -= len(views[first])
                first += 1
            if done:
                views[first] = views[first][done:]
        return total

    @_translated
    def fsync(self, fd: int) -> None:
        """Make a file's bytes durable.  After an error the file must be thrown away."""
        if not self.sync:
            return
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        else:
            os.fsync(fd)

    @_translated
    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)

    @_translated
    def rename(self, old: str, new: str) -> None:
        """Give a file its name, replacing what has it."""
        os.rename(old, new)  # noqa: TID251 -- this is the door

    @_translated
    def link(self, old: str, new: str) -> None:
        """Give a file a second name; FileExistsError if it is taken.  The atomic step of every commit."""
        os.link(old, new, follow_symlinks=False)

    @_translated
    def unlink(self, path: str) -> None:
        """Remove a name."""
        os.unlink(path)

    @_translated
    def mkdir(self, path: str) -> None:
        """Make a directory; FileExistsError if it is there."""
        os.mkdir(path)

    @_translated
    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    @_translated
    def fsync_dir(self, path: str) -> None:
        """Make the names in a directory durable."""
        if not self.sync:
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @_translated
    def truncate(self, fd: int, size: int) -> None:
        """Set a file's length."""
        os.ftruncate(fd, size)

    @_translated
    def reserve(self, fd: int, size: int) -> None:
        """Ask for the blocks of a file that will have ``size`` bytes, in one go; a wish that may be ignored.

        The file grows to ``size``: whoever writes less cuts it with :meth:`truncate`.
        """
        kernel.reserve(fd, size)

    def start_writing(self, fd: int, offset: int, size: int) -> None:
        """Let the disk begin with bytes that :meth:`fsync` will make durable; promises nothing."""
        if self.sync:
            kernel.start_writing(fd, offset, size)

    # -- reading ------------------------------------------------------------------------------------------

    @_translated
    def open_read(self, path: str) -> int:
        """Open a file for reading; FileNotFoundError if it is not there."""
        return _safe(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))

    @_translated
    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end of the file."""
        data = os.pread(fd, size, offset)
        while len(data) < size:
            more = os.pread(fd, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    @_translated
    def read_into(self, fd: int, buffer: memoryview, offset: int) -> int:
        """Fill a buffer from ``offset``; returns the bytes read, fewer than it holds only at the end of the file."""
        total = 0
        while total < len(buffer):
            got = os.preadv(fd, [buffer[total:]], offset + total)
            if not got:
                break
            total += got
        return total

    @_translated
    def size(self, fd: int) -> int:
        """The length of an open file."""
        return os.fstat(fd).st_size

    @_translated
    def listdir(self, path: str) -> list[str]:
        """The names in a directory, in no order."""
        return os.listdir(path)

    def read_file(self, path: str, *, limit: int) -> bytes:
        """A whole file.  Raises FileNotFoundError, StorageError (also for a file over ``limit`` bytes)."""
        fd = self.open_read(path)
        try:
            size = self.size(fd)
            if size > limit:
                raise StorageError(f"{path} has {size} bytes, more than the {limit} that it may have")
            return self.read_at(fd, size, 0)
        finally:
            os.close(fd)

    # -- compositions -------------------------------------------------------------------------------------

    def ensure_dir(self, path: str) -> None:
        """Make a directory unless it is there; durable."""
        with contextlib.suppress(FileExistsError):
            self.mkdir(path)
            self.fsync_dir(os.path.dirname(path))

    def write_file(self, path: str, data: Buffer | Iterable[Buffer], *, tmp: str, durable: bool) -> None:
        """Replace a file as a whole: readers see the old or the new bytes.

        Args:
            path: the file.
            data: its new bytes, or pieces of them.
            tmp: directory on the same file system for the temporary file.
            durable: whether it must survive power loss on return.
        """
        temporary, fd = self.open_temporary(tmp)
        try:
            try:
                for piece in [data] if isinstance(data, Buffer) else data:
                    self.write(fd, [piece])
                if durable:
                    self.fsync(fd)
            finally:
                self.close(fd)
            self.rename(temporary, path)
        except BaseException:
            self.discard(temporary)
            raise
        if durable:
            self.fsync_dir(os.path.dirname(path))

    def create_file(self, path: str, data: Buffer, *, tmp: str) -> None:
        """Create a durable file under a name that nobody has: FileExistsError if somebody was first.

        ``link`` decides, not locks: it is atomic on every file system that has it, NFS included.
        """
        temporary, fd = self.open_temporary(tmp)
        try:
            try:
                self.write(fd, [data])
                self.fsync(fd)
            finally:
                self.close(fd)
            self.link(temporary, path)
        finally:
            self.discard(temporary)
        self.fsync_dir(os.path.dirname(path))

    def open_temporary(self, tmp: str) -> tuple[str, int]:
        """A new file with a name of its own in ``tmp``: its path and descriptor."""
        if not os.path.isdir(tmp):  # tools that copy repositories leave out empty directories
            self.ensure_dir(tmp)
        while True:
            path = os.path.join(tmp, os.urandom(8).hex())
            with contextlib.suppress(FileExistsError):
                return path, self.open_new(path)

    def discard(self, path: str) -> None:
        """Remove a file if that is possible; what stays is garbage for gc."""
        with contextlib.suppress(OSError, StorageError, StorageFull):
            self.unlink(path)

    def hold(self, fd: int) -> bool:
        """Take the advisory lock of an open file until that is closed; False, at once, where another process has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            return exc.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True

    @contextlib.contextmanager
    def lock(self, path: str, *, exclusive: bool) -> Iterator[bool]:
        """Hold an advisory lock, as politeness: yields whether it was had.

        Correctness never depends on it (flock lies on some network file systems); the kernel drops it when the
        process ends, so there is nothing stale to remove.
        """
        try:
            fd = _safe(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
        except OSError:
            yield False
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)


def _safe(fd: int) -> int:
    """The same file under a descriptor above 2: with stdout closed, a print would land in our file."""
    if fd >= _FIRST_FD:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
    finally:
        os.close(fd)
