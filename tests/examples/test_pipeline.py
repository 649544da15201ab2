"""The five steps with the committed sample, as a user runs them, and what artvc shows then."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist"
FILES = {
    "mnist-raw:latest": {"training.pt", "validation.pt", "test.pt"},
    "mnist-preprocess:latest": {"training.pt", "validation.pt", "test.pt"},
    "convnet:latest": {"initialized_model.pth"},
    "trained-model:best": {"trained_model.pth"},
    "trained-model:latest": {"trained_model.pth"},
}


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder, and an environment that leads nowhere else."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def step(self, program: str, *arguments: str) -> str:
        done = self.run(str(EXAMPLE / program), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def artvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = Path(sys.executable).with_name("artvc")
        return self.run(*([str(script)] if script.is_file() else ["-m", "artvc"]), *arguments)


def workplace_at(folder: Path) -> Workplace:
    """One torch thread: faster beside other tests, and the same bits on any number of cores."""
    home = folder / "home"
    work = folder / "work"
    home.mkdir()
    work.mkdir()
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return Workplace(
        work,
        inherited
        | {
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # the artvc under test
            "TMPDIR": str(folder),
        },
    )


@pytest.fixture(scope="module")
def finished(example: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace in which the pipeline ran once."""
    example("torch")  # skips where it is missing
    workplace = workplace_at(tmp_path_factory.mktemp("pipeline"))
    printed = workplace.step("pipeline.py", "--sample", "--epochs=1")
    assert "sample" in printed
    return workplace


@pytest.mark.parametrize("reference", FILES)
def test_each_artifact_lists_its_files(finished: Workplace, reference: str) -> None:
    listed = finished.artvc("ls", reference)
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in FILES[reference])


def test_the_log_names_all_five_runs(finished: Workplace) -> None:
    logged = finished.artvc("log", "--json")
    assert logged.returncode == 0, logged.stderr
    lines = logged.stdout.splitlines()
    try:
        json.loads(logged.stdout)
    except json.JSONDecodeError:  # then it is one document a line
        assert all(json.loads(line) for line in lines)
    for job_type in ("load-data", "preprocess-data", "initialize", "train", "report"):
        assert f'"{job_type}"' in logged.stdout


def test_the_steps_run_alone_and_the_same_run_again_makes_no_new_version(
    finished: Workplace,
) -> None:
    finished.step("load_data.py", "--sample")
    finished.step("preprocess_data.py")
    finished.step("initialize.py")
    finished.step("train.py", "--epochs=1")
    finished.step("report.py")
    for name in ("mnist-raw", "mnist-preprocess", "convnet", "trained-model"):
        assert finished.artvc("ls", f"{name}:v0").returncode == 0
        assert finished.artvc("ls", f"{name}:v1").returncode != 0


def test_a_later_epoch_is_a_new_version_and_the_first_one_stays(finished: Workplace) -> None:
    finished.step("train.py", "--epochs=2")
    for version in ("v0", "v1"):
        assert finished.artvc("ls", f"trained-model:{version}").returncode == 0


def test_an_absent_folder_is_one_line_and_no_traceback(finished: Workplace) -> None:
    done = finished.run(str(EXAMPLE / "load_data.py"), "--data-dir", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("load-data: nowhere doesn't hold MNIST")
    assert len(done.stderr.splitlines()) == 1
