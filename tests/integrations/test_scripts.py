"""Scripts written for W&B, run as they are by ``python -m artvc.shim``."""

from pathlib import Path

import pytest

import artvc

pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.torch
SCRIPTS = Path(__file__).parent / "scripts"
MNIST = Path(__file__).parents[1] / "data" / "mnist"


def test_basic_mnist(desk, python):
    done = python("-m", "artvc.shim", str(SCRIPTS / "mnist_basic.py"), "--data", str(MNIST), "--epochs", "1")
    assert done.returncode == 0, done.stderr
    (run,) = artvc.Api(path=desk).runs("pytorch-mnist")
    assert done.stdout.split() == [run.name, run.id]
    assert (run.state, run.tags, run.config["lr"], run.config["train_size"]) == ("finished", ["baseline"], 0.1, 1000)
    losses = [row["Train Loss"] for row in run.scan_history(keys=["Train Loss"])]
    assert len(losses) == 2
    assert all(type(one) is float for one in losses)
    assert 10 < run.summary["Test Accuracy"] <= 100
    assert run.summary["Examples"]["count"] == 4
    assert "mnist_cnn.pt" in [file.name for file in run.files()]


def test_a_fine_tuning_loop_that_is_cut_off_and_resumed(desk, python):
    first = python("-m", "artvc.shim", str(SCRIPTS / "finetune.py"), "1")
    assert first.returncode == 1
    assert "RuntimeError: out of time" in first.stderr
    api = artvc.Api(path=desk)
    assert api.run("finetune/tune-1").state == "crashed"
    second = python("-m", "artvc.shim", str(SCRIPTS / "finetune.py"))
    assert second.returncode == 0, second.stderr
    run = api.run("finetune/tune-1")
    assert run.state == "finished"
    assert [row["_step"] for row in run.scan_history()] == list(range(40))
    assert {row["epoch"] for row in run.scan_history()} == {0, 1, 2, 3}
    versions = api.artifacts("model", "finetune/checkpoint-tune-1", order="+version_index")
    assert [one.metadata["epoch"] for one in versions] == [0, 1, 2, 3]
    assert api.artifact("finetune/checkpoint-tune-1:best").metadata["loss"] <= versions[0].metadata["loss"]
    assert set(run.inputs) == {"base:v0", "checkpoint-tune-1:v1"}
    assert len(api.artifacts("model", "finetune/base")) == 1
