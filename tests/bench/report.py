"""The findings as tables, and beside the bars that the project has set itself."""

from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.compare import Found, Part

GIB = 1 << 30


def middle(times: Sequence[float]) -> float | None:
    """The median, or None where nothing was measured."""
    return median(times) if times else None


def table(part: Part) -> str:
    """One part as Markdown: medians, and what they are of ``cp + sync``'s and of artvc's."""
    base = part.tools.get("cp + sync")
    cells: list[list[str]] = []
    for name, one in sorted(part.tools.items(), key=lambda item: rank(item[1])):
        spread = f"{min(one.first):.2f} to {max(one.first):.2f}" if len(one.first) > 1 else ""
        first, floor = middle(one.first), middle(base.first) if base else None
        later = (one.stored[-1] - one.stored[0]) / sum(part.raw[1:]) if len(part.raw) > 1 and one.stored else None
        cells.append(
            [
                name,
                number(first),
                spread,
                number(first / floor if first and floor else None),
                number(middle(one.later)),
                number(middle(one.status)),
                number(middle(one.restore)),
                share(one.stored[0] / part.raw[0] if one.stored else None),
                share(later),
                f"{one.peak / 1e6:.0f}",
                str(len(one.later) or len(one.first)),
            ]
        )
    heads = [
        "tool",
        "commit s",
        "from to",
        "of cp + sync",
        "again s",
        "status s",
        "restore s",
        "stored",
        "later stored",
    ]
    heads += ["peak MB", "rounds"]
    used = [at for at in range(len(heads)) if any(row[at] for row in cells)]
    raw = f"{part.raw[0] / 1e6:,.0f} MB" + (f", {len(part.raw)} versions" if len(part.raw) > 1 else "")
    load = f"load {part.load[0]:.1f} before, {part.load[1]:.1f} after"
    lines = [f"### {part.title} ({raw}; {load})", ""]
    lines += [row_of([heads[at] for at in used]), "|" + "---|" * len(used)]
    lines += [row_of([row[at] for at in used]) for row in cells]
    return "\n".join(lines)


def rank(one: Found) -> float:
    """Where a tool stands in its table."""
    return middle(one.later if one.status else one.first) or 0.0


def row_of(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def columns(title: str, found: dict[str, list[float]]) -> str:
    """Lists of numbers as a table; those of a column that was not taken each time stay empty at the start."""
    rows = max(len(values) for values in found.values())
    full = {name: values for name, values in found.items() if len(values) == rows}
    chosen = range(rows) if rows <= 12 else [at for at in range(rows) if at + 1 in {1 << power for power in range(20)}]
    lines = [f"### {title}", "", row_of(list(found)), "|" + "---|" * len(found)]
    for line, at in enumerate(chosen):
        cells = [values[at] if name in full else values[line] for name, values in found.items()]
        lines.append(row_of([f"{cell:,.0f}" if cell >= 100 or cell == int(cell) else f"{cell:.3g}" for cell in cells]))
    return "\n".join(lines)


def facts(title: str, found: dict[str, object]) -> str:
    """Single numbers as a table."""
    lines = [f"### {title}", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(row_of([key, f"{value:,}"]) for key, value in found.items())])


# -- bars ---------------------------------------------------------------------------------------------------------


