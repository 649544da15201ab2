"""Deleting versions: page 5, "What wandb tests" 25, decision 6."""

import threading
from pathlib import Path

import pytest

import artvc
from artvc import curation, maintenance
from artvc.errors import ArtifactNotLoggedError, Conflict, NotFound, UsageError
from artvc.repo import Repository
from artvc.settings import now


def log(text, name="data", **more):
    artifact = artvc.Artifact(name, "dataset")
    with artifact.new_file("f", "w") as file:
        file.write(text)
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact, **more)


def clean(desk):
    with Repository.open(desk) as repo:
        return maintenance.fsck(repo).problems == []


def test_version_with_aliases_needs_delete_aliases(repo, desk):
    artifact = log("1", aliases=["best"])
    with pytest.raises(ValueError, match="best, latest"):
        artifact.delete()
    assert repo.aliases("p/data") == {"best": 0, "latest": 0}
    artifact.delete(delete_aliases=True)
    assert artifact.state == "DELETED"
    assert repo.versions("p/data") == [] and repo.aliases("p/data") == {}
    assert clean(desk)


def test_version_without_aliases_is_deleted_at_once(repo):
    first = log("1")
    log("2")
    first = artvc.Artifact.from_version(first._place(), repo.resolve("p/data:v0").version)
    first.delete()
    assert [version.number for version in repo.versions("p/data")] == [1]


def test_numbers_are_not_given_again(repo):
    log("1").delete(delete_aliases=True)
    assert log("1").version == "v1"
    log("2").delete(delete_aliases=True)
    assert log("3").version == "v3"


def test_latest_moves_to_the_highest_that_is_left(repo):
    log("1")
    log("2").delete(delete_aliases=True)
    assert repo.resolve("p/data").version.number == 0


def test_deleted_version_is_said_to_be_deleted(repo):
    artifact = log("1")
    artifact.delete(delete_aliases=True)
    for reference, words in (
        ("p/data:v0", "was deleted"),
        ("p/data", "all versions.*were deleted"),
        ("p/data:v1", "no version v1"),
    ):
        with artvc.init(project="p") as run, pytest.raises(NotFound, match=words):
            run.use_artifact(reference)
    for act in (artifact.delete, lambda: artifact.delete(delete_aliases=True), artifact.save):
        with pytest.raises(NotFound, match="not there any more"):
            act()


def test_log_and_lineage_still_name_what_was_deleted(repo):
    artifact = log("1")
    with artvc.init(project="p") as run:
        run.use_artifact("data")
    artifact.delete(delete_aliases=True)
    used, made = repo.log()
    assert used.inputs[0].number is None and made.outputs[0].label.startswith("data@")
    assert [record.id for record in artifact.used_by()] == [used.commit.run_id]


def test_draft_can_not_be_deleted():
    with pytest.raises(ArtifactNotLoggedError, match="Artifact.delete"):
        artvc.Artifact("data", "dataset").delete()


def test_deleting_a_collection_deletes_all_versions(repo, desk):
    log("1")
    log("2", aliases=["x"]).link("elsewhere")
    with Repository.open(desk) as opened:
        curation.delete_collection(opened, "p", "data", now=now())
        with pytest.raises(NotFound):
            curation.delete_collection(opened, "p", "none", now=now())
    assert repo.versions("p/data") == repo.versions("p/elsewhere") == []
    assert log("1").version == "v2"
    assert clean(desk)


def test_two_at_once_delete_a_version_once(desk):
    log("1")
    outcomes = []
    barrier = threading.Barrier(2)

    def delete():
        with Repository.open(desk) as repo:
            version = repo.resolve("p/data:v0").version
            barrier.wait()
            try:
                curation.delete_version(repo, version, delete_aliases=True, now=now())
                outcomes.append("done")
            except NotFound:
                outcomes.append("gone")

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "gone"]


def test_alias_given_meanwhile_protects_a_version(desk, repo):
    log("1")
    log("2")
    with Repository.open(desk) as opened:
        version = opened.resolve("p/data:v0").version
        repo.alias("p/data:v0", "wanted")
        with pytest.raises(Conflict, match="wanted"):
            curation.delete_version(opened, version, now=now())


def of_run(id, *texts, name="data", used=(), **more):
    """A run that logs versions of an artifact."""
    with artvc.init(project="p", id=id, **more) as run:
        for one in used:
            run.use_artifact(one)
        for text in texts:
            artifact = artvc.Artifact(name, "dataset")
            with artifact.new_file("f", "w") as file:
                file.write(text)
            run.log_artifact(artifact)


def test_deleting_a_collection_by_the_api_removes_all_versions(repo, desk):
    of_run("r1", "1", "2")
    of_run("r2", "3", name="other")
    api = artvc.Api({"project": "p"})
    api.artifact("data:v0").link("shown/best")
    collection = api.artifact_collection("dataset", "data")
    collection.delete()
    assert repo.versions("p/data") == [] and repo.versions("shown/best") == []
    assert not api.artifact_exists("data:v0") and not api.artifact_collection_exists("data", "dataset")
    assert [found.name for found in api.artifact_collections("p")] == ["other"]
    assert [found.name for found in api.artifact_type("dataset", "p").collections()] == ["other"]
    with pytest.raises(NotFound, match="data"):
        api.artifacts("dataset", "data")
    with pytest.raises(NotFound, match="no versions any more"):
        collection.delete()
    of_run("r3", "4")
    assert api.artifact("data").version == "v2"
    assert clean(desk)


def test_deleting_a_run_leaves_what_it_logged(repo, desk):
    of_run("r1", "1")
    of_run("r2", used=["data"])
    api = artvc.Api({"project": "p"})
    artifact = api.artifact("data")
    when = artifact.created_at
    run = api.run("r1")
    run.delete()
    assert [found.id for found in api.runs()] == ["r2"]
    with pytest.raises(NotFound, match="r1"):
        api.run("p/r1")
    with pytest.raises(NotFound, match="r1"):
        run.delete()
    assert artifact.logged_by() is None and [found.id for found in artifact.used_by()] == ["r2"]
    assert api.artifact("data").created_at == when
    assert Path(artifact.file()).read_text() == "1"
    assert clean(desk)


def test_deleting_a_run_with_its_artifacts_spares_what_another_run_logged_too(repo, desk):
    of_run("r1", "1")
    of_run("r2", "2", "1", "3", "4")
    api = artvc.Api({"project": "p"})
    api.artifact("data:v1").link("shown/best")
    api.run("r2").delete(delete_artifacts=True)
    assert [found.version for found in api.artifacts("dataset", "data")] == ["v0"]
    assert repo.aliases("p/data") == {"latest": 0}
    assert repo.versions("shown/best") == []
    assert clean(desk)


def test_a_run_that_goes_on_is_not_deleted():
    with artvc.init(project="p", id="r1"):
        run = artvc.Api().run("p/r1")
        with pytest.raises(UsageError, match="goes on"):
            run.delete()
        artvc.log({"a": 1})
    run.delete()
    with pytest.raises(NotFound, match="no project 'p'"):  # it had nothing else
        artvc.Api().runs("p")


def test_a_killed_run_is_recorded_before_it_is_deleted(script):
    script(
        "import artvc, os, signal\n"
        "artvc.init(project='p', id='r1', name='first')\n"
        "with artvc.init(project='p', id='r2', reinit='create_new'): pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = artvc.Api().run("p/r1")
    assert run.state == "crashed"
    run.delete()
    assert [found.id for found in artvc.Api().runs("p")] == ["r2"]
    with artvc.init(project="p", id="r1", resume="never") as again:
        assert not again.resumed
