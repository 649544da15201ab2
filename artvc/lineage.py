"""The lineage: which runs consumed what other runs produced, and how to draw it in a terminal.

The graph is bipartite (runs and artifact versions).  For drawing, a run's parents are the runs that produced its
inputs; rows are runs, newest first, as in ``git log --graph``.
"""

from collections.abc import Sequence
from typing import NamedTuple

from artvc.history import Edge, LogEntry
from artvc.model.ids import Id


class Row(NamedTuple):
    """One line of a drawing: the lanes, and the run that stands in this line (None between runs)."""

    lanes: str
    entry: LogEntry | None


def parents(entries: Sequence[LogEntry]) -> dict[Id, list[tuple[Id, Edge]]]:
    """For each run commit, the run commits that produced its inputs, with the versions between them.

    Content that several runs logged belongs to the earliest of them, as its version does.

    Args:
        entries: runs, newest first.
    """
    producer: dict[tuple[str, Id], Id] = {}
    for entry in entries:
        for edge in entry.outputs:
            producer[edge.project, edge.artifact_id] = entry.commit_id
    found: dict[Id, list[tuple[Id, Edge]]] = {}
    for entry in entries:
        made_here = {edge.artifact_id for edge in entry.outputs}
        found[entry.commit_id] = [
            (producer[edge.project, edge.artifact_id], edge)
            for edge in entry.inputs
            if (edge.project, edge.artifact_id) in producer
            and producer[edge.project, edge.artifact_id] != entry.commit_id
            and edge.artifact_id not in made_here
        ]
    return found


def ordered(entries: Sequence[LogEntry]) -> list[LogEntry]:
    """Runs such that each stands before those whose outputs it used; otherwise newest first.

    Clocks of several machines need not agree, so times alone would not do.  A cycle (two runs that used each
    other's outputs while both went on) is broken at the newer run.
    """
    above = parents(entries)
    waiting = {entry.commit_id: 0 for entry in entries}
    for edges in above.values():
        for parent in {parent for parent, _ in edges}:
            waiting[parent] += 1
    left = {entry.commit_id: entry for entry in entries}
    out: list[LogEntry] = []
    while left:
        # Entries come newest first, so the first free one is the newest free one.
        free = next((key for key in left if waiting[key] <= 0), next(iter(left)))
        out.append(left.pop(free))
        for parent in {parent for parent, _ in above[free]}:
            waiting[parent] -= 1
    return out


def draw(entries: Sequence[LogEntry]) -> list[Row]:
    """The lanes of a drawing, two columns each: ``*`` is the run of the line, ``|`` passes by, ``\\`` and ``/`` lead.

    Args:
        entries: runs, newest first.
    """
    above = parents(entries)
    rows: list[Row] = []
    lanes: list[Id] = []
    for entry in ordered(entries):
        here = entry.commit_id
        if here not in lanes:
            lanes.append(here)
        column = lanes.index(here)
        rows.append(Row(" ".join("*" if i == column else "|" for i in range(len(lanes))), entry))
        wanted = list(dict.fromkeys(parent for parent, _ in above[here]))
        fresh = [parent for parent in wanted if parent not in lanes]
        joined = [parent for parent in wanted if parent in lanes]
        after = [*lanes[:column], *fresh, *lanes[column + 1 :]]
        rows += [Row(text, None) for text in _between(lanes, after, column, fresh, joined)]
        lanes = after
    return rows


def _between(
    before: Sequence[Id], after: Sequence[Id], column: int, fresh: Sequence[Id], joined: Sequence[Id]
) -> list[str]:
    """The lines between a run in a column and the next: what begins, what joins another lane, what moves."""
    lines = []
    for parent in joined:
        lines.append(_join(before, column, before.index(parent)))
    if len(fresh) > 1:
        for extra in range(1, len(fresh)):
            left = "| " * (column + extra)
            moved = len(before) - column - 1
            lines.append((left + "\\ " + "\\ " * moved).rstrip())
    elif not fresh and column < len(before) - 1:
        lines.append(("| " * column + " " + "/ " * (len(before) - column - 1)).rstrip())
    return lines


def _join(lanes: Sequence[Id], column: int, target: int) -> str:
    """A line that leads from one lane to another past those between."""
    cells = ["|" if i != column or False else "|" for i in range(len(lanes))]
    gaps = [" "] * len(lanes)
    low, high = min(column, target), max(column, target)
    for i in range(low, high):
        gaps[i] = "_"
    gaps[high - 1 if column > target else low] = "/" if column > target else "\\"
    return "".join(cell + gap for cell, gap in zip(cells, gaps, strict=True)).rstrip()
