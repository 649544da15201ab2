"""A directory as a remote: an ordinary repository, on a NAS, a USB disk or in another checkout.

Whatever lies in the directory can be opened by artvc itself, and who commits there is one more writer of the log.
So writing follows the rules of the store: packs get their names after they were synced, the transaction is created
exclusively (``link``) after everything that it refers to is durable.  Reading goes the other way round: first the
log, then the packs, so that what the log refers to is among the packs.

Data and metadata packs lie side by side; the ninth byte of a pack says which it is.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Generator, Iterator, Set
from pathlib import Path
from typing import Final

from blake3 import blake3

from artvc.errors import Damaged, NotFound, RemoteDenied, RemoteError, StorageError, StorageFull
from artvc.model.ids import TRANSACTION_CONTEXT, Id, transaction_id
from artvc.remotes.address import Address, Surroundings
from artvc.remotes.base import Capabilities, Known, Piece, PieceKind, Publication, Upload
from artvc.repo import DIRECTORY, Repository
from artvc.store.condemned import Condemned
from artvc.store.fsio import Disk, storage_error
from artvc.store.packs import DATA, HEADER_BYTES, META, PACK_SUFFIX, Pack, is_pack_name
from artvc.store.refs import CHECKPOINT_BYTES, TRANSACTION_BYTES

CHECKPOINT_AFTER: Final = 64  # transactions that a reader lags before a checkpoint serves it better
_READ: Final = 1024 * 1024
_LOG_NAME = re.compile(r"([0-9]{20})\.(json|checkpoint)\Z")
_CONTENT_AT: Final = 9
_CHECK_BYTES: Final = 66  # the second line of a file of the log, and the line feeds around it


def connect(address: Address, surroundings: Surroundings) -> "DirectoryRemote":
    """The remote at the address of a directory."""
    return DirectoryRemote(Path(address.url), surroundings.disk)


class DirectoryRemote:
    """A repository in a directory.

    Args:
        root: the directory; :meth:`upload` and :meth:`publish` make a repository in it where there is none.
        disk: the door to its files.
    """

    ranged = True

    def __init__(self, root: Path, disk: Disk) -> None:
        root = Path(os.path.abspath(root))
        self._root = root.parent if root.name == DIRECTORY else root
        self._disk = disk
        self._base = str(self._root / DIRECTORY)
        self._is_repository = False
        self._contents: dict[Id, int] = {}
        self.url = str(self._root)

    def probe(self) -> Capabilities:
        """Whether files can be made and linked there.  Raises NotFound, RemoteError."""
        if not self._found():
            return Capabilities(many_writers=True, writable=os.access(self._root, os.W_OK | os.X_OK))
        try:
            temporary, fd = self._disk.open_temporary(self._path("tmp"))
        except (StorageError, StorageFull) as exc:
            return Capabilities(many_writers=True, writable=False, warnings=(f"{self.url} can't be written: {exc}",))
        self._disk.close(fd)
        try:
            self._disk.link(temporary, temporary + ".link")
        except StorageError as exc:
            warning = f"{self.url} can't be pushed to, its file system has no hard links: {exc}"
            return Capabilities(many_writers=False, writable=False, warnings=(warning,))
        finally:
            self._disk.discard(temporary + ".link")
            self._disk.discard(temporary)
        return Capabilities(many_writers=True)

    def history(self, known: Known) -> Iterator[Piece]:
        """As :meth:`artvc.remotes.base.Remote.history`; there is no token."""
        with self._told():
            last = max(self._numbers("json"), default=0) if self._found() else 0
            if known.number > last:
                raise RemoteError(
                    f"{self.url} ends with transaction {last}, but had {known.number} before",
                    hint="is it the right place, and is its disk mounted?",
                )
            if not self._is_repository:
                return
            if known.number and known.head is not None:
                before = self._disk.read_file(self._log(known.number, "json"), limit=TRANSACTION_BYTES)
                if transaction_id(before.partition(b"\n")[0]) != known.head:
                    raise RemoteError(
                        f"{self.url} is another repository than it was: transaction {known.number} is not the same",
                        hint="'artvc remote remove' and 'add' begin anew with it",
                    )
            start, size = self._checkpoint(known.number, last)
        if size:
            yield Piece(PieceKind.CHECKPOINT, start, None, self._file(self._log(start, "checkpoint"), 0, size))
        for number in range(start + 1, last + 1):
            yield Piece(PieceKind.TRANSACTION, number, None, self._file(self._log(number, "json"), 0))
        with self._told():
            listed = self._listed()
            lacking = sorted(listed - known.metadata - known.indexes)
            contents = [(pack, self._content(pack)) for pack in lacking]
        for pack, content in contents:
            if content == META:
                yield Piece(PieceKind.METADATA, 0, pack, self._file(self._pack(pack), 0))
        for pack, content in contents:
            with self._told():
                index = self._index_start(pack) if content == DATA else None
            if index is not None:
                yield Piece(PieceKind.INDEX, 0, pack, self._file(self._pack(pack), index))
        for pack in sorted((known.metadata | known.indexes) - listed):  # its gc is at work
            yield Piece(PieceKind.GONE, 0, pack, iter(()))

    def packs(self) -> Set[Id]:
        """The data packs that are there."""
        with self._told():
            listed = self._listed() if self._found() else frozenset()
            return frozenset(pack for pack in listed if self._content(pack) == DATA)

    def upload(self, pack: Upload) -> None:
        """Put a data pack there, durably."""
        with self._told():
            self._make()
            self._put(pack, DATA)

    @contextlib.contextmanager
    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a data pack.  Raises NotFound."""
        with self._told():
            there = self._found() and self._content(pack) == DATA
        if not there:
            raise NotFound(f"pack {pack.short} is not in {self.url}")
        with contextlib.closing(self._file(self._pack(pack), start, end)) as pieces:
            yield pieces

    def publish(self, publication: Publication) -> bool:
        """As :meth:`artvc.remotes.base.Remote.publish`."""
        with self._told():
            self._make()
            # Politeness: whoever commits there waits a moment rather than doing its work twice.
            with self._disk.lock(self._path("locks", "refs"), exclusive=True):
                return self._publish(publication)

    def _publish(self, publication: Publication) -> bool:
        number, path = publication.number, self._log(publication.number, "json")
        body, _, check = publication.transaction.partition(b"\n")
        if check != transaction_id(body).hex().encode() + b"\n" or len(publication.transaction) > TRANSACTION_BYTES:
            raise Damaged(f"transaction {number} is not whole")
        if not self._follows(publication):
            return False
        for pack in publication.metadata:
            self._put(pack, META)
        there = self._listed()
        missing = [pack.id.short for pack in publication.indexes if pack.id not in there]
        if missing:
            raise RemoteError(f"{self.url} lost {len(missing)} packs, {missing[0]} among them", hint="push again")
        # Its gc is about to unlink them, and makes a transaction before: then there is a new number to push under.
        doomed = Condemned(self._disk, self._base).read().doomed
        if any(pack.id.hex() in doomed for pack in (*publication.metadata, *publication.indexes)):
            return False
        # Packs and transactions of others, and the directories themselves, may be there but not yet durable.
        for directory in (self._path("packs"), self._path("refs"), self._base, str(self._root)):
            self._disk.fsync_dir(directory)
        try:
            self._disk.create_file(path, publication.transaction, tmp=self._path("tmp"))
        except FileExistsError:
            return self._disk.read_file(path, limit=TRANSACTION_BYTES) == publication.transaction
        if publication.checkpoint is not None:
            with contextlib.suppress(StorageError, StorageFull):
                self._disk.write_file(
                    self._log(number, "checkpoint"), publication.checkpoint, tmp=self._path("tmp"), durable=False
                )
        return True

    def close(self) -> None:
        """Nothing is open."""

    # -- the repository there -----------------------------------------------------------------------------

    def _path(self, *parts: str) -> str:
        return os.path.join(self._base, *parts)

    def _log(self, number: int, suffix: str) -> str:
        return self._path("refs", f"{number:020}.{suffix}")

    def _pack(self, pack: Id) -> str:
        return self._path("packs", pack.hex() + PACK_SUFFIX)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of that disk are the remote's."""
        try:
            yield
        except StorageError as exc:
            cause = exc.__cause__
            denied = isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            raise (RemoteDenied if denied else RemoteError)(f"{self.url}: {exc}") from exc
        except FileNotFoundError as exc:
            raise RemoteError(f"{exc.filename} is missing", hint="if somebody moved it just now, try again") from exc

    def _found(self) -> bool:
        """Whether there is a repository.  Raises NotFound where there is not even the directory."""
        if self._is_repository:
            return True
        if not self._root.is_dir():
            raise NotFound(f"no such directory: {self._root}", hint="mount its disk, or make it with mkdir")
        if os.path.lexists(self._path("format")):
            Repository.open(self._root, disk=self._disk).close()
            self._is_repository = True
        return self._is_repository

    def _make(self) -> None:
        if not self._found():
            made, _ = Repository.create(self._root, disk=self._disk)
            made.close()
            self._is_repository = True

    def _numbers(self, suffix: str) -> list[int]:
        """Numbers of the files of the log, in no order."""
        matches = map(_LOG_NAME.match, self._disk.listdir(self._path("refs")))
        return [int(match[1]) for match in matches if match and match[2] == suffix]

    def _follows(self, publication: Publication) -> bool:
        """Whether a transaction is the next one, or is there already."""
        last = max(self._numbers("json"), default=0)
        if last >= publication.number:
            path = self._log(publication.number, "json")
            return self._disk.read_file(path, limit=TRANSACTION_BYTES) == publication.transaction
        if last + 1 != publication.number or not last:
            return last + 1 == publication.number and publication.previous is None
        before = self._disk.read_file(self._log(last, "json"), limit=TRANSACTION_BYTES)
        return publication.previous is not None and transaction_id(before.partition(b"\n")[0]) == publication.previous

    def _checkpoint(self, number: int, last: int) -> tuple[int, int]:
        """Number and size of the newest sound checkpoint that spares a reader much; else ``number`` and 0."""
        numbers = [one for one in self._numbers("checkpoint") if number + CHECKPOINT_AFTER < one <= last]
        for one in sorted(numbers, reverse=True):
            with contextlib.suppress(StorageError, FileNotFoundError):
                size = self._checked_size(self._log(one, "checkpoint"))
                if size:
                    return one, size
        return number, 0

    def _checked_size(self, path: str) -> int:
        """The size of a checkpoint that has its checksum; 0 for any other."""
        fd = self._open(path)
        try:
            size = self._disk.size(fd)
            if not _CHECK_BYTES < size <= CHECKPOINT_BYTES:
                return 0
            hashed, at, end = blake3(derive_key_context=TRANSACTION_CONTEXT), 0, size - _CHECK_BYTES
            while at < end:
                piece = self._disk.read_at(fd, min(_READ, end - at), at)
                if not piece:
                    return 0
                hashed.update(piece)
                at += len(piece)
            line = b"\n" + hashed.hexdigest().encode() + b"\n"
            return size if self._disk.read_at(fd, _CHECK_BYTES, end) == line else 0
        finally:
            self._disk.close(fd)

    def _listed(self) -> Set[Id]:
        """All packs, by their names."""
        names = self._disk.listdir(self._path("packs"))
        return frozenset(Id.parse(name.removesuffix(PACK_SUFFIX)) for name in names if is_pack_name(name))

    def _content(self, pack: Id) -> int | None:
        """DATA or META; None for what is gone or no pack: damage to one pack is not damage to others."""
        if pack not in self._contents:
            with contextlib.suppress(FileNotFoundError, Damaged), self._opened(pack) as found:
                self._contents[pack] = found.content()
        return self._contents.get(pack)

    def _index_start(self, pack: Id) -> int | None:
        with contextlib.suppress(FileNotFoundError, Damaged), self._opened(pack) as found:
            return found.index_start()
        return None

    @contextlib.contextmanager
    def _opened(self, pack: Id) -> Iterator[Pack]:
        path = self._pack(pack)
        found = Pack(self._disk, path, self._open(path))
        try:
            yield found
        finally:
            found.close()

    def _open(self, path: str) -> int:
        """Open a file.  Raises Damaged for what is none: a FIFO would keep its reader waiting."""
        try:
            regular = stat.S_ISREG(os.lstat(path).st_mode)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise storage_error(exc, f"cannot read {path}") from exc
        if not regular:
            raise Damaged(f"{path} is not a regular file")
        return self._disk.open_read(path)

    def _file(self, path: str, start: int, end: int | None = None) -> Generator[bytes]:
        """A file from ``start`` to ``end``, in pieces."""
        with self._told():
            fd = self._open(path)
        try:
            with self._told():
                size = self._disk.size(fd)
            if start > size or (end is not None and end > size):
                raise Damaged(f"{path} has only {size} bytes")
            at, end = start, size if end is None else end
            while at < end:
                with self._told():
                    piece = self._disk.read_at(fd, min(_READ, end - at), at)
                if not piece:
                    raise RemoteError(f"{path} became shorter while it was read", hint="try again")
                at += len(piece)
                yield piece
        finally:
            self._disk.close(fd)

    def _put(self, pack: Upload, content: int) -> None:
        """Create a pack durably unless it is there."""
        path = self._pack(pack.id)
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode) and found.st_size == pack.size:
                return
        self._disk.write_file(path, _whole(pack, content), tmp=self._path("tmp"), durable=True)


def _whole(pack: Upload, content: int) -> Iterator[bytes]:
    """The bytes of a pack, with a failure at their end if they are not what they should be."""
    total, head = 0, b""
    with pack.open() as source:
        while piece := source.read(_READ):
            head = head or piece[:HEADER_BYTES]
            total += len(piece)
            yield piece
    if total != pack.size or head[_CONTENT_AT:][:1] != bytes([content]):
        kind = "data" if content == DATA else "metadata"
        raise Damaged(f"{pack.id.short} is no {kind} pack of {pack.size} bytes")
