"""Directories of the user's: taking them in, restoring versions into them, and telling what differs.

The user's source files are only read; :mod:`artvc.worktree.restoring` alone writes, where it was asked to.  What is
not used is not loaded: ``artvc status`` of a clean directory takes little longer than the start of the interpreter.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from artvc.worktree.caches import Caches
    from artvc.worktree.comparing import WorktreeStatus, status
    from artvc.worktree.origins import Origin, origin_of, version_of
    from artvc.worktree.restoring import CheckoutResult, checkout, place_file
    from artvc.worktree.taking import Intake, Snapshot, entry_of, snapshot, take_in
    from artvc.worktree.walking import TEMPORARY, Found, Walk, mounts_of

_PLACES: Final = {
    "caches": ("Caches",),
    "comparing": ("WorktreeStatus", "status"),
    "origins": ("Origin", "origin_of", "version_of"),
    "restoring": ("CheckoutResult", "checkout", "place_file"),
    "taking": ("Intake", "Snapshot", "entry_of", "snapshot", "take_in"),
    "walking": ("TEMPORARY", "Found", "Walk", "mounts_of"),
}
_WHERE: Final = {name: module for module, names in _PLACES.items() for name in names}

__all__ = (
    "TEMPORARY",
    "Caches",
    "CheckoutResult",
    "Found",
    "Intake",
    "Origin",
    "Snapshot",
    "Walk",
    "WorktreeStatus",
    "checkout",
    "entry_of",
    "mounts_of",
    "origin_of",
    "place_file",
    "snapshot",
    "status",
    "take_in",
    "version_of",
)


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
