"""A logger for PyTorch Lightning::

    from artvc.integrations.lightning import ArtvcLogger

    trainer = Trainer(logger=ArtvcLogger(project="mnist", log_model=True))

Its arguments are those of Lightning's ``WandbLogger``.  Works with ``lightning`` and with ``pytorch_lightning``.
"""

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, Final

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
except ImportError:
    from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
    from pytorch_lightning.utilities.rank_zero import rank_zero_only

from artvc.errors import InvalidInput
from artvc.sdk import current
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.image import Image
from artvc.sdk.run import Run

STEP: Final = "trainer/global_step"
# What of a ModelCheckpoint is noted with the checkpoints that it made.
_SETTINGS: Final = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only")


class ArtvcLogger(Logger):
    """Logs metrics, hyperparameters and checkpoints to a run.

    The run is the current one, or is begun at the first use; it is finished by ``artvc.finish()`` or at the
    exit of the process, so that ``trainer.test`` may follow ``trainer.fit``.

    Args:
        name: of the run.
        save_dir: where to look for the repository, or to make it.
        version, id: of the run; a run of that id is gone on with.
        offline: accepted for W&B's sake.
        dir: as ``save_dir``.
        project: ``lightning_logs`` if not given, and not in the environment.
        log_model: "all" logs each checkpoint as it is written, True those that are left at the end, False none.
        experiment: a run to log to.
        prefix: before the names of metrics, with a dash.
        checkpoint_name: of the artifact; ``model-<run id>`` if not given.
        more: for :func:`artvc.init`.

    Raises:
        InvalidInput: no such ``log_model``.
    """

    def __init__(
        self,
        name: str | None = None,
        save_dir: PathLike | None = None,
        version: str | None = None,
        offline: bool = False,
        dir: PathLike | None = None,
        id: str | None = None,
        project: str | None = None,
        log_model: bool | str = False,
        experiment: Run | None = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__()
        if log_model not in {"all", True, False}:
            raise InvalidInput(f"unknown log_model {log_model!r}", hint="use True, False or 'all'")
        self._log_model = log_model
        self._prefix = prefix
        self._checkpoint_name = checkpoint_name
        self._experiment = experiment
        self._logged: dict[str, float] = {}
        self._callbacks: dict[int, Any] = {}
        given = os.environ.get("ARTVC_PROJECT") or os.environ.get("WANDB_PROJECT")
        self._init: dict[str, Any] = {
            "dir": save_dir or dir,
            "id": version or id,
            "name": name,
            "project": project or given or "lightning_logs",
            "resume": "allow",
            **more,
        }

    def __getstate__(self) -> dict[str, Any]:
        """For a spawned process, which goes on with the run by its id."""
        run = self.experiment
        state = self.__dict__.copy()
        state["_init"] = {**self._init, "id": getattr(run, "id", None), "name": getattr(run, "name", None)}
        state["_experiment"] = None
        return state

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator,unused-ignore]
    def experiment(self) -> Run:
        """The run; on other ranks than 0 something that takes every call."""
        if self._experiment is None:
            self._experiment = current.current_run() or current.init(**self._init)
        return self._experiment

    @property
    def name(self) -> str | None:
        """The project, as with Lightning's ``WandbLogger``; the run's name is ``experiment.name``."""
        return str(self._init["project"])

    @property
    def version(self) -> str | None:
        """The id of the run; None before there is one."""
        return self._experiment.id if self._experiment is not None else self._init["id"]

    @property
    def save_dir(self) -> str | None:
        """As given."""
        given = self._init["dir"]
        return os.fspath(given) if given is not None else None

    @rank_zero_only  # type: ignore[untyped-decorator,unused-ignore]
    def log_hyperparams(self, params: "Mapping[str, Any] | Namespace", *_: Any, **__: Any) -> None:
        """Put hyperparameters into the run's config; what has no JSON form is kept as text."""
        given = vars(params) if isinstance(params, Namespace) else dict(params)
        self.experiment.config.update(given, allow_val_change=True)

    @rank_zero_only  # type: ignore[untyped-decorator,unused-ignore]
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row; Lightning's step is in it as ``trainer/global_step``."""
        row = {f"{self._prefix}-{key}" if self._prefix else key: value for key, value in metrics.items()}
        self.experiment.log(row if step is None else {**row, STEP: step})

    @rank_zero_only  # type: ignore[untyped-decorator,unused-ignore]
    def log_image(self, key: str, images: Sequence[Any], step: int | None = None, **more: Sequence[Any]) -> None:
        """Log pictures.

        Args:
            key: their name in the history.
            images: tensors, arrays, paths...: what :class:`artvc.Image` takes.
            step: Lightning's.
            more: one value a picture for each argument of ``artvc.Image``, such as ``caption``.

        Raises:
            InvalidInput: not as many values as pictures.
        """
        if isinstance(images, str) or not isinstance(images, Sequence):
            raise InvalidInput(f"log_image takes a list of pictures, not {type(images).__name__}")
        for name, values in more.items():
            if len(values) != len(images):
                raise InvalidInput(f"{len(images)} pictures, but {len(values)} values of {name!r}")
        made = [
            Image(image, **{name: values[place] for name, values in more.items()}) for place, image in enumerate(images)
        ]
        self.log_metrics({key: made}, step)

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Log what Lightning's ModelCheckpoint wrote, now or at the end."""
        if self._log_model == "all" or (self._log_model is True and checkpoint_callback.save_top_k == -1):
            self._log_checkpoints(checkpoint_callback)
        elif self._log_model is True:
            self._callbacks[id(checkpoint_callback)] = checkpoint_callback

    @rank_zero_only  # type: ignore[untyped-decorator,unused-ignore]
    def finalize(self, status: str) -> None:
        """Log the checkpoints that are left, if training succeeded."""
        if status == "success" and self._experiment is not None:
            for callback in self._callbacks.values():
                self._log_checkpoints(callback)

    @rank_zero_only  # type: ignore[untyped-decorator,unused-ignore]
    def _log_checkpoints(self, callback: Any) -> None:
        """Log the checkpoints that are new, in the order in which they were written."""
        found = {path: float(score) for path, score in getattr(callback, "best_k_models", {}).items()}
        for attribute, score in (("last_model_path", "current_score"), ("best_model_path", "best_model_score")):
            value = getattr(callback, score, None)
            found.setdefault(getattr(callback, attribute, ""), float(value) if value is not None else float("nan"))
        fresh = sorted((os.stat(path).st_mtime, path) for path in found if path and os.path.exists(path))
        for written, path in fresh:
            if self._logged.get(path, 0.0) < written:
                self._log_checkpoint(callback, path, found[path])
                self._logged[path] = written

    def _log_checkpoint(self, callback: Any, path: str, score: float) -> None:
        run = self.experiment
        settings = {name: getattr(callback, name) for name in _SETTINGS if hasattr(callback, name)}
        artifact = Artifact(
            self._checkpoint_name or f"model-{run.id}",
            "model",
            metadata={
                "score": score,
                "original_filename": os.path.basename(path),
                callback.__class__.__name__: settings,  # Lightning hands out a proxy, whose type is another
            },
        )
        if os.path.isdir(path):
            artifact.add_dir(path, name="model.ckpt")
        else:
            artifact.add_file(path, name="model.ckpt")
        run.log_artifact(artifact, aliases=["best"] if path == callback.best_model_path else None)

    def use_artifact(self, artifact: str, artifact_type: str | None = None) -> Artifact:
        """Note an artifact as an input of the run.  Raises as :meth:`artvc.Run.use_artifact`."""
        run: Run = self.experiment
        return run.use_artifact(artifact, type=artifact_type)

    @staticmethod
    def download_artifact(
        artifact: str, save_dir: PathLike | None = None, artifact_type: str | None = None, use_artifact: bool = True
    ) -> str:
        """Restore an artifact; a current run notes it as an input.

        Returns:
            the directory.

        Raises:
            NotFound: there is none.
            InvalidInput: its type is another.
        """
        from artvc.sdk.api import Api  # noqa: PLC0415 -- only for this

        run = current.current_run()
        if run is not None and use_artifact:
            found = run.use_artifact(artifact, type=artifact_type)
        else:
            found = Api().artifact(artifact, type=artifact_type)
        return found.download(save_dir)
