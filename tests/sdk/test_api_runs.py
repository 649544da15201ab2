"""Runs as artvc.Api gives them: filters, orders, history, files, artifacts, changes."""

import builtins
import json
import math

import pytest

import artvc
from artvc.errors import Damaged, InvalidInput, NotFound, UsageError
from artvc.sdk import logged_run


def record(id, *, project="p", summary=None, log=(), code=0, **more):
    """A finished run."""
    run = artvc.init(project=project, id=id, **more)
    for row in log:
        run.log(row)
    run.summary.update(summary or {})
    run.finish(code)


def one(id="r1", project="p"):
    return artvc.Api().run(f"{project}/{id}")


def test_run_by_path_with_and_without_project_and_entity_and_by_name():
    record("r1", name="first")
    record("r2", project="q", name="second")
    api = artvc.Api({"project": "p"})
    for path in ("r1", "p/r1", "someone/p/r1", "/someone/p/runs/r1", "someone/p/runs/r1", "first", "/p/r1"):
        assert api.run(path).id == "r1"
    assert api.run("q/r2").name == api.run("second").name == "second"
    assert api.run("/".join(api.run("q/r2").path)).id == "r2"


def test_run_unknown_is_not_found_and_malformed_is_invalid(repo):
    api = artvc.Api()
    with pytest.raises(NotFound, match="nothing"):
        api.run("p/nothing")
    for path in ("", "/", "a/b/c/d"):
        with pytest.raises(InvalidInput, match="path of a run"):
            api.run(path)


def test_a_run_has_what_was_given():
    with pytest.raises(ZeroDivisionError), artvc.init(
        project="p", id="r1", name="first", job_type="train", group="g", tags=["b", "a"], notes="n",
        config={"lr": 0.1, "_hidden": 1},
    ) as live:  # fmt: skip
        live.log({"loss": 0.5})
        raise ZeroDivisionError
    run = one()
    assert (run.id, run.name, run.display_name, run.project, run.entity) == ("r1", "first", "first", "p", "")
    assert (run.job_type, run.group, run.tags, run.notes) == ("train", "g", ["a", "b"], "n")
    assert (run.state, run.exit_code) == ("failed", 1)
    assert run.config == {"lr": 0.1}
    assert run.rawconfig["_hidden"] == 1
    assert run.summary["loss"] == run.summary.loss == run.summary_metrics["loss"] == 0.5
    assert run.summary.get("nothing") is None
    with pytest.raises(AttributeError, match="nothing"):
        run.summary.nothing  # noqa: B018
    assert run.path == ["", "p", "r1"]
    assert run.url == "artvc show p/r1"
    assert run.created_at < run.heartbeat_at
    assert run.user == "Ada"
    assert run.sweep is None
    assert run.metadata["python"]
    assert run.to_dict()["summary_metrics"]["loss"] == 0.5
    assert run == artvc.Api().run("p/r1")
    assert repr(run) == "<Run p/r1 first (failed)>"


def test_nan_and_infinities_come_back_as_floats():
    record("r1", log=[{"a": math.nan, "b": math.inf, "c": [-math.inf]}], config={"x": math.inf})
    run = one()
    (row,) = run.scan_history()
    for found in (run.summary, row):
        assert math.isnan(found["a"])
        assert found["b"] == math.inf
        assert found["c"] == [-math.inf]
    assert run.config["x"] == math.inf


# -- filters and orders ---------------------------------------------------------------------------------------


