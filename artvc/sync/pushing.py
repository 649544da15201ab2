"""Sending what a remote lacks: data packs first, then everything else at once.

A push begins by fetching and merging, so that it never overwrites what others pushed.  Packs of this repository go as
they are where the remote may have all that is in them; of others only what the pushed refs lead to is taken, so that
what was deleted or belongs to nobody stays at home.  Cut off anywhere, a push is simply repeated: what arrived is not
sent again, and what was not published does not count.
"""

import contextlib
import os
import random
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from artvc.errors import Conflict, Damaged, NotFound, RemoteError
from artvc.model.ids import Id, Kind
from artvc.model.merkle import Get
from artvc.model.names import version_number
from artvc.model.objects import JsonObject
from artvc.model.reach import Reach
from artvc.remotes.base import Publication, Remote, Upload
from artvc.repo import Repository
from artvc.store import writers
from artvc.store.packs import (
    DATA,
    MEMBERS,
    META,
    PACK_SUFFIX,
    Block,
    Member,
    Pack,
    PackWriter,
    Place,
    copied_block,
    encode_block,
    index_places,
)
from artvc.store.refs import RefEdit, RefState, encode_checkpoint, encode_transaction, read_transaction
from artvc.sync.fetching import Advance, fetch, settle_lost_reply
from artvc.sync.joining import difference, take_over
from artvc.sync.merging import Renumbered
from artvc.sync.tracking import Tracking

_NAMED: Final = ("artifact", "commit", "id")  # keys of what a ref keeps, with all that it needs
_ATTEMPTS: Final = 100  # of others who were first each time
_PAUSE: Final = 0.01  # seconds, before the second attempt; at most twice as much before each further one
_LONGEST: Final = 2.0
_FLIGHT: Final = 64 * 1024 * 1024  # bytes of packs that are sent at once, unless one has more
_SOLID: Final = 256 * 1024
_CHECKPOINT_EVERY: Final = 64  # transactions; of many names, so rarely that checkpoints stay small beside the log


@dataclass(slots=True, kw_only=True)
class Pushed:
    """What a push did, or would do.

    Attributes:
        edits: the names that it changed on the remote.
        pulled: the names that it brought here, for others had changed them.
        renumbered: our versions that got other numbers, because others had theirs.
        objects: metadata objects and chunks that were sent.
        packs, bytes: that were sent; packs that an earlier push had left there don't count.
        versions_bytes: of the files of all versions that were pushed, as they are without being stored once and packed.
    """

    edits: tuple[RefEdit, ...] = ()
    pulled: tuple[RefEdit, ...] = ()
    renumbered: list[Renumbered] = field(default_factory=list)
    objects: int = 0
    packs: int = 0
    bytes: int = 0
    versions_bytes: int = 0


def push(
    repo: Repository,
    tracking: Tracking,
    remote: Remote,
    *,
    now: Callable[[], str],
    who: str,
    settled: Mapping[str, str],
    dry_run: bool = False,
    jobs: int = 4,
    planned: Callable[[int], None] = lambda _: None,
    advance: Advance = lambda _: None,
) -> Pushed:
    """Bring a remote up to what this repository has.

    Args:
        repo: this repository.
        tracking: the notes about the remote.
        remote: the remote.
        now, who: for the ref logs of both.
        settled: what becomes of aliases that both sides moved, see :func:`artvc.sync.merging.merge`.
        dry_run: only say what would be sent.
        jobs: packs to send at once.
        planned: called with the bytes of data that will be sent.
        advance: called with bytes of data that were sent.

    Raises:
        Conflict: an alias was moved on both sides; nothing was changed.
        NotFound: data that the remote lacks is not here either.
        RemoteError, RemoteDenied: by the remote; what arrived is not sent again.
        Damaged: what is to be sent, or what the remote has, is not sound.
    """
    report = Pushed()
    for attempt in range(_ATTEMPTS):
        if attempt:  # a crowd that tries again at once does all its work in vain, but for one
            time.sleep(random.uniform(0, min(_LONGEST, _PAUSE * 2.0**attempt)))
        leftovers = _leftovers(repo, tracking)
        _, joined = take_over(
            repo, tracking, remote, now=now, who=who, why=f"merge {tracking.name}", settled=settled, dry_run=dry_run
        )
        report.pulled += joined.edits
        report.renumbered = _chained(report.renumbered, joined.renumbered)
        theirs = joined.theirs
        edits = difference(theirs.refs, joined.refs)
        if not edits:
            for pack in leftovers:
                tracking.drop_sent(pack)
            return report
        with _Shipment(repo, tracking, theirs) as shipment:
            shipment.collect(edits)
            report.edits = tuple(edits)
            report.versions_bytes = _versions_bytes(repo, edits)
            report.objects = shipment.objects
            if dry_run:
                report.packs, report.bytes = shipment.estimate()
                return report
            arrived = shipment.arrived_packs(remote)
            data = shipment.data_packs()
            sent = _upload(remote, data, jobs=jobs, planned=planned, advance=advance)
            data += arrived
            report.packs += len(sent)
            report.bytes += sum(one.size for one in sent)
            if _publish(repo, tracking, theirs, remote, edits, data, shipment.metadata_packs(), now=now(), who=who):
                report.bytes += sum(one.size for one in shipment.metadata_packs())
                return report
    raise Conflict(f"others pushed to {remote.url} all the time, {_ATTEMPTS} times in a row", hint="push again")


