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
        after = [*lanes[:column], *fresh, *lanes[column + 1 :]]
        moves = [(i, after.index(lane)) for i, lane in enumerate(lanes) if i != column]
        moves += [(column, after.index(parent)) for parent in wanted]
        rows += [Row(text, None) for text in _led(moves)]
        lanes = after
    return rows


def _led(moves: Sequence[tuple[int, int]]) -> list[str]:
    """The lines that lead lanes from where they are to where they go, at most one lane to the side a line."""
    lines = []
    places = dict.fromkeys(moves)
    while any(now != goal for now, goal in places):
        cells: dict[int, str] = {}
        moved: list[tuple[int, int]] = []
        for now, goal in places:
            step = (goal > now) - (goal < now)
            mark = "|" if not step else "\\" if step > 0 else "/"
            cell = 2 * now + step
            cells[cell] = "X" if cells.get(cell, mark) != mark else mark
            moved.append((now + step, goal))
        lines.append("".join(cells.get(i, " ") for i in range(max(cells) + 1)))
        places = dict.fromkeys(moved)
    return lines
