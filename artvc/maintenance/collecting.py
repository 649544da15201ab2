"""gc: what no name reaches goes, in two steps, and never what somebody needs.

Theory.  The unit is the pack.  A pack of which the names need nothing is *condemned*: commits rely on it no more, but
it can be read, and is pardoned when a name needs it again.  After the grace period it is *deleted*.  A pack that is
partly dead is written anew without its dead objects, and then condemned too.

Nothing is deleted by the word of a clock or a lock.  To delete, gc dooms packs (a durable mark), looks once more at all
names, marks and packs, and makes an empty transaction of the ref log on exactly the state that it looked at; only
then it unlinks.  A commit looks at the marks between reading the state and making its own transaction.  One of the
two comes first in the log: if that is the commit, gc has to look again and sees what it names; if it is gc, the commit
has to look again and sees the marks.  Two gcs at once see each other's marks in the same way.

The grace period is for what is outside the log: a reader, an undo, an intake that goes on for days.
"""

import contextlib
import datetime
import json
import os
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Final

from artvc import provenance
from artvc.errors import ArtvcError, Conflict, Damaged, InvalidInput, NotFound, StorageError, StorageFull
from artvc.model.ids import Id, Kind
from artvc.model.reach import Reach
from artvc.repo import Repository
from artvc.store import writers
from artvc.store.packs import Place
from artvc.store.refs import RefEdit, RefLog, RefState
from artvc.store.rewrite import Rewriter

GRACE: Final = 14 * 24 * 3600
FRESH: Final = 24 * 3600  # what a killed commit left is there for the next one
LEFTOVER_AGE: Final = 3600
REWRITE_ABOVE: Final = 0.3
STAT_CACHES: Final = 1000
_NOTE_BYTES: Final = 64 * 1024 * 1024
_NS: Final = 1_000_000_000
_NOTES: Final = ("run.json", "state.json")