@pytest.fixture
def several():
    """Four runs: three finished ones of different config and summary, and a failed one."""
    record("r1", name="sunny-1", config={"lr": 0.1, "opt": {"name": "adam"}}, summary={"loss": 0.9}, tags=["a", "b"])
    record("r2", name="sunny-2", config={"lr": 0.2, "opt.x": 1}, summary={"loss": 0.3}, tags=["b"], group="g")
    record("r3", name="misty-3", config={"lr": "high"}, summary={"loss": math.nan}, job_type="train")
    record("r4", name="rainy-4", config={"flag": True}, code=1)
    return lambda filters=None, **more: [run.id for run in artvc.Api().runs("p", filters, **more)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, "1234"),
        ({}, "1234"),
        ({"state": "finished"}, "123"),
        ({"state": {"$ne": "finished"}}, "4"),
        ({"config.lr": 0.1}, "1"),
        ({"config.lr.value": 0.1}, "1"),
        ({"config.opt.name": "adam"}, "1"),
        ({"config.opt.x": 1}, "2"),
        ({"config.lr": {"$eq": 0.2}}, "2"),
        ({"config.lr": {"$gt": 0.1}}, "2"),
        ({"config.lr": {"$gte": 0.1, "$lt": 0.2}}, "1"),
        ({"config.lr": {"$lte": 0.2}}, "12"),
        ({"config.lr": {"$exists": True}}, "123"),
        ({"config.lr": {"$exists": False}}, "4"),
        ({"config.lr": None}, "4"),
        ({"config.flag": True}, "4"),
        ({"config.flag": 1}, ""),
        ({"summary_metrics.loss": {"$lt": 0.5}}, "2"),
        ({"summaryMetrics.loss": {"$gt": 0}}, "12"),
        ({"summary.loss": {"$gt": 0.5}}, "1"),
        ({"tags": "b"}, "12"),
        ({"tags": {"$in": ["a", "z"]}}, "1"),
        ({"tags": {"$nin": ["a"]}}, "234"),
        ({"display_name": {"$regex": "^sunny"}}, "12"),
        ({"displayName": "misty-3"}, "3"),
        ({"name": "r3"}, "3"),
        ({"name": "misty-3"}, "3"),
        ({"name": {"$in": ["r1", "r4"]}}, "14"),
        ({"jobType": "train"}, "3"),
        ({"group": "g"}, "2"),
        ({"user": "Ada", "created_at": {"$gt": "2020"}}, "1234"),
        ({"$or": [{"group": "g"}, {"job_type": "train"}]}, "23"),
        ({"$and": [{"tags": "b"}, {"$or": [{"config.lr": 0.1}, {"state": "failed"}]}]}, "1"),
        ({"nothing": {"$exists": True}}, ""),
    ],
)
def test_runs_filters(several, filters, expected):
    assert several(filters) == [f"r{number}" for number in expected]


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"config.lr": {"$near": 1}}, r"unknown operator '\$near'"),
        ({"config.lr": {"$gt": 1, "plain": 2}}, "unknown operator 'plain'"),
        ({"$nor": []}, r"unknown operator '\$nor'"),
        ({"tags": {"$in": "a"}}, "takes a list"),
        ({"$or": {"a": 1}}, "takes a list"),
        ({"$and": ["a"]}, "a filter is a dict"),
        ({"name": {"$regex": "("}}, "regular expression"),
        ({"name": {"$regex": 7}}, "regular expression"),
        (["state"], "a filter is a dict"),
        ({1: 2}, "a field of a filter is text"),
    ],
)
def test_a_malformed_filter_is_invalid_input_before_anything_is_read(repo, filters, said):
    record("r1")
    with pytest.raises(InvalidInput, match=said):
        artvc.Api().runs("p", filters)


def test_filters_are_not_nested_without_end(repo):
    record("r1")
    filters = {"state": "finished"}
    for _ in range(100):
        filters = {"$and": [filters]}
    with pytest.raises(InvalidInput, match="deeper"):
        artvc.Api().runs("p", filters)


def test_runs_order_by_time_field_and_missing_ones_last(several):
    assert several() == several(order="+created_at") == ["r1", "r2", "r3", "r4"]
    assert several(order="-created_at") == ["r4", "r3", "r2", "r1"]
    assert several(order="+display_name") == ["r3", "r4", "r1", "r2"]
    assert several(order="+summary_metrics.loss")[:2] == ["r2", "r1"]
    assert several(order="-summary_metrics.loss")[:2] == ["r1", "r2"]
    assert several(order="+config.lr")[:3] == ["r1", "r2", "r3"]
    with pytest.raises(InvalidInput, match="order"):
        several(order="-")


def test_runs_of_the_default_project_of_an_entity_and_of_none(several):
    assert len(artvc.Api().runs()) == len(artvc.Api().runs("someone/p")) == len(artvc.Api().runs(project="p")) == 4
    with pytest.raises(NotFound, match="'q'"):
        artvc.Api().runs("q")
    with pytest.raises(InvalidInput, match="project"):
        artvc.Api().runs("a/b/c")


# -- history --------------------------------------------------------------------------------------------------


