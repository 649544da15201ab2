"""What a run looks like in text: its history as small curves, its summary as a table."""

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from artvc.model.objects import Json, JsonObject

BLOCKS: Final = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS: Final = "_.-~=+*#"
WIDTH: Final = 40
KEYS: Final = 20
_VALUE_CHARACTERS: Final = 60


def curves(rows: Sequence[Mapping[str, Json]], *, encoding: str, skip: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The numbers of a history as small curves.

    Args:
        rows: of the history, in order.
        encoding: of the stream that will show them; where it lacks the blocks, ASCII stands for them.
        skip: keys to leave out.

    Returns:
        key and curve, sorted by key, of keys with two finite numbers or more; at most 20.
    """
    numbers: dict[str, list[float]] = {}
    left_out = set(skip)
    for row in rows:
        for key, value in row.items():
            number = type(value) is float or type(value) is int
            if number and not key.startswith("_") and key not in left_out and math.isfinite(value):  # type: ignore[arg-type]
                numbers.setdefault(key, []).append(float(value))  # type: ignore[arg-type]
    blocks = BLOCKS if _can_show(encoding) else PLAIN_BLOCKS
    return [(key, curve(numbers[key], blocks)) for key in sorted(numbers) if len(numbers[key]) > 1][:KEYS]


def curve(numbers: Sequence[float], blocks: str = BLOCKS) -> str:
    """Numbers as a line of blocks, at most 40 of them, from the least to the greatest."""
    count = min(len(numbers), WIDTH)
    chosen = [numbers[index * (len(numbers) - 1) // max(count - 1, 1)] for index in range(count)]
    low, high = min(chosen), max(chosen)
    span = high - low
    if not span or not math.isfinite(span):
        return blocks[0] * count
    return "".join(blocks[min(int((one - low) / span * len(blocks)), len(blocks) - 1)] for one in chosen)


def _can_show(encoding: str) -> bool:
    try:
        BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def lasts(summary: Mapping[str, Json], *, skip: Iterable[str] = ()) -> list[tuple[str, str]]:
    """The summary as rows of a table: keys and values for people; media and keys with ``_`` in front are left out."""
    left_out = set(skip)
    found = []
    for key in sorted(summary):
        value = summary[key]
        if key.startswith("_") or key in left_out or (isinstance(value, dict) and "_type" in value):
            continue
        if isinstance(value, dict) and value and all(isinstance(one, int | float) for one in value.values()):
            found += [(f"{key}.{kept}", shown(one)) for kept, one in sorted(value.items())]
        else:
            found.append((key, shown(value)))
    return found


def shown(value: Json) -> str:
    """A value for people: numbers to five digits, others as JSON, cut."""
    if isinstance(value, bool) or not isinstance(value, float):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    else:
        text = f"{value:.5g}"
    text = "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 3] + "..."


def lines(rows: Sequence[Mapping[str, Json]], summary: JsonObject, *, encoding: str, skip: Iterable[str]) -> list[str]:
    """Curves and table as lines of text.

    Args:
        rows: of the history; enough of them to draw it.
        summary: of the run.
        encoding: of the stream.
        skip: keys to leave out.
    """
    left_out = list(skip)
    drawn = curves(rows, encoding=encoding, skip=left_out)
    told = lasts(summary, skip=left_out)
    more = len(told) - KEYS
    told = told[:KEYS]
    width = max((len(key) for key, _ in [*drawn, *told]), default=0)
    found = []
    if drawn:
        found += ["history:", *(f"  {key:>{width}} {line}" for key, line in drawn)]
    if told:
        found += ["summary:", *(f"  {key:>{width}} {value}" for key, value in told)]
    if more > 0:
        found.append(f"  and {more} more")
    return found


def page(title: str, facts: Mapping[str, str], config: JsonObject, summary: JsonObject) -> str:
    """A run as a piece of HTML that needs nothing from elsewhere."""

    def table(name: str, cells: Iterable[tuple[str, str]]) -> str:
        body = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in cells)
        return f"<h4>{name}</h4><table>{body}</table>" if body else ""

    return (
        f'<div class="artvc-run"><h3>{html.escape(title)}</h3>'
        + table("Run", facts.items())
        + table("Config", lasts(config))
        + table("Summary", lasts(summary))
        + "</div>"
    )
