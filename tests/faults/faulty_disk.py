"""Disks that die, fail or keep a log, for tests of what a repository looks like afterwards.

All of them count *operations*: the calls of the methods named in ``fsio.OPERATIONS``.  The numbering is that of one
process; a background thread that seals a pack may swap places with the main thread, so a number stands for "about
there" in scenarios with several packs.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from artvc.store import fsio
from artvc.store.fsio import Disk

ERRNOS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EROFS", "EMFILE", "EINTR")}


class Killed(BaseException):
    """The process is dead: nothing it would have done from here on happens."""


class PointDisk(Disk):
    """A disk with a numbered point at each operation; the plain one only counts."""

    def __init__(self, *, sync: bool = True) -> None:
        super().__init__(sync=sync)
        self.log: list[str] = []
        self.mutex = threading.RLock()
        self._fds: dict[int, tuple[int, ...]] = {}  # inode and device of what is open

    @property
    def count(self) -> int:
        return len(self.log)

    def perform(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Do one operation; subclasses interfere here."""
        with self.mutex:
            self.log.append(name)
            return self.really(name, action, args)

    def really(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        result = action(self, *args)
        if name in ("open_new", "open_append"):
            self._fds[result] = os.fstat(result)[1:3]
        elif name == "close":
            self._fds.pop(args[0], None)
        return result

    def bury(self) -> None:
        """Close what the dead process left open, as the kernel does."""
        for fd, file in self._fds.items():
            with contextlib.suppress(OSError):  # what Python's file objects were given, they close
                if os.fstat(fd)[1:3] == file:
                    os.close(fd)
        self._fds.clear()


def _point(name: str) -> Callable[..., Any]:
    action = getattr(Disk, name).__wrapped__  # below the translation of OSError

    def method(self: PointDisk, *args: Any) -> Any:
        return self.perform(name, action, args)

    method.__name__ = name
    return fsio._translated(method)


for _name in fsio.OPERATIONS:
    setattr(PointDisk, _name, _point(_name))


@dataclass(frozen=True)
class Cut:
    """Where a process dies.

    Attributes:
        at: number of the operation, from 0.
        part: "before" or "after" it; inside a write "half" or "all-1" of its bytes are written.
    """

    at: int
    part: str


class DyingDisk(PointDisk):
    """Dies at one operation; every later one raises Killed as well, clean-up included."""

    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self.cut = cut
        self.dead = False

    def perform(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self.mutex:
            if self.dead:
                raise Killed
            here = self.count == self.cut.at
            self.log.append(name)
            if not here:
                return self.really(name, action, args)
            self.dead = True
            if self.cut.part == "after":
                self.really(name, action, args)
            elif self.cut.part != "before" and name == "write":
                data = joined(args[1])
                size = len(data) // 2 if self.cut.part == "half" else len(data) - 1
                self.really(name, action, (args[0], [data[: max(size, 0)]]))
            raise Killed


class FailingDisk(PointDisk):
    """Fails at one operation with an error of the operating system, once or from then on.

    A failing write writes half of its bytes first, as a disk that fills up does.
    """

    def __init__(self, at: int, error: int, *, forever: bool) -> None:
        super().__init__()
        self.at = at
        self.error = error
        self.forever = forever
        self.hit = False

    def perform(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self.mutex:
            number = self.count
            self.log.append(name)
            if number != self.at and not (self.forever and number > self.at):
                return self.really(name, action, args)
            self.hit = True
            if name == "close":  # the descriptor is gone in any case
                self.really(name, action, args)
            elif name == "unlink" and self.forever and self.error in fsio.FULL:
                return self.really(name, action, args)  # a full disk can still delete
            elif name == "write" and number == self.at:
                data = joined(args[1])
                self.really(name, action, (args[0], [data[: len(data) // 2]]))
            raise OSError(self.error, os.strerror(self.error))


class ReadOnlyDisk(PointDisk):
    """Every operation is refused, as on a read-only medium; counts the attempts."""

    def perform(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self.mutex:
            self.log.append(name)
            if name == "close":
                return self.really(name, action, args)
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))


class Step:
    """One recorded operation: its name, paths (relative to the disk's root), file number, bytes and size."""

    __slots__ = ("data", "file", "name", "paths", "size")

    def __init__(self, name: str, paths: tuple[str, ...], file: int | None, data: bytes, size: int) -> None:
        self.size = size
        self.name = name
        self.paths = paths
        self.file = file
        self.data = data

    def __repr__(self) -> str:
        return f"{self.name}{self.paths}#{self.file}+{len(self.data)}"


class RecordingDisk(PointDisk):
    """Keeps every operation with its data, to replay what a power cut could leave.

    Args:
        root: all paths are below it.
    """

    def __init__(self, root: str) -> None:
        super().__init__(sync=False)
        self.root = root
        self.steps: list[Step] = []
        self._files: dict[int, int] = {}
        self._next = 0

    def perform(self, name: str, action: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self.mutex:
            self.log.append(name)
            data = joined(args[1]) if name == "write" else b""
            result = self.really(name, action, args)
            paths = tuple(os.path.relpath(arg, self.root) for arg in args if isinstance(arg, str))
            file = None
            if name in ("open_new", "open_append"):
                file = self._files[result] = self._next
                self._next += 1
            elif args and isinstance(args[0], int):
                file = self._files[args[0]]
            size = args[1] if name in ("reserve", "truncate") else 0
            self.steps.append(Step(name, paths, file, data, size))
            return result


def joined(buffers: Any) -> bytes:
    """The bytes of the buffers of a write."""
    return b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers if len(buffer))