@pytest.fixture
def long_run():
    """A run of 2,000 rows; every tenth has an accuracy."""
    with artvc.init(project="p", id="r1") as run:
        for step in range(2000):
            run.log({"loss": 1 / (step + 1), **({"acc": step} if step % 10 == 0 else {})})
    return one()


def test_scan_history_gives_every_row_in_order(long_run):
    rows = list(long_run.scan_history())
    assert [row["_step"] for row in rows] == list(range(2000))
    assert rows[10]["acc"] == 10
    assert {"loss", "_step", "_timestamp", "_runtime"} <= rows[1].keys()


def test_scan_history_keys_are_those_of_rows_that_have_all(long_run):
    rows = list(long_run.scan_history(keys=["acc", "loss"], page_size=10))
    assert len(rows) == 200
    assert rows[1] == {"acc": 10, "loss": 1 / 11}
    assert list(long_run.scan_history(keys=["nothing"])) == []
    assert len(list(long_run.scan_history(keys="acc"))) == 200


def test_scan_history_between_steps(long_run):
    steps = [row["_step"] for row in long_run.scan_history(min_step=5, max_step=8)]
    assert steps == [5, 6, 7]


def test_history_is_thinned_evenly_and_keeps_both_ends(long_run):
    rows = long_run.history(samples=100, pandas=False)
    steps = [row["_step"] for row in rows]
    assert len(steps) == 100
    assert (steps[0], steps[-1]) == (0, 1999)
    gaps = [after - before for before, after in zip(steps, steps[1:], strict=False)]
    assert max(gaps) <= 2 * 2000 / 99
    assert len(long_run.history(samples=5000, pandas=False)) == 2000
    assert [row["_step"] for row in long_run.history(samples=1, pandas=False)] == [1999]


def test_history_keys_and_x_axis(long_run):
    rows = long_run.history(keys=["acc"], pandas=False)
    assert rows[1] == {"_step": 10, "acc": 10}
    rows = long_run.history(keys=["loss"], x_axis="acc", samples=3, pandas=False)
    assert rows[0] == {"acc": 0, "loss": 1.0}
    assert long_run.history(stream="system", pandas=False) == []
    for wrong in ({"samples": 0}, {"stream": "river"}):
        with pytest.raises(InvalidInput):
            long_run.history(**wrong)


def test_history_is_a_data_frame_where_pandas_is_installed(long_run):
    pandas = pytest.importorskip("pandas")
    frame = long_run.history(samples=10)
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 10
    assert {"_step", "loss"} <= set(frame.columns)


def test_history_without_pandas_is_a_list_and_says_so(long_run, monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *more):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert isinstance(long_run.history(samples=3), list)
    assert "pandas is not installed" in capsys.readouterr().err


def test_last_history_step(long_run):
    record("r2")
    assert long_run.lastHistoryStep == 1999
    assert one("r2").lastHistoryStep == -1
    assert list(one("r2").scan_history()) == []


def test_history_of_a_run_that_goes_on_is_that_on_disk(desk):
    with artvc.init(project="p", id="r1") as live:
        live.log({"a": 1})
        live.log_artifact(artvc.Artifact("empty", "t"))
        live.log({"a": 2})
        live._history.flush()
        run = one()
        assert run.state == "running"
        assert [row["a"] for row in run.scan_history()] == [1, 2]
        with pytest.raises(UsageError, match="goes on"):
            run.tags.append("x")
            run.update()
    run.wait_until_finished()
    assert run.state == "finished"


def test_half_a_line_is_skipped_and_an_endless_one_is_damage(desk, monkeypatch):
    with artvc.init(project="p", id="r1") as live:
        live.log({"a": 1})
        live.log_artifact(artvc.Artifact("empty", "t"))
        live._history.flush()
        with open(desk / ".artvc/runs/r1/history.jsonl", "a") as file:
            file.write('{"a": 2, "_st\n[1]\n{"a": 3, "_step": 3}\n' + "[" * 100_000 + "\n")
        assert [row["a"] for row in one().scan_history()] == [1, 3]
        monkeypatch.setattr(logged_run, "LINE_BYTES", 100)
        with pytest.raises(Damaged, match="line of more than"):
            list(one().scan_history())


