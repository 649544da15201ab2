"""What the repository says of a run that is over or elsewhere: a plain value for scripts."""

from dataclasses import dataclass
from typing import Any

from artvc.history import LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as its last commit tells it.

    Attributes:
        id, name, project, job_type, group, tags, notes: as in :class:`artvc.Run`.
        state: ``running``, ``finished``, ``failed``, ``crashed`` or ``killed``.
        config, summary: dicts.
        inputs, outputs: labels ``name:v3`` of the versions used and logged.
        started, ended: ISO 8601, UTC.
        commit: id of the run commit, hex.
    """

    id: str
    name: str
    project: str
    job_type: str
    group: str
    tags: tuple[str, ...]
    notes: str
    state: str
    config: dict[str, Any]
    summary: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    started: str
    ended: str
    commit: str


def record_of(entry: LogEntry) -> RunRecord:
    """The record of a run from its entry in the log."""
    commit = entry.commit
    return RunRecord(
        id=commit.run_id,
        name=commit.run_name,
        project=commit.project,
        job_type=commit.job_type,
        group=commit.group,
        tags=commit.tags,
        notes=commit.notes,
        state=commit.state,
        config=dict(commit.config),
        summary=dict(commit.summary),
        inputs=tuple(edge.label for edge in entry.inputs),
        outputs=tuple(edge.label for edge in entry.outputs),
        started=commit.started,
        ended=commit.ended,
        commit=entry.commit_id.hex(),
    )
