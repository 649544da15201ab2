"""A run: what a script uses, logs and finds, recorded as it happens.

Every ``log_artifact`` and ``save`` makes a run commit of state ``running`` with all of the run so far, durable and
visible when the call returns; ``finish`` makes the last one.  Between them the history and the images lie as files
in ``.artvc/runs/<id>``, so that a killed run leaves them behind.
"""

import dataclasses
import glob
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from artvc import provenance, recording
from artvc.errors import ArtvcError, InvalidInput, InvalidType, UsageError
from artvc.model import codec, merkle, names
from artvc.model.ids import Id
from artvc.model.objects import Commit, Content, Entry, Json, JsonObject, file_entry
from artvc.sdk import environment, media, values
from artvc.sdk.artifact import PathLike
from artvc.sdk.config import Config
from artvc.sdk.history import History
from artvc.sdk.media import Image
from artvc.sdk.run_artifacts import RunArtifacts
from artvc.sdk.summary import Summary
from artvc.sdk.workspace import Workspace
from artvc.settings import now
from artvc.uploads import Upload

HISTORY: Final = "history.jsonl"
# Up to this size each run commit holds the history; above it, only the last one does.
HISTORY_IN_EVERY_COMMIT: Final = 4 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a run is called and said to be; see :func:`artvc.init` for the fields."""

    id: str
    name: str
    project: str
    entity: str = ""
    job_type: str = ""
    group: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    mode: str = "online"


class Run(RunArtifacts):
    """A run under way; made by :func:`artvc.init`.  Leaving its ``with`` block finishes it.

    Attributes:
        config: the configuration, a :class:`~artvc.sdk.config.Config`.
        summary: the last values, a :class:`~artvc.sdk.summary.Summary`.
        resumed: whether it goes on with a run that was there.
    """

    config: Config
    summary: Summary

    def __init__(
        self,
        place: Workspace | None,
        info: RunInfo,
        *,
        allow_val_change: bool = False,
        earlier: Commit | None = None,
        previous: Id | None = None,
        when_over: Callable[["Run"], None] = lambda _: None,
    ) -> None:
        self._info = info
        self._when_over = when_over
        self._place = place
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._ended = False
        self._state = "running"
        self._began = time.time()
        self._started = earlier.started if earlier else now()
        self._previous = previous
        self._inputs = {one.artifact: one for one in earlier.inputs} if earlier else {}
        self._outputs = earlier.outputs if earlier else ()
        self._logged_labels: list[str] = []
        self._files: dict[str, Entry] = {}
        self._at_end: list[tuple[str, str]] = []
        self._warned: set[str] = set()
        self._disabled_step = 0
        self.resumed = earlier is not None
        self.config = Config(allow_val_change=allow_val_change)
        self.config.adopt_with(self.use_in_config)
        self.summary = Summary()
        self._history: History | None = None
        if place is not None:
            self._open(place, earlier)

    def _open(self, place: Workspace, earlier: Commit | None) -> None:
        """Make the run's own directory, and take over what an earlier part of the run left."""
        directory = self._directory(place)
        place.repo.disk.ensure_dir(directory)
        self._history = History(place.repo, directory, started=self._began)
        if earlier is not None:
            self.config.update(earlier.config, allow_val_change=True)
            self.summary.update(earlier.summary)
            self._take_files(place, earlier, directory)
            self._history.resume()
        elif os.path.exists(self._history.path):  # an id used again without resume begins anew
            place.repo.disk.unlink(self._history.path)
        self._provenance = provenance.capture(Path.cwd(), [sys.executable, *sys.argv])
        self._author = provenance.author(place.repo.settings)
        self._note(directory)

    def _take_files(self, place: Workspace, earlier: Commit, directory: str) -> None:
        if earlier.files is None:
            return
        repo = place.repo
        self._files = dict(merkle.walk(earlier.files, repo.objects.get))
        history = self._files.pop(HISTORY, None)
        path = os.path.join(directory, HISTORY)
        if history is not None and not (os.path.exists(path) and os.path.getsize(path) >= history.size):
            repo.disk.write_file(path, repo.read(history), tmp=str(repo.dir / "tmp"), durable=False)

    def _note(self, directory: str) -> None:
        """Leave a note of who runs here, by which a killed run can be told from a slow one."""
        note: JsonObject = {
            "host": str(self._provenance.environment.get("host", "")),
            "id": self.id,
            "job_type": self.job_type,
            "name": self.name,
            "pid": self._pid,
            "project": self.project,
            "started": self._started,
        }
        repo = self._workspace().repo
        path = os.path.join(directory, "run.json")
        repo.disk.write_file(path, codec.encode_json(note), tmp=str(repo.dir / "tmp"), durable=False)

    def _directory(self, place: Workspace) -> str:
        return str(place.repo.dir / "runs" / self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state, exit_code = outcome(error)
        if error is None:
            self.finish(exit_code)
            return
        try:
            self._finish(state, exit_code)
        except ArtvcError as exc:  # what went wrong first is what the user must see
            environment.warn(f"run {self.name} could not be recorded: {exc}")

    def __repr__(self) -> str:
        return f"<Run {self.project}/{self.id} {self.name} ({self._state})>"

    # -- what it is ---------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Unique within the project."""
        return self._info.id

    @property
    def name(self) -> str:
        """For people, such as ``sunny-smoke-1``."""
        return self._info.name

    @property
    def project(self) -> str:
        """The project that it belongs to."""
        return self._info.project

    def project_name(self) -> str:
        """The project, as W&B also spells it."""
        return self._info.project

    @property
    def entity(self) -> str:
        """As given to ``init``; means nothing here."""
        return self._info.entity

    @property
    def job_type(self) -> str:
        """What kind of work it does, such as ``train``."""
        return self._info.job_type

    @property
    def group(self) -> str:
        """The group of runs that it belongs to."""
        return self._info.group

    @property
    def notes(self) -> str:
        """Free text; may be set."""
        return self._info.notes

    @notes.setter
    def notes(self, text: str | None) -> None:
        self._info = dataclasses.replace(self._info, notes=text or "")

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by; may be set."""
        return self._info.tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._info = dataclasses.replace(self._info, tags=tuple(sorted(set(map(str, tags)))))

    @property
    def path(self) -> str:
        """``project/id``."""
        return f"{self.project}/{self.id}"

    @property
    def url(self) -> str:
        """How to look at it: there is no server, so it is a command."""
        return f"artvc show {self.id}"

    @property
    def dir(self) -> str:
        """The run's own directory."""
        return self._directory(self._place) if self._place else os.getcwd()

    @property
    def step(self) -> int:
        """The step that the next ``log`` without one belongs to."""
        return self._history.step if self._history else self._disabled_step

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, ``crashed`` or ``killed``."""
        return self._state

    @property
    def offline(self) -> bool:
        """Whether it was asked to stay offline (it always does)."""
        return self._info.mode == "offline"

    @property
    def disabled(self) -> bool:
        """Whether nothing is recorded."""
        return self._place is None

    @property
    def start_time(self) -> float:
        """When this process began it, seconds since 1970."""
        return self._began

    # -- history ------------------------------------------------------------------------------------------

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: bool | None = None,
    ) -> None:
        """Add values to the history, and make them the last ones in the summary.

        Args:
            data: key to number, text, tensor of no axes, list, dict, :class:`artvc.Image` or list of images.
            step: the row that they belong to.  Rows only follow one another: values for an earlier one are
                dropped with a warning, values for the present one are merged into it.
            commit: the row is complete and the next one begins; True unless ``step`` is given.
            sync: accepted for W&B's sake.

        Raises:
            InvalidType: ``data`` is no dict with text for keys, or the step no whole number.
            UsageError: the run is finished.
        """
        if not isinstance(data, Mapping):
            raise InvalidType(f"log() takes a dict, not {type(data).__name__}")
        for key in data:
            if type(key) is not str and not isinstance(key, str):
                raise InvalidType(f"the keys of a logged dict must be text, not {type(key).__name__}: {key!r:.80}")
        if step is not None:
            step = _whole(step)
        if commit is None:
            commit = step is None
        if self._ended:
            raise UsageError(f"run {self.name} is finished", hint="call artvc.init() to begin another")
        history = self._history
        if history is None:
            self.summary.update({key: value for key, value in data.items() if not _is_media(value)})
            self._disabled_step = max(self._disabled_step, step or 0) + int(commit)
            return
        if os.getpid() != self._pid:
            self._warn_once("this process was forked from the run's: what it logs is dropped")
            return
        with self._lock:
            if history.choose_step(step):
                row: dict[str, Json] = {}
                for key, value in data.items():
                    kind = type(value)
                    plain = kind is float or kind is int
                    row[key] = value if plain else self._logged_value(key, value)
                self.summary.take_row(row)
                history.add(row, commit=commit)

    def _logged_value(self, key: str, value: object) -> Json:
        """A value as the history holds it; pictures are stored."""
        if not _is_media(value):
            return values.to_json(value)
        if isinstance(value, Image):
            record, files = media.image_record(key, self.step, value)
        else:
            record, files = media.images_record(key, self.step, cast("Sequence[Image]", value))
        for path, data in files:
            self._keep(path, data)
        return record

    def _keep(self, path: str, data: bytes) -> None:
        """Put a file of the run into its directory."""
        repo = self._workspace().repo
        here = self.dir
        *parents, _ = path.split("/")
        for parent in parents:
            here = os.path.join(here, parent)
            if not os.path.isdir(here):
                repo.disk.ensure_dir(here)
        repo.disk.write_file(os.path.join(self.dir, path), data, tmp=str(repo.dir / "tmp"), durable=False)

    def save(
        self, glob_str: PathLike | None = None, base_path: PathLike | None = None, policy: str = "live"
    ) -> list[str]:
        """Attach files to the run as they are now (for the policy "end": as they are when it finishes).

        Args:
            glob_str: a path, or a pattern with ``*``, ``?``, ``[]``.
            base_path: directory below which the path is kept; for a relative path that does not lead out the
                working directory, else that of the file.
            policy: "live", "now" or "end".

        Returns:
            the files' paths; [] where nothing fits.

        Raises:
            InvalidInput: no such policy, or a file that is not below ``base_path``.
            SourceError: a file can't be read or changes meanwhile.
        """
        if policy not in {"live", "now", "end"}:
            raise InvalidInput(f"unknown policy {policy!r}", hint="use 'live', 'now' or 'end'")
        pattern = os.fspath(glob_str) if glob_str is not None else ""
        found = sorted(one for one in glob.glob(pattern, recursive=True) if os.path.isfile(one))
        if not found and os.path.isfile(pattern):
            found = [pattern]
        if self._place is None or not found:
            return found
        files = [(_saved_path(one, pattern, base_path), os.path.abspath(one)) for one in found]
        with self._lock:
            self._usable()
            if policy == "end":
                self._at_end += files
            else:
                for path, disk in files:
                    self._take(path, disk)
                self._record("running", None, why=f"save in run {self.name}")
        return found

    def _take(self, path: str, disk: str) -> None:
        with self._workspace().intake.use() as ingest:
            _, content, _ = ingest.add_file(os.path.realpath(disk))
        self._files[path] = file_entry(path.rpartition("/")[2], content)

    # -- recording ----------------------------------------------------------------------------------------

    def _workspace(self) -> Workspace:
        if self._place is None:
            raise UsageError("a disabled run has no repository")
        return self._place

    def _usable(self) -> None:
        if self._ended:
            raise UsageError(f"run {self.name} is finished", hint="call artvc.init() to begin another")
        if os.getpid() != self._pid:
            raise UsageError(f"run {self.name} belongs to another process", hint="call artvc.init() in this one")

    def _record(
        self,
        state: str,
        exit_code: int | None,
        *,
        why: str,
        outputs: Sequence[recording.OutputDraft] = (),
        closing: Upload | None = None,
    ) -> recording.Recorded:
        """Make a run commit of all that the run is by now."""
        place = self._workspace()
        with place.intake.use() as ingest:
            commit = Commit(
                run_id=self.id,
                run_name=self.name,
                project=self.project,
                job_type=self.job_type,
                group=self.group,
                notes=self.notes,
                tags=self.tags,
                previous=self._previous,
                inputs=tuple(self._inputs.values()),
                outputs=self._outputs,
                config=self.config.to_json(),
                summary=self.summary.to_json(),
                files=self._store_files(ingest, final=state != "running"),
                code=self._provenance.code,
                environment=self._provenance.environment,
                author=self._author,
                started=self._started,
                ended=now(),
                state=state,
                exit_code=exit_code,
            )
            recorded = recording.record(place.repo, ingest, commit, outputs, why=why, closing=closing)
        self._previous = recorded.commit_id
        self._outputs = recorded.commit.outputs
        return recorded

    def _store_files(self, ingest: Any, *, final: bool) -> Id | None:
        """Take in the run's own files; returns the tree of all, or None."""
        history = cast("History", self._history)
        history.complete() if final else history.flush()
        files = {
            path: entry
            for path, entry in self._files.items()
            if entry.id and ingest.has(Content(entry.kind, entry.id, entry.size))
        }
        for path in sorted(self._files.keys() - files.keys()):
            environment.warn(f"{path!r} of the run was lost when the disk failed")
        for path, disk in _below(self.dir, "media"):
            if path not in files:
                files[path] = file_entry(path.rpartition("/")[2], ingest.add_file(disk).content)
        self._files = dict(files)
        if os.path.exists(history.path) and (final or os.path.getsize(history.path) <= HISTORY_IN_EVERY_COMMIT):
            files[HISTORY] = file_entry(HISTORY, ingest.add_file(history.path).content)
        return merkle.write_tree(files.items(), ingest.put).id if files else None

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: its last commit is durable when this returns.  Twice is harmless.

        Args:
            exit_code: 0 or None for success; others make it ``failed``.
            quiet: accepted for W&B's sake.

        Raises:
            StorageFull, StorageError: the last commit could not be made; what was logged before is there.
        """
        self._finish("failed" if exit_code else "finished", exit_code or 0)

    def _finish(self, state: str, exit_code: int) -> None:
        with self._lock:
            if self._ended or os.getpid() != self._pid:
                return
            self._ended = True
            self._state = state
            self._when_over(self)
            if self._place is None:
                return
            try:
                for path, disk in self._at_end:
                    self._take_if_there(path, disk)
                self._record(state, exit_code, why=f"finish run {self.name}")
            finally:
                if self._history is not None:
                    self._history.close()
                self._place.rest()
        self._clear()
        self._say_what_became()

    def _take_if_there(self, path: str, disk: str) -> None:
        try:
            self._take(path, disk)
        except ArtvcError as exc:
            environment.warn(f"not saved: {exc}")

    def _clear(self) -> None:
        """Remove the run's own directory: all that was in it is in the last commit."""
        disk = self._workspace().repo.disk
        for directory, below, files in os.walk(self.dir, topdown=False):
            for name in files:
                disk.discard(os.path.join(directory, name))
            for name in below:
                _remove_directory(disk, os.path.join(directory, name))
        _remove_directory(disk, self.dir)

    def _say_what_became(self) -> None:
        logged = ", ".join(dict.fromkeys(self._logged_labels))
        environment.say(
            f"run {self.name} {self._state}"
            + (f"; logged {logged}" if logged else "")
            + f"; see 'artvc show {self.id}'"
        )

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            environment.warn(line)

    def _forget(self) -> None:
        """In a forked child: the run is the parent's, and so is what is buffered."""
        self._lock = threading.RLock()
        if self._history is not None:
            self._history.forget()


def outcome(error: BaseException | None) -> tuple[str, int]:
    """State and exit code of a run whose ``with`` block ended that way."""
    if error is None:
        return "finished", 0
    if isinstance(error, KeyboardInterrupt):
        return "killed", 130
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return ("failed" if code else "finished"), code
    return "failed", 1


def _is_media(value: object) -> bool:
    """An image, or a list of nothing but images."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, Image) for one in value)
    return isinstance(value, Image)


def _whole(step: object) -> int:
    """A step, which may come as a number of numpy or torch."""
    plain = values.to_json(step)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise InvalidType(f"a step is a whole number, not {step!r:.80}")
    return plain


def _saved_path(path: str, pattern: str, base_path: PathLike | None) -> str:
    """Where a saved file goes among the run's files."""
    if base_path is not None:
        relative = os.path.relpath(path, os.fspath(base_path))
    elif os.path.isabs(pattern) or ".." in Path(path).parts:
        relative = os.path.basename(path)
    else:
        relative = os.path.normpath(path)
    if relative.startswith(".."):
        raise InvalidInput(f"{path!r} is not below base_path {os.fspath(base_path or '.')!r}")
    return "saved/" + names.logical_path(relative.replace(os.sep, "/"))


def _below(root: str, top: str) -> list[tuple[str, str]]:
    """The files below a directory of a root: path from the root, and path on disk."""
    found = []
    for directory, _, files in os.walk(os.path.join(root, top)):
        for name in files:
            disk = os.path.join(directory, name)
            found.append((os.path.relpath(disk, root).replace(os.sep, "/"), disk))
    return sorted(found)


def _remove_directory(disk: Any, path: str) -> None:
    try:
        disk.rmdir(path)
    except (ArtvcError, OSError):
        return
