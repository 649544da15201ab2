"""The filters and orders of ``Api.runs``: a small part of MongoDB's language, as W&B's scripts use it.

A filter is a dict: dotted field to a value, or to ``{operator: value}``; all of it must hold::

    {"state": "finished", "config.lr": 0.1, "summary_metrics.loss": {"$lt": 0.5}, "tags": {"$in": ["best"]}}
    {"$or": [{"job_type": "train"}, {"config.epochs": {"$gte": 10}}]}

A field that is a list fits if one of its items does.  Numbers are compared with numbers and text with text; between
others nothing is smaller or greater.  ``None`` stands for a field that is not there, too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from artvc.errors import InvalidInput, LimitExceeded

DEPTH: Final = 16
# What a field of a run holds: nothing, one value, or several of which any may fit.
Read = Callable[[str], Sequence[Any]]
Test = Callable[[Read], bool]

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$gt": lambda left, right: left > right,
    "$gte": lambda left, right: left >= right,
    "$lt": lambda left, right: left < right,
    "$lte": lambda left, right: left <= right,
}
_OPERATORS: Final = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$regex", "$exists")
_HINT: Final = f"use {', '.join(_OPERATORS)}, $and, $or"


def compile_filter(filters: object, *, depth: int = 0) -> Test:
    """A filter as a function.

    Args:
        filters: as above; None lets everything pass.
        depth: of the filter inside others.

    Raises:
        InvalidInput: no such operator, or a value that does not fit it.
        LimitExceeded: nested deeper than 16.
    """
    if filters is None:
        return lambda read: True
    if not isinstance(filters, Mapping):
        raise InvalidInput(f"a filter is a dict, not {type(filters).__name__}", hint='such as {"state": "finished"}')
    if depth > DEPTH:
        raise LimitExceeded(f"filters nested deeper than {DEPTH}")
    tests = [_term(key, wanted, depth) for key, wanted in filters.items()]
    return lambda read: all(test(read) for test in tests)


def _term(key: object, wanted: object, depth: int) -> Test:
    if not isinstance(key, str):
        raise InvalidInput(f"a field of a filter is text, not {key!r:.80}")
    if key in {"$and", "$or"}:
        parts = [compile_filter(one, depth=depth + 1) for one in _listed(key, wanted)]
        fits = all if key == "$and" else any
        return lambda read: fits(part(read) for part in parts)
    if key.startswith("$"):
        raise InvalidInput(f"unknown operator {key!r} in a filter", hint=_HINT)
    if isinstance(wanted, Mapping) and any(str(one).startswith("$") for one in wanted):
        tests = [_operator(name, value) for name, value in wanted.items()]
        return lambda read: all(test(read(key)) for test in tests)
    return lambda read: _equals(read(key), wanted)


def _operator(name: object, wanted: Any) -> Callable[[Sequence[Any]], bool]:
    """The test of one operator on what a field holds."""
    if name == "$eq":
        return lambda held: _equals(held, wanted)
    if name == "$ne":
        return lambda held: not _equals(held, wanted)
    if name in {"$in", "$nin"}:
        choices = _listed(str(name), wanted)
        return lambda held: any(_equals(held, one) for one in choices) is (name == "$in")
    if name == "$exists":
        return lambda held: bool(held) is bool(wanted)
    if name == "$regex":
        pattern = _pattern(wanted)
        return lambda held: any(isinstance(one, str) and pattern.search(one) for one in _items(held))
    if isinstance(name, str) and name in _COMPARISONS:
        compare = _COMPARISONS[name]
        return lambda held: any(_alike(one, wanted) and compare(one, wanted) for one in _items(held))
    raise InvalidInput(f"unknown operator {name!r} in a filter", hint=_HINT)


def _listed(name: str, wanted: object) -> Sequence[Any]:
    if isinstance(wanted, str) or not isinstance(wanted, Sequence | set | frozenset):
        raise InvalidInput(f"{name} takes a list, not {wanted!r:.80}")
    return list(wanted)


def _pattern(wanted: object) -> re.Pattern[str]:
    try:
        return re.compile(wanted)  # type: ignore[call-overload,no-any-return]  # what is no text is refused below
    except (re.error, TypeError) as exc:
        raise InvalidInput(f"$regex takes a regular expression, not {wanted!r:.80}: {exc}") from exc


def _items(held: Sequence[Any]) -> list[Any]:
    """What a field holds, with the items of lists."""
    found = list(held)
    for one in held:
        if isinstance(one, list | tuple):
            found += one
    return found


def _equals(held: Sequence[Any], wanted: Any) -> bool:
    if wanted is None:
        return not held or None in held
    given = list(wanted) if isinstance(wanted, tuple) else wanted
    return any(one == given and isinstance(one, bool) is isinstance(given, bool) for one in _items(held))


def _alike(left: Any, right: Any) -> bool:
    """Whether two values can be smaller or greater than one another."""
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    numbers = int | float
    return (isinstance(left, numbers) and isinstance(right, numbers)) or (
        isinstance(left, str) and isinstance(right, str)
    )


def look_up(value: object, path: str) -> list[Any]:
    """What lies at a dotted path of nested dicts; [] where nothing does.

    Keys may have dots of their own: ``a.b`` finds ``{"a.b": 1}`` before ``{"a": {"b": 1}}``.
    """
    if not isinstance(value, Mapping):
        return []
    if path in value:
        return [value[path]]
    places = (match.start() for match in re.finditer(r"\.", path))
    for place in places:
        if path[:place] in value:
            return look_up(value[path[:place]], path[place + 1 :])
    return []


def parse_order(order: object) -> tuple[str, bool]:
    """The field of an order, and whether it falls.

    Args:
        order: ``+field``, ``-field`` or ``field``.

    Raises:
        InvalidInput: not of that form.
    """
    if not isinstance(order, str) or not order.lstrip("+-"):
        raise InvalidInput(f"no order: {order!r:.80}", hint="such as '-created_at' or '+summary_metrics.loss'")
    return order.lstrip("+-"), order.startswith("-")


def sort_key(held: Sequence[Any]) -> tuple[int, Any]:
    """By what runs are sorted: numbers, then text; for anything else there is no order."""
    value = held[0] if held else None
    if isinstance(value, int | float) and value == value:
        return 0, value
    return (1, value) if isinstance(value, str) else (2, 0)
