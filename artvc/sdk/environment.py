"""What the environment asks of scripts: ``ARTVC_X``, or W&B's ``WANDB_X`` where that is set."""

import os
import sys
from typing import Final

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_MODES: Final = {
    "online": "online",
    "offline": "offline",
    "disabled": "disabled",
    "shared": "online",
    "dryrun": "offline",
    "run": "online",
}


_hushed = False


def variable(name: str) -> str | None:
    """``ARTVC_<name>``, else ``WANDB_<name>``, else None; empty ones count as not set."""
    return os.environ.get(f"ARTVC_{name}") or os.environ.get(f"WANDB_{name}") or None


def flag(name: str) -> bool:
    """Whether a variable says yes."""
    return (variable(name) or "").lower() in _TRUE


def mode(given: str | None) -> str:
    """``online``, ``offline`` or ``disabled``; everything stays on this disk in either of the first two.

    Raises:
        KeyError: no such mode.
    """
    if given is None and flag("DISABLED"):
        return "disabled"
    return _MODES[given or variable("MODE") or "online"]


def hush(on: bool) -> None:
    """Print nothing from now on, or only follow the environment again."""
    global _hushed
    _hushed = on


def silent() -> bool:
    """Whether nothing may be printed."""
    return _hushed or flag("SILENT")


def say(line: str) -> None:
    """Tell the user one line on stderr, unless silence was asked for."""
    if not silent():
        print(f"artvc: {line}", file=sys.stderr)


def warn(line: str) -> None:
    """Warn the user of something that was left out or not understood."""
    say(f"warning: {line}")


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
