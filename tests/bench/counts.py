"""How much is done, not how long it takes: a guard against regressions that no other load on the machine disturbs.

    python -m tests.bench.counts                 # compare with budget.json (test_counts.py does so in CI)
    python -m tests.bench.counts --renew         # after a change that is meant: write budget.json
    python -m tests.bench.counts --callgrind     # instructions too; minutes; needs valgrind

Each piece of work runs in a process of its own: once on a little of the same kind, so that everything lazy has happened, and
then once counted.  Counted are, for each file or MiB: entries into functions of artvc (without comprehensions, which newer
interpreters inline), calls of C functions from there, calls of the operating system from anywhere, and bytes read and
written (as the kernel sees them).  A count may exceed the budget by TOLERANCE.
"""

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import artvc
from tests.bench.workloads import write_files, write_safetensors

BUDGET = Path(__file__).with_name("budget.json")
TOLERANCE = 1.15
SLACK = {"bytes read": 0.02, "bytes written": 0.02}  # where the budget is next to nothing; of calls half of one
FILES = 2000
MIB = 64
PACKAGE = os.path.dirname(os.path.abspath(artvc.__file__))
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}


# -- pieces of work: each prepares a directory and gives what is to be counted --------------------------------------


def weights(data: Path, mib: int) -> None:
    data.mkdir()
    write_safetensors(data / "model.safetensors", [mib * 2**15] * 8, 1)


def many(data: Path, count: int) -> None:
    data.mkdir()
    write_files(data, 0, count, 4096)


def change(data: Path) -> None:
    """Every number becomes a little larger, as in training."""
    import numpy  # noqa: PLC0415

    path = data / "model.safetensors"
    raw = numpy.fromfile(path, "uint8")
    at = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    raw[at::4] ^= 3
    raw.tofile(path)


def commit(repo: artvc.Repo, data: Path) -> None:
    repo.commit([data], name=data.name, type="data")