def _versions_bytes(repo: Repository, edits: Sequence[RefEdit]) -> int:
    """Bytes of the files of the versions that some edits make."""
    found = [edit.new.get("artifact") for edit in edits if edit.old is None and edit.new is not None]
    return sum(repo.artifact(Id.parse(one)).size for one in found if isinstance(one, str))


def _chained(before: Sequence[Renumbered], after: Sequence[Renumbered]) -> list[Renumbered]:
    """What two renumberings, one after the other, come to."""
    then = {(one.project, one.name, one.old): one.new for one in after}
    found = [one._replace(new=then.pop((one.project, one.name, one.new), one.new)) for one in before]
    return found + [Renumbered(*key, new) for key, new in then.items()]


def _leftovers(repo: Repository, tracking: Tracking) -> Set[Id]:
    """Packs that workers put there, which are for nothing once the remote has every name that is here.

    What a commit under way had sent is not among them, for its names are not here yet.
    """
    return frozenset() if writers.began(repo.disk, str(repo.dir)) else tracking.sent()


def _upload(
    remote: Remote,
    packs: Sequence[Upload],
    *,
    jobs: int,
    planned: Callable[[int], None],
    advance: Advance,
) -> list[Upload]:
    """Send the data packs that are not there; returns them."""
    there = remote.packs() if packs else frozenset()
    lacking = [one for one in packs if one.id not in there]
    planned(sum(one.size for one in lacking))

    def send(pack: Upload) -> None:
        remote.upload(pack)
        advance(pack.size)

    # A bucket's client holds a pack in memory while it sends it.
    left, waiting, flying = deque(lacking), deque[tuple[int, Future[None]]](), 0
    with ThreadPoolExecutor(max(1, min(jobs, len(lacking) or 1)), "artvc-push") as pool:
        try:
            while left or waiting:
                while left and len(waiting) < jobs and (not waiting or flying + left[0].size <= _FLIGHT):
                    one = left.popleft()
                    flying += one.size
                    waiting.append((one.size, pool.submit(send, one)))
                size, future = waiting.popleft()
                future.result()
                flying -= size
        finally:
            for _, future in waiting:
                future.cancel()
    return lacking


def _publish(
    repo: Repository,
    tracking: Tracking,
    theirs: RefState,
    remote: Remote,
    edits: Sequence[RefEdit],
    data: Sequence[Upload],
    metadata: Sequence[Upload],
    *,
    now: str,
    who: str,
) -> bool:
    """Make it count; False: somebody else was first."""
    number = theirs.number + 1
    transaction = encode_transaction(theirs, edits, time=now, who=who, why="push")
    previous = theirs.head
    theirs.fold(read_transaction(number, transaction))
    publication = Publication(
        number=number,
        transaction=transaction,
        previous=previous,
        metadata=metadata,
        indexes=data,
        checkpoint=encode_checkpoint(theirs) if _is_checkpoint_due(theirs) else None,
    )
    try:
        if not remote.publish(publication):
            return False
    except RemoteError:
        # The answer may have been lost, and not the push: what the remote has says which.
        fetch(repo, tracking, remote)
        if not settle_lost_reply(tracking, number, transaction):
            raise
    else:
        for pack in metadata:
            tracking.take_index(pack.id, pack.index, metadata=True)
        for pack in data:
            tracking.take_index(pack.id, pack.index, metadata=False)
        with contextlib.suppress(Damaged):  # another process began the notes anew: they will come
            tracking.accept(number, transaction)
        tracking.took(None)
    _published(tracking, data)
    tracking.agree(theirs)
    return True


def _is_checkpoint_due(state: RefState) -> bool:
    """Whether readers should find all names at this transaction; the same for whoever pushes it."""
    every = _CHECKPOINT_EVERY
    while every < len(state.refs) // 64:
        every *= 2
    return state.number % every == 0


def _published(tracking: Tracking, packs: Sequence[Upload]) -> None:
    """What workers sent is no longer to be remembered for the next push."""
    for pack in packs:
        tracking.drop_sent(pack.id)


