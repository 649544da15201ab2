"""Runs: how they begin, what they are called, how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import artvc
from artvc.errors import InvalidInput, NotFound, UsageError


def test_id_is_eight_base36_and_name_adjective_noun_counter():
    for number in (1, 2, 3):
        with artvc.init(project="p") as run:
            assert re.fullmatch("[0-9a-z]{8}", run.id)
            assert re.fullmatch(rf"[a-z]+-[a-z]+-{number}", run.name)
    with artvc.init(project="other") as run:
        assert run.name.endswith("-1")


def test_five_sequential_runs_in_one_process(entries):
    for number in range(5):
        with artvc.init(project="p", job_type=f"step-{number}"):
            artvc.log({"n": number})
    assert [entry.commit.job_type for entry in entries()] == [f"step-{n}" for n in (4, 3, 2, 1, 0)]
    assert all(entry.commit.state == "finished" for entry in entries())


def test_init_takes_all_of_wandbs_keywords_and_warns_once_of_unknown(capsys, last):
    run = artvc.init(
        entity="me", project="p", dir=".", id="abc", name="n", notes="words", tags=["b", "a"], config=None,
        config_exclude_keys=None, config_include_keys=None, allow_val_change=False, group="g", job_type="j",
        mode="offline", force=False, reinit=True, resume=None, resume_from=None, fork_from=None, save_code=True,
        tensorboard=False, sync_tensorboard=False, monitor_gym=False, settings=None, anonymous="allow",
        colour="red", taste=1,
    )  # fmt: skip
    assert (run.id, run.name, run.entity, run.group, run.job_type, run.notes) == ("abc", "n", "me", "g", "j", "words")
    assert run.tags == ("a", "b")
    assert run.offline and not run.disabled and not run.resumed
    assert run.path == "p/abc"
    assert capsys.readouterr().err.count("colour, taste") == 1
    run.finish()
    assert last().tags == ("a", "b")
    assert last().notes == "words"


def test_environment_names_what_is_not_given(monkeypatch):
    for name, value in {
        "WANDB_PROJECT": "wp", "ARTVC_NAME": "an", "WANDB_NAME": "wn", "WANDB_RUN_ID": "rid", "WANDB_NOTES": "nn",
        "WANDB_TAGS": "x, y", "WANDB_RUN_GROUP": "rg", "WANDB_JOB_TYPE": "jt",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with artvc.init() as run:
        got = (run.project, run.name, run.id, run.notes, run.tags, run.group, run.job_type)
        assert got == ("wp", "an", "rid", "nn", ("x", "y"), "rg", "jt")


def test_project_omitted_is_that_of_the_git_work_tree(desk):
    (desk / ".git").mkdir()
    (desk / "deep" / "er").mkdir(parents=True)
    os.chdir(desk / "deep" / "er")
    with artvc.init() as run:
        assert run.project == "work"
    assert (desk / ".artvc").is_dir()
    assert not (desk / "deep" / "er" / ".artvc").exists()


def test_without_git_the_repository_is_made_here_and_said_so_once(desk, capsys):
    with artvc.init() as run:
        assert run.project == "uncategorized"
    with artvc.init():
        pass
    said = capsys.readouterr().err
    assert said.count(f"made a repository in {desk / '.artvc'}") == 1


def test_dir_says_where_and_is_made(desk):
    with artvc.init(dir="logs/here", project="p"):
        pass
    assert (desk / "logs" / "here" / ".artvc").is_dir()


def test_wandb_dir_says_where(desk, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(desk / "elsewhere"))
    with artvc.init(project="p"):
        pass
    assert (desk / "elsewhere" / ".artvc").is_dir()


def test_header_and_footer_say_how_to_look_unless_silent(capsys, monkeypatch):
    with artvc.init(project="p") as run:
        pass
    said = capsys.readouterr()
    assert said.out == ""
    assert "artvc log" in said.err and f"artvc show {run.id}" in said.err
    monkeypatch.setenv("WANDB_SILENT", "true")
    with artvc.init(project="p"):
        pass
    assert capsys.readouterr() == ("", "")


def test_exception_in_the_body_propagates_and_marks_the_run_failed(last, rows):
    with pytest.raises(ZeroDivisionError), artvc.init(project="p"):
        artvc.log({"a": 1})
        1 / 0  # noqa: B018
    assert artvc.run is None
    assert (last().state, last().exit_code) == ("failed", 1)
    assert rows()[0]["a"] == 1


def test_keyboard_interrupt_marks_the_run_killed(last):
    with pytest.raises(KeyboardInterrupt), artvc.init(project="p"):
        raise KeyboardInterrupt
    assert (last().state, last().exit_code) == ("killed", 130)


@pytest.mark.parametrize(("code", "state"), [(0, "finished"), (None, "finished"), (3, "failed"), ("no", "failed")])
def test_system_exit_in_the_body(code, state, last):
    with pytest.raises(SystemExit), artvc.init(project="p"):
        raise SystemExit(code)
    assert last().state == state


def test_finish_with_exit_code_and_twice(last):
    run = artvc.init(project="p")
    run.finish(exit_code=2)
    run.finish()
    assert (last().state, last().exit_code) == ("failed", 2)
    with pytest.raises(UsageError, match="finished"):
        run.log({"a": 1})
    with pytest.raises(UsageError, match="finished"):
        run.log_artifact(artvc.Artifact("a", "t"))


def test_atexit_finishes_an_open_run(script, last, rows):
    done = script("import artvc; artvc.init(project='p'); artvc.log({'a': 1})")
    assert done.returncode == 0, done.stderr
    assert last().state == "finished"
    assert rows()[0]["a"] == 1


def test_unhandled_exception_marks_an_open_run_crashed_and_hooks_are_chained(script, last, rows):
    done = script(
        "import sys\n"
        "sys.excepthook = lambda *a: print('my hook')\n"
        "import artvc; artvc.init(project='p'); artvc.log({'a': 1}); 1/0"
    )
    assert done.returncode == 1
    assert done.stdout == "my hook\n"
    assert (last().state, last().exit_code) == ("crashed", 1)
    assert rows()[0]["a"] == 1


def test_forked_child_neither_finishes_nor_writes_the_parents_run(script, entries, rows):
    done = script(
        """
