"""The checkers that keep the house in order run as tests: ruff, mypy, import-linter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "artvc", "tests", "examples"],
        ["-m", "ruff", "format", "--check", "artvc", "tests", "examples"],
        ["-m", "mypy"],
        ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
    ],
    ids=["ruff", "format", "mypy", "import-linter"],
)
def test_checker(command):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
