"""Models, code, artifacts in the config, and what a run used and logged: page 5, section 2b, behaviours 42 to 47."""

import sys
from pathlib import Path

import pytest

import artvc
from artvc.errors import ArtifactNotLoggedError, NotFound


def draft(text="1", name="data", kind="dataset"):
    artifact = artvc.Artifact(name, kind)
    with artifact.new_file("f", "w") as file:
        file.write(text)
    return artifact


def log(text="1", name="data", kind="dataset", **more):
    with artvc.init(project="p") as run:
        return run.log_artifact(draft(text, name, kind), **more)


# -- models -----------------------------------------------------------------------------------------------


def test_log_model_and_use_model_give_the_file_of_a_single_file_model(desk):
    (desk / "model.pth").write_text("weights")
    with artvc.init(project="p") as run:
        logged = run.log_model("model.pth", name="net", aliases=["best"])
        assert (logged.type, logged.name) == ("model", "net:v0")
        unnamed = run.log_model(Path("model.pth"))
        assert unnamed.source_name == f"run-{run.id}-model.pth:v0"
    with artvc.init(project="p") as run:
        path = run.use_model("net:best")
        assert [one.source_name for one in run.used_artifacts()] == ["net:v0"]
    assert path == str(desk / "artifacts" / "net:v0" / "model.pth")
    assert Path(path).read_text() == "weights"


def test_use_model_gives_the_directory_of_several_files(desk):
    (desk / "m").mkdir()
    for name in "ab":
        (desk / "m" / name).write_text(name)
    with artvc.init(project="p") as run:
        run.log_model("m", "net")
        assert run.use_model("net") == str(desk / "artifacts" / "net:v0")


def test_use_model_of_another_type_is_an_assertion_error():
    log()
    with artvc.init(project="p") as run:
        with pytest.raises(AssertionError, match="type 'dataset'"):
            run.use_model("data")
        assert run.used_artifacts() == []
        with pytest.raises(NotFound):
            run.use_model("none")
    log(name="finetuned", kind="model-lora")
    with artvc.init(project="p") as run:
        assert Path(run.use_model("finetuned")).name == "f"


def test_link_model_logs_and_links(desk):
    (desk / "model.pth").write_text("weights")
    with artvc.init(project="p") as run:
        link = run.link_model("model.pth", "Best-Net", name="net", aliases=["production"])
        assert link.qualified_name == "model-registry/Best-Net:v0"
        assert link.aliases == ["latest", "production"] and link.source_name == "net:v0"
        with pytest.raises(ValueError, match="name"):
            run.link_model("model.pth", "a/b")
        assert run.link_artifact(draft(), "elsewhere").source_name == "data:v0"


# -- code -------------------------------------------------------------------------------------------------


def test_log_code_takes_python_files(desk, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["src/train it.py"])
    for path in ("a.py", "pkg/b.py", "pkg/c.txt", "wandb/d.py", ".git/e.py"):
        (desk / path).parent.mkdir(exist_ok=True)
        (desk / path).write_text(path)
    with artvc.init(project="p") as run:
        code = run.log_code()
        assert (code.type, code.source_name) == ("code", "source-p-train-it.py:v0")
        assert list(code.manifest) == ["a.py", "pkg/b.py"]
        text = run.log_code("pkg", name="text", include_fn=lambda path: path.endswith(".txt"))
        assert list(text.manifest) == ["c.txt"]
        two = run.log_code(
            ".", "two", lambda path, root: True, lambda path, root: Path(path).relative_to(root).parts[0] != "pkg"
        )
        assert list(two.manifest) == ["pkg/b.py", "pkg/c.txt"]
        assert run.log_code(include_fn=lambda path: False) is None
        with pytest.raises(ValueError, match="no directory"):
            run.log_code("missing")


# -- lineage ----------------------------------------------------------------------------------------------


def test_used_and_logged_artifacts_of_a_run():
    with artvc.init(project="p") as run:
        run.log_artifact(draft("1", "a1"))
        run.log_artifact(draft("1", "a2"))
        assert [one.source_name for one in run.logged_artifacts()] == ["a1:v0", "a2:v0"]
    with artvc.init(project="p") as run_b:
        run_b.log_artifact(draft("2", "a1"))
    users = []
    for _ in range(2):
        with artvc.init(project="p") as run:
            a1, a2 = run.use_artifact("a1"), run.use_artifact("a2")
            assert len(run.used_artifacts()) == 2 and len(run.logged_artifacts()) == 0
            users.append(run.id)
    assert a1.logged_by().id == run_b.id and a2.logged_by().id not in {run_b.id, *users}
    assert [record.id for record in a1.used_by()] == [record.id for record in a2.used_by()] == users


def test_artifact_of_another_project_keeps_its_project():
    log()
    with artvc.init(project="q") as run:
        used = run.use_artifact("p/data:v0")
        assert (used.project, run.project) == ("p", "q")
        assert [one.qualified_name for one in run.used_artifacts()] == ["p/data:v0"]
        run.log_artifact(draft("2", "own"))
        assert [one.qualified_name for one in run.logged_artifacts()] == ["q/own:v0"]
    assert [record.project for record in used.used_by()] == ["q"]


