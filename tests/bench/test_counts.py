"""Nothing does much more work than the budget allows, and the benchmarks themselves run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import counts

ROOT = Path(__file__).parents[2]
BUDGET = json.loads(counts.BUDGET.read_text())


@pytest.mark.parametrize("name", counts.WORK)
def test_it_stays_within_its_budget(name):
    above = list(counts.compare(name, counts.count_apart(name), BUDGET[name]))
    assert not above, "\n".join([*above, "if that is meant: python -m tests.bench.counts --renew"])


def test_each_piece_of_work_has_a_budget_and_the_other_way_round():
    assert BUDGET.keys() == counts.WORK.keys()
    assert all({"calls", "C calls", "system calls"} <= found.keys() for found in BUDGET.values())


def test_more_than_the_budget_is_told():
    (told,) = counts.compare("commit noise", {"calls": 120.0, "bytes read": 1.1}, {"calls": 100.0, "bytes read": 1.0})
    assert told == "commit noise: 120.00 calls a MiB, 1.20 times the budget of 100.00"
    assert not list(counts.compare("commit noise", {"calls": 114.0}, {"calls": 100.0}))
    assert list(counts.compare("status of unchanged files", {"bytes read": 0.05}, {"bytes read": 0.01}))


def test_calls_are_counted_in_every_thread(tmp_path):
    """What workers do is not left out: each file is opened, looked at twice, read and closed by one."""
    (tmp_path / "again").mkdir()
    assert counts.count("commit small files", tmp_path)["system calls"] > 5
    assert counts.count("commit small files", tmp_path / "again", "plain") == {}


def test_the_benchmarks_run(tmp_path):
    parts = "weights,files,changed,tree,frozen,csv,index,start"
    argv = ["-m", "tests.bench", "--scale", "0.001", "--rounds", "1", "--tools", "artvc,cp + sync,sha256sum,cp"]
    argv += ["--only", parts, "--scratch", str(tmp_path), "--json", str(tmp_path / "found.json")]
    done = subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found["parts"]) | set(found["facts"]) == set(parts.split(","))
    for part in found["parts"].values():
        assert part["tools"]["artvc"]["first"], part
    assert "| peak memory beyond the interpreter | at most 300 MB |" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]  # it cleans up
