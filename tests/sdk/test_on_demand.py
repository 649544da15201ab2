"""What the Python API reads comes from remotes where it is not here."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import artvc
from artvc import settings
from artvc.errors import ArtvcError
from artvc.settings import Settings
from artvc.sync import sharing
from artvc.sync.lending import Lender

BIG = random.Random(8).randbytes(1_000_000)
WORK = sharing.Work(environ={}, now=settings.now)


@pytest.fixture
def clone(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without data of a repository with ``data:v0``, as the working directory."""
    (desk / "data").mkdir()
    (desk / "data" / "big.bin").write_bytes(BIG)
    (desk / "data" / "small.txt").write_bytes(b"small")
    remote = tmp_path / "remote"
    remote.mkdir()
    with artvc.Repo.init(desk, project="p") as repo:
        repo.commit("data", "data", "dataset")
        sharing.add_remote(repo._repository, "origin", str(remote), WORK, base=tmp_path)
        sharing.push_to(repo._repository, "origin", WORK, settled={})
    far = tmp_path / "far"
    made, _ = sharing.clone(str(remote), far, WORK, base=tmp_path, settings=Settings(sync=False))
    made.close()
    monkeypatch.chdir(far)
    return far


@pytest.fixture
def travelled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The bytes of packs that each trip to a remote brought."""
    seen: list[int] = []
    real = Lender.bring

    def bring(self, wanted):
        brought = real(self, wanted)
        seen.append(brought.bytes)
        return brought

    monkeypatch.setattr(Lender, "bring", bring)
    return seen


def test_download_in_a_run_brings_it(clone: Path, travelled: list[int]) -> None:
    with artvc.init(project="p") as run:
        artifact = run.use_artifact("data:v0")
        assert not travelled
        directory = Path(artifact.download())
    assert (directory / "big.bin").read_bytes() == BIG and (directory / "small.txt").read_bytes() == b"small"
    assert len(BIG) <= sum(travelled) <= 1.2 * len(BIG)


def test_api_brings_one_file(clone: Path, travelled: list[int]) -> None:
    entry = artvc.Api().artifact("p/data:v0").get_entry("small.txt")
    assert Path(entry.download()).read_bytes() == b"small"
    assert 0 < sum(travelled) < 1000


def test_repo_brings_what_is_read(clone: Path, travelled: list[int]) -> None:
    with artvc.Repo.open(clone) as repo:
        assert repo.files("data:v0") == ["big.bin", "small.txt"] and not travelled
        with repo.open_file("data:v0/small.txt") as file:
            assert file.read() == b"small"
        assert 0 < sum(travelled) < 1000
        repo.checkout("data:v0", clone / "out")
    assert (clone / "out" / "big.bin").read_bytes() == BIG


def test_threads_bring_it_once(clone: Path, travelled: list[int]) -> None:
    with artvc.Repo.open(clone) as repo:
        opened = [repo.open_file("data:v0/big.bin") for _ in range(8)]

        def read(number: int) -> bool:
            return opened[number].read() == BIG

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, range(8)))
    assert sum(travelled) <= 1.2 * len(BIG)


def test_an_unreachable_remote_is_named(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "remote").rename(tmp_path / "away")
    with artvc.init(project="p") as run, pytest.raises(ArtvcError, match=str(tmp_path / "remote")) as caught:
        run.use_artifact("data:v0").download()
    assert "remote 'origin'" in str(caught.value.hint)
    with artvc.Repo.open(clone) as repo:
        with pytest.raises(ArtvcError, match=str(tmp_path / "remote")):
            repo.checkout("data:v0", clone / "out")
        assert not (clone / "out" / "big.bin").exists()
    (tmp_path / "away").rename(tmp_path / "remote")
    with artvc.Repo.open(clone) as repo:
        repo.checkout("data:v0", clone / "out")
    assert (clone / "out" / "small.txt").read_bytes() == b"small"
