"""artvc.integrations.lightning with the real Lightning."""

import pickle

import pytest

import artvc
from artvc.errors import InvalidInput
from artvc.sdk import workspace

torch = pytest.importorskip("torch", reason="torch is not installed")
try:
    import lightning.pytorch as lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    from artvc.integrations import lightning as logger
except ImportError:
    pytest.skip("lightning is not installed: pip install lightning", allow_module_level=True)

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def closed(desk):
    yield
    artvc.finish()
    workspace.close_all()
    workspace.forget_all()


class Line(lightning.LightningModule):
    """Fits a line to a line."""

    def __init__(self, lr=0.1, width=1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, width)

    def step(self, name, batch):
        (x,) = batch
        loss = (self.layer(x) - 2 * x).pow(2).mean()
        self.log(name, loss)
        return loss

    def training_step(self, batch, _):
        return self.step("train/loss", batch)

    def validation_step(self, batch, _):
        return self.step("val/loss", batch)

    def test_step(self, batch, _):
        return self.step("test/loss", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


def data():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 1)), batch_size=8)


def fit(made, callbacks=(), epochs=3, **more):
    trainer = lightning.Trainer(
        max_epochs=epochs, logger=made, callbacks=list(callbacks), accelerator="cpu", log_every_n_steps=2,
        enable_progress_bar=False, enable_model_summary=False, **more,
    )  # fmt: skip
    trainer.fit(Line(), data(), data())
    return trainer


def test_metrics_hyperparameters_and_steps_are_logged():
    made = logger.ArtvcLogger(project="p", name="first", tags=["t"])
    trainer = fit(made)
    trainer.test(Line(), data(), verbose=False)
    artvc.finish()
    run = artvc.Api().run(f"p/{made.version}")
    assert (run.name, run.tags, made.name, made.save_dir) == ("first", ["t"], "p", None)
    assert (run.config["lr"], run.config["width"]) == (0.1, 1)
    rows = list(run.scan_history(keys=["train/loss", "trainer/global_step"]))
    assert [row["trainer/global_step"] for row in rows] == [1, 3, 5, 7, 9, 11]
    assert len(list(run.scan_history(keys=["val/loss"]))) == 3
    assert "test/loss" in run.summary


def test_log_model_logs_the_checkpoints_that_are_left_at_the_end(desk):
    made = logger.ArtvcLogger(project="p", log_model=True)
    fit(made, [ModelCheckpoint(dirpath=desk / "out", monitor="val/loss", save_top_k=1)])
    artifact = artvc.Api().artifact(f"p/model-{made.version}:best")
    assert (artifact.version, artifact.type, list(artifact.manifest)) == ("v0", "model", ["model.ckpt"])
    assert artifact.metadata["ModelCheckpoint"]["monitor"] == "val/loss"
    assert artifact.metadata["score"] == pytest.approx(artvc.run.summary["val/loss"], abs=10)
    state = torch.load(f"{artifact.download()}/model.ckpt", weights_only=False)
    assert "layer.weight" in state["state_dict"]


def test_log_model_all_logs_each_checkpoint_and_best_moves(desk):
    made = logger.ArtvcLogger(project="p", log_model="all", checkpoint_name="line")
    fit(made, [ModelCheckpoint(dirpath=desk / "out", monitor="val/loss", save_top_k=-1)])
    versions = artvc.Api().artifacts("model", "p/line", order="+version_index")
    assert [one.version for one in versions] == ["v0", "v1", "v2"]
    assert "best" in [alias for one in versions for alias in one.aliases]


def test_log_model_false_logs_none(desk):
    made = logger.ArtvcLogger(project="p")
    fit(made, [ModelCheckpoint(dirpath=desk / "out")], epochs=1)
    artvc.finish()
    assert len(artvc.Api().artifact_collections("p")) == 0


def test_a_failed_training_logs_no_checkpoint(desk):
    made = logger.ArtvcLogger(project="p", log_model=True)
    made._callbacks[0] = ModelCheckpoint(dirpath=desk)
    made.experiment.log({"a": 1})
    made.finalize("failed")
    assert artvc.run.project == "p"
    assert made._logged == {}


def test_the_current_run_is_used_and_not_finished():
    with artvc.init(project="own") as run:
        made = logger.ArtvcLogger(project="p", prefix="x")
        made.log_metrics({"a": 1})
        assert made.experiment is run
        assert run.summary["x-a"] == 1
        made.finalize("success")
        assert artvc.run is run


def test_a_given_run_is_used():
    with artvc.init(project="own") as run:
        assert logger.ArtvcLogger(experiment=run).version == run.id


def test_a_pickled_logger_goes_on_with_the_run():
    made = logger.ArtvcLogger(project="p")
    made.log_metrics({"a": 1})
    again = pickle.loads(pickle.dumps(made))
    assert again.version == made.version
    artvc.finish()
    again.log_metrics({"b": 2})
    assert again.experiment.id == made.version
    assert again.experiment.resumed


def test_log_image_takes_captions(desk):
    made = logger.ArtvcLogger(project="p")
    made.log_image("digits", [torch.zeros(4, 4), torch.ones(4, 4)], caption=["a", "b"], step=3)
    assert artvc.run.summary["digits"]["count"] == 2
    with pytest.raises(InvalidInput, match="2 pictures"):
        made.log_image("digits", [torch.zeros(4, 4)] * 2, caption=["a"])
    with pytest.raises(InvalidInput, match="a list"):
        made.log_image("digits", "a.png")


def test_use_and_download_artifact(desk):
    (desk / "a.txt").write_text("a")
    with artvc.init(project="p") as run:
        run.log_artifact("a.txt", name="data", type="dataset")
    made = logger.ArtvcLogger(project="p")
    assert made.use_artifact("data", "dataset").version == "v0"
    assert logger.ArtvcLogger.download_artifact("data") == str(desk / "artifacts/data:v0")
    artvc.finish()
    assert logger.ArtvcLogger.download_artifact("p/data", desk / "here") == str(desk / "here")


def test_an_unknown_log_model_is_invalid():
    with pytest.raises(InvalidInput, match="log_model"):
        logger.ArtvcLogger(log_model="some")


UNCHANGED = """
import warnings; warnings.filterwarnings("ignore")
import torch, lightning.pytorch as pl
from lightning.pytorch.loggers import WandbLogger

class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"lr": 0.1})
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, _):
        loss = (self.layer(batch[0]) - 1).pow(2).mean()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

logger = WandbLogger(project="p", name="theirs", log_model=True)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 1)), batch_size=2)
trainer = pl.Trainer(max_epochs=1, logger=logger, accelerator="cpu", log_every_n_steps=1,
                     enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Line(), data)
"""


def test_lightnings_own_wandb_logger_works_under_the_shim(desk, python, fitting):
    (desk / "theirs.py").write_text(UNCHANGED)
    done = python("-m", "artvc.shim", "theirs.py", **fitting)
    assert done.returncode == 0, done.stderr
    (run,) = artvc.Api(path=desk).runs("p")
    assert (run.name, run.state, run.config) == ("theirs", "finished", {"lr": 0.1})
    assert len(list(run.scan_history(keys=["loss"]))) == 4
    assert [one.type for one in run.logged_artifacts()] == ["model"]
