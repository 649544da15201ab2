"""Committing with other processes and machines: workers read, hash and pack; this process records.

The files are dealt out in tasks.  Whoever does a task takes its files into a scratch store of its own, sends the data
packs to the remote while they fill, and reports what the files are, the objects that describe them, and the end of
each pack.  This process puts the objects into its repository, makes the tree and the commit, and pushes; it never sees
the data.  Trees and chunk lists follow from the content alone, so the version is the one that a commit by one process
would have made.

Rules: a task can be done any number of times, for packs are named by their content; nothing counts before the refs
are changed, here and then on the remote; what packs hold that are there but not published is noted durably before
(:meth:`artvc.sync.tracking.Tracking.note_sent`), so that a push that fails can be repeated.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TypedDict

from artvc import errors, worktree
from artvc._version import __version__
from artvc.errors import ArtvcError, CommError, Damaged, InvalidInput, NotFound, SourceError, WorkerError
from artvc.model import merkle
from artvc.model.ids import ID_SIZE, Id, Kind
from artvc.model.objects import Content, Entry, EntryKind, symlink_entry
from artvc.predecessors import Earlier
from artvc.recording import CommitRequest, CommitResult, commit_paths
from artvc.remotes import address as addresses
from artvc.remotes.address import RemoteKind, Surroundings
from artvc.remotes.base import Remote, Upload
from artvc.repo import Repository
from artvc.settings import Settings
from artvc.store.fsio import Disk
from artvc.store.ingest import Ingest, Source
from artvc.store.objects import Objects
from artvc.store.packs import META, PACK_SUFFIX, Pack
from artvc.sync import sharing
from artvc.sync.pushing import Pushed
from artvc.sync.sharing import Work
from artvc.sync.tracking import Tracking, url_of
from artvc.worktree import Caches, Found, Snapshot

TASK_BYTES: Final = 256 * 1024 * 1024
TASK_FILES: Final = 2_000
_AHEAD: Final = 4  # tasks that wait for each worker
_DASK_AHEAD: Final = 512
_AHEAD_OF_OTHERS: Final = 64  # how many workers an executor has is not known
_DASK_PATIENCE: Final = 10  # seconds until a scheduler must answer
_LOOK: Final = 5  # seconds until it is looked whether anybody works on what was given out
_ALONE: Final = 600  # seconds without any worker after which none is waited for; clusters that grow need minutes
_WORKERS: Final = 256
_KNOWN: Final = 200_000  # ids that go with a task
_SCRATCH: Final = "artvc-worker-"
_SENDING: Final = 2  # packs of one task on their way at once


class Task(TypedDict):
    """What a worker is to do; plain values, so that a worker with another version of artvc can read them too.

    ``version`` is that of artvc, ``remote`` the address, ``variables`` the names of variables of the environment that
    say how it is reached from here, ``files`` absolute path and size of each file, ``known`` the ids, end to end, of
    chunks that the files may have and that the remote has.
    """

    version: str
    remote: str
    variables: list[str]
    files: list[tuple[str, int]]
    known: bytes


class Report(TypedDict):
    """What a worker did.

    ``files`` has kind, id, size and time of change (ns) of each file, in the order of the task; ``metadata`` kind and
    bytes of the objects that describe them; ``packs`` id and end of each pack that was sent; ``new`` and ``stored``
    bytes of content and of packs; ``failure`` the class, message and hint of the error that ended it, or None.
    """

    worker: str
    files: list[tuple[int, bytes, int, int]]
    metadata: list[tuple[int, bytes]]
    packs: list[tuple[str, bytes]]
    new: int
    stored: int
    failure: tuple[str, str, str | None] | None


Run = Callable[[Task], Report]


# -- on the worker -----------------------------------------------------------------------------------------


def do_task(task: Task, *, environ: Mapping[str, str]) -> Report:
    """Take files in and send their data to the remote.

    Args:
        task: what to do.
        environ: variables of this process: credentials, endpoints.

    Returns:
        the report; failures that artvc knows are in it.
    """
    worker = f"{socket.gethostname()}, process {os.getpid()}"
    report = Report(worker=worker, files=[], metadata=[], packs=[], new=0, stored=0, failure=None)
    try:
        if task["version"] != __version__:
            raise WorkerError(
                f"the worker ({worker}) has artvc {__version__}, and this is {task['version']}",
                hint=f"install artvc {task['version']} on all workers",
            )
        with _scratch() as scratch:
            _take_in(task, scratch, environ, report)
    except ArtvcError as exc:
        message, hint = exc.message, exc.hint
        lacking = [name for name in task["variables"] if not environ.get(name)]
        if isinstance(exc, errors.RemoteError) and lacking:
            hint = f"the worker's environment lacks {', '.join(lacking)}"
        if worker not in message:
            message = f"{message} (worker {worker})"
        report["failure"] = (type(exc).__name__, message, hint)
    return report


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A directory that is locked while it is used; those of workers that were killed are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            fd = _open_directory(left)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        made = None
        while made is None or not made.is_dir():  # else another worker took it for a dead one's before it was locked
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True)))
            with contextlib.suppress(OSError):  # where there are no locks, nobody removes it either
                fd = _open_directory(made)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
        yield made


def _open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _take_in(task: Task, scratch: Path, environ: Mapping[str, str], report: Report) -> None:
    disk = Disk(sync=False)  # the scratch store need not survive anything
    address = addresses.parse(task["remote"], base=Path("/"))
    with contextlib.ExitStack() as stack:
        repo = stack.enter_context(Repository.create(scratch, settings=Settings(sync=False), disk=disk)[0])
        surroundings = Surroundings(disk=Disk(), scratch=repo.dir / "tmp", environ=environ)
        remote = stack.enter_context(contextlib.closing(addresses.open_remote(address, surroundings)))
        objects = stack.enter_context(contextlib.closing(_Scratch(disk, str(repo.dir), task["known"])))
        sender = stack.enter_context(contextlib.closing(_Sender(objects, remote)))
        ingest = stack.enter_context(Ingest(objects, advance=lambda _: sender.look()))
        found: list[tuple[int, bytes, int, int]] = [(0, b"", 0, 0)] * len(task["files"])
        for number, content, status in ingest.add_files(_sources(task["files"], report["worker"])):
            found[number] = (int(content.kind), bytes(content.id), content.size, status.st_mtime_ns)
        totals = ingest.seal()
        sender.finish()
        report["files"] = found
        report["metadata"] = [(int(kind), data) for kind, data in sender.metadata()]
        report["packs"] = sender.sent
        report["new"], report["stored"] = totals.new, totals.stored


def _sources(files: Sequence[tuple[str, int]], worker: str) -> Iterator[Source[int]]:
    for number, (path, size) in enumerate(files):
        try:
            os.stat(path)
        except OSError as exc:
            raise SourceError(
                f"the worker ({worker}) can't see {path!r}: {exc.strerror}",
                hint="workers need the files under the same paths as this machine",
            ) from exc
        yield Source(path, size, number)


class _Scratch(Objects):
    """A scratch store that need not keep what the remote has.

    Args:
        disk, root: as for any store.
        known: ids of chunks of the remote, end to end.
    """

    def __init__(self, disk: Disk, root: str, known: bytes) -> None:
        super().__init__(disk, root)
        self._known = frozenset(known[at : at + ID_SIZE] for at in range(0, len(known), ID_SIZE))

    def lasting(self, wanted: bytes) -> bool:
        """Whether an object is in the scratch store, or on the remote."""
        return wanted in self._known or super().lasting(wanted)


class _Sender:
    """Sends the data packs of a scratch store as they fill, and drops them there.

    Args:
        objects: the scratch store.
        remote: where to.
    """

    def __init__(self, objects: Objects, remote: Remote) -> None:
        self._objects = objects
        self._remote = remote
        self._pool = ThreadPoolExecutor(_SENDING, "artvc-send")
        self._waiting: list[Future[None]] = []
        self._seen: set[str] = set()
        self._described: list[str] = []
        self.sent: list[tuple[str, bytes]] = []

    def look(self) -> None:
        """Send the packs that were finished since; where too many are on their way, wait for the first."""
        for name in sorted(self._objects.written - self._seen):
            self._seen.add(name)
            path = os.path.join(self._objects.packs, name + PACK_SUFFIX)
            with contextlib.closing(Pack.open(self._objects.disk, path)) as pack:
                if pack.content() == META:
                    self._described.append(name)
                    continue
                end, size = pack.end(), pack.size()
            while len(self._waiting) >= _SENDING:
                self._waiting.pop(0).result()
            self._waiting.append(self._pool.submit(self._send, name, path, size, end))
            self.sent.append((name, end))

    def _send(self, name: str, path: str, size: int, end: bytes) -> None:
        def open_again() -> BinaryIO:
            return os.fdopen(self._objects.disk.open_read(path), "rb")

        self._remote.upload(Upload(id=Id.parse(name), size=size, open=open_again, index=end))
        self._objects.disk.discard(path)

    def finish(self) -> None:
        """Send what is left; all of it is there on return."""
        self.look()
        while self._waiting:
            self._waiting.pop(0).result()

    def metadata(self) -> Iterator[tuple[Kind, bytes]]:
        """The objects that are not data."""
        for name in self._described:
            for raw, place in self._objects.places_of(name):
                kind = Kind(place.kind)
                yield kind, self._objects.get(kind, Id(raw))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)


# -- executors ---------------------------------------------------------------------------------------------


def _some() -> bool:
    return True


class Workers(NamedTuple):
    """An executor and what has to be known about it.

    Attributes:
        executor: whom tasks are given to.
        ahead: how many tasks it is given before the first is done.
        by_name: whether its workers are told by name what to run.
        working: whether it has any workers.
    """

    executor: Executor
    ahead: int
    by_name: bool = False
    working: Callable[[], bool] = _some

    def submit(self, run: Run, task: Task) -> Future[Report]:
        """Give a task out."""
        if not self.by_name:
            return self.executor.submit(run, task)
        # A Dask worker without artvc dies of a task that it can't unpickle, and so do those that get it next, until
        # none is left and nobody answers; that it can't import artvc it can say.
        words = f"__import__({run.__module__!r}, fromlist=['']).{run.__qualname__}(task)"
        return self.executor.submit(eval, words, {"task": task})


@contextlib.contextmanager
def opened(spec: str | Executor) -> Iterator[Workers]:
    """An executor, or the one that some words mean: ``threads:N``, ``processes:N`` or ``dask://HOST:PORT``.

    One that is passed is not shut down.

    Raises:
        InvalidInput: they mean none, or a library is missing.
        WorkerError: the scheduler can't be reached.
    """
    if isinstance(spec, Executor):
        yield Workers(spec, _AHEAD_OF_OTHERS, by_name=type(spec).__module__.startswith("distributed."))
        return
    kind, colon, rest = spec.partition(":")
    if kind == "dask" and rest.startswith("//"):
        with _dask(rest[2:]) as workers:
            yield workers
        return
    if kind not in ("threads", "processes") or not colon:
        raise InvalidInput(f"no such executor: {spec!r}", hint="write threads:N, processes:N or dask://HOST:PORT")
    if not rest.isdecimal() or not 1 <= int(rest) <= _WORKERS:
        raise InvalidInput(f"number of workers must be 1 to {_WORKERS}, not {rest!r}")
    executor = _processes(int(rest)) if kind == "processes" else ThreadPoolExecutor(int(rest), "artvc-worker")
    try:
        yield Workers(executor, int(rest) * _AHEAD)
    finally:
        executor.shutdown(cancel_futures=True)


def _processes(count: int) -> Executor:
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 -- not every commit needs it
    from multiprocessing import get_context  # noqa: PLC0415

    # Forked children would inherit threads' locks and open connections.
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_follow)


def _follow() -> None:
    """Let this worker process end with the one that started it, which may be killed without a word."""
    from multiprocessing import parent_process  # noqa: PLC0415

    parent = parent_process()

    def leave() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=leave, name="artvc-follow", daemon=True).start()


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Workers]:
    try:
        from distributed import Client  # noqa: PLC0415 -- an extra
    except ImportError as exc:
        raise InvalidInput("dask is not installed", hint="pip install 'artvc[dask]'") from exc
    try:
        client = Client(f"tcp://{address}", set_as_default=False, timeout=_DASK_PATIENCE)
    except (OSError, ValueError) as exc:
        raise WorkerError(
            f"no Dask scheduler at {address!r}: {exc}", hint="write dask://HOST:PORT as the scheduler prints it"
        ) from exc
    try:
        working = lambda: bool(client.scheduler_info()["workers"])  # noqa: E731
        yield Workers(client.get_executor(), _DASK_AHEAD, by_name=True, working=working)
    finally:
        client.close()


# -- where the commit is made ------------------------------------------------------------------------------


def commit_with(
    repo: Repository,
    request: CommitRequest,
    spec: str | Executor,
    *,
    remote: str,
    work: Work,
    run: Run,
    advance: Callable[[int], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> CommitResult:
    """Record files that workers read; their data is on a remote then, and :func:`publish` makes it count there.

    Args:
        repo: the repository.
        request: what to record.
        spec: the workers, as for :func:`opened`.
        remote: where the data goes, by its name.
        work: how to reach it from here, and the clock.
        run: does a task, on a worker: a function that can be pickled and gives :func:`do_task` its environment.
        advance: called with the bytes of files that are done, for progress.
        tell: called with a line for the user, where there is nobody to do the work.

    Raises:
        WorkerError: a worker was lost or has another artvc, or none came; nothing was recorded.
        SourceError: a worker can't read a file; nothing was recorded.
        RemoteError, RemoteDenied, NotFound: by the remote; nothing was recorded.
        InvalidInput, Conflict: as for :func:`artvc.recording.commit_paths`.
    """
    address = addresses.parse(url_of(repo, remote), base=repo.root)
    if address.kind == RemoteKind.GIT:
        raise InvalidInput(
            f"workers can't send data to {address.url}: it is a git repository",
            hint="name a bucket or a directory that they reach, with --remote",
        )
    sharing.fetch_from(repo, remote, work)  # what is known there, and whether it can be reached at all
    tracking = Tracking(repo, remote)
    with opened(spec) as workers, sharing.connected(repo, remote, work) as there:

        def take(ingest: Ingest, mounts: Sequence[tuple[str, str]], earlier: Earlier) -> Snapshot:
            gathering = _Gathering(repo, ingest, tracking, there, earlier, advance, tell, paranoid=request.paranoid)
            variables = sorted(used for used in addresses.variables(address) if work.environ.get(used))
            snapshot = gathering.gather(mounts, workers, run, url=address.url, variables=variables)
            # Never taken back: a failure from here on is no proof that the version does not count.
            for pack, end in gathering.packs.items():
                tracking.note_sent(pack, end)
            return snapshot

        return commit_paths(repo, request, now=work.now, take=take)


def publish(repo: Repository, result: CommitResult, remote: str, work: Work) -> Pushed:
    """Push what was committed with workers; as :func:`artvc.sync.sharing.push_to`, but for the hint of a failure."""
    try:
        return sharing.push_to(repo, remote, work, settled={})
    except ArtvcError as exc:
        label = result.logged.version.label
        exc.hint = "; ".join(
            [f"{label} is committed here, 'artvc push {remote}' publishes it", *([exc.hint] if exc.hint else [])]
        )
        raise


class _Gathering:
    """One intake of files by workers.

    Args:
        repo, ingest: where their description goes.
        tracking: the notes about the remote.
        remote: where the data goes.
        earlier: finds the earlier version of a file.
        advance, tell: as for :func:`commit_with`.
        paranoid: have all files read and sent, also those that are known.
    """

    def __init__(
        self,
        repo: Repository,
        ingest: Ingest,
        tracking: Tracking,
        remote: Remote,
        earlier: Earlier,
        advance: Callable[[int], None],
        tell: Callable[[str], None],
        *,
        paranoid: bool,
    ) -> None:
        self._tell = tell
        self._repo = repo
        self._ingest = ingest
        self._tracking = tracking
        self._remote = remote
        self._earlier = earlier
        self._advance = advance
        self._paranoid = paranoid
        # Compared with the clock that stamps files, not shown.
        self._began = time.time_ns()  # noqa: TID251
        self._caches = Caches(repo)
        self._there = remote.packs()
        self._entries: list[tuple[str, Entry]] = []
        self.packs: dict[Id, bytes] = {}

    def gather(
        self,
        mounts: Sequence[tuple[str, str]],
        workers: Workers,
        run: Run,
        *,
        url: str,
        variables: Sequence[str],
    ) -> Snapshot:
        """The tree of the files, all of whose data is here or on the remote then."""
        walk = worktree.Walk()
        waiting: dict[Future[Report], list[Found]] = {}
        try:
            for batch in _batches(self._unknown(walk.files(mounts))):
                files = [(found.disk, found.status.st_size) for found in batch]
                known = b"".join(self._known(batch))
                task = Task(version=__version__, remote=url, variables=list(variables), files=files, known=known)
                waiting[workers.submit(run, task)] = batch
                if len(waiting) >= workers.ahead:
                    self._collect(waiting, workers)
            while waiting:
                self._collect(waiting, workers)
        except BrokenExecutor as exc:  # a worker went while a task was to be given out
            raise _lost(exc) from exc
        finally:
            for future in waiting:
                future.cancel()
        self._check_there()
        tree = merkle.write_tree(self._entries, self._ingest.put)
        return Snapshot(tree, tuple(walk.warnings), self._caches, self._repo, tuple(mounts))

    def _unknown(self, files: Iterable[Found]) -> Iterator[Found]:
        """The files that have to be read."""
        for found in files:
            if stat.S_ISLNK(found.status.st_mode):
                link = symlink_entry(found.path.rpartition("/")[2], os.readlink(found.disk))
                self._entries.append((found.path, link))
                self._caches.put(found, found.status, None, self._began)
                continue
            known = None if self._paranoid else self._caches.get(found)
            if known is not None and self._stands(known):
                self._entries.append((found.path, worktree.entry_of(found, known)))
                self._advance(known.size)
                continue
            yield found

    def _stands(self, content: Content) -> bool:
        """Whether the data of a file is here or there."""
        if self._ingest.has(content):
            return True
        if content.kind == EntryKind.CHUNK:
            return self._is_there(content.id)
        try:
            pieces = merkle.slices(content, self._repo.objects.get)
            return self._ingest.relies_on(content.id) and all(self._is_there(piece.id) for piece in pieces)
        except (Damaged, NotFound):
            return False

    def _known(self, batch: Sequence[Found]) -> Iterator[Id]:
        """The chunks of earlier versions of some files that are on the remote; not more than travel well."""
        if self._paranoid:
            return
        left = _KNOWN
        for found in batch:
            earlier = self._earlier(found.path, found.status.st_size)
            if earlier is None or earlier.kind == EntryKind.CHUNK:
                continue
            with contextlib.suppress(Damaged, NotFound):  # then they are sent again
                for piece in merkle.slices(earlier, self._repo.objects.get):
                    if not left:
                        return
                    if self._is_there(piece.id):
                        left -= 1
                        yield piece.id

    def _is_there(self, chunk: Id) -> bool:
        place = self._tracking.place(chunk)
        return place is not None and Id.parse(place.pack) in self._there

    def _done(self, waiting: "Iterable[Future[Report]]", workers: Workers) -> "Set[Future[Report]]":
        """Wait for the next reports.  Raises WorkerError where there is nobody to wait for."""
        alone = 0
        while True:
            done, _ = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
            if done:
                return done
            if workers.working():
                alone = 0
                continue
            if not alone:
                self._tell(f"no worker is there; waiting up to {_ALONE // 60} minutes for one")
            alone += _LOOK
            if alone >= _ALONE:
                raise WorkerError(
                    "there are no workers to do what is to be done; nothing was recorded",
                    hint="start some ('dask worker HOST:PORT'), and look at their logs if they end at once",
                )

    def _collect(self, waiting: "dict[Future[Report], list[Found]]", workers: Workers) -> None:
        """Take the reports that have come."""
        for future in self._done(waiting, workers):
            batch = waiting.pop(future)
            try:
                report = future.result()
            except ArtvcError:
                raise
            except Exception as exc:
                raise _lost(exc) from exc
            self._take(batch, report)

    def _take(self, batch: Sequence[Found], report: Report) -> None:
        if report["failure"] is not None:
            raise _failure(*report["failure"])
        for kind, data in report["metadata"]:
            self._ingest.put(Kind(kind), data)
        self.packs.update((Id.parse(name), end) for name, end in report["packs"])
        for found, (kind, raw, size, changed_ns) in zip(batch, report["files"], strict=True):
            status = found.status
            if (size, changed_ns) != (status.st_size, status.st_mtime_ns):
                raise SourceError(
                    f"{found.disk!r} changed, or the worker ({report['worker']}) sees another file; "
                    "nothing was recorded",
                    hint="try again when it is complete",
                )
            content = Content(EntryKind(kind), Id(raw), size)
            self._entries.append((found.path, worktree.entry_of(found, content)))
            self._caches.put(found, status, content, self._began)
            self._advance(size)
        self._ingest.totals.files += len(batch)
        self._ingest.totals.read += sum(found.status.st_size for found in batch)
        self._ingest.totals.new += report["new"]
        self._ingest.totals.stored += report["stored"]

    def _check_there(self) -> None:
        """Whether what the workers sent came to the remote that is seen from here."""
        missing = self.packs.keys() - self._remote.packs() if self.packs else set()
        if missing:
            raise WorkerError(
                f"{len(missing)} of {len(self.packs)} packs that workers sent to {self._remote.url} are not there",
                hint="is it the same place on the workers as here? nothing was recorded",
            )


def _batches(files: Iterable[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    size = 0
    for found in files:
        batch.append(found)
        size += found.status.st_size
        if size >= TASK_BYTES or len(batch) >= TASK_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _lost(exc: BaseException) -> WorkerError:
    """What to say of a worker that gave no report."""
    if isinstance(exc, BrokenExecutor):
        return WorkerError(
            "a worker was killed before it was done; nothing was recorded",
            hint="run it again; if memory is short, with fewer workers",
        )
    strange = isinstance(exc, ImportError | AttributeError | TypeError)
    return WorkerError(
        f"a worker failed: {type(exc).__name__}: {str(exc)[:500]}; nothing was recorded",
        hint=f"install artvc {__version__} on all workers" if strange else "run it again",
    )


def _failure(name: str, message: str, hint: str | None) -> ArtvcError:
    """The failure that a worker reports."""
    found = getattr(errors, name, None)
    if not isinstance(found, type) or not issubclass(found, ArtvcError):
        found = CommError
    return found(message, hint=hint)
