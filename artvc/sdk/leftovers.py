"""Runs whose process may be gone: what their own directories tell, and how they become crashed runs.

A run leaves a note of its process in ``.artvc/runs/<id>`` and removes it when its last commit is made.  A note whose
process is gone belongs to a run that was killed: :func:`recover` makes the run commit that it could not make.
"""

import datetime
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from artvc import recording
from artvc.errors import ArtvcError, InvalidInput, NotFound, StorageError
from artvc.model import codec, merkle
from artvc.model.ids import ID_SIZE, Id
from artvc.model.objects import Commit, Entry, Input, Json, JsonObject
from artvc.repo import Repository
from artvc.sdk import history, process, run_files

DIRECTORY: Final = "runs"
NO_COMMIT: Final = Id(bytes(ID_SIZE))  # stands for the commit of a run that has none
NOTE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A run's own directory.

    Attributes:
        directory: its path.
        id, project, name, job_type, started: of the run.
        host, pid, born: of its process.
        note, state: what it wrote when it began, and at most a second before its end; JSON.
    """

    directory: str
    id: str
    project: str
    name: str
    job_type: str
    started: str
    host: str
    pid: int
    born: str
    note: JsonObject
    state: JsonObject

    @property
    def is_here(self) -> bool:
        """Whether its process ran on this machine, so that its end can be seen."""
        return self.host == process.host()

    @property
    def is_dead(self) -> bool:
        """Whether its process is known to be gone."""
        return self.is_here and not process.alive(self.pid, self.born)

    @property
    def last_sign(self) -> str:
        """When it last wrote something: ISO 8601, UTC."""
        times = [os.path.getmtime(path) for path in self._paths() if os.path.exists(path)]
        moment = datetime.datetime.fromtimestamp(max(times, default=0.0), datetime.UTC)
        return max(self.started, moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))

    def _paths(self) -> list[str]:
        return [os.path.join(self.directory, name) for name in (run_files.NOTE, run_files.STATE, history.NAME)]


def directory_of(repo: Repository, run_id: str) -> str:
    """Where a run's own directory is."""
    return str(repo.dir / DIRECTORY / run_id)


def write(repo: Repository, directory: str, name: str, value: JsonObject) -> None:
    """Replace one of the notes in a run's own directory.  Raises StorageFull, StorageError."""
    path = os.path.join(directory, name)
    repo.disk.write_file(path, codec.encode_json(value), tmp=str(repo.dir / "tmp"), durable=False)


