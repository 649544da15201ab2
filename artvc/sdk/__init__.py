"""The W&B-shaped API: the face of artvc for programs.

``current`` holds the process's run; a ``run`` records what happens in it; an ``artifact`` is a draft until it is
logged; ``workspace`` finds and opens the repository for both.  Only this package and the command line read the
environment and the clock.
"""

import importlib
from typing import TYPE_CHECKING, Final

# Modules that W&B has in its ``sdk`` and its ``apis``, which scripts name in type hints: ``wandb.sdk.wandb_run.Run``.
_AS_IN_WANDB: Final = {
    "data_types": "artvc.sdk.media",
    "public": "artvc.sdk.api",
    "wandb_artifacts": "artvc.sdk.artifact",
    "wandb_config": "artvc.sdk.config",
    "wandb_init": "artvc.sdk.current",
    "wandb_run": "artvc.sdk.run",
    "wandb_settings": "artvc.sdk.run_settings",
    "wandb_summary": "artvc.sdk.summary",
}

if not TYPE_CHECKING:  # a checker of types would take any name for one of this package

    def __getattr__(name: str) -> object:
        if name in _AS_IN_WANDB:
            return importlib.import_module(_AS_IN_WANDB[name])
        outer = importlib.import_module("artvc")
        if name[:1].isupper() and name in outer.__all__:  # other names are those of modules here
            return getattr(outer, name)
        raise AttributeError(f"module 'artvc.sdk' has no attribute {name!r}")