class _There(Container[bytes]):
    """The objects that the remote's names keep.

    What is there by accident, with no name that keeps it, may be collected there at any time.  Not all that names lead
    to is looked at for that: what the remote does not have at all is out of the question, and what it has is looked
    for in the versions nearest to what is pushed first.

    Args:
        get: reads an object.
        tracking: the notes about the remote; what they don't have is sent.
        theirs: the remote's names.
        edits: what is pushed.
    """

    def __init__(self, get: Get, tracking: Tracking, theirs: RefState, edits: Sequence[RefEdit]) -> None:
        self._tracking = tracking if tracking.exists else None
        self._reach = Reach(get, lenient=True)  # of names that were removed here, something may be gone
        self._left = _nearest_first(theirs, {_group(edit.name) for edit in edits})
        words = [word for value in theirs.refs.values() for word in map(value.get, _NAMED) if isinstance(word, str)]
        self._named = {bytes(Id.parse(word)) for word in words}

    def __contains__(self, wanted: object) -> bool:
        if wanted in self._reach or wanted in self._named:
            return True
        if self._tracking is None or not isinstance(wanted, bytes) or not self._tracking.published(wanted):
            return False
        for name, value in self._left:
            self._reach.add(name, value)
            if wanted in self._reach:
                return True
        return False


def _group(ref: str) -> str:
    """The artifact whose version a ref is; the project whose run it is."""
    return ref.rpartition("/")[0]


def _nearest_first(refs: RefState, near: Set[str]) -> Iterator[tuple[str, JsonObject]]:
    """Refs, those first that may well keep what is looked for: the newest of some groups in turn, then the rest."""
    groups: dict[str, list[str]] = {}
    for ref in refs.refs:
        groups.setdefault(_group(ref), []).append(ref)
    for found in groups.values():
        found.sort(key=lambda ref: version_number(ref.rpartition("/")[2]) or 0)
    lists = [groups.pop(name) for name in sorted(near & groups.keys())]
    while lists:
        for one in lists:
            ref = one.pop()
            yield ref, refs.refs[ref]
        lists = [one for one in lists if one]
    for found in groups.values():
        for ref in reversed(found):
            yield ref, refs.refs[ref]


