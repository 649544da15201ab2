"""Where fault tests work, and the count of fault points at the end of a run."""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.world import Stage  # noqa: E402

FULL = os.environ.get("ARTVC_FAULTS") == "full"


@pytest.fixture(scope="module")
def arena() -> Iterator[Path]:
    """An empty directory, in memory where there is one."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="artvc-faults-", dir=parent))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def stage(arena: Path) -> Stage:
    return Stage(arena)


@pytest.fixture
def sample() -> Callable[[list, int], list]:
    """A fixed random sample of points; all of them with ARTVC_FAULTS=full."""

    def choose(points: list, count: int) -> list:
        return points if FULL or len(points) <= count else random.Random(2).sample(points, count)

    return choose


@pytest.fixture(autouse=True)
def _in_arena(arena: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(arena)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals: dict[str, int] = {}
    for report in terminalreporter.getreports("passed"):
        for key, value in report.user_properties:
            if key.startswith("faults: "):
                totals[key] = totals.get(key, 0) + int(value)
    if totals:
        terminalreporter.section("fault injection")
        for key, value in sorted(totals.items()):
            terminalreporter.line(f"{key}: {value}")
