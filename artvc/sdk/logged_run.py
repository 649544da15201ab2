"""Runs as the repository has them: what :class:`artvc.Api` finds, with their history, files and artifacts."""

import dataclasses
import json
import mimetypes
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TextIO

from artvc import curation, history, recording
from artvc.errors import Damaged, InvalidInput, NotFound, UsageError
from artvc.history import Edge, LogEntry
from artvc.model import merkle, names
from artvc.model.ids import Id
from artvc.model.objects import Commit, Entry
from artvc.repo import RunRef
from artvc.sdk import environment, filters, leftovers, values
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.leftovers import Leftover
from artvc.sdk.listing import Listing
from artvc.sdk.summary import TIMES
from artvc.sdk.workspace import Workspace
from artvc.settings import now

HISTORY: Final = "history.jsonl"
SAVED: Final = "saved/"
LINE_BYTES: Final = 16 * 1024 * 1024
_POLL_SECONDS: Final = 0.5
# Fields of a run by W&B's names for them in filters and orders.
_FIELDS: Final[dict[str, str]] = {
    "createdAt": "created_at",
    "displayName": "display_name",
    "jobType": "job_type",
    "summaryMetrics": "summary_metrics",
    "summary": "summary_metrics",
    "description": "notes",
    "heartbeatAt": "heartbeat_at",
    "heartbeat": "heartbeat_at",
}


class RunSummary(dict[str, Any]):
    """The last values of a run: a dict whose keys can be read as attributes.

    :meth:`update` persists at once, as W&B's does; single items are persisted by the run's ``update()``.
    """

    def __init__(
        self, found: dict[str, Any], persist: Callable[[], None], last_row: Callable[[], dict[str, Any]]
    ) -> None:
        super().__init__(found)
        self._persist = persist
        self._last_row = last_row

    def __missing__(self, key: str) -> Any:
        """``_step``, ``_runtime`` and ``_timestamp`` of the last row, which are not among the keys."""
        if key in TIMES:
            return self._last_row()[key]
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default."""
        try:
            return self[key]
        except KeyError:
            return default

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the summary has no key {name!r}") from None

    @property
    def _json_dict(self) -> dict[str, Any]:
        """What W&B's scripts take to have a plain dict."""
        return dict(self)

    def update(self, *others: Any, **more: Any) -> None:
        """Set several keys, and record them.  Raises as :meth:`LoggedRun.update`."""
        super().update(*others, **more)
        self._persist()


