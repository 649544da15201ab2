"""Data that lies elsewhere until it is needed: from a remote's packs into packs of this repository.

The notes about each remote say which of its packs holds a chunk, and where.  Of remotes that give parts of packs only
the needed parts are asked for; of others a pack comes as a whole, and everything in it that is of use is kept, so that
it need not come twice.  Each record is checked, decoded and hashed before it is written.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from typing import Final, NamedTuple

from artvc.errors import ArtvcError, Damaged, NotFound, RemoteError
from artvc.model import merkle
from artvc.model.ids import Id, Kind
from artvc.model.objects import Content, Entry, EntryKind
from artvc.remotes.base import Remote
from artvc.repo import Repository, Version
from artvc.store.fsio import Buffer
from artvc.store.packs import (
    DATA,
    Block,
    PackWriter,
    check_object,
    copied_block,
    decode_record,
    index_places,
)
from artvc.sync.fetching import Advance, fetch
from artvc.sync.tracking import DEFAULT, Tracking, names_of

Open = Callable[[str], Remote]

_GAP: Final = 8 * 1024  # bytes between two wanted parts that are cheaper to read than to ask twice
_PART: Final = 4 * 1024 * 1024  # asked for at once, where a remote gives parts of packs
_BATCH: Final = 512 * 1024  # bytes of records that are checked and handed on together, unless one has more
_BATCHES: Final = 4  # that wait to be written
_LIMIT: Final = 160 * 1024 * 1024  # of one part: a pack has at most 32 MiB unless a single record is larger
_WHOLE: Final = 0.9  # of a pack: from here on all of it is asked for


class _Range(NamedTuple):
    """A part of a pack.

    Attributes:
        pack: its name.
        start, end: the part.
        records: those in it that are wanted: offset in the pack, bytes, base where there is one.
        chunks: ids that are wanted of it.
    """

    pack: str
    start: int
    end: int
    records: tuple[tuple[int, int, bytes | None], ...]
    chunks: frozenset[bytes]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.end - self.start

    def holds(self, some: Set[bytes]) -> bool:
        """Whether one of some chunks is in it."""
        return not self.chunks.isdisjoint(some)


class _Batch(NamedTuple):
    """Records that came.

    Attributes:
        blocks: those that were checked.
        waiting: those that are differences to what is not here yet.
    """

    blocks: list[Block]
    waiting: list[bytes]


class _Stopped(Exception):  # noqa: N818 -- never leaves this file
    """What is asked for is no longer wanted."""


@dataclass(slots=True)
class Brought:
    """What came.

    Attributes:
        chunks: that were missing and are here now.
        bytes: that travelled.
        files_bytes: of all the files that were asked for, those that were here included.
    """

    chunks: int = 0
    bytes: int = 0
    files_bytes: int = 0


class Lender:
    """Brings missing chunks from the remotes of a repository.  Safe to share between threads, not with a fork.

    Args:
        repo: the repository.
        open_remote: opens a remote by its name; called when one is needed first.
        only: names of the remotes to ask, in order; None: all, the default one first.
        jobs: parts to ask for at once.
        planned: called with the bytes that will travel.
        advance: called with bytes that travelled.
    """

    def __init__(
        self,
        repo: Repository,
        open_remote: Open,
        *,
        only: Sequence[str] | None = None,
        jobs: int = 4,
        planned: Callable[[int], None] = lambda _: None,
        advance: Advance = lambda _: None,
    ) -> None:
        self._repo = repo
        self._open_remote = open_remote
        everyone = sorted(names_of(repo), key=lambda name: (name != DEFAULT, name))
        self._names = list(only) if only is not None else everyone
        self._trackings = {name: Tracking(repo, name) for name in self._names}
        self._remotes: dict[str, Remote] = {}
        self._jobs = jobs
        self._planned = planned
        self._advance = advance
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the remotes that were opened."""
        while self._remotes:
            self._remotes.popitem()[1].close()

    def has(self, chunk: bytes) -> bool:
        """Whether a remote is known to have a chunk."""
        return any(tracking.place(chunk) is not None for tracking in self._trackings.values())

    def bring(self, wanted: Iterable[Id]) -> Brought:
        """Bring chunks that are not here.

        Args:
            wanted: ids; those that are here cost nothing.

        Raises:
            NotFound: no remote has one of them.
            RemoteError, RemoteDenied: by a remote, where no other has it; what arrived was kept.
            Damaged: what came is not what it should be; nothing of it was kept.
        """
        with self._lock:  # what two threads miss, the first one brings
            return self._bring(wanted)

    def _bring(self, wanted: Iterable[Id]) -> Brought:
        objects = self._repo.objects
        objects.refresh()
        missing = {one for one in wanted if objects.find(one) is None}
        brought = Brought()
        trouble: ArtvcError | None = None
        for name in self._names:
            if not missing:
                break
            self._trackings[name].refresh()
            there = {one for one in missing if self._trackings[name].place(one) is not None}
            if not there:
                continue
            try:
                self._from(name, there, brought)
            except ArtvcError as exc:
                exc.hint = f"remote {name!r}: {exc.hint or 'it was there when that was looked at last'}"
                trouble = trouble or exc
            objects.refresh()
            missing = {one for one in missing if objects.find(one) is None}
        if missing:
            if trouble is not None:
                raise trouble
            one = min(missing)
            raise NotFound(
                f"chunk {one.short} is not in this repository" + (", nor on its remotes" if self._names else ""),
                hint="'artvc fetch' looks what the remotes have by now" if self._names else None,
            )
        return brought

    def bring_tree(self, trees: Iterable[Entry]) -> Brought:
        """Bring all that some entries of trees consist of.  Raises as :meth:`bring`."""
        entries = list(trees)
        brought = self.bring(_chunks(self._repo, entries))
        brought.files_bytes = sum(one.size for one in entries)
        return brought

    # -- one remote ---------------------------------------------------------------------------------------

    def _from(self, name: str, wanted: set[Id], brought: Brought) -> None:
        tracking = self._trackings[name]
        remote = self._remote(name)
        try:
            self._from_known(remote, tracking, wanted, brought)
        except NotFound:
            # A gc or repack there may have put it elsewhere since the remote was looked at.
            fetch(self._repo, tracking, remote)
            self._repo.objects.refresh()
            find = self._repo.objects.find
            wanted = {one for one in wanted if find(one) is None and tracking.place(one) is not None}
            self._from_known(remote, tracking, wanted, brought)

    def _from_known(self, remote: Remote, tracking: Tracking, wanted: set[Id], brought: Brought) -> None:
        if not remote.ranged:
            wanted = self._all_of_their_packs(tracking, wanted)
        bases = {base for base in self._bases(tracking, wanted) if self._repo.objects.find(base) is None}
        self._take(remote, tracking, wanted, bases, brought)

    def _remote(self, name: str) -> Remote:
        if name not in self._remotes:
            self._remotes[name] = self._open_remote(name)
        return self._remotes[name]

    def _bases(self, tracking: Tracking, wanted: Iterable[Id]) -> Iterator[Id]:
        for one in wanted:
            place = tracking.place(one)
            base = tracking.end(place.pack).bases.get(one) if place is not None else None
            if base is not None:
                yield Id(base)

    def _all_of_their_packs(self, tracking: Tracking, wanted: set[Id]) -> set[Id]:
        """What packs that come as a whole have besides, if it can be used without further packs."""
        packs = {place.pack for one in wanted if (place := tracking.place(one)) is not None}
        found = set(wanted)
        for pack in packs:
            end = tracking.end(pack)
            for raw, place in index_places(pack, end.entries):
                base = end.bases.get(raw)
                at = tracking.place(base) if base is not None else None
                near = base is None or self._repo.objects.find(base) is not None or (at and at.pack in packs)
                if near and place.kind == Kind.CHUNK and self._repo.objects.find(raw) is None:
                    found.add(Id(raw))
        return found

    def _take(self, remote: Remote, tracking: Tracking, wanted: set[Id], bases: set[Id], brought: Brought) -> None:
        """Bring chunks, and the bases that they are stored as differences to."""
        parts = list(_ranges(tracking, wanted | bases, ranged=remote.ranged))
        self._planned(sum(part.size for part in parts))
        # A base is stored whole, so two turns will do: what has bases, then what is made with them.
        needed = {base for part in parts for _, _, base in part.records if base is not None}
        self._take_parts(remote, [part for part in parts if part.holds(needed)])
        self._take_parts(remote, [part for part in parts if not part.holds(needed)])
        brought.chunks += len(wanted | bases)
        brought.bytes += sum(part.size for part in parts)

    def _take_parts(self, remote: Remote, parts: Sequence[_Range]) -> None:
        """Bring parts, and make what is in them durable and found."""
        if not parts:
            return
        with contextlib.closing(_Keeper(self._repo)) as keeper, contextlib.closing(_Waiting(self._repo)) as later:
            try:
                with contextlib.closing(self._fetched(remote, parts)) as batches:
                    for batch in batches:
                        keeper.keep(batch.blocks)
                        later.put(batch.waiting)
            except (RemoteError, NotFound):
                keeper.seal()  # what arrived need not come again
                raise
            keeper.seal()
            if later:  # deltas that came before what they are differences to
                for record in later:
                    keeper.keep([self._checked(record)])
                keeper.seal()

    def _fetched(self, remote: Remote, parts: Sequence[_Range]) -> Generator[_Batch]:
        """Ask for several parts at once; what came, as it comes.

        All that came before a failure is given before it is raised.
        """
        handed = Queue[_Batch | None](_BATCHES)
        stop = threading.Event()
        left, lock = iter(parts), threading.Lock()

        def put(batch: _Batch) -> None:
            handed.put(batch)
            if stop.is_set():
                raise _Stopped

        def work() -> None:
            try:
                while not stop.is_set():
                    with lock:
                        part = next(left, None)
                    if part is None:
                        return
                    self._fetch(remote, part, put, stop)
            except BaseException:
                stop.set()
                raise
            finally:
                handed.put(None)

        workers = max(1, min(self._jobs, len(parts)))
        with ThreadPoolExecutor(workers, "artvc-fetch") as pool:
            futures = [pool.submit(work) for _ in range(workers)]
            working = workers
            try:
                while working:
                    batch = handed.get()
                    if batch is None:
                        working -= 1
                    else:
                        yield batch
            finally:
                stop.set()
                while working:  # those that wait to hand something over
                    working -= handed.get() is None
        failures = [failure for future in futures if (failure := future.exception()) is not None]
        for failure in failures:
            if not isinstance(failure, _Stopped):
                raise failure

    def _fetch(self, remote: Remote, part: _Range, put: Callable[[_Batch], None], stop: threading.Event) -> None:
        """Ask for a part of a pack, check the records that are wanted and hand them on while more comes.

        Args:
            remote: whom to ask.
            part: what for.
            put: called with the records that came.
            stop: set when nothing more is wanted.
        """
        where = f"pack {part.pack[:12]} of {remote.url}"
        if part.size > _LIMIT:
            raise Damaged(f"{where} has {part.size} bytes at once, more than {_LIMIT}")
        left = deque(part.records)
        buffer, start = bytearray(), part.start  # what came and was not handed on, and where that begins
        with remote.download(Id.parse(part.pack), start=part.start, end=part.end) as pieces:
            for piece in pieces:
                buffer += piece
                self._advance(len(piece))
                if start + len(buffer) > part.end:
                    raise Damaged(f"{remote.url} sent more of pack {part.pack[:12]} than was asked for")
                if stop.is_set():
                    raise _Stopped
                if len(buffer) >= _BATCH:
                    start, buffer = self._hand_on(where, left, start, buffer, put)
        start, buffer = self._hand_on(where, left, start, buffer, put)
        if start + len(buffer) != part.end:
            came = start + len(buffer) - part.start
            raise Damaged(f"{remote.url} sent {came} bytes of pack {part.pack[:12]} instead of {part.size}")

    def _hand_on(
        self,
        where: str,
        left: deque[tuple[int, int, bytes | None]],
        start: int,
        buffer: bytearray,
        put: Callable[[_Batch], None],
    ) -> tuple[int, bytearray]:
        """Check the records that are in a buffer as a whole, and hand them on.

        Args:
            where: for messages.
            left: records that are wanted and were not handed on, by offset; those that are there are taken off.
            start: of the buffer in the pack.
            buffer: what came.
            put: called with the records.

        Returns:
            Start and bytes of what is left in the buffer.
        """
        batch, end = _Batch([], []), start
        view = memoryview(buffer)  # of which the blocks have parts
        while left and left[0][0] + left[0][1] <= start + len(buffer):
            offset, length, base = left.popleft()
            end = offset + length
            record = view[offset - start : end - start]
            if base is not None and self._repo.objects.find(base) is None:
                batch.waiting.append(bytes(record))
                continue
            try:
                batch.blocks.append(self._checked(record))
            except (Damaged, NotFound) as exc:
                raise Damaged(f"{where} is damaged at byte {offset}: {exc.message}") from exc
        if end > start:
            put(batch)
            buffer = buffer[end - start :]
        else:
            view.release()
        # What lies before the next one is not wanted; nothing is where none is left.
        unwanted = min(max(left[0][0] - end, 0), len(buffer)) if left else len(buffer)
        del buffer[:unwanted]
        return end + unwanted, buffer

    def _checked(self, record: Buffer) -> Block:
        """A record whose objects all hash to their ids.

        Raises:
            Damaged, NotFound: it is not sound, or what it is a difference to is not here.
        """
        block = copied_block(record)
        members, data = decode_record(record, self._repo.objects.base)
        at = 0
        for kind, raw, size in members:
            if kind != Kind.CHUNK:
                raise Damaged(f"a {kind.word} among data")
            check_object(kind, raw, memoryview(data)[at : at + size])
            at += size
        return block


