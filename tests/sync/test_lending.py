"""Data that comes in pieces: records are checked, handed on and written while more comes."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from artvc.errors import Damaged, NotFound, RemoteError, StorageFull
from artvc.model.ids import Id
from artvc.remotes.base import Remote
from artvc.store.packs import PackWriter
from artvc.sync import lending, sharing
from tests.faults.world import noise, weights
from tests.sync.conftest import Clone, Counting, Team


def chunks_of(clone: Clone, *versions: str) -> set[Id]:
    """The chunks of versions."""
    entries = [clone.repo.entry(clone.version(name), "") for name in versions]
    return set(lending._chunks(clone.repo, entries))


@pytest.fixture
def series(team: Team) -> Clone:
    """Two versions of weights, the second stored as differences, besides noise and a file larger than a record."""
    one = team.new("one")
    one.commit({"model.safetensors": weights(1), "noise": noise("3", 700_000)}, "model")
    one.commit({"model.safetensors": weights(1, moved=1e-6), "noise": noise("4", 700_000)}, "model")
    one.commit({"zeros": bytes(3_000_000), "small": b"1"}, "other")
    one.push()
    return one


@pytest.mark.parametrize("ranged", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_pieces_it_comes_in(team, series, counts, monkeypatch, seed, ranged):
    pick = random.Random(seed)
    monkeypatch.setattr(lending, "_BATCH", pick.choice([1, 1000, 100_000, 10_000_000]))
    monkeypatch.setattr(Counting, "ranged", ranged, raising=False)
    honest = Counting.download

    @contextmanager
    def cut(self: Counting, pack: Id, **part: Any) -> Iterator[Iterator[bytes]]:
        with honest(self, pack, **part) as pieces:
            data = b"".join(pieces)
            cuts = sorted(pick.sample(range(len(data) + 1), min(len(data), pick.choice([0, 1, 10, 300]))))
            yield iter([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)])

    monkeypatch.setattr(Counting, "download", cut)
    two = team.clone("two")
    for version in ("other:v0", "model:v1", "model:v0"):
        assert two.files(version) == series.files(version)
    assert two.problems() == []


class Trouble(Counting):
    """A remote with a pack that fails after some bytes, once another one has come as a whole."""

    ranged = False

    def __init__(self, remote: Remote, failing: Id, exc: Exception) -> None:
        super().__init__(remote, {})
        self.failing, self.exc, self.came = failing, exc, threading.Event()

    @contextmanager
    def download(self, pack: Id, **part: Any) -> Iterator[Iterator[bytes]]:
        with super().download(pack, **part) as pieces:
            yield self._broken(pieces) if pack == self.failing else self._whole(pieces)

    def _whole(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from pieces
        self.came.set()

    def _broken(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield next(pieces)[:1000]
        assert self.came.wait(20)
        raise self.exc


@pytest.fixture
def halves(team: Team) -> tuple[Clone, Remote]:
    """A clone without data, and a remote with two packs."""
    one = team.new("one")
    for number in range(2):
        one.commit({"file": noise(str(number), 300_000)}, f"data{number}")
        one.push()
    two = team.clone("two")
    return two, sharing.lender_of(two.repo, two.work)._remote("origin")


@pytest.mark.parametrize("exc", [RemoteError("the connection was cut"), NotFound("the pack is gone")])
def test_what_came_before_a_failure_is_kept_and_not_asked_for_again(halves, exc):
    two, remote = halves
    wanted = chunks_of(two, "data0:v0", "data1:v0")
    failing = min(remote.packs())
    lender = lending.Lender(two.repo, lambda _: Trouble(remote, failing, exc))
    with pytest.raises(type(exc)):
        lender.bring(wanted)
    two.repo.objects.refresh()
    left = {one for one in wanted if two.repo.objects.find(one) is None}
    assert left and left < wanted
    counts: dict[str, int] = {}
    honest = Counting(remote, counts)
    assert lending.Lender(two.repo, lambda _: honest).bring(wanted).chunks == len(left)
    assert 300_000 < counts["data"] < 310_000
    assert two.problems() == []


def test_a_full_disk_ends_all_that_is_asked_for(halves, monkeypatch):
    two, remote = halves
    monkeypatch.setattr(lending, "_BATCH", 1000)
    monkeypatch.setattr(lending, "_BATCHES", 1)

    def full(self: PackWriter) -> None:
        raise StorageFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, "flush", full)
        with pytest.raises(StorageFull):
            lending.Lender(two.repo, lambda _: remote).bring(chunks_of(two, "data0:v0", "data1:v0"))
    assert not [one.name for one in threading.enumerate() if one.name.startswith("artvc-fetch")]
    assert not list((two.repo.dir / "tmp").iterdir())
    assert two.files("data0:v0") and two.problems() == []


def test_records_that_overlap_are_refused(halves, monkeypatch):
    two, remote = halves
    really = lending._ranges

    def overlapping(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for part in really(*args, **kwargs):
            (offset, length, base), *rest = part.records
            yield part._replace(records=((offset, length, base), (offset + 1, length, base), *rest))

    monkeypatch.setattr(lending, "_ranges", overlapping)
    monkeypatch.setattr(lending, "_BATCH", 1)
    with pytest.raises(Damaged, match="at byte"):
        lending.Lender(two.repo, lambda _: remote).bring(chunks_of(two, "data0:v0"))