import artvc, os, sys
run = artvc.init(project="p")
artvc.log({"who": "parent"})
child = os.fork()
if not child:
    assert artvc.run is None
    run.log({"who": "child"})
    try:
        run.log_artifact(artvc.Artifact("a", "t"))
    except artvc.errors.UsageError:
        pass
    else:
        os._exit(9)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
artvc.log({"who": "parent"})
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert len(entries()) == 1
    assert [row["who"] for row in rows()] == ["parent", "parent"]


def test_forked_child_may_begin_a_run_of_its_own(script, entries):
    done = script(
        """
import artvc, os, sys
run = artvc.init(project="p")
child = os.fork()
if not child:
    with artvc.init(project="p", job_type="child") as own:
        own.log({"a": 1})
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
run.finish()
"""
    )
    assert done.returncode == 0, done.stderr
    assert sorted(entry.commit.job_type for entry in entries()) == ["", "child"]


def test_killed_run_leaves_what_it_logged(desk, entries, last, rows):
    code = """
import artvc, time
run = artvc.init(project="p", id="victim")
(artifact := artvc.Artifact("data", "dataset"))
with artifact.new_file("a.txt", "w") as file:
    file.write("a")
run.log_artifact(artifact)
for n in range(10):
    artvc.log({"n": n})
artvc.log({"n": 10})
time.sleep(1)
print("ready", flush=True)
time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(artvc.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert last().state == "running"
    assert [edge.label for edge in entries()[0].outputs] == ["data:v0"]
    lines = (desk / ".artvc/runs/victim/history.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(11))
    assert json.loads((desk / ".artvc/runs/victim/run.json").read_text())["pid"] == process.pid
    with artvc.init(project="p", id="victim", resume="must") as run:
        assert run.resumed and run.step == 11
        artvc.log({"n": 11})
    assert [row["n"] for row in rows()] == list(range(12))
    assert last().state == "finished"


def test_mode_disabled_records_nothing(desk):
    with artvc.init(mode="disabled", project="p", config={"lr": 1}) as run:
        assert run.disabled and artvc.config.lr == 1
        artvc.log({"a": 1, "image": artvc.Image([[0, 1]])})
        artvc.log({"a": 2}, step=9)
        assert run.summary["a"] == 2 and run.step == 9
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("a.txt", "w") as file:
            file.write("a")
        assert artifact.size == 1
        assert run.log_artifact(artifact) is artifact
        assert artvc.save("nothing*") == []
    assert list(desk.iterdir()) == []


@pytest.mark.parametrize(("name", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
def test_mode_from_the_environment(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with artvc.init() as run:
        assert run.disabled


def test_init_during_a_run_returns_it_and_reinit_finishes_it():
    first = artvc.init(project="p")
    assert artvc.init(project="q") is first
    second = artvc.init(project="p", reinit=True)
    assert second is not first and first.state == "finished"
    third = artvc.init(project="p", reinit="create_new")
    assert artvc.run is second
    third.log({"a": 1})
    third.finish()
    assert artvc.run is second


def test_resume(desk, entries, rows, run_files):
    (desk / "a.txt").write_text("a")
    with artvc.init(project="p", id="x", config={"lr": 1}) as run:
        artvc.log({"a": 1})
        artvc.log({"a": 2})
        artvc.save("a.txt")
        run.log_artifact("a.txt", name="data", type="dataset")
    with pytest.raises(UsageError, match="no run 'y'"):
        artvc.init(project="p", id="y", resume="must")
    with pytest.raises(UsageError, match="there already"):
        artvc.init(project="p", id="x", resume="never")
    with pytest.raises(InvalidInput, match="resume"):
        artvc.init(project="p", id="x", resume="maybe")
    name = run.name
    with artvc.init(project="p", id="x", resume="allow") as run:
        assert (run.resumed, run.step, run.name, artvc.config.lr, run.summary["a"]) == (True, 2, name, 1, 2)
        artvc.log({"a": 3})
        run.use_artifact("data")
    assert [(row["_step"], row["a"]) for row in rows()] == [(0, 1), (1, 2), (2, 3)]
    assert len(entries()) == 1
    assert [edge.label for edge in entries()[0].outputs] == ["data:v0"]
    assert run_files()["saved/a.txt"] == b"a"


def test_same_id_without_resume_begins_anew_and_keeps_the_chain(entries, last, rows):
    with artvc.init(project="p", id="x"):
        artvc.log({"a": 1})
    before = entries()[0].commit_id
    with artvc.init(project="p", id="x"):
        artvc.log({"b": 1})
    assert last().previous == before
    assert [set(row) - {"_step", "_timestamp", "_runtime"} for row in rows()] == [{"b"}]


def test_save_is_a_snapshot_that_dedupes_with_the_artifact(desk, run_files):
    data = os.urandom(300_000)
    (desk / "model.pth").write_bytes(data)
    with artvc.init(project="p") as run:
        artifact = artvc.Artifact("model", "model")
        artifact.add_file("model.pth")
        assert artvc.save("model.pth") == ["model.pth"]
        (desk / "model.pth").write_bytes(b"changed later")
        run.log_artifact(artifact)
        assert artvc.save("missing*") == []
    assert run_files()["saved/model.pth"] == data
    stored = sum(path.stat().st_size for path in (desk / ".artvc/packs").iterdir())
    assert stored < 1.2 * len(data)


def test_save_glob_keeps_relative_paths_and_policy_end_reads_late(desk, run_files):
    (desk / "out" / "deep").mkdir(parents=True)
    for name in ("out/a.txt", "out/deep/b.txt", "late.txt"):
        (desk / name).write_text("early")
    with artvc.init(project="p"):
        assert artvc.save("out/**/*.txt") == ["out/a.txt", "out/deep/b.txt"]
        assert artvc.save(desk / "out" / "a.txt") == [str(desk / "out/a.txt")]
        artvc.save(desk / "out" / "deep" / "b.txt", base_path=desk)
        artvc.save("late.txt", policy="end")
        (desk / "late.txt").write_text("late")
        with pytest.raises(InvalidInput, match="base_path"):
            artvc.save(desk / "late.txt", base_path=desk / "out")
        with pytest.raises(InvalidInput, match="policy"):
            artvc.save("late.txt", policy="sometimes")
    files = run_files()
    assert set(files) == {"saved/out/a.txt", "saved/out/deep/b.txt", "saved/late.txt"}
    assert files["saved/late.txt"] == b"late"


def test_save_of_an_absolute_path_keeps_one_directory_and_of_run_dir_none(desk, run_files):
    for name in ("one", "two"):
        (desk / "data" / name).mkdir(parents=True)
        (desk / "data" / name / "a.txt").write_text(name)
    with artvc.init(project="p") as run:
        artvc.save(f"{desk}/data/one/a.txt")
        artvc.save(f"{desk}/data/*/a.txt")
        Path(run.dir, "own.txt").write_text("own")
        artvc.save(os.path.join(run.dir, "own.txt"))
        with run.restore("own.txt") as file:
            assert file.read() == "own"
    assert run_files() == {"saved/one/a.txt": b"one", "saved/two/a.txt": b"two", "saved/own.txt": b"own"}


@pytest.mark.parametrize("base", [None, "."])
def test_save_that_leads_out_is_a_value_error(base, desk):
    (desk.parent / "up.txt").write_text("up")
    (desk / "..odd").write_text("odd")
    with artvc.init(project="p"):
        with pytest.raises(ValueError, match="up.txt"):
            artvc.save("../up.txt", base_path=base)
        assert artvc.save("../up.txt", base_path="..") == ["../up.txt"]
        assert artvc.save("..odd", base_path=base) == ["..odd"]
    with artvc.init(project="p"), pytest.raises(ValueError, match="leads out"):
        artvc.save("../nothing*")


def test_what_is_changed_after_finish_is_refused_and_not_lost_silently():
    with artvc.init(project="p", id="r1", config={"a": 1}) as run:
        pass
    for act in (
        lambda: run.config.update({"b": 2}),
        lambda: run.summary.update({"b": 2}),
        lambda: run.summary.__setitem__("b", 2),
        lambda: setattr(run, "name", "new"),
        lambda: setattr(run, "tags", ["new"]),
    ):
        with pytest.raises(UsageError, match="finished") as caught:
            act()
        assert "p/r1" in caught.value.hint
    found = artvc.Api().run("p/r1")
    assert (found.config, found.tags) == ({"a": 1}, [])


def test_reinit_that_is_not_known_is_refused_without_a_run_too():
    with pytest.raises(InvalidInput, match="reinit"):
        artvc.init(project="p", reinit="sometimes")
    assert artvc.run is None


def test_the_commit_holds_what_the_run_was(last):
    with artvc.init(project="p", job_type="train", config={"lr": 0.1, "shape": (1, 2)}, group="g"):
        artvc.log({"loss": 0.5})
        artvc.summary["accuracy"] = 0.9
    commit = last()
    assert commit.config == {"lr": 0.1, "shape": [1, 2]}
    assert commit.summary == {"loss": 0.5, "accuracy": 0.9}
    assert commit.author["name"] == "Ada"
    assert commit.environment["packages"] and commit.code["argv"]
    assert commit.started < commit.ended


def test_own_directory_is_gone_after_finish_and_there_before(desk):
    run = artvc.init(project="p")
    artvc.log({"a": artvc.Image([[0, 1]])})
    assert Path(run.sync_dir, "media").is_dir()
    run.finish()
    assert list((desk / ".artvc" / "runs").iterdir()) == []
    assert list((desk / ".artvc" / "tmp").iterdir()) == []


def test_bad_ids_projects_modes():
    for bad in ({"id": "a/b"}, {"project": "a b"}, {"mode": "sideways"}):
        with pytest.raises(InvalidInput):
            artvc.init(**{"project": "p", **bad})
        assert artvc.run is None
    with artvc.init(project="p"), pytest.raises(InvalidInput):
        artvc.init(reinit="maybe")


def test_use_artifact_in_another_project_keeps_its_project(entries):
    with artvc.init(project="a") as run:
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("x", "w") as file:
            file.write("x")
        run.log_artifact(artifact)
    with artvc.init(project="b") as run:
        assert run.use_artifact("a/data:v0").project == "a"
        with pytest.raises(NotFound):
            run.use_artifact("c/data:v0")
    assert [(edge.project, edge.label, edge.asked) for edge in entries()[0].inputs] == [("a", "data:v0", "data:v0")]


def test_two_processes_logging_one_name_get_consecutive_versions(script, desk):
    code = """
