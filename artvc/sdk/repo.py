"""``artvc.Repo``: a repository for scripts that record and restore without a run."""

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from artvc import history, recording, settings, worktree
from artvc.errors import InvalidInput
from artvc.history import LogEntry
from artvc.model import names
from artvc.recording import CommitRequest, Logged
from artvc.repo import Collection, Found, Repository, Version
from artvc.sdk import values
from artvc.sdk.workspace import with_remotes
from artvc.worktree import CheckoutResult, WorktreeStatus

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from artvc.workers import Report, Task

PathLike = str | os.PathLike[str]


def do_here(task: "Task") -> "Report":
    """What workers of :meth:`Repo.commit` run: do a task with the environment of this process."""
    from artvc.workers import do_task  # noqa: PLC0415

    return do_task(task, environ=os.environ)


class Repo:
    """An opened repository.  A context manager; :meth:`close` may be called instead.

    References are written ``[project/]NAME[:ALIAS|:vN|@HASHPREFIX][/path]``; without a selector they mean
    ``latest``, without a project the default one.  Data that is only on a remote comes when it is read.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @classmethod
    def open(cls, path: PathLike = ".") -> Self:
        """Open the repository of a directory, or of the nearest one above it.

        Raises:
            NotARepository: there is none.
            UnsupportedFormat: a newer artvc made it.
        """
        return cls(with_remotes(Repository.discover(Path(path), settings.from_environment(os.environ))))

    @classmethod
    def init(cls, path: PathLike = ".", *, project: str | None = None) -> Self:
        """Make a repository in a directory, or open the one that is there.

        Args:
            path: existing directory.
            project: default project of a new one.

        Raises:
            InvalidInput: no directory, or not a name for a project.
            StorageFull, StorageError: it could not be written.
        """
        chosen = settings.from_environment(os.environ)
        return cls(with_remotes(Repository.create(Path(path), project=project, settings=chosen)[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Repo {self.root}>"

    def close(self) -> None:
        """Close its files.  Twice is harmless."""
        self._repository.close()

    @property
    def root(self) -> Path:
        """The directory that holds ``.artvc``."""
        return self._repository.root

    @property
    def default_project(self) -> str:
        """The project of names without one."""
        return self._repository.default_project

    def commit(
        self,
        paths: PathLike | Sequence[PathLike],
        name: str | None = None,
        type: str | None = None,
        message: str = "",
        *,
        aliases: Sequence[str] = (),
        inputs: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        job_type: str = "",
        project: str | None = None,
        executor: "str | Executor | None" = None,
        remote: str | None = None,
    ) -> Logged:
        """Record files as a version of an artifact; durable and visible on return.

        With an executor its workers read the files and send their data to a remote, and the version is pushed there
        (``artvc help cluster``).  The same files make the same version.

        Args:
            paths: files or directories; one directory stands for its contents, otherwise each keeps its base name.
            name, type: of the artifact; may be left out for paths that were checked out or committed before.
            message: first line is the title.
            aliases: besides ``latest``.
            inputs: references to what it was made from.
            metadata, description, tags: of the version; None keeps those of an equal version.
            job_type: of the run that is recorded with it.
            project: None is the default one.
            executor: ``threads:N``, ``processes:N``, ``dask://HOST:PORT``, or one of your own, which stays open; its
                workers must be able to import artvc and see the files under the same paths.  None: this process.
            remote: with an executor, where the data goes; None is the default one.

        Returns:
            the version, with the number that it has after a push, and whether it is new.

        Raises:
            InvalidInput: a path is missing, or name and type are not known.
            NotFound: an input does not exist.
            Conflict: the artifact has another type.
            SourceError: a file can't be read or changes meanwhile.
            StorageFull, StorageError: nothing changed.
            WorkerError: a worker was lost, or none came; nothing was recorded.
            RemoteError, RemoteDenied: by the remote; where the version was recorded, the hint says so.
        """
        if remote is not None and executor is None:
            raise InvalidInput("remote goes with executor", hint="without one the version is recorded here")
        listed = [paths] if isinstance(paths, str | os.PathLike) else paths
        request = CommitRequest(
            paths=tuple(Path(path) for path in listed),
            name=name,
            type=type,
            message=message,
            aliases=tuple(aliases),
            inputs=tuple(inputs),
            metadata=None
            if metadata is None
            else values.to_object(metadata, what="metadata", non_finite="null", strict=True),
            description=description,
            tags=tuple(tags),
            job_type=job_type,
            project=project,
        )
        if executor is not None:
            return self._commit_with(request, executor, remote)
        return recording.commit_paths(self._repository, request, now=settings.now).logged

    def _commit_with(self, request: CommitRequest, executor: "str | Executor", remote: str | None) -> Logged:
        from artvc import workers  # noqa: PLC0415 -- few commits are made so
        from artvc.sync import sharing  # noqa: PLC0415

        repo = self._repository
        place = remote or sharing.default_remote(repo)
        work = sharing.Work(environ=os.environ, now=settings.now)
        result = workers.commit_with(repo, request, executor, remote=place, work=work, run=do_here, tell=warnings.warn)
        pushed = workers.publish(repo, result, place, work)
        version = result.logged.version
        for one in pushed.renumbered:
            if (one.project, one.name, one.old) == (version.project, version.name, version.number):
                return replace(result.logged, version=repo.resolve(f"{one.project}/{one.name}:v{one.new}").version)
        return result.logged

    def checkout(
        self, reference: str, dest: PathLike | None = None, *, force: bool = False, exact: bool = False
    ) -> CheckoutResult:
        """Restore a version, or what its path names.

        Args:
            reference: of the version, maybe with a path.
            dest: directory; ``artifacts/NAME:vN`` in the working directory if not given.
            force: overwrite files that were changed.
            exact: also remove files that the version does not have.

        Raises:
            NotFound: no such version or path.
            Conflict: changed files are in the way; nothing was touched.
            Damaged: stored bytes are not what they were; none of them were written.
        """
        found = self.resolve(reference)
        target = Path(dest) if dest is not None else Path("artifacts", found.version.label)
        return worktree.checkout(
            self._repository,
            found.version,
            target,
            asked=reference,
            subpaths=(found.path,) if found.path else (),
            force=force,
            exact=exact,
        )

    def resolve(self, reference: str) -> Found:
        """The version (and the path in it) that a reference stands for.

        Raises:
            InvalidInput: it is none.
            NotFound: no such artifact, alias, version or hash.
        """
        return self._repository.resolve(reference)

    def log(
        self, reference: str | None = None, *, project: str | None = None, limit: int | None = None
    ) -> Iterator[LogEntry]:
        """Runs, newest first, with their inputs and outputs.

        Args:
            reference: only those that led to this version; None: all.
            project: only of this project.
            limit: at most so many.

        Raises:
            NotFound: the reference stands for nothing.
        """
        return history.log(self._repository, reference, project=project, limit=limit)

    def artifacts(self, project: str | None = None) -> list[Collection]:
        """All artifacts of a project or of all projects."""
        return self._repository.collections(project)

    def versions(self, name: str) -> list[Version]:
        """All versions of ``[project/]NAME``, rising; [] for an unknown name."""
        return self._repository.versions(*self._owner(name))

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of ``[project/]NAME`` and the version numbers that they stand for."""
        return self._repository.aliases(*self._owner(name))

    def alias(self, reference: str, alias: str) -> None:
        """Let an alias stand for a version.

        Raises:
            NotFound: no such version.
            InvalidInput: not an alias.
        """
        recording.set_alias(self._repository, self.resolve(reference).version, alias, now=settings.now())

    def _owner(self, name: str) -> tuple[str, str]:
        project, _, base = name.rpartition("/")
        return project or self.default_project, names.check_artifact_name(base)

    def files(self, reference: str) -> list[str]:
        """The paths of the files of a version, or below a path of it.  Raises NotFound."""
        found = self.resolve(reference)
        return [path for path, _ in self._repository.walk(found.version, found.path)]

    def open_file(self, reference: str) -> io.BufferedReader:
        """A file of a version as a stream that can seek; only verified bytes come out.

        Args:
            reference: with the file's path, e.g. ``mnist-raw:v0/training.pt``.

        Raises:
            NotFound: no such version or file.
            InvalidInput: no path, or that of a directory.
            Damaged: while reading: stored bytes are not what they were.
        """
        found = self.resolve(reference)
        if not found.path:
            raise InvalidInput(f"{reference!r} names no file", hint=f"write {found.version.label}/PATH")
        return self._repository.open_file(self._repository.entry(found.version, found.path))

    def status(self, paths: Sequence[PathLike] = ()) -> list[WorktreeStatus]:
        """What differs between directories and the versions that they came from.

        Args:
            paths: look only at those; () is all that were checked out or committed.

        Raises:
            InvalidInput: of a path nothing is known.
        """
        return worktree.status(self._repository, paths=[Path(path) for path in paths])
