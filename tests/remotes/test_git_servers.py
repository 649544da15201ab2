"""The servers that git remotes are tested against work with git itself."""

import subprocess
from pathlib import Path

import pytest

from tests.remotes import git_servers
from tests.remotes.git_servers import SERVERS, GitServer, Place, git

pytestmark = pytest.mark.slow


def _commit(root: Path, server: GitServer, text: str) -> str:
    """A commit of one file in a new repository; its id."""
    if not root.exists():
        git("init", "--quiet", "--initial-branch=main", root, environ=server.environ)
    (root / "file").write_text(text)
    git("add", "file", environ=server.environ, cwd=root)
    git("commit", "--quiet", "-m", text[:20], environ=server.environ, cwd=root)
    return git("rev-parse", "HEAD", environ=server.environ, cwd=root).strip()


def _refs(place: Place, environ: dict[str, str]) -> dict[str, str]:
    lines = (line.split("\t") for line in git("ls-remote", place.url, environ=environ).splitlines())
    return {name: value for value, name in lines}


@pytest.mark.parametrize("kind", SERVERS)
def test_git_pushes_lists_and_clones(kind, tmp_path):
    root = tmp_path / "server"
    root.mkdir()
    with SERVERS[kind](root) as server:
        place, other = server.fresh("receive.maxInputSize=100000000"), server.fresh()
        assert _refs(place, server.environ) == {}
        made = _commit(tmp_path / "work", server, "text " * 1000)
        refs = ["main:refs/heads/main", "main:refs/artvc/packs/ab/cdef"]
        git("push", "--quiet", place.url, *refs, environ=server.environ, cwd=tmp_path / "work")
        found = _refs(place, server.environ)
        assert found["refs/heads/main"] == found["refs/artvc/packs/ab/cdef"] == made
        assert _refs(other, server.environ) == {}
        git("clone", "--quiet", "--branch=main", place.url, tmp_path / "copy", environ=server.environ)
        assert (tmp_path / "copy" / "file").read_text() == "text " * 1000
        assert git("rev-parse", "refs/heads/main", environ=server.environ, cwd=place.path).strip() == made
        git("fsck", "--strict", environ=server.environ, cwd=place.path)
        port = place.url.split(":")[2].split("/")[0]
    with pytest.raises(RuntimeError):
        git("ls-remote", place.url, environ=server.environ)
    listening = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True).stdout
    assert str(root) not in listening and f"--port={port}" not in listening


def test_a_private_server_wants_the_password(tmp_path):
    root = tmp_path / "server"
    root.mkdir()
    with git_servers.http(root, private=True) as server:
        place = server.fresh()
        with pytest.raises(RuntimeError, match="could not read Username|Authentication failed"):
            git("ls-remote", place.url, environ=server.environ)
        with pytest.raises(RuntimeError, match="Authentication failed"):
            git("ls-remote", place.url, environ=git_servers.with_credentials(server.environ, password="wrong"))
        allowed = git_servers.with_credentials(server.environ)
        made = _commit(tmp_path / "work", server, "text")
        git("push", "--quiet", place.url, "main", environ=allowed, cwd=tmp_path / "work")
        assert _refs(place, allowed)["refs/heads/main"] == made
