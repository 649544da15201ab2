"""The log: run commits, newest first, with the versions that they consumed and produced."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from artvc.errors import Damaged, InvalidInput, NotFound
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Commit
from artvc.repo import Repository, RunRef

_SPAN: Final = 4  # versions in a row that are all named


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An artifact version as an input or output of a run.

    Attributes:
        project, name, type, artifact_id: the artifact.
        number: of the version; None if that was deleted.
        asked: the reference by which an input was asked for; "" for outputs.
        aliases: that stand for it now.
    """

    project: str
    name: str
    type: str
    artifact_id: Id
    number: int | None
    asked: str
    aliases: tuple[str, ...]

    @property
    def label(self) -> str:
        """``name:v3``, or ``name@hash`` for a version that is no longer there."""
        return f"{self.name}:v{self.number}" if self.number is not None else f"{self.name}@{self.artifact_id.short}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A run: its last commit, with inputs and outputs resolved."""

    commit_id: Id
    commit: Commit
    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]


def log(
    repo: Repository, reference: str | None = None, *, project: str | None = None, limit: int | None = None
) -> Iterator[LogEntry]:
    """Runs, newest first.

    Args:
        repo: the repository.
        reference: only the run that made this version, and what came before it; None: all runs.
        project: only runs of this project.
        limit: at most so many.

    Raises:
        NotFound: the reference stands for nothing.
        Damaged: a commit can't be read.
    """
    entries = _ancestors(repo, reference) if reference is not None else _all(repo, project)
    for count, entry in enumerate(entries):
        if limit is not None and count >= limit:
            return
        yield entry


def entry_of(repo: Repository, run: RunRef) -> LogEntry:
    """A run with its inputs and outputs resolved.  Raises Damaged."""
    return _Resolver(repo).entry(run)


def find_run(repo: Repository, word: str) -> RunRef:
    """The run with that id or name, or whose commit starts with these hex digits.

    Args:
        repo: the repository.
        word: ``[project/]`` and run id, run name, or 4 or more hex digits of a commit.

    Raises:
        NotFound: there is none.
        InvalidInput: several fit.
    """
    owner, _, rest = word.rpartition("/")
    runs = repo.runs(owner or None)
    for fits in (
        [run for run in runs if run.run_id == rest],
        [run for run in runs if run.commit.hex().startswith(rest)] if len(rest) >= 4 else [],
        [run for run in runs if run.name == rest],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            shown = ", ".join(f"{run.project}/{run.run_id}" for run in fits[:10])
            raise InvalidInput(f"{word!r} is ambiguous", hint=f"it may be {shown}")
    raise NotFound(f"no run {word!r}", hint="'artvc log' lists the runs")


def _all(repo: Repository, project: str | None) -> Iterator[LogEntry]:
    resolver = _Resolver(repo)
    for run in repo.runs(project):
        yield resolver.entry(run)


def _ancestors(repo: Repository, reference: str) -> Iterator[LogEntry]:
    """The runs that produced a version, those that produced their inputs, and so on."""
    version = repo.resolve(reference).version
    resolver = _Resolver(repo)
    producers: dict[tuple[str, Id], list[RunRef]] = {}
    entries: dict[tuple[str, str], LogEntry] = {}
    for run in repo.runs():
        entry = resolver.entry(run)
        entries[run.project, run.run_id] = entry
        for edge in entry.outputs:
            producers.setdefault((edge.project, edge.artifact_id), []).append(run)
    todo = [(version.project, version.artifact_id)]
    wanted: set[tuple[str, str]] = set()
    while todo:
        for run in producers.get(todo.pop(), ()):
            key = (run.project, run.run_id)
            if key not in wanted:
                wanted.add(key)
                todo += [(edge.project, edge.artifact_id) for edge in entries[key].inputs]
    yield from (entry for key, entry in entries.items() if key in wanted)


class _Resolver:
    """Finds what versions artifact ids are now; reads each artifact once."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._numbers: dict[tuple[str, str], dict[str, int]] = {}
        self._aliases: dict[tuple[str, str], dict[int, list[str]]] = {}

    def entry(self, run: RunRef) -> LogEntry:
        commit = self._repo.commit(run.commit)
        if commit.run_id != run.run_id or commit.project != run.project:
            raise Damaged(f"run {run.project}/{run.run_id} points to the commit of another run")
        return LogEntry(
            commit_id=run.commit,
            commit=commit,
            inputs=tuple(self._edge(one.project, one.artifact, one.asked) for one in commit.inputs),
            outputs=tuple(self._edge(commit.project, one.artifact, "") for one in commit.outputs),
        )

    def _edge(self, project: str, artifact_id: Id, asked: str) -> Edge:
        artifact = self._repo.artifact(artifact_id)
        key = (project, artifact.name)
        if key not in self._numbers:
            self._look_up(key)
        number = self._numbers[key].get(artifact_id.hex())
        return Edge(
            project=project,
            name=artifact.name,
            type=artifact.type,
            artifact_id=artifact_id,
            number=number,
            asked=asked,
            aliases=tuple(sorted(self._aliases[key].get(number, ()))) if number is not None else (),
        )

    def _look_up(self, key: tuple[str, str]) -> None:
        project, name = key
        refs = self._repo.state().below(f"artifacts/{project}/{name}")
        self._numbers[key], self._aliases[key] = {}, {}
        for ref, value in refs.items():
            number, target = names.version_number(ref), value.get("version")
            if number is not None and "source" not in value:
                self._numbers[key][str(value.get("artifact"))] = number
            elif number is None and isinstance(target, int):
                self._aliases[key].setdefault(target, []).append(ref)


def producers(repo: Repository, project: str, artifact: Id) -> list[LogEntry]:
    """The runs that logged this content, newest first."""
    return [
        entry
        for entry in _all(repo, project)
        if any(edge.artifact_id == artifact and edge.project == project for edge in entry.outputs)
    ]


def consumers(repo: Repository, project: str, artifact: Id) -> list[LogEntry]:
    """The runs that used this version, newest first."""
    return [
        entry
        for entry in _all(repo, None)
        if any(edge.artifact_id == artifact and edge.project == project for edge in entry.inputs)
    ]


def in_spans(items: Iterable[tuple[str, tuple[str, int] | None]]) -> list[str]:
    """Texts of versions, those of many versions in a row shortened to the first and the last.

    Args:
        items: each version's text, and its artifact and number; None instead of these if it is to be shown in any case.
    """
    found: list[list[str]] = []
    before: tuple[str, int] | None = None
    for text, version in items:
        if found and version is not None and before == (version[0], version[1] - 1):
            found[-1].append(text)
        else:
            found.append([text])
        before = version
    shown = [[span[0], "...", span[-1]] if len(span) > _SPAN else span for span in found]
    return [" ".join(span) if "..." in span else ", ".join(span) for span in shown]
