"""A git repository on this machine: where its parts lie, what it is made of, who may read what is written.

Nothing that the repository says is run: no hooks, no programs of its configuration.
"""

import contextlib
import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dulwich.config import ConfigFile

from artvc.errors import Damaged, NotFound, RemoteDenied, RemoteError, StorageError, UnsupportedFormat
from artvc.store.fsio import Buffer, Disk

CONFIG_BYTES: Final = 1024 * 1024
_POINTER_BYTES: Final = 8192
_ALTERNATES: Final = 64  # object directories that a repository may borrow from, all in all
_DENIED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
# What a repository may have beside the oldest format without being another thing to who adds packs and refs.
_EXTENSIONS: Final = {b"noop", b"partialclone", b"preciousobjects", b"relativeworktrees", b"worktreeconfig"}
_ESCAPE: Final = re.compile(rb"\\([0-7]{3}|.)")  # git writes other signs as numbers
_MODE: Final = re.compile(rb"[0-7]{3,6}\Z")
_SHARED_WORDS: Final = {
    **dict.fromkeys((b"umask", b"false", b"no", b"off", b"0", b""), 0),
    **dict.fromkeys((b"group", b"true", b"yes", b"on", b"1"), 0o660),
    **dict.fromkeys((b"all", b"world", b"everybody", b"2"), 0o664),
}


@dataclass(frozen=True, slots=True)
class Sharing:
    """What ``core.sharedRepository`` asks for.

    Attributes:
        mode: bits that files get; 0: as the umask has it.
        exact: they get no others.
    """

    mode: int = 0
    exact: bool = False

    @staticmethod
    def parse(value: bytes) -> "Sharing":
        """The meaning of a value.  Raises Damaged for one that git refuses."""
        word = value.strip().lower()
        if word in _SHARED_WORDS:
            return Sharing(_SHARED_WORDS[word])
        mode = int(word, 8) if _MODE.match(word) else 0
        if mode & 0o600 != 0o600:
            raise Damaged(f"core.sharedRepository = {value.decode(errors='replace')} means nothing")
        return Sharing(mode & 0o666, exact=True)

    def applied(self, mode: int, *, directory: bool) -> int:
        """The permissions of a file that has ``mode`` by itself."""
        if not self.mode:
            return mode
        bits = self.mode if mode & stat.S_IWUSR else self.mode & ~0o222
        bits |= (bits & 0o444) >> 2 if mode & stat.S_IXUSR else 0
        mode = bits | (0 if self.exact else mode)
        if not directory:
            return mode
        return mode | (mode & 0o444) >> 2 | (stat.S_ISGID if mode & 0o060 else 0)


