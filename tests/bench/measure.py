"""What every benchmark needs: commands that are timed, and where they ran."""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

Command = Sequence[str | Path]

HOME = {
    "RESTIC_PASSWORD": "x",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    "DVC_NO_ANALYTICS": "true",
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class Run:
    """A finished command.

    Attributes:
        seconds: wall time.
        cpu: seconds of processors, its own and those of its children.
        peak: of its memory and that of its children, each by itself, bytes.

    Raises:
        SystemExit: it failed.
    """

    def __init__(self, argv: Command, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        words = [str(one) for one in argv]
        began = time.perf_counter()
        process = subprocess.Popen(
            words, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - began
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024
        self.output = output.decode(errors="replace")
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{words} failed:\n{self.output}")


def environment(home: Path) -> dict[str, str]:
    """The variables that tools get: a home of their own, nothing of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARTVC_", "GIT_", "XDG_"))}
    here = str(Path(__file__).parents[2])
    return {**kept, **HOME, "HOME": str(home), "PYTHONPATH": here}


def interpreter_peak() -> int:
    """Peak memory of an interpreter that does nothing, bytes.

    Not by :class:`Run`: what a process has before ``exec`` is its parent's, and counts.
    """
    run = Run([sys.executable, "-c", "print(open('/proc/self/status').read())"], Path("/"))
    return int(run.output.partition("VmHWM:")[2].split()[0]) * 1024


def warm_memory(size: int) -> None:
    """Have the machine touch free memory, which whoever comes next gets.

    A virtual machine gives free pages back to its host, and the first touch afterwards costs up to seconds a gigabyte,
    charged to whichever tool happens to be there.
    """
    subprocess.run([sys.executable, "-c", "import sys; b'x' * int(sys.argv[1])", str(size)], check=True)


def read_all(root: Path) -> None:
    """Bring the files below a directory into the file cache."""
    subprocess.run(f'find "{root}" -type f -print0 | xargs -0 cat > /dev/null', shell=True, check=True)


def size_of(root: Path) -> int:
    """Bytes of the files below a directory."""
    return sum(os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(root) for name in names)


def machine() -> dict[str, object]:
    """Where the numbers come from."""
    found = re.search(r"model name\s*: (.*)", read_text("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", read_text("/proc/meminfo"))
    return {
        "cpu": found[1] if found else platform.processor(),
        "cores": os.cpu_count(),
        "memory GB": round(int(memory[1]) / 1e6) if memory else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "artvc": metadata.version("artvc"),
        "commit": first_line(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]),
    }


def read_text(path: str) -> str:
    """A file of the system's, or nothing."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def first_line(argv: list[str]) -> str | None:
    """What a program says first, or None where there is none."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return (done.stdout or done.stderr).strip().partition("\n")[0] if done.returncode == 0 else None
