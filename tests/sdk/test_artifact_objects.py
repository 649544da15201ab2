"""Media in artifacts: page 5, behaviour 49, as far as artifacts have to do with it; the media are of the simplest kind."""

import json

import pytest

import artvc
from artvc.errors import ArtifactFinalizedError, ArtifactNotLoggedError, InvalidType
from artvc.sdk import media


class Note:
    """A value of text and one file, as media are."""

    def __init__(self, text, source=None):
        self.text = text
        self.source = source

    def __eq__(self, other):
        return isinstance(other, Note) and other.text == self.text


def pack(value, name):
    if not isinstance(value, Note):
        raise InvalidType(f"an artifact takes no {type(value).__name__}")
    body = value.text.encode()
    record = {"_type": "note", "path": f"media/note/{len(body)}-{value.text[:4]}"}
    return [(f"{name}.note.json", json.dumps(record).encode()), (record["path"], body)]


def unpack(artifact, name):
    path = name if name.endswith(".note.json") else f"{name}.note.json"
    try:
        entry = artifact.get_entry(path)
    except KeyError:
        return None
    with entry.open() as file:
        record = json.load(file)
    with artifact.get_entry(record["path"]).open() as file:
        return Note(file.read().decode(), source=(artifact, path))


@pytest.fixture(autouse=True)
def notes(monkeypatch):
    monkeypatch.setattr(media, "pack", pack, raising=False)
    monkeypatch.setattr(media, "unpack", unpack, raising=False)


def log(artifact):
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact)


def test_add_and_get_give_an_equal_value():
    artifact = artvc.Artifact("data", "dataset")
    entry = artifact.add(Note("hello"), "deep//a")
    artifact["b"] = Note("other")
    assert entry.path == "deep/a.note.json"
    log(artifact)
    assert artifact.get("deep/a") == artifact["deep/a"] == Note("hello")
    assert artifact["b"] == Note("other") and artifact.get("b.note.json") == Note("other")
    assert artifact.get("none") is None and artifact["none"] is None


def test_the_same_value_twice_is_stored_once():
    artifact = artvc.Artifact("data", "dataset")
    first = artifact.add(Note("hello"), "a")
    assert artifact.add(Note("hello"), "a").digest == first.digest
    artifact.add(Note("hello"), "b")
    assert list(artifact.manifest) == ["a.note.json", "b.note.json", "media/note/5-hell"]


def test_another_value_of_a_name_needs_overwrite():
    artifact = artvc.Artifact("data", "dataset")
    artifact.add(Note("hello"), "a")
    with pytest.raises(ValueError, match="same path twice"):
        artifact.add(Note("other"), "a")
    artifact.add(Note("other"), "a", overwrite=True)
    assert log(artifact)["a"] == Note("other")


def test_other_types_are_a_type_error_and_logged_artifacts_are_closed():
    artifact = artvc.Artifact("data", "dataset")
    with pytest.raises(TypeError, match="takes no int"):
        artifact.add(3, "a")
    with pytest.raises(ArtifactNotLoggedError, match="Artifact.get"):
        artifact.get("a")
    log(artifact)
    with pytest.raises(ArtifactFinalizedError):
        artifact["a"] = Note("x")


def test_a_value_of_another_artifact_is_stored_as_a_reference_to_it():
    first = artvc.Artifact("first", "dataset")
    first.add(Note("hello"), "a")
    log(first)
    second = artvc.Artifact("second", "dataset")
    entry = second.add(first.get("a"), "b")
    log(second)
    assert entry.ref == f"artvc-artifact://{first.id}/a.note.json"
    assert second.get_entry("media/note/5-hell").ref == f"artvc-artifact://{first.id}/media/note/5-hell"
    assert second["b"] == Note("hello")
    assert [record.outputs for record in first.used_by()] == [("second:v0",)]


def test_a_value_that_was_changed_since_is_stored_anew():
    first = artvc.Artifact("first", "dataset")
    first.add(Note("hello"), "a")
    log(first)
    changed = first["a"]
    changed.text = "other"
    second = artvc.Artifact("second", "dataset")
    assert second.add(changed, "b").ref is None
    assert log(second)["b"] == Note("other")
