"""Taking over what a remote has of history: refs, commits, trees; data stays there until it is needed.

Nothing that arrives is trusted.  It lies in quarantine, apart from the repository, until all of it was looked at: sizes
before memory is taken for them, every object against its id and its form, every ref, and whether everything that the
new refs lead to is there.  Only then it moves into the repository: first the packs, then the notes about the remote.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Final

from artvc.errors import Damaged, InvalidInput, NotFound, RemoteError, StorageError, StorageFull
from artvc.model.ids import Id, Kind
from artvc.model.reach import Reach
from artvc.remotes.base import Piece, PieceKind, Remote
from artvc.repo import Repository
from artvc.store.fsio import Disk
from artvc.store.index import PackIndex
from artvc.store.objects import Objects
from artvc.store.packs import END_BYTES, META, PACK_SUFFIX, Pack, read_end
from artvc.store.refs import TRANSACTION_BYTES, encode_checkpoint, read_checkpoint, read_transaction
from artvc.sync import merging
from artvc.sync.tracking import Tracking

Advance = Callable[[int], None]

_PACK_BYTES: Final = 128 * 1024 * 1024  # a metadata pack; ours have 32 MiB, or a single larger object
_PLAIN_BYTES: Final = 1024 * 1024 * 1024  # of what is in one: a few seconds of decoding
_CHECKPOINT_BYTES: Final = 256 * 1024 * 1024  # two million names
_LOG_BYTES: Final = 2 * 1024 * 1024 * 1024  # of transactions in one fetch
_PIECES: Final = 10_000_000
_TOKEN_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch brought.

    Attributes:
        transactions, packs: of the remote's log, and metadata packs.
        bytes: that came.
        reached: what was looked at: metadata objects that are here, with all that they lead to.
    """

    reached: Set[bytes] = field(repr=False, compare=False)
    transactions: int
    packs: int
    bytes: int


def fetch(repo: Repository, tracking: Tracking, remote: Remote, *, advance: Advance | None = None) -> Fetched:
    """Bring the notes about a remote, and the history that it has, up to date.

    Args:
        repo: this repository.
        tracking: the notes.
        remote: the remote.
        advance: called with bytes that came.

    Raises:
        RemoteError, NotFound: by the remote; or its past is not what it was.
        Damaged: what it sent is not what it should be; nothing of it counts.
        StorageFull, StorageError: this repository's disk.
    """
    try:
        return _fetch(repo, tracking, remote, advance or (lambda _: None))
    except _Lost:
        tracking.forget()
        return _fetch(repo, tracking, remote, advance or (lambda _: None))


class _Lost(Damaged):
    """History that came once is not here any more: a gc saw no name that needs it."""


def _fetch(repo: Repository, tracking: Tracking, remote: Remote, advance: Advance) -> Fetched:
    tracking.make()
    with contextlib.ExitStack() as stack:
        quarantine = stack.enter_context(_Quarantine(repo, tracking))
        try:
            pieces = remote.history(tracking.known())
            stack.callback(_close, pieces)
            for piece in pieces:
                try:
                    quarantine.take(piece, advance)
                finally:
                    _close(piece.data)
            quarantine.check()
        except _Lost:
            raise
        except (Damaged, InvalidInput) as exc:
            raise Damaged(f"{remote.url} sent what is not sound: {exc.message}", hint=_HINT) from exc
        quarantine.admit()
        return quarantine.fetched()


def _close(pieces: Iterator[object]) -> None:
    """Let a remote close what it reads from, now and not when somebody collects garbage."""
    if isinstance(pieces, Generator):
        pieces.close()


_HINT: Final = "nothing of it was taken over; if its history was replaced, 'artvc remote remove' and 'add' begin anew"


