"""The life of the process: kills, exits, forks, ranks; and that nothing logged is lost by them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import artvc
from artvc.errors import StorageFull, UsageError
from artvc.repo import Repository
from artvc.sdk import current, history, leftovers, process, run_files, workspace

ENVIRONMENT = {"PYTHONPATH": str(Path(artvc.__file__).parents[1])}


@pytest.fixture
def killed(desk):
    """Run code that prints ``ready``, then kill it with SIGKILL; returns the pid."""

    def run(code: str, **environment: str) -> int:
        code = textwrap.dedent(code) + "\nprint('ready', flush=True)\ntime.sleep(60)\n"
        child = subprocess.Popen(
            [sys.executable, "-c", "import artvc, time\n" + code],
            env={**os.environ, **ENVIRONMENT, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        return child.pid

    return run


def lines_of(desk, run="x"):
    with Repository.open(desk) as repo:
        return [(one.id, one.state, one.recoverable) for one in leftovers.listed(repo) if one.id == run]


def recover(desk, run="x"):
    with Repository.open(desk) as repo:
        left = leftovers.find(repo, run)
        assert left is not None and left.is_dead
        return leftovers.recover(repo, left)


def test_sigkill_a_second_after_logging_loses_nothing(desk, killed):
    killed("""
        run = artvc.init(project="p", id="x")
        for n in range(5000):
            artvc.log({"n": n})
        time.sleep(1)
    """)
    rows = (desk / ".artvc/runs/x/history.jsonl").read_text().splitlines()
    assert [json.loads(row)["n"] for row in rows] == list(range(5000))


def test_open_row_survives_sigkill(desk, killed, logged):
    killed("""
        artvc.init(project="p", id="x")
        artvc.log({"a": 1}, step=5)
        artvc.log({"a": 2}, step=9)
        artvc.log({"b": 3}, step=9)
        time.sleep(1)
    """)
    recover(desk)
    assert logged() == [{"_step": 5, "a": 1}, {"_step": 9, "a": 2, "b": 3}]


def test_killed_run_is_crashed_and_recovered_with_all_that_it_was(desk, killed, entries, last, run_files, rows):
    killed("""
        run = artvc.init(project="p", id="x", name="n", job_type="train", group="g", tags=["t"], notes="words",
                         config={"lr": 0.5})
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("a.txt", "w") as file:
            file.write("a")
        run.log_artifact(artifact)
        run.use_artifact("data:v0")
        artvc.define_metric("loss", summary="min")
        artvc.log({"loss": 2.5, "picture": artvc.Image([[0, 1]])})
        run.summary["best"] = 7
        run.alert("title", "text")
        open(run.dir + "/mine.txt", "w").write("mine")
        time.sleep(1)
    """)
    assert lines_of(desk) == [("x", "crashed", True)]
    recover(desk)
    assert lines_of(desk) == [("x", "crashed", False)]
    commit = last()
    assert (commit.state, commit.run_name, commit.job_type, commit.group) == ("crashed", "n", "train", "g")
    assert (commit.tags, commit.notes, commit.config) == (("t",), "words", {"lr": 0.5})
    assert commit.summary["loss"] == {"min": 2.5} and commit.summary["best"] == 7
    assert [edge.label for edge in entries()[0].outputs] == ["data:v0"]
    assert [edge.label for edge in entries()[0].inputs] == ["data:v0"]
    assert rows()[0]["loss"] == 2.5
    files = run_files()
    assert files["saved/mine.txt"] == b"mine"
    assert any(path.startswith("media/images/picture") for path in files)
    assert json.loads(files["alerts.jsonl"])["title"] == "title"
    assert len(entries()) == 1


def test_run_killed_before_it_recorded_anything_is_recovered(desk, killed, last, logged):
    killed("""
        artvc.init(project="p", id="x", config={"lr": 1})
        artvc.log({"a": 1})
        time.sleep(1)
    """)
    assert lines_of(desk) == [("x", "crashed", True)]
    recover(desk)
    assert (last().state, last().config, last().summary) == ("crashed", {"lr": 1}, {"a": 1})
    assert logged() == [{"_step": 0, "a": 1}]


def test_recover_keeps_times_and_clears_the_directory(desk, killed, last):
    killed("""
        artvc.init(project="p", id="x")
        artvc.log({"a": 1})
        time.sleep(1)
    """)
    before = leftovers.read_json(Repository.open(desk), str(desk / ".artvc/runs/x/run.json"))
    recover(desk)
    assert last().started == before["started"] <= last().ended
    assert list((desk / ".artvc/runs").iterdir()) == []


def test_resume_of_a_killed_run_takes_its_history_over(desk, killed, logged, last, entries):
    killed("""
        artvc.init(project="p", id="x", config={"lr": 1})
        artvc.log({"a": 1})
        artvc.log({"a": 2}, step=4)
        time.sleep(1)
    """)
    with artvc.init(project="p", id="x", resume="allow", config={"lr": 2}) as run:
        assert run.resumed and run.starting_step == 5
        assert (run.config["lr"], run.summary["a"]) == (2, 2)
        artvc.log({"a": 3})
    assert logged() == [{"_step": 0, "a": 1}, {"_step": 4, "a": 2}, {"_step": 5, "a": 3}]
    assert (last().state, last().config) == ("finished", {"lr": 2})
    assert len(entries()) == 1


def test_id_of_a_killed_run_begun_anew_keeps_the_killed_one_as_its_previous_commit(desk, killed, last, logged):
    killed("""
        artvc.init(project="p", id="x")
        artvc.log({"a": 1})
        time.sleep(1)
    """)
    with artvc.init(project="p", id="x"):
        artvc.log({"b": 1})
    assert logged() == [{"_step": 0, "b": 1}]
    assert last().previous is not None
    with Repository.open(desk) as repo:
        assert repo.commit(last().previous).state == "crashed"
        assert repo.commit(last().previous).summary == {"a": 1}


def test_row_torn_by_the_kill_is_cut_away(desk, killed, logged):
    killed("""
        artvc.init(project="p", id="x")
        artvc.log({"a": 1})
        time.sleep(1)
    """)
    with open(desk / ".artvc/runs/x/history.jsonl", "ab") as file:
        file.write(b'{"a": 2, "_st')
    (desk / ".artvc/runs/x/state.json").write_bytes(b'{"half')
    with artvc.init(project="p", id="x", resume="must") as run:
        assert run.step == 1
        artvc.log({"a": 3})
    assert logged() == [{"_step": 0, "a": 1}, {"_step": 1, "a": 3}]


def test_process_number_used_again_does_not_keep_a_killed_run_alive(desk):
    artvc.init(project="p", id="x")._finish("finished", 0)
    mine = os.getpid()
    assert process.alive(mine, process.birth(mine))
    assert not process.alive(mine, "another/1")
    assert not process.alive(2**22 + 1, "")


def test_run_under_way_elsewhere_is_not_taken(desk):
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import artvc, sys; artvc.init(project='p', id='x'); print('ready', flush=True); input()",
        ],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    try:
        assert lines_of(desk) == [("x", "running", False)]
        for resume in (None, "allow"):
            with pytest.raises(UsageError, match=f"under way in process {child.pid}"):
                artvc.init(project="p", id="x", resume=resume)
    finally:
        child.communicate("\n", timeout=60)
    assert lines_of(desk) == [("x", "finished", False)]


@pytest.mark.parametrize(
    ("end", "state", "code"),
    [
        ("sys.exit(3)", "failed", 3),
        ("sys.exit('no')", "failed", 1),
        ("sys.exit()", "finished", 0),
        ("raise KeyboardInterrupt", "killed", 130),
        ("raise ValueError", "crashed", 1),
    ],
)
def test_end_of_the_process_without_with_is_recorded_as_what_it_was(script, last, end, state, code):
    script(f"import artvc, sys; artvc.init(project='p'); artvc.log({{'a': 1}}); {end}")
    assert (last().state, last().exit_code) == (state, code)


def test_every_open_run_is_finished_at_the_end_of_the_process(script, entries):
    done = script("import artvc; artvc.init(project='p'); artvc.init(project='p', reinit='create_new').log({'a': 1})")
    assert done.returncode == 0, done.stderr
    assert [entry.commit.state for entry in entries()] == ["finished", "finished"]


def test_module_log_in_a_forked_child_is_dropped_with_one_warning(script, rows):
    done = script("""
