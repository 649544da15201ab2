"""What a commit records: versions, aliases, properties, inputs."""

import pytest

from artvc import recording
from artvc.errors import Conflict, InvalidInput, NotFound, SourceError
from artvc.model.objects import Properties
from artvc.repo import Repository


def test_first_commit_is_v0_and_latest(desk):
    desk.write({"data/a": "1", "data/sub/b": "2"})
    result = desk.commit("data", message="first", aliases=("best",))
    assert result.logged.version.label == "data:v0"
    assert result.logged.created
    assert result.logged.version.aliases == ("best", "latest")
    assert (result.logged.artifact.files, result.logged.artifact.size) == (2, 2)


def test_equal_content_is_the_same_version_with_one_more_producer(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    again = desk.commit("data", aliases=("good",))
    assert not again.logged.created
    assert again.logged.version.label == "data:v0"
    assert again.logged.version.aliases == ("good", "latest")
    assert len(desk.repo.runs()) == 2


def test_relogging_an_older_content_moves_latest_back(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    desk.write({"data/a": "2"})
    desk.commit("data")
    desk.write({"data/a": "1"})
    desk.commit("data")
    assert desk.version("data:latest").number == 0
    assert [v.number for v in desk.repo.versions("uncategorized", "data")] == [0, 1]


def test_properties_without_new_content_update_the_version(desk):
    desk.write({"data/a": "1"})
    desk.commit("data", metadata={"rows": 1}, description="one")
    changed = desk.commit("data", metadata={"rows": 2})
    assert not changed.logged.created
    assert changed.logged.properties_changed
    assert desk.repo.properties(changed.logged.version.properties_id).metadata == {"rows": 2}
    kept = desk.commit("data")
    assert not kept.logged.properties_changed
    assert desk.repo.properties(kept.logged.version.properties_id).metadata == {"rows": 2}


def test_a_file_keeps_its_base_name_and_a_directory_is_the_root(desk):
    desk.write({"x/model.pt": "m", "x/dir/readme": "r"})
    result = desk.commit("x/model.pt", "x/dir")
    assert [path for path, _ in desk.repo.walk(result.logged.version)] == ["dir/readme", "model.pt"]


def test_name_and_type_are_known_in_a_directory_that_was_checked_out(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    desk.checkout("data:v0", "work")
    desk.write({"work/a": "2"})
    result = desk.commit("work", name=None, kind=None)
    assert result.logged.version.label == "data:v1"


def test_unknown_paths_need_a_name_and_new_artifacts_a_type(desk):
    desk.write({"data/a": "1"})
    with pytest.raises(InvalidInput, match="no name for"):
        desk.commit("data", name=None, kind=None)
    with pytest.raises(InvalidInput, match="no type for the new artifact 'data'"):
        desk.commit("data", kind=None)
    with pytest.raises(InvalidInput, match="No such file"):
        desk.commit("missing")
    assert desk.repo.collections() == []


def test_another_type_is_a_conflict_that_names_both(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    with pytest.raises(Conflict, match="already exists with type 'dataset'; cannot create another with type 'model'"):
        desk.commit("data", kind="model")


def test_inputs_are_resolved_and_kept_with_the_words_used(desk):
    desk.write({"data/a": "1", "model": "m"})
    desk.commit("data")
    result = desk.commit("model", name="net", kind="model", inputs=("data:latest", "data:v0"))
    (only,) = result.recorded.commit.inputs
    assert only.artifact == desk.version("data:v0").artifact_id
    assert only.asked == "data:latest"
    with pytest.raises(NotFound):
        desk.commit("model", name="net", inputs=("nothing",))


def test_alias_moves_and_is_removed(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    desk.write({"data/a": "2"})
    desk.commit("data")
    assert recording.set_alias(desk.repo, desk.version("data:v0"), "best", now=desk.now()) is None
    assert recording.set_alias(desk.repo, desk.version("data:v1"), "best", now=desk.now()) == 0
    assert desk.version("data:best").number == 1
    recording.remove_alias(desk.repo, "uncategorized", "data", "best", now=desk.now())
    with pytest.raises(NotFound, match="no alias 'best'"):
        desk.version("data:best")
    with pytest.raises(InvalidInput):
        recording.remove_alias(desk.repo, "uncategorized", "data", "latest", now=desk.now())
    for bad in ("v3", "a/b", "a:b", "", "-x", "a@b"):
        with pytest.raises(InvalidInput):
            recording.set_alias(desk.repo, desk.version("data:v0"), bad, now=desk.now())


def test_properties_edited_by_two_are_a_conflict(desk):
    desk.write({"data/a": "1"})
    version = desk.commit("data").logged.version
    recording.set_properties(desk.repo, version, Properties(description="mine"), now=desk.now())
    with pytest.raises(Conflict, match="changed by somebody else"):
        recording.set_properties(desk.repo, version, Properties(description="yours"), now=desk.now())
    assert desk.repo.properties(desk.version("data").properties_id).description == "mine"


def test_a_file_that_changes_while_it_is_read_is_not_recorded(desk, monkeypatch):
    desk.write({"data/a": b"x" * 200_000})
    from artvc.store import ingest

    honest = ingest._read_into

    def slow(fd, view, path):
        got = honest(fd, view, path)
        (desk.root / "data/a").write_bytes(b"y" * 200_000)
        return got

    monkeypatch.setattr(ingest, "_read_into", slow)
    with pytest.raises(SourceError, match="changed while it was read"):
        desk.commit("data")
    assert desk.repo.collections() == []


def test_projects_are_namespaces(desk):
    desk.write({"data/a": "1"})
    desk.commit("data", project="one")
    desk.write({"data/a": "2"})
    desk.commit("data", project="two")
    assert desk.version("one/data").number == desk.version("two/data:v0").number == 0
    with pytest.raises(NotFound, match="several others have"):
        desk.version("data")
    desk.repo.set_config("project.default", "two")
    assert desk.version("data").project == "two"


def test_similar_names_are_suggested(desk):
    desk.write({"data/a": "1", "data/sub/weights.pt": "w"})
    desk.commit("data", name="mnist-raw")
    for reference, message, hint in (
        ("minst-raw", "no artifact 'minst-raw'", "did you mean 'mnist-raw'?"),
        ("mnist-raw:latst", "no alias 'latst'", "did you mean mnist-raw:latest?"),
        ("mnist-raw:v7", "no version v7", "it has v0 to v0"),
    ):
        with pytest.raises(NotFound, match=message) as caught:
            desk.version(reference)
        assert caught.value.hint == hint
    with pytest.raises(NotFound) as caught:
        desk.repo.entry(desk.version("mnist-raw"), "sub/weigths.pt")
    assert caught.value.hint == "did you mean 'sub/weights.pt'?"


def test_references_with_paths_and_hashes(desk):
    desk.write({"data/a/b": "1"})
    version = desk.commit("data").logged.version
    digest = version.artifact_id.hex()[:8]
    for reference, path in (
        ("data", ""),
        ("data/a/b", "a/b"),
        ("data:v0/a/b", "a/b"),
        (f"data@{digest}/a", "a"),
        ("uncategorized/data:latest/a/b", "a/b"),
        ("someone/uncategorized/data:v0", ""),
    ):
        found = desk.repo.resolve(reference)
        assert (found.version.number, found.path) == (0, path)


def test_init_twice_is_harmless_and_a_half_made_repository_is_completed(tmp_path):
    (tmp_path / ".artvc").mkdir()
    (tmp_path / ".artvc" / "packs").mkdir()
    first, created = Repository.create(tmp_path, project="p")
    assert created
    second, created = Repository.create(tmp_path, project="q")
    assert not created
    assert second.default_project == first.default_project == "p"


def test_one_pack_each_for_data_and_metadata_of_a_small_commit(desk):
    desk.write({f"data/{i}": f"{i}" for i in range(300)})
    desk.commit("data")
    assert len(list((desk.root / ".artvc/packs").iterdir())) == 2


def test_a_file_of_many_chunks_shares_what_did_not_change(desk):
    import random

    body = random.Random(5).randbytes(3_000_000)
    desk.write({"data/big": body})
    desk.commit("data")
    desk.write({"data/big": body[:1_000_000] + b"inserted" + body[1_000_000:]})
    second = desk.commit("data")
    assert second.recorded.totals.new < 600_000
    entry = desk.repo.entry(second.logged.version, "big")
    assert b"".join(desk.repo.read(entry)) == body[:1_000_000] + b"inserted" + body[1_000_000:]
    with desk.repo.open_file(entry) as file:
        file.seek(999_990)
        assert file.read(30) == (body[:1_000_000] + b"inserted" + body[1_000_000:])[999_990:1_000_020]
        file.seek(-5, 2)
        assert file.read() == body[-5:]
