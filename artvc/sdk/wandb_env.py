"""What scripts use of ``wandb.env``: names of the variables that artvc reads, and what they say."""

from typing import Final

from artvc.sdk import environment

ARTIFACT_DIR: Final = "WANDB_ARTIFACT_DIR"
CONFIG_PATHS: Final = "WANDB_CONFIG_PATHS"
DIR: Final = "WANDB_DIR"
ENTITY: Final = "WANDB_ENTITY"
JOB_TYPE: Final = "WANDB_JOB_TYPE"
MODE: Final = "WANDB_MODE"
NAME: Final = "WANDB_NAME"
NOTES: Final = "WANDB_NOTES"
PROJECT: Final = "WANDB_PROJECT"
RESUME: Final = "WANDB_RESUME"
RUN_GROUP: Final = "WANDB_RUN_GROUP"
RUN_ID: Final = "WANDB_RUN_ID"
SILENT: Final = "WANDB_SILENT"
TAGS: Final = "WANDB_TAGS"


def get_project(default: str | None = None) -> str | None:
    """The project of runs that name none."""
    return environment.variable("PROJECT") or default


def get_entity(default: str | None = None) -> str | None:
    """The entity, which means nothing here."""
    return environment.variable("ENTITY") or default


def get_run(default: str | None = None) -> str | None:
    """The id of the run to begin."""
    return environment.variable("RUN_ID") or default


def get_dir(default: str | None = None) -> str | None:
    """Where to look for the repository."""
    return environment.variable("DIR") or default


def get_tags(default: str = "") -> list[str]:
    """The tags of runs that name none."""
    return [tag for tag in (environment.variable("TAGS") or default).split(",") if tag]


def is_offline() -> bool:
    """Whether ``WANDB_MODE`` says offline; it makes no difference here."""
    return environment.variable("MODE") == "offline"


def is_silent() -> bool:
    """Whether nothing is to be printed."""
    return environment.flag("SILENT")
