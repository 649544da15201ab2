"""A run's configuration: a mapping whose values can also be read as attributes, and don't change by accident."""

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from artvc.errors import ConfigError, InvalidInput, InvalidType
from artvc.model.objects import JSON_DEPTH, Json, JsonObject
from artvc.sdk import config_file, values


class Config(MutableMapping[str, Any]):
    """The configuration of a run.

    ``config["lr"]`` and ``config.lr`` are the same.  A key that has a value keeps it: giving it another one raises
    ConfigError unless ``allow_val_change=True`` is passed to :meth:`update`.  Keys that start with ``_`` are not
    listed.  Tuples become lists, tensors and numpy numbers plain numbers, as they will be read back later.

    Args:
        allow_val_change: allow changes by default (notebooks, where cells run again).
        changed: called when something changed.
    """

    __slots__ = ("_adopt", "_allow", "_artifacts", "_changed", "_values")
    _adopt: Callable[[object], Any] | None
    _artifacts: dict[str, Any]
    _allow: bool
    _changed: Callable[[], None]
    _values: dict[str, Json]

    def __init__(self, *, allow_val_change: bool = False, changed: Callable[[], None] = lambda: None) -> None:
        object.__setattr__(self, "_changed", changed)
        object.__setattr__(self, "_allow", allow_val_change)
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_adopt", None)
        object.__setattr__(self, "_artifacts", {})

    def adopt_with(self, adopt: Callable[[object], Any]) -> None:
        """Use artifacts that are given as values.

        Args:
            adopt: returns the artifact that a value is or names, noted as an input of the run; None for others.
        """
        object.__setattr__(self, "_adopt", adopt)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"config has no key {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __getitem__(self, key: str) -> Any:
        return self._artifacts[key] if key in self._artifacts else self._values[key]

    def __setitem__(self, key: str, value: object) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        self._allowed(key, None, self._allow)
        del self._values[key]
        self._artifacts.pop(key, None)
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return (key for key in list(self._values) if not key.startswith("_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return repr(dict(self))

    def update(self, other: object = None, /, allow_val_change: bool | None = None, **more: object) -> None:
        """Add keys.

        Args:
            other: a mapping, pairs, an ``argparse.Namespace``, absl's flags, or the path of a YAML or JSON file.
            allow_val_change: whether keys may get another value than they have.
            more: keys by name.

        Raises:
            ConfigError: a key has another value already; nothing was changed.
            InvalidType: neither a mapping nor anything of the above.
        """
        fresh = {
            _clean_key(key): value
            for key, value in {**_as_object(other), **values.to_object(more, what="config")}.items()
        }
        artifacts = self._adopted({**_top_level(other), **more})
        if self._adopt is not None:
            fresh |= {key: artifact.json_encode() for key, artifact in artifacts.items()}
        allow = self._allow if allow_val_change is None else allow_val_change
        for key, value in fresh.items():
            if key in self._values and not _same(self._values[key], value):
                self._allowed(key, value, allow)
        self._values.update(fresh)
        for key in fresh:
            self._artifacts.pop(key, None)
        self._artifacts.update(artifacts)
        self._changed()

    def _adopted(self, given: dict[str, Any]) -> dict[str, Any]:
        """The artifacts among values.  Raises InvalidInput where one is inside another value."""
        found = {}
        for key, value in given.items():
            artifact = self._adopt(value) if self._adopt else (value if _is_artifact(value) else None)
            if artifact is not None:
                found[_clean_key(str(key))] = artifact
            else:
                _refuse_artifacts_in(key, value)
        return found

    def setdefaults(self, other: object) -> None:
        """Add the keys that are not there yet."""
        fresh = {_clean_key(key): value for key, value in _as_object(other).items()}
        self._values.update({key: value for key, value in fresh.items() if key not in self._values})
        self._changed()

    def as_dict(self) -> dict[str, Any]:
        """A plain dict of all keys, hidden ones too; artifacts as they are."""
        return {**self._values, **self._artifacts}

    def _allowed(self, key: str, value: object, allow: bool) -> None:
        if not allow and key in self._values:
            raise ConfigError(
                f"Attempted to change value of key {key!r} from {self._values[key]!r} to {value!r}; "
                "pass allow_val_change=True to config.update() if that is meant"
            )

    def to_json(self) -> JsonObject:
        """What is recorded."""
        return values.to_object(dict(self._values), what="config", non_finite="text")


def _top_level(given: object) -> dict[str, Any]:
    """The values of a mapping or namespace as they were given."""
    if isinstance(given, Mapping):
        return dict(given)
    return dict(vars(given)) if hasattr(given, "__dict__") and not hasattr(given, "keys") else {}


def _is_artifact(value: object) -> bool:
    return callable(getattr(type(value), "json_encode", None))


def _refuse_artifacts_in(key: object, value: object) -> None:
    level = [value]
    for _ in range(JSON_DEPTH):
        below: list[Any] = []
        for one in level:
            if isinstance(one, Mapping | list | tuple):
                below += one.values() if isinstance(one, Mapping) else one
        if any(_is_artifact(one) for one in below):
            raise InvalidInput(f"config value {key!r} has an artifact inside", hint="artifacts are values of their own")
        if not below:
            return
        level = below


def _clean_key(key: str) -> str:
    """Keys as command lines spell them lose their dashes: ``--lr`` is ``lr``."""
    return key.strip("-")


def _same(left: Json, right: Json) -> bool:
    """Equality by which NaN is the same as NaN, and 1 is not True."""
    return left is right or (type(left) is type(right) and (left == right or (left != left and right != right)))


def _as_object(given: object) -> JsonObject:
    """What W&B accepts as a config, as a JSON object."""
    if given is None:
        return {}
    if isinstance(given, str | os.PathLike):
        return config_file.read(os.fspath(given))
    if isinstance(given, list | tuple):
        try:
            given = dict(given)
        except (TypeError, ValueError):
            raise InvalidType(f"config must be a dict, not {type(given).__name__}") from None
    elif callable(getattr(given, "flag_values_dict", None)):  # absl's flags
        given = given.flag_values_dict()  # type: ignore[attr-defined]
    elif hasattr(given, "__dict__") and not hasattr(given, "keys"):
        given = vars(given)
    return values.to_object(given, what="config")
