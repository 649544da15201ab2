"""log(), summary and config: page 5, rows 3, 11, 12, 13 and 15."""

import argparse
import json
import math
from pathlib import Path

import pytest

import artvc
from artvc.errors import ConfigError, InvalidInput, InvalidType, LimitExceeded
from artvc.sdk import values
from artvc.sdk.config import Config


def test_without_step_each_call_is_a_row(logged):
    with artvc.init(project="p") as run:
        artvc.log({"a": 1})
        artvc.log({"a": 2})
        assert run.step == 2
    assert logged() == [{"_step": 0, "a": 1}, {"_step": 1, "a": 2}]


def test_same_step_merges_and_a_later_one_closes_the_row(logged):
    with artvc.init(project="p"):
        artvc.log({"a": 1}, step=5)
        artvc.log({"b": 2}, step=5)
        artvc.log({"a": 3}, step=9)
    assert logged() == [{"_step": 5, "a": 1, "b": 2}, {"_step": 9, "a": 3}]


def test_step_behind_is_dropped_with_a_warning(capsys, logged):
    with artvc.init(project="p"):
        artvc.log({"a": 1}, step=5)
        artvc.log({"a": 0}, step=4)
        assert artvc.summary["a"] == 1
    assert "step 4 lies behind step 5" in capsys.readouterr().err
    assert logged() == [{"_step": 5, "a": 1}]


def test_log_without_step_merges_into_the_open_one_and_moves_on(logged):
    with artvc.init(project="p") as run:
        artvc.log({"a": 1}, step=256)
        assert run.step == 256
        artvc.log({"b": 2})
        assert run.step == 257
        artvc.log({"c": 3})
    assert logged() == [{"_step": 256, "a": 1, "b": 2}, {"_step": 257, "c": 3}]


def test_commit_false_accumulates_and_commit_true_with_step_closes(logged):
    with artvc.init(project="p"):
        artvc.log({"a": 1}, commit=False)
        artvc.log({"b": 2}, commit=False)
        artvc.log({"c": 3})
        artvc.log({"d": 4}, step=7, commit=True)
        artvc.log({"e": 5})
    assert logged() == [{"_step": 0, "a": 1, "b": 2, "c": 3}, {"_step": 7, "d": 4}, {"_step": 8, "e": 5}]


def test_no_dict_or_keys_that_are_no_text_are_type_errors():
    with artvc.init(project="p"):
        for bad in (1, [1], None):
            with pytest.raises(TypeError):
                artvc.log(bad)
        with pytest.raises(TypeError, match="keys"):
            artvc.log({1: 2})
        with pytest.raises(TypeError, match="step"):
            artvc.log({"a": 1}, step="x")


def test_rows_have_time_and_runtime(rows):
    with artvc.init(project="p"):
        artvc.log({"a": 1})
    assert rows()[0]["_timestamp"] > 1.7e9
    assert rows()[0]["_runtime"] >= 0


def test_nan_and_infinities_survive_as_text(last, logged):
    with artvc.init(project="p"):
        artvc.log({"a": math.nan, "b": math.inf, "c": [-math.inf]})
        assert math.isnan(artvc.summary["a"])
    assert logged() == [{"_step": 0, "a": "NaN", "b": "Infinity", "c": ["-Infinity"]}]
    assert last().summary == {"a": "NaN", "b": "Infinity", "c": ["-Infinity"]}


def test_summary_keeps_the_last_value_and_what_is_set_replaces_it(last):
    with artvc.init(project="p") as run:
        artvc.log({"loss": 3, "acc": 0.1})
        artvc.log({"loss": 2})
        assert dict(run.summary) == {"loss": 2, "acc": 0.1}
        run.summary.update({"loss": 1.5, "nested": {"x": (1, 2)}})
        run.summary["best"] = 7
        run.summary.other = 8
        run.summary["nested"]["y"] = 3
        assert run.summary["loss"] == 1.5 and run.summary.best == 7
        with pytest.raises(AttributeError):
            run.summary.missing  # noqa: B018
    assert last().summary == {"loss": 1.5, "acc": 0.1, "nested": {"x": [1, 2], "y": 3}, "best": 7, "other": 8}


class Scalar:
    """What a 0-d tensor or a numpy number looks like."""

    shape = ()

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


