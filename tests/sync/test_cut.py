"""Pushes and pulls whose connection is cut: the next run finishes them and moves little of it again.

``ARTVC_FAULTS=full`` cuts at each 64 KiB of a push and a pull of 64 MiB.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from artvc.errors import RemoteError
from artvc.remotes import address
from artvc.store import packs
from artvc.sync import lending, sharing
from tests.faults.world import noise
from tests.remotes.bucket_server import serving
from tests.remotes.proxy import Cut, Proxy, proxied
from tests.remotes.test_cut import HASTE
from tests.sync.conftest import Clone

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")

from artvc.remotes.bucket import BucketRemote
from artvc.remotes.object_store import Access, ObjectStore

FULL = os.environ.get("ARTVC_FAULTS") == "full"
SIZE, PACK = (64 * 1024 * 1024, 4 * 1024 * 1024) if FULL else (2 * 1024 * 1024, 256 * 1024)
STEP = 64 * 1024 if FULL else 300 * 1024
# Each cut costs SIZE in the store and in each clone, so a few of them share these.
BLOCKS = [range(at, min(SIZE, at + 16 * STEP), STEP) for at in range(100, SIZE, 16 * STEP)]
OVERHEAD = 256 * 1024  # history, requests and answers
JOBS = 2


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A bucket behind a proxy, which every remote of the test is."""
    monkeypatch.setattr(packs, "PACK_BYTES", PACK)
    monkeypatch.setattr(packs, "_RESERVE", PACK)
    monkeypatch.setattr(lending, "_PART", PACK // 2)
    with serving() as server, proxied("127.0.0.1", server.port) as proxy:
        environ = {**server.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}

        def opened(*args: object) -> BucketRemote:
            return BucketRemote(ObjectStore("s3", "bucket", Access.from_environment("s3", environ), HASTE), "p")

        monkeypatch.setattr(address, "open_remote", opened)
        yield proxy


def until_done(proxy: Proxy, direction: str, after: int, act) -> tuple[int, int]:
    """Run an act whose connection is cut after so many bytes, then again; bytes that passed, and runs."""
    before, runs = proxy.passed[direction], 0
    proxy.cut(Cut(after, direction, "reset", gone=True))  # type: ignore[arg-type]
    while True:
        runs += 1
        try:
            act()
            return proxy.passed[direction] - before, runs
        except RemoteError:
            assert runs == 1
        finally:
            proxy.cut(None)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_push_that_was_cut_off_sends_at_most_a_pack_of_each_job_again(
    line: Proxy, tmp_path: Path, block: range
) -> None:
    one = Clone(tmp_path / "one", {})
    one.repo.set_config("remote.origin.url", "s3://bucket/p")
    work = sharing.Work(environ={}, now=one.work.now, jobs=JOBS)
    reruns = 0  # where another connection was open, the client went on by itself
    for number, after in enumerate(block):
        one.commit({"large": noise(f"push {after}", SIZE)}, f"data{number}")
        passed, runs = until_done(line, "up", after, lambda: sharing.push_to(one.repo, "origin", work, settled={}))
        reruns += runs - 1
        assert line.cuts == number + 1
        assert SIZE < passed <= SIZE + JOBS * PACK + OVERHEAD
        assert one.push().edits == ()
    assert reruns or FULL
    one.repo.close()
    shutil.rmtree(one.root)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_pull_that_was_cut_off_brings_at_most_a_part_of_each_job_again(
    line: Proxy, tmp_path: Path, block: range
) -> None:
    one, two = Clone(tmp_path / "one", {}), Clone(tmp_path / "two", {})
    for clone in (one, two):
        clone.repo.set_config("remote.origin.url", "s3://bucket/p")
    work = sharing.Work(environ={}, now=one.work.now, jobs=JOBS)
    reruns = 0  # where another connection was open, the client went on by itself
    for number, after in enumerate(block):
        data = noise(f"pull {after}", SIZE)
        one.commit({"large": data}, "data")
        one.push()
        passed, runs = until_done(
            line,
            "down",
            after,
            lambda: sharing.pull_from(two.repo, "origin", work, references=["data"], settled={}),
        )
        reruns += runs - 1
        assert line.cuts == number + 1
        assert SIZE < passed <= SIZE + JOBS * PACK + OVERHEAD
        assert two.files("data") == {"large": data}
    assert reruns or FULL
    assert two.problems() == []
    for clone in (one, two):
        clone.repo.close()
        shutil.rmtree(clone.root)
