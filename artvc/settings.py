"""Plain settings, and the one place that reads them from environment and files for the faces.

The library below the faces never looks at the environment or the clock: the shell and the Python API call
:func:`from_environment` and :func:`now` and pass the results down.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artvc.errors import InvalidInput
from artvc.model.objects import JsonObject

USER_CONFIG_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to work with a repository.

    Attributes:
        sync: whether what is acknowledged must survive power loss; False is for tests and bulk imports.
        workers: threads that hash and compress.
        processes: that look at many files at once; more than 1 only where forking is safe, as in the command line.
        author_name, author_email: of commits; "" where not known.
        project: overrides the repository's default project.
    """

    sync: bool = True
    workers: int = 2
    processes: int = 1
    author_name: str = ""
    author_email: str = ""
    project: str | None = None


def now() -> str:
    """The present time as objects store it: ISO 8601, UTC, microseconds."""
    import datetime  # noqa: PLC0415 -- 2 ms that readers need not pay

    moment = datetime.datetime.now(datetime.UTC)  # noqa: TID251 -- the one clock, called by faces only
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def user_config_path(environ: Mapping[str, str]) -> Path:
    """Where the user's own configuration lies."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", ""), ".config")
    return Path(base) / "artvc" / "config.toml"


def read_toml(path: Path) -> JsonObject:
    """A TOML file as a dict; a missing one is empty.

    Raises:
        InvalidInput: it is not TOML, or larger than 1 MiB.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc
    if len(raw) > USER_CONFIG_BYTES:
        raise InvalidInput(f"{path} is larger than {USER_CONFIG_BYTES} bytes")
    try:
        return parse_toml(raw.decode(), str(path))
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{path} is not valid TOML: {exc}") from exc


def parse_toml(text: str, path: str) -> JsonObject:
    """TOML text as a dict.

    Args:
        text: of the file; "" is an empty configuration.
        path: for the message.

    Raises:
        InvalidInput: it is not TOML.
    """
    if not text.strip():
        return {}
    import tomllib  # noqa: PLC0415 -- 9 ms that most commands need not pay

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidInput(f"{path} is not valid TOML: {exc}") from exc


def lookup(config: JsonObject, key: str) -> str | None:
    """The value at a dotted key as text, or None."""
    here: object = config
    for part in key.split("."):
        if not isinstance(here, dict) or part not in here:
            return None
        here = here[part]
    if isinstance(here, bool):
        return "true" if here else "false"
    return None if isinstance(here, dict) else str(here)


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that the environment and the user's configuration ask for.

    Raises:
        InvalidInput: a value is malformed.
    """
    user = read_toml(user_config_path(environ))
    workers = environ.get("ARTVC_JOBS") or lookup(user, "core.jobs") or str(min(os.cpu_count() or 1, 8))
    if not workers.isdecimal() or not 1 <= int(workers) <= 256:
        raise InvalidInput(f"number of jobs must be 1 to 256, not {workers!r}", hint="see ARTVC_JOBS, core.jobs")
    return Settings(
        sync=environ.get("ARTVC_FSYNC", "1") != "0",
        workers=int(workers),
        author_name=environ.get("ARTVC_AUTHOR_NAME") or lookup(user, "user.name") or environ.get("GIT_AUTHOR_NAME", ""),
        author_email=environ.get("ARTVC_AUTHOR_EMAIL")
        or lookup(user, "user.email")
        or environ.get("GIT_AUTHOR_EMAIL", ""),
        project=environ.get("ARTVC_PROJECT") or environ.get("WANDB_PROJECT") or lookup(user, "project.default"),
    )