class _Keeper:
    """Writes records into new packs of the repository."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._packs = str(repo.dir / "packs")
        self._writer: PackWriter | None = None

    def keep(self, blocks: Iterable[Block]) -> None:
        """Append records, none of which is there yet."""
        for block in blocks:
            if self._writer is not None and not self._writer.fits(block):
                self._name()
            if self._writer is None:
                self._writer = PackWriter(self._repo.disk, str(self._repo.dir / "tmp"), DATA)
            self._writer.append(block)
        if self._writer is not None:
            self._writer.flush()

    def _name(self) -> None:
        if self._writer is not None:
            self._writer.seal(self._packs).close()
            self._writer = None

    def seal(self) -> None:
        """Make all that was kept durable, and found."""
        self._name()
        self._repo.disk.fsync_dir(self._packs)
        self._repo.objects.refresh()

    def close(self) -> None:
        """Drop what was not sealed."""
        if self._writer is not None:
            self._writer.abort()


class _Waiting:
    """Records whose bases are not here yet, in a file."""

    def __init__(self, repo: Repository) -> None:
        self._disk = repo.disk
        self._tmp = str(repo.dir / "tmp")
        self._sizes: list[int] = []
        self._path = ""
        self._fd = -1

    def put(self, records: Iterable[bytes]) -> None:
        """Keep some for later."""
        for record in records:
            if not self._sizes:
                self._path, self._fd = self._disk.open_temporary(self._tmp)
            self._sizes.append(len(record))
            self._disk.write(self._fd, [record])

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        for size in self._sizes:
            yield self._disk.read_at(self._fd, size, at)
            at += size

    def close(self) -> None:
        """Drop the file."""
        if self._sizes:
            self._disk.close(self._fd)
            self._disk.discard(self._path)


def _ranges(tracking: Tracking, wanted: set[Id], *, ranged: bool) -> Iterator[_Range]:
    """The parts of packs to ask for, in the order of packs."""
    by_pack: dict[str, dict[int, tuple[int, set[bytes]]]] = {}
    for one in wanted:
        place = tracking.place(one)
        if place is not None:
            _, ids = by_pack.setdefault(place.pack, {}).setdefault(place.offset, (place.length, set()))
            ids.add(one)
    for pack in sorted(by_pack):
        end = tracking.end(pack)
        records = [
            (offset, length, next((end.bases[one] for one in ids if one in end.bases), None))
            for offset, (length, ids) in sorted(by_pack[pack].items())
        ]
        chunks = [ids for _, (_, ids) in sorted(by_pack[pack].items())]
        if not ranged:
            yield _Range(pack, 0, end.size, tuple(records), frozenset().union(*chunks))
            continue
        gap = end.size if sum(length for _, length, _ in records) >= _WHOLE * end.size else _GAP
        first = 0
        for number in range(1, len(records) + 1):
            start, stop = records[first][0], records[number - 1][0] + records[number - 1][1]
            if number < len(records):
                offset, length, _ = records[number]
                if offset - stop <= gap and offset + length - start <= _PART:
                    continue
            yield _Range(pack, start, stop, tuple(records[first:number]), frozenset().union(*chunks[first:number]))
            first = number


def _chunks(repo: Repository, entries: Iterable[Entry]) -> Iterator[Id]:
    """The chunks that entries of trees consist of."""
    get = repo.objects.get
    for entry in entries:
        if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
            files: Iterable[Entry] = (one for _, one in merkle.walk(entry.id, get))
        else:
            files = [entry]
        for one in files:
            if one.is_file and one.id is not None:
                yield from (piece.id for piece in merkle.slices(Content(one.kind, one.id, one.size), get))


def entries_of(repo: Repository, version: Version, paths: Sequence[str] = ()) -> list[Entry]:
    """The entries that stand for a version, or for some paths of it.  Raises NotFound."""
    return [repo.entry(version, path) for path in paths or [""]]
