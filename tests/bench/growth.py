"""How the time of a command grows with what the repository holds: gigabytes, files, versions."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from statistics import median

from tests.bench.measure import Run, environment, read_all, size_of, warm_memory
from tests.bench.tools import ARTVC
from tests.bench.workloads import MIB, write_files

GIGABYTES = 64
FILES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
VERSIONS = (1, 10, 100, 300, 1000, 3000, 10_000)
MAKE_NOISE = """
import random, sys
made = random.Random(int(sys.argv[1]))
for _ in range(64):
    sys.stdout.buffer.write(made.randbytes(int(sys.argv[2]) // 64))
"""
MAKE_VERSIONS = """
import sys
from pathlib import Path
from statistics import median
import artvc
place, have, wanted = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with artvc.Repo.open(place) as repo:
    for number in range(have, wanted):
        (place / "one.txt").write_text(f"version {number}")
        repo.commit([place / "one.txt"], name="one", type="data")
"""


class Place:
    """A repository and the commands in it."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        (root / "home").mkdir()
        self.environment = environment(root / "home")
        self.artvc("init")

    def artvc(self, *argv: str | Path) -> Run:
        return Run([*ARTVC, *argv], self.root, self.environment)

    def commit(self, data: Path, name: str = "data") -> Run:
        os.sync()
        read_all(data)
        warm_memory(min(3 << 30, 2 * size_of(data)))
        return self.artvc("commit", data, "-n", name, "-t", "data")

    def held(self) -> int:
        """Bytes of packs and refs."""
        return sum(size_of(self.root / ".artvc" / kind) for kind in ("packs", "refs"))


def empty_records(packs: Path) -> None:
    """Give the disk back what large packs hold, but for their indexes: nothing of this benchmark reads it again.

    So a repository can have more chunks than the disk has room for.
    """
    for pack in packs.iterdir():
        size = pack.stat().st_size
        if size > MIB and pack.stat().st_blocks * 512 > size // 2:
            with pack.open("rb") as file:
                file.seek(-64, 2)
                (start,) = struct.unpack_from("<Q", file.read(), 8)
            subprocess.run(["fallocate", "-p", "-o", "4096", "-l", str(start - 4096), str(pack)], check=True)


def by_gigabytes(scratch: Path, scale: float) -> dict[str, list[float]]:
    """Commit a new GiB again and again; seconds by what was there before."""
    place = Place(scratch / "gigabytes")
    data = scratch / "new"
    data.mkdir()
    found: dict[str, list[float]] = {"GiB": [], "commit, s a GiB": [], "log, s": [], "checkout, s a GiB": [], "MB": []}
    wanted = [1 << power for power in range(GIGABYTES.bit_length())]
    for number in range(1, GIGABYTES + 1):
        with (data / "noise.bin").open("wb") as file:
            argv = [sys.executable, "-c", MAKE_NOISE, str(number), str(int(1024 * MIB * scale))]
            subprocess.run(argv, stdout=file, check=True)
        run = place.commit(data, f"data-{number}")
        found["GiB"].append(number)
        found["commit, s a GiB"].append(run.seconds / scale)
        found["MB"].append(run.peak / 1e6)
        if number in wanted:
            found["log, s"].append(median([place.artvc("log", "-n", "20").seconds for _ in range(3)]))
            os.sync()
            warm_memory(1 << 30)
            found["checkout, s a GiB"].append(place.artvc("checkout", f"data-{number}:v0", "out").seconds / scale)
            shutil.rmtree(place.root / "out")
        empty_records(place.root / ".artvc" / "packs")
    shutil.rmtree(place.root)
    shutil.rmtree(data)
    return found


def by_files(scratch: Path, scale: float) -> dict[str, list[float]]:
    """Commit, look at and commit again trees of ever more files, each in a repository of its own."""
    found: dict[str, list[float]] = {
        name: [] for name in ("files", "commit, us a file", "status, us a file", "one changed, s", "bytes added", "MB")
    }
    data = scratch / "many"
    data.mkdir()
    for count in FILES:
        count = int(count * scale)
        have = int(found["files"][-1]) if found["files"] else 0
        write_files(data, have, count, 512)
        place = Place(scratch / f"files-{count}")
        first = place.commit(data)
        status = place.artvc("status")
        before = place.held()
        (data / "0000" / "0000007.json").write_text(f"changed {count}")
        second = place.commit(data)
        found["files"].append(count)
        found["commit, us a file"].append(first.seconds / count * 1e6)
        found["status, us a file"].append(status.seconds / count * 1e6)
        found["one changed, s"].append(second.seconds)
        found["bytes added"].append(place.held() - before)
        found["MB"].append(max(first.peak, second.peak, status.peak) / 1e6)
        shutil.rmtree(place.root)
    shutil.rmtree(data)
    return found


def by_versions(scratch: Path, scale: float) -> dict[str, list[float]]:
    """The next commit, log and status of a repository with ever more versions of one small file."""
    place = Place(scratch / "versions")
    found: dict[str, list[float]] = {name: [] for name in ("versions", "commit, s", "log, s", "status, s", "show, s")}
    have = 0
    for count in VERSIONS:
        if count > max(10, 10_000 * scale):
            break
        subprocess.run(
            [sys.executable, "-c", MAKE_VERSIONS, str(place.root), str(have), str(count)],
            env={**place.environment, "ARTVC_FSYNC": "0"},
            check=True,
        )
        have = count
        times: dict[str, list[float]] = {"commit, s": [], "log, s": [], "status, s": [], "show, s": []}
        for _ in range(5):
            have += 1
            (place.root / "one.txt").write_text(f"next {have}")
            times["commit, s"].append(place.artvc("commit", "one.txt", "-n", "one", "-t", "data").seconds)
            times["log, s"].append(place.artvc("log", "-n", "20").seconds)
            times["status, s"].append(place.artvc("status").seconds)
            times["show, s"].append(place.artvc("show", "one:v0").seconds)
        found["versions"].append(count)
        for name, taken in times.items():
            found[name].append(median(taken))
    shutil.rmtree(place.root)
    return found