def test_scalars_of_libraries_become_numbers(last, logged):
    with artvc.init(project="p"):
        artvc.log({"loss": Scalar(0.25)}, step=Scalar(3))
        artvc.summary.update({"accuracy": Scalar(0.5)})
        assert type(artvc.summary["accuracy"]) is float
    assert last().summary == {"loss": 0.25, "accuracy": 0.5}
    assert logged() == [{"_step": 3, "loss": 0.25}]


def test_config_is_a_mapping_with_attributes():
    with artvc.init(project="p", config={"lr": 0.1, "_hidden": 1, "--dashes-": 2}) as run:
        config = artvc.config
        assert config.lr == config["lr"] == config.get("lr") == 0.1
        assert list(config.keys()) == ["lr", "dashes"]
        assert dict(config) == {"lr": 0.1, "dashes": 2}
        assert dict(**config) == {"lr": 0.1, "dashes": 2}
        assert "_hidden" in config and "missing" not in config
        with pytest.raises(AttributeError):
            config.missing  # noqa: B018
        with pytest.raises(KeyError):
            config["missing"]
        config.new = 1
        run.config["newer"] = 2
        assert len(config) == 4


def test_config_change_needs_allow_val_change(last):
    with artvc.init(project="p", config={"lr": 0.1, "n": math.nan, "t": (1, 2)}):
        config = artvc.config
        for attempt in (
            lambda: config.update({"lr": 0.2, "x": 1}),
            lambda: setattr(config, "lr", 0.2),
            lambda: config.__setitem__("lr", 0.2),
        ):
            with pytest.raises(ConfigError, match="Attempted to change value of key 'lr'.*allow_val_change=True"):
                attempt()
        assert "x" not in config
        config.update({"lr": 0.1, "n": math.nan, "t": [1, 2]})
        config.update({"lr": 0.2}, allow_val_change=True)
        config.setdefaults({"lr": 9, "new": 1})
        assert (config.lr, config.new) == (0.2, 1)
    assert last().config == {"lr": 0.2, "n": "NaN", "t": [1, 2], "new": 1}


def test_config_from_namespace_file_and_include_exclude(desk):
    (desk / "c.json").write_text(json.dumps({"lr": {"value": 3}}))
    for given, expected in (
        (argparse.Namespace(lr=1, path=Path("x")), {"lr": 1, "path": "x"}),
        ("c.json", {"lr": 3}),
        (None, {}),
    ):
        with artvc.init(project="p", config=given):
            assert dict(artvc.config) == expected
    with artvc.init(project="p", config={"a": 1, "b": 2}, config_exclude_keys=["a"]):
        assert dict(artvc.config) == {"b": 2}
    with artvc.init(project="p", config={"a": 1, "b": 2}, config_include_keys=["a"]):
        assert dict(artvc.config) == {"a": 1}
    with pytest.raises(ConfigError, match="cannot read"):
        artvc.init(project="p", config="missing.json")
    artvc.finish()


def test_allow_val_change_of_init_allows_all():
    with artvc.init(project="p", config={"a": 1}, allow_val_change=True):
        artvc.config.a = 2
        del artvc.config["a"]
        assert dict(artvc.config) == {}
    config = Config()
    config.update({"a": 1})
    with pytest.raises(ConfigError):
        del config["a"]


def test_values_as_json():
    given = {
        "tuple": (1, 2), "set": {2, 1}, "path": Path("a/b"), "slice": slice(1, 2), "nan": math.nan, 7: "int key",
        "bytes": b"x", "true": True, "none": None, "nested": {"a": [(1,)]},
    }  # fmt: skip
    assert values.to_object(given, what="metadata", non_finite="null", strict=True) == {
        "tuple": [1, 2], "set": [1, 2], "path": "a/b",
        "slice": {"slice_start": 1, "slice_stop": 2, "slice_step": None}, "nan": None, "7": "int key",
        "bytes": "x", "true": True, "none": None, "nested": {"a": [[1]]},
    }  # fmt: skip
    with pytest.raises(InvalidInput):
        values.to_json(math.inf, non_finite="null")
    with pytest.raises(InvalidType):
        values.to_json(object(), strict=True)
    assert isinstance(values.to_json(object()), str)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(LimitExceeded):
        values.to_json(loop)
    assert values.to_json({"a\udcff": "b\udcff"}) == {"a\\udcff": "b\\udcff"}


def test_text_with_lone_surrogates_can_be_logged(rows):
    with artvc.init(project="p"):
        artvc.log({"name": "a\udcffb"})
    assert rows()[0]["name"] == "a\\udcffb"
