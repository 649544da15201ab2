"""Many clones that push to one git repository at once: by path, and at git daemon, http-backend and sshd."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.remotes.git_servers import SERVERS, Place, git, hermetic
from tests.sync.conftest import Clone, Team
from tests.sync.test_sharing import everyone_agrees

pytestmark = pytest.mark.slow
FULL = os.environ.get("ARTVC_FAULTS") == "full"
CLIENTS, PUSHES = (16, 50) if FULL else (4, 3)


@pytest.fixture(params=["path", "daemon", "http", "ssh"])
def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Team, Place, dict[str, str]]]:
    """Clones around a git repository, where that lies, and the environment of git there."""
    with ExitStack() as stack:
        if request.param == "path":
            environ, bare = hermetic(tmp_path), tmp_path / "hub.git"
            git("init", "--quiet", "--bare", bare, environ=environ)
            place = Place(bare.as_uri(), bare)
        else:
            root = tmp_path / "server"
            root.mkdir()
            server = stack.enter_context(SERVERS[request.param](root))
            environ, place = server.environ, server.fresh()
        team = Team(tmp_path, place.url, environ, None)
        stack.callback(team.close)
        yield team, place, environ


def test_a_crowd_loses_nothing_at_a_git_remote(crowded, request):
    """4 clients that push 3 times each; 16 that push 50 times with ARTVC_FAULTS=full."""
    team, place, environ = crowded
    first = team.new("first")
    first.commit("a")
    first.push()
    crowd = [team.clone(f"clone{number}") for number in range(CLIENTS)]

    def work(clone: Clone) -> list[float]:
        took = []
        for number in range(PUSHES):
            clone.commit(f"{clone.root.name} {number}")
            start = time.monotonic()
            clone.push()
            took.append(time.monotonic() - start)
        return took

    start = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        took = list(pool.map(work, crowd))
    if FULL:
        parts = (slice(PUSHES // 2), slice(PUSHES // 2, None))
        halves = [sorted(one for each in took for one in each[part]) for part in parts]
        shown = ", ".join(f"{half[len(half) // 2]:.2f} s" for half in halves)
        print(f"\n{request.node.name}: {time.monotonic() - start:.0f} s, median push of each half {shown}")
    everyone_agrees(team, first, *crowd)
    expected = {"a", *(f"clone{one} {number}" for one in range(CLIENTS) for number in range(PUSHES))}
    assert set(first.texts().values()) == expected and len(first.texts()) == len(expected)
    git("fsck", "--full", "--strict", environ=environ, cwd=place.path)
