"""artvc.integrations.huggingface with the real Trainer and a tiny random model, without a network."""

import textwrap

import pytest

import artvc
from artvc.errors import InvalidInput
from artvc.sdk import workspace

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install accelerate")
callback = pytest.importorskip("artvc.integrations.huggingface")

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def closed(desk, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    artvc.finish()
    workspace.close_all()
    workspace.forget_all()


def tiny():
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16, n_positions=8)
    return transformers.GPT2LMHeadModel(config)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, place):
        ids = torch.arange(8) % 16
        return {"input_ids": ids, "labels": ids}


def trainer(made, desk, model=None, **more):
    options = {"max_steps": 4, "logging_steps": 2, "per_device_train_batch_size": 2, "use_cpu": True, **more}
    arguments = transformers.TrainingArguments(
        output_dir=str(desk / "out"), report_to=[], disable_tqdm=True, save_strategy=options.pop("save_strategy", "no"),
        **options,
    )  # fmt: skip
    return transformers.Trainer(model or tiny(), arguments, train_dataset=Rows(), eval_dataset=Rows(), callbacks=[made])


def test_metrics_arguments_and_summary_are_logged(desk):
    made = callback.ArtvcCallback(project="p", name="first", tags=["t"])
    done = trainer(made, desk)
    done.train()
    done.evaluate()
    done.predict(Rows())
    run_id = artvc.run.id
    artvc.finish()
    run = artvc.Api().run(f"p/{run_id}")
    assert (run.name, run.tags) == ("first", ["t"])
    rows = list(run.scan_history(keys=["train/loss", "train/global_step"]))
    assert [row["train/global_step"] for row in rows] == [2, 4]
    assert len(list(run.scan_history(keys=["eval/loss"]))) == 1
    assert len(list(run.scan_history(keys=["test/loss"]))) == 1
    assert {"train_runtime", "train_loss", "total_flos"} <= run.summary.keys()
    assert (run.config["max_steps"], run.config["n_embd"]) == (4, 8)
    assert run.config["model/num_parameters"] == tiny().num_parameters()


def test_log_model_end_logs_the_model_and_it_can_be_loaded(desk):
    made = callback.ArtvcCallback(project="p", log_model="end")
    done = trainer(made, desk)
    done.train()
    artifact = artvc.Api().artifact(f"p/model-{artvc.run.id}:final_model")
    assert {"config.json", "model.safetensors"} <= set(artifact.manifest)
    assert artifact.metadata["final_model"] is True
    loaded = transformers.GPT2LMHeadModel.from_pretrained(artifact.download())
    for name, tensor in done.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_log_model_checkpoint_logs_each_checkpoint_with_its_aliases(desk):
    made = callback.ArtvcCallback(project="p", log_model="checkpoint")
    trainer(made, desk, save_strategy="steps", save_steps=2).train()
    api = artvc.Api()
    name = f"p/model-{artvc.run.id}"
    for step in (2, 4):
        assert "trainer_state.json" in api.artifact(f"{name}:checkpoint_global_step_{step}").manifest
    assert api.artifact(f"{name}:epoch_1.0").version == "v1"
    assert api.artifact(f"{name}:final_model").version == "v2"


def test_a_model_that_transformers_does_not_know_is_logged_by_its_state(desk):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(8, 1)

        def forward(self, input_ids, labels):
            return {"loss": self.layer(input_ids.float()).mean()}

    made = callback.ArtvcCallback(project="p", log_model=True)
    trainer(made, desk, Plain()).train()
    artifact = artvc.Api().artifact(f"p/model-{artvc.run.id}")
    assert list(artifact.manifest) == ["pytorch_model.bin"]
    assert set(torch.load(artifact.file(), weights_only=True)) == {"layer.weight", "layer.bias"}


def test_the_current_run_is_used_and_not_finished(desk):
    with artvc.init(project="own") as run:
        trainer(callback.ArtvcCallback(project="p"), desk).train()
        assert artvc.run is run
        assert run.summary["train_loss"] > 0


def test_other_processes_than_the_first_log_nothing(desk):
    state = transformers.TrainerState()
    state.is_world_process_zero = False
    made = callback.ArtvcCallback(project="p")
    made.on_log(None, state, None, logs={"loss": 1})
    assert artvc.run is None


def test_log_model_comes_from_the_environment_and_is_checked(monkeypatch):
    monkeypatch.setenv("WANDB_LOG_MODEL", "Checkpoint")
    assert callback.ArtvcCallback()._log_model == "checkpoint"
    with pytest.raises(InvalidInput, match="log_model"):
        callback.ArtvcCallback(log_model="always")


UNCHANGED = """
import torch, transformers, wandb

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, place):
        ids = torch.arange(8) % 16
        return {"input_ids": ids, "labels": ids}

config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=16, n_positions=8)
arguments = transformers.TrainingArguments(output_dir="out", report_to="wandb", run_name="theirs", max_steps=4,
    logging_steps=2, per_device_train_batch_size=2, use_cpu=True, save_strategy="no", disable_tqdm=True)
trainer = transformers.Trainer(transformers.GPT2LMHeadModel(config), arguments, train_dataset=Rows())
trainer.train()
wandb.finish()
"""


def test_report_to_wandb_works_under_the_shim(desk, python, fitting):
    (desk / "theirs.py").write_text(textwrap.dedent(UNCHANGED))
    done = python("-m", "artvc.shim", "theirs.py", WANDB_PROJECT="p", WANDB_LOG_MODEL="end", **fitting)
    assert done.returncode == 0, done.stderr
    (run,) = artvc.Api(path=desk).runs("p")
    assert (run.name, run.state) == ("theirs", "finished")
    assert [row["train/global_step"] for row in run.scan_history(keys=["train/loss", "train/global_step"])] == [2, 4]
    assert run.config["n_embd"] == 8
    assert run.summary["train_loss"] > 0
    assert "model.safetensors" in artvc.Api(path=desk).artifact("p/model-theirs:final_model").manifest
