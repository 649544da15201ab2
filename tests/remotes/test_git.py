"""Git repositories on servers as remotes."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from artvc.remotes.address import Surroundings, open_remote, parse
from artvc.remotes.git.remote import GitRemote
from artvc.store.fsio import Disk
from tests.remotes import git_servers
from tests.remotes.conformance import Conformance
from tests.remotes.git_servers import GitServer


def client(url: str, tmp_path: Path, environ: Mapping[str, str]) -> GitRemote:
    """A new client of a repository."""
    surroundings = Surroundings(disk=Disk(sync=False), scratch=tmp_path / "scratch", environ=environ)
    remote = open_remote(parse(url, base=tmp_path), surroundings)
    assert isinstance(remote, GitRemote)
    return remote


@contextlib.contextmanager
def clients(server: GitServer, tmp_path: Path, *settings: str) -> Iterator:
    """A callable that gives clients of one new repository, which is clean in the end."""
    place = server.fresh(*settings)
    made: list[GitRemote] = []

    def one() -> GitRemote:
        made.append(client(place.url, tmp_path, server.environ))
        return made[-1]

    yield one
    for each in made:
        each.close()
    git_servers.git("fsck", "--strict", "--no-dangling", environ=server.environ, cwd=place.path)
    assert not os.listdir(tmp_path / "scratch") if (tmp_path / "scratch").exists() else True


SERVERS = {
    "daemon": git_servers.daemon,
    "http": git_servers.http,
    "ssh": git_servers.ssh,
    "gitolite": git_servers.gitolite,
    "jgit": git_servers.jgit,
    "go_git": git_servers.go_git,
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator:
    """A callable that gives a server by its name, started when it is needed first."""
    with contextlib.ExitStack() as stack:
        running: dict[str, GitServer] = {}

        def get(name: str) -> GitServer:
            if name not in running:
                running[name] = stack.enter_context(SERVERS[name](tmp_path_factory.mktemp(name)))
            return running[name]

        yield get


class TestConformance(Conformance):
    @pytest.fixture(params=SERVERS)
    def place(self, request: pytest.FixtureRequest, servers, tmp_path: Path):
        with clients(servers(request.param), tmp_path) as made:
            yield made