Drop = Callable[[Id], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class GcRequest:
    """What ``artvc gc`` is asked to do.

    Attributes:
        grace: seconds between condemning and deleting, and for which removed names keep what they named.
        dry_run: only say what would be done.
        drop: asked for each chunk that names need; True: it need not be kept here, nor be here, because it can be had
            elsewhere for sure.  None: keep all.  A chunk that is the base of one that stays is kept in any case.
        absent: asked for each chunk that names need and that is not here; True: that is no damage, a remote has it.
    """

    grace: int = GRACE
    dry_run: bool = False
    drop: Drop | None = None
    absent: Drop | None = None

    def __post_init__(self) -> None:
        if self.grace < 0:
            raise InvalidInput(f"a grace period of {self.grace} seconds")


@dataclass(slots=True, kw_only=True)
class GcReport:
    """What gc did, or would do.

    Attributes:
        deleted, freed: packs that are gone, and their bytes.
        condemned, waiting: packs condemned now; bytes of all packs that are condemned and not deleted.
        due: when the first of them may be deleted; "" where none waits.
        pardoned: packs that were condemned and are needed again.
        rewritten, copied: packs written anew without their dead parts; bytes of the new ones.
        writers: commits in flight that packs wait for.
        leftovers: temporary files of dead processes that were removed.
        cached: bytes of caches that were removed.
        kept, bytes: packs that stay, and their bytes.
        full: there was no room to write packs anew; the dead ones were deleted.
    """

    deleted: int = 0
    freed: int = 0
    condemned: int = 0
    waiting: int = 0
    due: str = ""
    pardoned: int = 0
    rewritten: int = 0
    copied: int = 0
    writers: int = 0
    leftovers: int = 0
    cached: int = 0
    kept: int = 0
    bytes: int = 0
    full: bool = False


@dataclass(slots=True)
class Use:
    """How much of a pack is needed.

    Attributes:
        size: bytes of its file.
        now: objects that present names need from it.
        live, dead: bytes of records that names, removed ones included, need from it, and of the others.
    """

    size: int
    now: int = 0
    live: float = 0.0
    dead: float = 0.0


def gc(repo: Repository, request: GcRequest, *, now: str, advance: Callable[[int], None] = lambda _: None) -> GcReport:
    """Delete what no name reaches.

    Args:
        repo: the repository.
        request: how.
        now: the time.
        advance: called with the bytes of packs looked at and of records copied.

    Raises:
        Damaged: a name, a pack or an object can't be read; nothing was deleted.
        Conflict: another gc got in the way, where locks do nothing.
        StorageFull, StorageError: the disk; what is needed is there in any case.
    """
    with alone(repo, request.dry_run):
        collection = Collection(repo, request, now, advance)
        try:
            collection.look()
            if not request.dry_run:
                collection.sweep()
        except FileNotFoundError as exc:
            raise Conflict(f"another gc is at work here: {exc.filename} is gone", hint="try again later") from exc
        return collection.report


@contextlib.contextmanager
def alone(repo: Repository, dry_run: bool) -> Iterator[None]:
    """One gc after the other, where locks work: two at once do the same work twice, and no harm."""
    if dry_run:
        yield
        return
    with repo.disk.lock(str(repo.dir / "locks" / "gc"), exclusive=True):
        yield


class Needed:
    """What has to stay: what names reach, and the bases of all deltas that stay.

    Args:
        repo: the repository.
        drop, absent: as in :class:`GcRequest`.
    """

    def __init__(self, repo: Repository, drop: Drop | None = None, absent: Drop | None = None) -> None:
        self._repo = repo
        self._drop = drop
        self._absent = absent or (lambda _: False)
        self._seen: set[str] = set()
        self._bases: set[bytes] = set()
        self.deltas: dict[str, set[bytes]] = {}
        self.names = Reach(repo.objects.get)
        self.removed = Reach(self._get_if_there, known=self.names, lenient=True)

    def _get_if_there(self, kind: Kind, wanted: Id) -> bytes:
        """As ``get``, without looking everywhere for what is known to be gone."""
        if self._repo.objects.find(wanted) is None:
            raise NotFound(f"{kind.word} {wanted.short} is gone")
        return self._repo.objects.get(kind, wanted)

    def add_state(self, state: RefState) -> None:
        """What present names need; later states add to it.  Raises Damaged: it is not all there."""
        try:
            for name, value in state.refs.items():
                self.names.add(name, value)
        except NotFound as exc:
            raise Damaged(f"{exc.message}; nothing was deleted", hint="'artvc fsck' says what is affected") from exc

    def add_removed(self, edits: Iterable[RefEdit]) -> None:
        """What removed names named, as far as it is there."""
        for edit in edits:
            for value in (edit.old, edit.new):
                if value is not None:
                    with contextlib.suppress(ArtvcError):
                        self.removed.add(edit.name, value)

    def add_notes(self) -> None:
        """The artifacts that runs under way have used."""
        runs = str(self._repo.dir / "runs")
        with contextlib.suppress(FileNotFoundError):
            for run in self._repo.disk.listdir(runs):
                for name in _NOTES:
                    for artifact in _inputs(self._repo, os.path.join(runs, run, name)):
                        self.removed.add_artifact(artifact)

    def add_remotes(self) -> None:
        """What the remotes' names name, as far as it is here: a pull may come back to it."""
        remotes = str(self._repo.dir / "remotes")
        with contextlib.suppress(FileNotFoundError):
            for remote in self._repo.disk.listdir(remotes):
                with contextlib.suppress(ArtvcError, FileNotFoundError):
                    for name, value in RefLog(self._repo.disk, os.path.join(remotes, remote)).state().refs.items():
                        with contextlib.suppress(ArtvcError):
                            self.removed.add(name, value)

    def add_packs(self, names: Iterable[str]) -> None:
        """Look which packs have deltas.  Raises Damaged."""
        for name in names:
            if name not in self._seen:
                self._seen.add(name)
                found = self._repo.objects.bases_of(name)
                if found:
                    self.deltas[name] = {one for one, _ in found}

    def add_bases(self, packs: Iterable[str]) -> None:
        """Keep the bases of all deltas in packs that stay.  Raises Damaged, FileNotFoundError."""
        for name in packs:
            if name in self.deltas:
                self._bases.update(base for _, base in self._repo.objects.bases_of(name))

    def named(self, wanted: bytes) -> bool:
        """Whether names need an object, and not only deltas."""
        return wanted in self.names or wanted in self.removed

    def now(self, wanted: bytes) -> bool:
        """Whether present names need an object."""
        if wanted in self.names.objects or wanted in self._bases:
            return True
        return wanted in self.names.chunks and not self._dropped(wanted)

    def _dropped(self, chunk: bytes) -> bool:
        return self._drop is not None and self._drop(Id(chunk))

    def __contains__(self, wanted: bytes) -> bool:
        if self.now(wanted) or wanted in self.removed.objects:
            return True
        return wanted in self.removed.chunks and not self._dropped(wanted)

    def serves(self, pack: str, wanted: bytes) -> bool:
        """Whether the copy in a pack is enough: that of a base may not be a delta."""
        return wanted not in self._bases or wanted not in self.deltas.get(pack, ())

    def check_chunks(self) -> None:
        """Raises Damaged where a chunk is missing that must be here."""
        for wanted in self.names.chunks:
            if self._repo.objects.find(wanted) is None and self.now(wanted) and not self._absent(Id(wanted)):
                raise Damaged(
                    f"chunk {wanted.hex()[:12]} is not in this repository; nothing was deleted",
                    hint="'artvc fsck' says what is affected",
                )


def _inputs(repo: Repository, path: str) -> list[Id]:
    """The artifacts that a note of a run under way names as its inputs; [] where there is none to be read."""
    try:
        found = json.loads(repo.disk.read_file(path, limit=_NOTE_BYTES))
        return [Id.parse(one["artifact"]) for one in found["inputs"]]
    except (ArtvcError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


class Collection:
    """One run of gc: a look, a plan, and what is done by it.

    Args:
        repo, request, now, advance: as for :func:`gc`.

    Attributes:
        use: of each pack.
        needed: what has to stay.
        marked: packs that were condemned or doomed before.
        report: of what was done.
    """

    marked: frozenset[str]

    def __init__(self, repo: Repository, request: GcRequest, now: str, advance: Callable[[int], None]) -> None:
        self._repo = repo
        self._objects = repo.objects
        self._request = request
        self._now = now
        self._advance = advance
        self.needed = Needed(repo, request.drop, request.absent)
        self.use: dict[str, Use] = {}
        self._home: dict[bytes, str] = {}
        self._sound: dict[tuple[str, int], Set[bytes]] = {}
        self._clock = 0.0
        self._deleted: set[str] = set()
        self.report = GcReport()

    # -- looking ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See what is needed, and how much of each pack.  Changes nothing.  Raises Damaged."""
        state = self._repo.state()
        self._objects.refresh()
        self._check_readable()
        self._clock = self._ask_clock()
        marks = self._objects.condemned.read()
        self.needed.add_state(state)
        self.needed.add_removed(self._recent_edits(state.number))
        self.needed.add_notes()
        self.needed.add_remotes()
        self.needed.check_chunks()
        self._measure(set(self._objects.index.packs), frozenset(marks.since) | marks.doomed)
        self._plan(marks.since, marks.doomed)

    def _check_readable(self) -> None:
        for trouble in self._objects.index.bad.values():
            raise Damaged(f"{trouble.message}; nothing was deleted", hint=trouble.hint)

    def _recent_edits(self, last: int) -> Iterator[RefEdit]:
        """The edits of the grace period, which an undo may take back.  Reads all of the log.  Raises Damaged."""
        for number in range(last, 0, -1):
            try:
                transaction = self._repo.refs.read(number)
            except FileNotFoundError as exc:
                raise Damaged(f"transaction {number} of the ref log is missing; nothing was deleted") from exc
            if self._request.grace and _seconds(transaction.time, self._now) < self._request.grace:
                yield from transaction.edits

    def _measure(self, packs: set[str], condemned: frozenset[str]) -> None:
        """Find out what is needed from which pack."""
        needed = self.needed
        needed.add_packs(packs)
        touched: set[str] = set()
        while needed.deltas:  # a base keeps the pack that it lies in, whose deltas have bases
            fresh = {name for name in packs - touched if self._stays(name, condemned)}
            if not fresh:
                break
            needed.add_bases(fresh)
            touched |= fresh
        copies = {raw: places for raw, places in self._objects.index.in_several_packs() if raw in needed}
        single: set[str] = set()
        for name in packs:
            self.use[name] = Use(self._objects.size_of(name))
        # An object of several packs is needed from one of them, best from one that stays for other reasons.
        for name in packs - condemned:
            if any(raw not in copies and raw in needed for raw, _ in self._objects.places_of(name)):
                single.add(name)
        for raw, places in copies.items():
            names = {one.pack for one in places if needed.serves(one.pack, raw)}
            chosen = min(names, key=lambda name: (name in condemned, name not in single, name), default=None)
            if chosen is None:
                raise Damaged(f"chunk {raw.hex()[:12]} is a base and only there as a delta; nothing was deleted")
            self._home[raw] = chosen
            single.add(chosen)
        for name in packs:
            self._measure_pack(name)

    def _stays(self, name: str, condemned: frozenset[str]) -> bool:
        """Whether something is needed from a pack; from a condemned one only what lies nowhere else."""
        return any(
            raw in self.needed and (name not in condemned or not self._lies_in(raw, lambda one: one not in condemned))
            for raw, _ in self._objects.places_of(name)
        )

    def _lies_in(self, wanted: bytes, packs: Callable[[str], bool]) -> bool:
        """Whether one of some packs has a copy of an object that is enough."""
        places = self._objects.index.find_all(wanted)
        return any(packs(one.pack) and self.needed.serves(one.pack, wanted) for one in places)

    def _measure_pack(self, name: str) -> None:
        use = self.use[name]
        plain: dict[int, int] = {}
        places = self._objects.places_of(name)
        for _, place in places:
            plain[place.offset] = plain.get(place.offset, 0) + place.size
        for raw, place in places:
            share = place.length * (place.size / plain[place.offset] if place.size else 0.0)
            if self._is_home(name, raw) and raw in self.needed:
                use.now += self.needed.now(raw)
                use.live += share
            else:
                use.dead += share
        self._advance(use.size)

    def _is_home(self, pack: str, wanted: bytes) -> bool:
        return self._home.get(wanted, pack) == pack

    def _plan(self, since: dict[str, str], doomed: frozenset[str]) -> None:
        """Decide what becomes of each pack."""
        report = self.report
        marked = {**dict.fromkeys(doomed, ""), **since}
        self._pardon = sorted(name for name in since if name in self.use and self.use[name].now and name not in doomed)
        self._forget = sorted(name for name in marked if name not in self.use)
        # By a clock that was wrong, or without a time: the grace period begins again.
        self._again = sorted(
            name
            for name, time in marked.items()
            if name in self.use and name not in self._pardon and (not time or time > self._now)
        )
        self._condemn = sorted(
            name for name, use in self.use.items() if name not in marked and not use.now and not self._fresh(name)
        )
        self._rewrite = sorted(
            name
            for name, use in self.use.items()
            if use.now
            and (name in doomed or (use.dead > REWRITE_ABOVE * (use.live + use.dead) and not self._fresh(name)))
        )
        self.marked = frozenset(marked)
        self._times = {name: marked[name] for name in marked if name in self.use and name not in self._again}
        report.pardoned = len(self._pardon)
        report.condemned = len(self._condemn)
        report.rewritten = len(self._rewrite)
        if self._request.dry_run:
            planned = set(self._due()) if self._request.grace else {*self._due(), *self._condemn, *self._again}
            report.deleted = len(planned)
            report.freed = sum(self.use[name].size for name in planned)
            report.copied = int(sum(self.use[name].live for name in self._rewrite))
            self._deleted = planned
            self._times |= dict.fromkeys([*self._condemn, *self._again], self._now)
            self._summarize()

    def _fresh(self, name: str) -> bool:
        """Whether a pack is so new that the commit which made it may still come, or come again."""
        age = self._age(os.path.join(self._objects.packs, name + ".pack"))
        return age is None or abs(age) < min(self._request.grace, FRESH)

    def _age(self, path: str) -> float | None:
        """Seconds since a file was written, by the file system's own clock; None if it is gone."""
        try:
            return self._clock - os.stat(path).st_mtime
        except FileNotFoundError:
            return None

    def _ask_clock(self) -> float:
        """The file system's clock, which need not be that of this machine: by a file that is written now."""
        if self._request.dry_run:
            return _moment(self._now).timestamp()
        found: list[float] = []

        def ask() -> None:
            path, fd = self._repo.disk.open_temporary(self._objects.tmp)
            try:
                found.append(os.fstat(fd).st_mtime)
            finally:
                self._repo.disk.close(fd)
                self._repo.disk.discard(path)

        self._roomy(ask)
        return found[-1]

    # -- acting -------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Do what was planned; the dead go first, so that a full disk has room for what must be written."""
        condemned = self._objects.condemned
        condemned.pardon([*self._pardon, *self._again])
        condemned.forget(self._forget)
        for name in (*self._pardon, *self._forget):
            self._times.pop(name, None)
        self.condemn([*self._condemn, *self._again])
        self._delete()
        if self._rewrite:
            self._write_anew()
            self._delete()
        self._remove_leftovers()
        self._trim_caches()
        self._summarize()

    def condemn(self, packs: list[str]) -> None:
        """Condemn packs from now on.  Raises StorageFull, StorageError."""
        self._roomy(lambda: self._objects.condemned.condemn(packs, self._now))
        self._times |= dict.fromkeys(packs, self._now)

    def _roomy(self, work: Callable[[], object]) -> None:
        """Do something small that needs a little room; if the disk has none left, make some."""
        try:
            work()
        except StorageFull:
            self._drop_caches()
            work()

    def _due(self) -> list[str]:
        """The packs that are condemned for long enough and that no commit in flight can have relied on."""
        old = [
            name
            for name, time in self._times.items()
            if name not in self._deleted and name not in self._pardon
            if _seconds(time, self._now) >= self._request.grace and not self.use[name].now
        ]
        began = writers.began(self._repo.disk, self._objects.root, tidy=not self._request.dry_run) if old else []
        if not began:
            return sorted(old)
        made = self._objects.condemned.made()
        # A writer relies on nothing that was condemned when it began.
        due = sorted(name for name in old if name in made and made[name] < min(began))
        if len(due) < len(old):
            self.report.writers = len(began)
        return due

    def _delete(self) -> None:
        """Doom what is due, look again behind all that was committed meanwhile, and unlink it."""
        due = self._due()
        if not due:
            return
        going: list[str] = []

        def build(state: RefState) -> list[RefEdit]:
            going[:] = self._deletable(doomed, state)
            return []

        doomed = self._deletable(due, self._repo.state())
        if not doomed:
            return
        self._roomy(lambda: self._objects.condemned.doom(doomed))
        author = provenance.author(self._repo.settings)
        who = f"{author.get('name', '')} <{author.get('email', '')}>".strip()
        self._roomy(lambda: self._repo.refs.apply(build, time=self._now, who=who, why="gc", empty=True))
        self._objects.close()
        for name in going:
            with contextlib.suppress(FileNotFoundError):  # another gc was faster
                self._repo.disk.unlink(os.path.join(self._objects.packs, name + ".pack"))
            self.report.deleted += 1
            self.report.freed += self.use[name].size
        self._repo.disk.fsync_dir(self._objects.packs)
        self._deleted.update(going)
        self._objects.condemned.forget(going)
        self._objects.refresh()

    def _deletable(self, due: list[str], state: RefState) -> list[str]:
        """Which packs can go, by all names, marks and packs as they are now.  Raises Damaged."""
        self.needed.add_state(state)
        marks = self._objects.condemned.read()
        self._objects.refresh()
        self._check_readable()
        packs = self._objects.index.packs
        self.needed.add_packs(packs)
        going = {name for name in due if name in packs}
        while True:  # what stays keeps the bases of its deltas, which may keep others
            self.needed.add_bases(packs - going)
            sure = {name for name in packs - going if name not in marks.since and name not in marks.doomed}
            staying = {name for name in going if not self._replaced(name, sure)}
            if not staying:
                return sorted(going)
            going -= staying

    def _replaced(self, name: str, sure: set[str]) -> bool:
        """Whether all that is needed of a pack lies, undamaged, in packs that stay."""
        return all(
            raw not in self.needed
            or any(
                one.pack in sure and self.needed.serves(one.pack, raw) and raw in self._sound_ids(one)
                for one in self._objects.index.find_all(raw)
            )
            for raw, _ in self._objects.places_of(name)
        )

    def _sound_ids(self, place: Place) -> Set[bytes]:
        """What a record holds, if it is sound; each record is read once."""
        key = place.pack, place.offset
        if key not in self._sound:
            self._sound[key] = self._objects.sound_ids(place)
        return self._sound[key]

    def _write_anew(self) -> None:
        """Copy what is needed out of packs that are partly dead, and condemn them."""
        try:
            with Rewriter(self._objects) as rewriter:
                for name in self._rewrite:
                    rewriter.copy(name, self.stays_from(name), self._advance)
                written = rewriter.seal()
        except StorageFull:
            self.report.full = True
            self.report.rewritten = 0
            return
        self.report.copied = rewriter.stored
        for name in written:
            self.use[name] = Use(self._objects.size_of(name), now=1)
        old = [name for name in self._rewrite if name not in written]
        for name in old:
            self.use[name].now = 0
        self.condemn([name for name in old if name not in self._times])

    def stays_from(self, name: str) -> Callable[[bytes], bool]:
        """Whether an object is needed, and from this pack."""
        return lambda raw: self._is_home(name, raw) and raw in self.needed

    # -- besides ------------------------------------------------------------------------------------------

    def _remove_leftovers(self) -> None:
        """Unfinished files that are old, and older than every commit in flight."""
        directory = self._objects.tmp
        began = min(writers.began(self._repo.disk, self._objects.root), default=None)
        with contextlib.suppress(FileNotFoundError):
            for name in self._repo.disk.listdir(directory):
                path = os.path.join(directory, name)
                age = self._age(path)
                if age is None or abs(age) < max(self._request.grace, LEFTOVER_AGE):
                    continue
                if began is None or os.stat(path).st_mtime_ns < began:
                    self._discard_all(path)
                    self.report.leftovers += not os.path.exists(path)

    def _discard_all(self, path: str) -> None:
        """Remove a file, or the directory that a fetch was killed in."""
        disk = self._repo.disk
        if not os.path.isdir(path) or os.path.islink(path):
            disk.discard(path)
            return
        for here, _, files in os.walk(path, topdown=False):
            for name in files:
                disk.discard(os.path.join(here, name))
            with contextlib.suppress(StorageError, FileNotFoundError):
                disk.rmdir(here)

    def _trim_caches(self) -> None:
        """Keep the newest stat caches: there is one for each directory that was ever looked at."""
        directory = str(self._repo.dir / "cache" / "stat")
        dated = []
        with contextlib.suppress(FileNotFoundError):
            for name in self._repo.disk.listdir(directory):
                path = os.path.join(directory, name)
                with contextlib.suppress(FileNotFoundError):
                    dated.append((os.stat(path).st_mtime_ns, path))
        for _, path in sorted(dated, reverse=True)[STAT_CACHES:]:
            self._discard_cache(path)

    def _drop_caches(self) -> None:
        """Remove whatever can be made again."""
        self._objects.close()
        cache = str(self._repo.dir / "cache")
        for here, _, files in os.walk(cache):
            for name in files:
                self._discard_cache(os.path.join(here, name))

    def _discard_cache(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            size = os.stat(path).st_size
            self._repo.disk.discard(path)
            self.report.cached += 0 if os.path.exists(path) else size

    def _summarize(self) -> None:
        report = self.report
        staying = {name: use for name, use in self.use.items() if name not in self._deleted}
        report.kept, report.bytes = len(staying), sum(use.size for use in staying.values())
        waiting = [name for name in staying if name in self._times]
        report.waiting = sum(staying[name].size for name in waiting)
        if waiting:
            first = _moment(min(self._times[name] for name in waiting))
            report.due = _text(first + datetime.timedelta(seconds=self._request.grace))


def _moment(time: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(time)


def _text(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(since: str, until: str) -> float:
    return (_moment(until) - _moment(since)).total_seconds()
