"""Which repository a command is about."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from artvc import settings
from artvc.repo import DIRECTORY, Repository

_PROCESSES: Final = 4


def repository_at(directory: Path, environ: Mapping[str, str]) -> Repository:
    """The repository that ARTVC_DIR names (``.artvc`` or the directory that holds it), else the nearest one above.

    Args:
        directory: where the command runs.
        environ: the environment.

    Raises:
        NotARepository: there is none.
        InvalidInput: the environment or the user's configuration is malformed.
    """
    found = settings.from_environment(environ)
    # Here nothing else runs yet that could not be forked.
    found = dataclasses.replace(found, processes=min(found.workers, _PROCESSES))
    chosen = environ.get("ARTVC_DIR")
    if not chosen:
        return Repository.discover(directory, found)
    path = directory / chosen
    root = path.parent if path.name == DIRECTORY else path
    return Repository.open(root, found)
