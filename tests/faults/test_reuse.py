"""What a commit relies on must be there: data that went missing is stored anew, not referred to (design 5.1)."""

import time
from pathlib import Path

import pytest

from artvc import maintenance, recording
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store.fsio import Disk
from artvc.store.packs import DATA, Pack
from tests.faults.world import SETTINGS, Stage, World, now

SOURCE = "b"  # has a file of several chunks: its chunk list is metadata, in another pack than its chunks


def data_packs(repo: Repository) -> list[Path]:
    found = []
    for path in sorted((repo.dir / "packs").glob("*.pack")):
        pack = Pack.open(Disk(), str(path))
        if pack.content() == DATA:
            found.append(path)
        pack.close()
    return found


@pytest.fixture
def committed(stage: Stage, arena: Path, request: pytest.FixtureRequest) -> World:
    world = World(arena / request.node.name.replace("/", "_"), stage.sources)
    world.root.mkdir(parents=True)
    Repository.create(world.root, settings=SETTINGS)[0].close()
    time.sleep(0.05)  # older than a tick of the clock, so that the stat cache knows the files
    world.commit(SOURCE)
    return world


def commit_again(world: World, **options: bool) -> bool:
    """Whether the repository is whole after the same data was committed again."""
    with world.open() as repo:
        request = CommitRequest(paths=(world.sources / SOURCE,), name="data", type="dataset", **options)
        recording.commit_paths(repo, request, now=now)
    with world.open() as repo:
        return maintenance.fsck(repo, full=False).clean


def test_paranoid_commits_heal_damaged_chunks(committed: World) -> None:
    with committed.open() as repo:
        largest = max(data_packs(repo), key=lambda path: path.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)
    with committed.open() as repo:
        assert not maintenance.fsck(repo).clean
    commit_again(committed, paranoid=True)
    with committed.open() as repo:
        version = repo.resolve("data").version
        for _, entry in repo.walk(version):
            assert b"".join(repo.read(entry)) is not None


def test_commits_heal_a_lost_pack(committed: World) -> None:
    with committed.open() as repo:
        for path in data_packs(repo):
            path.unlink()
    assert commit_again(committed)


def test_commits_heal_a_lost_pack_when_files_are_read(committed: World) -> None:
    with committed.open() as repo:
        for path in data_packs(repo):
            path.unlink()
    for path in (committed.root / ".artvc/cache/stat").iterdir():
        path.unlink()
    assert commit_again(committed)