class GitDirectory:
    """Paths and rules of a repository.

    Attributes:
        path: of what holds its refs and objects; of a linked working tree, the directory of the main one.
        objects: its object directory, then those that it borrows from.

    Raises:
        NotFound: no repository is there.
        UnsupportedFormat: it is one that artvc can't write.
        RemoteDenied, RemoteError: it can't be read.
    """

    def __init__(self, root: Path, disk: Disk) -> None:
        self.disk = disk
        self.name = str(root)
        with self.told():
            self.path = self._common(self._find(root))
            self._sharing = self._configured()
            self.objects = self._borrowed(os.path.join(self.path, "objects"))

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Failures of the disk there are the remote's."""
        try:
            yield
        except StorageError as exc:
            cause = exc.__cause__
            denied = isinstance(cause, OSError) and cause.errno in _DENIED
            raise (RemoteDenied if denied else RemoteError)(f"{self.name}: {exc}") from exc
        except FileNotFoundError as exc:
            raise RemoteError(f"{exc.filename} is missing", hint="if somebody moved it just now, try again") from exc
        except OSError as exc:
            kind = RemoteDenied if exc.errno in _DENIED else RemoteError
            raise kind(f"{self.name}: cannot read {exc.filename}: {exc.strerror}") from exc

    # -- writing ------------------------------------------------------------------------------------------

    def temporary(self) -> tuple[str, int]:
        """A new file where git's own gc looks for what a crash left over: its path and descriptor."""
        directory = os.path.join(self.objects[0], "pack")
        self.make_directories(directory)
        while True:
            path = os.path.join(directory, f"tmp_artvc_{os.urandom(8).hex()}")
            with contextlib.suppress(FileExistsError):
                return path, self.disk.open_new(path)

    def share(self, path: str, *, writable: bool = True) -> None:
        """Give a file the permissions that the repository wants; its owner can't write it where not ``writable``."""
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        wanted = self._sharing.applied(mode if writable else mode & ~0o222, directory=False)
        if wanted != mode:
            os.chmod(path, wanted)

    def make_directories(self, path: str) -> None:
        """Make a directory of the repository and those above it, durably."""
        if os.path.isdir(path):
            return
        self.make_directories(os.path.dirname(path))
        try:
            self.disk.mkdir(path)
        except FileExistsError:
            return
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        wanted = self._sharing.applied(mode, directory=True)
        if wanted != mode:
            os.chmod(path, wanted)
        self.disk.fsync_dir(os.path.dirname(path))

    def write_temporary(self, data: Buffer) -> str:
        """A durable file under a name that means nothing yet; its path."""
        path, fd = self.temporary()
        try:
            try:
                self.disk.write(fd, [data])
                self.disk.fsync(fd)
            finally:
                self.disk.close(fd)
            self.share(path)
        except BaseException:
            self.disk.discard(path)
            raise
        return path

    # -- what is there ------------------------------------------------------------------------------------

    def _find(self, root: Path) -> str:
        """The directory with ``HEAD``, as git looks for it behind a path."""
        for candidate in (os.path.join(root, ".git"), str(root), f"{root}.git"):
            found = self._pointed(candidate)
            if _is_git_directory(found):
                return found
        if os.path.lexists(root):
            raise NotFound(
                f"{root} is no git repository", hint=f"git init --bare {root} makes one in an empty directory"
            )
        raise NotFound(f"there is no git repository {root}", hint=f"mount its disk, or make it: git init --bare {root}")

    def _pointed(self, path: str) -> str:
        """Where a ``.git`` that is a file leads; the path itself for any other."""
        if not os.path.isfile(path):
            return path
        text = self.disk.read_file(os.path.realpath(path), limit=_POINTER_BYTES)
        if not text.startswith(b"gitdir: "):
            return path
        return os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(text[8:].rstrip(b"\r\n"))))

    def _common(self, found: str) -> str:
        try:
            text = self.disk.read_file(os.path.join(found, "commondir"), limit=_POINTER_BYTES)
        except FileNotFoundError:
            return found
        return os.path.normpath(os.path.join(found, os.fsdecode(text.rstrip(b"\r\n"))))

    def _configured(self) -> Sharing:
        """Read the configuration.  Raises UnsupportedFormat where it says that this is not what it looks like."""
        path = os.path.join(self.path, "config")
        try:
            text = self.disk.read_file(os.path.realpath(path), limit=CONFIG_BYTES)
            config = ConfigFile.from_file(io.BytesIO(text), expand_includes=False)
        except FileNotFoundError:
            return Sharing()
        except ValueError as exc:
            raise Damaged(f"{path} is malformed: {exc}") from exc
        values = {
            (section[0].lower(), name.lower()): config.get(section, name)
            for section in config.sections()
            if len(section) == 1
            for name, _ in config.items(section)
        }
        extensions = {name: value.lower() for (section, name), value in values.items() if section == b"extensions"}
        version = values.get((b"core", b"repositoryformatversion"), b"0")
        if extensions.pop(b"objectformat", b"sha1") != b"sha1":
            raise UnsupportedFormat(
                f"{self.name} is a git repository with SHA-256", hint="make one with git init --object-format=sha1"
            )
        if extensions.pop(b"refstorage", b"files") != b"files" or os.path.isdir(os.path.join(self.path, "reftable")):
            raise UnsupportedFormat(
                f"{self.name} is a git repository that keeps its refs in a reftable",
                hint="git refs migrate --ref-format=files there, or git init --ref-format=files a new one",
            )
        unknown = sorted(extensions.keys() - _EXTENSIONS) if version != b"0" else []
        if version not in (b"0", b"1") or unknown:
            what = f"extension {unknown[0].decode(errors='replace')}" if unknown else "format"
            raise UnsupportedFormat(f"{self.name} is a git repository of an unknown {what}", hint="try a newer artvc")
        return Sharing.parse(values.get((b"core", b"sharedrepository"), b""))

    def _borrowed(self, own: str) -> list[str]:
        """An object directory and all that it borrows from."""
        found = [own]
        for directory in found:
            try:
                text = self.disk.read_file(os.path.join(directory, "info", "alternates"), limit=CONFIG_BYTES)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for line in text.splitlines():
                if not line or line.startswith(b"#"):
                    continue
                path = os.path.normpath(os.path.join(directory, os.fsdecode(_unquoted(line))))
                if path not in found:
                    found.append(path)
            if len(found) > _ALTERNATES:
                raise Damaged(f"{self.name} borrows from more than {_ALTERNATES} repositories")
        return found


def _is_git_directory(path: str) -> bool:
    return os.path.lexists(os.path.join(path, "HEAD")) and (
        os.path.lexists(os.path.join(path, "commondir"))
        or all(os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs"))
    )


def _unquoted(line: bytes) -> bytes:
    """A line of the alternates, which git may have quoted as C does."""
    if len(line) < 2 or not (line.startswith(b'"') and line.endswith(b'"')):
        return line
    return _ESCAPE.sub(lambda one: bytes([int(one[1], 8) & 255]) if len(one[1]) == 3 else one[1], line[1:-1])
