"""The pager: as in git, ``less`` with FRX unless the user names another program."""

import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping

from artvc.errors import InvalidInput
from artvc.settings import lookup, read_toml, user_config_path


def page(text: str, environ: Mapping[str, str]) -> None:
    """Show text through the pager; print it where there is none.

    Raises:
        InvalidInput: the pager's command line has unbalanced quotes.
    """
    command = pager_command(environ)
    process = None
    if command and command != ["cat"] and shutil.which(command[0], path=environ.get("PATH")):
        settings = {"LESS": "FRX", "LV": "-c", **environ}
        with contextlib.suppress(OSError):  # a pager that can't be started must not hide the text
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, env=settings, text=True, errors="backslashreplace"
            )
    if process is None:
        sys.stdout.write(text + "\n")
        return
    # From here on Ctrl-C belongs to the pager, as in git.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with contextlib.suppress(BrokenPipeError):
            process.communicate(text + "\n")
        process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)


def pager_command(environ: Mapping[str, str]) -> list[str]:
    """The words of the pager's command line: ARTVC_PAGER, the user's ``core.pager``, PAGER, less; [] for none.

    The repository's configuration is never asked: it may have come from somebody else and must not name programs.
    """
    chosen = environ.get("ARTVC_PAGER")
    if chosen is None:
        chosen = lookup(read_toml(user_config_path(environ)), "core.pager")
    if chosen is None:
        chosen = environ.get("PAGER", "less")
    try:
        return shlex.split(chosen)
    except ValueError as exc:
        raise InvalidInput(f"the pager {chosen!r} is no command: {exc}", hint="see ARTVC_PAGER, PAGER") from exc
