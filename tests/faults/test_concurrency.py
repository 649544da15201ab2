"""Processes that commit at once get consecutive versions, none is lost, and readers never see an error."""

import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from artvc import maintenance
from artvc.repo import Repository
from artvc.store.fsio import Disk
from tests.faults.processes import commit_many, read_on
from tests.faults.world import PROJECT, SETTINGS

FULL = os.environ.get("ARTVC_FAULTS") == "full"
COMMITS = 200 if FULL else 12


@pytest.mark.parametrize(
    ("writers", "names", "lockless"),
    [(2, 1, False), (8, 1, False), (8, 1, True), (8, 3, True)],
    ids=["two", "eight", "eight without flock", "eight on three artifacts without flock"],
)
def test_writers_and_readers_at_once(arena: Path, writers: int, names: int, lockless: bool) -> None:
    root = arena / f"{writers}{names}{lockless}" / "repo"
    root.mkdir(parents=True)
    Repository.create(root, settings=SETTINGS, disk=Disk(sync=False))[0].close()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    reading = context.Queue()
    stop = context.Event()
    reader = context.Process(target=read_on, args=(root, stop, reading))
    processes = [
        context.Process(target=commit_many, args=(root, who, names, lockless, COMMITS, results))
        for who in range(writers)
    ]
    for process in [reader, *processes]:
        process.start()
    outcomes = [results.get(timeout=900 if FULL else 60) for _ in processes]
    stop.set()
    rounds = reading.get(timeout=60)
    for process in [reader, *processes]:
        process.join(60)
    assert isinstance(rounds, int), rounds
    for outcome in outcomes:
        assert isinstance(outcome, list), outcome
    found = {(name, number): content for outcome in outcomes for name, number, content in outcome}  # type: ignore[union-attr]
    assert len(found) == writers * COMMITS, "two commits got one version"
    with Repository.open(root, SETTINGS, Disk(sync=False)) as repo:
        total = 0
        for collection in repo.collections():
            versions = repo.versions(PROJECT, collection.name)
            assert [version.number for version in versions] == list(range(len(versions)))
            total += len(versions)
            for version in versions:
                content = b"".join(repo.read(repo.entry(version, "file"))).decode()
                assert found[version.name, version.number] == content
        assert total == writers * COMMITS
        assert len(repo.runs()) == writers * COMMITS
        assert maintenance.fsck(repo).clean
    shutil.rmtree(root.parent)