class RunFile:
    """A file of a run: what ``save`` attached, a picture, the history.

    Attributes:
        name: its path; that of an attached file without ``saved/``.
        size: bytes.
        digest: id of its content, hex.
    """

    def __init__(self, place: Workspace, name: str, entry: Entry) -> None:
        self._place = place
        self._entry = entry
        self.name = name
        self.size = entry.size
        self.digest = entry.id.hex() if entry.id else ""

    def __repr__(self) -> str:
        return f"<File {self.name} ({self.size} bytes)>"

    @property
    def mimetype(self) -> str:
        """By its name; ``application/octet-stream`` where that says nothing."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @property
    def id(self) -> str:
        """The id of its content."""
        return self.digest

    def read(self) -> bytes:
        """All of it.  Raises Damaged where stored bytes are not what they were."""
        return b"".join(self._place.repo.read(self._entry))

    def download(self, root: PathLike = ".", replace: bool = False, exist_ok: bool = False, **more: object) -> TextIO:
        """Write it below a directory.

        Args:
            root: the directory; made if it is missing.
            replace: overwrite a file that is there.
            exist_ok: keep a file that is there.
            more: W&B's further arguments, without effect.

        Returns:
            the file, opened for reading text; its ``name`` is the path.

        Raises:
            InvalidInput: a file is there, and neither ``replace`` nor ``exist_ok``.
            Damaged: stored bytes are not what they were; nothing was written.
            StorageFull, StorageError: the target's disk.
        """
        path = os.path.join(os.path.abspath(root), *self.name.split("/"))
        if os.path.exists(path) and not replace:
            if not exist_ok:
                raise InvalidInput(f"{path} is there already", hint="pass replace=True or exist_ok=True")
            return open(path, encoding="utf-8")
        disk = self._place.repo.disk
        missing = []
        folder = os.path.dirname(path)
        while not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for one in reversed(missing):
            disk.ensure_dir(one)
        disk.write_file(path, self._place.repo.read(self._entry), tmp=os.path.dirname(path), durable=False)
        return open(path, encoding="utf-8")


class LoggedRun:
    """A run in the repository, as its last commit tells it; read when a member needs it.

    Of a run under way, or killed, it also tells what it left in its own directory since then.

    ``name``, ``notes``, ``tags``, ``group``, ``job_type``, ``config`` and ``summary`` may be changed;
    :meth:`update` records that.

    Args:
        place: the workspace.
        ref: of the run.
        leftover: of a run that recorded nothing yet.
    """

    def __init__(self, place: Workspace, ref: RunRef, leftover: Leftover | None = None) -> None:
        self._place = place
        self._ref = ref
        self._leftover = leftover
        self._commit: Commit | None = leftovers.told(leftover) if leftover is not None else None
        self._entry: LogEntry | None = None
        self._changed: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Run {self.project}/{self.id} {self.name} ({self.state})>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoggedRun) and (self.project, self.id) == (other.project, other.id)

    def __hash__(self) -> int:
        return hash((self.project, self.id))

    def load(self, force: bool = False) -> "LoggedRun":
        """Read it anew (with ``force``); changes that were not recorded are dropped.

        Raises:
            NotFound: it was deleted.
        """
        if force:
            found = logged_run(self._place, self._ref.project, self._ref.run_id)
            self._ref, self._leftover, self._commit = found._ref, found._leftover, found._commit
            self._entry = None
            self._changed.clear()
        return self

    def _read(self) -> Commit:
        if self._commit is None:
            self._commit = self._place.repo.commit(self._ref.commit)
            if self._commit.state == "running":
                self._add_leftover(self._commit)
        return self._commit

    def _add_leftover(self, commit: Commit) -> None:
        """Add what a run that has not ended left since its last commit."""
        found = leftovers.find(self._place.repo, commit.run_id)
        if found is not None and found.project == commit.project:
            self._leftover = found
            told = leftovers.told(found)
            self._commit = dataclasses.replace(commit, config=told.config, summary=told.summary, tags=told.tags)

    def _resolved(self) -> LogEntry:
        if self._entry is None and not self._ref.commit.strip(b"\0"):
            self._entry = LogEntry(commit_id=self._ref.commit, commit=self._read(), inputs=(), outputs=())
        if self._entry is None:
            self._entry = history.entry_of(self._place.repo, self._ref)
        return self._entry

    # -- what it is ---------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Unique within the project."""
        return self._ref.run_id

    @property
    def name(self) -> str:
        """For people, such as ``sunny-smoke-1``; may be set."""
        return str(self._changed.get("run_name", self._ref.name))

    @name.setter
    def name(self, name: str) -> None:
        self._changed["run_name"] = str(name)

    @property
    def display_name(self) -> str:
        """The name, as W&B also calls it."""
        return self.name

    @property
    def project(self) -> str:
        """The project that it belongs to."""
        return self._ref.project

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts."""
        return ""

    @property
    def path(self) -> list[str]:
        """``["", project, id]``; W&B has the entity in the first place."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> str:
        """How to look at it: there is no server, so it is a command."""
        return f"artvc show {self.project}/{self.id}"

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, ``crashed`` or ``killed``."""
        state = self._read().state
        if self._leftover is None:
            return state
        return "crashed" if self._leftover.is_dead else "running"

    @property
    def job_type(self) -> str:
        """What kind of work it did; may be set."""
        return str(self._changed.get("job_type", self._read().job_type))

    @job_type.setter
    def job_type(self, job_type: str | None) -> None:
        self._changed["job_type"] = job_type or ""

    @property
    def group(self) -> str:
        """The group of runs that it belongs to; may be set."""
        return str(self._changed.get("group", self._read().group))

    @group.setter
    def group(self, group: str | None) -> None:
        self._changed["group"] = group or ""

    @property
    def notes(self) -> str:
        """Free text; may be set."""
        return str(self._changed.get("notes", self._read().notes))

    @notes.setter
    def notes(self, notes: str | None) -> None:
        self._changed["notes"] = notes or ""

    description = notes

    @property
    def tags(self) -> list[str]:
        """Words to find it by; the list may be changed in place or replaced."""
        tags: list[str] = self._changed.setdefault("tags", list(self._read().tags))
        return tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._changed["tags"] = [tags] if isinstance(tags, str) else list(tags)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration without keys that start with ``_``; may be changed in place."""
        if "config" not in self._changed:
            found = values.restored(self._read().config)
            self._changed["config"] = {key: value for key, value in found.items() if not key.startswith("_")}
        config: dict[str, Any] = self._changed["config"]
        return config

    @property
    def rawconfig(self) -> dict[str, Any]:
        """The configuration as recorded, hidden keys too."""
        return dict(self._read().config)

    @property
    def summary(self) -> RunSummary:
        """The last values; NaN and infinities are floats again."""
        if "summary" not in self._changed:
            self._changed["summary"] = RunSummary(values.restored(self._read().summary), self.update, self._last_row)
        summary: RunSummary = self._changed["summary"]
        return summary

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """The summary as a plain dict."""
        return dict(self.summary)

    @property
    def metadata(self) -> dict[str, Any]:
        """Where it ran: interpreter, platform, packages, and under "code" the git commit and the command line."""
        commit = self._read()
        return {**commit.environment, "code": dict(commit.code)}

    @property
    def user(self) -> str:
        """Who ran it: name, else e-mail, else ""."""
        author = self._read().author
        return str(author.get("name") or author.get("email") or "")

    username = user

    @property
    def created_at(self) -> str:
        """When it began, ISO 8601, UTC."""
        return self._read().started

    @property
    def heartbeat_at(self) -> str:
        """When it was last recorded, ISO 8601, UTC."""
        return self._read().ended

    createdAt = created_at  # noqa: N815 -- W&B's name
    started = created_at
    ended = heartbeat_at

    @property
    def exit_code(self) -> int | None:
        """Of its process, where known."""
        return self._read().exit_code

    @property
    def commit(self) -> str:
        """The id of its last run commit, hex."""
        return self._ref.commit.hex()

    @property
    def sweep(self) -> None:
        """Always None: there are no sweeps here."""
        return

    def get(self, field: str) -> list[Any]:
        """What a filter finds at a dotted field: nothing, one value, or several of which any may fit."""
        head, _, rest = field.partition(".")
        head = _FIELDS.get(head, head)
        if head == "config":
            commit = self._read()
            found = filters.look_up(commit.config, rest)
            found = found or filters.look_up(commit.config, rest.removesuffix(".value"))
            return [values.restored(one) for one in found]
        if head == "summary_metrics":
            return [values.restored(one) for one in filters.look_up(self._read().summary, rest)]
        if field == "name":  # W&B's filters mean the id, people the name
            return [self._ref.run_id, self._ref.name]
        if rest or head not in _PLAIN_FIELDS:
            return []
        value = getattr(self, head)
        return [] if value is None else [value]

    def to_dict(self) -> dict[str, Any]:
        """What it is, as a plain dict."""
        shown = ("id", "name", "project", "state", "job_type", "group", "notes", "created_at", "heartbeat_at")
        return {
            **{one: getattr(self, one) for one in shown},
            "tags": list(self.tags),
            "config": dict(self.config),
            "summary_metrics": self.summary_metrics,
        }

    # -- changing -----------------------------------------------------------------------------------------

    def update(self) -> None:
        """Record what was changed in name, notes, tags, group, job type, config and summary.

        Raises:
            UsageError: the run goes on (its own next commit would undo this) or was changed by somebody else.
            InvalidInput: a value is not allowed.
            StorageFull, StorageError: nothing changed.
        """
        changed = dict(self._changed)
        commit = self._read()
        if self.state == "running":
            raise UsageError(f"run {self.id!r} goes on; change it in its own process", hint="artvc.run.tags = ...")
        if self._leftover is not None:
            raise UsageError(f"run {self.id!r} was killed and is not recorded", hint=f"artvc run recover {self.id}")
        if self._place.repo.run(self.project, self.id).commit != self._ref.commit:
            raise UsageError(f"run {self.id!r} was recorded anew meanwhile", hint="load(force=True), then change it")
        if "tags" in changed:
            changed["tags"] = tuple(sorted(set(map(str, changed["tags"]))))
        if "summary" in changed:
            changed["summary"] = values.to_object(changed["summary"], what="summary", non_finite="text")
        if "config" in changed:
            hidden = {key: value for key, value in commit.config.items() if key.startswith("_")}
            changed["config"] = hidden | values.to_object(changed["config"], what="config", non_finite="text")
        fresh = dataclasses.replace(commit, **changed)
        if fresh == commit:
            return
        fresh = dataclasses.replace(fresh, previous=self._ref.commit)
        with self._place.repo.ingest() as ingest:
            recording.record(self._place.repo, ingest, fresh, [], why=f"edit run {fresh.run_name}")
        self.load(force=True)

    def save(self) -> None:
        """As :meth:`update`."""
        self.update()

    def delete(self, delete_artifacts: bool = False) -> None:
        """Take the run off the list of runs; what a killed one left is recorded before.

        The versions that it logged stay, but :meth:`~artvc.Artifact.logged_by` does not tell it any more.

        Args:
            delete_artifacts: delete the versions that it logged and no other run did, with aliases and links to them.

        Raises:
            UsageError: the run goes on.
            NotFound: it was deleted meanwhile.
        """
        self.load(force=True)
        if self.state == "running":
            raise UsageError(f"run {self.id!r} goes on and can't be deleted", hint="finish() it in its own process")
        repo = self._place.repo
        if self._leftover is not None:
            leftovers.recover(repo, self._leftover)
        curation.delete_run(repo, self.project, self.id, delete_artifacts=delete_artifacts, now=now())

    def log_artifact(self, *_: object, **__: object) -> NoReturn:
        """Refused: what a run logged is recorded while it runs.  Raises UsageError."""
        raise _over(self, "log_artifact")

    def use_artifact(self, *_: object, **__: object) -> NoReturn:
        """Refused: what a run used is recorded while it runs.  Raises UsageError."""
        raise _over(self, "use_artifact")

    # -- history ------------------------------------------------------------------------------------------

    def scan_history(
        self,
        keys: Sequence[str] | None = None,
        page_size: int = 1000,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """All rows, in order of steps.

        Args:
            keys: only rows that have all of them, and of those only these values; None: everything.
            page_size: accepted for W&B's sake; rows are streamed.
            min_step: the first step.
            max_step: the step to stop before.

        Yields:
            dicts; ``_step``, ``_timestamp`` (seconds since 1970) and ``_runtime`` (seconds) are among the keys.

        Raises:
            Damaged: while reading: stored bytes are not what they were.
        """
        wanted = [keys] if isinstance(keys, str) else keys
        for row in self._rows():
            step = row.get("_step")
            if isinstance(step, int):
                if min_step is not None and step < min_step:
                    continue
                if max_step is not None and step >= max_step:
                    return
            if wanted is None:
                yield row
            elif all(key in row for key in wanted):
                yield {key: row[key] for key in wanted}

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,
        stream: str = "default",
    ) -> Any:
        """Rows, evenly thinned out to at most ``samples``; the first and the last one stay.

        Args:
            samples: how many at most.
            keys: only rows that have all of them and ``x_axis``, and of those only these values.
            x_axis: the key that is taken along with ``keys``.
            pandas: give a DataFrame where pandas is installed, else a list of dicts.
            stream: "default"; of the "system" metrics there are none, so they are empty.

        Raises:
            InvalidInput: no such stream, or fewer than one sample.
            Damaged: stored bytes are not what they were.
        """
        if stream not in {"default", "system"}:
            raise InvalidInput(f"unknown stream {stream!r}", hint="use 'default'")
        if samples < 1:
            raise InvalidInput(f"{samples} samples are none")
        wanted = [keys] if isinstance(keys, str) else keys
        chosen = None if wanted is None else list(dict.fromkeys([x_axis, *wanted]))
        rows = [] if stream == "system" else _thinned(self.scan_history(chosen), samples)
        if pandas:
            frame = _data_frame()
            if frame is not None:
                return frame.from_records(rows)
            environment.warn("pandas is not installed: history() gives a list of dicts")
        return rows

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 -- W&B's name
        """The step of the last row; -1 where there is none."""
        last = -1
        for row in self._rows():
            step = row.get("_step")
            if isinstance(step, int):
                last = max(last, step)
        return last

    def _last_row(self) -> dict[str, Any]:
        """The last row of the history; {} where there is none."""
        last: dict[str, Any] = {}
        for row in self._rows():
            last = row
        return last

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the history; a line that a killed writer left half is skipped."""
        for line in self._lines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield values.restored(row)

    def _lines(self) -> Iterator[bytes]:
        """The lines of the history: of a run that goes on, those of its own directory."""
        repo = self._place.repo
        self._read()
        live = os.path.join(self._leftover.directory, HISTORY) if self._leftover is not None else ""
        if os.path.isfile(live):
            with open(live, "rb") as file:
                yield from _bounded_lines(file.readline, live)
            return
        entry = self._tree().get(HISTORY)
        if entry is not None:
            with repo.open_file(entry) as file:
                yield from _bounded_lines(file.readline, f"the history of run {self.id}")

    # -- files and artifacts ------------------------------------------------------------------------------

    def _tree(self) -> dict[str, Entry]:
        files = self._read().files
        return {} if files is None else dict(merkle.walk(files, self._place.repo.objects.get))

    def _files(self) -> dict[str, Entry]:
        """The files by name; attached ones without ``saved/`` unless another has that name."""
        tree = self._tree()
        return {
            path.removeprefix(SAVED) if path.removeprefix(SAVED) not in tree else path: entry
            for path, entry in tree.items()
        }

    def files(
        self, names: Sequence[str] | None = None, per_page: int = 50, pattern: str | None = None
    ) -> Listing[RunFile]:
        """Its files, sorted by name.

        Args:
            names: only these; one that is not there is left out.
            per_page: accepted for W&B's sake.
            pattern: only names like this, with ``%`` for any text (as in SQL).
        """
        wanted = {names} if isinstance(names, str) else (set(names) if names else None)

        def find() -> list[Callable[[], RunFile]]:
            return [
                lambda name=name, entry=entry: RunFile(self._place, name, entry)  # type: ignore[misc]
                for name, entry in sorted(self._files().items())
                if (wanted is None or name in wanted) and (pattern is None or _is_like(name, pattern))
            ]

        return Listing(find, f"files of run {self.id}")

    def file(self, name: str) -> RunFile:
        """One file.  Raises NotFound."""
        entry = self._files().get(name) or self._tree().get(name)
        if entry is None:
            raise NotFound(f"run {self.id!r} has no file {name!r}", hint="files() lists them")
        return RunFile(self._place, name, entry)

    def logged_artifacts(self, per_page: int = 100) -> Listing[Artifact]:
        """The versions that it logged, in order; deleted ones are left out."""
        return self._artifacts(lambda: self._resolved().outputs, "logged by")

    def used_artifacts(self, per_page: int = 100) -> Listing[Artifact]:
        """The versions that it used, in order of first use; deleted ones are left out."""
        return self._artifacts(lambda: self._resolved().inputs, "used by")

    def _artifacts(self, edges: Callable[[], Sequence[Edge]], what: str) -> Listing[Artifact]:
        def make(edge: Edge) -> Callable[[], Artifact]:
            number = edge.number or 0
            return lambda: Artifact.from_version(
                self._place, self._place.repo.version(edge.project, edge.name, number), asked=f"v{number}"
            )

        return Listing(
            lambda: [make(edge) for edge in edges() if edge.number is not None], f"artifacts {what} run {self.id}"
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The labels ``name:v3`` of the versions that it used."""
        return tuple(edge.label for edge in self._resolved().inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels ``name:v3`` of the versions that it logged."""
        return tuple(edge.label for edge in self._resolved().outputs)

    def wait_until_finished(self) -> None:
        """Return when it does not run any more, looking twice a second.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        while self.load(force=True).state == "running":
            time.sleep(_POLL_SECONDS)


def logged_run(place: Workspace, project: str, run_id: str) -> LoggedRun:
    """A run by its id, also one that recorded nothing yet.  Raises NotFound."""
    try:
        return LoggedRun(place, place.repo.run(project, run_id))
    except NotFound:
        left = leftovers.find(place.repo, names.check_run_id(run_id))
        if left is None or left.project != project:
            raise
        return of_leftover(place, left)


def of_entry(place: Workspace, entry: LogEntry) -> LoggedRun:
    """A run by its entry in the log."""
    commit = entry.commit
    ref = RunRef(
        project=commit.project,
        run_id=commit.run_id,
        name=commit.run_name,
        commit=entry.commit_id,
        started=commit.started,
        ended=commit.ended,
    )
    found = LoggedRun(place, ref)
    found._entry = entry
    return found


def _over(run: LoggedRun, what: str) -> UsageError:
    return UsageError(
        f"{what}() of run {run.id!r}: a run read by Api records nothing more",
        hint=f"artvc.init(project={run.project!r}, id={run.id!r}, resume='must') goes on with it",
    )


def of_leftover(place: Workspace, left: Leftover) -> LoggedRun:
    """A run that recorded nothing yet."""
    nothing = Id(b"\0" * 32)
    ref = RunRef(
        project=left.project, run_id=left.id, name=left.name, commit=nothing, started=left.started, ended=left.last_sign
    )
    return LoggedRun(place, ref, left)


_PLAIN_FIELDS: Final = frozenset(
    {
        "commit",
        "created_at",
        "display_name",
        "ended",
        "exit_code",
        "group",
        "heartbeat_at",
        "id",
        "inputs",
        "job_type",
        "notes",
        "outputs",
        "project",
        "started",
        "state",
        "tags",
        "user",
    }
)


def _data_frame() -> Any:
    """pandas' DataFrame, or None where pandas is not installed."""
    try:
        import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 -- optional
    except ImportError:
        return None
    return pandas.DataFrame


def _thinned(rows: Iterator[dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """At most so many of some rows, evenly spaced, the first and the last among them; keeps few in memory."""
    kept: list[dict[str, Any]] = []
    every, last, count = 1, None, 0
    for count, row in enumerate(rows):
        last = row
        if count % every == 0:
            kept.append(row)
            if len(kept) >= 4 * samples:
                kept, every = kept[::2], every * 2
    if last is not None and count % every:
        kept.append(last)
    if len(kept) <= samples:
        return kept
    if samples == 1:
        return kept[-1:]
    return [kept[place * (len(kept) - 1) // (samples - 1)] for place in range(samples)]


def _bounded_lines(read: Callable[[int], bytes], what: str) -> Iterator[bytes]:
    while line := read(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise Damaged(f"{what} has a line of more than {LINE_BYTES} bytes")
        yield line


def _is_like(name: str, pattern: str) -> bool:
    """Whether a name has the parts of a pattern between its ``%``, in order."""
    first, *parts = pattern.split("%")
    if not parts:
        return name == first
    if not name.startswith(first):
        return False
    at = len(first)
    for part in parts[:-1]:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(name) - at >= len(parts[-1]) and name.endswith(parts[-1])
