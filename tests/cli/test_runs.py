"""``artvc run``: what it lists, shows and recovers."""

import os
import signal
import subprocess
import sys

import pytest

TRAIN = """
import artvc, os, signal, sys
run = artvc.init(project="p", id=sys.argv[1], name=f"name-{sys.argv[1]}", job_type="train", config={"lr": 0.5})
for n in range(10):
    artvc.log({"loss": 10 - n})
open(os.path.join(run.dir, "mine.txt"), "w").write("mine")
run.mark_preempting()
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "crash":
    raise ValueError
if sys.argv[2] == "wait":
    print("ready", flush=True)
    input()
"""


@pytest.fixture
def train(shell):
    """Run a training script; returns its process."""

    def run(run_id: str, end: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-c", TRAIN, run_id, end],
            cwd=shell.cwd,
            env=shell.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        if end == "wait":
            assert child.stdout.readline() == "ready\n"
        else:
            child.communicate(timeout=60)
            assert child.returncode == {"kill": -signal.SIGKILL, "crash": 1, "end": 0}[end]
        return child

    return run


def states(shell, *options):
    return {one["run"]: one["state"] for one in shell.json("run", "ls", *options)["runs"]}


def test_ls_tells_running_finished_crashed_and_killed_runs_apart(shell, train):
    train("done", "end")
    train("broken", "crash")
    train("gone", "kill")
    child = train("busy", "wait")
    try:
        assert states(shell) == {"busy": "running", "gone": "crashed", "broken": "crashed", "done": "finished"}
        found = {one["run"]: one for one in shell.json("run", "ls")["runs"]}
        assert [one for one in found if found[one]["recoverable"]] == ["gone"]
        assert found["busy"]["pid"] == child.pid and found["busy"]["host"] == os.uname().nodename
        assert found["gone"]["commit"] is None and found["done"]["commit"]
    finally:
        child.communicate("\n", timeout=60)
    assert states(shell)["busy"] == "finished"


def test_ls_filters_and_limits(shell, train):
    for run_id, end in (("one", "end"), ("two", "kill"), ("three", "end")):
        train(run_id, end)
    assert list(states(shell)) == ["three", "two", "one"]
    assert list(states(shell, "--state", "crashed")) == ["two"]
    assert list(states(shell, "-n", "2")) == ["three", "two"]
    assert states(shell, "--project", "other") == {}
    text = shell("run", "ls")
    assert [line.split()[:2] for line in text.splitlines()[:3]] == [
        ["three", "finished"], ["two", "crashed"], ["one", "finished"],
    ]  # fmt: skip
    assert "1 run killed: 'artvc run recover'" in text


def test_no_runs(shell):
    shell("init")
    assert shell("run", "ls") == "no runs\n"
    assert shell("run", "recover") == "no killed run to recover\n"


@pytest.mark.parametrize("end", ["end", "kill"])
def test_show_has_config_summary_history_and_files(shell, train, end):
    train("it", end)
    for word in ("it", "name-it", "p/it"):
        text = shell("run", "show", word)
        assert '"lr": 0.5' in text and '"loss": 1' in text
        assert "loss \N{FULL BLOCK}" in text
        assert "saved/mine.txt" in text
    assert ("artvc run recover it" in text) == (end == "kill")
    found = shell.json("run", "show", "it")
    assert found["state"] == {"end": "finished", "kill": "crashed"}[end]
    assert {"path": "saved/mine.txt", "size": 4} in found["entries"]


def test_recover_records_a_killed_run_with_all_it_left(shell, train):
    train("gone", "kill")
    assert shell("run", "recover", "gone").startswith("recovered p/gone name-gone: commit ")
    shown = shell.json("show", "gone")
    assert (shown["state"], shown["config"], shown["summary"]) == ("crashed", {"lr": 0.5}, {"loss": 1})
    paths = [one["path"] for one in shell.json("run", "show", "gone")["entries"]]
    assert paths == ["history.jsonl", "saved/mine.txt"]
    assert "left nothing to recover" in shell.fails(4, "run", "recover", "gone")


def test_recover_without_a_name_takes_all_killed_ones_and_no_other(shell, train):
    train("one", "kill")
    train("two", "kill")
    child = train("busy", "wait")
    try:
        assert {one["run"] for one in shell.json("run", "recover")["recovered"]} == {"one", "two"}
        assert "under way in process" in shell.fails(5, "run", "recover", "busy")
    finally:
        child.communicate("\n", timeout=60)
    assert states(shell) == {"busy": "finished", "two": "crashed", "one": "crashed"}


def test_run_of_another_machine_is_left_alone_unless_forced(shell, train):
    train("far", "kill")
    note = shell.cwd / ".artvc/runs/far/run.json"
    note.write_text(note.read_text().replace(f'"host":"{os.uname().nodename}","id"', '"host":"elsewhere","id"'))
    assert states(shell) == {"far": "running"}
    assert shell.json("run", "recover") == {"recovered": []}
    assert "may be under way on elsewhere" in shell.fails(5, "run", "recover", "far")
    assert len(shell.json("run", "recover", "far", "--force")["recovered"]) == 1
    assert states(shell) == {"far": "crashed"}


def test_unknown_and_ambiguous_runs(shell, train):
    shell("init")
    assert "no run 'nope'" in shell.fails(4, "run", "show", "nope")
    train("one", "end")
    note = shell.cwd / ".artvc/runs/broken"
    note.mkdir()
    (note / "run.json").write_text("no JSON")
    assert states(shell) == {"one": "finished"}


def test_names_in_notes_reach_the_terminal_without_control_characters(shell, train):
    train("evil", "kill")
    state = shell.cwd / ".artvc/runs/evil/state.json"
    state.write_text(state.read_text().replace("name-evil", "x\\u001b[31m"))
    for command in (["ls"], ["show", "evil"]):
        assert "\x1b" not in shell("run", *command)


def test_run_alone_and_mistyped_and_its_help(shell):
    done = shell.run("run")
    assert (done.returncode, done.stdout) == (2, "") and "Usage: artvc run" in done.stderr
    message = shell.fails(2, "run", "lss")
    assert message == "artvc: error: 'lss' is no artvc run command; did you mean 'ls'?; see 'artvc run --help'"
    assert shell("help", "run", "ls") == shell("run", "ls", "--help")
    assert "artvc help run" in shell.fails(4, "help", "run", "nope")


def test_completion_of_subcommands_runs_and_states(shell, train):
    train("done", "end")
    train("gone", "kill")
    assert shell("__complete", "run", "") == "ls\nrecover\nshow\n"
    assert shell("__complete", "run", "show", "") == "done\ngone\n"
    assert shell("__complete", "run", "recover", "g") == "gone\n"
    assert shell("__complete", "run", "ls", "--state", "f") == "failed\nfinished\n"
    assert shell("__complete", "run", "ls", "--m") == "--max-count\n"
