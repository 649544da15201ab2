"""The digests that W&B would give: page 5, section 2e, and "What wandb tests" 1 to 3."""

import base64
import hashlib

import pytest

import artvc


def draft(files):
    artifact = artvc.Artifact("data", "dataset")
    for path, text in files.items():
        with artifact.new_file(path, "w") as file:
            file.write(text)
    return artifact


THREE = {"file1.txt": "hello", "nest/file2.txt": "my", "nest/nest/file3.txt": "dude"}


@pytest.mark.parametrize(
    ("files", "digest"),
    [
        ({}, "64e7c61456b10382e2f3b571ac24b659"),
        ({"file1.txt": "hello"}, "a00c2239f036fb656c1dcbf9a32d89b4"),
        ({"great-file.txt": "hello"}, "585b9ada17797e37c9cbab391e69b8c5"),
        ({"subdir/file1.txt": "hello"}, "a757208d042e8627b2970d72a71bed5b"),
        (THREE, "72414374bfd4b0f60a116e7267845f71"),
        ({f"top/{path}": text for path, text in THREE.items()}, "f718baf2d4c910dc6ccd0d9c586fa00f"),
    ],
)
def test_wandb_digest_of_a_draft_and_of_the_version(files, digest):
    artifact = draft(files)
    assert artifact.wandb_digest == digest
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    assert artifact.wandb_digest == digest
    assert len(artifact.digest) == 64


def test_md5_of_an_entry_is_that_of_its_bytes_in_base64():
    data = bytes(range(256)) * 20_000  # of several chunks
    artifact = artvc.Artifact("data", "dataset")
    with artifact.new_file("big", "wb") as file:
        file.write(data)
    expected = base64.b64encode(hashlib.md5(data).digest()).decode()
    assert artifact.manifest["big"].md5 == artifact.manifest["big"].wandb_digest == expected


def test_name_type_and_metadata_do_not_count():
    one, two = draft(THREE), draft(THREE)
    two.metadata["k"] = 1
    two.description = "other"
    assert one.wandb_digest == two.wandb_digest


def test_entries_say_what_they_are():
    artifact = draft({"d/a.json": "{}"})
    entry = artifact.manifest["d/a.json"]
    assert (entry.name, entry.mimetype, entry.extra, entry.local_path, entry.direct_url) == (
        "d/a.json",
        "application/json",
        {},
        None,
        "",
    )
    assert entry.storage_path == entry.digest
    with artvc.init(project="p") as run:
        run.log_artifact(artifact)
    logged = artifact.get_entry("d/a.json")
    assert logged.direct_url == logged.ref_url() == f"artvc-artifact://{artifact.id}/d/a.json"
    with logged.open() as file:
        assert file.read() == b"{}"
    assert artifact.manifest.get_entry_by_path("d//a.json") == logged
    assert artifact.manifest.get_entry_by_path("x") is None
