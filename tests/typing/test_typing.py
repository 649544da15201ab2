"""What editors and type checkers see of artvc."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import artvc

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_name("api.py")


def test_mypy_accepts_the_public_surface():
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--follow-imports=silent", str(SURFACE)],
        cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is not installed: pip install 'pyright[nodejs]'"
)
def test_pyright_accepts_the_public_surface_and_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--project", str(ROOT), "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert not found["generalDiagnostics"], json.dumps(found["generalDiagnostics"], indent=1)
    assert found["summary"]["filesAnalyzed"] == 2  # as [tool.pyright] says


def test_every_public_name_is_used_in_the_surface_that_is_checked():
    text = SURFACE.read_text()
    unused = {name for name in artvc.__all__ if not name.startswith("__") and f"wandb.{name}" not in text}
    assert unused <= {"log_artifact", "summary", "use_artifact"}


def test_the_wheel_says_that_it_is_typed(tmp_path):
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (wheel,) = builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    assert {"artvc/py.typed", "artvc/shim_path/wandb.py", "artvc/docs/format.md"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]
