"""What logging an artifact costs beside W&B's offline mode, on the same files in the same run.

    python3 -m venv /tmp/bench && /tmp/bench/bin/pip install wandb -e .
    /tmp/bench/bin/python tests/bench/wandb_offline.py                  # medians of 5, 2 minutes, 4 GB of disk
    python tests/bench/wandb_offline.py --wandb-python /tmp/bench/bin/python --rounds 3

Each round logs the same directory with artvc and with W&B, one after the other, each in a process and a directory of its
own.  Timed are, inside of the process: ``log``, from making the draft until ``log_artifact`` returns (artvc's
version is durable then, W&B's is not yet written), and ``finished``, until ``finish`` returns.  Disk use is what lies in the
directories of the repository or of W&B's runs, staging and cache afterwards.  Nothing is deleted while measuring.
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
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys, time
import {module} as wandb
source = sys.argv[1]
run = wandb.init(project="bench", mode="offline")
began = time.perf_counter()
artifact = wandb.Artifact("data", "dataset")
artifact.add_dir(source)
run.log_artifact(artifact)
logged = time.perf_counter()
run.finish()
finished = time.perf_counter()
print(json.dumps({{"log": logged - began, "finished": finished - began}}))
"""
BARS = {"5,000 files of 4 KB": ("log", 1.0), "256 MB": ("log", 0.5)}
IMPORT_BAR = 0.030


def make_files(target: Path) -> None:
    """5,000 JSON files of 4 KiB, 500 to a directory, by seed."""
    source = random.Random(1)
    for number in range(5000):
        folder = target / f"{number // 500:02}"
        folder.mkdir(parents=True, exist_ok=True)
        line = f'{{"id": {number}, "values": "{source.getrandbits(1600):x}"}}\n'
        (folder / f"{number:05}.json").write_text((line * 10)[:4096].ljust(4096))


def make_large(target: Path) -> None:
    """One file of 256 MiB that can't be compressed, by seed."""
    target.mkdir(parents=True)
    source = random.Random(1)
    with (target / "weights.bin").open("wb") as file:
        for _ in range(16):
            file.write(source.randbytes(16 << 20))


def measure(python: str, module: str, data: Path, place: Path) -> dict[str, float]:
    """Log a directory in a fresh process: seconds, and bytes on disk afterwards."""
    work, home = place / "work", place / "home"
    for folder in (work, home):
        folder.mkdir(parents=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "ARTVC_"))},
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(work),
        "WANDB_CACHE_DIR": str(place / "cache"),
        "WANDB_CONFIG_DIR": str(place / "config"),
        "WANDB_DATA_DIR": str(place / "data"),
    }
    done = subprocess.run(
        [python, "-c", PROGRAM.format(module=module), str(data)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "disk": disk_use(place)}


def disk_use(place: Path) -> float:
    """Bytes of the blocks of all files below a directory."""
    return float(sum(path.lstat().st_blocks * 512 for path in place.rglob("*") if path.is_file()))


def import_times(rounds: int) -> dict[str, float]:
    """Medians of the wall time of starting Python, with and without ``import artvc``."""
    programs = {"pass": "pass", "import artvc": "import artvc"}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(4 * rounds + 1):
        for name, code in programs.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
            if number:  # the first one fills caches
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wandb-python", default=sys.executable, help="an interpreter that has wandb")
    parser.add_argument("--scratch", type=Path, help="where to work (default: the temporary directory)")
    chosen = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="artvc-bench-", dir=chosen.scratch))
    report: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load before": os.getloadavg()[0],
    }
    try:
        for name, make in (("5,000 files of 4 KB", make_files), ("256 MB", make_large)):
            data = scratch / name / "data"
            make(data)
            size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
            found: dict[str, list[dict[str, float]]] = {"artvc": [], "wandb": []}
            for number in range(chosen.rounds + 1):
                for module, python in (("artvc", sys.executable), ("wandb", chosen.wandb_python)):
                    one = measure(python, module, data, scratch / name / f"{module}-{number}")
                    if number:  # the first one fills the page cache and compiles
                        found[module].append(one)
            report[name] = {
                module: {
                    "log s": round(statistics.median(one["log"] for one in taken), 3),
                    "log s, best and worst": [
                        round(min(one["log"] for one in taken), 3),
                        round(max(one["log"] for one in taken), 3),
                    ],
                    "finished s": round(statistics.median(one["finished"] for one in taken), 3),
                    "disk, times the data": round(statistics.median(one["disk"] for one in taken) / size, 2),
                }
                for module, taken in found.items()
            }
            key, bar = BARS[name]
            median = statistics.median(one[key] for one in found["artvc"])
            report[f"{name}: bar"] = f"{bar} s: {'kept' if median < bar else 'MISSED'}"
        times = import_times(chosen.rounds)
        above = times["import artvc"] - times["pass"]
        report["import"] = {**{name: round(found, 4) for name, found in times.items()}, "above": round(above, 4)}
        report["import: bar"] = f"{IMPORT_BAR} s: {'kept' if above < IMPORT_BAR else 'MISSED'}"
        report["load after"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
