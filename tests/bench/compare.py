"""The same work done by artvc and by other tools, in turn and in one run.

Each round goes through the tools one after the other, beginning with another one each time, so that a machine whose speed
drifts is unfair to all.  Before each timed step dirty pages are flushed, the data is read once and free memory is touched.
Nothing is deleted while a part with many files is measured: ext4 makes new files slow for minutes after old ones went.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import tools, workloads
from tests.bench.measure import Command, Run, environment, read_all, size_of, warm_memory
from tests.bench.tools import FLOORS, Tool

WARM_LIMIT = 6 << 30


@dataclass
class Options:
    """How much is done.

    Attributes:
        scratch: directory on the disk that is measured.
        tools: that take part.
        peers: virtual environment with DVC and Oxen.
        rounds: of artvc and of the floors (cp, sha256sum).
        peer_rounds: of all others, at most.
        scale: of the workloads; 1 is what the bars speak of.
        sources: directories of what can't be made by seed, by kind.
    """

    scratch: Path
    tools: list[type[Tool]]
    peers: Path
    rounds: int = 5
    peer_rounds: int = 3
    scale: float = 1.0
    sources: dict[str, Path] = field(default_factory=dict)


@dataclass
class Found:
    """What one tool needed: seconds by step, bytes of its store after each version, peak memory in bytes."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    status: list[float] = field(default_factory=list)
    restore: list[float] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    peak: int = 0


@dataclass
class Part:
    """A finished comparison: bytes of the data by version, what each tool needed, load before and after."""

    title: str
    raw: list[int] = field(default_factory=list)
    tools: dict[str, Found] = field(default_factory=dict)
    load: tuple[float, float] = (0.0, 0.0)


