"""What commit, checkout and start-up cost, beside ``cp -r`` on the same files in the same run.

    python tests/bench                      # everything, medians of 5, about 10 minutes, needs 12 GB of disk
    python tests/bench --rounds 3 --only floats,files
    python tests/bench --only memory --gigabytes 8

Each round does the same work with ``cp -r`` and with artvc, one after the other, so that a machine whose speed
drifts is unfair to both.  The shell command is measured as a user runs it, interpreter start included, and it
has synced when it returns; ``cp`` has not, so ``cp -r`` and ``sync`` is timed too.  Nothing is deleted while measuring
(ext4 makes new files slow right after deleting many): old results are renamed away.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ARTVC = [sys.executable, "-m", "artvc"]
FLOATS_BYTES = 1 << 30
SMALL_FILES = 50_000


class Run:
    """The wall time and peak memory of a finished command."""

    def __init__(self, argv: list[str], cwd: Path) -> None:
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - began
        self.peak = usage.ru_maxrss * 1024
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{argv} failed: {errors.decode()}")


def make_floats(target: Path, size: int) -> None:
    """Random normal float32 by seed, made in a process of its own: its memory would count as that of all that follow."""
    target.mkdir(parents=True)
    program = (
        "import sys, numpy\n"
        "source = numpy.random.default_rng(1)\n"
        "for _ in range(int(sys.argv[1]) >> 26):\n"
        "    sys.stdout.buffer.write(source.standard_normal(1 << 24, dtype=numpy.float32).tobytes())\n"
    )
    with (target / "weights.bin").open("wb") as file:
        subprocess.run([sys.executable, "-c", program, str(size)], stdout=file, check=True)


def make_files(target: Path, count: int) -> None:
    """JSON files of 4 KiB, 500 to a directory, by seed."""
    source = random.Random(1)
    for number in range(count):
        directory = target / f"{number // 500:04}"
        directory.mkdir(parents=True, exist_ok=True)
        line = f'{{"id": {number}, "values": "{source.getrandbits(1600):x}"}}\n'
        (directory / f"{number:07}.json").write_text((line * 10)[:4096].ljust(4096))


def compare(make: Callable[[Path], None], scratch: Path, rounds: int) -> dict[str, object]:
    """Commit and checkout beside ``cp -r``, alternating.

    On a virtual machine the first touch of memory that the host has taken back costs seconds a gigabyte.  So each
    command that writes is preceded by the removal of as many bytes, whose pages it gets.
    """
    data = scratch / "data"
    make(data)
    times: dict[str, list[float]] = {}
    peak = size = 0
    removable = scratch / "removable"
    shutil.copytree(data, removable)
    for number in range(rounds):
        work = scratch / f"round-{number}"
        work.mkdir()

        def timed(what: str, argv: list[str], removed: Path | None = None, work: Path = work) -> None:
            nonlocal peak
            os.sync()
            if removed is not None:
                shutil.rmtree(removed)
            run = Run(argv, work)
            times.setdefault(what, []).append(run.seconds)
            if argv[: len(ARTVC)] == ARTVC:
                peak = max(peak, run.peak)

        timed("cp -r", ["cp", "-r", str(data), "copy"], removable)
        timed("cp -r; sync", ["sh", "-c", f"cp -r {data} copy2 && sync"], work / "copy")
        Run([*ARTVC, "init"], work)
        timed("commit", [*ARTVC, "commit", str(data), "-n", "data", "-t", "dataset"], work / "copy2")
        size = sum(file.stat().st_size for file in (work / ".artvc").rglob("*") if file.is_file())
        timed("commit again", [*ARTVC, "commit", str(data), "-n", "data", "-t", "dataset"])
        timed("status", [*ARTVC, "status"])
        shutil.copytree(data, work / "copy3")
        timed("checkout", [*ARTVC, "checkout", "data:v0", "out"], work / "copy3")
        if subprocess.run(["diff", "-r", str(data), str(work / "out")], check=False).returncode:
            raise SystemExit("checkout differs from what was committed")
        shutil.rmtree(work / ".artvc")
        removable = work / "out"
    medians = {what: statistics.median(found) for what, found in times.items()}
    return {
        "median seconds": {what: round(found, 3) for what, found in medians.items()},
        "all seconds": {what: [round(one, 3) for one in found] for what, found in times.items()},
        "times cp -r": {what: round(found / medians["cp -r"], 2) for what, found in medians.items()},
        "times cp -r; sync": {what: round(found / medians["cp -r; sync"], 2) for what, found in medians.items()},
        "store bytes": size,
        "peak MB": round(peak / 1e6),
    }


def memory(scratch: Path, gigabytes: int) -> dict[str, object]:
    """Peak memory of commit and checkout of one large file."""
    data = scratch / "large"
    data.mkdir()
    with (data / "large.bin").open("wb") as file:
        for _ in range(gigabytes * 64):
            file.write(os.urandom(1 << 24))
    work = scratch / "memory"
    work.mkdir()
    Run([*ARTVC, "init"], work)
    commit = Run([*ARTVC, "commit", str(data), "-n", "large", "-t", "dataset"], work)
    checkout = Run([*ARTVC, "checkout", "large:v0", "out"], work)
    Run(["cmp", str(data / "large.bin"), str(work / "out" / "large.bin")], work)
    return {
        "gigabytes": gigabytes,
        "commit": {"seconds": round(commit.seconds, 1), "peak MB": round(commit.peak / 1e6)},
        "checkout": {"seconds": round(checkout.seconds, 1), "peak MB": round(checkout.peak / 1e6)},
    }


def startup(scratch: Path, rounds: int) -> dict[str, object]:
    """Start-up beside an interpreter that does nothing, in milliseconds."""
    Run([*ARTVC, "init"], scratch)
    (scratch / "one").write_text("1")
    Run([*ARTVC, "commit", "one", "-n", "mnist-raw", "-t", "dataset"], scratch)
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import artvc": [sys.executable, "-c", "import artvc"],
        "artvc --version": [*ARTVC, "--version"],
        "artvc log": [*ARTVC, "log"],
        "artvc status": [*ARTVC, "status"],
    }
    found: dict[str, list[float]] = {what: [] for what in commands}
    for _ in range(rounds * 4):
        for what, argv in commands.items():
            found[what].append(Run(argv, scratch).seconds * 1000)
    return {what: round(statistics.median(times), 1) for what, times in found.items()}


def metadata(scratch: Path, count: int) -> dict[str, object]:
    """What one changed file among very many adds to the repository, in bytes."""
    data = scratch / "many"
    for number in range(count):
        if number % 10_000 == 0:
            directory = data / f"{number // 10_000:03}"
            directory.mkdir(parents=True)
        (directory / f"{number:07}").write_text(str(number))
    work = scratch / "metadata"
    work.mkdir()
    Run([*ARTVC, "init"], work)

    def held(kinds: tuple[str, ...]) -> int:
        files = (file for kind in kinds for file in (work / ".artvc" / kind).rglob("*") if file.is_file())
        return sum(file.stat().st_size for file in files)

    first = Run([*ARTVC, "commit", str(data), "-n", "many", "-t", "dataset"], work)
    before = held(("packs", "refs"))
    (data / "000" / "0001234").write_text("changed")
    second = Run([*ARTVC, "commit", str(data), "-n", "many", "-t", "dataset"], work)
    return {
        "files": count,
        "first commit": {"seconds": round(first.seconds, 1), "peak MB": round(first.peak / 1e6)},
        "second commit": {"seconds": round(second.seconds, 1), "peak MB": round(second.peak / 1e6)},
        "added bytes": held(("packs", "refs")) - before,
    }


def main() -> None:
    """Run what was asked for and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="startup,floats,files,memory,metadata")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=int, default=8)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, default=None, help="directory on the disk to be measured")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="artvc-bench-", dir=options.scratch))
    kinds: dict[str, Callable[[Path], dict[str, object]]] = {
        "startup": lambda at: startup(at, options.rounds),
        "floats": lambda at: compare(lambda data: make_floats(data, FLOATS_BYTES), at, options.rounds),
        "files": lambda at: compare(lambda data: make_files(data, SMALL_FILES), at, options.rounds),
        "memory": lambda at: memory(at, options.gigabytes),
        "metadata": lambda at: metadata(at, options.many),
    }
    report: dict[str, object] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "load at start": os.getloadavg(),
    }
    try:
        for what in options.only.split(","):
            at = scratch / what
            at.mkdir()
            report[what] = kinds[what](at)
            print(what, json.dumps(report[what], indent=1), file=sys.stderr)
        report["load at end"] = os.getloadavg()
        print(json.dumps(report, indent=1))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
