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
    with pytest.raises(AttributeError, match="sweep"):
        artvc.sweep  # noqa: B018


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