def commit_files(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    many(data, size)
    return lambda: commit(repo, data)


def commit_again(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    many(data, size)
    commit(repo, data)
    commit(repo, data)  # files as new as the stat cache are read once more
    return lambda: commit(repo, data)


def status(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    many(data, size)
    commit(repo, data)
    repo.status([data])
    return lambda: repo.status([data])


def checkout_files(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    many(data, size)
    commit(repo, data)
    return lambda: repo.checkout(f"{data.name}:v0", data.with_suffix(".out"))


def commit_weights(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    weights(data, size)
    return lambda: commit(repo, data)


def commit_noise(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    data.mkdir()
    (data / "noise").write_bytes(random.Random(1).randbytes(size << 20))
    return lambda: commit(repo, data)


def commit_trained(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    weights(data, size)
    commit(repo, data)
    change(data)
    return lambda: commit(repo, data)


def checkout_weights(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    weights(data, size)
    commit(repo, data)
    return lambda: repo.checkout(f"{data.name}:v0", data.with_suffix(".out"))


def log(repo: artvc.Repo, data: Path, size: int) -> Callable[[], object]:
    for number in range(size):
        data.write_text(str(number))
        commit(repo, data)
    return lambda: list(repo.log())


WORK: dict[str, tuple[Callable[[artvc.Repo, Path, int], Callable[[], object]], int, str]] = {
    "commit small files": (commit_files, FILES, "file"),
    "commit unchanged files": (commit_again, FILES, "file"),
    "status of unchanged files": (status, FILES, "file"),
    "checkout small files": (checkout_files, FILES, "file"),
    "commit weights": (commit_weights, MIB, "MiB"),
    "commit noise": (commit_noise, MIB, "MiB"),
    "commit trained weights": (commit_trained, MIB, "MiB"),
    "checkout weights": (checkout_weights, MIB, "MiB"),
    "log": (log, 100, "run"),
}


# -- counting -------------------------------------------------------------------------------------------------------


class Calls:
    """Counts calls in all threads that begin inside of :meth:`counting`, and in its own."""

    def __init__(self) -> None:
        self._counters: list[Counter[str]] = []
        self._local = threading.local()
        self._ours: dict[str, bool] = {}

    def total(self) -> Counter[str]:
        return sum(self._counters, Counter())

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, arg: object) -> None:
        if event not in ("call", "c_call"):
            return
        counter = getattr(self._local, "counter", None)
        if counter is None:  # a counter for each thread: += is not atomic
            counter = self._local.counter = Counter()
            self._counters.append(counter)
        code = frame.f_code
        ours = self._ours.get(code.co_filename)
        if ours is None:
            ours = self._ours[code.co_filename] = code.co_filename.startswith(PACKAGE)
        if event == "call":
            if ours and code.co_name not in INLINED:
                counter["calls"] += 1
            return
        if ours:
            counter["C calls"] += 1
        if getattr(arg, "__module__", None) == "posix":
            counter["system calls"] += 1


def kernel_bytes() -> dict[str, int]:
    """Bytes that this process has read and written until now; nothing where the kernel does not tell."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return {}
    found = dict(re.findall(r"(\w+): (\d+)", text))
    return {"bytes read": int(found["rchar"]), "bytes written": int(found["wchar"])}


def count(name: str, place: Path, how: str = "count") -> dict[str, float]:
    """Do a piece of work in this process; what was counted, by unit.

    Args:
        name: of the work.
        place: an empty directory.
        how: "count", "plain" to do it without counting, "prepare" not to do it.
    """
    prepare, size, unit = WORK[name]
    artvc.Repo.init(place)
    with artvc.Repo.open(place) as repo:
        prepare(repo, place / "little", max(4, size // 16))()
        work = prepare(repo, place / "data", size)
        if how != "count":
            if how == "plain":
                work()
            return {}
        calls = Calls()
        before = kernel_bytes()
        with calls.counting():
            work()
        after = kernel_bytes()
    found: dict[str, float] = {key: value / size for key, value in calls.total().items()}
    scale = 1 << 20 if unit == "MiB" else 4096 if unit == "file" else 1
    # What /proc itself takes is a few hundred bytes.
    return found | {key: (after[key] - before[key]) / size / scale for key in before}


def count_apart(name: str) -> dict[str, float]:
    """The same in a process of its own."""
    done = _child(name, "count")
    found: dict[str, float] = json.loads(done.stdout)
    return {key: round(value, 3) for key, value in found.items()}


def instructions(name: str) -> float:
    """Instructions for each file, MiB or run, by callgrind: with the work less without."""
    taken = []
    for how in ("plain", "prepare"):
        with tempfile.TemporaryDirectory(prefix="artvc-counts-") as place:
            done = _child(name, how, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={place}/out"])
        found = re.search(r"Collected : (\d+)", done.stderr)
        if found is None:
            raise SystemExit(f"callgrind said nothing: {done.stderr}")
        taken.append(int(found[1]))
    return (taken[0] - taken[1]) / WORK[name][1]


def _child(name: str, how: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="artvc-counts-") as place:
        argv = [*before, sys.executable, "-m", "tests.bench.counts", "--one", name, "--place", place, "--how", how]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ARTVC_", "WANDB_", "PYTEST"))}
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, kept.get("PYTHONPATH", "")])
        env = {**kept, "HOME": place, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "ARTVC_FSYNC": "0", "ARTVC_JOBS": "2"}
        done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return done


def compare(name: str, found: dict[str, float], budget: dict[str, float]) -> Iterator[str]:
    """One line for each count that is above its budget."""
    unit = WORK[name][2]
    for key, allowed in budget.items():
        if key in found and found[key] > allowed * TOLERANCE + SLACK.get(key, 0.5):
            yield f"{name}: {found[key]:.2f} {key} a {unit}, {found[key] / allowed:.2f} times the budget of {allowed:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.counts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--only", choices=WORK)
    parser.add_argument("--one", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--how", default="count", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(count(given.one, given.place, given.how)))
        return
    budget: dict[str, dict[str, float]] = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    above: list[str] = []
    for name in [given.only] if given.only else WORK:
        found = count_apart(name)
        shown = dict(found)
        if given.callgrind:
            shown["instructions"] = round(instructions(name))
        print(
            f"{name}, a {WORK[name][2]}: " + ", ".join(f"{value:,} {key}" for key, value in shown.items()), flush=True
        )
        if given.renew:
            budget[name] = found
        above += compare(name, found, budget.get(name, {}))
    if given.renew:
        BUDGET.write_text(json.dumps(budget, indent=1) + "\n")
    if above:
        raise SystemExit("\n".join(above))


if __name__ == "__main__":
    main()
