"""Which repository a command is about."""

from collections.abc import Mapping
from pathlib import Path

from artvc import settings
from artvc.repo import DIRECTORY, Repository


def repository_at(directory: Path, environ: Mapping[str, str]) -> Repository:
    """The repository that ARTVC_DIR names (``.artvc`` or the directory that holds it), else the nearest one above.

    Args:
        directory: where the command runs.
        environ: the environment.

    Raises:
        NotARepository: there is none.
        InvalidInput: the environment or the user's configuration is malformed.
    """
    chosen = environ.get("ARTVC_DIR")
    if not chosen:
        return Repository.discover(directory, settings.from_environment(environ))
    path = directory / chosen
    root = path.parent if path.name == DIRECTORY else path
    return Repository.open(root, settings.from_environment(environ))
