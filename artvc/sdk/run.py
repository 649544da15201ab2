"""A run: what a script uses, logs and finds, recorded as it happens.

Every ``log_artifact`` and ``save`` makes a run commit of state ``running`` with all of the run so far, durable and
visible when the call returns; ``finish`` makes the last one.  Between them history, images and a note of what the run
knows lie as files in ``.artvc/runs/<id>``, at most a second behind, so that a killed run leaves them
(:mod:`artvc.sdk.leftovers`).
"""

import dataclasses
import datetime
import enum
import glob
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TextIO, cast

from artvc import provenance, recording
from artvc.errors import ArtvcError, InvalidInput, InvalidType, NotFound, StorageError, StorageFull, UsageError
from artvc.history import find_run, in_spans
from artvc.model import merkle, names
from artvc.model.ids import Id
from artvc.model.objects import Commit, Entry, Json, JsonObject, directory_entry, file_entry
from artvc.sdk import environment, footer, history, leftovers, media, metrics, process, run_files, values, workspace
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.config import Config
from artvc.sdk.history import History
from artvc.sdk.metrics import Metric, Metrics
from artvc.sdk.run_artifacts import RunArtifacts
from artvc.sdk.run_settings import Settings
from artvc.sdk.summary import Summary
from artvc.sdk.table import Table
from artvc.sdk.watch import Watcher
from artvc.sdk.workspace import Workspace
from artvc.settings import now
from artvc.uploads import Upload

ALERT_CHARACTERS: Final = 10_000


