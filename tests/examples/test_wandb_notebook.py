"""The five steps of W&B's notebook with ``import artvc as wandb``: what they leave behind."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import artvc

PIPELINE = Path(__file__).parents[2] / "examples" / "wandb_notebook" / "pipeline.py"
STEPS = ["load-data", "preprocess-data", "initialize", "train", "report"]


def run_in(folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "home").mkdir(exist_ok=True)
    (folder / "work").mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(PIPELINE), "--sample", "--epochs=1"],
        cwd=folder / "work",
        env=kept
        | {
            "HOME": str(folder / "home"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(example: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the five steps ran."""
    example("torch")  # skips where it is missing
    found = tmp_path_factory.mktemp("notebook")
    done = run_in(found)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    return found


@pytest.fixture
def runs(folder: Path) -> "dict[str, artvc.sdk.logged_run.LoggedRun]":
    """The runs by job type."""
    return {run.job_type: run for run in artvc.Api(path=folder / "work").runs("artifacts-example")}


pytestmark = pytest.mark.torch


def test_five_runs_four_artifacts_nine_edges(folder, runs):
    assert list(runs) == STEPS
    artifacts = artvc.Api(path=folder / "work").artifact_collections("artifacts-example")
    assert [one.name for one in artifacts] == ["convnet", "mnist-preprocess", "mnist-raw", "trained-model"]
    edges = [(run.job_type, label) for run in runs.values() for label in run.inputs]
    made = [(label, run.job_type) for run in runs.values() for label in run.outputs]
    assert edges == [
        ("preprocess-data", "mnist-raw:v0"),
        ("train", "mnist-preprocess:v0"),
        ("train", "convnet:v0"),
        ("report", "mnist-preprocess:v0"),
        ("report", "trained-model:v0"),
    ]
    assert made == [
        ("mnist-raw:v0", "load-data"),
        ("mnist-preprocess:v0", "preprocess-data"),
        ("convnet:v0", "initialize"),
        ("trained-model:v0", "train"),
    ]


def test_the_trained_config_has_that_of_the_model(runs):
    assert runs["train"].config["epochs"] == 1
    assert runs["train"].config["channels"] == [32, 64]
    assert runs["report"].config == {}


def test_metrics_follow_the_examples_seen(runs):
    steps = [row["_step"] for row in runs["train"].scan_history(keys=["train/loss", "_step"])]
    assert steps == sorted(steps)
    assert steps[0] == 128
    (row,) = runs["train"].scan_history(keys=["validation/accuracy"])
    assert 50 < row["validation/accuracy"] <= 100


def test_the_summary_holds_numbers_of_tensors(runs):
    summary = runs["report"].summary
    assert type(summary["loss"]) is float
    assert 50 < summary["accuracy"] <= 100


def test_images_of_four_axes_are_logged_with_captions(runs):
    record = runs["report"].summary["high-loss-examples"]
    assert (record["count"], record["width"], record["height"]) == (32, 28, 28)
    assert len([file for file in runs["report"].files() if file.name.endswith(".png")]) <= 32
    assert all("," in caption for caption in record["captions"])


def test_a_saved_file_is_stored_once_with_that_of_the_artifact(runs):
    saved = runs["initialize"].file("initialized_model.pth")
    (artifact,) = runs["initialize"].logged_artifacts()
    assert artifact.get_entry("initialized_model.pth").digest == saved.digest


def test_the_same_steps_again_make_no_new_version(folder):
    assert run_in(folder).returncode == 0
    api = artvc.Api(path=folder / "work")
    assert len(api.runs("artifacts-example")) == 10
    for name in ("mnist-raw", "mnist-preprocess", "convnet", "trained-model"):
        kind = "dataset" if name.startswith("mnist") else "model"
        assert len(api.artifacts(kind, f"artifacts-example/{name}")) == 1
