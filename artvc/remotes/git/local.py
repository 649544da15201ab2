"""A git repository on this machine, offered as a server over the network is.

No git and no server runs: packs and refs are written as git writes them (:mod:`packfiles`, :mod:`reffiles`).  So what a
server would do besides is not done: no hooks, no ``receive.*`` settings, no gc afterwards.
"""

import hashlib
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from artvc.errors import Damaged, NotFound, RemoteError
from artvc.model.ids import Id
from artvc.remotes.git.gitdir import GitDirectory
from artvc.remotes.git.layout import DATA_LIMITS, ROOTS, pack_blob_id
from artvc.remotes.git.objects import Commit, Entry, GitObject, Limits, padding, parse_commit, parse_tree
from artvc.remotes.git.packfiles import ObjectFiles
from artvc.remotes.git.reffiles import RefFiles
from artvc.remotes.git.remote import GitRemote
from artvc.remotes.git.wire import Choose, Fetched, Moved, Update
from artvc.store.fsio import Disk

_PADDING: Final = frozenset(one.id for one in padding(0))  # what only a server needs


class LocalWire:
    """The repository at a path; as :class:`artvc.remotes.git.wire.Wire`.

    Args:
        root: what a user gives to git: a bare repository, a working tree or one linked to it.
        url: to be shown.
        disk: the door to its files.
    """

    host = ""
    excludes = True

    def __init__(self, root: Path, url: str, disk: Disk) -> None:
        self.url = url
        self._root = root
        self._disk = disk
        self._lock = threading.Lock()
        self._home: GitDirectory | None = None
        self._opened: tuple[RefFiles, ObjectFiles] | None = None

    def refs(self, *prefixes: bytes) -> Mapping[bytes, bytes]:
        """As :meth:`artvc.remotes.git.wire.Wire.refs`."""
        return self._parts()[0].listed(*prefixes)

    @contextmanager
    def fetch(
        self,
        prefixes: Sequence[bytes],
        choose: Choose,
        *,
        limits: Limits,
        have: bytes | None = None,  # noqa: ARG002 -- nothing travels
        depth: int | None = None,  # noqa: ARG002
    ) -> Iterator[Fetched]:
        """As :meth:`artvc.remotes.git.wire.Wire.fetch`; objects are read when they are asked for."""
        refs, objects = self._parts()
        found = refs.listed(*prefixes)
        wanted = choose(found)
        yield Fetched(found, wanted, LocalObjects(objects, limits) if wanted else None)

    def push(self, update: Update, objects: Sequence[GitObject]) -> None:
        """As :meth:`artvc.remotes.git.wire.Wire.push`; nothing is refused."""
        refs, files = self._parts()
        found = refs.read(update.ref)
        if found != update.old:
            raise Moved(found)
        kept = {one.id: one for one in objects if one.id not in _PADDING}
        if kept:
            files.write(list(kept.values()))
        if not refs.apply([update]):
            raise Moved(refs.read(update.ref))

    def close(self) -> None:
        """Nothing stays open."""

    def _parts(self) -> tuple[RefFiles, ObjectFiles]:
        with self._lock:
            if self._opened is None:
                home = GitDirectory(self._root, self._disk)
                self._opened = RefFiles(home), ObjectFiles(home)
            return self._opened


class LocalRemote(GitRemote):
    """A remote whose packs are files of this machine, so that a part of one costs a part.

    Args:
        wire: the repository.
        environ: as for :class:`GitRemote`.
    """

    ranged = True

    def __init__(self, wire: LocalWire, environ: Mapping[str, str]) -> None:
        super().__init__(wire, environ)
        self._local = wire

    @contextmanager
    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a data pack.  Raises NotFound."""
        refs = [names.pack(pack) for names in ROOTS]
        with self._local.fetch(refs, lambda found: next(iter(found.values()), None), limits=DATA_LIMITS) as fetched:
            if fetched.wanted is None or not isinstance(fetched.objects, LocalObjects):
                raise NotFound(f"pack {pack.short} is not in {self.url}")
            blob = pack_blob_id(fetched.objects, fetched.wanted)
            with closing(fetched.objects.part(blob, start, end)) as pieces:
                yield pieces


class LocalObjects:
    """The objects of a repository, as :class:`artvc.remotes.git.wire.Objects`.

    Args:
        files: of the repository.
        limits: of what is read.
    """

    def __init__(self, files: ObjectFiles, limits: Limits) -> None:
        self._files = files
        self._limits = limits

    def commit(self, wanted: bytes) -> Commit | None:
        """A commit; None where it is not there."""
        data = self._small(wanted, b"commit")
        return None if data is None else parse_commit(data)

    def tree(self, wanted: bytes) -> tuple[Entry, ...] | None:
        """The entries of a tree; None where it is not there."""
        data = self._small(wanted, b"tree")
        return None if data is None else parse_tree(data)

    def blob(self, wanted: bytes) -> Iterator[bytes] | None:
        """The bytes of a blob; None where it is not there."""
        return self._pieces(wanted) if self._files.has(wanted) else None

    def part(self, wanted: bytes, start: int, end: int | None) -> Generator[bytes]:
        """The bytes of a blob from ``start`` to ``end`` (its end where None), not hashed.  Raises Damaged."""
        try:
            yield from self._files.part(wanted, start, end, limit=self._limits.object_bytes)
        except KeyError as exc:
            raise _gone(wanted) from exc

    def _small(self, wanted: bytes, kind: bytes) -> bytes | None:
        limit = min(self._limits.object_bytes, self._limits.delta_bytes)
        try:
            return self._files.read(wanted, kind, limit=limit)
        except KeyError:
            return None

    def _pieces(self, wanted: bytes) -> Generator[bytes]:
        try:
            with self._files.opened(wanted, limit=self._limits.object_bytes) as found:
                hashed = hashlib.sha1(b"%s %d\0" % (found.kind, found.size), usedforsecurity=False)
                if found.kind != b"blob":
                    raise Damaged(f"git object {wanted.decode()} is no blob")
                for piece in found.pieces:
                    hashed.update(piece)
                    yield piece
        except KeyError as exc:
            raise _gone(wanted) from exc
        if hashed.hexdigest().encode() != wanted:
            raise Damaged(f"git object {wanted.decode()} has other bytes than its name says")


def _gone(wanted: bytes) -> RemoteError:
    return RemoteError(f"git object {wanted.decode()} is missing", hint="if its gc is at work there, try again")
