"""The command as a user runs it, in a directory and a home of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Shell:
    """Runs ``artvc`` in a process of its own; stdout and stderr apart."""

    def __init__(self, cwd: Path, home: Path) -> None:
        self.cwd = cwd
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),  # of several checkouts, the one that these tests belong to
            "ARTVC_FSYNC": "0",
            "ARTVC_AUTHOR_NAME": "Ada",
            "ARTVC_AUTHOR_EMAIL": "ada@example.com",
        }

    def run(self, *argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "artvc", *argv]
        return subprocess.run(
            command, cwd=self.cwd, env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=60
        )

    def __call__(self, *argv: str) -> str:
        done = self.run(*argv)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def json(self, *argv: str):
        return json.loads(self(*argv, "--json"))

    def fails(self, code: int, *argv: str) -> str:
        done = self.run(*argv)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.rstrip("\n")

    def write(self, name: str, data: str) -> None:
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    return Shell(work, home)


@pytest.fixture
def filled(shell: Shell) -> Shell:
    shell("init")
    shell.write("data/a.txt", "hello\n")
    shell.write("data/sub/b.txt", "world\n")
    shell.write("model.pt", "weights")
    shell("commit", "data", "-n", "mnist-raw", "-t", "dataset", "-m", "first")
    shell("commit", "model.pt", "-n", "net", "-t", "model", "-m", "train", "--input", "mnist-raw", "-a", "best")
    return shell
