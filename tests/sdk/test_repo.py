"""artvc.Repo: a repository for scripts."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import artvc
from artvc.errors import Conflict, InvalidInput, NotARepository, NotFound
from artvc.store.refs import RefLog


def test_open_finds_it_above_and_says_where_there_is_none(desk):
    with pytest.raises(NotARepository) as caught:
        artvc.Repo.open()
    assert "artvc init" in caught.value.hint
    artvc.Repo.init(desk, project="mnist").close()
    (desk / "a" / "b").mkdir(parents=True)
    with artvc.Repo.open(desk / "a" / "b") as repo:
        assert (repo.root, repo.default_project) == (desk, "mnist")


def test_commit_checkout_resolve_log_aliases_open_file_status(desk, repo):
    (desk / "in").mkdir()
    (desk / "in" / "a.txt").write_text("hello world")
    logged = repo.commit(
        "in", "data", "dataset", "first", aliases=["best"], metadata={"shape": (1, 2)}, tags=["t"], job_type="load"
    )
    assert (logged.version.label, logged.created) == ("data:v0", True)
    assert repo.resolve("data:best").version.number == 0
    assert repo.aliases("data") == {"best": 0, "latest": 0}
    assert [entry.commit.message for entry in repo.log()] == ["first"]
    assert repo.files("data") == ["a.txt"]
    with repo.open_file("data:v0/a.txt") as stream:
        stream.seek(6)
        assert stream.read() == b"world"
    result = repo.checkout("data", "out")
    assert (result.files, (desk / "out/a.txt").read_text()) == (1, "hello world")
    assert repo.checkout("data:v0/a.txt").dest == desk / "artifacts/data:v0"
    (desk / "out/a.txt").write_text("changed")
    assert [status.modified for status in repo.status(["out"])] == [("a.txt",)]
    with pytest.raises(Conflict):
        repo.checkout("data", "out")
    repo.checkout("data", "out", force=True)
    (desk / "in" / "a.txt").write_text("second")
    assert repo.commit(["in"], message="second", inputs=["data:v0"]).version.label == "data:v1"
    repo.alias("data:v0", "best")
    assert repo.aliases("data") == {"best": 0, "latest": 1}
    assert [version.label for version in repo.versions("data")] == ["data:v0", "data:v1"]
    assert [collection.name for collection in repo.artifacts()] == ["data"]


def test_errors(repo):
    with pytest.raises(NotFound):
        repo.resolve("nothing")
    with pytest.raises(InvalidInput):
        repo.commit("missing", "a", "t")
    with pytest.raises(NotFound):
        repo.open_file("nothing/a")
    assert repo.versions("nothing") == []


def test_what_a_run_logged_is_there(repo):
    with artvc.init(project="p") as run:
        artifact = artvc.Artifact("model", "model")
        with artifact.new_file("w.bin", "wb") as file:
            file.write(b"weights")
        run.log_artifact(artifact)
    with repo.open_file("p/model:latest/w.bin") as stream:
        assert stream.read() == b"weights"
    with pytest.raises(InvalidInput, match="names no file"):
        repo.open_file("p/model")


def test_threads_that_resolve_at_once(desk, monkeypatch):
    (desk / "a.txt").write_text("a")
    with artvc.Repo.init(desk) as made:
        made.commit("a.txt", "a", "text")
    real = RefLog.read

    def read(self, number):
        found = real(self, number)
        time.sleep(0.01)  # others come to the same place
        return found

    monkeypatch.setattr(RefLog, "read", read)
    with artvc.Repo.open(desk) as opened, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: opened.resolve("a:latest").version.number, range(8)))
    assert found == [0] * 8
