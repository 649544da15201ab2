"""What listing, filtering and ordering many runs costs.

    python tests/bench/list_runs.py --runs 10000

The runs are recorded one by one, each in a transaction of its own as a script's would be (a minute for 10,000); then
a fresh ``Api`` is timed on each question, the median of 5.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import artvc
from artvc import recording
from artvc.model.objects import Commit
from artvc.repo import Repository
from artvc.settings import Settings

QUESTIONS: dict[str, Callable[[artvc.Api], object]] = {
    "len": lambda api: len(api.runs("many")),
    "names of the newest 50": lambda api: [run.name for run in api.runs("many", order="-created_at")[:50]],
    "states of the newest 50": lambda api: [run.state for run in api.runs("many", order="-created_at")[:50]],
    "filter by config": lambda api: len(api.runs("many", {"config.lr": {"$lt": 5}})),
    "filter and order by summary": lambda api: len(
        api.runs("many", {"state": "finished"}, order="-summary_metrics.loss")
    ),
    "config and summary of all": lambda api: [(run.config, run.summary) for run in api.runs("many")],
}


def record(place: Path, count: int) -> None:
    """Runs with a config, a summary and the environment that a run has."""
    environment = {"python": "3.11", "packages": {f"package-{number}": "1.2.3" for number in range(60)}}
    base = Commit(run_id="r", run_name="n", project="many", environment=environment, started=stamp(0), ended=stamp(0))
    with Repository.create(place, project="many", settings=Settings(sync=False))[0] as repo:
        for number in range(count):
            commit = replace(
                base,
                run_id=f"run{number}",
                run_name=f"sunny-{number}",
                config={"lr": number / 1000, "optimizer": {"name": "adam"}},
                summary={"loss": 1 / (number + 1)},
                started=stamp(number),
                ended=stamp(number + 1),
                state="finished" if number % 7 else "failed",
            )
            with repo.ingest() as ingest:
                recording.record(repo, ingest, commit, [], why="bench")


def stamp(second: int) -> str:
    return f"2026-01-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artvc-bench-") as place:
        began = time.perf_counter()
        record(Path(place), chosen.runs)
        report: dict[str, object] = {"runs": chosen.runs, "recording, s": round(time.perf_counter() - began, 1)}
        for name, ask in QUESTIONS.items():
            times = []
            for _ in range(5):
                began = time.perf_counter()
                ask(artvc.Api(path=place))
                times.append(time.perf_counter() - began)
            report[f"{name}, s"] = round(statistics.median(times), 4)
        report["load"] = os.getloadavg()[0]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
