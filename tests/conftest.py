"""Seals every test: nothing of the user's settings gets in, nothing gets out, and CI always tries the same examples."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

SWITCHES = {"ARTVC_FAULTS", "ARTVC_EXAMPLES"}  # what asks for longer tests
FOREIGN = ("ARTVC_", "WANDB_", "GIT_", "XDG_")
SCREEN = ("PAGER", "LESS", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")


@pytest.fixture(autouse=True, scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home, and none of the variables that artvc, W&B, git or a terminal listen to."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name not in SWITCHES and (name.startswith(FOREIGN) or name in SCREEN):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        yield home
