"""A bucket as a remote: immutable objects, and one conditional creation that commits.

Keys, below the prefix that the URL names (``docs/format-remotes.md``):

    format                       as in a repository; made first
    packs/<id>.pack              data packs
    index/<id>.index             the end of a data pack, from its index on
    meta/<id>.pack               metadata packs
    refs/<20 digits>.json        the ref log
    refs/<20 digits>.checkpoint  all refs after a transaction

Everything but checkpoints is made with "only if it is not there".  Of many who create the same transaction the store
lets one through, so no server of ours and no lock is needed.  A reader lists the log first and the rest after it:
whatever the log that it saw refers to was there before.

Listings and objects are a stranger's words: keys that are none of ours are passed over, sizes are checked before
bytes are taken.
"""

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import Future
from typing import Final

from artvc.errors import ArtvcError, Damaged, LimitExceeded, NotFound, RemoteDenied, RemoteError
from artvc.model.ids import Id, transaction_id
from artvc.remotes.address import Address, Surroundings
from artvc.remotes.base import Capabilities, Known, Piece, PieceKind, Publication, Upload
from artvc.remotes.object_store import Access, ObjectStore
from artvc.repo import check_format, format_file
from artvc.store.packs import DATA, HEADER_BYTES, META
from artvc.store.refs import TRANSACTION_BYTES

CHECKPOINT_AFTER: Final = 64  # transactions that a reader lags before a checkpoint serves it better
PUT_BYTES: Final = 256 * 1024 * 1024  # packs are at most 32 MiB but for a single larger record
_ID = re.compile(r"([0-9a-f]{64})\.(pack|index)\Z")
_LOG_NAME = re.compile(r"([0-9]{20})\.(json|checkpoint)\Z")
_SMALL: Final = 1024 * 1024  # objects up to this size are fetched ahead, whole
_AHEAD: Final = 16
_FORMAT_BYTES: Final = 64 * 1024
_CONTENT_AT: Final = 9
_RACERS: Final = 8
_RACES: Final = 3


def connect(address: Address, surroundings: Surroundings) -> "BucketRemote":
    """The remote at the address of a bucket.

    Raises:
        InvalidInput: obstore is not installed, or what the environment says is malformed.
    """
    access = Access.from_environment(address.scheme, surroundings.environ)
    return BucketRemote(ObjectStore(address.scheme, address.bucket, access), address.prefix)


