"""Python values as JSON: numbers of torch, numpy and jax, tensors, paths, tuples, sets.

Nothing is imported for that: what an object is, is told by the methods that it has.
"""

import datetime
import enum
import math
import os
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from artvc.errors import InvalidInput, InvalidType, LimitExceeded
from artvc.model.objects import JSON_DEPTH, Json, JsonObject

NonFinite = Literal["null", "keep", "text"]
ARRAY_ITEMS: Final = 100_000
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_PLAIN: Final = frozenset({int, bool, type(None)})


def to_json(value: object, *, non_finite: NonFinite = "keep", strict: bool = False, depth: int = 0) -> Json:
    """A value as JSON types; what is plain comes back as it is, containers are copied.

    Args:
        value: numbers (0-d tensors too) become int or float; tensors, tuples and sets lists; paths text;
            slices and dataclass-like mappings dicts; keys text.
        non_finite: NaN and infinities are kept as floats; written as the text ``NaN``, ``Infinity``,
            ``-Infinity``; or, for metadata, NaN is None and infinities are refused.
        strict: refuse what has no JSON form; else its ``str()`` stands for it.
        depth: of the value inside another.

    Raises:
        InvalidInput: an infinity where it is refused.
        InvalidType: no JSON form and ``strict``.
        LimitExceeded: nested deeper than 32, or a tensor of more than 100,000 items.
    """
    kind = type(value)
    if kind in _PLAIN:
        return cast("Json", value)
    if kind is str:
        return _clean(cast("str", value))
    if kind is float:
        return _number(cast("float", value), non_finite)
    if depth > JSON_DEPTH:
        raise LimitExceeded(f"values nested deeper than {JSON_DEPTH}", hint="or one that contains itself")

    def inner(item: object) -> Json:
        return to_json(item, non_finite=non_finite, strict=strict, depth=depth + 1)

    if isinstance(value, Mapping):
        return {_key(key): inner(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [inner(item) for item in value]
    if isinstance(value, set | frozenset):
        return [inner(item) for item in sorted(value, key=lambda one: (type(one).__name__, repr(one)))]
    plain = _scalar(value, non_finite)
    if plain is not None:
        return plain[0]
    if _is_array(value):
        return inner(_items(value))
    if strict:
        raise InvalidType(f"{type(value).__name__} has no JSON form: {_shown(value)}")
    return _clean(str(value))


def to_object(value: object, *, what: str, non_finite: NonFinite = "keep", strict: bool = False) -> JsonObject:
    """A mapping as a JSON object.

    Args:
        value: the mapping; None is empty.
        what: it is, for the message.
        non_finite, strict: as for :func:`to_json`.

    Raises:
        InvalidType: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidType(f"{what} must be a dict, not {type(value).__name__}")
    return cast("JsonObject", to_json(value, non_finite=non_finite, strict=strict))


def restored(value: Any) -> Any:
    """Recorded JSON with NaN and infinities as floats again, where they were written as text."""
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, dict):
        return {key: restored(one) for key, one in value.items()}
    if isinstance(value, list):
        return [restored(one) for one in value]
    return value


def _number(number: float, non_finite: NonFinite) -> Json:
    if math.isfinite(number) or non_finite == "keep":
        return number
    if non_finite == "text":
        return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
    if math.isnan(number):
        return None
    raise InvalidInput(f"metadata can't hold {number}", hint="JSON knows no infinities; use a large number or text")


def _scalar(value: object, non_finite: NonFinite) -> tuple[Json] | None:
    """A single value in a wrapping of some library; a tuple, as None is a value too."""
    if isinstance(value, enum.Enum):
        return (to_json(value.value, non_finite=non_finite),)
    if isinstance(value, str):
        return (_clean(str.__str__(value)),)
    if isinstance(value, int):
        return (int(value),)
    if isinstance(value, float):
        return (_number(float(value), non_finite),)
    if isinstance(value, os.PathLike):
        return (_clean(os.fsdecode(value)),)
    if isinstance(value, bytes | bytearray):
        return (bytes(value).decode("utf-8", "backslashreplace"),)
    if isinstance(value, datetime.date | datetime.time):
        return (value.isoformat(),)
    if isinstance(value, slice):
        parts = {"slice_start": value.start, "slice_stop": value.stop, "slice_step": value.step}
        return ({name: to_json(part, non_finite=non_finite) for name, part in parts.items()},)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        item = value.item()
        return (to_json(item, non_finite=non_finite),) if type(item) is not type(value) else (str(item),)
    return None


def _is_array(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "tolist")


def _items(value: object) -> object:
    """The items of an array, nested by its axes."""
    count = math.prod(getattr(value, "shape", ()))
    if count > ARRAY_ITEMS:
        raise LimitExceeded(f"an array of {count} items is too large for JSON", hint="log it as a file of an artifact")
    return value.tolist()  # type: ignore[attr-defined]  # an array, see _is_array


def _key(key: object) -> str:
    return _clean(key) if isinstance(key, str) else str(to_json(key, non_finite="text"))


def _clean(text: str) -> str:
    """Text that can be stored as UTF-8: lone surrogates (from odd file names) are escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    return repr(value)[:80]
