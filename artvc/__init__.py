"""git for what machine learning makes: datasets, models and runs, versioned beside the code, without a server.

Scripts written for Weights & Biases run with ``import artvc as wandb``.  Everything here is loaded on first use, so
that the import costs next to nothing.  ``run``, ``config`` and ``summary`` are those of the current run.
"""

import importlib
from typing import TYPE_CHECKING, Final

from artvc._version import __version__

if TYPE_CHECKING:
    from artvc import errors
    from artvc.errors import CommError, Error, UsageError
    from artvc.sdk import media as data_types
    from artvc.sdk import plot
    from artvc.sdk import wandb_env as env
    from artvc.sdk import wandb_util as util
    from artvc.sdk.api import Api
    from artvc.sdk.artifact import Artifact, ArtifactTTL
    from artvc.sdk.config import Config
    from artvc.sdk.current import (
        alert,
        define_metric,
        finish,
        finish_artifact,
        init,
        join,
        link_artifact,
        link_model,
        log,
        log_artifact,
        log_code,
        log_model,
        login,
        mark_preempting,
        require,
        restore,
        save,
        setup,
        teardown,
        termerror,
        termlog,
        termwarn,
        unwatch,
        upsert_artifact,
        use_artifact,
        use_model,
        watch,
    )
    from artvc.sdk.image import Classes, Image
    from artvc.sdk.media_files import Audio, Histogram, Html, Molecule, Object3D, Plotly, Video
    from artvc.sdk.repo import Repo
    from artvc.sdk.run import AlertLevel, Run
    from artvc.sdk.run_settings import Settings
    from artvc.sdk.summary import Summary
    from artvc.sdk.table import Table

    config: Config
    run: Run | None
    summary: Summary

__all__ = [
    "AlertLevel",
    "Api",
    "Artifact",
    "ArtifactTTL",
    "Audio",
    "Classes",
    "CommError",
    "Config",
    "Error",
    "Histogram",
    "Html",
    "Image",
    "Molecule",
    "Object3D",
    "Plotly",
    "Repo",
    "Run",
    "Settings",
    "Table",
    "UsageError",
    "Video",
    "__version__",
    "alert",
    "config",
    "data_types",
    "define_metric",
    "env",
    "errors",
    "finish",
    "finish_artifact",
    "init",
    "join",
    "link_artifact",
    "link_model",
    "log",
    "log_artifact",
    "log_code",
    "log_model",
    "login",
    "mark_preempting",
    "plot",
    "require",
    "restore",
    "run",
    "save",
    "setup",
    "summary",
    "teardown",
    "termerror",
    "termlog",
    "termwarn",
    "unwatch",
    "upsert_artifact",
    "use_artifact",
    "use_model",
    "util",
    "watch",
]

_HOMES: Final = {
    "AlertLevel": "artvc.sdk.run",
    "Api": "artvc.sdk.api",
    "Artifact": "artvc.sdk.artifact",
    "ArtifactTTL": "artvc.sdk.artifact",
    "Audio": "artvc.sdk.media_files",
    "Classes": "artvc.sdk.image",
    "CommError": "artvc.errors",
    "Config": "artvc.sdk.config",
    "Error": "artvc.errors",
    "Histogram": "artvc.sdk.media_files",
    "Html": "artvc.sdk.media_files",
    "Image": "artvc.sdk.image",
    "Molecule": "artvc.sdk.media_files",
    "Object3D": "artvc.sdk.media_files",
    "Plotly": "artvc.sdk.media_files",
    "Repo": "artvc.sdk.repo",
    "Run": "artvc.sdk.run",
    "Settings": "artvc.sdk.run_settings",
    "Table": "artvc.sdk.table",
    "UsageError": "artvc.errors",
    "Video": "artvc.sdk.media_files",
    "alert": "artvc.sdk.current",
    "define_metric": "artvc.sdk.current",
    "finish": "artvc.sdk.current",
    "finish_artifact": "artvc.sdk.current",
    "init": "artvc.sdk.current",
    "join": "artvc.sdk.current",
    "link_artifact": "artvc.sdk.current",
    "link_model": "artvc.sdk.current",
    "log": "artvc.sdk.current",
    "log_artifact": "artvc.sdk.current",
    "log_code": "artvc.sdk.current",
    "log_model": "artvc.sdk.current",
    "login": "artvc.sdk.current",
    "mark_preempting": "artvc.sdk.current",
    "require": "artvc.sdk.current",
    "restore": "artvc.sdk.current",
    "save": "artvc.sdk.current",
    "setup": "artvc.sdk.current",
    "teardown": "artvc.sdk.current",
    "termerror": "artvc.sdk.current",
    "termlog": "artvc.sdk.current",
    "termwarn": "artvc.sdk.current",
    "unwatch": "artvc.sdk.current",
    "upsert_artifact": "artvc.sdk.current",
    "use_artifact": "artvc.sdk.current",
    "use_model": "artvc.sdk.current",
    "watch": "artvc.sdk.current",
}
_MODULES: Final = {
    "apis": "artvc.sdk",  # only for type hints such as wandb.apis.public.Run, as the two wandb_...
    "data_types": "artvc.sdk.media",
    "env": "artvc.sdk.wandb_env",
    "errors": "artvc.errors",
    "plot": "artvc.sdk.plot",
    "sdk": "artvc.sdk",
    "util": "artvc.sdk.wandb_util",
    "wandb_run": "artvc.sdk.run",
    "wandb_sdk": "artvc.sdk",
}
# These change while the program runs, so they are looked up anew each time.
_CURRENT: Final = frozenset({"config", "run", "summary"})


def __getattr__(name: str) -> object:
    if name in _CURRENT:
        return getattr(importlib.import_module("artvc.sdk.current"), f"current_{name}")()
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    why = importlib.import_module("artvc.sdk.missing").reason(name) if not name.startswith("_") else None
    raise AttributeError(why or f"module 'artvc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
