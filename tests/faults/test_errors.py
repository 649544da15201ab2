"""Errors of the operating system at every operation, once and from then on (SQLite's two loops)."""

import pytest

from artvc.errors import StorageError, StorageFull
from artvc.store import fsio
from tests.faults.faulty_disk import ERRNOS, FailingDisk, PointDisk
from tests.faults.world import SCENARIOS, Scenario, Stage


def fail(stage: Stage, scenario: Scenario, at: int, error: int, forever: bool) -> None:
    """Do an act on a disk that fails, and check error and remains."""
    with stage.world(scenario) as world:
        before = dict(world.acknowledged)
        disk = FailingDisk(at, error, forever=forever)
        returned = True
        try:
            with scenario.conditions():
                scenario.act(world, disk)
        except (StorageFull, StorageError) as exc:
            returned = False
            assert isinstance(exc, StorageFull) == (error in fsio.FULL)
            assert exc.exit_code in (6, 7)
        world.acknowledged = dict(before)
        assert not disk._fds, "descriptors leak after an error"
        stage.check(scenario, world, before, acknowledged=returned)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_errors_at_every_operation(stage: Stage, scenario: Scenario, sample, record_property) -> None:
    count = len(stage.operations(scenario, PointDisk))
    every = [(at, name, forever) for at in range(count) for name in ERRNOS for forever in (False, True)]
    points = sample(every, 12 if scenario.slow else 100)
    for at, name, forever in points:
        try:
            fail(stage, scenario, at, ERRNOS[name], forever)
        except AssertionError as exc:
            how = "from then on" if forever else "once"
            raise AssertionError(f"{name} {how} at operation {at}: {exc}") from exc
    record_property("faults: error points", len(points))