def test_saving_a_draft_logs_it_in_the_run_or_in_an_automatic_one(entries):
    with artvc.init(project="p") as run:
        inside = draft(name="inside")
        inside.save()
        assert inside.logged_by().id == run.id
    outside = draft(name="outside")
    outside.save(project="q")
    assert (outside.project, outside.version) == ("q", "v0")
    assert [entry.commit.job_type for entry in entries()] == ["auto", ""]


def test_history_step_is_where_the_run_was():
    with artvc.init(project="p") as run:
        before = run.log_artifact(draft("0"))
        for number in range(3):
            run.log({"x": number})
        after = run.log_artifact(draft("1"))
    assert before.history_step is None
    assert after.history_step == 2


def test_times_url_and_hash_of_a_version(repo):
    artifact = log()
    assert artifact.updated_at >= artifact.created_at
    before = artifact.updated_at
    artifact.description = "new"
    artifact.save()
    assert artifact.updated_at > before
    assert artifact.url == "artvc show p/data:v0"
    assert artifact.commit_hash == repo.resolve("p/data").version.commit_id.hex()
    assert artifact.collection == artifact.source_collection == "data"


def test_save_is_one_transaction(repo, desk):
    artifact = log(aliases=["one"])
    before = len(list((desk / ".artvc" / "refs").glob("*.json")))
    artifact.aliases[:] = ["latest", "two", "three"]
    artifact.description = "new"
    artifact.save()
    assert len(list((desk / ".artvc" / "refs").glob("*.json"))) == before + 1
    assert repo.aliases("p/data") == {"latest": 0, "three": 0, "two": 0}
    artifact.aliases.remove("latest")
    with pytest.raises(ValueError, match="latest"):
        artifact.save()


def test_default_directory_without_colons(desk, monkeypatch):
    from artvc.sdk import artifact_files

    artifact = log()
    monkeypatch.setattr(artifact_files, "_takes_colon", lambda directory: False)
    assert artifact.download() == str(desk / "artifacts" / "data-v0")
    artifact.verify()
    assert artifact.checkout() == str(desk / "artifacts" / "data")


# -- artifacts as values of the config --------------------------------------------------------------------


def test_artifacts_as_config_values_become_records_and_are_used(last):
    artifact = log()
    by_id = log("2", "other")
    config = {"dataset": artifact, "url": "wandb-artifact://data:v0", "id": f"wandb-artifact://{by_id.id}", "lr": 0.1}
    with artvc.init(project="p", config=config) as run:
        assert run.config.dataset.source_name == run.config["url"].source_name == "data:v0"
        assert run.config.id.source_name == "other:v0"
        run.config.late = by_id
    commit = last()
    assert commit.config["dataset"] == {
        "_type": "artifactVersion",
        "_version": "v0",
        "id": artifact.id,
        "version": "v0",
        "sequenceName": "data",
        "usedAs": None,
    }
    assert commit.config["late"] == by_id.json_encode() and commit.config["lr"] == 0.1
    assert [record.id for record in artifact.used_by()] == [commit.run_id]
    assert len(commit.inputs) == 2


def test_nested_artifacts_in_the_config_are_refused():
    artifact = log()
    for nested in ({"deep": {"dataset": artifact}}, {"deep": [artifact]}):
        with pytest.raises(ValueError, match="artifact inside"):
            artvc.init(project="p", config=nested)
        with artvc.init(project="p") as run, pytest.raises(ValueError, match="artifact inside"):
            run.config.update(nested)


def test_config_values_that_name_no_version_or_are_drafts_are_refused():
    with artvc.init(project="p") as run:
        with pytest.raises(NotFound):
            run.config.x = "wandb-artifact://none:v0"
        with pytest.raises(ArtifactNotLoggedError):
            run.config.x = draft()
        assert "x" not in run.config


def test_config_artifact_replaced_by_a_plain_value():
    artifact = log()
    with artvc.init(project="p", config={"a": artifact}, allow_val_change=True) as run:
        run.config.a = 3
        assert run.config.a == 3
        run.config.a = artifact
        del run.config["a"]
        assert "a" not in run.config


def test_what_a_disabled_run_was_to_log_can_be_waited_for(monkeypatch):
    monkeypatch.setenv("RANK", "1")  # of a distributed job: its run is a disabled one
    with artvc.init(project="p") as run:
        logged = run.log_artifact(draft())
        assert run.disabled and logged.wait() is logged and logged.is_draft()
        assert run.finish_artifact(draft(), distributed_id="x").wait(timeout=1).state == "PENDING"
    with pytest.raises(ArtifactNotLoggedError, match="wait"):
        draft().wait()


def test_disabled_run_takes_all_of_it():
    with artvc.init(mode="disabled", config={"a": draft()}) as run:
        assert run.log_code() is None and run.used_artifacts() == run.logged_artifacts() == []
        assert run.upsert_artifact(draft(), distributed_id="x").is_draft()
        assert run.finish_artifact(draft(), distributed_id="x").is_draft()
        assert run.link_artifact(draft(), "x") is None
