"""Scripts in processes of their own, in an empty directory and home; and libraries that import torchvision."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISFIT = Path(__file__).with_name("misfit")

if importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision"):
    # A torchvision from another index than torch's can't be imported as it is, and Lightning and transformers do import it.
    found = importlib.util.spec_from_file_location("misfit", MISFIT / "sitecustomize.py")
    found.loader.exec_module(importlib.util.module_from_spec(found))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test."""
    work, home = tmp_path / "work", tmp_path / "home"
    for folder in (work, home):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ARTVC_FSYNC", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def python(desk: Path) -> Run:
    """Run Python with some arguments; text in the name of a file makes it a script there."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=desk,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def fitting() -> dict[str, str]:
    """The environment of a process that imports Lightning or transformers."""
    return {"PYTHONPATH": os.pathsep.join([str(MISFIT), str(ROOT)])}
