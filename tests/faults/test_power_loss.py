"""Whatever a power cut leaves of un-synced writes, all that was acknowledged is there and everything works on."""

import itertools
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from artvc import maintenance, recording
from artvc.errors import NotARepository
from artvc.model.objects import Properties
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import packs, refs
from artvc.store.fsio import Disk
from tests.faults.faulty_disk import Killed
from tests.faults.power import Model, TraceDisk, build, signature
from tests.faults.world import PROJECT, SETTINGS, SOURCES, Stage, now

FULL = os.environ.get("ARTVC_FAULTS") == "full"
BUDGET = int(os.environ.get("ARTVC_POWER_BUDGET", "4096" if FULL else "12"))


@dataclass(frozen=True)
class Truth:
    """What the names are after some acts: version number -> source, alias -> number, descriptions."""

    exists: bool = False
    versions: tuple[str, ...] = ()
    best: int | None = None
    described: bool = False


@dataclass(frozen=True)
class Act:
    """One command: what it does with a repository at a root, and the truth afterwards."""

    name: str
    run: Callable[[Path, Path, Disk], None]
    then: Callable[[Truth], Truth]


def _commit(source: str) -> Act:
    def run(root: Path, sources: Path, disk: Disk) -> None:
        with Repository.open(root, SETTINGS, disk) as repo:
            request = CommitRequest(paths=(sources / source,), name="data", type="dataset")
            recording.commit_paths(repo, request, now=now)

    def then(truth: Truth) -> Truth:
        known = truth.versions if source in truth.versions else (*truth.versions, source)
        return Truth(True, known, truth.best, truth.described)

    return Act(f"commit {source}", run, then)


def _init(root: Path, sources: Path, disk: Disk) -> None:
    root.mkdir(exist_ok=True)  # the user's directory
    Repository.create(root, settings=SETTINGS, disk=disk)[0].close()