class BucketRemote:
    """A repository in a bucket.

    Args:
        store: the bucket.
        prefix: of all keys, without slashes at its ends; "" is the whole bucket.
    """

    ranged = True

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._formatted = False
        self.url = f"{store.name}/{prefix}" if prefix else store.name

    def _key(self, *parts: str) -> str:
        return "/".join([self._prefix, *parts] if self._prefix else parts)

    # -- what it can do -----------------------------------------------------------------------------------

    def probe(self) -> Capabilities:
        """Create things that are there, one by one and in races.

        Raises:
            NotFound, RemoteError: the bucket can't be reached, or read.
        """
        base = self._key("probe", os.urandom(16).hex())
        next(self._store.list(base), None)
        made = [f"{base}-{number}" for number in range(_RACES + 1)]
        try:
            excluding = self._excludes(made[0]) and all(self._race(key) for key in made[1:])
        except RemoteDenied as exc:
            return Capabilities(many_writers=True, writable=False, warnings=(f"can't be written: {exc}",))
        finally:
            for key in made:
                with contextlib.suppress(ArtvcError):
                    self._store.delete(key)
        if excluding:
            return Capabilities(many_writers=True)
        warning = f"{self.url}: the store creates what is there already, so two who push at once would lose a version"
        return Capabilities(many_writers=False, warnings=(warning,))

    def _excludes(self, key: str) -> bool:
        return (
            self._store.create(key, b"first")
            and not self._store.create(key, b"second")
            and self._store.get(key, limit=_SMALL) == b"first"
        )

    def _race(self, key: str) -> bool:
        """Whether exactly one of many wins, and it is what is there then."""
        racers = [self._store.start_create(key, b"racer %d" % number) for number in range(_RACERS)]
        won = [racer.result() for racer in racers]
        return won.count(True) == 1 and self._store.get(key, limit=_SMALL) == b"racer %d" % won.index(True)

    # -- reading ------------------------------------------------------------------------------------------

    def history(self, known: Known) -> Iterator[Piece]:
        """As :meth:`artvc.remotes.base.Remote.history`.

        The token is the number up to which the reader was given everything.
        """
        transactions, checkpoints = self._log(known.number)
        last = max(transactions, default=0)
        if known.number and known.number not in transactions:
            raise RemoteError(
                f"{self.url} has no transaction {known.number}, which was there before",
                hint="is it the right place? somebody may have emptied it",
            )
        if not transactions:
            return
        if known.number and known.head is not None:
            before = self._store.get(self._key("refs", f"{known.number:020}.json"), limit=TRANSACTION_BYTES)
            if before is None or transaction_id(before.partition(b"\n")[0]) != known.head:
                raise RemoteError(
                    f"{self.url} is another repository than it was: transaction {known.number} is not the same",
                    hint="'artvc remote remove' and 'add' begin anew with it",
                )
        self._check_format()
        start = known.number
        usable = [number for number in checkpoints if start + CHECKPOINT_AFTER < number <= last]
        if usable:
            start = max(usable)
            pieces = self._store.read(self._key("refs", f"{start:020}.checkpoint"), 0, None)
            yield Piece(PieceKind.CHECKPOINT, start, None, self._there(pieces))
        wanted = range(start + 1, last + 1)
        missing = next((number for number in wanted if number not in transactions), None)
        if missing is not None:
            raise Damaged(f"{self.url} has no transaction {missing}, but later ones")
        keys = [(self._key("refs", f"{number:020}.json"), transactions[number]) for number in wanted]
        for number, body in zip(wanted, self._bodies(keys), strict=True):
            yield Piece(PieceKind.TRANSACTION, number, None, body)
        if last > known.number or known.token != _token(last):
            for place, suffix, kind, there in (
                ("meta", "pack", PieceKind.METADATA, known.metadata),
                ("index", "index", PieceKind.INDEX, known.indexes),
            ):
                lacking = [(pack, size) for pack, size in self._ids(place, suffix) if pack not in there]
                keys = [(self._key(place, f"{pack}.{suffix}"), size) for pack, size in lacking]
                for (pack, _), body in zip(lacking, self._bodies(keys), strict=True):
                    yield Piece(kind, 0, pack, body)
        yield Piece(PieceKind.TOKEN, 0, None, iter([_token(last)]))

    def packs(self) -> Set[Id]:
        """The data packs that are there."""
        return frozenset(pack for pack, _ in self._ids("packs", "pack"))

    @contextlib.contextmanager
    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a data pack.  Raises NotFound."""
        with contextlib.closing(self._store.read(self._key("packs", f"{pack}.pack"), start, end)) as pieces:
            try:
                first = next(pieces, b"")
            except FileNotFoundError as exc:
                raise NotFound(f"pack {pack.short} is not in {self.url}") from exc
            yield _chained(first, pieces)

    def _log(self, known: int) -> tuple[dict[int, int], dict[int, int]]:
        """Sizes of the transactions and checkpoints from a number on, by number."""
        transactions: dict[int, int] = {}
        checkpoints: dict[int, int] = {}
        # A checkpoint comes before the transaction of its number; that one is wanted, to see that it is still there.
        after = self._key("refs", f"{known:020}.checkpoint") if known else None
        for name, size in self._names("refs", after):
            match = _LOG_NAME.match(name)
            if match and int(match[1]) >= max(known, 1):
                (transactions if match[2] == "json" else checkpoints)[int(match[1])] = size
        return transactions, checkpoints

    def _ids(self, place: str, suffix: str) -> Iterator[tuple[Id, int]]:
        for name, size in self._names(place):
            match = _ID.match(name)
            if match and match[2] == suffix:
                yield Id.parse(match[1]), size

    def _names(self, place: str, after: str | None = None) -> Iterator[tuple[str, int]]:
        """Names directly below a part of the prefix, and sizes."""
        above = self._key(place)
        for key, size in self._store.list(above, after=after):
            if key.startswith(above + "/"):
                yield key[len(above) + 1 :], size

    def _bodies(self, keys: Sequence[tuple[str, int]]) -> Iterator[Iterator[bytes]]:
        """The bytes of objects, small ones fetched ahead.

        Args:
            keys: and what the listing said of their sizes.
        """
        waiting: deque[Future[bytes | None]] = deque()
        rest = iter(keys)
        try:
            for at, (key, size) in enumerate(keys):
                while len(waiting) < _AHEAD and (more := next(rest, None)) is not None:
                    waiting.append(self._ahead(*more))
                future = waiting.popleft()
                if size > _SMALL:
                    yield self._there(self._store.read(key, 0, None))
                    continue
                body = future.result()
                if body is None:
                    raise RemoteError(f"{self.url} lists {key} and does not have it (number {at})", hint="try again")
                yield iter([body])
        finally:
            for future in waiting:
                future.cancel()

    def _ahead(self, key: str, size: int) -> "Future[bytes | None]":
        if size <= _SMALL:
            return self._store.start_get(key, limit=_SMALL)
        return Future()

    def _there(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Bytes of an object that was listed."""
        try:
            yield from pieces
        except FileNotFoundError as exc:
            raise RemoteError(f"{self.url} lists what it does not have", hint="try again") from exc

    def _check_format(self) -> None:
        if not self._formatted:
            raw = self._store.get(self._key("format"), limit=_FORMAT_BYTES)
            if raw is None:
                raise Damaged(f"{self.url} has a ref log but no format", hint="is the prefix the right one?")
            check_format(raw, f"{self.url}/format")
            self._formatted = True

    # -- writing ------------------------------------------------------------------------------------------

    def upload(self, pack: Upload) -> None:
        """Put a data pack there."""
        key, tail = self._key("packs", f"{pack.id}.pack"), pack.index
        there = self._store.has(key, pack.size, tail)
        if there is None:
            self._make_format()
            there = self._store.create(key, _whole(pack, DATA))
        if not there:
            raise self._occupied(key)

    def publish(self, publication: Publication) -> bool:
        """As :meth:`artvc.remotes.base.Remote.publish`."""
        number = publication.number
        body, _, check = publication.transaction.partition(b"\n")
        if check != transaction_id(body).hex().encode() + b"\n" or len(publication.transaction) > TRANSACTION_BYTES:
            raise Damaged(f"transaction {number} is not whole")
        key = self._key("refs", f"{number:020}.json")
        there = self._store.get(key, limit=TRANSACTION_BYTES)
        if there is not None:
            return there == publication.transaction
        if not self._follows(publication):
            return False
        self._make_format()
        self._create_all([(self._key("index", f"{pack.id}.index"), pack, 0) for pack in publication.indexes])
        self._create_all([(self._key("meta", f"{pack.id}.pack"), pack, META) for pack in publication.metadata])
        if not self._store.create(key, publication.transaction):
            return False
        if publication.checkpoint is not None:
            with contextlib.suppress(RemoteError):
                self._store.replace(self._key("refs", f"{number:020}.checkpoint"), publication.checkpoint)
        return True

    def _follows(self, publication: Publication) -> bool:
        """Whether the transaction before is there, and is the one that it follows."""
        if publication.number == 1:
            return publication.previous is None
        key = self._key("refs", f"{publication.number - 1:020}.json")
        before = self._store.get(key, limit=TRANSACTION_BYTES)
        return before is not None and transaction_id(before.partition(b"\n")[0]) == publication.previous

    def _create_all(self, objects: Sequence[tuple[str, Upload, int]]) -> None:
        """Create objects, several at once but not too many bytes of them.

        Args:
            objects: key, pack, and META for the whole of it or 0 for its index.
        """
        waiting: deque[tuple[str, int, Future[bool]]] = deque()
        total = 0
        try:
            for key, pack, content in objects:
                body = _whole(pack, content) if content else pack.index
                while waiting and (len(waiting) >= _AHEAD or total + len(body) > _AHEAD * _SMALL):
                    total -= self._created(*waiting.popleft())
                waiting.append((key, len(body), self._store.start_create(key, body)))
                total += len(body)
            while waiting:
                self._created(*waiting.popleft())
        finally:
            for _, _, future in waiting:
                future.cancel()

    def _created(self, key: str, size: int, future: "Future[bool]") -> int:
        if not future.result():
            raise self._occupied(key)
        return size

    def _make_format(self) -> None:
        if self._formatted:
            return
        if not self._store.create(self._key("format"), format_file()):
            self._check_format()
        self._formatted = True

    def _occupied(self, key: str) -> Damaged:
        return Damaged(f"{self._store.name}/{key} is not what its name says", hint="remove that object and push again")

    def close(self) -> None:
        """End connections."""
        self._store.close()


def _token(number: int) -> bytes:
    return b"%d" % number


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _whole(pack: Upload, content: int) -> bytes:
    """The bytes of a pack.

    Raises:
        LimitExceeded: it is too large for one request.
        Damaged: it is not what it should be.
    """
    if pack.size > PUT_BYTES:
        raise LimitExceeded(f"pack {pack.id.short} has {pack.size} bytes, more than the {PUT_BYTES} of one upload")
    pieces, total = [], 0
    with pack.open() as source:
        while total <= pack.size and (piece := source.read(pack.size + 1 - total)):
            pieces.append(piece)
            total += len(piece)
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if len(body) != pack.size or body[_CONTENT_AT:HEADER_BYTES][:1] != bytes([content]):
        kind = "data" if content == DATA else "metadata"
        raise Damaged(f"{pack.id.short} is no {kind} pack of {pack.size} bytes")
    return body