import artvc, sys
with artvc.init(project="p") as run:
    for n in range(5):
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("a", "w") as file:
            file.write(f"{sys.argv[0]} {run.id} {n}")
        run.log_artifact(artifact)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(artvc.__file__).parents[1])}
    artvc.Repo.init(desk).close()
    both = [subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    with artvc.Repo.open(desk) as repo:
        assert [version.number for version in repo.versions("p/data")] == list(range(10))


def test_history_is_written_at_least_every_second(desk, monkeypatch):
    run = artvc.init(project="p")
    path = Path(run.sync_dir, "history.jsonl")
    artvc.log({"a": 1})
    assert not path.exists()
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 1.1)
    artvc.log({"a": 2})
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, 2]


def test_step_runtime_and_timestamp_are_read_from_the_summary_and_not_listed():
    before = time.time()
    with artvc.init(project="p", id="r1") as run:
        assert run.summary.get("_step") is None
        with pytest.raises(KeyError):
            run.summary["_runtime"]
        run.log({"loss": 1.0}, step=7)
        assert run.summary["_step"] == run.summary._step == 7  # the open row
        run.log({"loss": 0.5}, step=9)
    assert run.summary["_step"] == 9
    assert before - 1 < run.summary["_timestamp"] < time.time() + 1
    assert 0 <= run.summary["_runtime"] < 60
    assert dict(run.summary) == {"loss": 0.5} and len(run.summary) == 1
    past = artvc.Api().run("p/r1").summary
    assert (past["_step"], past.get("_step"), past._step) == (9, 9, 9)
    assert past["_runtime"] == run.summary["_runtime"] and past.get("_nothing", 3) == 3
    assert dict(past) == {"loss": 0.5}
    with artvc.init(project="p", mode="disabled") as run:
        run.log({"loss": 1.0})
        run.log({"loss": 1.0})
        assert run.summary["_step"] == 1 and run.summary["_runtime"] >= 0
