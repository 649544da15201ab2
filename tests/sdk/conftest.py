"""Every test in a directory and a home of its own, without artvc's or W&B's variables, and with no run left open."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import artvc
from artvc import history
from artvc.history import LogEntry
from artvc.model import merkle
from artvc.model.objects import Commit
from artvc.repo import Repository
from artvc.sdk import current, workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a test, which becomes the repository's root."""
    for name in list(os.environ):
        if name.startswith(("ARTVC_", "WANDB_", "GIT_")):
            monkeypatch.delenv(name)
    work = tmp_path / "work"
    home = tmp_path / "home"
    for directory in (work, home):
        directory.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ARTVC_FSYNC", "0")
    monkeypatch.setenv("ARTVC_AUTHOR_NAME", "Ada")
    monkeypatch.setenv("ARTVC_AUTHOR_EMAIL", "ada@example.com")
    monkeypatch.chdir(work)
    yield work
    artvc.finish()
    workspace.close_all()
    workspace.forget_all()
    assert current.current_run() is None


@pytest.fixture
def repo(desk: Path) -> Iterator[artvc.Repo]:
    """The test's repository, opened apart from what the run has open."""
    with artvc.Repo.init(desk) as opened:
        yield opened


Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(desk: Path) -> Script:
    """Run Python code in a process of its own."""

    def run(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            cwd=desk,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def entries() -> Callable[[], list[LogEntry]]:
    """The log of the repository here, newest first."""

    def read() -> list[LogEntry]:
        with Repository.open(Path.cwd()) as repo:
            return list(history.log(repo))

    return read


@pytest.fixture
def last(entries: Callable[[], list[LogEntry]]) -> Callable[[], Commit]:
    """The newest run commit."""
    return lambda: entries()[0].commit


@pytest.fixture
def run_files() -> Callable[[], dict[str, bytes]]:
    """The files of the newest run by path."""

    def read() -> dict[str, bytes]:
        with Repository.open(Path.cwd()) as repo:
            tree = next(history.log(repo)).commit.files
            if tree is None:
                return {}
            return {path: b"".join(repo.read(entry)) for path, entry in merkle.walk(tree, repo.objects.get)}

    return read


@pytest.fixture
def rows(run_files: Callable[[], dict[str, bytes]]) -> Callable[[], list[dict[str, object]]]:
    """The history of the newest run."""
    return lambda: [json.loads(line) for line in run_files()["history.jsonl"].splitlines()]


@pytest.fixture
def logged(rows: Callable[[], list[dict[str, object]]]) -> Callable[[], list[dict[str, object]]]:
    """The same without times."""
    times = {"_timestamp", "_runtime"}
    return lambda: [{key: value for key, value in row.items() if key not in times} for row in rows()]
