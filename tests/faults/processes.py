"""What the processes of the concurrency tests do; a module of its own so that they can import it."""

import contextlib
import multiprocessing
import traceback
from collections.abc import Iterator
from pathlib import Path

from artvc import recording
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import refs
from artvc.store.fsio import Disk
from tests.faults.world import PROJECT, SETTINGS, fill, now


class LocklessDisk(Disk):
    """A file system on which flock does nothing."""

    @contextlib.contextmanager
    def lock(self, path: str, *, exclusive: bool) -> Iterator[bool]:
        yield False


def commit_many(
    root: Path, who: int, names: int, lockless: bool, commits: int, results: "multiprocessing.Queue[object]"
) -> None:
    """Commit so many times on some names; what became of it, or a traceback, goes into the queue."""
    try:
        refs._CHECKPOINT_EVERY = 7  # type: ignore[misc]
        done = []
        source = root.parent / f"source{who}"
        for number in range(commits):
            fill(source, {"file": f"{who} {number}".encode(), "shared": b"the same for all"})
            disk = (LocklessDisk if lockless else Disk)(sync=False)
            with Repository.open(root, SETTINGS, disk) as repo:
                request = CommitRequest(paths=(source,), name=f"data{number % names}", type="dataset")
                version = recording.commit_paths(repo, request, now=now).logged.version
                done.append((version.name, version.number, f"{who} {number}"))
        results.put(done)
    except BaseException:
        results.put(traceback.format_exc())


def read_on(root: Path, stop: "multiprocessing.synchronize.Event", results: "multiprocessing.Queue[object]") -> None:
    """Read everything over and over; the number of rounds, or a traceback, goes into the queue."""
    try:
        rounds = 0
        repo = Repository.open(root, SETTINGS, Disk(sync=False))
        while not stop.is_set() or rounds < 3:
            if rounds % 2:  # with what is in memory, and from scratch
                repo.close()
                repo = Repository.open(root, SETTINGS, Disk(sync=False))
            for collection in repo.collections():
                versions = repo.versions(PROJECT, collection.name)
                assert [version.number for version in versions] == list(range(len(versions)))
                for path, entry in repo.walk(versions[-1]):
                    assert b"".join(repo.read(entry)), path
            repo.runs()
            rounds += 1
        repo.close()
        results.put(rounds)
    except BaseException:
        results.put(traceback.format_exc())
