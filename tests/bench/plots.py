"""The findings as pictures.  matplotlib is asked for here only, after all measuring: it takes memory and time."""

from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.compare import Part

OURS, OTHERS, FLOOR = "#c8553d", "#588b8b", "#b8b8b8"
FLOORS = {"cp", "cp + sync", "sha256sum"}


def draw(folder: Path, parts: dict[str, Part], curves: dict[str, dict[str, list[float]]], note: str) -> list[Path]:
    """Write the pictures; returns their paths.

    Args:
        folder: is made where it is missing.
        parts: comparisons by name.
        curves: growth by name.
        note: machine and load, small below each picture.
    """
    import matplotlib  # noqa: PLC0415

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    timed = {name: part for name, part in parts.items() if name in ("weights", "random", "files", "changed", "tree")}
    if timed:
        made.append(_times(folder / "times.png", timed, note))
    kept = {name: part for name, part in parts.items() if name in ("fp32", "bf16", "frozen", "mnist", "csv")}
    if kept:
        made.append(_stored(folder / "stored.png", kept, note))
    for name, (title, across, logarithmic) in CURVES.items():
        if name in curves:
            path = folder / f"growth-{name}.png"
            made.append(_curves(path, curves[name], title, across, logarithmic, note))
    return made


CURVES = {
    "gigabytes": ("A repository that grows by 1 GiB a commit", "GiB", False),
    "files": ("Directories of ever more files", "files", True),
    "versions": ("A repository with ever more versions", "versions", True),
}
STEPS = {
    "weights": [("first", "commit"), ("restore", "checkout")],
    "random": [("first", "commit"), ("restore", "checkout")],
    "files": [("first", "commit")],
    "changed": [("later", "re-commit")],
    "tree": [("status", "status"), ("later", "re-commit")],
}


def _colour(tool: str) -> str:
    return OURS if tool == "artvc" else FLOOR if tool in FLOORS else OTHERS


def _bars(axes: Any, found: dict[str, float], title: str, unit: str, form: str, *, whole: bool = False) -> None:
    """Horizontal bars with their values, the shortest on top; unless ``whole``, one far longer than the rest is cut."""
    names = sorted(found, key=lambda name: found[name], reverse=True)
    values = [found[name] for name in names]
    limit = max(values) if whole else max(values[len(values) // 2] * 4, found.get("artvc", 0) * 1.2)
    shown = [min(value, limit) for value in values]
    axes.barh(names, shown, color=[_colour(name) for name in names], height=0.72)
    for at, value in enumerate(values):
        cut = " →" if value > limit else ""
        axes.text(shown[at] + max(shown) * 0.015, at, f"{value:{form}}{cut}", va="center", fontsize=8)
    axes.set_xlim(0, max(shown) * 1.18)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _grid(count: int) -> tuple[Any, list[Any]]:
    from matplotlib import pyplot  # noqa: PLC0415

    wide = min(2 if count in (2, 4) else 3, count)
    rows = -(-count // wide)
    figure, axes = pyplot.subplots(rows, wide, figsize=(5.0 * wide, 2.9 * rows), squeeze=False, layout="constrained")
    flat = [one for row in axes for one in row]
    for one in flat[count:]:
        one.set_visible(False)
    return figure, flat


def _save(figure: Any, path: Path, note: str) -> Path:
    from matplotlib import pyplot  # noqa: PLC0415

    figure.supxlabel(note, fontsize=7, color="#666666", x=0.01, ha="left")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


def _times(path: Path, parts: dict[str, Part], note: str) -> Path:
    wanted = [(part, step, verb) for name, part in parts.items() for step, verb in STEPS[name]]
    figure, axes = _grid(len(wanted))
    for one, (part, step, verb) in zip(axes, wanted, strict=False):
        found = {name: median(getattr(tool, step)) for name, tool in part.tools.items() if getattr(tool, step)}
        _bars(one, found, f"{part.title}: {verb}", "seconds, median", ".2f")
    return _save(figure, path, note)


def _stored(path: Path, parts: dict[str, Part], note: str) -> Path:
    figure, axes = _grid(len(parts))
    for one, part in zip(axes, parts.values(), strict=False):
        found = {name: tool.stored[-1] / sum(part.raw) for name, tool in part.tools.items() if tool.stored}
        percent = {name: 100 * value for name, value in found.items()}
        _bars(one, percent, part.title, "% of all versions' bytes", ".1f", whole=True)
    return _save(figure, path, note)


def _curves(path: Path, found: dict[str, list[float]], title: str, across: str, logarithmic: bool, note: str) -> Path:
    lines = {name: values for name, values in found.items() if name != across}
    xs = found[across]
    figure, axes = _grid(len(lines))
    for one, (name, values) in zip(axes, lines.items(), strict=False):
        at = xs if len(values) == len(xs) else [1 << power for power in range(len(values))]
        one.plot(at, values, color=OURS, linewidth=1.4, marker="o", markersize=3 if len(at) > 20 else 4)
        if logarithmic:
            one.set_xscale("log")
        one.set_ylim(0, max(values) * 1.15 or 1)
        one.set_title(name, fontsize=10, loc="left")
        one.set_xlabel(across, fontsize=8)
        one.tick_params(labelsize=8)
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return _save(figure, path, note)
