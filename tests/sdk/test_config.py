"""Config files and the other things that become a config."""

import builtins
import dataclasses

import pytest

import artvc
from artvc.errors import ConfigError, InvalidType, UsageError
from artvc.sdk import config_file

YAML = """\
# how to train
lr: 0.001   # rate
text: 1e-3
name: "two words # not a comment"
it: it's
layers:
- 64
- {size: 32, act: relu}
- deep:
    er: yes
  also: [1, 2.5,
    null]
empty:
note: |
  one
    two
folded: >-
  a
  b
url: http://host/path
"""
PARSED = {
    "lr": 0.001, "text": "1e-3", "name": "two words # not a comment", "it": "it's",
    "layers": [64, {"size": 32, "act": "relu"}, {"deep": {"er": True}, "also": [1, 2.5, None]}],
    "empty": None, "note": "one\n  two\n", "folded": "a b", "url": "http://host/path",
}  # fmt: skip


@pytest.fixture
def no_yaml(monkeypatch):
    """As if PyYAML were not installed."""
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)


def test_yaml_file_is_read_without_pyyaml(desk, no_yaml):
    (desk / "c.yaml").write_text(YAML)
    with artvc.init(project="p", config="c.yaml"):
        assert dict(artvc.config) == PARSED


def test_yaml_is_read_as_pyyaml_reads_it():
    yaml = pytest.importorskip("yaml")
    assert config_file.parse(YAML) == yaml.safe_load(YAML) == PARSED


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: &x 1", "a: 'x", "a:\n\tb: 1", "a: 1\n  b: 2", "a: 1\nb", "a: {b c}", '"\\q": 1', "[" * 100, "- 1"],
)
def test_what_is_no_config_in_yaml_is_refused_by_name(desk, no_yaml, text):
    (desk / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        artvc.init(project="p", config="c.yaml")
    assert artvc.run is None


def test_config_defaults_of_the_directory_come_first(desk):
    (desk / "config-defaults.yaml").write_text("wandb_version: 1\nlr:\n  desc: rate\n  value: 0.1\nepochs: 3\n")
    with artvc.init(project="p", config={"lr": 0.5}):
        assert dict(artvc.config) == {"lr": 0.5, "epochs": 3}


def test_config_paths_of_the_environment(desk, monkeypatch):
    (desk / "a.yaml").write_text("a: 1\nb: 1\n")
    (desk / "b.json").write_text('{"b": 2}')
    monkeypatch.setenv("WANDB_CONFIG_PATHS", "a.yaml, b.json")
    with artvc.init(project="p"):
        assert dict(artvc.config) == {"a": 1, "b": 2}


def test_absl_flags_a_dataclass_and_a_path_are_configs(desk):
    class Flags:
        def flag_values_dict(self):
            return {"lr": 1}

    @dataclasses.dataclass
    class Options:
        lr: int = 2

    (desk / "c.json").write_text('{"lr": 3}')
    for number, given in enumerate((Flags(), Options(), desk / "c.json"), start=1):
        with artvc.init(project="p", config=given):
            assert dict(artvc.config) == {"lr": number}


def test_include_and_exclude_together_are_refused():
    with pytest.raises(UsageError, match="both"):
        artvc.init(project="p", config={"a": 1}, config_include_keys=["a"], config_exclude_keys=["b"])


def test_config_static_can_not_be_changed():
    with artvc.init(project="p", config={"a": 1}) as run:
        assert run.config_static["a"] == 1
        with pytest.raises(TypeError):
            run.config_static["a"] = 2


def test_large_config_file_is_refused(desk, monkeypatch):
    monkeypatch.setattr(config_file, "CONFIG_BYTES", 10)
    (desk / "c.json").write_text('{"key": "0123456789"}')
    with pytest.raises(ConfigError, match="larger"):
        artvc.init(project="p", config="c.json")


@pytest.mark.parametrize("given", [3, [1], [(1, 2, 3)], True])
def test_what_is_no_config_is_a_type_error(given):
    with pytest.raises(InvalidType, match="config must be a dict, not"):
        artvc.init(project="p", config=given)
    assert artvc.run is None