class Bench:
    """One part under way."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self.work = workloads.WORKLOADS[name]
        self.place = options.scratch / name
        self.place.mkdir()
        self.home = self.place / "home"
        self.home.mkdir()
        self.environment = environment(self.home)
        self.part = Part(self.work.title)
        self.data = self.place / "data"
        self.data.mkdir()
        self.trash = self.place / "trash"
        self.trash.mkdir()

    def make(self, version: int) -> None:
        """Write a version of the data."""
        source = self.options.sources.get(self.work.source)
        workloads.make(self.name, self.data, version, self.options.scale, source)
        if len(self.part.raw) == version:
            self.part.raw.append(size_of(self.data))

    def start(self, kinds: list[type[Tool]], turn: int) -> list[Tool]:
        """Make a store for each tool."""
        made = []
        for kind in kinds:
            work = self.place / f"{kind.name.replace(', ', '-').replace(' ', '')}-{turn}"
            work.mkdir()
            tool = kind(work, self.data, self.options.peers)
            self.run(tool.start())
            self.part.tools.setdefault(kind.name, Found())
            made.append(tool)
        return made

    def run(self, commands: list[Command]) -> list[Run]:
        return [Run(command, self.place, self.environment) for command in commands]

    def timed(self, tool: Tool, commands: list[Command], memory: int | None = None) -> float:
        """Run a step; remembers the peak."""
        os.sync()
        read_all(self.data)
        warm_memory(min(WARM_LIMIT, 3 * self.part.raw[-1] if memory is None else memory))
        runs = self.run(commands)
        found = self.part.tools[tool.name]
        found.peak = max([found.peak, *(run.peak for run in runs)])
        return sum(run.seconds for run in runs)

    def commit(self, tool: Tool, version: int) -> float:
        if tool.inside:
            inside = tool.work / "data"
            if inside.exists():
                self.drop(inside)
            shutil.copytree(self.data, inside)
        return self.timed(tool, tool.commit(version))

    def restore(self, tool: Tool, version: int) -> None:
        """Restore a version, compare it with the data, and put it away."""
        target = tool.work / "restored"
        self.part.tools[tool.name].restore.append(self.timed(tool, tool.restore(version, target)))
        if subprocess.run(["diff", "-rq", "-x", ".git", str(self.data), str(target)], check=False).returncode:
            raise SystemExit(f"{tool.name}: what came back of {self.name} differs")
        self.drop(target)

    def drop(self, path: Path) -> None:
        """Put something out of the way; many files are deleted at the end only."""
        if self.name in MANY_FILES:
            path.rename(self.trash / f"{len(list(self.trash.iterdir()))}")
        else:
            shutil.rmtree(path)

    def kinds(self, turn: int, most: int) -> list[type[Tool]]:
        """The tools that take part in a round, rotated."""
        wanted = [
            kind
            for kind in self.options.tools
            if (kind.name in FLOORS or turn < min(most, self.options.peer_rounds))
            and (ONLY.get(self.name) is None or kind.name in ONLY[self.name])
            and (kind is not tools.Cdc or self.name in STORAGE)
        ]
        at = turn % len(wanted) if wanted else 0
        return wanted[at:] + wanted[:at]

    def finish(self) -> Part:
        shutil.rmtree(self.place)
        return self.part


def once(bench: Bench) -> None:
    """One version, from nothing, each round; and back."""
    bench.make(0)
    many = bench.name in MANY_FILES
    for turn in range(bench.options.rounds):
        for tool in bench.start(bench.kinds(turn, 2 if many else 3), turn):
            found = bench.part.tools[tool.name]
            found.first.append(bench.commit(tool, 0))
            if tool.held().exists() and not turn:
                found.stored.append(size_of(tool.held()))
            if tool.restores and (not many or tool.name in FLOORS):
                bench.restore(tool, 0)
            bench.drop(tool.work)


def series(bench: Bench) -> None:
    """Version after version; the last comes back."""
    versions = bench.work.versions if bench.name in STORAGE else 1 + bench.options.rounds
    running = bench.start(bench.kinds(0, 1), 0)
    last: dict[str, int] = {}
    for version in range(versions):
        bench.make(version)
        at = version % len(running)
        for tool in running[at:] + running[:at]:
            if bench.name not in STORAGE and tool.name not in FLOORS and version > min(1, bench.options.peer_rounds):
                continue  # most keep each version whole: more would fill the disk
            last[tool.name] = version
            found = bench.part.tools[tool.name]
            seconds = bench.commit(tool, version)
            (found.later if version else found.first).append(seconds)
            if tool.held().exists():
                found.stored.append(size_of(tool.held()))
            if isinstance(tool, tools.Copy) and not isinstance(tool, tools.TarZstd):
                shutil.rmtree(tool.held() / f"v{version}")  # a copy a version would fill the disk
    for tool in running:
        if tool.restores and not isinstance(tool, tools.CopySync) and last[tool.name] == versions - 1:
            bench.restore(tool, versions - 1)


def unchanged(bench: Bench) -> None:
    """Looking for changes where there are none, and committing all the same."""
    bench.make(0)
    running = bench.start(bench.kinds(0, 1), 0)
    for tool in running:
        found = bench.part.tools[tool.name]
        found.first.append(bench.commit(tool, 0))
    for turn in range(1 + bench.options.rounds):
        at = turn % len(running)
        for tool in running[at:] + running[:at]:
            found = bench.part.tools[tool.name]
            small = 64 << 20
            if tool.status():
                found.status.append(bench.timed(tool, tool.status(), small))
            found.later.append(bench.timed(tool, tool.commit(1 + turn), small))
    for found in bench.part.tools.values():
        del found.status[:1], found.later[:1]  # the first look may refresh what git and others keep of the files


MANY_FILES = {"files", "tree"}
STORAGE = {"fp32", "bf16", "frozen", "mnist", "csv"}
# git-lfs, DVC and Oxen need many minutes to take in so many files, which is not what is asked for.
ONLY: dict[str, set[str]] = {
    "tree": {"artvc", "git", "restic", "borg"},
    **dict.fromkeys(STORAGE, {kind.name for kind in tools.TOOLS} - {"sha256sum", "cp", "cp + sync"}),
}
PARTS: dict[str, Callable[[Bench], None]] = {
    **dict.fromkeys(("weights", "random", "files"), once),
    "changed": series,
    "tree": unchanged,
    **dict.fromkeys(("fp32", "bf16", "frozen", "mnist", "csv"), series),
}


def compare(name: str, options: Options) -> Part:
    """Measure one part."""
    bench = Bench(name, options)
    before = os.getloadavg()[0]
    PARTS[name](bench)
    bench.part.load = (before, os.getloadavg()[0])
    return bench.finish()