class _Shipment:
    """What is to be sent, and the packs that are made for it."""

    def __init__(self, repo: Repository, tracking: Tracking, theirs: RefState) -> None:
        self._repo = repo
        self._disk = repo.disk
        self._tracking = tracking
        self._theirs = theirs
        self._tmp = str(repo.dir / "tmp")
        self._chunks: dict[bytes, Place] = {}
        self._there: Container[bytes] = frozenset()
        self._arrived: set[bytes] = set()
        self._members: list[tuple[Member, bytes]] = []
        self._writers: dict[int, PackWriter] = {}
        self._made: dict[int, list[Upload]] = {DATA: [], META: []}
        self._paths: list[str] = []
        self._size = 0
        self.objects = 0

    def __enter__(self) -> "_Shipment":
        return self

    def __exit__(self, *exc: object) -> None:
        for writer in self._writers.values():
            writer.abort()
        for path in self._paths:
            self._disk.discard(path)

    def collect(self, edits: Sequence[RefEdit]) -> None:
        """Find what the new refs lead to and the remote lacks; metadata is packed on the way.

        Raises:
            NotFound, Damaged: it is not here, or not sound.
        """
        there = self._there = _There(self._get, self._tracking, self._theirs, edits)
        needed = Reach(self._get, known=there)
        for edit in edits:
            if edit.new is not None:
                needed.add(edit.name, edit.new)
        for chunk in needed.chunks:
            if chunk in there:
                continue
            place = self._place(chunk)
            if place is None:
                self._arrived.add(chunk)
            else:
                self._chunks[chunk] = place
        metadata = {one for one in needed.objects if one not in there}
        for wanted in sorted(metadata):
            place = self._repo.objects.find(wanted)
            if place is None:
                raise NotFound(f"object {wanted.hex()[:12]} was here just now and is gone", hint="push again")
            kind = Kind(place.kind)
            data = self._repo.objects.get(kind, Id(wanted))
            self._members.append((Member(kind, wanted, len(data)), data))
            self._size += len(data)
            if self._size >= _SOLID or len(self._members) >= MEMBERS:
                self._flush_metadata()
        self._flush_metadata()
        self.objects = len(metadata) + len(self._chunks) + len(self._arrived)

    def _get(self, kind: Kind, wanted: Id) -> bytes:
        return self._repo.objects.get(kind, wanted)

    def _place(self, chunk: bytes) -> Place | None:
        """Where a chunk is here; None where it is on the remote, though no name there keeps it yet."""
        place = self._repo.objects.find(chunk)
        if place is None and self._tracking.place(chunk) is not None:
            return None
        if place is None:
            raise NotFound(
                f"chunk {chunk.hex()[:12]} is neither here nor on {self._tracking.name}",
                hint="another remote may have it: 'artvc pull --all REMOTE' brings it here",
            )
        return place

    def _flush_metadata(self) -> None:
        if self._members:
            members = [member for member, _ in self._members]
            self._append(META, encode_block(members, b"".join(data for _, data in self._members)))
        self._members, self._size = [], 0

    def _append(self, content: int, block: Block) -> None:
        writer = self._writers.get(content)
        if writer is not None and not writer.fits(block):
            self._seal(content)
            writer = None
        if writer is None:
            writer = self._writers[content] = PackWriter(self._disk, self._tmp, content)
        writer.append(block)
        writer.flush()

    def _seal(self, content: int) -> None:
        writer = self._writers.pop(content, None)
        if writer is None:
            return
        pack = writer.seal(self._tmp)
        self._paths.append(pack.path)
        try:
            self._made[content].append(self._as_upload(pack))
        finally:
            pack.close()

    def _as_upload(self, pack: Pack) -> Upload:
        path = pack.path

        def open_again() -> BinaryIO:
            return os.fdopen(self._disk.open_read(path), "rb")

        return Upload(id=Id.parse(pack.name), size=pack.size(), open=open_again, index=pack.end())

    def estimate(self) -> tuple[int, int]:
        """Packs and bytes of data that would be sent, nearly: records are counted whole."""
        records = {(place.pack, place.offset): place.length for place in self._chunks.values()}
        return len({pack for pack, _ in records}), sum(records.values())

    def metadata_packs(self) -> list[Upload]:
        """The metadata packs."""
        self._seal(META)
        return self._made[META]

    def data_packs(self) -> list[Upload]:
        """The data packs: ours where the remote may have all that is in them, else new ones."""
        by_pack: dict[str, set[bytes]] = {}
        for chunk, place in self._chunks.items():
            by_pack.setdefault(place.pack, set()).add(chunk)
        found = []
        for name in sorted(by_pack):
            with contextlib.closing(self._open(name)) as pack:
                if self._may_have_all(pack):
                    found.append(self._as_upload(pack))
                else:
                    self._copy(pack, by_pack[name])
        self._seal(DATA)
        return found + self._made[DATA]

    def arrived_packs(self, remote: Remote) -> list[Upload]:
        """The data packs that workers put there, of which something is needed; their index is to be published.

        Raises:
            NotFound: the remote lost one.
        """
        places = {chunk: self._tracking.place(chunk) for chunk in self._arrived}
        names = {place.pack for place in places.values() if place is not None}
        for chunk, place in places.items():
            base = self._tracking.end(place.pack).bases.get(chunk) if place is not None else None
            near = self._tracking.place(base) if base is not None else None
            if near is not None:
                names.add(near.pack)
        there = remote.packs() if names else frozenset()
        return [self._arrived_pack(name, there) for name in sorted(names)]

    def _arrived_pack(self, name: str, there: Set[Id]) -> Upload:
        pack = Id.parse(name)
        if pack not in there:
            raise NotFound(
                f"pack {pack.short} is neither here nor on {self._tracking.name}, where workers had put it",
                hint="commit the files again",
            )

        def nothing() -> BinaryIO:
            raise NotFound(f"pack {pack.short} is not here")

        return Upload(id=pack, size=self._tracking.end(name).size, open=nothing, index=self._tracking.raw_end(name))

    def _open(self, name: str) -> Pack:
        return Pack.open(self._disk, os.path.join(str(self._repo.dir / "packs"), name + PACK_SUFFIX))

    def _goes_or_is_there(self, chunk: bytes) -> bool:
        return chunk in self._chunks or chunk in self._there or chunk in self._arrived

    def _may_have_all(self, pack: Pack) -> bool:
        return all(map(self._goes_or_is_there, pack.ids())) and all(
            self._goes_or_is_there(base) for _, base in pack.bases()
        )

    def _copy(self, pack: Pack, wanted: set[bytes]) -> None:
        """Copy the records of some chunks into a new pack."""
        bases = dict(pack.bases())
        records: dict[int, list[tuple[bytes, Place]]] = {}
        for raw, place in index_places(pack.name, pack.index()):
            records.setdefault(place.offset, []).append((raw, place))
        for offset in sorted(records):
            members = records[offset]
            kept = [raw for raw, _ in members if raw in wanted]
            if not kept:
                continue
            whole = all(self._goes_or_is_there(raw) for raw, _ in members)
            if whole and all(raw not in bases or self._goes_or_is_there(bases[raw]) for raw in kept):
                self._append(DATA, copied_block(pack.record(offset, members[0][1].length)))
                continue
            data = [self._repo.objects.get(Kind.CHUNK, Id(raw)) for raw in kept]
            block = [Member(Kind.CHUNK, raw, len(one)) for raw, one in zip(kept, data, strict=True)]
            self._append(DATA, encode_block(block, b"".join(data)))
