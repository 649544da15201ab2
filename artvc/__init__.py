"""git for what machine learning makes: datasets, models and runs, versioned beside the code, without a server.

Scripts written for Weights & Biases run with ``import artvc as wandb``.  Everything here is loaded on first use, so
that the import costs next to nothing.  ``run``, ``config`` and ``summary`` are those of the current run.
"""

import importlib
from typing import TYPE_CHECKING, Final

from artvc._version import __version__

if TYPE_CHECKING:
    from artvc import errors
    from artvc.errors import Error
    from artvc.sdk.artifact import Artifact, ArtifactTTL
    from artvc.sdk.config import Config
    from artvc.sdk.current import finish, init, log, log_artifact, save, use_artifact
    from artvc.sdk.media import Image
    from artvc.sdk.repo import Repo
    from artvc.sdk.run import Run
    from artvc.sdk.summary import Summary

    config: Config
    run: Run | None
    summary: Summary

__all__ = [
    "Artifact",
    "ArtifactTTL",
    "Error",
    "Image",
    "Repo",
    "Run",
    "__version__",
    "config",
    "errors",
    "finish",
    "init",
    "log",
    "log_artifact",
    "run",
    "save",
    "summary",
    "use_artifact",
]

_HOMES: Final = {
    "Artifact": "artvc.sdk.artifact",
    "ArtifactTTL": "artvc.sdk.artifact",
    "Error": "artvc.errors",
    "Image": "artvc.sdk.media",
    "Repo": "artvc.sdk.repo",
    "Run": "artvc.sdk.run",
    "finish": "artvc.sdk.current",
    "init": "artvc.sdk.current",
    "log": "artvc.sdk.current",
    "log_artifact": "artvc.sdk.current",
    "save": "artvc.sdk.current",
    "use_artifact": "artvc.sdk.current",
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
    if name == "errors":
        return importlib.import_module("artvc.errors")
    raise AttributeError(f"module 'artvc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
