"""What every benchmark needs: commands that are timed, and where they ran."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

quantile = statistics.median


class Run:
    """A finished command: wall time in seconds, peak memory in bytes."""

    def __init__(self, argv: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(one) for one in argv], cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - began
        self.peak = usage.ru_maxrss * 1024
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{argv} failed: {errors.decode()}")