def read_json(repo: Repository, path: str) -> JsonObject:
    """A note as a dict; {} where there is none or where it can't be read."""
    try:
        found = json.loads(repo.disk.read_file(path, limit=NOTE_BYTES))
    except (FileNotFoundError, NotADirectoryError, StorageError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def find(repo: Repository, run_id: str) -> Leftover | None:
    """What a run left in its directory; None where nothing is that its commits don't have."""
    directory = directory_of(repo, run_id)
    note = read_json(repo, os.path.join(directory, run_files.NOTE))
    if note.get("id") != run_id or not isinstance(note.get("started"), str):
        return None
    state = read_json(repo, os.path.join(directory, run_files.STATE))
    pid = note.get("pid")

    def text(key: str) -> str:
        found = state.get(key, note.get(key))
        return found if isinstance(found, str) else ""

    if _is_over(repo, text("project"), run_id, note):
        return None
    return Leftover(
        directory=directory,
        id=run_id,
        project=text("project"),
        name=text("name"),
        job_type=text("job_type"),
        started=text("started"),
        host=text("host"),
        pid=pid if isinstance(pid, int) else 0,
        born=text("born"),
        note=note,
        state=state,
    )


def _is_over(repo: Repository, project: str, run_id: str, note: JsonObject) -> bool:
    """Whether the run ended after the note was written: then only the removal of its directory failed."""
    try:
        commit = repo.commit(repo.run(project, run_id).commit)
    except ArtvcError:  # no commit yet, or one that can't be read
        return False
    return commit.state != "running" and commit.ended >= str(note.get("began", "9"))


def everything(repo: Repository) -> list[Leftover]:
    """All runs that are under way or were killed, the last begun first."""
    try:
        ids = repo.disk.listdir(str(repo.dir / DIRECTORY))
    except FileNotFoundError:
        return []
    found = (find(repo, one) for one in ids)
    return sorted((one for one in found if one is not None), key=lambda one: one.started, reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in a list: recorded, under way, or killed.

    Attributes:
        id, project, name, job_type, group, tags, started: of the run.
        state: as recorded, but ``crashed`` where the process of one that is under way is gone.
        ended: when it was last recorded; "" where it never was.
        commit: its last run commit; None where there is none.
        leftover: its own directory; None where it is over.
    """

    id: str
    project: str
    name: str
    job_type: str
    group: str
    tags: tuple[str, ...]
    started: str
    state: str
    ended: str
    commit: Id | None
    leftover: Leftover | None

    @property
    def recoverable(self) -> bool:
        """Whether it was killed and what it left is not recorded yet."""
        return self.leftover is not None and self.state == "crashed"


def listed(repo: Repository, project: str | None = None) -> list[RunLine]:
    """All runs, recorded ones and those that only left a note, the last begun first.

    Args:
        repo: the repository.
        project: only of this one.

    Raises:
        Damaged: a commit can't be read.
    """
    left = {(one.project, one.id): one for one in everything(repo) if project in {None, one.project}}
    found = []
    for run in repo.runs(project):
        commit = repo.commit(run.commit)
        leftover = left.get((run.project, run.run_id))
        if leftover is not None and leftover.started > commit.started:  # begun anew under an id that was used before
            continue
        left.pop((run.project, run.run_id), None)
        state = "crashed" if leftover is not None and leftover.is_dead else commit.state
        line = RunLine(
            id=run.run_id,
            project=run.project,
            name=commit.run_name,
            job_type=commit.job_type,
            group=commit.group,
            tags=commit.tags,
            started=commit.started,
            state="running" if leftover is not None and state not in {"crashed", "running"} else state,
            ended=commit.ended,
            commit=run.commit,
            leftover=leftover,
        )
        found.append(line)
    found += [_unrecorded(one) for one in left.values()]
    return sorted(found, key=lambda one: (one.started, one.id), reverse=True)


def _unrecorded(leftover: Leftover) -> RunLine:
    tags = leftover.state.get("tags")
    group = leftover.note.get("group")
    return RunLine(
        id=leftover.id,
        project=leftover.project,
        name=leftover.name,
        job_type=leftover.job_type,
        group=group if isinstance(group, str) else "",
        tags=tuple(str(one) for one in tags) if isinstance(tags, list) else (),
        started=leftover.started,
        state="crashed" if leftover.is_dead else "running",
        ended="",
        commit=None,
        leftover=leftover,
    )


def line_of(repo: Repository, word: str) -> RunLine:
    """The run of that id or name.

    Args:
        repo: the repository.
        word: ``[project/]`` and run id, run name, or 4 or more hex digits of its commit.

    Raises:
        NotFound: there is none.
        InvalidInput: several fit.
    """
    owner, _, rest = word.rpartition("/")
    lines = listed(repo, owner or None)
    for fits in (
        [one for one in lines if one.id == rest],
        [one for one in lines if one.commit and len(rest) >= 4 and one.commit.hex().startswith(rest)],
        [one for one in lines if one.name == rest],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            several = ", ".join(f"{one.project}/{one.id}" for one in fits[:10])
            raise InvalidInput(f"{word!r} is ambiguous", hint=f"it may be {several}")
    raise NotFound(f"no run {word!r}", hint="'artvc run ls' lists the runs")


def told(leftover: Leftover) -> Commit:
    """What a run that never recorded anything says of itself, as a run commit without inputs and files."""
    return _commit(leftover, None, None, leftover.last_sign)


def recover(repo: Repository, leftover: Leftover, *, clear: bool = True) -> recording.Recorded:
    """Make a run commit of state ``crashed`` of what a killed run left: history, media, config, summary, inputs.

    Args:
        repo: the repository.
        leftover: of a process that is gone.
        clear: remove the directory afterwards; False where the run is gone on with in it.

    Raises:
        StorageFull, StorageError: nothing was recorded; the directory is as it was.
        ArtvcError: the note makes no run.
    """
    earlier, previous = _last_commit(repo, leftover)
    opened = leftover.state.get("open_row")
    path = os.path.join(leftover.directory, history.NAME)
    when = leftover.last_sign
    history.mend(repo.disk, path, opened if isinstance(opened, dict) else None)
    draft = _commit(leftover, earlier, previous, when)
    known: dict[str, Entry] = {}
    if earlier is not None and earlier.files is not None:
        known = dict(merkle.walk(earlier.files, repo.objects.get))
    with repo.ingest() as ingest:
        files = run_files.take_in(ingest, leftover.directory, known, final=True)
        tree = merkle.write_tree(files.items(), ingest.put).id if files else None
        recorded = recording.record(repo, ingest, replace(draft, files=tree), [], why=f"recover run {leftover.name}")
    if clear:
        run_files.clear(repo.disk, leftover.directory)
    return recorded


def _last_commit(repo: Repository, leftover: Leftover) -> tuple[Commit | None, Id | None]:
    """The run's last commit if this part of the run made it; and the last one of any part."""
    try:
        run = repo.run(leftover.project, leftover.id)
    except NotFound:
        return None, None
    commit = repo.commit(run.commit)
    return (commit if commit.started == leftover.started else None), run.commit


def _commit(leftover: Leftover, earlier: Commit | None, previous: Id | None, when: str) -> Commit:
    """The run commit that the notes tell of, without files."""
    note, state = leftover.note, leftover.state

    def mapping(key: str) -> JsonObject:
        found = state.get(key, note.get(key))
        return found if isinstance(found, dict) else {}

    def text(key: str) -> str:
        found = state.get(key, note.get(key))
        return found if isinstance(found, str) else ""

    tags = state.get("tags", note.get("tags"))
    return Commit(
        run_id=leftover.id,
        run_name=leftover.name,
        project=leftover.project,
        job_type=leftover.job_type,
        group=text("group"),
        notes=text("notes"),
        tags=tuple(str(one) for one in tags) if isinstance(tags, list) else (),
        previous=previous,
        inputs=_inputs(state.get("inputs"), earlier),
        outputs=earlier.outputs if earlier else (),
        config=mapping("config"),
        summary=mapping("summary"),
        code=mapping("code"),
        environment=mapping("environment"),
        author=mapping("author"),
        started=leftover.started,
        ended=max(when, earlier.ended) if earlier else when,
        state="crashed",
        exit_code=None,
    )


def _inputs(noted: Json, earlier: Commit | None) -> tuple[Input, ...]:
    """The inputs of the last commit, and those that the state names besides."""
    found = {one.artifact: one for one in earlier.inputs} if earlier else {}
    for one in noted if isinstance(noted, list) else []:
        if isinstance(one, Mapping):
            try:
                artifact = Id.parse(str(one.get("artifact")))
                made = Input(project=str(one.get("project")), artifact=artifact, asked=str(one.get("asked")))
            except (ArtvcError, ValueError):
                continue
            found.setdefault(artifact, made)
    return tuple(found.values())


def as_json(inputs: Any) -> list[Json]:
    """Inputs as the state holds them."""
    return [{"artifact": one.artifact.hex(), "asked": one.asked, "project": one.project} for one in inputs]
