"""Whatever a power cut leaves of a gc or a repack, and whatever the clocks say, all that names reach is there."""

import itertools
import os
import random
from pathlib import Path

import pytest

from artvc import curation, maintenance, recording
from artvc.maintenance import GcRequest, RepackRequest
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import packs, refs
from artvc.store.fsio import Disk
from tests.faults.test_power_loss import BUDGET, INIT, Act, Checker, _commit, record
from tests.faults.world import DAY, PROJECT, SETTINGS, SOURCES, Stage, fill, now


def _same(name: str, run) -> Act:
    """An act that leaves the versions of "data" as they are."""
    return Act(name, run, lambda truth: truth)


def _other(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        request = CommitRequest(paths=(sources / "mixed",), name="gone", type="dataset")
        recording.commit_paths(repo, request, now=now)


def _forget_other(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        if repo.versions(PROJECT, "gone"):
            curation.delete_collection(repo, PROJECT, "gone", now=now())


def _condemn(root: Path, sources: Path, disk: Disk) -> None:
    for pack in (root / ".artvc" / "packs").iterdir():
        os.utime(pack, (0, 0))
    with Repository.open(root, SETTINGS, disk) as repo:
        maintenance.gc(repo, GcRequest(grace=DAY), now=now())


def _gc(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        maintenance.gc(repo, GcRequest(grace=0), now=now())


def _repack(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo:
        maintenance.repack(repo, RepackRequest(), now=now())


ACTS = (
    INIT,
    _commit("a"),
    _same("commit what will go", _other),
    _commit("b"),
    _same("delete", _forget_other),
    _same("condemn", _condemn),
    _same("gc", _gc),
    _same("repack", _repack),
    _same("gc again", _gc),
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 256 * 1024)
    monkeypatch.setattr(packs, "_RESERVE", 16 * 1024)
    monkeypatch.setattr(refs, "_CHECKPOINT_EVERY", 3)


def test_power_cut_at_every_operation(stage: Stage, arena: Path, record_property) -> None:
    checker = Checker(stage.base, stage.sources)
    trace = record(arena / "gc-trace", stage.sources, ACTS)
    first = next(begin for begin, _, act in trace.marks if act.name == "delete")
    checker.trace(trace, BUDGET // 2 or 1, range(first, trace.disk.count + 1))
    record_property("faults: power-cut states", checker.states)
    record_property("faults: power-cut states, different", checker.different)


@pytest.mark.parametrize("seed", range(3))
def test_clocks_that_are_wrong_by_ten_years(arena: Path, seed: int) -> None:
    """Each command has another idea of the time: commits, deletions, gcs and repacks, in random order."""
    draw = random.Random(seed)
    root = arena / f"clocks{seed}" / "repo"
    root.mkdir(parents=True)
    ticks = itertools.count()

    def clock() -> str:
        return f"{draw.choice((2016, 2026, 2026, 2036))}-11-23T03:00:00.{next(ticks):06}Z"

    Repository.create(root, settings=SETTINGS, disk=Disk(sync=False))[0].close()
    truth: dict[str, str] = {}
    fill(root / "sources", {f"{name}/{path}": data for name in "ab" for path, data in SOURCES[name].items()})
    for _ in range(30):
        with Repository.open(root, SETTINGS, Disk(sync=False)) as repo:
            what = draw.choice(("commit", "commit", "delete", "gc", "gc", "repack"))
            name, source = draw.choice("xyz"), draw.choice("ab")
            for pack in (root / ".artvc" / "packs").iterdir():
                when = draw.choice((0, 1_800_000_000, 2_100_000_000))
                os.utime(pack, (when, when))
            if what == "commit":
                request = CommitRequest(paths=(root / "sources" / source,), name=name, type="dataset")
                version = recording.commit_paths(repo, request, now=clock).logged.version
                truth[version.label] = source
            elif what == "delete" and any(label.startswith(name) for label in truth):
                curation.delete_collection(repo, PROJECT, name, now=clock())
                truth = {label: one for label, one in truth.items() if not label.startswith(name)}
            elif what == "gc":
                maintenance.gc(repo, GcRequest(grace=draw.choice((0, DAY, 14 * DAY))), now=clock())
            elif what == "repack":
                maintenance.repack(repo, RepackRequest(), now=clock())
            assert maintenance.fsck(repo).problems == []
            for label, one in truth.items():
                found = {path: b"".join(repo.read(entry)) for path, entry in repo.walk(repo.resolve(label).version)}
                assert found == SOURCES[one]
