"""What ``define_metric`` says of the keys that a run logs: what the summary keeps of them, and against which step."""

import fnmatch
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from artvc.errors import InvalidInput, InvalidType
from artvc.model.objects import Json, JsonObject

SUMMARIES: Final = ("min", "max", "mean", "last", "first", "best", "copy", "none")
GOALS: Final = ("minimize", "maximize")
METRICS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What was said of a key, or of all keys that fit a pattern.

    Attributes:
        name: the key; with ``*``, ``?`` or ``[]`` a pattern such as ``val/*``.
        step_metric: the key that is its x axis; None: the step.
        step_sync: put the last value of ``step_metric`` into rows that have the key without it.
        hidden: leave it out of what is drawn by itself.
        summary: what the summary keeps, of :data:`SUMMARIES`; () is the last value.
        goal: ``minimize``, ``maximize`` or None.
    """

    name: str
    step_metric: str | None = None
    step_sync: bool = False
    hidden: bool = False
    summary: tuple[str, ...] = ()
    goal: str | None = None

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for several keys."""
        return any(one in self.name for one in "*?[")

    def to_json(self) -> JsonObject:
        """What is recorded."""
        return {
            "goal": self.goal,
            "hidden": self.hidden,
            "name": self.name,
            "step_metric": self.step_metric,
            "step_sync": self.step_sync,
            "summary": list(self.summary),
        }


@dataclass(slots=True)
class _Kept:
    """What is known of a key that has a rule of its own for the summary."""

    metric: Metric
    count: int = 0
    values: dict[str, Json] = field(default_factory=dict)


class Metrics:
    """The definitions of a run, and what they make of the rows."""

    def __init__(self) -> None:
        self._defined: dict[str, Metric] = {}
        self._found: dict[str, Metric | None] = {}
        self._kept: dict[str, _Kept] = {}
        self._last: dict[str, Json] = {}
        self._syncs = False

    def __bool__(self) -> bool:
        return bool(self._defined)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._defined.values())

    def define(self, metric: Metric, *, overwrite: bool) -> Metric:
        """Add a definition; what an earlier one of that name said besides stays unless ``overwrite``.

        Raises:
            InvalidInput: ten thousand are there already.
        """
        before = self._defined.get(metric.name)
        if before is not None and not overwrite:
            metric = Metric(
                name=metric.name,
                step_metric=metric.step_metric or before.step_metric,
                step_sync=metric.step_sync or before.step_sync,
                hidden=metric.hidden or before.hidden,
                summary=metric.summary or before.summary,
                goal=metric.goal or before.goal,
            )
        if before is None and len(self._defined) >= METRICS:
            raise InvalidInput(f"more than {METRICS} metrics defined", hint="use a pattern such as 'val/*'")
        self._defined[metric.name] = metric
        self._found.clear()
        self._syncs = any(one.step_sync and one.step_metric for one in self._defined.values())
        return metric

    def of(self, key: str) -> Metric | None:
        """The definition for a key: its own, else that of the longest pattern that fits."""
        if key not in self._found:
            fits = [one for one in self._defined.values() if one.is_pattern and fnmatch.fnmatchcase(key, one.name)]
            self._found[key] = self._defined.get(key) or max(fits, key=lambda one: len(one.name), default=None)
        return self._found[key]

    def complete(self, row: dict[str, Json]) -> None:
        """Put the step metrics of a row's keys into it, where they are to be and were logged before."""
        if not self._syncs:
            return
        for key in list(row):
            metric = self.of(key)
            step = metric.step_metric if metric is not None and metric.step_sync else None
            if step is not None and step not in row and step in self._last:
                row[step] = self._last[step]
        steps = {one.step_metric for one in self._defined.values() if one.step_metric}
        self._last.update({key: row[key] for key in steps & row.keys()})

    def summarise(self, row: Mapping[str, Json]) -> dict[str, Json]:
        """What a row changes in the summary.

        Args:
            row: key to value.

        Returns:
            the last value of keys without a definition (or with ``copy``); nothing for ``none``; else a dict of what
            was asked for, such as ``{"max": 0.9}``.  Values that are no numbers change no minimum, maximum or mean.
        """
        found: dict[str, Json] = {}
        for key, value in row.items():
            metric = self.of(key)
            if metric is None or not metric.summary or metric.summary == ("copy",):
                found[key] = value
            elif "none" not in metric.summary:
                kept = self._kept.get(key)
                if kept is None or kept.metric is not metric:
                    kept = self._kept[key] = _Kept(metric, *((kept.count, kept.values) if kept else ()))
                _take(kept, value)
                found[key] = dict(kept.values)
        return found

    def take_over(self, recorded: JsonObject, summary: Mapping[str, Json]) -> None:
        """Go on from what :meth:`to_json` recorded, with the summary of that time."""
        listed = recorded.get("metrics")
        for one in listed if isinstance(listed, list) else []:
            metric = _from_json(one)
            if metric is not None:
                self.define(metric, overwrite=True)
        counts = recorded.get("counts")
        counts = counts if isinstance(counts, dict) else {}
        for key, value in summary.items():
            metric = self.of(key)
            if metric is not None and metric.summary and isinstance(value, dict):
                count = counts.get(key)
                kept = {name: one for name, one in value.items() if name in SUMMARIES}
                self._kept[key] = _Kept(metric, count if isinstance(count, int) else 0, kept)

    def to_json(self) -> JsonObject:
        """What is recorded: the definitions, and how many values each mean is of."""
        return {
            "counts": {key: kept.count for key, kept in sorted(self._kept.items())},
            "metrics": [one.to_json() for _, one in sorted(self._defined.items())],
        }


def _take(kept: _Kept, value: Json) -> None:
    """Bring what is kept of a key up to date with one more value."""
    known = kept.values
    for what in kept.metric.summary:
        if what in {"last", "copy"}:
            known["last"] = value
        elif what == "first":
            known.setdefault("first", value)
    if not isinstance(value, int | float) or math.isnan(value):
        return
    kept.count += 1
    for what in kept.metric.summary:
        before = known.get(what)
        if what == "mean":
            mean = before if isinstance(before, int | float) else 0.0
            known[what] = mean + (value - mean) / kept.count
        elif what in {"min", "max", "best"}:
            high = what == "max" or (what == "best" and kept.metric.goal == "maximize")
            if not isinstance(before, int | float) or (value > before if high else value < before):
                known[what] = value


def _from_json(recorded: Json) -> Metric | None:
    """A definition that was recorded; None for what is none."""
    if not isinstance(recorded, dict) or not isinstance(recorded.get("name"), str):
        return None
    summary, goal, step = (recorded.get(key) for key in ("summary", "goal", "step_metric"))
    return Metric(
        name=str(recorded["name"]),
        step_metric=step if isinstance(step, str) else None,
        step_sync=recorded.get("step_sync") is True,
        hidden=recorded.get("hidden") is True,
        summary=tuple(str(one) for one in summary if one in SUMMARIES) if isinstance(summary, list) else (),
        goal=goal if isinstance(goal, str) and goal in GOALS else None,
    )


def checked(
    name: object,
    step_metric: object,
    step_sync: object,
    hidden: object,
    summary: object,
    goal: object,
) -> tuple[Metric, Metric | None]:
    """The arguments of ``define_metric`` as a definition, and that of its step metric.

    Raises:
        InvalidType: a name that is no text.
        InvalidInput: an empty name, an unknown summary or goal.
    """
    if not isinstance(name, str):
        raise InvalidType(f"define_metric() takes the name of a key, not {type(name).__name__}")
    if isinstance(step_metric, Metric):
        step_metric = step_metric.name
    if step_metric is not None and not isinstance(step_metric, str):
        raise InvalidType(f"step_metric is the name of a key, not {type(step_metric).__name__}")
    if not name:
        raise InvalidInput("define_metric() needs the name of a key")
    if goal is not None and goal not in GOALS:
        raise InvalidInput(f"unknown goal {goal!r}", hint="use 'minimize' or 'maximize'")
    wanted = _summaries(summary)
    if "best" in wanted and goal is None:
        goal = "minimize"
    metric = Metric(
        name=name,
        step_metric=step_metric,
        step_sync=bool(step_metric) if step_sync is None else bool(step_sync),
        hidden=bool(hidden),
        summary=wanted,
        goal=str(goal) if goal is not None else None,
    )
    return metric, Metric(name=step_metric) if step_metric else None


def _summaries(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    listed: Sequence[object] = given.split(",") if isinstance(given, str) else list(given)  # type: ignore[call-overload]
    found = [str(one).strip().lower() for one in listed]
    for one in found:
        if one not in SUMMARIES:
            raise InvalidInput(f"unknown summary {one!r}", hint=f"use one of {', '.join(SUMMARIES)}")
    return tuple(dict.fromkeys(found))
