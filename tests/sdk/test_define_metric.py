"""define_metric: what the summary keeps, of which keys, and that it outlives the process."""

import json
import math

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType


def log_all(*values, key="loss"):
    for value in values:
        artvc.log({key: value})


@pytest.mark.parametrize(
    ("summary", "kept"),
    [
        ("min", {"min": 1}),
        ("max", {"max": 3}),
        ("mean", {"mean": 2}),
        ("first", {"first": 3}),
        ("last", {"last": 2}),
        ("best", {"best": 1}),
        ("min,max", {"min": 1, "max": 3}),
        (["last", "mean"], {"last": 2, "mean": 2}),
        ("copy", 2),
    ],
)
def test_summary_keeps_what_was_asked_for(last, summary, kept):
    with artvc.init(project="p") as run:
        artvc.define_metric("loss", summary=summary)
        log_all(3, 1, 2)
        assert run.summary["loss"] == kept
    assert last().summary == {"loss": kept}


def test_none_leaves_the_key_out_and_other_keys_keep_their_last_value(last):
    with artvc.init(project="p"):
        artvc.define_metric("noise", summary="none")
        artvc.log({"noise": 1, "loss": 2})
    assert last().summary == {"loss": 2}


def test_best_follows_the_goal(last):
    with artvc.init(project="p"):
        artvc.define_metric("acc", summary="best", goal="maximize")
        log_all(0.1, 0.9, 0.5, key="acc")
    assert last().summary == {"acc": {"best": 0.9}}


def test_dotted_name_reads_what_is_kept():
    with artvc.init(project="p") as run:
        run.define_metric("loss", summary="min,max")
        log_all(3, 1, 2)
        assert (run.summary["loss.min"], run.summary["loss.max"]) == (1, 3)
        with pytest.raises(KeyError):
            run.summary["loss.mean"]


def test_pattern_stands_for_all_keys_that_fit_and_a_name_of_its_own_goes_before(last):
    with artvc.init(project="p"):
        artvc.define_metric("val/*", summary="max")
        artvc.define_metric("val/loss", summary="min")
        artvc.log({"val/loss": 2, "val/acc": 0.5, "train/loss": 7})
        artvc.log({"val/loss": 3, "val/acc": 0.4, "train/loss": 6})
    assert last().summary == {"val/loss": {"min": 2}, "val/acc": {"max": 0.5}, "train/loss": 6}


def test_step_metric_is_put_into_rows_that_lack_it(logged):
    with artvc.init(project="p"):
        artvc.define_metric("epoch")
        artvc.define_metric("val/*", step_metric="epoch")
        artvc.define_metric("other", step_metric="epoch", step_sync=False)
        artvc.log({"val/acc": 0})
        artvc.log({"epoch": 3})
        artvc.log({"val/acc": 1})
        artvc.log({"other": 1})
    assert logged() == [
        {"_step": 0, "val/acc": 0},
        {"_step": 1, "epoch": 3},
        {"_step": 2, "val/acc": 1, "epoch": 3},
        {"_step": 3, "other": 1},
    ]


def test_nan_and_text_change_no_minimum(last):
    with artvc.init(project="p"):
        artvc.define_metric("loss", summary="min,mean")
        log_all(math.nan, 2, "broken", 4)
    assert last().summary == {"loss": {"min": 2, "mean": 3}}


def test_definitions_merge_unless_overwritten():
    with artvc.init(project="p") as run:
        run.define_metric("loss", summary="min", hidden=True)
        merged = run.define_metric("loss", goal="minimize")
        assert (merged.summary, merged.hidden, merged.goal) == (("min",), True, "minimize")
        fresh = run.define_metric("loss", summary="max", overwrite=True)
        assert (fresh.summary, fresh.hidden, fresh.goal) == (("max",), False, None)


def test_definition_may_name_another_definition_as_its_step():
    with artvc.init(project="p") as run:
        epoch = run.define_metric("epoch")
        assert run.define_metric("acc", step_metric=epoch).step_metric == "epoch"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": 1}, InvalidType),
        ({"name": ""}, InvalidInput),
        ({"name": "a", "summary": "median"}, InvalidInput),
        ({"name": "a", "goal": "up"}, InvalidInput),
        ({"name": "a", "step_metric": 3}, InvalidType),
    ],
)
def test_bad_definitions_are_refused_and_define_nothing(arguments, error, run_files):
    with artvc.init(project="p"):
        with pytest.raises(error):
            artvc.define_metric(**arguments)
        artvc.log({"a": 1})
    assert "metrics.json" not in run_files()


def test_definitions_are_recorded_with_the_run(run_files):
    with artvc.init(project="p"):
        artvc.define_metric("loss", summary="min", step_metric="epoch", goal="minimize", hidden=True)
        artvc.log({"loss": 1})
    found = json.loads(run_files()["metrics.json"])["metrics"]
    assert found == [
        {"name": "epoch", "step_metric": None, "step_sync": False, "hidden": False, "summary": [], "goal": None},
        {
            "name": "loss", "step_metric": "epoch", "step_sync": True, "hidden": True, "summary": ["min"],
            "goal": "minimize",
        },
    ]  # fmt: skip


def test_resumed_run_goes_on_with_its_minimum_and_mean(last):
    with artvc.init(project="p", id="x"):
        artvc.define_metric("loss", summary="min,mean,first")
        log_all(1, 2)
    with artvc.init(project="p", id="x", resume="must") as run:
        log_all(6)
        assert run.summary["loss"] == {"min": 1, "mean": 3, "first": 1}
    assert last().summary == {"loss": {"min": 1, "mean": 3, "first": 1}}


def test_disabled_run_honours_definitions_too():
    with artvc.init(mode="disabled") as run:
        run.define_metric("loss", summary="max")
        log_all(1, 3, 2)
        assert run.summary["loss"] == {"max": 3}