def _alias(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        recording.set_alias(repo, repo.resolve("data:v0").version, "best", now=now())


def _describe(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        version = repo.resolve("data:v0").version
        recording.set_properties(repo, version, Properties(description="good"), now=now())


INIT = Act("init", _init, lambda truth: Truth(True, truth.versions, truth.best, truth.described))
NOTHING = Truth()
EMPTY = Truth(exists=True)
ALIAS = Act("alias", _alias, lambda truth: Truth(True, truth.versions, 0, truth.described))
DESCRIBE = Act("describe", _describe, lambda truth: Truth(True, truth.versions, truth.best, True))
ACTS = (INIT, _commit("a"), _commit("b"), ALIAS, _commit("a"), DESCRIBE, _commit("packs"))


@dataclass
class Trace:
    """A log of operations and where in it each act began and was acknowledged."""

    disk: TraceDisk
    marks: list[tuple[int, int, Act]] = field(default_factory=list)  # first step, step after, act

    def truth_at(self, cut: int) -> tuple[Truth, Truth, Act | None]:
        """What was acknowledged before a cut, what may be there besides, and the act in flight."""
        sure = Truth()
        for first, end, act in self.marks:
            if end <= cut:
                sure = act.then(sure)
            elif first < cut:
                return sure, act.then(sure), act
        return sure, sure, None


def record(base: Path, sources: Path, acts: tuple[Act, ...], kill_before: int | None = None) -> Trace:
    """Do acts one after the other on a recording disk; an act whose process is killed is done again."""
    root = base / "repo"
    root.mkdir(parents=True)
    disk = TraceDisk(str(root), kill_before)
    trace = Trace(disk)
    for act in acts:
        first = disk.count
        while True:
            try:
                act.run(root, sources, disk)
                break
            except Killed:
                disk.revive()
        trace.marks.append((first, disk.count, act))
    shutil.rmtree(root)
    return trace


class Checker:
    """Looks at crash states, each different one once."""

    def __init__(self, base: Path, sources: Path) -> None:
        self.base = base
        self.sources = sources
        self.lenient = False
        self.states = 0
        self.different = 0
        self._seen: set[object] = set()
        self._numbers = itertools.count()

    def trace(self, trace: Trace, budget: int, cuts: range | None = None) -> None:
        """All states of all cuts of a trace."""
        model = Model()
        rng = random.Random(3)
        for cut in range(len(trace.disk.steps) + 1):
            if cut:
                model.feed(trace.disk.steps[cut - 1])
            if cuts is not None and cut not in cuts:
                continue
            sure, may, act = trace.truth_at(cut)
            for state in model.states(budget, rng):
                self.states += 1
                # Equal bytes and an equal or weaker promise: seen.
                key = (signature(state), sure, may)
                if key not in self._seen:
                    self._seen.add(key)
                    try:
                        self._check(state, sure, may, act)
                    except AssertionError as exc:
                        done = trace.disk.steps[max(0, cut - 3) : cut]
                        raise AssertionError(
                            f"cut after operation {cut} ({done}) in {act.name if act else 'nothing'}: {exc};\n"
                            f"sure {sure}, there: {sorted(path for path in state if '/tmp/' not in path)}"
                        ) from exc

    def _check(self, state: dict[str, bytes | None], sure: Truth, may: Truth, act: Act | None) -> None:
        self.different += 1
        root = self.base / f"state{next(self._numbers)}"
        build(state, root)
        try:
            try:
                found = self._truth(root)
            except NotARepository:
                found = Truth()
            # Half made by a process that was killed, an empty repository is durable only from its first commit on.
            expected = (sure, may, NOTHING) if self.lenient and sure == EMPTY else (sure, may)
            assert found in expected, f"found {found}, neither {sure} nor {may}"
            if act is not None and (sure.exists or act is INIT):
                if found == NOTHING:
                    INIT.run(root, self.sources, Disk(sync=False))
                act.run(root, self.sources, Disk(sync=False))
                again = self._truth(root)
                assert again == act.then(sure), f"doing it again gave {again}"
        finally:
            shutil.rmtree(root)

    def _truth(self, root: Path) -> Truth:
        with Repository.open(root, SETTINGS, Disk(sync=False)) as repo:
            versions = repo.versions(PROJECT, "data")
            assert [version.number for version in versions] == list(range(len(versions)))
            sources = []
            for version in versions:
                got = {path: b"".join(repo.read(entry)) for path, entry in repo.walk(version)}
                sources.append(next((name for name, files in SOURCES.items() if files == got), "?"))
            report = maintenance.fsck(repo)
            assert report.clean, report.problems
            described = bool(versions) and repo.properties(versions[0].properties_id).description == "good"
            best = repo.aliases(PROJECT, "data").get("best")
            return Truth(True, tuple(sources), best, described)


@pytest.fixture
def checker(stage: Stage) -> Checker:
    return Checker(stage.base, stage.sources)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 128 * 1024)
    monkeypatch.setattr(packs, "_RESERVE", 16 * 1024)
    monkeypatch.setattr(refs, "_CHECKPOINT_EVERY", 3)


def test_power_cut_at_every_operation(checker: Checker, arena: Path, record_property) -> None:
    trace = record(arena / "trace", checker.sources, ACTS)
    checker.trace(trace, BUDGET)
    record_property("faults: power-cut states", checker.states)
    record_property("faults: power-cut states, different", checker.different)
    record_property("faults: power-cut points", len(trace.disk.steps) + 1)


def test_power_cut_after_a_kill(checker: Checker, arena: Path, sample, record_property) -> None:
    """A process is killed, the next one is told that all is well, then the power goes."""
    acts = (INIT, _commit("a"), ALIAS, DESCRIBE)
    count = record(arena / "count", checker.sources, acts).disk.count
    checker.lenient = True
    for number in sample(list(range(count)), 12):
        trace = record(arena / f"kill{number}", checker.sources, acts, kill_before=number)
        # From the operation of the kill on: what was before is in the test above.
        try:
            checker.trace(trace, max(8, BUDGET // 16), range(number, min(number + 40, trace.disk.count + 1)))
        except AssertionError as exc:
            raise AssertionError(f"killed before operation {number}, then: {exc}") from exc
    record_property("faults: power-cut states", checker.states)
    record_property("faults: power-cut states, different", checker.different)