# -- files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def with_files(desk):
    """A run that saved two files, one in a directory."""
    (desk / "sub").mkdir()
    (desk / "sub" / "b.txt").write_text("bb")
    (desk / "model.h5").write_bytes(b"\x00weights")
    with artvc.init(project="p", id="r1") as run:
        run.log({"a": 1})
        run.save("model.h5")
        run.save("sub/*.txt")
    return one()


def test_files_lists_what_was_saved(with_files):
    assert [file.name for file in with_files.files()] == ["history.jsonl", "model.h5", "sub/b.txt"]
    assert [file.name for file in with_files.files(["model.h5", "nothing"])] == ["model.h5"]
    assert [file.name for file in with_files.files(pattern="%.txt")] == ["sub/b.txt"]
    assert [file.name for file in with_files.files(pattern="model.h5")] == ["model.h5"]
    assert [file.name for file in with_files.files(pattern="s%b%t")] == ["sub/b.txt"]
    assert len(with_files.files(pattern="%txt%txt")) == 0
    (file,) = with_files.files("model.h5")
    assert (file.size, file.mimetype, len(file.digest), file.id) == (8, "application/x-hdf5", 64, file.digest) or (
        file.mimetype == "application/octet-stream"
    )
    assert file.read() == b"\x00weights"


