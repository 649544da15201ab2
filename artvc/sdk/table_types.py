"""What the columns of a table hold, and how a cell is written as JSON and read back.

The types and their JSON are W&B's.  What JSON has no form for is written so that it comes back: times as
milliseconds since 1970, arrays as nested lists, NaN and infinities as the text ``NaN``, ``Infinity``,
``-Infinity`` in a column of numbers; where a column's type doesn't say what a cell is, as
``{"_type": "timestamp", "value": ...}`` and the like.
"""

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from artvc.errors import InvalidInput, InvalidType, MalformedObject
from artvc.model.objects import JSON_DEPTH, Json, JsonObject
from artvc.sdk import values
from artvc.sdk.media_value import Files, Media, Stored

_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DTYPES = re.compile(r"(bool|u?int(8|16|32|64)|float(16|32|64))")
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_INFINITIES: Final = (math.inf, -math.inf)
_SCALARS: Final[dict[type, str]] = {bool: "boolean", int: "number", float: "number", str: "string"}


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a column or of a part of its cells.

    Attributes:
        name: W&B's ``wb_type``: number, string, boolean, timestamp, list, typedDict, ndarray, any, none, unknown,
            or the ``_type`` of media.
        optional: None is allowed too.
        element: of a list.
        fields: of a dict.
        shape, dtype: of an array; no dtype where arrays differ in it.
    """

    name: str
    optional: bool = False
    element: "Kind | None" = None
    fields: tuple[tuple[str, "Kind"], ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""

    def __str__(self) -> str:
        inner = ""
        if self.element is not None:
            inner = f" of {self.element}"
        elif self.fields:
            inner = " of " + ", ".join(f"{key}: {kind}" for key, kind in self.fields)
        elif self.shape:
            inner = f" of shape {self.shape}"
        return f"{self.name}{inner}{' or None' if self.optional else ''}"


ANY: Final = Kind("any", optional=True)
UNKNOWN: Final = Kind("unknown")
NONE: Final = Kind("none", optional=True)


def normal(value: object, depth: int = 0) -> Any:
    """A cell as a table keeps it: plain Python, numeric numpy arrays, times in UTC, and media.

    Args:
        value: anything; what has no form of its own becomes its ``str()``; times without a zone are taken as UTC.
        depth: of the value in others.

    Raises:
        InvalidInput: nested deeper than 32.
    """
    if type(value) in _SCALARS or value is None or isinstance(value, Media):
        return value
    if depth > JSON_DEPTH:
        raise InvalidInput(f"a cell nested deeper than {JSON_DEPTH}", hint="or one that contains itself")
    if isinstance(value, Mapping):
        return {_key(key): normal(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normal(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return [normal(item, depth + 1) for item in sorted(value, key=lambda one: (type(one).__name__, repr(one)))]
    if isinstance(value, datetime.date):
        return _time(value)
    if type(value).__name__ in {"NAType", "NaTType"}:  # what pandas has where nothing is
        return None
    if hasattr(value, "shape") and hasattr(value, "tolist"):
        return _array(value, depth)
    return values.to_json(value)


def _key(key: object) -> str:
    return key if isinstance(key, str) else str(values.to_json(key, non_finite="text"))


def _time(value: Any) -> datetime.datetime | None:
    if value != value:  # pandas' NaT says that it is a datetime
        return None
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
    of_pandas = getattr(value, "to_pydatetime", None)
    value = of_pandas(warn=False) if of_pandas is not None else value
    in_utc = value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)
    return cast("datetime.datetime", in_utc.replace(fold=0))


def _array(value: Any, depth: int) -> Any:
    """Arrays of numbers as numpy's where that is installed, everything else as lists; a single item as itself."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
        if getattr(value.dtype, "itemsize", 8) < 4 and value.is_floating_point():
            value = value.float()  # bfloat16 and the 8-bit floats have no numpy type
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "M":
        value = value.astype("datetime64[us]")
    if value.shape == ():
        return normal(value.item(), depth + 1) if hasattr(value, "item") else values.to_json(value)
    try:
        import numpy  # noqa: PLC0415 -- optional
    except ImportError:
        return normal(value.tolist(), depth)
    array = numpy.asarray(value).copy()
    return array if _DTYPES.fullmatch(array.dtype.name) and array.size else normal(array.tolist(), depth)


