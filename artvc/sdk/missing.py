"""What W&B has and artvc has not, with what to do instead."""

from collections.abc import Mapping
from typing import Final

_SWEEPS: Final = "artvc has no sweeps: start the runs yourself, each with its values in config= and all with one group="
_INTEGRATION: Final = "artvc has no integration of that name: 'artvc help wandb' lists those that it has"
_MEDIA: Final = "artvc has no media of that kind: Table, Image, Html and those of artvc.plot come nearest"
_ACCOUNTS: Final = "artvc has no accounts: a repository belongs to who can read it"
_SERVER: Final = "artvc has no server, and so nothing that W&B has on its own"

# By the name that scripts use, of the module or of Api.
_REASONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("agent", "controller", "sweep", "sweeps"), _SWEEPS),
    **dict.fromkeys(("catboost", "fastai", "gym", "integration", "keras", "lightgbm", "sacred"), _INTEGRATION),
    **dict.fromkeys(("sklearn", "tensorboard", "tensorflow", "xgboost"), _INTEGRATION),
    **dict.fromkeys(("create_team", "create_user", "organization", "team", "user", "users", "viewer"), _ACCOUNTS),
    **dict.fromkeys(("automation", "automations", "job", "list_jobs", "queued_run", "run_queue"), _SERVER),
    **dict.fromkeys(("registries", "registry", "reports"), _SERVER),
    **dict.fromkeys(("EvalTable", "Graph", "JoinedTable", "box3d", "plot_table", "visualize"), _MEDIA),
    "attach": "artvc has no attach(): init(id=..., resume='allow') goes on with a run that is over",
}


def reason(name: str) -> str | None:
    """Why there is nothing of a name that W&B has, in one line that begins with "artvc has no"; None for others."""
    found = _REASONS.get(name)
    return f"{found} (wandb's {name!r})" if found is not None else None
