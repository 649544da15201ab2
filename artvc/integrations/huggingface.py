"""A callback for the Trainer of Hugging Face's transformers::

    from artvc.integrations.huggingface import ArtvcCallback

    Trainer(model, args, callbacks=[ArtvcCallback(project="glue", log_model="end")])

What it logs is what transformers' own callback for W&B logs, under the same names.  A script with
``report_to="wandb"`` needs no change under ``python -m artvc.shim``.
"""

import numbers
import os
import tempfile
from typing import Any, Final

import torch
from transformers import TrainerCallback

from artvc.errors import InvalidInput
from artvc.sdk import current, environment
from artvc.sdk.artifact import Artifact
from artvc.sdk.run import Run

STEP: Final = "train/global_step"
# Known once, at the end: they go into the summary.
_ONCE: Final = frozenset(
    {"total_flos", "train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
)
_CHOICES: Final = {False: "false", True: "end", "false": "false", "end": "end", "checkpoint": "checkpoint"}


class ArtvcCallback(TrainerCallback):
    """Logs metrics, arguments and models of a Trainer to a run.

    The run is the current one, or is begun when training begins; it is finished by ``artvc.finish()`` or at the exit
    of the process, so that ``trainer.evaluate()`` may follow ``trainer.train()``.

    Args:
        project: ``huggingface`` if not given, and not in the environment.
        log_model: "end" (or True) logs the model when training ends, "checkpoint" each checkpoint, too, "false"
            none; ``ARTVC_LOG_MODEL`` or ``WANDB_LOG_MODEL`` if not given.
        more: for :func:`artvc.init`.

    Raises:
        InvalidInput: no such ``log_model``.
    """

    def __init__(self, project: str | None = None, log_model: bool | str | None = None, **more: Any) -> None:
        wanted = log_model if log_model is not None else (environment.variable("LOG_MODEL") or "false").lower()
        if wanted not in _CHOICES:
            raise InvalidInput(f"unknown log_model {wanted!r}", hint="use 'end', 'checkpoint' or 'false'")
        self._log_model = _CHOICES[wanted]
        self._init: dict[str, Any] = {
            "project": project or environment.variable("PROJECT") or "huggingface",
            **more,
        }
        self._run: Run | None = None

    def setup(self, args: Any, state: Any, model: Any) -> Run | None:
        """The run, begun if there is none; None on other processes than the first."""
        if not state.is_world_process_zero:
            return None
        if self._run is None or self._run.state != "running":
            named = {"name": args.run_name} if getattr(args, "run_name", None) else {}
            self._run = current.current_run() or current.init(**{**named, **self._init})
            self._run.config.update({**_config_of(model), **args.to_dict()}, allow_val_change=True)
            if hasattr(model, "num_parameters"):
                self._run.config.update({"model/num_parameters": model.num_parameters()}, allow_val_change=True)
        return self._run

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        """Begin the run."""
        self.setup(args, state, model)

    def on_log(
        self, args: Any, state: Any, control: Any, model: Any = None, logs: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Log a row; what is known once goes into the summary."""
        run = self.setup(args, state, model)
        if run is not None and logs:
            row = {key: value for key, value in logs.items() if key not in _ONCE}
            if row:
                run.log({**_renamed(row), STEP: state.global_step})
            run.summary.update({key: value for key, value in logs.items() if key in _ONCE})

    def on_predict(self, args: Any, state: Any, control: Any, metrics: dict[str, Any], **more: Any) -> None:
        """Log the metrics of a prediction."""
        run = self.setup(args, state, more.get("model"))
        if run is not None:
            run.log(_renamed(metrics))

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Log a checkpoint as a version of the model."""
        run = self.setup(args, state, more.get("model")) if self._log_model == "checkpoint" else None
        folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
        if run is not None and os.path.isdir(folder):
            artifact = Artifact(f"model-{run.id}", "model", metadata=_numbers_of(run))
            artifact.add_dir(folder)
            aliases = [f"checkpoint_global_step_{state.global_step}"]
            if state.epoch is not None:
                aliases.append(f"epoch_{round(state.epoch, 2)}")
            run.log_artifact(artifact, aliases=aliases)

    def on_train_end(
        self, args: Any, state: Any, control: Any, model: Any = None, processing_class: Any = None, **more: Any
    ) -> None:
        """Log the model as it is in the end (the best one where the Trainer loads that)."""
        run = self.setup(args, state, model) if self._log_model != "false" else None
        if run is None or model is None:
            return
        artifact = Artifact(f"model-{run.id}", "model", metadata={**_numbers_of(run), "final_model": True})
        with tempfile.TemporaryDirectory(prefix="artvc-model-") as folder:
            if hasattr(model, "save_pretrained"):
                model.save_pretrained(folder)
                if hasattr(processing_class, "save_pretrained"):
                    processing_class.save_pretrained(folder)
                artifact.add_dir(folder)
            else:
                with artifact.new_file("pytorch_model.bin", "wb") as file:
                    torch.save(model.state_dict(), file)
        run.log_artifact(artifact, aliases=["final_model"])


def _config_of(model: Any) -> dict[str, Any]:
    config = getattr(model, "config", None)
    if config is None:
        return {}
    return dict(config if isinstance(config, dict) else config.to_dict())


def _renamed(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics by the names that transformers gives them in W&B: ``eval_loss`` is ``eval/loss``."""
    found = {}
    for key, value in metrics.items():
        head, _, rest = key.partition("_")
        found[f"{head}/{rest}" if head in {"eval", "test"} and rest else f"train/{key}"] = value
    return found


def _numbers_of(run: Run) -> dict[str, Any]:
    """The numbers in the summary, as metadata of a model."""
    return {
        key: value
        for key, value in dict(run.summary).items()
        if isinstance(value, numbers.Number) and not key.startswith("_")
    }