# -- types ------------------------------------------------------------------------------------------------


def kind_of(value: Any) -> Kind:
    """The type of a cell that :func:`normal` made."""
    if value is None:
        return NONE
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        return Kind(scalar)
    if isinstance(value, Media):
        return Kind(value.TYPE)
    if isinstance(value, datetime.datetime):
        return Kind("timestamp")
    if isinstance(value, list):
        return Kind("list", element=_element(value))
    if isinstance(value, dict):
        return Kind("typedDict", fields=tuple((key, kind_of(value[key])) for key in sorted(value)))
    return Kind("ndarray", shape=tuple(value.shape), dtype=value.dtype.name)


def _element(items: list[Any]) -> Kind:
    """What all items of a list are; ``any`` where they differ."""
    found = Kind("unknown")
    for item in items:
        kind = kind_of(item)
        if kind.name == "none":
            found = replace(found, optional=True)
            continue
        both = merged(found, kind)
        if both is None:
            return ANY
        found = both
    return found


def merged(column: Kind, given: Kind) -> Kind | None:
    """The type of a column after a cell of another type came in; None where the cell does not fit."""
    if column.name == "any":
        return column
    if given.name == "none":
        return column if column.optional else None
    optional = column.optional or given.optional
    if column.name in {"unknown", "none"}:
        return replace(given, optional=optional)
    if given.name == "unknown":
        return replace(column, optional=optional)
    if column.name != given.name:
        return None
    if column.element is not None and given.element is not None:
        element = merged(column.element, given.element)
        return None if element is None else replace(column, element=element, optional=optional)
    if column.name == "typedDict":
        fields = _merged_fields(dict(column.fields), dict(given.fields))
        return None if fields is None else replace(column, fields=fields, optional=optional)
    if column.shape != given.shape:
        return None
    return replace(column, dtype=column.dtype if column.dtype == given.dtype else "", optional=optional)


def _merged_fields(column: dict[str, Kind], given: dict[str, Kind]) -> tuple[tuple[str, Kind], ...] | None:
    if column.keys() != given.keys():
        return None
    fields = []
    for key, kind in column.items():
        both = merged(replace(kind, optional=True), given[key])
        if both is None:
            return None
        optional = kind.optional or given[key].optional
        fields.append((key, replace(both, optional=optional or both.name == "any")))
    return tuple(fields)


def kind_from(dtype: Any) -> Kind:
    """The type that a user asks for.

    Args:
        dtype: ``int``, ``float``, ``str``, ``bool``, ``datetime``, a class of media, ``[int]`` for lists,
            ``{"a": int}`` for dicts, ``object`` or ``typing.Any`` for anything, None where the first cell decides.

    Raises:
        InvalidType: anything else.
    """
    if dtype is None:
        return UNKNOWN
    if dtype is Any or dtype is object:
        return ANY
    if isinstance(dtype, list | tuple) and len(dtype) <= 1:
        return Kind("list", element=kind_from(dtype[0]) if dtype else UNKNOWN)
    if isinstance(dtype, Mapping):
        return Kind("typedDict", fields=tuple((str(key), kind_from(dtype[key])) for key in sorted(dtype)))
    if isinstance(dtype, type):
        if issubclass(dtype, Media):
            return Kind(dtype.TYPE)
        if issubclass(dtype, datetime.date):
            return Kind("timestamp")
        for known, name in _SCALARS.items():
            if dtype is known:
                return Kind(name)
    raise InvalidType(f"no type for a column: {dtype!r:.80}", hint="use int, float, str, bool, datetime, [int], Any...")