class _Quarantine:
    """A place apart from the repository for what has not been looked at."""

    def __init__(self, repo: Repository, tracking: Tracking) -> None:
        self._repo = repo
        self._tracking = tracking
        self._disk: Disk = repo.disk
        self._root = str(repo.dir / "tmp" / os.urandom(8).hex())
        self._objects = Objects(repo.disk, self._root)
        self._data = PackIndex(
            repo.disk, packs=self._path("data"), cache=self._path("cache", "data"), tmp=self._path("tmp"), ends=True
        )
        self._before = tracking.snapshot().refs
        self._state = tracking.snapshot()
        self._known = tracking.known()
        self._reached: Set[bytes] = frozenset()
        self._unreached: set[bytes] = set()
        self._pieces: set[tuple[PieceKind, Id | None, int]] = set()
        self._log: list[tuple[PieceKind, int, str]] = []
        self._packs: list[Id] = []
        self._indexes: list[Id] = []
        self._gone: list[Id] = []
        self._token: bytes | None = None
        self._bytes = self._log_bytes = 0

    def __enter__(self) -> "_Quarantine":
        try:
            self._disk.ensure_dir(os.path.dirname(self._root))
            for path in (self._root, *map(self._path, ("packs", "data", "cache", "tmp"))):
                self._disk.mkdir(path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._objects.close()
        for what in ("packs", "data", os.path.join("cache", "data"), "cache", "tmp", ""):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, StorageError, StorageFull):
                for name in self._disk.listdir(self._path(what)):
                    self._disk.discard(self._path(what, name))
                self._disk.rmdir(self._path(what))

    def _path(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    # -- taking -------------------------------------------------------------------------------------------

    def take(self, piece: Piece, advance: Advance) -> None:
        """Take one piece in.  Raises Damaged."""
        key = (piece.kind, piece.id, piece.number)
        if key in self._pieces or len(self._pieces) >= _PIECES:
            raise Damaged(f"a {piece.kind.value} twice" if key in self._pieces else f"more than {_PIECES} pieces")
        self._pieces.add(key)
        counted = self._counted(piece.data, advance)
        if piece.kind in (PieceKind.TRANSACTION, PieceKind.CHECKPOINT):
            self._take_log(piece, counted)
        elif piece.kind == PieceKind.METADATA and piece.id is not None:
            path = self._path("packs", piece.id.hex() + PACK_SUFFIX)
            self._disk.write_file(path, _limited(counted, _PACK_BYTES), tmp=self._path("tmp"), durable=True)
            self._packs.append(piece.id)
            self._verify(path)
        elif piece.kind == PieceKind.INDEX and piece.id is not None:
            end = b"".join(_limited(counted, END_BYTES))
            read_end(piece.id.hex(), end)
            path = self._path("data", piece.id.hex() + PACK_SUFFIX)
            self._disk.write_file(path, end, tmp=self._path("tmp"), durable=False)
            self._indexes.append(piece.id)
        elif piece.kind == PieceKind.GONE and piece.id is not None:
            if piece.id not in self._known.metadata and piece.id not in self._known.indexes:
                raise Damaged(f"pack {piece.id.short} is said to be gone and was never there")
            self._gone.append(piece.id)
        elif piece.kind == PieceKind.TOKEN:
            self._token = b"".join(_limited(counted, _TOKEN_BYTES))

    def _counted(self, data: Iterable[bytes], advance: Advance) -> Iterator[bytes]:
        for one in data:
            self._bytes += len(one)
            advance(len(one))
            yield one

    def _take_log(self, piece: Piece, data: Iterator[bytes]) -> None:
        checkpoint = piece.kind == PieceKind.CHECKPOINT
        raw = b"".join(_limited(data, _CHECKPOINT_BYTES if checkpoint else TRANSACTION_BYTES))
        self._log_bytes += len(raw)
        if self._log_bytes > _LOG_BYTES:
            raise Damaged(f"more than {_LOG_BYTES} bytes of transactions")
        if checkpoint:
            if piece.number <= self._state.number:
                raise Damaged(f"checkpoint {piece.number} after transaction {self._state.number}")
            self._state = read_checkpoint(piece.number, raw)
            try:
                again = encode_checkpoint(self._state)
            except ValueError as exc:  # numbers and texts that no JSON has
                raise Damaged(f"checkpoint {piece.number} is malformed: {exc}") from exc
            if again != raw:
                raise Damaged(f"checkpoint {piece.number} is not as artvc writes it")
        else:
            self._state.fold(read_transaction(piece.number, raw))
        path = self._path("tmp", f"{len(self._log)}.{piece.kind.value}")
        self._disk.write_file(path, raw, tmp=self._path("tmp"), durable=False)
        self._log.append((piece.kind, piece.number, path))

    def _verify(self, path: str) -> None:
        pack = Pack.open(self._disk, path)
        try:
            if pack.content() != META:
                raise Damaged(f"pack {pack.name[:12]} is no metadata pack")
            for trouble in pack.verify(limit=_PLAIN_BYTES):
                raise trouble
        finally:
            pack.close()

    # -- looking ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Whether the new refs are sound, and everything that they lead to is there.  Raises Damaged."""
        self._objects.refresh()
        self._data.refresh()
        changed = {ref: value for ref, value in self._state.refs.items() if self._before.get(ref) != value}
        merging.check(changed)
        merging.check_together(self._state.refs, self._before)
        noted = _Noted(self._tracking)
        reach = Reach(self._get, known=noted)
        for ref, value in changed.items():
            if merging.is_shared(ref):
                reach.add(ref, value)
        for chunk in reach.chunks:
            if not self._has_chunk(chunk):
                raise Damaged(f"chunk {chunk.hex()[:12]} is in none of its packs")
        self._reached = reach.objects
        self._unreached = noted.unreached.union(self._objects.index.ids()) - reach.objects

    def _has_chunk(self, chunk: bytes) -> bool:
        return (
            self._data.find(chunk) is not None
            or self._tracking.place(chunk) is not None
            or self._repo.objects.find(chunk) is not None
        )

    def _get(self, kind: Kind, wanted: Id) -> bytes:
        if self._objects.find(wanted) is not None:
            return self._objects.get(kind, wanted)
        try:
            return self._repo.objects.get(kind, wanted)
        except NotFound as exc:
            lost = self._tracking.has(kind, wanted)
            raise (_Lost if lost else Damaged)(f"{kind.word} {wanted.short} is missing") from exc

    # -- admitting ----------------------------------------------------------------------------------------

    def admit(self) -> None:
        """Move everything into the repository and the notes."""
        self._objects.close()
        packs = str(self._repo.dir / "packs")
        # Before the packs are noted: an object that was not looked at must never count as one that was.
        self._tracking.note_unreached(self._unreached)
        ends: list[tuple[Id, bytes]] = []
        for pack in self._packs:
            path = self._path("packs", pack.hex() + PACK_SUFFIX)
            end = _end_of(self._disk, path)
            self._disk.rename(path, os.path.join(packs, pack.hex() + PACK_SUFFIX))
            self._repo.objects.relied.add(pack.hex())  # no name needs it yet: a gc may see it before the merge
            ends.append((pack, end))
        self._disk.fsync_dir(packs)
        for pack, end in ends:  # noted before it is durable, it might be gone and never be sent again
            self._tracking.take_index(pack, end, metadata=True)
        for pack in self._indexes:
            end = self._disk.read_file(self._path("data", pack.hex() + PACK_SUFFIX), limit=END_BYTES)
            self._tracking.take_index(pack, end, metadata=False)
        for kind, number, path in self._log:
            raw = self._disk.read_file(path, limit=_CHECKPOINT_BYTES)
            if kind == PieceKind.CHECKPOINT:
                self._tracking.accept_checkpoint(number, raw)
            else:
                self._tracking.accept(number, raw)
        for pack in self._gone:
            self._tracking.drop_index(pack)
        self._tracking.took(self._token)
        self._repo.objects.refresh()

    def fetched(self) -> Fetched:
        """What came."""
        transactions = sum(kind == PieceKind.TRANSACTION for kind, _, _ in self._log)
        return Fetched(transactions=transactions, packs=len(self._packs), bytes=self._bytes, reached=self._reached)


class _Noted:
    """The metadata objects that the remote had before and that were looked at, with all below, when they came.

    Attributes:
        unreached: those that were not, for no name led to them.
    """

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self.unreached = tracking.unreached()

    def __contains__(self, wanted: object) -> bool:
        return isinstance(wanted, bytes) and wanted not in self.unreached and self._tracking.has(Kind.TREE, wanted)


def _limited(data: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Pass bytes on, but not more than a limit.  Raises Damaged."""
    left = limit
    for one in data:
        left -= len(one)
        if left < 0:
            raise Damaged(f"something of more than {limit} bytes, which is the most that it may have")
        yield one


def _end_of(disk: Disk, path: str) -> bytes:
    """The bytes of a pack from its index on."""
    pack = Pack.open(disk, path)
    try:
        return pack.end()
    finally:
        pack.close()


def settle_lost_reply(tracking: Tracking, number: int, transaction: bytes) -> bool:
    """Whether a transaction whose reply was lost is the one that the remote has under its number.

    Args:
        tracking: brought up to date since.
        number: of the transaction.
        transaction: its file.

    Raises:
        RemoteError: that can't be seen any more.
    """
    try:
        return tracking.log.read(number).id == read_transaction(number, transaction).id
    except FileNotFoundError as exc:
        if tracking.state().number < number:
            return False
        raise RemoteError("the remote's log went on too far to see what became of the push") from exc
