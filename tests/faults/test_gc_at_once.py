"""gc beside commits, readers, repack and itself: every schedule of two actors with up to two preemptions.

Locks do nothing here.  A commit that comes too late may be refused; nothing that a name reaches is ever lost, readers see
no error, and what was refused succeeds when it is done again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from artvc import curation, maintenance
from artvc.errors import Conflict
from artvc.store import writers
from artvc.store.fsio import Disk
from tests.faults.turns import together
from tests.faults.world import (
    PROJECT,
    SOURCES,
    Scenario,
    Stage,
    World,
    fresh,
    gc_now,
    now,
    repack,
)

Act = Callable[[World, Disk], Any]


def _dead(world: World) -> None:
    """data:v0 lives; "gone" is dead, and what it holds may come again."""
    fresh(world)
    world.commit("a")
    world.commit("mixed", "gone")
    with world.open() as repo:
        curation.delete_collection(repo, PROJECT, "gone", now=now())
    del world.acknowledged["gone:v0"]


def _doubled(world: World) -> None:
    """Everything lies in two packs."""
    _dead(world)
    world.commit("b")
    repack(world, Disk(sync=False))


def _commit(source: str, name: str = "data") -> Act:
    return lambda world, disk: world.commit(source, name, disk=disk)


def _read(world: World, disk: Disk) -> None:
    with world.open(disk) as repo:
        for label, source in dict(world.acknowledged).items():
            version = repo.resolve(label).version
            assert {path: b"".join(repo.read(entry)) for path, entry in repo.walk(version)} == SOURCES[source]


def _delete(world: World, disk: Disk) -> None:
    with world.open(disk) as repo:
        curation.delete_version(repo, repo.resolve("data:v1").version, delete_aliases=True, now=now())


@dataclass(frozen=True)
class Pair:
    """Two acts at once.

    Attributes:
        name: for the report.
        prepare: brings a world to where they begin.
        one, two: the acts.
        may_fail: those that may be refused: a pack that is being deleted is written anew, with the same name; or two that
            clean up are in each other's way.
        late: those that may be refused if gc does not see that they are under way.
    """

    name: str
    prepare: Callable[[World], None]
    one: Act
    two: Act
    may_fail: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


PAIRS = (
    Pair("commit of what is dead, gc", _dead, _commit("mixed"), gc_now, ("one",)),
    Pair("commit of something new, gc", _dead, _commit("b"), gc_now, late=("one",)),
    Pair("gc, gc", _doubled, gc_now, gc_now, ("one", "two")),
    Pair("read, gc", _doubled, _read, gc_now),
    Pair("read, repack", _dead, _read, repack),
    Pair("commit, repack", _dead, _commit("mixed"), repack, ("one", "two")),
    Pair("gc, repack", _doubled, gc_now, repack, ("one", "two")),
    Pair("delete, gc", _doubled, _delete, gc_now),
)


def schedules(one: int, two: int) -> list[list[tuple[str, int]]]:
    """All plans with up to two preemptions."""
    found = []
    for first, second, a, b in (("one", "two", one, two), ("two", "one", two, one)):
        found += [
            [(first, i), (second, j), (first, a * 9), (second, b * 9)] for i in range(a + 1) for j in range(1, b + 1)
        ]
    return found


def at_once(stage: Stage, pair: Pair, plan: list[tuple[str, int]], may_fail: tuple[str, ...]) -> dict[str, int]:
    """Do one schedule and check what is left; the operations that each actor did."""
    scenario = Scenario(pair.name, pair.prepare, pair.one)
    with stage.world(scenario) as world:
        acts = {"one": pair.one, "two": pair.two}
        results, turns = together(plan, {name: lambda disk, act=act: act(world, disk) for name, act in acts.items()})
        for name, result in results.items():
            if isinstance(result, BaseException):
                if not isinstance(result, Conflict) or name not in may_fail:
                    raise AssertionError(f"{name} failed: {result!r}") from result
                acts[name](world, Disk(sync=False))
        _check(stage, world)
        gc_now(world, Disk(sync=False))
        gc_now(world, Disk(sync=False))
        _check(stage, world)
        return turns.counts


def _check(stage: Stage, world: World) -> None:
    with world.open() as repo:
        found = {
            version.label: version
            for collection in repo.collections()
            for version in repo.versions(PROJECT, collection.name)
        }
        for label, source in world.acknowledged.items():
            if label in found:
                stage.check_content(repo, found[label], SOURCES[source])
        report = maintenance.fsck(repo)
        assert report.clean, report.problems


@pytest.mark.parametrize("blind", [False, True], ids=["", "signs not seen"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda one: one.name)
def test_every_schedule(stage: Stage, pair: Pair, blind: bool, sample, monkeypatch, record_property) -> None:
    if blind:
        monkeypatch.setattr(writers, "began", lambda *_, **__: [])
    may_fail = pair.may_fail + (pair.late if blind else ())
    counts = at_once(stage, pair, [], may_fail)
    plans = sample(schedules(counts["one"], counts["two"]), 6)
    for plan in plans:
        try:
            at_once(stage, pair, plan, may_fail)
        except AssertionError as exc:
            raise AssertionError(f"schedule {plan}: {exc}") from exc
    record_property("faults: schedules", len(plans))
