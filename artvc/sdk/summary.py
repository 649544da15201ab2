"""A run's summary: the last value of every key that was logged, and what the script puts there itself."""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Final

from artvc.model.objects import Json, JsonObject
from artvc.sdk import values
from artvc.sdk.metrics import Metrics

TIMES: Final = frozenset({"_runtime", "_step", "_timestamp"})


class Summary(MutableMapping[str, Any]):
    """The summary of a run: what is set here replaces what was logged under that key before.

    Values come back as they will be recorded: 0-d tensors as numbers, tuples as lists.  ``summary["best"]`` and
    ``summary.best`` are the same; values may be dicts, and changing such a dict changes the summary.  Of keys that
    ``define_metric`` spoke of, what was asked for is kept: ``summary["loss"]`` is ``{"min": 0.1}``, which
    ``summary["loss.min"]`` reads too.  What the script sets under such a key stays until it is logged again.

    Args:
        metrics: the definitions.
        changed: called when the script changed something.
        times: gives ``_step``, ``_runtime`` and ``_timestamp`` of the last row.  They can be read by these keys, as in
            W&B, but are not among the keys: the history has them.
    """

    __slots__ = ("_changed", "_metrics", "_times", "_values")
    _values: dict[str, Json]
    _metrics: Metrics
    _changed: Callable[[], None]
    _times: Callable[[], JsonObject]

    def __init__(
        self,
        metrics: Metrics | None = None,
        changed: Callable[[], None] = lambda: None,
        times: Callable[[], JsonObject] = dict,
    ) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_metrics", metrics if metrics is not None else Metrics())
        object.__setattr__(self, "_changed", changed)
        object.__setattr__(self, "_times", times)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"summary has no key {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __getitem__(self, key: str) -> Any:
        if key in TIMES and key not in self._values:
            return self._times()[key]
        if key not in self._values and "." in key:
            owner, _, kept = key.rpartition(".")
            inner = self._values.get(owner)
            if isinstance(inner, dict) and kept in inner:
                return inner[kept]
        return self._values[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._values[str(key)] = values.to_json(value)
        self._changed()

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._changed()

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def update(self, other: object = None, /, **more: object) -> None:
        """Set several keys.  Raises InvalidType for what is no mapping."""
        self._values.update(values.to_object(other, what="summary"))
        self._values.update(values.to_object(more, what="summary"))
        self._changed()

    def take_row(self, row: dict[str, Json]) -> None:
        """Take over the values of a logged row, which are JSON already, as far as they belong here."""
        self._values.update(self._metrics.summarise(row) if self._metrics else row)

    def take_over(self, recorded: JsonObject) -> None:
        """Begin with what was recorded."""
        self._values.update(recorded)

    def to_json(self) -> JsonObject:
        """What is recorded."""
        return values.to_object(dict(self._values), what="summary", non_finite="text")
