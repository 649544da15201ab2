"""A run's summary: the last value of every key that was logged, and what the script puts there itself."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from artvc.model.objects import Json, JsonObject
from artvc.sdk import values


class Summary(MutableMapping[str, Any]):
    """The summary of a run: what is set here replaces what was logged under that key before.

    Values come back as they will be recorded: 0-d tensors as numbers, tuples as lists.  ``summary["best"]`` and
    ``summary.best`` are the same; values may be dicts, and changing such a dict changes the summary.
    """

    __slots__ = ("_values",)
    _values: dict[str, Json]

    def __init__(self) -> None:
        object.__setattr__(self, "_values", {})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"summary has no key {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._values[str(key)] = values.to_json(value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]

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

    def take_row(self, row: dict[str, Json]) -> None:
        """Take over the values of a logged row, which are JSON already."""
        self._values.update(row)

    def to_json(self) -> JsonObject:
        """What is recorded."""
        return values.to_object(self._values, what="summary", non_finite="text")
