"""The pager: as in git, ``less`` with FRX unless the environment names another program."""

import contextlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping


def page(text: str, environ: Mapping[str, str]) -> None:
    """Show text through ARTVC_PAGER, PAGER or less; print it where there is none.

    Repository configuration is never asked: it may have come from somebody else and must not name programs.
    """
    command = shlex.split(environ.get("ARTVC_PAGER", environ.get("PAGER", "less")))
    if not command or command == ["cat"] or shutil.which(command[0]) is None:
        sys.stdout.write(text + "\n")
        return
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={"LESS": "FRX", "LV": "-c", **environ}, text=True)
    with contextlib.suppress(BrokenPipeError):
        process.communicate(text + "\n")
    process.wait()
