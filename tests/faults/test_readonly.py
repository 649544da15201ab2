"""Everything that only reads works on a read-only medium, and tries to write nothing that matters."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from artvc import history, maintenance, recording, worktree
from artvc.errors import StorageError
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import index
from artvc.store.fsio import Disk
from tests.faults.faulty_disk import ReadOnlyDisk
from tests.faults.world import PROJECT, SCENARIOS, SETTINGS, SOURCES, Stage, World, now, read_files

TWO_VERSIONS = next(one for one in SCENARIOS if one.name == "alias")


def read_everything(root: Path, out: Path, disk: Disk) -> None:
    """What a user can ask of a repository without changing it."""
    with Repository.open(root, SETTINGS, disk) as repo:
        assert [version.label for version in repo.versions(PROJECT, "data")] == ["data:v0", "data:v1"]
        version = repo.resolve("data:v0").version
        assert {p: b"".join(repo.read(e)) for p, e in repo.walk(version)} == SOURCES["a"]
        assert len(list(history.log(repo))) == 2
        assert len(repo.runs()) == 2
        assert maintenance.fsck(repo).clean
        worktree.checkout(repo, version, out)
        assert read_files(out) == SOURCES["a"]
        worktree.status(repo)


def refuse_to_commit(root: Path, sources: Path, disk: Disk) -> None:
    with Repository.open(root, SETTINGS, disk) as repo, pytest.raises(StorageError):
        recording.commit_paths(repo, CommitRequest(paths=(sources / "packs",), name="data", type="dataset"), now=now)


@pytest.fixture
def world(stage: Stage) -> Iterator[World]:
    with stage.world(TWO_VERSIONS) as made:
        yield made


def test_a_disk_that_refuses_every_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_LOOSE_PACKS", 1)  # it would like to write the merged index
    read_everything(world.root, world.base / "out", ReadOnlyDisk())
    refuse_to_commit(world.root, world.sources, ReadOnlyDisk())


def test_without_caches_on_a_disk_that_refuses_every_write(world: World) -> None:
    shutil.rmtree(world.root / ".artvc" / "cache")
    shutil.rmtree(world.root / ".artvc" / "tmp")
    shutil.rmtree(world.root / ".artvc" / "locks")
    read_everything(world.root, world.base / "out", ReadOnlyDisk())


def test_a_real_read_only_mount(world: World) -> None:
    mounted = world.base / "out-mount"
    mounted.mkdir()
    try:
        done = subprocess.run(["mount", "--bind", "-o", "ro", str(world.root), str(mounted)], capture_output=True)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        try:
            (mounted / "probe").write_bytes(b"")
        except OSError:
            pass
        else:
            pytest.skip("the bind mount is not read-only here")
        read_everything(mounted, world.base / "out", Disk())
        refuse_to_commit(mounted, world.sources, Disk())
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
