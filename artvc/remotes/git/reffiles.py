"""The refs of a git repository on this machine: files below ``refs/`` and the file ``packed-refs``.

What reads and writes here at the same time may be git.  So a loose ref is looked at before ``packed-refs``, for git
packs a ref before it removes the file; and a ref changes only under ``<ref>.lock``, made exclusively, as git does.

Such a lock is a file, and stays where its owner is killed.  Git's own then have to be removed by hand.  Ours say who
made them and are held by a lock of the kernel besides: one whose owner is gone is taken over by the next who comes.
"""

import contextlib
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

from artvc.errors import Damaged, RemoteError, StorageError
from artvc.remotes.git.gitdir import GitDirectory
from artvc.remotes.git.wire import Update

PACKED_BYTES: Final = 256 * 1024 * 1024
_REF_BYTES: Final = 4096
_VALUE = re.compile(rb"([0-9a-f]{40})\s*\Z")
_PACKED_LINE = re.compile(rb"([0-9a-f]{40}) (\S+)\Z")
_OWNER = re.compile(rb"artvc ([0-9]+) (\S+)\n\Z")
_FOREIGN: Final = 600  # seconds after which a lock that nobody holds, of a process that can't be asked, is left over
_TRIES: Final = 200
_PAUSE: Final = 0.02  # seconds, at the start; grows to four times that

# The kernel's lock may do nothing, and then says nothing of other threads of this process either.
_mine: set[str] = set()
_guard = threading.Lock()