def test_file_download_makes_directories_and_overwrites_only_when_told(with_files, desk):
    with with_files.file("sub/b.txt").download(desk / "out" / "deep") as file:
        assert file.read() == "bb"
        assert file.name == str(desk / "out/deep/sub/b.txt")
    (desk / "out/deep/sub/b.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        with_files.file("sub/b.txt").download(desk / "out" / "deep")
    with with_files.file("sub/b.txt").download(desk / "out/deep", exist_ok=True) as file:
        assert file.read() == "mine"
    with with_files.file("sub/b.txt").download(desk / "out/deep", replace=True) as file:
        assert file.read() == "bb"
    assert with_files.file("saved/model.h5").size == 8
    with pytest.raises(NotFound, match=r"nothing"):
        with_files.file("nothing")


def test_a_download_of_damaged_bytes_writes_nothing(with_files, desk, monkeypatch):
    def broken(*_, **__):
        yield b"half"
        raise Damaged("chunk")

    file = with_files.file("model.h5")
    monkeypatch.setattr("artvc.repo.Repository.read", broken)
    with pytest.raises(Damaged):
        file.download(desk / "out")
    assert list((desk / "out").iterdir()) == []


# -- artifacts ------------------------------------------------------------------------------------------------


def draft(name, text):
    artifact = artvc.Artifact(name, "dataset")
    with artifact.new_file("a.txt", "w") as file:
        file.write(text)
    return artifact


def test_logged_artifacts_and_used_artifacts_have_len(desk):
    with artvc.init(project="other") as run:
        run.log_artifact(draft("far", "far"))
    with artvc.init(project="p", id="r1") as run:
        run.log_artifact(draft("a1", "a1"))
        run.log_artifact(draft("a2", "a2"))
        run.use_artifact("other/far:latest")
    run = one()
    assert len(run.logged_artifacts()) == 2
    assert [artifact.name for artifact in run.logged_artifacts()] == ["a1:v0", "a2:v0"]
    (used,) = run.used_artifacts()
    assert (used.name, used.project, run.project) == ("far:v0", "other", "p")
    assert (run.inputs, run.outputs) == (("far:v0",), ("a1:v0", "a2:v0"))


def test_used_artifacts_preserve_their_project(desk):
    with artvc.init(project="other") as run:
        run.log_artifact(draft("far", "far"))
    with artvc.init(project="p", id="r1") as run:
        run.use_artifact("other/far")
    assert one().used_artifacts()[0].qualified_name == "other/far:v0"


# -- changes --------------------------------------------------------------------------------------------------


def test_update_records_name_notes_tags_group_config_and_summary():
    record("r1", name="first", config={"lr": 0.1, "_hidden": 1}, log=[{"loss": 0.5}])
    before = one()
    run = one()
    run.name, run.notes, run.group, run.job_type = "second", "better", "g", "eval"
    run.tags.append("best")
    run.config["lr"] = 0.2
    run.summary["loss"] = math.nan
    assert one().name == "first"
    run.update()
    again = one()
    assert (again.name, again.notes, again.group, again.job_type) == ("second", "better", "g", "eval")
    assert again.tags == ["best"]
    assert again.rawconfig == {"lr": 0.2, "_hidden": 1}
    assert math.isnan(again.summary["loss"])
    assert (again.created_at, again.heartbeat_at) == (before.created_at, before.heartbeat_at)
    assert len(list(again.scan_history())) == 1
    assert again._read().previous.hex() == before.commit


def test_update_without_a_change_records_nothing(entries):
    record("r1")
    run = one()
    assert run.tags == []
    run.save()
    assert run.commit == one().commit


def test_summary_update_persists_at_once_as_in_wandb():
    record("r1")
    one().summary.update({"best": 1})
    assert one().summary["best"] == 1
    assert json.loads(json.dumps(one().summary._json_dict))["best"] == 1


def test_update_of_a_run_that_was_recorded_anew_is_refused():
    record("r1")
    first, second = one(), one()
    first.notes = "mine"
    first.update()
    second.notes = "yours"
    with pytest.raises(UsageError, match="anew"):
        second.update()
    second.load(force=True)
    assert second.notes == "mine"


def test_update_with_a_value_that_is_not_allowed_changes_nothing():
    record("r1")
    run = one()
    run.name = "x" * 1000
    with pytest.raises(InvalidInput):
        run.update()
    assert one().commit == run.commit


# -- runs under way and killed ones ---------------------------------------------------------------------------

KILLED = """
import artvc, os, signal, time
run = artvc.init(project="p", id="r1", name="first", config={"lr": 0.1}, tags=["t"])
for step in range(3):
    run.log({"loss": step})
time.sleep(2.5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_crashed_and_what_it_logged_is_there(script):
    script(KILLED)
    run = one()
    assert (run.name, run.state, run.config, run.tags) == ("first", "crashed", {"lr": 0.1}, ["t"])
    assert [row["loss"] for row in run.scan_history()] == [0, 1, 2]
    assert [found.id for found in artvc.Api().runs("p", {"state": "crashed"})] == ["r1"]
    assert (run.inputs, len(run.logged_artifacts()), len(run.files())) == ((), 0, 0)
    run.notes = "x"
    with pytest.raises(UsageError, match="killed"):
        run.update()
    run.wait_until_finished()


def test_a_run_under_way_is_running_before_it_recorded_anything():
    with artvc.init(project="p", id="r1") as live:
        run = one()
        assert run.state == "running"
        assert artvc.Api().runs("p")[0].id == "r1"
        with pytest.raises(NotFound):
            artvc.Api().run("q/r1")
        live.log({"a": 1})
    assert run.load(force=True).state == "finished"


# -- runs that artifacts tell of ------------------------------------------------------------------------------


def test_logged_by_and_used_by_are_runs_as_the_api_gives_them():
    with artvc.init(project="p", id="r1", config={"lr": 0.1}, tags=["t"]) as run:
        run.log({"loss": 0.5})
        logged = run.log_artifact(draft("data", "1"))
        under_way = logged.logged_by()
        assert (under_way.id, under_way.state) == ("r1", "running")
    with artvc.init(project="q", id="r2") as run:
        run.use_artifact("p/data:v0")
    maker = artvc.Api().artifact("p/data").logged_by()
    assert maker == one() and type(maker) is type(one())
    assert (maker.name, maker.path, maker.url) == (run_of("p/r1").name, ["", "p", "r1"], run_of("p/r1").url)
    assert (maker.config["lr"], maker.summary["loss"], maker.tags) == (0.1, 0.5, ["t"])
    assert [row["loss"] for row in maker.scan_history()] == [0.5]
    assert [artifact.name for artifact in maker.logged_artifacts()] == ["data:v0"]
    (user,) = logged.used_by()
    assert (user, user.project) == (run_of("q/r2"), "q")
    maker.tags.append("best")
    maker.update()
    assert one().tags == ["best", "t"]


def run_of(path):
    return artvc.Api().run(path)


def test_a_run_that_is_over_says_how_to_go_on_with_it():
    record("r1")
    for act in (one().log_artifact, one().use_artifact):
        with pytest.raises(UsageError, match="records nothing more") as caught:
            act("data:latest")
        assert "resume='must'" in caught.value.hint
