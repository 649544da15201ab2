"""resume="auto", reinit, and what a resumed run takes over."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import artvc
from artvc.errors import InvalidInput

ENVIRONMENT = {"PYTHONPATH": str(Path(artvc.__file__).parents[1])}
PROGRAM = """
import artvc, os, signal, sys
run = artvc.init(project=sys.argv[2] if len(sys.argv) > 2 else "p", resume="auto")
artvc.log({"n": run.step})
print(run.id, run.resumed, flush=True)
if sys.argv[1] == "kill":
    run.mark_preempting()
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "crash":
    raise ValueError
"""


@pytest.fixture
def program(desk):
    """Run a program that resumes by itself; returns the run's id and whether it was resumed."""
    (desk / "train.py").write_text(PROGRAM)

    def run(*words, cwd=desk):
        done = subprocess.run(
            [sys.executable, str(desk / "train.py"), *words],
            env={**os.environ, **ENVIRONMENT},
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode in ({"kill": -signal.SIGKILL, "crash": 1}.get(words[0], 0),)
        run_id, resumed = done.stdout.split()
        return run_id, resumed == "True"

    return run


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_auto_goes_on_with_the_last_unfinished_run(program, rows, last, end):
    first, resumed = program(end)
    assert not resumed
    assert program("end") == (first, True)
    assert [row["n"] for row in rows()] == [0, 1]
    assert last().state == "finished"
    other, resumed = program("end")
    assert other != first and not resumed


def test_auto_leaves_runs_of_other_projects_directories_and_programs_alone(program, desk):
    first, _ = program("kill")
    assert program("end", "q")[1] is False
    (desk / "elsewhere").mkdir()
    assert program("end", cwd=desk / "elsewhere")[1] is False
    with artvc.init(project="p", resume="auto") as run:  # this program is another
        assert not run.resumed
    assert program("end") == (first, True)


def test_auto_with_an_id_is_allow():
    with artvc.init(project="p", id="x", resume="auto") as run:
        assert run.id == "x" and not run.resumed
    with artvc.init(project="p", id="x", resume="auto") as run:
        assert run.resumed


def test_resume_true_is_allow_and_the_environment_may_ask_for_it(monkeypatch):
    with artvc.init(project="p", id="x", resume=True) as run:
        assert not run.resumed
    monkeypatch.setenv("WANDB_RESUME", "must")
    with artvc.init(project="p", id="x") as run:
        assert run.resumed


def test_resumed_run_keeps_what_it_was_called_and_takes_new_config(last):
    with artvc.init(project="p", id="x", name="n", job_type="j", group="g", tags=["t"], notes="w", config={"a": 1}):
        pass
    with artvc.init(project="p", id="x", resume="must", config={"a": 2, "b": 3}, notes="anew"):
        pass
    commit = last()
    assert (commit.run_name, commit.job_type, commit.group, commit.tags) == ("n", "j", "g", ("t",))
    assert (commit.notes, commit.config) == ("anew", {"a": 2, "b": 3})


def test_nan_of_summary_and_config_is_a_number_again_after_resume():
    nan = float("nan")
    with artvc.init(project="p", id="x", config={"a": nan}) as run:
        artvc.log({"loss": nan, "top": float("inf")})
    with artvc.init(project="p", id="x", resume="must", config={"a": nan}) as run:
        assert run.summary["loss"] != run.summary["loss"]
        assert run.summary["top"] == float("inf")
        assert run.config["a"] != run.config["a"]


@pytest.mark.parametrize("reinit", [None, False, "default", "return_previous"])
def test_reinit_returns_the_run_under_way(reinit):
    first = artvc.init(project="p")
    assert artvc.init(project="p", reinit=reinit) is first


@pytest.mark.parametrize("reinit", [True, "finish_previous"])
def test_reinit_finishes_the_run_under_way(reinit):
    first = artvc.init(project="p")
    second = artvc.init(project="p", reinit=reinit)
    assert first.state == "finished" and artvc.run is second


def test_reinit_creates_a_run_beside_the_one_under_way(entries):
    first = artvc.init(project="p")
    with artvc.init(project="p", reinit="create_new") as second:
        second.log({"b": 1})
        artvc.log({"a": 1})
    assert artvc.run is first
    first.finish()
    assert [entry.commit.summary for entry in entries()] == [{"a": 1}, {"b": 1}]


def test_unknown_reinit_and_resume_are_refused():
    with pytest.raises(InvalidInput, match="resume"):
        artvc.init(project="p", id="x", resume="perhaps")
    with artvc.init(project="p"), pytest.raises(InvalidInput, match="reinit"):
        artvc.init(reinit="perhaps")