def kind_to_json(kind: Kind) -> JsonObject:
    """As W&B writes types."""
    bare: JsonObject = {"wb_type": kind.name}
    if kind.element is not None:
        bare["params"] = {"element_type": kind_to_json(kind.element)}
    elif kind.name == "typedDict":
        bare["params"] = {"type_map": {key: kind_to_json(inner) for key, inner in kind.fields}}
    elif kind.name == "ndarray":
        bare["params"] = {"shape": list(kind.shape), **({"dtype": kind.dtype} if kind.dtype else {})}
    if kind.optional and kind.name not in {"any", "none"}:
        return {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, bare]}}
    return bare


def kind_from_json(value: Json) -> Kind:
    """A type as W&B writes it; what is not understood is ``any``.

    Raises:
        MalformedObject: it is no type at all.
    """
    if not isinstance(value, dict) or not isinstance(value.get("wb_type"), str):
        raise MalformedObject(f"no type of a column: {value!r:.80}")
    name, params = cast("str", value["wb_type"]), value.get("params")
    params = params if isinstance(params, dict) else {}
    if name == "union":
        allowed = params.get("allowed_types")
        kinds = [kind_from_json(one) for one in allowed] if isinstance(allowed, list) else []
        real = [kind for kind in kinds if kind.name != "none"]
        return replace(real[0], optional=len(real) < len(kinds)) if len(real) == 1 else ANY
    if name == "list":
        element = params.get("element_type")
        return Kind("list", element=UNKNOWN if element is None else kind_from_json(element))
    if name == "typedDict":
        fields = params.get("type_map")
        fields = fields if isinstance(fields, dict) else {}
        return Kind("typedDict", fields=tuple((key, kind_from_json(inner)) for key, inner in sorted(fields.items())))
    if name == "ndarray":
        shape, dtype = params.get("shape"), params.get("dtype")
        if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
            raise MalformedObject(f"no shape of an array: {shape!r:.80}")
        return Kind(name, shape=tuple(cast("list[int]", shape)), dtype=dtype if isinstance(dtype, str) else "")
    if name in {*_SCALARS.values(), "timestamp", "unknown", "none"} or name.endswith("-file") or name == "histogram":
        return Kind(name, optional=name == "none")
    return ANY


# -- cells ------------------------------------------------------------------------------------------------


def encode(value: Any, kind: Kind, files: Files) -> Json:
    """A cell as JSON.

    Args:
        value: as :func:`normal` made it.
        kind: of its column.
        files: that take what media consist of.
    """
    if value is None or type(value) in {int, str, bool}:
        return cast("Json", value)
    open_kind = kind.name == "any"
    if type(value) is float:
        return _encode_float(value, kind)
    if isinstance(value, Media):
        return value.to_record(files)
    if isinstance(value, datetime.datetime):
        return _tagged("timestamp", _milliseconds(value)) if open_kind else _milliseconds(value)
    if isinstance(value, list):
        element = kind.element or ANY
        return [encode(item, element, files) for item in value]
    if isinstance(value, dict):
        fields = dict(kind.fields)
        made = {key: encode(item, fields.get(key, ANY), files) for key, item in value.items()}
        return _tagged("dict", made) if open_kind and "_type" in made else made
    nested = _encode_array(value)
    return {**_tagged("ndarray", nested), "dtype": value.dtype.name} if open_kind else nested


def _encode_float(value: float, kind: Kind) -> Json:
    if math.isfinite(value):
        return value
    if kind.name not in {"number", "unknown", "any"}:
        return None  # what pandas has where nothing is
    text = values.to_json(value, non_finite="text")
    return _tagged("number", text) if kind.name == "any" else text


def _encode_array(array: Any) -> Json:
    import numpy  # noqa: PLC0415 -- there is one of its arrays

    nested: Json = array.tolist()
    if array.dtype.kind == "f" and not numpy.isfinite(array).all():
        return values.to_json(nested, non_finite="text")
    return nested


def _tagged(name: str, value: Json) -> JsonObject:
    return {"_type": name, "value": value}


def _milliseconds(time: datetime.datetime) -> int | float | str:
    """Since 1970; with a fraction where there are microseconds; as ISO text where a float can't hold them."""
    micro = (time - _EPOCH) // datetime.timedelta(microseconds=1)
    if micro % 1000 == 0:
        return micro // 1000
    return micro / 1000 if round(micro / 1000 * 1000) == micro else time.isoformat()