class Bars:
    """Collects what is asked for beside what was found.

    Args:
        parts: what was measured, by name.
    """

    def __init__(self, parts: dict[str, Part]) -> None:
        self._parts = parts
        self.rows: list[tuple[str, str, str, bool]] = []

    def time(self, part: str, tool: str, step: str) -> float | None:
        """The median of a step in seconds."""
        if part not in self._parts or tool not in self._parts[part].tools:
            return None
        return middle(getattr(self._parts[part].tools[tool], step))

    def most(self, work: str, bar: str, value: float | None, limit: float | None, show: Callable[[float], str]) -> None:
        """A value that shall be at most a limit; nothing is said of what was not measured."""
        if value is not None and limit is not None:
            self.rows.append((work, bar, show(value), value <= limit))

    def ratio(self, work: str, part: str, step: str, other: str, limit: float, other_step: str = "") -> None:
        """artvc's time shall be at most ``limit`` times that of another tool."""
        ours, theirs = self.time(part, "artvc", step), self.time(part, other, other_step or step)
        value = ours / theirs if ours and theirs else None
        self.most(work, f"at most {limit}x {other}", value, limit, lambda found: f"{found:.2f}x")

    def all_faster(self, work: str, part: str) -> None:
        """artvc shall be faster than every other tool that keeps versions."""
        ours = self.time(part, "artvc", "first")
        for other in ("git", "git-lfs", "DVC", "Oxen", "restic", "borg"):
            theirs = self.time(part, other, "first")
            if ours and theirs:
                self.most(work, f"faster than {other}", ours / theirs, 1, lambda found: f"{1 / found:.1f}x as fast")

    def stored(self, part: str, tool: str) -> tuple[int, int] | None:
        """Bytes of the store after the first and after the last version."""
        one = self._parts[part].tools.get(tool) if part in self._parts else None
        return (one.stored[0], one.stored[-1]) if one and one.stored else None

    def later(self, work: str, part: str, limit: float) -> None:
        """Later versions shall take at most a share of their bytes."""
        if found := self.stored(part, "artvc"):
            value = (found[1] - found[0]) / sum(self._parts[part].raw[1:])
            self.most(work, f"at most {limit:.0%}", value, limit, lambda share: f"{share:.1%}")


def bars(parts: dict[str, Part], plain: float) -> list[tuple[str, str, str, bool]]:
    """Work, bar, what was found, and whether it was kept.

    Args:
        parts: what was measured, by name.
        plain: peak memory of an interpreter that does nothing, bytes.
    """
    found = Bars(parts)
    found.ratio("commit 1 GiB of fp32 weights", "weights", "first", "sha256sum", 1.0)
    found.ratio("", "weights", "first", "cp + sync", 2.0)
    found.ratio("commit 1 GiB that nothing compresses", "random", "first", "cp + sync", 1.5)
    found.ratio("commit 50,000 files of 4 KiB", "files", "first", "cp + sync", 1.0)
    found.all_faster("", "files")
    if again := found.time("changed", "artvc", "later"):
        speed = parts["changed"].raw[0] / again / 1e9
        found.most("re-commit, 1 % of 2 GiB changed", "at least 1.5 GB/s", -speed, -1.5, lambda one: f"{-one:.2f} GB/s")
    found.ratio("status of 100,000 unchanged files", "tree", "status", "git", 1.5)
    found.ratio("re-commit of them", "tree", "later", "git", 1.5, "status")
    found.ratio("checkout 1 GiB of weights, verified", "weights", "restore", "cp + sync", 1.5)
    found.ratio("checkout 1 GiB random, verified", "random", "restore", "cp + sync", 1.5)
    found.later("8 checkpoints, fp32: later versions", "fp32", 0.45)
    found.later("8 checkpoints, bf16: later versions", "bf16", 0.25)
    found.later("frozen backbone: each later version", "frozen", 0.01)
    if mnist := found.stored("mnist", "artvc"):
        found.most("MNIST, raw and preprocessed", "at most 31 MB", mnist[0], 31e6, lambda one: f"{one / 1e6:.1f} MB")
    for other in ("restic", "borg", "64 KiB CDC, zstd"):
        ours, theirs = found.stored("csv", "artvc"), found.stored("csv", other)
        if ours and theirs:
            value = ours[1] / theirs[1]
            found.most("CSV, 1,000 rows inserted", f"no larger than {other}", value, 1.0, lambda one: f"{one:.2f}x")
    peaks = [part.tools["artvc"].peak for part in parts.values() if "artvc" in part.tools]
    if peaks:
        beyond = max(peaks) - plain
        found.most("peak memory beyond the interpreter", "at most 300 MB", beyond, 300e6, lambda b: f"{b / 1e6:.0f} MB")
    return found.rows


def bar_table(rows: list[tuple[str, str, str, bool]], scale: float) -> str:
    """The bars as Markdown."""
    note = "" if scale == 1 else f" (at {scale} of the size that they are meant for)"
    lines = [f"### Bars{note}", "", "| work | bar | found | |", "|---|---|---|---|"]
    return "\n".join([*lines, *(row_of([*row[:3], "kept" if row[3] else "MISSED"]) for row in rows)])
