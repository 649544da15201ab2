"""The repository that a script works in: found or made once for a process, shared by runs and drafts.

All content that scripts add goes through one :class:`Intake`, so that what is added twice (as a file of an artifact
and by ``run.save``) is stored once.  What is taken in counts only when a run commit that names it is recorded.
"""

import atexit
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from artvc import settings
from artvc.errors import (
    ArtvcError,
    Damaged,
    InvalidInput,
    NotARepository,
    StorageError,
    StorageFull,
    UsageError,
)
from artvc.model.ids import Id
from artvc.predecessors import Predecessors
from artvc.repo import Repository
from artvc.sdk import environment

if TYPE_CHECKING:
    from artvc.store.ingest import Ingest

_UNUSABLE = re.compile(r"[^A-Za-z0-9_.\-]+")
_PROJECT_CHARACTERS: Final = 100
_STORE_FAILURES: Final = frozenset({StorageFull.exit_code, StorageError.exit_code, Damaged.exit_code})


class Intake:
    """An open ingest, used by one thread at a time.

    Attributes:
        broken: writing failed, so what was taken in and not yet recorded is lost.
    """

    def __init__(self, repo: Repository) -> None:
        self.broken = False
        self._repo = repo
        self._lock = threading.RLock()
        self._ingest: Ingest | None = None

    @contextmanager
    def use(self) -> Iterator["Ingest"]:
        """The ingest, for this thread alone.

        Raises:
            UsageError: an earlier write failed.
        """
        with self._lock:
            if self.broken:
                raise UsageError(
                    "writing to the repository failed before, so this content was lost", hint="add it again"
                )
            if self._ingest is None:
                self._ingest = self._repo.ingest()
            try:
                yield self._ingest
            except ArtvcError as exc:
                if exc.exit_code in _STORE_FAILURES:
                    self._give_up()
                raise
            except BaseException:  # interrupted in the middle of a write, maybe
                self._give_up()
                raise

    def _give_up(self) -> None:
        self.broken = True
        if self._ingest is not None:
            self._ingest.close()
            self._ingest = None

    def rest(self) -> None:
        """Make durable what was taken in, and free threads and buffers until it is used again."""
        with self._lock:
            if self._ingest is not None:
                with self.use() as ingest:
                    ingest.seal()
                self._drop()

    def _drop(self) -> None:
        if self._ingest is not None:
            self._ingest.close()
            self._ingest = None

    def close(self) -> None:
        """Drop what was taken in and not recorded."""
        with self._lock:
            self._drop()


class Workspace:
    """A repository opened for this process.

    Attributes:
        repo: the repository.
        intake: through which content comes in.
        created: it was made just now.
        had_trouble: a write failed once, so what was taken in before may be lost.
        lineage: gives the project of the run under way and the artifacts that it used.
    """

    def __init__(self, repo: Repository, *, created: bool) -> None:
        self.repo = repo
        self.created = created
        self.had_trouble = False
        self.pid = os.getpid()
        self.lineage: Callable[[], tuple[str, Sequence[Id]]] = lambda: (repo.default_project, ())
        self._intake = Intake(repo)

    @property
    def intake(self) -> Intake:
        """The present intake; a broken one is replaced, for what comes now can be stored again."""
        if self._intake.broken:
            self.had_trouble = True
            self._intake = Intake(self.repo)
        return self._intake

    def predecessors(self, name: str) -> Predecessors:
        """Finds earlier versions of the files of an artifact of that name."""
        project, inputs = self.lineage()
        return Predecessors(self.repo, project, name, inputs)

    def rest(self) -> None:
        """Free what is only needed while a run is active; everything can be used again."""
        try:
            self._intake.rest()
        finally:
            self.repo.close()

    def close(self) -> None:
        """At the end of the process: drop content that no run recorded."""
        self._intake.close()
        self.repo.close()


