"""Links: page 5, section 2a, "What wandb tests" 22, 25, 45."""

import pytest

import artvc
from artvc import maintenance
from artvc.errors import Conflict, InvalidInput
from artvc.repo import Repository
from artvc.store.fsio import Disk


def draft(text="1", name="data", kind="model"):
    artifact = artvc.Artifact(name, kind, metadata={"k": 1})
    with artifact.new_file("f", "w") as file:
        file.write(text)
    return artifact


def log(text="1", name="data", kind="model", **more):
    with artvc.init(project="p") as run:
        return run.log_artifact(draft(text, name, kind), **more)


def clean(desk):
    with Repository.open(desk) as repo:
        return maintenance.fsck(repo).problems == []


def test_link_has_number_and_aliases_of_its_own(desk, repo):
    log("1")
    second = log("2")
    link = second.link("registry/best-models", aliases=["production"])
    assert (link.name, link.qualified_name) == ("best-models:v0", "registry/best-models:v0")
    assert (link.version, link.source_version) == ("v0", "v1")
    assert (link.project, link.source_project, link.collection, link.source_collection) == (
        "registry", "p", "best-models", "data",
    )  # fmt: skip
    assert (link.source_name, link.source_qualified_name) == ("data:v1", "p/data:v1")
    assert link.is_link and not second.is_link
    assert link.aliases == ["latest", "production"] and second.aliases == ["latest"]
    assert link.digest == second.digest and link.metadata == {"k": 1}
    assert link.source_artifact.qualified_name == "p/data:v1" and second.source_artifact is second
    assert [one.qualified_name for one in second.linked_artifacts] == ["registry/best-models:v0"]
    assert link.linked_at > second.created_at and second.linked_at is None
    assert clean(desk)


def test_link_is_found_by_name_and_restored(desk):
    log("text").link("registry/best", aliases="production")
    with artvc.init(project="p") as run:
        used = run.use_artifact("registry/best:production")
    assert used.is_link and used.name == "best:production"
    assert used.download() == str(desk / "artifacts" / "best:v0")


def test_link_to_a_link_is_one_to_its_source():
    link = log().link("first").link("second")
    assert link.source_name == "data:v0"


def test_linking_again_keeps_the_number_and_moves_aliases(repo):
    one, two = log("1"), log("2")
    assert one.link("best", aliases=["a"]).version == "v0"
    assert two.link("best", aliases=["b"]).version == "v1"
    assert one.link("best", aliases=["b"]).version == "v0"
    assert repo.aliases("p/best") == {"a": 0, "b": 0, "latest": 0}


def test_draft_is_logged_when_it_is_linked():
    artifact = draft()
    with artvc.init(project="p"):
        link = artifact.link("best")
    assert artifact.version == "v0" and link.source_name == "data:v0"


def test_draft_of_a_link_logs_to_the_source():
    link = log().link("best")
    again = link.new_draft()
    with again.new_file("g", "w") as file:
        file.write("2")
    with artvc.init(project="p") as run:
        run.log_artifact(again)
    assert again.qualified_name == "p/data:v1"
    assert sorted(again.manifest) == ["f", "g"]


def test_deleting_a_link_leaves_the_source(desk, repo):
    artifact = log()
    artifact.link("best").unlink()
    artifact.link("best", aliases=["x"]).delete()
    assert repo.versions("p/best") == []
    assert repo.resolve("p/data:v0").version.aliases == ("latest",)
    with pytest.raises(ValueError, match="delete"):
        artifact.unlink()
    assert artifact.link("best").version == "v2"
    assert clean(desk)


def test_source_with_links_needs_delete_aliases(desk, repo):
    log("1").link("best")
    log("2")
    first = artvc.Artifact.from_version(log("2")._place(), repo.resolve("p/data:v0").version)
    with pytest.raises(Conflict, match="p/best:v0"):
        first.delete()
    first.delete(delete_aliases=True)
    assert repo.versions("p/best") == []
    assert clean(desk)


def test_saved_properties_of_a_link_are_those_of_the_source(repo):
    artifact = log()
    link = artifact.link("best")
    link.description = "said by the link"
    link.aliases.append("chosen")
    link.save()
    source = link.source_artifact
    assert source.description == "said by the link"
    assert source.aliases == ["latest"] and link.aliases == ["chosen", "latest"]


def test_using_a_link_is_using_its_source():
    artifact = log()
    artifact.link("registry/best")
    with artvc.init(project="p", job_type="serve") as run:
        run.use_artifact("registry/best:latest")
    (user,) = artifact.used_by()
    assert user.inputs == ("data:v0",)


def test_link_with_the_source_s_name_in_another_project_keeps_apart(repo):
    log("1").link("q/data")
    with artvc.init(project="q") as run:
        own = run.log_artifact(draft("1"))
    assert own.qualified_name == "q/data:v1" and not own.is_link
    assert own.logged_by().project == "q"
    assert [edge.label for entry in repo.log(project="q") for edge in entry.outputs] == ["data:v1"]


def test_link_targets_that_are_refused():
    artifact = log()
    log("x", name="other", kind="dataset")
    for bad in ("a/b/c/d", "", "best:v0", "best:alias", "data", "bad name"):
        with pytest.raises(InvalidInput):
            artifact.link(bad)
    with pytest.raises(ValueError, match="alias"):
        artifact.link("best", aliases=["v3"])
    with pytest.raises(Conflict, match="type"):
        artifact.link("other")


def test_fsck_finds_a_link_whose_source_is_gone(desk):
    log().link("best")
    with Repository.open(desk) as repo:
        from artvc.store.refs import RefEdit

        value = repo.state().get("artifacts/p/data/v0")
        repo.refs.apply(
            lambda _: [RefEdit("artifacts/p/data/v0", value, None)],
            time="2026-11-23T03:00:00.000000Z", who="x", why="harm",
        )  # fmt: skip
        assert any("p/best:v0" in problem.affected for problem in maintenance.fsck(repo).problems)


def test_processes_that_link_log_and_delete_at_once_leave_a_whole_repository(script, desk, repo):
    code = """
import os, artvc
from artvc.errors import CommError
children = []
for number in range(4):
    child = os.fork()
    if not child:
        with artvc.init(project="p") as run:
            for step in range(3):
                artifact = artvc.Artifact("data", "model")
                with artifact.new_file("f", "w") as file:
                    file.write(f"{number} {step}")
                run.log_artifact(artifact)
                artifact.link("registry/best")
                if step == 1:
                    artifact.delete(delete_aliases=True)
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""
    done = script(code)
    assert done.returncode == 0, done.stderr
    assert len(repo.versions("p/data")) == len(repo.versions("registry/best")) == 8
    assert max(version.number for version in repo.versions("p/data")) >= 10
    assert log("another").version == "v12"
    assert clean(desk)


def test_killed_while_linking_leaves_all_or_nothing(desk, repo, monkeypatch):
    artifact = log()
    monkeypatch.setattr(Disk, "create_file", lambda self, *given, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        artifact.link("best")
    with pytest.raises(ZeroDivisionError):
        artifact.delete(delete_aliases=True)
    monkeypatch.undo()
    assert repo.versions("p/best") == [] and len(repo.versions("p/data")) == 1
    assert clean(desk)
