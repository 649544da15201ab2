"""A checkout killed at every call that changes the user's directory appears complete or not at all.

The destination is written by ``artvc.worktree``, not through the disk, so here its ``os`` is replaced.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from artvc import worktree
from artvc.errors import Conflict, StorageError, StorageFull
from artvc.store.fsio import Disk
from artvc.worktree import restoring
from tests.faults.faulty_disk import Killed
from tests.faults.world import SCENARIOS, SOURCES, Scenario, Stage, World, fill, read_files

CHANGING = ("mkdir", "rename", "replace", "unlink", "rmdir", "symlink", "pwrite", "open", "fsync")
SCENARIO = next(one for one in SCENARIOS if one.name == "checkout")


class FaultyOs:
    """The module ``os`` with a fault at the nth changing call; dead ever after if the fault is Killed."""

    def __init__(self, at: int | None, fault: Callable[[], BaseException], *, part: str = "before") -> None:
        self.count = 0
        self._at = at
        self._fault = fault
        self._part = part
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CHANGING:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            if self._dead:
                raise self._fault()
            number, self.count = self.count, self.count + 1
            if number != self._at:
                return real(*args, **kwargs)
            fault = self._fault()
            self._dead = isinstance(fault, Killed)
            if self._part == "after":
                result = real(*args, **kwargs)
                if name == "open":
                    os.close(result)
            elif self._part == "half" and name == "pwrite":
                real(args[0], args[1][: len(args[1]) // 2], args[2])
            raise fault

        return call


def full() -> BaseException:
    return OSError(28, "No space left on device")


def run(stage: Stage, monkeypatch: pytest.MonkeyPatch, faulty: FaultyOs, *, existing: bool) -> bool:
    """One checkout under a fault, and the checks after it; whether it came back."""
    with stage.world(SCENARIO) as world:
        out = world.base / "out"
        if existing:
            checkout(world, "data:v0")
        before = read_files(out) if existing else None
        monkeypatch.setattr(restoring, "os", faulty)
        try:
            checkout(world, "data:v1")
            returned = True
        except (Killed, StorageFull, StorageError):
            returned = False
        finally:
            monkeypatch.setattr(restoring, "os", os)
        found = read_files(out) if out.exists() else None
        if existing:
            assert found is not None and before is not None
            for path, data in found.items():
                versions = {SOURCES[one].get(path) for one in "ab"}
                assert data in versions or worktree.TEMPORARY in path, f"{path} is neither old nor new"
            for path in SOURCES["a"].keys() & SOURCES["b"].keys():
                assert path in found, f"{path} is gone"
        else:
            assert found in (None, SOURCES["b"]), "a directory appeared that is not complete"
        assert not returned or {p: d for p, d in found.items()} == SOURCES["b"]  # type: ignore[union-attr]
        # Again: without force, for nothing there is the user's.
        checkout(world, "data:v1")
        assert read_files(out) == SOURCES["b"]
        assert set(os.listdir(world.base)) == {"repo", "bystander", "out"}
        return returned


def checkout(world: World, reference: str) -> None:
    with world.open(Disk(sync=False)) as repo:
        worktree.checkout(repo, repo.resolve(reference).version, world.base / "out")


@pytest.mark.parametrize("existing", [False, True], ids=["new", "update"])
@pytest.mark.parametrize("fault", [Killed, full], ids=["kill", "full"])
def test_faults_at_every_call(stage: Stage, monkeypatch: pytest.MonkeyPatch, fault, existing, record_property) -> None:
    counter = FaultyOs(None, fault)
    run(stage, monkeypatch, counter, existing=existing)
    points = [(at, part) for at in range(counter.count) for part in ("before", "half", "after")]
    for at, part in points:
        try:
            run(stage, monkeypatch, FaultyOs(at, fault, part=part), existing=existing)
        except AssertionError as exc:
            raise AssertionError(f"{part} call {at}: {exc}") from exc
    record_property("faults: points in checkouts", len(points))


def test_changes_of_the_users_survive_a_killed_checkout(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario: Scenario = SCENARIO
    with stage.world(scenario) as world:
        checkout(world, "data:v0")
        fill(world.base / "out", {"one": b"my own work"})
        with pytest.raises(Conflict):
            checkout(world, "data:v1")
        assert (world.base / "out" / "one").read_bytes() == b"my own work"
        assert not (world.base / "out" / "large").exists()