import artvc, os, sys
artvc.init(project="p", config={"lr": 1})
child = os.fork()
if not child:
    assert artvc.config.lr == 1
    for n in range(3):
        artvc.log({"who": "child"})
    artvc.finish()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
artvc.log({"who": "parent"})
""")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("forked from the run's") == 1
    assert [row["who"] for row in rows()] == ["parent"]


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
def test_rank_above_zero_makes_no_run_of_its_own(desk, monkeypatch, name, capsys):
    monkeypatch.setattr(current._process, "told_of_rank", False)
    monkeypatch.setenv(name, "1")
    with artvc.init(project="p") as run:
        assert run.disabled
        artvc.log({"a": 1})
        assert run.summary["a"] == 1
    assert "process 1 of a distributed job" in capsys.readouterr().err
    assert list(desk.iterdir()) == []


@pytest.mark.parametrize(
    "asked",
    [{"group": "g"}, {"id": "mine"}, {"mode": "shared"}, {"settings": {"all_ranks": True}}],
    ids=lambda asked: next(iter(asked)),
)
def test_rank_above_zero_records_where_it_is_asked_to(monkeypatch, asked, last):
    monkeypatch.setenv("RANK", "1")
    with artvc.init(project="p", **asked) as run:
        assert not run.disabled
    assert last().run_id == run.id


def test_rank_is_zero_for_the_first_process_and_for_jobs_of_one():
    assert process.rank_of({"RANK": "0", "LOCAL_RANK": "3"}) == 0
    assert process.rank_of({"RANK": "2", "WORLD_SIZE": "4"}) == 2
    assert process.rank_of({"SLURM_PROCID": "2", "SLURM_NTASKS": "1"}) == 0
    assert process.rank_of({"RANK": "x"}) == 0


def test_initialised_torch_distributed_tells_the_rank(monkeypatch):
    from types import SimpleNamespace

    asked = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 5)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(distributed=asked))
    assert process.rank() == 5


def test_full_disk_costs_no_row_and_repeats_none(desk, monkeypatch, logged, capsys):
    run = artvc.init(project="p", id="x")
    disk = run._place.repo.disk
    real, full = disk.write, [True]

    def write(fd, buffers):
        if not full[0]:
            return real(fd, buffers)
        real(fd, [bytes(buffers[0])[:-7]])  # some of it gets there
        raise StorageFull("no space left")

    monkeypatch.setattr(disk, "write", write)
    path = desk / ".artvc/runs/x/history.jsonl"
    for n in range(3):
        artvc.log({"n": n})
    assert not run._history.flush()
    assert path.read_bytes() == b""
    artvc.log({"n": 3})
    assert not run._history.flush()
    full[0] = False
    assert run._history.flush()
    artvc.log({"n": 4})
    run.finish()
    assert [row["n"] for row in logged()] == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err.count("history not written yet") == 1


def test_timer_tries_again_after_a_full_disk(desk, monkeypatch, logged):
    monkeypatch.setattr(history, "FLUSH_SECONDS", 0.05)
    run = artvc.init(project="p", id="x")
    disk = run._place.repo.disk
    real, failures = disk.write, [StorageFull("no space left")] * 3

    def write(fd, buffers):
        if failures:
            raise failures.pop()
        return real(fd, buffers)

    monkeypatch.setattr(disk, "write", write)
    artvc.log({"n": 0})
    path = desk / ".artvc/runs/x/history.jsonl"
    end = time.monotonic() + 20
    while time.monotonic() < end and not (path.exists() and path.stat().st_size):
        time.sleep(0.01)
    assert json.loads(path.read_text())["n"] == 0
    run.finish()
    assert [row["n"] for row in logged()] == [0]


def test_directory_removed_under_the_run_is_said_once_and_stops_nothing(desk, capsys):
    run = artvc.init(project="p", id="x")
    shutil.rmtree(desk / ".artvc" / "runs")
    artvc.log({"a": 1})
    run._tick()
    artvc.log({"a": 2})
    run._tick()
    assert run.summary["a"] == 2
    assert capsys.readouterr().err.count("history not written yet") == 1
    os.makedirs(run.sync_dir)
    run.finish()


def test_history_with_a_row_longer_than_a_block_is_mended(desk):
    run = artvc.init(project="p", id="x")
    artvc.log({"text": "x" * 3_000_000})
    run._history.flush()
    disk, path = run._place.repo.disk, run._history.path
    with open(path, "ab") as file:
        file.write(b"y" * 2_500_000)
    assert history.mend(disk, path) == 1
    assert len(Path(path).read_bytes().splitlines()) == 1


def test_run_begun_anew_has_nothing_of_the_one_before(run_files):
    with artvc.init(project="p", id="x") as run:
        Path(run.dir, "old.txt").write_text("old")
        artvc.log({"picture": artvc.Image([[0, 1]])})
        run.alert("a", "b")
    with artvc.init(project="p", id="x"):
        artvc.log({"a": 1})
    assert list(run_files()) == ["history.jsonl"]


def test_files_of_the_run_directory_are_saved_and_stay(run_files):
    with artvc.init(project="p") as run:
        Path(run.dir, "sub").mkdir()
        Path(run.dir, "sub", "model.pt").write_bytes(b"weights")
    assert run_files()["saved/sub/model.pt"] == b"weights"
    assert Path(run.dir, "sub", "model.pt").read_bytes() == b"weights"


def test_a_finished_run_whose_directory_stayed_is_no_killed_one(monkeypatch):
    monkeypatch.setattr(run_files, "clear", lambda *_, **__: None)  # as when the disk fails just then
    with artvc.init(project="p", id="over") as run:
        run.log({"x": 1})
    found = workspace.find().repo
    assert (found.dir / "runs" / "over" / "run.json").exists()
    assert leftovers.find(found, "over") is None
    assert [line.state for line in leftovers.listed(found)] == ["finished"]
    again = artvc.init(project="p", id="over", resume="must")
    assert leftovers.find(found, "over") is not None  # it goes on, and could be killed again
    again.finish()