def decode(value: Json, kind: Kind, stored: Stored, media: Mapping[str, type[Media]]) -> Any:
    """A cell from JSON.

    Args:
        value: as :func:`encode` or W&B made it; not believed.
        kind: of its column.
        stored: where the files of media are.
        media: the classes by their ``_type``.

    Raises:
        MalformedObject: the cell is not of its column's type.
    """
    if value is None:
        return None
    name = kind.name
    if name in {"any", "unknown", "none"}:
        return _decode_open(value, stored, media)
    if name == "number" and not isinstance(value, bool):
        if isinstance(value, int | float):
            return value
        if isinstance(value, str) and value in _NON_FINITE:
            return _NON_FINITE[value]
    elif (name == "string" and isinstance(value, str)) or (name == "boolean" and isinstance(value, bool)):
        return value
    elif name == "timestamp":
        return _decode_time(value)
    elif name == "list" and isinstance(value, list):
        return [decode(item, kind.element or ANY, stored, media) for item in value]
    elif name == "typedDict" and isinstance(value, dict):
        fields = dict(kind.fields)
        return {key: decode(item, fields.get(key, ANY), stored, media) for key, item in value.items()}
    elif name == "ndarray" and isinstance(value, list):
        return _decode_array(value, kind.shape, kind.dtype)
    elif isinstance(value, dict) and value.get("_type") == name and name in media:
        return media[name].from_record(value, stored)
    raise MalformedObject(f"a cell of a table is no {name}: {value!r:.80}")


def _decode_open(value: Json, stored: Stored, media: Mapping[str, type[Media]]) -> Any:
    """A cell that says itself what it is."""
    if isinstance(value, list):
        return [_decode_open(item, stored, media) for item in value]
    if not isinstance(value, dict):
        return value
    tag, inner = value.get("_type"), value.get("value")
    if tag == "timestamp":
        return _decode_time(inner)
    if tag == "number":
        return decode(inner, Kind("number"), stored, media)
    if tag == "ndarray" and isinstance(inner, list):
        return _decode_array(inner, None, str(value.get("dtype", "")))
    if tag == "dict" and isinstance(inner, dict):
        return {key: _decode_open(item, stored, media) for key, item in inner.items()}
    if isinstance(tag, str) and tag in media:
        return media[tag].from_record(value, stored)
    return {key: _decode_open(item, stored, media) for key, item in value.items()}


def _decode_time(value: Json) -> datetime.datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + datetime.timedelta(microseconds=round(value * 1000))
        if isinstance(value, str):
            return datetime.datetime.fromisoformat(value).astimezone(datetime.UTC)
    except (OverflowError, ValueError):
        pass
    raise MalformedObject(f"no time in a table: {value!r:.80}")


def _decode_array(value: list[Json], shape: tuple[int, ...] | None, dtype: str) -> Any:
    """numpy's array where that is installed, else the nested lists."""
    try:
        import numpy  # noqa: PLC0415 -- optional
    except ImportError:
        return _with_floats(value)
    try:
        array = numpy.array(_with_floats(value), dtype=dtype if _DTYPES.fullmatch(dtype) else None)
    except (ValueError, TypeError, OverflowError) as exc:
        raise MalformedObject(f"no array of numbers in a table: {exc}") from exc
    if not _DTYPES.fullmatch(array.dtype.name) or (shape is not None and array.shape != shape):
        raise MalformedObject(f"an array in a table has shape {array.shape} and type {array.dtype}, not {shape}")
    return array


def _with_floats(value: Json) -> Any:
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def plain_types(kind: Kind) -> set[type]:
    """The types of Python whose values fit a column without a further look."""
    return {known for known, name in _SCALARS.items() if name == kind.name} | ({type(None)} if kind.optional else set())


def is_plain_of(value: object, kind: Kind) -> bool:
    """Whether a cell needs no further look: plain Python of its column's type, and finite."""
    name = _SCALARS.get(type(value))
    return name is not None and name == kind.name and value == value and value not in _INFINITIES
