"""What scripts use of ``wandb.util``."""

import re

from artvc import recording
from artvc.model import names


def generate_id(length: int = 8) -> str:
    """A fresh run id of so many letters and digits."""
    return "".join(recording.new_run_id() for _ in range(0, length, 8))[:length]


def make_artifact_name_safe(name: str) -> str:
    """A name that an artifact may have: other characters become ``_``, and of a long one the middle is left out."""
    clean = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    half = (names.NAME_BYTES - 2) // 2
    return clean if len(clean) <= names.NAME_BYTES else f"{clean[:half]}..{clean[-half:]}"