class _Process:
    """What this module remembers for the process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: dict[str, Workspace] = {}
        self.records_nothing = False
        self.scratch: Workspace | None = None
        self.hooked = False


_process = _Process()


def record_nothing() -> None:
    """From now on make no repository where there is none: drafts then live in a temporary one."""
    _process.records_nothing = True


def at_exit(function: Callable[[], None]) -> None:
    """Call a function at the end of the process, while threads can still be used; the last one given comes first.

    ``atexit`` is served after the pools of threads were closed, and the last commit of a run needs them.
    """
    getattr(threading, "_register_atexit", atexit.register)(function)


def _install_hooks() -> None:
    if not _process.hooked:
        _process.hooked = True
        at_exit(close_all)
        os.register_at_fork(after_in_child=forget_all)


def _scratch_workspace(chosen: settings.Settings) -> Workspace:
    if _process.scratch is None:
        directory = Path(tempfile.mkdtemp(prefix="artvc-disabled-"))
        repo, _ = Repository.create(directory, settings=replace(chosen, sync=False))
        _process.scratch = Workspace(repo, created=True)
    return _process.scratch


def find(directory: str | os.PathLike[str] | None = None, *, create: bool = True) -> Workspace:
    """The workspace of a directory: the repository there or above it, or a new one.

    A new one is made at the root of the surrounding git work tree, else in the directory itself.

    Args:
        directory: where to look; None: ``ARTVC_DIR``, else the working directory.
        create: make what is missing; else it is an error.

    Raises:
        NotARepository: there is none, and none was to be made.
        InvalidInput: no such directory, and it can't be made.
        UnsupportedFormat, Damaged, StorageError: the repository can't be used.
    """
    start = Path(os.path.abspath(directory or environment.variable("DIR") or os.getcwd()))
    if not start.is_dir() and create:
        try:
            start.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise InvalidInput(f"cannot use {start} as the run's directory: {exc.strerror}") from exc
    _install_hooks()
    with _process.lock:
        for known in (start, *start.parents):
            found = _process.open.get(str(known))
            if found is not None and found.pid == os.getpid() and (found.repo.dir / "format").is_file():
                return found
            if (known / ".artvc" / "format").is_file():
                break  # a nearer one than any that is open
        return _discover(start, create=create)


def with_remotes(repo: Repository) -> Repository:
    """The same repository; from now on reading it brings what lies on its remotes only."""
    if repo.config.get("remote"):
        from artvc.sync.sharing import Work, attach  # noqa: PLC0415 -- only where there are remotes

        attach(repo, Work(environ=os.environ, now=settings.now))
    return repo


def _discover(start: Path, *, create: bool) -> Workspace:
    chosen = settings.from_environment(os.environ)
    created = False
    try:
        repo = with_remotes(Repository.discover(start, chosen))
    except NotARepository:
        if _process.records_nothing:
            return _scratch_workspace(chosen)
        if not create:
            raise
        root = _git_root(start)
        project = _UNUSABLE.sub("-", root.name).strip("-.")[:_PROJECT_CHARACTERS] if root else ""
        repo, created = Repository.create(root or start, project=project or None, settings=chosen)
    if created:
        environment.say(f"made a repository in {repo.dir}")
    found = Workspace(repo, created=created)
    _process.open[str(found.repo.root)] = found
    return found


def _git_root(start: Path) -> Path | None:
    return next((path for path in (start, *start.parents) if (path / ".git").exists()), None)


def close_all() -> None:
    """At the end of the process: close every workspace, remove a temporary one."""
    with _process.lock:
        scratch = _process.scratch
        for workspace in [*_process.open.values(), *([scratch] if scratch else [])]:
            if workspace.pid == os.getpid():
                workspace.close()
        if scratch is not None and scratch.pid == os.getpid():
            shutil.rmtree(scratch.repo.root, ignore_errors=True)
        _process.open.clear()
        _process.scratch = None


def forget_all() -> None:
    """In a forked child: what is open belongs to the parent, whose threads may have held the lock."""
    global _process
    hooked = _process.hooked
    _process = _Process()
    _process.hooked = hooked
