"""What artvc needs beside other tools, and how that grows.

    python -m tests.bench                                   # everything but what needs --checkpoints and --mnist
    python -m tests.bench --scale 0.02 --rounds 2           # a look, in a minute or two
    python -m tests.bench --only weights,files,growth-files --json found.json --plots pictures
    python -m tests.bench --from found.json --plots pictures  # tables and pictures of an earlier run

Parts: weights, random, files, changed, tree (time); fp32, bf16, frozen, mnist, csv (storage); growth-gigabytes,
growth-files, growth-versions; index (ten million chunks); start (of the interpreter, of artvc).

The data is made by seed, but for fp32 and bf16 (--checkpoints DIR: what minilm.py wrote) and mnist (--mnist DIR: the
directory ``artifacts`` that examples/mnist leaves).  A tool takes part if it is installed; DVC and Oxen are looked
for in --peers, a virtual environment: ``python -m venv V && V/bin/pip install dvc oxenai``.  Medians; the machine, the
load and the versions are part of the report.  Everything is made durable before the clock stops: a tool that does not
sync by itself is followed by ``sync``.  The full run takes about 80 minutes and 40 GB of disk, most of it for other tools.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import report, tools
from tests.bench.chunk_index import chunk_index
from tests.bench.compare import PARTS, Found, Options, Part, compare
from tests.bench.growth import by_files, by_gigabytes, by_versions
from tests.bench.measure import Run, environment, interpreter_peak, machine
from tests.bench.plots import draw
from tests.bench.workloads import WORKLOADS

GROWTH: dict[str, Callable[[Path, float], dict[str, list[float]]]] = {
    "growth-gigabytes": by_gigabytes,
    "growth-files": by_files,
    "growth-versions": by_versions,
}
ALL = [*PARTS, *GROWTH, "index", "start"]
CHUNKS = 10_000_000


def start(scratch: Path, rounds: int) -> dict[str, object]:
    """Start-up beside an interpreter that does nothing, in milliseconds."""
    environ = environment(scratch)
    artvc = tools.ARTVC
    Run([*artvc, "init"], scratch, environ)
    (scratch / "one").write_text("1")
    Run([*artvc, "commit", "one", "-n", "one", "-t", "data"], scratch, environ)
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import artvc": [sys.executable, "-c", "import artvc"],
        "artvc --version": [*artvc, "--version"],
        "artvc log": [*artvc, "log"],
        "artvc status": [*artvc, "status"],
        "git --version": ["git", "--version"],
    }
    found: dict[str, list[float]] = {what: [] for what in commands}
    for _ in range(rounds * 4):
        for what, argv in commands.items():
            found[what].append(Run(argv, scratch, environ).seconds * 1000)
    return {f"{what}, ms": round(median(times), 1) for what, times in found.items()}


def measure(name: str, options: Options, found: dict[str, Any]) -> str:
    """Run a part, put it among what was found, and tell of it."""
    if name in PARTS:
        source = WORKLOADS[name].source
        if source and source not in options.sources:
            return f"({name} is left out: it needs --{source})"
        part = compare(name, options)
        found["parts"][name] = asdict(part)
        return report.table(part)
    place = options.scratch / name
    place.mkdir()
    if name in GROWTH:
        curve = found["growth"][name.removeprefix("growth-")] = GROWTH[name](place, options.scale)
        told = report.columns(name, curve)
    else:
        found["facts"][name] = FACTS[name](place, options)
        told = report.facts(name, found["facts"][name])
    shutil.rmtree(place)
    return told


FACTS: dict[str, Callable[[Path, Options], dict[str, object]]] = {
    "index": lambda place, options: chunk_index(place, int(CHUNKS * options.scale), options.rounds),
    "start": lambda place, options: start(place, options.rounds),
}


def revived(found: dict[str, Any]) -> dict[str, Part]:
    """The comparisons of a report that went through JSON."""
    return {
        name: Part(
            one["title"], one["raw"], {tool: Found(**kept) for tool, kept in one["tools"].items()}, tuple(one["load"])
        )
        for name, one in found["parts"].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(ALL), help="parts, separated by commas")
    parser.add_argument("--tools", help="names, separated by commas; all that are there")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=3, help="of the tools other than artvc, cp and sha256sum")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--peers", type=Path, help="virtual environment with DVC and Oxen")
    parser.add_argument("--checkpoints", type=Path, help="directory with the files of minilm.py")
    parser.add_argument("--mnist", type=Path, help="the directory artifacts of examples/mnist")
    parser.add_argument("--scratch", type=Path, help="directory on the disk to be measured")
    parser.add_argument("--json", type=Path, help="where to write all that was found")
    parser.add_argument("--plots", type=Path, help="where to draw")
    parser.add_argument("--from", dest="earlier", type=Path, help="a file that --json wrote: measure nothing")
    given = parser.parse_args()
    if given.earlier:
        found = json.loads(given.earlier.read_text())
        for part in revived(found).values():
            print(report.table(part), end="\n\n")
        for name, curve in found["growth"].items():
            print(report.columns(f"growth-{name}", curve), end="\n\n")
        for name, facts in found["facts"].items():
            print(report.facts(name, facts), end="\n\n")
    else:
        chosen = given.only.split(",")
        if unknown := set(chosen) - set(ALL):
            parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(ALL)}")
        found = run(given, chosen)
    rows = report.bars(revived(found), found["interpreter peak"])
    print(report.bar_table(rows, found["scale"]))
    if given.plots:
        where = f"{found['machine']['cpu']}, {found['machine']['cores']} cores, load {found['load'][0]:.1f} to "
        where += f"{found['load'][1]:.1f}, scale {found['scale']}"
        for path in draw(given.plots, revived(found), found["growth"], where):
            print(f"drawn: {path}", file=sys.stderr)


def run(given: argparse.Namespace, chosen: list[str]) -> dict[str, Any]:
    """Measure, and write the JSON file after each part."""
    peers = tools.place_for(given.peers)
    there = tools.found(set(given.tools.split(",")) if given.tools else None, peers)
    scratch = Path(tempfile.mkdtemp(prefix="artvc-bench-", dir=given.scratch)).absolute()
    sources = {name: path.absolute() for name in ("checkpoints", "mnist") if (path := getattr(given, name))}
    options = Options(scratch, list(there), peers, given.rounds, given.peer_rounds, given.scale, sources)
    head = {
        "machine": machine(),
        "versions": {tool.name: version for tool, version in there.items()},
        "scale": given.scale,
        "interpreter peak": interpreter_peak(),
    }
    print("### Where", "", "| | |", "|---|---|", sep="\n")
    for group in (head["machine"], head["versions"]):
        for key, value in group.items():
            print(f"| {key} | {value} |")
    before = os.getloadavg()[0]
    found: dict[str, Any] = {"parts": {}, "growth": {}, "facts": {}}
    try:
        for name in chosen:
            print(f"\n{measure(name, options, found)}", flush=True)
            found |= head | {"load": [before, os.getloadavg()[0]]}
            if given.json:
                given.json.write_text(json.dumps(found, indent=1))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print()
    return found


if __name__ == "__main__":
    main()
