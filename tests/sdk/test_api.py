"""artvc.Api: reading a repository without a run."""

import pytest

import artvc
from artvc.errors import CommError, InvalidInput, NotARepository, NotFound, UsageError


def log(name="data", kind="dataset", project="p", files=None, run=None, **more):
    """Log a version with some files, in a run of its own unless one is given; returns the artifact."""
    artifact = artvc.Artifact(name, kind, metadata=more.pop("metadata", None))
    for path, text in (files or {"a.txt": "a"}).items():
        with artifact.new_file(path, "w") as file:
            file.write(text)
    if run is not None:
        return run.log_artifact(artifact, **more)
    with artvc.init(project=project) as own:
        return own.log_artifact(artifact, **more)


def test_api_makes_no_repository_and_says_that_there_is_none(desk):
    with pytest.raises(NotARepository):
        artvc.Api()
    with pytest.raises(NotARepository):
        artvc.Api(path=desk / "missing")
    assert list(desk.iterdir()) == []


def test_api_accepts_what_wandb_takes(repo):
    api = artvc.Api({"project": "p"}, timeout=9, api_key="secret")
    assert (api.default_project, api.default_entity) == ("p", "")
    api.flush()


# -- artifacts ------------------------------------------------------------------------------------------------


def test_artifact_by_name_alias_version_project_and_entity():
    log(files={"a.txt": "one"}, aliases=["best"])
    log(files={"a.txt": "two"})
    api = artvc.Api()
    for name, version, shown in [
        ("data", "v1", "data:latest"),
        ("data:v0", "v0", "data:v0"),
        ("data:best", "v0", "data:best"),
        ("p/data", "v1", "data:latest"),
        ("someone/p/data:best", "v0", "data:best"),
    ]:
        found = api.artifact(name)
        assert (found.version, found.name, found.project) == (version, shown, "p")
    assert api.artifact("data", type="dataset").type == "dataset"


def test_artifact_unknown_version_collection_project_name_what_is_missing():
    log()
    api = artvc.Api()
    for name, missing in [("data:v9", "v9"), ("nothing", "nothing"), ("q/data", "'q'"), ("data:best", "best")]:
        with pytest.raises(NotFound, match=missing) as caught:
            api.artifact(name)
        assert isinstance(caught.value, CommError)
        assert isinstance(caught.value, ValueError)
        assert not api.artifact_exists(name)
    with pytest.raises(ValueError, match="'model'"):
        api.artifact("data", type="model")
    for malformed in ("a/b/c/d:v0", "a b", "data:v0/a.txt"):
        with pytest.raises(InvalidInput):
            api.artifact(malformed)
    with pytest.raises(TypeError):
        api.artifact(7)


def test_artifact_exists_and_artifact_collection_exists():
    log()
    api = artvc.Api()
    assert api.artifact_exists("data:v0")
    assert api.artifact_exists("p/data", type="dataset")
    assert not api.artifact_exists("data", type="model")
    assert api.artifact_collection_exists("data", "dataset")
    assert not api.artifact_collection_exists("data", "model")
    assert not api.artifact_collection_exists("other", "dataset")


def test_artifacts_order_by_version_index():
    for text in "abc":
        log(files={"a.txt": text})
    api = artvc.Api()

    def listed(**more):
        return [one.version for one in api.artifacts("dataset", "data", **more)]

    assert listed() == ["v2", "v1", "v0"]
    assert listed(order="-version_index") == ["v2", "v1", "v0"]
    assert listed(order="+version_index") == listed(order="version_index") == ["v0", "v1", "v2"]
    assert listed(order="+created_at") == ["v0", "v1", "v2"]
    for wrong in ("colour", "", "+"):
        with pytest.raises(InvalidInput):
            listed(order=wrong or "+")
    assert [one.version for one in api.artifact_versions("dataset", "p/data")] == ["v2", "v1", "v0"]


def test_artifacts_tags_are_and():
    for number in range(10):
        tags = [word for word, every in (("fizz", 3), ("buzz", 5)) if number % every == 0]
        log(files={"a.txt": str(number)}, tags=tags)
    api = artvc.Api()
    assert len(api.artifacts("dataset", "data", tags=["fizz"])) == 4
    assert len(api.artifacts("dataset", "data", tags="buzz")) == 2
    assert [one.version for one in api.artifacts("dataset", "data", tags=["fizz", "buzz"])] == ["v0"]


def test_artifacts_of_an_unknown_name_or_another_type_is_not_found():
    log()
    api = artvc.Api()
    with pytest.raises(NotFound, match="nothing"):
        api.artifacts("dataset", "nothing")
    with pytest.raises(NotFound, match="has type 'dataset'"):
        api.artifacts("model", "data")


def test_artifact_types_and_their_collections():
    log()
    log("other")
    log("net", "model")
    api = artvc.Api()
    assert [one.name for one in api.artifact_types("p")] == ["dataset", "model"]
    kind = api.artifact_type("dataset", "p")
    assert (kind.name, kind.project, kind.entity) == ("dataset", "p", "")
    assert [one.name for one in kind.collections()] == ["data", "other"]
    assert kind.collection("other").type == "dataset"
    assert [one.name for one in kind.versions("data")] == ["data:v0"]
    with pytest.raises(NotFound, match="net"):
        kind.collection("net")
    with pytest.raises(NotFound, match="'code'"):
        api.artifact_type("code", "p")
    with pytest.raises(NotFound, match="'q'"):
        api.artifact_types("q")


