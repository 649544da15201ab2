"""`import artvc as wandb`: what the module offers, and what importing it costs."""

import json

import pytest

import artvc


def test_import_loads_nothing_heavy(script):
    code = "import artvc, sys, json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = set(json.loads(script(code).stdout))
    assert not loaded & {
        "blake3", "click", "dulwich", "numpy", "pathspec", "PIL", "tomlkit", "torch", "xxhash", "zstandard",
    }  # fmt: skip


def test_a_run_needs_no_click_no_dulwich_no_tomlkit(script):
    code = """
import artvc, sys
with artvc.init(project="p") as run:
    artvc.log({"a": 1})
    artifact = artvc.Artifact("data", "dataset")
    with artifact.new_file("a.txt", "w") as file:
        file.write("a")
    run.log_artifact(artifact).download()
print(sorted({m.split(".")[0] for m in sys.modules} & {"click", "dulwich", "numpy", "tomlkit", "torch"}))
"""
    done = script(code)
    assert done.stdout == "[]\n", done.stderr


def test_all_is_sorted_and_every_name_is_there():
    assert sorted(artvc.__all__) == artvc.__all__
    for name in artvc.__all__:
        getattr(artvc, name)
    assert set(artvc.__all__) <= set(dir(artvc))
    assert artvc.errors.Error is artvc.Error


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        artvc.nothing  # noqa: B018
    assert not hasattr(artvc.sdk, "nothing")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sweep", "has no sweeps: start the runs yourself"),
        ("agent", "has no sweeps"),
        ("controller", "has no sweeps"),
        ("attach", "resume='allow'"),
        ("keras", "has no integration of that name"),
        ("plot_table", "has no media of that kind"),
    ],
)
def test_what_only_a_server_has_is_refused_in_one_line(name, words):
    with pytest.raises(AttributeError, match=words) as caught:
        getattr(artvc, name)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)
    assert not hasattr(artvc, name)


def test_modules_that_type_hints_name_are_there(script):
    code = """
import artvc as wandb
def train(run: wandb.sdk.wandb_run.Run, again: wandb.wandb_run.Run, old: "wandb.apis.public.Run") -> wandb.Config: ...
assert train.__annotations__["run"] is train.__annotations__["again"] is wandb.Run
assert wandb.wandb_sdk.wandb_run.Run is wandb.Run and wandb.sdk.Artifact is wandb.Artifact
assert wandb.sdk.wandb_artifacts.Artifact is wandb.Artifact and wandb.sdk.data_types.Image is wandb.Image
assert wandb.apis.public.Api is wandb.Api and wandb.apis.public.Run.__name__ == "LoggedRun"
assert wandb.sdk.wandb_config.Config is wandb.Config and wandb.sdk.wandb_settings.Settings is wandb.Settings
assert wandb.CommError is wandb.errors.CommError and wandb.UsageError is wandb.errors.UsageError
from artvc.sdk import run, config, summary
assert run.Run is wandb.Run and config.Config is wandb.Config and summary.Summary
print("done")
"""
    done = script(code)
    assert done.stdout == "done\n", done.stderr


def test_env_names_the_variables_and_tells_what_they_say(monkeypatch):
    assert artvc.env.get_project("fallback") == "fallback" and artvc.env.get_run() is None
    monkeypatch.setenv(artvc.env.PROJECT, "p")
    monkeypatch.setenv(artvc.env.RUN_ID, "r1")
    monkeypatch.setenv(artvc.env.TAGS, "a,b")
    monkeypatch.setenv(artvc.env.MODE, "offline")
    assert (artvc.env.get_project(), artvc.env.get_run(), artvc.env.get_tags()) == ("p", "r1", ["a", "b"])
    assert artvc.env.is_offline() and not artvc.env.is_silent()
    assert artvc.env.get_dir() is None and artvc.env.get_entity("me") == "me"
    with artvc.init() as run:
        assert (run.project, run.id, run.tags) == ("p", "r1", ("a", "b"))


def test_after_finish_run_is_none_and_log_says_what_to_call():
    with artvc.init(project="p") as run:
        assert artvc.run is run
        assert artvc.config is run.config
        assert artvc.summary is run.summary
    assert artvc.run is None
    with pytest.raises(artvc.Error, match=r"You must call artvc\.init\(\) before artvc\.log\(\)"):
        artvc.log({"a": 1})
    with pytest.raises(artvc.Error, match="artvc.config.lr"):
        artvc.config.lr  # noqa: B018
    with pytest.raises(artvc.Error, match="artvc.summary"):
        artvc.summary["a"] = 1
    artvc.finish()


def test_module_functions_reach_the_run_from_any_function(desk):
    def far_away():
        artvc.log({"loss": 0.5})
        (desk / "a.txt").write_text("a")
        assert artvc.save("a.txt") == ["a.txt"]
        return artvc.log_artifact("a.txt", name="data", type="dataset")

    with artvc.init(project="p"):
        logged = far_away()
        assert logged.version == "v0"
        assert artvc.use_artifact("data").version == "v0"
        assert artvc.summary["loss"] == 0.5
