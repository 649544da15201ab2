"""Which process this is: its place among those of a distributed job, and whether another one is still alive."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

# What launchers set, the most general first: torchrun and accelerate, their local rank, SLURM, Open MPI, MPICH.
RANKS: Final = (
    ("RANK", "WORLD_SIZE"),
    ("LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
)
_BOOT: Final = "/proc/sys/kernel/random/boot_id"
_START_FIELD: Final = 19  # of /proc/PID/stat, counted behind the name of the program


def host() -> str:
    """The machine's name."""
    return os.uname().nodename


def rank() -> int:
    """The number of this process in its distributed job; 0 where there is none, or where it is the first.

    ``torch.distributed`` is asked where the script has initialised it, else the variables of the launcher.
    """
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return rank_of(os.environ)


def rank_of(environ: Mapping[str, str]) -> int:
    """The rank that a launcher's variables tell; a size of 1 makes it 0."""
    for name, size in RANKS:
        number = environ.get(name, "")
        if number.isdecimal():
            return 0 if environ.get(size) == "1" else int(number)
    return 0


def birth(pid: int) -> str:
    """When a process of this machine started, as text that no later process of that number has; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = file.read().rpartition(")")[2].split()[_START_FIELD]
        with open(_BOOT, encoding="ascii") as file:
            return f"{file.read().strip()}/{ticks}"
    except (OSError, IndexError):
        if os.path.isdir("/proc/self"):
            return ""
    # macOS has no /proc
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split())


def alive(pid: int, born: str) -> bool:
    """Whether the process of that number which started then is still there (a zombie is not).

    Args:
        pid: on this machine.
        born: what :func:`birth` said of it; "" takes any process of that number for it.
    """
    found = birth(pid)
    return bool(found) and (not born or found == born) and not _zombie(pid)


def _zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[:1] == ["Z"]
    except OSError:
        return False