def test_artifact_collections_and_artifact_collection():
    log(files={"a.txt": "one"}, aliases=["best"])
    log(files={"a.txt": "two"})
    log("net", "model")
    api = artvc.Api()
    assert [one.name for one in api.artifact_collections("p")] == ["data", "net"]
    assert [one.name for one in api.artifact_collections("p", "model")] == ["net"]
    data = api.artifact_collection("dataset", "p/data")
    assert (data.name, data.type, data.project, data.id) == ("data", "dataset", "p", "p/data")
    assert data.aliases == ["best", "latest"]
    assert [one.version for one in data.artifacts()] == ["v1", "v0"]
    assert data.created_at == api.artifact("data:v0").created_at
    assert data.is_sequence()


def test_a_collections_description_and_tags_are_kept_over_new_versions():
    log(files={"a.txt": "one"})
    api = artvc.Api()
    data = api.artifact_collection("dataset", "data")
    assert (data.description, data.tags) == ("", [])
    data.description = "all digits"
    data.tags = ["vision", "small"]
    data.save()
    log(files={"a.txt": "two"})
    again = api.artifact_collection("dataset", "data")
    assert (again.description, again.tags) == ("all digits", ["small", "vision"])
    assert len(again.artifacts()) == 2
    again.description = None
    again.tags = []
    again.save()
    assert api.artifact_collection(None, "data").description == ""


def test_a_collections_bad_tag_is_refused_and_nothing_changes():
    log()
    data = artvc.Api().artifact_collection("dataset", "data")
    with pytest.raises(ValueError, match="tag"):
        data.tags = ["!x"]
    data.tags.append(" ")
    with pytest.raises(ValueError, match="tag"):
        data.save()
    assert artvc.Api().artifact_collection("dataset", "data").tags == []


def test_a_collection_keeps_name_and_type_and_says_why():
    log()
    data = artvc.Api().artifact_collection("dataset", "data")
    data.name, data.type = "data", "dataset"
    with pytest.raises(UsageError, match="can't be renamed"):
        data.name = "other"
    with pytest.raises(UsageError, match="keeps its type"):
        data.type = "model"


def test_a_name_in_several_projects_is_that_of_the_default_project(monkeypatch):
    log(project="p")
    log(project="q", files={"a.txt": "q"})
    assert artvc.Api({"project": "q"}).artifact("data").project == "q"
    assert artvc.Api({"project": "q"}).artifact_collection("dataset", "data").project == "q"
    monkeypatch.setenv("WANDB_PROJECT", "p")
    artvc.finish()
    with pytest.raises(NotFound):
        artvc.Api({"project": "r"}).artifact_collection("dataset", "data")


# -- projects -------------------------------------------------------------------------------------------------


def test_projects_and_project():
    log(project="p")
    log("net", "model", project="q")
    api = artvc.Api()
    assert [one.name for one in api.projects()] == ["p", "q"]
    project = api.project("someone/q")
    assert (project.name, project.id, project.path, project.entity) == ("q", "q", ["", "q"], "")
    assert [one.name for one in project.artifacts_types()] == ["model"]
    assert [one.name for one in project.collections()] == ["net"]
    assert project.created_at == api.runs("q")[0].created_at
    with pytest.raises(NotFound, match="'r'"):
        api.project("r")


# -- listings -------------------------------------------------------------------------------------------------


def test_listings_have_len_index_slice_iteration_and_next():
    for text in "abcd":
        log(files={"a.txt": text})
    found = artvc.Api().artifacts("dataset", "data", order="+version_index")
    assert len(found) == 4
    assert (found[0].version, found[-1].version) == ("v0", "v3")
    assert [one.version for one in found[1:3]] == ["v1", "v2"]
    assert isinstance(found[:1], list)
    assert [one.version for one in found] == [one.version for one in found]
    assert (next(found).version, next(found).version) == ("v0", "v1")
    assert found[0] is found[0]
    with pytest.raises(IndexError):
        found[4]
    next(found), next(found)
    with pytest.raises(StopIteration):
        next(found)
    assert repr(found) == "<versions of data: 4>"


def test_listings_read_nothing_before_they_are_looked_at(monkeypatch):
    log()
    api = artvc.Api()
    with monkeypatch.context() as patch:

        def refuse(*_):
            raise AssertionError("read too early")

        patch.setattr("artvc.repo.Repository.versions", refuse)
        patch.setattr("artvc.repo.Repository.commit", refuse)
        versions = api.artifacts("dataset", "data")
        runs = api.runs("p", order="-created_at")
        assert len(runs) == 1
        assert runs[0].id
    assert len(versions) == 1


def test_what_only_a_server_has_is_refused_in_one_line(repo):
    api = artvc.Api()
    for name, words in (("sweep", "no sweeps"), ("viewer", "no accounts"), ("reports", "no server"), ("odd", "'odd'")):
        with pytest.raises(AttributeError, match=words):
            getattr(api, name)


def test_from_path_finds_runs_artifacts_and_projects():
    with artvc.init(project="p", id="r1") as run:
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("f", "w") as file:
            file.write("1")
        run.log_artifact(artifact)
    api = artvc.Api({"project": "p"})
    assert api.settings == {"entity": "", "project": "p"}
    assert api.from_path("p/r1").id == api.from_path("me/p/r1").id == "r1"
    assert api.from_path("p/data:v0").version == "v0"
    assert api.from_path("p").name == api.from_path("me/p").name == "p"
    with pytest.raises(NotFound, match="nothing"):
        api.from_path("me/p/nothing")