class AlertLevel(enum.Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What is still to be sent to a server: nothing, ever."""

    sync_items_total: int = 0
    sync_items_pending: int = 0
    sync_time: datetime.datetime | None = None


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
        settings: Settings | None = None,
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
        self._recorded_files: dict[str, Entry] = {}  # as this process's last commit has them
        self._recorded_media: Entry | None = None
        self._fresh_media = 0  # pictures written since
        self._at_end: list[tuple[str, str]] = []
        self._warned: set[str] = set()
        self._disabled_step = 0
        self._settings = settings if settings is not None else Settings()
        self._quiet = bool(self._settings.silent or self._settings.quiet)
        self._timer: threading.Timer | None = None
        self._unwritten = False
        self._preempting = False
        self._alerted: dict[str, float] = {}
        self._metrics = Metrics()
        self._watcher = Watcher(self._log_open)
        self.resumed = earlier is not None
        self.config = Config(allow_val_change=allow_val_change, changed=self._changed)
        self.config.adopt_with(self.use_in_config)
        self.summary = Summary(self._metrics, changed=self._changed, times=self._times)
        self._history: History | None = None
        if place is not None:
            place.lineage = lambda: (self.project, tuple(self._inputs))
            self._open(place, earlier)
        self._starting_step = self.step

    def _open(self, place: Workspace, earlier: Commit | None) -> None:
        """Make the run's own directory, and take over what an earlier part of the run left."""
        directory = self._directory(place)
        disk = place.repo.disk
        disk.ensure_dir(str(place.repo.dir / leftovers.DIRECTORY))
        if earlier is None:  # an id used again without resume begins anew; what it was is in its previous commit
            run_files.clear(disk, directory, own_too=self._previous is not None)
        disk.ensure_dir(directory)
        disk.ensure_dir(os.path.join(directory, run_files.FILES))
        self._history = History(place.repo, directory, started=self._began)
        if earlier is not None:
            self.config.update(values.restored(earlier.config), allow_val_change=True)
            self._take_files(place, earlier, directory)
            self._metrics.take_over(leftovers.read_json(place.repo, os.path.join(directory, run_files.METRICS)), {})
            self.summary.take_over(values.restored(earlier.summary))
            self._metrics.take_over(
                leftovers.read_json(place.repo, os.path.join(directory, run_files.METRICS)), earlier.summary
            )
            self._history.resume()
        self._provenance = provenance.capture(Path.cwd(), [sys.executable, *sys.argv])
        self._author = provenance.author(place.repo.settings)
        self._note(directory)

    def _take_files(self, place: Workspace, earlier: Commit, directory: str) -> None:
        if earlier.files is None:
            return
        repo = place.repo
        self._files = dict(merkle.walk(earlier.files, repo.objects.get))
        for name in (history.NAME, run_files.METRICS, run_files.ALERTS):
            entry = self._files.pop(name, None)
            path = os.path.join(directory, name)
            if entry is not None and not (os.path.exists(path) and os.path.getsize(path) >= entry.size):
                repo.disk.write_file(path, repo.read(entry), tmp=str(repo.dir / "tmp"), durable=False)

    def _note(self, directory: str) -> None:
        """Leave a note of who runs here, by which a killed run can be told from a slow one and recovered."""
        note: JsonObject = {
            "author": self._author,
            "began": now(),
            "born": process.birth(self._pid),
            "code": self._provenance.code,
            "entity": self.entity,
            "environment": self._provenance.environment,
            "group": self.group,
            "host": process.host(),
            "id": self.id,
            "job_type": self.job_type,
            "name": self.name,
            "notes": self.notes,
            "pid": self._pid,
            "project": self.project,
            "started": self._started,
            "tags": list(self.tags),
        }
        leftovers.write(self._workspace().repo, directory, run_files.NOTE, note)
        self._write_state()

    def _directory(self, place: Workspace) -> str:
        return leftovers.directory_of(place.repo, self.id)

    def _times(self) -> JsonObject:
        """Step and times of the last row; {} where there is none."""
        if self._history is not None:
            return self._history.times
        passed = time.time() - self._began
        return {"_runtime": passed, "_step": max(0, self._disabled_step - 1), "_timestamp": self._began + passed}

    # -- what a killed run leaves -------------------------------------------------------------------------

    def _changed(self) -> None:
        """See to it that what is known by now is on disk within a second.

        Raises:
            UsageError: the run is finished, so that it would be lost.
        """
        if self._ended and os.getpid() == self._pid:
            raise UsageError(
                f"run {self.name} is finished: this change is not recorded",
                hint=f"change it before, or Api().run('{self.project}/{self.id}') and update() it",
            )
        self._unwritten = True
        self._soon()

    def _soon(self) -> None:
        if self._timer is None and self._history is not None and not self._ended and os.getpid() == self._pid:
            timer = threading.Timer(history.FLUSH_SECONDS, self._tick)
            timer.daemon = True
            self._timer = timer
            try:
                timer.start()
            except RuntimeError:  # the interpreter ends and starts no threads any more
                self._tick()

    def _tick(self) -> None:
        """Write what waits; on a full disk try again a little later."""
        with self._lock:
            self._timer = None
            if self._ended or self._history is None or os.getpid() != self._pid:
                return
            written = self._history.flush()
            if self._unwritten or self._history.open_row:
                try:
                    written &= self._write_state()
                except RuntimeError:  # the script changes a dict of the summary at this moment
                    written = False
            if not written:
                self._soon()

    def _write_state(self) -> bool:
        """Note what is not in the history: config, summary, inputs, the open row; False where the disk is full."""
        state: JsonObject = {
            "config": self.config.to_json(),
            "inputs": leftovers.as_json(self._inputs.values()),
            "job_type": self.job_type,
            "name": self.name,
            "notes": self.notes,
            "open_row": values.to_json(self._history.open_row, non_finite="text") if self._history else {},
            "preempting": self._preempting,
            "summary": self.summary.to_json(),
            "tags": list(self.tags),
        }
        place = self._workspace()
        directory = self._directory(place)
        try:
            leftovers.write(place.repo, directory, run_files.STATE, state)
            if self._metrics:
                leftovers.write(place.repo, directory, run_files.METRICS, self._metrics.to_json())
        except (StorageError, StorageFull, OSError) as exc:
            self._warn_once(f"the run's state is not written yet: {exc}")
            return False
        self._unwritten = False
        return True

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
        """For people, such as ``sunny-smoke-1``; may be set."""
        return self._info.name

    @name.setter
    def name(self, name: str) -> None:
        self._info = dataclasses.replace(
            self._info, name=names.check_text("run name", str(name), names.FILE_NAME_BYTES)
        )
        self._changed()

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
        self._changed()

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by; may be set."""
        return self._info.tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        listed = [tags] if isinstance(tags, str) else tags or ()
        self._info = dataclasses.replace(self._info, tags=tuple(sorted(set(map(str, listed)))))
        self._changed()

    @property
    def path(self) -> str:
        """``project/id``."""
        return f"{self.project}/{self.id}"

    @property
    def url(self) -> str:
        """How to look at it: there is no server, so it is a command."""
        return f"artvc show {self.id}"

    @property
    def project_url(self) -> str:
        """How to look at its project: a command."""
        return f"artvc run ls --project {self.project}"

    def get_url(self) -> str:
        """:attr:`url`, as W&B also spells it."""
        return self.url

    def get_project_url(self) -> str:
        """:attr:`project_url`, as W&B also spells it."""
        return self.project_url

    @property
    def dir(self) -> str:
        """A directory for the script's own files: what lies there when the run ends is saved with it."""
        if self._place is None:
            return os.getcwd()
        return os.path.join(self._directory(self._place), run_files.FILES)

    @property
    def sync_dir(self) -> str:
        """The run's own directory below ``.artvc/runs``: what it has not committed yet."""
        return self._directory(self._place) if self._place else os.getcwd()

    @property
    def repository(self) -> str:
        """The path of ``.artvc`` that it is recorded in; "" where it is not."""
        return str(self._place.repo.dir) if self._place else ""

    @property
    def settings(self) -> Settings:
        """What was passed as ``settings``, with what became of the run's id, name, project and so on."""
        told: dict[str, Any] = {
            "entity": self.entity,
            "mode": self._info.mode,
            "project": self.project,
            "root_dir": str(Path.cwd()),
        }
        told |= {"run_id": self.id, "run_name": self.name, "run_group": self.group, "run_job_type": self.job_type}
        told |= {"run_notes": self.notes, "run_tags": self.tags, "sync_dir": self.sync_dir, "files_dir": self.dir}
        return Settings(**{**self._settings, **told})

    @property
    def config_static(self) -> Mapping[str, Any]:
        """The configuration as it is now; it can't be changed."""
        return MappingProxyType(self.config.as_dict())

    @property
    def starting_step(self) -> int:
        """The first step of this process: 0, or where the run that it resumed ended."""
        return self._starting_step

    @property
    def sweep_id(self) -> None:
        """None: there are no sweeps."""

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
            data: key to number, text, tensor of no axes, list, dict, media such as :class:`artvc.Image` and
                :class:`artvc.Table`, alone or in lists and dicts.
            step: the row that they belong to.  Rows only follow one another: values for an earlier one are
                dropped with a warning, values for the present one are merged into it.
            commit: the row is complete and the next one begins; True unless ``step`` is given.
            sync: accepted for W&B's sake.

        Raises:
            InvalidType: ``data`` is no dict with text for keys, or the step no whole number.
            UsageError: the run is finished.
        """
        if type(data) is not dict and not isinstance(data, Mapping):
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
        rows = self._history
        if rows is None:
            self.summary.take_row(
                {key: values.to_json(value) for key, value in data.items() if not media.holds_media(value)}
            )
            self._disabled_step = max(self._disabled_step, step or 0) + int(commit)
            return
        if os.getpid() != self._pid:
            self._warn_once("this process was forked from the run's: what it logs is dropped")
            return
        with self._lock:
            if rows.choose_step(step):
                row: dict[str, Json] = {}
                for key, value in data.items():
                    kind = type(value)
                    plain = kind is float or kind is int
                    row[key] = value if plain else self._logged_value(key, value)
                if self._metrics:
                    self._metrics.complete(row)
                self.summary.take_row(row)
                rows.add(row, commit=commit)
                self._unwritten = True
                if self._timer is None:
                    self._soon()

    def _log_open(self, data: Mapping[str, Any]) -> None:
        """Add values to the row that is open, without completing it."""
        if not self._ended and os.getpid() == self._pid:
            self.log(data, commit=False)

    def define_metric(
        self,
        name: str,
        step_metric: str | Metric | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | Sequence[str] | None = None,
        overwrite: bool | None = None,
        goal: str | None = None,
    ) -> Metric:
        """Say what the summary keeps of a key, and which other key is its x axis.

        Args:
            name: the key, or a pattern such as ``val/*``; a key's own definition goes before patterns.
            step_metric: the key that it is drawn against.
            step_sync: whether rows that have the key without ``step_metric`` get its last value; True where
                ``step_metric`` is given.
            hidden: leave it out of what is drawn by itself.
            summary: ``min``, ``max``, ``mean``, ``last``, ``first``, ``best``, ``none``; several with commas or as a
                list.  ``run.summary["loss"]`` is then ``{"min": 0.1}`` (``run.summary["loss.min"]`` reads it too).
                Without, it is the last value.
            goal: ``minimize`` or ``maximize``: what ``best`` means; minimize if not given.
            overwrite: forget what was defined of this name before; else only what is said anew changes.

        Returns:
            the definition.

        Raises:
            InvalidType: a name that is no text.
            InvalidInput: an unknown summary or goal.
        """
        metric, step = metrics.checked(name, step_metric, step_sync, hidden, summary, goal)
        with self._lock:
            if step is not None and self._metrics.of(step.name) is None:
                self._metrics.define(step, overwrite=False)
            metric = self._metrics.define(metric, overwrite=bool(overwrite))
            self._changed()
        return metric

    def watch(
        self,
        models: object,
        criterion: object = None,
        log: str | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
    ) -> None:
        """Log the L2 norms of a PyTorch model's gradients or parameters with the rows.

        Where W&B keeps histograms, the history gets one number for each parameter: ``gradients/<name>``,
        ``parameters/<name>``.

        Args:
            models: one, or a list.
            criterion: accepted for W&B's sake.
            log: "gradients", "parameters", "all" or None.
            log_freq: of so many backward (or forward) passes one is logged, beginning with the first.
            idx: number of the first model.
            log_graph: accepted without effect, with a warning.

        Raises:
            InvalidType: no PyTorch model.
            InvalidInput: an unknown ``log`` or ``log_freq``.
            UsageError: the model is watched already.
        """
        if log_graph:
            self._warn_once("watch: log_graph has no effect here")
        self._watcher.watch(models, log, log_freq, idx)

    def unwatch(self, models: object = None) -> None:
        """Stop watching some models; None: all."""
        self._watcher.unwatch(models)

    def alert(
        self,
        title: str,
        text: str,
        level: str | AlertLevel | None = None,
        wait_duration: int | float | datetime.timedelta | None = None,
    ) -> None:
        """Tell people of something: printed, and kept in ``alerts.jsonl`` among the run's files.

        Args:
            title: one line.
            text: what there is to say.
            level: INFO (if not given), WARN or ERROR.
            wait_duration: seconds during which alerts of the same title are dropped; 60 if not given.

        Raises:
            InvalidInput: no such level.
        """
        name = level.value if isinstance(level, AlertLevel) else str(level or "INFO").upper()
        if name not in AlertLevel.__members__:
            raise InvalidInput(f"unknown level {level!r}", hint="use 'INFO', 'WARN' or 'ERROR'")
        pause = wait_duration.total_seconds() if isinstance(wait_duration, datetime.timedelta) else wait_duration
        moment = time.monotonic()
        with self._lock:
            if moment < self._alerted.get(title, float("-inf")) + (60.0 if pause is None else pause):
                return
            self._alerted[title] = moment
            environment.say(f"alert ({name}): {title}: {text}")
            if self._place is None:
                return
            self._usable()
            told: dict[str, Json] = {
                "level": name,
                "step": self.step,
                "text": str(text)[:ALERT_CHARACTERS],
                "time": now(),
                "title": str(title)[:ALERT_CHARACTERS],
            }
            disk = self._place.repo.disk
            fd = disk.open_append(os.path.join(self.sync_dir, run_files.ALERTS))
            try:
                disk.write(fd, [(history.line_of(told) + "\n").encode("utf-8", "backslashreplace")])
            finally:
                disk.close(fd)

    def restore(
        self, name: str, run_path: str | None = None, replace: bool = False, root: PathLike | None = None
    ) -> TextIO:
        """Bring back a file that a run saved.

        Args:
            name: as :meth:`save` or :attr:`dir` had it.
            run_path: ``[project/]`` and id or name of the run; None: this one.
            replace: also where a file of that name is there; else that is opened as it is.
            root: directory to put it into; :attr:`dir` if not given.

        Returns:
            the file, opened for reading text; its ``name`` is the path.

        Raises:
            NotFound: no such run, or no such file in it (a ValueError).
            InvalidInput: a name that leads out of ``root``.
        """
        return restore(self._place or workspace.find(), self, name, run_path, replace, root)

    def mark_preempting(self) -> None:
        """Say that the machine may be taken away: all that was logged is on disk when this returns."""
        if self._place is None:
            return
        with self._lock:
            self._usable()
            self._preempting = True
            cast("History", self._history).flush()
            self._write_state()

    def status(self) -> RunStatus:
        """What is still to be sent to a server: nothing."""
        return RunStatus()

    def display(self, height: int = 420, hidden: bool = False) -> bool:
        """Show the run: in a notebook as HTML, elsewhere as text on stderr.  Returns whether it was HTML."""
        shown = getattr(sys.modules.get("IPython.display"), "display", None)
        markup = getattr(sys.modules.get("IPython.display"), "HTML", None)
        if environment.in_notebook() and shown and markup:
            shown(markup(self.to_html(height, hidden)))
            return True
        environment.say(f"run {self.name} ({self.id}) in project {self.project}: {self._state}")
        self._say_values()
        return False

    def to_html(self, height: int = 420, hidden: bool = False) -> str:
        """The run as a piece of HTML: what it is, config, summary."""
        facts = {"id": self.id, "project": self.project, "state": self._state, "step": str(self.step)}
        found = footer.page(self.name, facts, self.config.to_json(), self.summary.to_json())
        return f"<details><summary>run {self.id}</summary>{found}</details>" if hidden else found

    def join(self, exit_code: int | None = None) -> None:
        """:meth:`finish`, as W&B once spelt it."""
        self.finish(exit_code)

    def _logged_value(self, key: str, value: object) -> Json:
        """A value as the history holds it; media are stored, and tables become versions of artifacts too."""
        if not media.holds_media(value):
            return values.to_json(value)
        logged = media.log(key, self.step, value)
        for path, data in logged.files.items():
            self._keep(path, data)
        for name, table, record in logged.tables:
            record["artifact_path"] = self._log_table(name, table)
        return logged.record

    def _log_table(self, key: str, table: Table) -> str:
        """Log a table as an artifact of its own; returns where it is."""
        name, entry = media.table_artifact(self.id, key)
        artifact = Artifact(name, "run_table")
        first, *others = media.pack(table, entry)
        for path, data in (first, *others):
            with artifact.new_file(path, "wb") as file:
                file.write(data)
        self.log_artifact(artifact)
        return f"artvc-artifact://{artifact.qualified_name}/{first[0]}"

    def _keep(self, path: str, data: bytes) -> None:
        """Put a file of the run into its directory."""
        repo = self._workspace().repo
        here = self.sync_dir
        *parents, _ = path.split("/")
        for parent in parents:
            here = os.path.join(here, parent)
            if not os.path.isdir(here):
                repo.disk.ensure_dir(here)
        repo.disk.write_file(os.path.join(self.sync_dir, path), data, tmp=str(repo.dir / "tmp"), durable=False)
        self._fresh_media += 1

    def save(
        self, glob_str: PathLike | None = None, base_path: PathLike | None = None, policy: str = "live"
    ) -> list[str]:
        """Attach files to the run as they are now (for the policy "end": as they are when it finishes).

        Args:
            glob_str: a path, or a pattern with ``*``, ``?``, ``[]``.
            base_path: directory below which the path is kept.  If it is not given: for a relative path the working
                directory; for an absolute one ``run.dir``, where it is in there, else the one above the file's
                directory (``/data/model/a.pt`` is kept as ``model/a.pt``).
            policy: "live", "now" or "end".

        Returns:
            the files' paths; [] where nothing fits.

        Raises:
            InvalidInput: no such policy, or a path that leads out of ``base_path`` or the working directory.
            SourceError: a file can't be read or changes meanwhile.
        """
        if policy not in {"live", "now", "end"}:
            raise InvalidInput(f"unknown policy {policy!r}", hint="use 'live', 'now' or 'end'")
        pattern = os.fspath(glob_str) if glob_str is not None else ""
        if base_path is None and not os.path.isabs(pattern) and _leads_out(os.path.normpath(pattern)):
            raise InvalidInput(f"{pattern!r} leads out of the working directory", hint="pass base_path=")
        found = sorted(one for one in glob.glob(pattern, recursive=True) if os.path.isfile(one))
        if not found and os.path.isfile(pattern):
            found = [pattern]
        if self._place is None or not found:
            return found
        files = [(_saved_path(one, pattern, base_path, self.dir), os.path.abspath(one)) for one in found]
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
            files, media_entry = self._store_files(ingest, final=state != "running")
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
                files=files,
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
        self._recorded_files = self._files
        if media_entry is not self._recorded_media:
            self._recorded_media, self._fresh_media = media_entry, 0
        return recorded

    def _store_files(self, ingest: Any, *, final: bool) -> tuple[Id | None, Entry | None]:
        """Take in the run's own files; returns the tree of all, and the entry of its pictures, or None."""
        rows = cast("History", self._history)
        rows.complete() if final else rows.flush()
        self._write_state()
        kept = self._recorded_media
        due = final or run_files.media_due(kept.files if kept else 0, self._fresh_media)
        files = run_files.take_in(
            ingest, self.sync_dir, self._files, final=final, recorded=self._recorded_files, look_for_media=due
        )
        own = {history.NAME, run_files.METRICS, run_files.ALERTS}
        self._files = {path: entry for path, entry in files.items() if path not in own}
        top = f"{run_files.MEDIA}/"
        named = [(path, entry) for path, entry in files.items() if not path.startswith(top)]
        if due or kept is None:
            pictures = [(path[len(top) :], entry) for path, entry in files.items() if path.startswith(top)]
            kept = directory_entry(run_files.MEDIA, merkle.write_tree(pictures, ingest.put)) if pictures else None
        if kept is not None:
            named.append((run_files.MEDIA, kept))
        return (merkle.write_tree(named, ingest.put).id if named else None), kept

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: its last commit is durable when this returns.  Twice is harmless.

        Args:
            exit_code: 0 or None for success; others make it ``failed``.
            quiet: say nothing of it.

        Raises:
            StorageFull, StorageError: the last commit could not be made; what was logged is in ``.artvc/runs``, and
                ``artvc run recover`` makes a commit of it once the process is over.
        """
        self._quiet = self._quiet or bool(quiet)
        self._finish("failed" if exit_code else "finished", exit_code or 0)

    def _finish(self, state: str, exit_code: int) -> None:
        with self._lock:
            if self._ended or os.getpid() != self._pid:
                return
            self._ended = True
            self._state = state
            self._watcher.unwatch()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
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
        self._say_what_became()
        run_files.clear(self._place.repo.disk, self.sync_dir)

    def _take_if_there(self, path: str, disk: str) -> None:
        try:
            self._take(path, disk)
        except ArtvcError as exc:
            environment.warn(f"not saved: {exc}")

    def _label(self, **_: object) -> None:
        """Accepted for the sake of libraries that tell W&B so which they are (transformers' Trainer)."""

    def _say_what_became(self) -> None:
        if self._quiet:
            return
        self._say_values()
        labels = dict.fromkeys(self._logged_labels)
        split = ((label, label.rpartition(":v")) for label in labels)
        logged = ", ".join(in_spans((label, (name, int(number))) for label, (name, _, number) in split))
        environment.say(
            f"run {self.name} {self._state}"
            + (f"; logged {logged}" if logged else "")
            + f"; see 'artvc show {self.id}'"
        )

    def _say_values(self) -> None:
        """Tell the history as curves and the summary as a table."""
        if environment.silent():
            return
        hidden = [key for key in self.summary if (metric := self._metrics.of(key)) is not None and metric.hidden]
        rows: list[JsonObject] = []
        if self._place is not None and self._history is not None:
            rows = history.sample(self._place.repo.disk, self._history.path)
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        for line in footer.lines(rows, self.summary.to_json(), encoding=encoding, skip=hidden):
            environment.say(line)

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            environment.warn(line)

    def _forget(self) -> None:
        """In a forked child: the run is the parent's, and so is what is buffered."""
        self._lock = threading.RLock()
        self._timer = None
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


def _whole(step: object) -> int:
    """A step, which may come as a number of numpy or torch."""
    plain = values.to_json(step)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise InvalidType(f"a step is a whole number, not {step!r:.80}")
    return plain


def _saved_path(path: str, pattern: str, base_path: PathLike | None, own: str) -> str:
    """Where a saved file goes among the run's files; ``own`` is the run's directory."""
    if base_path is not None:
        base = os.fspath(base_path)
    elif not os.path.isabs(pattern):
        base = "."
    else:
        base = os.path.dirname(os.path.dirname(pattern)) if _leads_out(os.path.relpath(path, own)) else own
    relative = os.path.relpath(path, base)
    if _leads_out(relative):
        raise InvalidInput(f"{path!r} is not below base_path {base!r}")
    return "saved/" + names.logical_path(relative.replace(os.sep, "/"))


def _leads_out(relative: str) -> bool:
    return relative.split(os.sep, 1)[0] == os.pardir


def restore(
    place: Workspace, run: Run | None, name: str, run_path: str | None, replace: bool, root: PathLike | None
) -> TextIO:
    """See :meth:`Run.restore`; without a run, files go into the working directory."""
    if run_path is None and run is None:
        raise UsageError("restore() needs run_path where there is no run", hint="give it as project/run-id")
    logical = names.logical_path(name)
    base = os.path.abspath(root or (run.dir if run is not None else os.getcwd()))
    target = os.path.join(base, *logical.split("/"))
    if replace or not os.path.exists(target):
        files = run._files if run is not None and run_path is None else files_of(place, str(run_path))
        entry = files.get(f"{run_files.SAVED}/{logical}") or files.get(logical)
        if entry is None:
            raise NotFound(f"no file {name!r} in run {run_path or (run.id if run else '')!r}")
        disk = place.repo.disk
        here = base
        for part in ("", *logical.split("/")[:-1]):
            here = os.path.join(here, part) if part else here
            if os.path.islink(here):
                raise InvalidInput(f"{here!r} is a link, so that {name!r} would lie elsewhere")
            if not os.path.isdir(here):
                disk.ensure_dir(here)
        disk.write_file(target, place.repo.read(entry), tmp=os.path.dirname(target), durable=False)
    return open(target, encoding="utf-8")  # the caller's to close, as with W&B


def files_of(place: Workspace, run_path: str) -> dict[str, Entry]:
    """The files of a recorded run, by path.  Raises NotFound, InvalidInput."""
    parts = run_path.strip("/").split("/")
    if len(parts) > 2:  # W&B's entity/project/run
        parts = parts[-2:]
    tree = place.repo.commit(find_run(place.repo, "/".join(parts)).commit).files
    return dict(merkle.walk(tree, place.repo.objects.get)) if tree is not None else {}
