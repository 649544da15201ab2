"""A git repository as a remote: data packs are refs, the ref log is a chain of commits, and one push decides.

Of many who add to the chain at once the server lets one through: a push names the commit that it follows, and the
server compares again when it moves the ref.  Everything else is only ever added.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, NamedTuple

from artvc.errors import Damaged, InvalidInput, LimitExceeded, NotFound, RemoteDenied, RemoteError
from artvc.model.ids import Id, transaction_id
from artvc.remotes.base import Capabilities, Known, Piece, PieceKind, Publication, Upload
from artvc.remotes.git import layout
from artvc.remotes.git.layout import BRANCHES, CUSTOM, ROOTS, Names
from artvc.remotes.git.objects import BLOB, Entry, commit, is_id, tree, whole
from artvc.remotes.git.wire import Fetched, Moved, Objects, Refused, Update, Wire
from artvc.store.packs import PACK_BYTES
from artvc.store.refs import TRANSACTION_BYTES

LIMIT_VARIABLE: Final = "ARTVC_GIT_LIMIT_GB"
_GB: Final = 1_000_000_000
# What hosts say of the size of a repository: GitHub recommends, Bitbucket enforces.
_HOST_LIMITS: Final[Mapping[str, int]] = {"github.com": 10 * _GB, "bitbucket.org": 4 * _GB}
_NEAR: Final = 0.5  # of the limit: from here on it is worth a line
_ATTEMPTS: Final = 8
_METAS: Final = tuple(names.meta for names in ROOTS)


class _Token(NamedTuple):
    """Up to where a reader has everything: a commit of the chain, number and id of its transaction."""

    commit: bytes
    number: int
    id: Id

    def written(self) -> bytes:
        """As the reader keeps it."""
        return b"%s %d %s" % (self.commit, self.number, self.id.hex().encode())

    @classmethod
    def read(cls, token: bytes) -> "_Token | None":
        """What a reader kept; None where it is nothing of ours."""
        try:
            commit, number, transaction = token.split(b" ")
            found = cls(commit, int(number), Id.parse(transaction.decode()))
        except ValueError:
            return None
        return found if is_id(commit) and found.written() == token else None


class _Tip(NamedTuple):
    """The newest transaction.

    Attributes:
        names: of the refs that are in use.
        last: where it is.
    """

    names: Names
    last: _Token


class _Behind(Exception):  # noqa: N818 -- never leaves this file
    """What came does not join what the reader has; all of it has to come."""


class GitRemote:
    """A git repository.

    Args:
        wire: how it is spoken to.
        environ: variables, of which one sets the size at which to stop.

    Raises:
        InvalidInput: that variable is malformed.
    """

    ranged = False

    def __init__(self, wire: Wire, environ: Mapping[str, str]) -> None:
        self._wire = wire
        self._limit = _limit(wire.host, environ)
        self._lock = threading.Lock()
        self._names: Names | None = None
        self._tip: _Tip | None = None
        self._packs = 0
        self.url = wire.url

    # -- what it can do -----------------------------------------------------------------------------------

    def probe(self) -> Capabilities:
        """Make a ref and remove it.  Raises NotFound, RemoteError."""
        count, warnings = len(self.packs()), []
        try:
            used = self._used_names()
            if used is None:
                names = self._accepted_names()
            elif (why := self._refuses(names := used)) is not None:
                return Capabilities(many_writers=True, writable=False, warnings=(f"can't be written: {why}",))
        except RemoteDenied as exc:
            return Capabilities(many_writers=True, writable=False, warnings=(f"can't be written: {exc}",))
        if not self._wire.excludes:
            warnings.append(
                f"{self.url}: the server moves refs without a lock (no 'atomic'), so of two who push at once one "
                "would lose a version"
            )
        if names is BRANCHES:
            warnings.append(
                f"{self.url} takes nothing but branches: every plain 'git clone' of it will download the data too; "
                "better use a git repository for the data alone"
            )
        if self._limit and count * PACK_BYTES > _NEAR * self._limit:
            warnings.append(
                f"{self.url} has up to {count * PACK_BYTES / _GB:.1f} GB of data; beyond {self._limit / _GB:.0f} GB "
                "nothing will be pushed, think of a bucket"
            )
        return Capabilities(many_writers=self._wire.excludes, warnings=tuple(warnings))

    def _writing_names(self) -> Names:
        """The names that are in use; where none are, those that the host accepts.  Raises RemoteDenied."""
        with self._lock:
            if self._names is None:
                self._names = self._used_names() or self._accepted_names()
            return self._names

    def _used_names(self) -> Names | None:
        refs = self._wire.refs(*_METAS, *(names.packs for names in ROOTS))
        used = [names for names in ROOTS if names.meta in refs]
        used += [names for names in ROOTS if any(ref.startswith(names.packs) for ref in refs)]
        return used[0] if used else None

    def _accepted_names(self) -> Names:
        why = self._refuses(CUSTOM)
        if why is None:
            return CUSTOM
        again = self._refuses(BRANCHES)
        if again is None:
            return BRANCHES
        raise RemoteDenied(f"{self.url} takes no {CUSTOM.root.decode()} ({why}) and no branch ({again})")

    def _refuses(self, names: Names) -> str | None:
        """Why a ref can't be made and removed; None where it can."""
        blob = whole(BLOB, b"Can this be pushed?\n")
        top = tree([Entry(b"probe", False, blob.id)])
        last = commit(top.id, None, "probe", time=0)
        ref = names.probe(os.urandom(16).hex())
        try:
            self._wire.push(Update(ref, None, last.id), [last, top, blob])
        except Refused as exc:
            return exc.why
        except Moved:  # it arrived, and its reply did not
            pass
        with contextlib.suppress(Refused, Moved, RemoteError):  # some servers can't remove refs; it is tiny
            self._wire.push(Update(ref, last.id, None), [])
        return None

    # -- reading ------------------------------------------------------------------------------------------

    def history(self, known: Known) -> Iterator[Piece]:
        """As :meth:`artvc.remotes.base.Remote.history`; the token is a :class:`_Token`."""
        token = _Token.read(known.token)
        if token is not None and token.number <= known.number:
            try:
                yield from self._pieces(known, token)
                return
            except _Behind:
                pass
        yield from self._pieces(known, None)

    def _pieces(self, known: Known, token: _Token | None) -> Iterator[Piece]:
        """The pieces of a history.

        Args:
            known: what the reader has.
            token: up to where it has everything; None: it may lack anything.

        Raises:
            _Behind: before the first piece: the chain does not go through there.
        """
        have = token.commit if token else None
        with self._wire.fetch(_METAS, lambda refs: _other(refs, have), limits=layout.META_LIMITS, have=have) as fetched:
            names, tip = _chain_of(fetched.refs)
            if tip is None:
                if known.number:
                    raise self._lost(known.number)
                return
            if token is not None and fetched.objects is None:
                if known.number > token.number or (known.number == token.number and known.head not in {None, token.id}):
                    raise self._lost(known.number)
                self._tip = _Tip(names, token)
                yield Piece(PieceKind.TOKEN, 0, None, iter([token.written()]))
                return
            yield from self._new_pieces(known, have, names, fetched)

    def _new_pieces(self, known: Known, have: bytes | None, names: Names, fetched: Fetched) -> Iterator[Piece]:
        objects, tip = fetched.objects, fetched.wanted
        if objects is None or tip is None:
            raise AssertionError("something was wanted")
        try:
            steps = layout.chain(objects, tip, stop=have)
            metadata = _lacking(objects, [step.metadata for step in steps], known.metadata)
            indexes = _lacking(objects, [step.indexes for step in steps], known.indexes)
        except Damaged as exc:
            if have is None:
                raise
            raise _Behind from exc
        if have is not None and (steps[0].parent != have or steps[0].number > known.number + 1):
            raise _Behind
        if steps[-1].number < known.number:
            raise self._lost(known.number)
        last = _Token(tip, steps[-1].number, _id_in(objects, steps[-1]))
        if known.head is not None:
            for step in steps:
                if step.number == known.number and _id_in(objects, step) != known.head:
                    raise self._lost(known.number)
        for step in steps:
            if step.number > known.number:
                yield Piece(PieceKind.TRANSACTION, step.number, None, iter([layout.read_transaction(objects, step)]))
        for kind, lacking in ((PieceKind.METADATA, metadata), (PieceKind.INDEX, indexes)):
            for pack, blob in lacking.items():
                yield Piece(kind, 0, pack, _blob(objects, blob))
        if have is None:
            there = {pack for step in steps for pack in (*step.metadata, *step.indexes)}
            for pack in sorted((known.metadata | known.indexes) - there):
                yield Piece(PieceKind.GONE, 0, pack, iter(()))
        self._tip = _Tip(names, last)
        yield Piece(PieceKind.TOKEN, 0, None, iter([last.written()]))

    def _lost(self, number: int) -> RemoteError:
        return RemoteError(
            f"{self.url} has no transaction {number}, which was there before",
            hint="is it the right place? somebody may have replaced it",
        )

    def packs(self) -> Set[Id]:
        """The data packs that are there."""
        refs = self._wire.refs(*(names.packs for names in ROOTS))
        found = frozenset(pack for names in ROOTS for ref in refs if (pack := names.pack_of(ref)) is not None)
        self._packs = len(found)
        return found

    @contextlib.contextmanager
    def download(self, pack: Id, *, start: int = 0, end: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a data pack, all of which travel.  Raises NotFound."""
        refs = [names.pack(pack) for names in ROOTS]
        with self._wire.fetch(refs, lambda found: _first(found, refs), limits=layout.DATA_LIMITS) as fetched:
            if fetched.objects is None or fetched.wanted is None:
                raise NotFound(f"pack {pack.short} is not in {self.url}")
            yield _cut(layout.pack_blob(fetched.objects, fetched.wanted), start, end)

    # -- writing ------------------------------------------------------------------------------------------

    def upload(self, pack: Upload) -> None:
        """Put a data pack there.

        Raises:
            LimitExceeded: the host would not want that much.
        """
        wanted, objects = layout.data_pack(pack)
        ref = self._writing_names().pack(pack.id)
        self._check_size(pack.size)
        try:
            self._wire.push(Update(ref, None, wanted), objects)
        except Moved as exc:
            if exc.found is None:
                raise RemoteError(f"{self.url} did not keep pack {pack.id.short}", hint="push again") from exc
            if exc.found != wanted:
                raise Damaged(
                    f"{ref.decode()} of {self.url} is not what its name says",
                    hint="remove that ref and push again",
                ) from exc
            return
        except Refused as exc:
            # Two who push the same pack at once: the second finds the ref taken.
            if self._wire.refs(ref).get(ref) != wanted:
                raise self._declined(exc) from exc
        with self._lock:
            self._packs += 1

    def _check_size(self, size: int) -> None:
        total = self._packs * PACK_BYTES + size
        if self._limit and total > self._limit:
            raise LimitExceeded(
                f"{self.url} would have up to {total / _GB:.1f} GB of data, {self._limit / _GB:.0f} GB are its limit",
                hint=f"use a bucket for so much, or set {LIMIT_VARIABLE} to a higher number",
            )

    def publish(self, publication: Publication) -> bool:
        """As :meth:`artvc.remotes.base.Remote.publish`."""
        number = publication.number
        body, _, check = publication.transaction.partition(b"\n")
        if check != transaction_id(body).hex().encode() + b"\n" or len(publication.transaction) > TRANSACTION_BYTES:
            raise Damaged(f"transaction {number} is not whole")
        for _ in range(_ATTEMPTS):
            tip = self._newest()
            last = tip.last if tip else None
            if tip is not None and tip.last.number >= number:
                return self._has(tip, number, transaction_id(body))
            if (last.number if last else 0) + 1 != number or (last.id if last else None) != publication.previous:
                return False
            names = tip.names if tip else self._writing_names()
            old = last.commit if last else None
            new, objects = layout.publication(publication, old)
            try:
                self._wire.push(Update(names.meta, old, new), objects)
            except Moved:
                continue
            except Refused as exc:
                if self._wire.refs(names.meta).get(names.meta) == old:
                    raise self._declined(exc) from exc
                continue
            self._tip = _Tip(names, _Token(new, number, transaction_id(body)))
            return True
        raise RemoteError(f"{self.url}: its log moves all the time", hint="push again")

    def _newest(self) -> _Tip | None:
        """The newest transaction that is there; None where there is none."""
        cached = self._tip.last.commit if self._tip else None
        with self._wire.fetch(
            _METAS,
            lambda refs: _other(refs, cached),
            limits=layout.META_LIMITS,
            have=cached,
            depth=None if cached else 1,
        ) as fetched:
            names, tip = _chain_of(fetched.refs)
            if tip is None:
                self._tip = None
            elif fetched.objects is not None:
                step = layout.chain(fetched.objects, tip, most=1)[0]
                body = layout.read_transaction(fetched.objects, step)
                self._tip = _Tip(names, _Token(tip, step.number, layout.id_of(body)))
        return self._tip

    def _has(self, tip: _Tip, number: int, transaction: Id) -> bool:
        """Whether a transaction is there under a number that is taken."""
        if number == tip.last.number:
            return transaction == tip.last.id
        depth, meta = tip.last.number - number + _ATTEMPTS, tip.names.meta  # others may push meanwhile
        with self._wire.fetch([meta], lambda refs: refs.get(meta), limits=layout.META_LIMITS, depth=depth) as fetched:
            if fetched.objects is None or fetched.wanted is None:
                raise self._lost(number)
            steps = layout.chain(fetched.objects, fetched.wanted, most=depth)
            bodies = [layout.read_transaction(fetched.objects, step) for step in steps if step.number == number]
            return [transaction] == list(map(layout.id_of, bodies))

    def _declined(self, refused: Refused) -> RemoteError:
        return RemoteDenied(f"{self.url} declines the push: {refused.why}", hint="its settings or hooks forbid it")

    def close(self) -> None:
        """End connections."""
        self._wire.close()


def _limit(host: str, environ: Mapping[str, str]) -> int:
    """Bytes of data at which to stop; 0 is none."""
    said = environ.get(LIMIT_VARIABLE, "")
    if not said:
        return _HOST_LIMITS.get(host.lower().removeprefix("www."), 0)
    if not said.isascii() or not said.isdigit() or len(said) > 9:
        raise InvalidInput(f"{LIMIT_VARIABLE} is not a number of gigabytes: {said[:40]!r}")
    return int(said) * _GB


def _chain_of(refs: Mapping[bytes, bytes]) -> tuple[Names, bytes | None]:
    """The names in use, and the newest commit of the chain."""
    for names in ROOTS:
        if names.meta in refs:
            return names, refs[names.meta]
    return CUSTOM, None


def _other(refs: Mapping[bytes, bytes], have: bytes | None) -> bytes | None:
    """The newest commit of the chain, if it is not that one."""
    tip = _chain_of(refs)[1]
    return tip if tip != have else None


def _first(refs: Mapping[bytes, bytes], wanted: Sequence[bytes]) -> bytes | None:
    return next((refs[ref] for ref in wanted if ref in refs), None)


def _lacking(objects: Objects, parts: Sequence[Mapping[Id, bytes]], known: Set[Id]) -> dict[Id, bytes]:
    """The packs that a reader lacks, and their blobs.  Raises Damaged where one of those did not come."""
    found = {pack: blob for part in parts for pack, blob in part.items() if pack not in known}
    for pack, blob in found.items():
        if objects.blob(blob) is None:
            raise Damaged(f"pack {pack.short} did not come")
    return found


def _blob(objects: Objects, blob: bytes) -> Iterator[bytes]:
    data = objects.blob(blob)
    if data is None:
        raise Damaged(f"git blob {blob.decode()} did not come")
    return data


def _cut(pieces: Iterator[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """Bytes from ``start`` to ``end``.  Raises Damaged where there are fewer."""
    at = 0
    for piece in pieces:
        first, last = max(start - at, 0), len(piece) if end is None else min(end - at, len(piece))
        if first < last:
            yield piece[first:last]
        at += len(piece)
        if end is not None and at >= end:
            return
    if start > at or (end is not None and end > at):
        raise Damaged(f"a pack has only {at} bytes")


def _id_in(objects: Objects, step: layout.Step) -> Id:
    """The id of the transaction that a commit of the chain brought."""
    return layout.id_of(layout.read_transaction(objects, step))
