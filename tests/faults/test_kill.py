"""A process killed before, after and inside every operation leaves nothing that the next one can't deal with."""

import pytest

from tests.faults.faulty_disk import Cut, DyingDisk, Killed, PointDisk
from tests.faults.world import SCENARIOS, Scenario, Stage


def cuts(operations: list[str]) -> list[Cut]:
    """Every point at which an act can be killed."""
    found = []
    for number, name in enumerate(operations):
        parts = ("before", "half", "all-1", "after") if name == "write" else ("before", "after")
        found += [Cut(number, part) for part in parts]
    return found


def kill(stage: Stage, scenario: Scenario, cut: Cut) -> None:
    """Do an act on a disk that dies, and check what is left."""
    with stage.world(scenario) as world:
        before = dict(world.acknowledged)
        disk = DyingDisk(cut)
        returned = True
        try:
            with scenario.conditions():
                scenario.act(world, disk)
        except Killed:
            returned = False
        finally:
            disk.bury()
        world.acknowledged = dict(before)
        stage.check(scenario, world, before, acknowledged=returned)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_killed_at_every_operation(stage: Stage, scenario: Scenario, sample, record_property) -> None:
    points = sample(cuts(stage.operations(scenario, PointDisk)), 16 if scenario.slow else 140)
    for cut in points:
        try:
            kill(stage, scenario, cut)
        except AssertionError as exc:
            raise AssertionError(f"killed {cut.part} operation {cut.at}: {exc}") from exc
    record_property("faults: kill points", len(points))


def test_killed_again_while_doing_it_again(stage: Stage, sample, record_property) -> None:
    """Two kills one after the other, then a plain run."""
    scenario = SCENARIOS[2]
    every = cuts(stage.operations(scenario, PointDisk))
    pairs = sample([(one, two) for one in every for two in every], 80)
    for one, two in pairs:
        with stage.world(scenario) as world:
            before = dict(world.acknowledged)
            for cut in (one, two):
                disk = DyingDisk(cut)
                try:
                    scenario.act(world, disk)
                except Killed:
                    pass
                finally:
                    disk.bury()
            stage.check(scenario, world, before)
    record_property("faults: pairs of kill points", len(pairs))