class RefFiles:
    """The refs of a repository.

    Args:
        home: the repository.
    """

    def __init__(self, home: GitDirectory) -> None:
        self._home = home
        self._disk = home.disk

    def listed(self, *prefixes: bytes) -> dict[bytes, bytes]:
        """All refs whose names begin with one of these, sorted, with their values as hex digits.

        Symbolic refs and damaged files are left out: they are not ours, or cost no more than what they refer to.
        """
        with self._home.told():
            loose = {name: value for prefix in prefixes for name, value in self._loose(prefix).items()}
            packed = self._packed()
        found = {}
        for line in packed.splitlines():
            if (match := _PACKED_LINE.match(line)) and match[2].startswith(prefixes):
                found[match[2]] = match[1]
        return dict(sorted((found | loose).items()))

    def read(self, name: bytes) -> bytes | None:
        """The value of a ref.  Raises Damaged for one that has none, or is a symbolic ref."""
        with self._home.told(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            value = self._value(self._path(name))
            if value is None:
                raise Damaged(f"{self._path(name)} is no ref with a value", hint="git update-ref -d removes it")
            return value
        with self._home.told():
            packed = self._packed()
        end = packed.find(b" " + name + b"\n")
        return packed[end - 40 : end] if end >= 40 else None

    def apply(self, edits: Sequence[Update]) -> bool:
        """Make changes, durably; False, and nothing is changed, where one of them finds another value than ``old``.

        All of them are checked under their locks before the first is made.  A crash in between leaves some of them
        made, as with git itself.

        Raises:
            RemoteError: somebody keeps a lock, or a name is in the way.
            Damaged: a file there is no ref.
        """
        with self._home.told(), contextlib.ExitStack() as locks:
            for name in sorted(edit.ref for edit in edits):
                locks.enter_context(self._locked(self._path(name)))
            gone = [edit.ref for edit in edits if edit.new is None]
            if gone:
                locks.enter_context(self._locked(os.path.join(self._home.path, "packed-refs")))
            if any(self.read(edit.ref) != edit.old for edit in edits):
                return False
            for edit in edits:
                if edit.new is not None and edit.new != edit.old:
                    self._check_free(edit.ref)
                    self._replace(self._path(edit.ref), edit.new + b"\n")
            self._remove(gone)
        return True

    # -- files --------------------------------------------------------------------------------------------

    def _path(self, name: bytes) -> str:
        return os.path.join(self._home.path, os.fsdecode(name))

    def _packed(self) -> bytes:
        try:
            return self._disk.read_file(os.path.join(self._home.path, "packed-refs"), limit=PACKED_BYTES)
        except FileNotFoundError:
            return b""

    def _value(self, path: str) -> bytes | None:
        """What a loose ref says; None where it has no value.  Raises FileNotFoundError, NotADirectoryError."""
        if os.path.isdir(path):
            raise FileNotFoundError(path)
        if not os.path.isfile(path):
            os.lstat(path)
            return None
        match = _VALUE.match(self._disk.read_file(path, limit=_REF_BYTES))
        return match[1] if match else None

    def _loose(self, prefix: bytes) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        base = os.fsencode(self._home.path)
        for directory, below, names in os.walk(os.path.join(base, prefix.rpartition(b"/")[0])):
            above = os.path.relpath(directory, base) + b"/"
            below[:] = [name for name in below if _meet(above + name + b"/", prefix)]
            for ref in (above + name for name in names):
                if ref.startswith(prefix) and not ref.endswith(b".lock"):
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        value = self._value(self._path(ref))
                        if value is not None:
                            found[ref] = value
        return found

    def _check_free(self, name: bytes) -> None:
        """A name can't be a ref and a directory of refs."""
        packed, above = self._packed(), name.rpartition(b"/")[0]
        taken = b" " + name + b"/" in packed
        while above and not taken:
            taken = b" " + above + b"\n" in packed
            above = above.rpartition(b"/")[0]
        if taken:
            raise RemoteError(
                f"{self._home.name}: a ref is in the way of {name.decode()}", hint="git update-ref -d removes it"
            )

    def _replace(self, path: str, data: bytes) -> None:
        temporary = self._home.write_temporary(data)
        try:
            with contextlib.suppress(StorageError, FileNotFoundError, OSError):
                if os.path.isdir(path):  # git leaves empty directories where refs were
                    self._disk.rmdir(path)
            self._disk.rename(temporary, path)
        except BaseException:
            self._disk.discard(temporary)
            raise
        self._disk.fsync_dir(os.path.dirname(path))

    def _remove(self, names: Sequence[bytes]) -> None:
        """Remove refs; from ``packed-refs`` first, so that what was packed once does not come back in between."""
        if not names:
            return
        packed, kept, dropping = self._packed(), [], False
        for line in packed.splitlines(keepends=True):
            if line.startswith(b"^") and dropping:
                continue
            match = _PACKED_LINE.match(line.rstrip(b"\n"))
            dropping = match is not None and match[2] in names
            if not dropping:
                kept.append(line)
        if (rest := b"".join(kept)) != packed:
            self._replace(os.path.join(self._home.path, "packed-refs"), rest)
        for name in names:
            path = self._path(name)
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(path)
                self._disk.fsync_dir(os.path.dirname(path))

    # -- locks --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, target: str) -> Iterator[None]:
        """Be the only one who changes a file."""
        path = target + ".lock"
        fd = self._wait(path)
        try:
            try:
                yield
            finally:
                self._disk.discard(path)
        finally:
            os.close(fd)
            with _guard:
                _mine.discard(path)

    def _wait(self, path: str) -> int:
        for attempt in range(_TRIES):
            self._home.make_directories(os.path.dirname(path))
            fd = self._take(path)
            if fd is not None:
                return fd
            time.sleep(random.uniform(0.5, 1) * _PAUSE * min(4, 1 + attempt / 10))  # noqa: S311
        raise RemoteError(
            f"{path} is there: something else changes that ref, or a git that changed it was killed",
            hint="try again; if no git is at work there, remove the file",
        )

    def _take(self, path: str) -> int | None:
        """Make a lock, held; None where it is another's, or was left over and is gone now."""
        with _guard:
            if path in _mine:
                return None
            _mine.add(path)
        fd = None
        try:
            fd = self._make(path)
        finally:
            if fd is None:
                with _guard:
                    _mine.discard(path)
        return fd

    def _make(self, path: str) -> int | None:
        if os.path.lexists(path):
            self._clear(path)
            return None
        owner = f"artvc {os.getpid()} {_host()}\n".encode()
        temporary, fd = self._home.temporary()
        try:
            self._disk.write(fd, [owner])
            self._disk.hold(fd)
            try:
                self._disk.link(temporary, path)
            except StorageError:  # a file system without links
                new = self._disk.open_new(path)
                os.close(fd)
                fd = new
                try:
                    self._disk.write(fd, [owner])
                    self._disk.hold(fd)
                except BaseException:
                    self._disk.discard(path)
                    raise
        except (FileExistsError, FileNotFoundError):  # somebody was first; git removed an empty directory
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        finally:
            self._disk.discard(temporary)
        return fd

    def _clear(self, path: str) -> None:
        """Remove a lock whose owner is gone.

        Two may find that at once, and one of them may already have made a new lock when the other removes what it
        takes for the old one.  So who removes a lock holds another, named after the one that is to go.
        """
        found = self._left_over(path)
        if found is None:
            return
        with self._locked(f"{path.removesuffix('.lock')}.{found[0]:x}-{found[1]:x}"):
            if self._left_over(path) == found:
                self._disk.discard(path)

    def _left_over(self, path: str) -> tuple[int, int] | None:
        """Inode and time of a lock that an artvc made which is gone; None of any other."""
        try:
            fd = self._disk.open_read(path)
        except FileNotFoundError:
            return None
        try:
            owner = _OWNER.match(self._disk.read_at(fd, _REF_BYTES, 0))
            if owner is None or not self._disk.hold(fd):
                return None
            found = os.fstat(fd)
        finally:
            os.close(fd)
        gone = owner[2] == _host().encode() and not _alive(int(owner[1]))
        if gone or self._now() - found.st_mtime > _FOREIGN:
            return found.st_ino, found.st_mtime_ns
        return None

    def _now(self) -> float:
        """The time by the clock of that file system."""
        path, fd = self._home.temporary()
        try:
            return os.fstat(fd).st_mtime
        finally:
            os.close(fd)
            self._disk.discard(path)


def _meet(directory: bytes, prefix: bytes) -> bool:
    """Whether names below a directory may begin with a prefix."""
    return directory.startswith(prefix) or prefix.startswith(directory)


def _host() -> str:
    return "".join(socket.gethostname().split()) or "localhost"


def _alive(process: int) -> bool:
    """Whether another process runs; what this one has locked, it knows."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
