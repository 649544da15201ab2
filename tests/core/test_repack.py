"""The same objects in fewer and smaller packs; whoever reads meanwhile notices nothing."""

import random
import struct

import pytest

from artvc import curation, maintenance
from artvc.errors import InvalidInput
from artvc.maintenance import GcRequest, RepackReport, RepackRequest
from artvc.repo import Repository
from artvc.store import packs
from tests.core.test_gc import at, contents, pack_files, sound
from tests.faults.world import noise


def repack(desk, **more) -> RepackReport:
    return maintenance.repack(desk.repo, RepackRequest(**more), now=at(1))


def gc(desk) -> None:
    maintenance.gc(desk.repo, GcRequest(grace=0), now=at(1))


def drifting(*moves: float) -> bytes:
    """The weights of a training run after some moves, each so large: a safetensors file of one float32 array."""
    draw = random.Random(1)
    array = [draw.gauss(0, 0.02) for _ in range(30_000)]
    for move in moves:
        array = [one + draw.gauss(0, move) for one in array]
    header = b'{"w":{"dtype":"F32","shape":[30000],"data_offsets":[0,120000]}}'
    return len(header).to_bytes(8, "little") + header + struct.pack("<30000f", *array)


@pytest.fixture
def many(desk):
    """Twelve commits, each with two packs of its own."""
    for number in range(12):
        desk.write({"d/x": f"the content of version {number} " * 50, "d/noise": noise("noise", 100_000)})
        desk.commit("d")
    return desk


def test_small_packs_are_joined(many):
    before = {number: contents(many.repo, f"data:v{number}") for number in range(12)}
    assert len(pack_files(many.repo)) == 24
    report = repack(many)
    assert (report.rewritten, report.written) == (24, 2)
    assert sound(many.repo)
    gc(many)
    assert len(pack_files(many.repo)) == 2
    assert {number: contents(many.repo, f"data:v{number}") for number in range(12)} == before
    assert sound(many.repo)


def test_a_second_run_has_nothing_to_do(many):
    repack(many)
    assert repack(many).rewritten == 0
    gc(many)
    assert repack(many).rewritten == 0
    repack(many, every=True)
    gc(many)
    files = pack_files(many.repo)
    assert repack(many, every=True).rewritten == 0
    assert pack_files(many.repo) == files


def test_full_packs_are_left_alone(desk, monkeypatch):
    monkeypatch.setattr(packs, "PACK_BYTES", 200_000)
    desk.write({f"d/{i}": noise(str(i), 150_000) for i in range(3)})
    desk.commit("d")
    full = {name for name, size in pack_files(desk.repo).items() if size > 100_000}
    desk.write({"e/one": "1"})
    desk.commit("e", name="e")
    repack(desk)
    gc(desk)
    assert full <= pack_files(desk.repo).keys()


def test_a_higher_level_stores_text_in_less(desk):
    draw = random.Random(2)
    words = [f"word{draw.randrange(5000)}" for _ in range(60_000)]
    desk.write({"d/text": " ".join(words)})
    desk.commit("d")
    before, size = contents(desk.repo, "data"), sum(pack_files(desk.repo).values())
    assert repack(desk).rewritten == 0
    report = repack(desk, every=True, level=19)
    assert report.rewritten >= 1
    gc(desk)
    assert sum(pack_files(desk.repo).values()) < 0.9 * size
    assert contents(desk.repo, "data") == before
    assert sound(desk.repo)
    assert repack(desk, every=True, level=19).rewritten == 0


def test_duplicates_are_dropped(desk):
    desk.write({"d/x": noise("x", 300_000)})
    desk.commit("d")
    with Repository.open(desk.root, desk.settings) as other, other.ingest() as ingest:
        other.objects.index.forget()  # it knows of nothing, and stores all again
        ingest.add_file(str(desk.root / "d" / "x"))
        ingest.add_bytes(b"and more")
        ingest.seal()
    desk.reopen()
    assert sum(pack_files(desk.repo).values()) > 600_000
    gc(desk)
    assert sum(pack_files(desk.repo).values()) < 310_000
    assert sound(desk.repo)


def test_a_better_base_is_chosen(desk):
    """Four checkpoints near each other, all deltas of a first one far away."""
    files = [drifting(), *(drifting(1.5e-4, *[3e-5] * number) for number in range(4))]
    for data in files:
        desk.write({"m/w.safetensors": data})
        desk.commit("m", name="net", kind="model")
    assert sum(len(desk.repo.objects.bases_of(name)) for name in desk.repo.objects.index.packs) >= 4
    size = sum(pack_files(desk.repo).values())
    report = repack(desk, every=True)
    assert report.rebased > 0
    assert sound(desk.repo)
    gc(desk)
    assert sum(pack_files(desk.repo).values()) < 0.95 * size
    for number, data in enumerate(files):
        assert contents(desk.repo, f"net:v{number}") == {"w.safetensors": data}
    assert sound(desk.repo)
    assert repack(desk, every=True).rewritten == 0


def test_a_base_that_no_name_has_any_more_is_replaced(desk):
    files = [drifting(), drifting(3e-5), drifting(3e-5, 3e-5)]
    for data in files:
        desk.write({"m/w.safetensors": data})
        desk.commit("m", name="net", kind="model")
    curation.delete_version(desk.repo, desk.version("net:v0"), now=at(0))
    gc(desk)
    held = sum(pack_files(desk.repo).values())
    maintenance.repack(desk.repo, RepackRequest(every=True), now=at(20))
    gc(desk)
    assert sum(pack_files(desk.repo).values()) < 0.8 * held
    for number in (1, 2):
        assert contents(desk.repo, f"net:v{number}") == {"w.safetensors": files[number]}
    assert sound(desk.repo)


def test_a_reader_that_opened_before_reads_on(many):
    with Repository.open(many.root, many.settings) as reader:
        assert contents(reader, "data:v0")
        repack(many)
        gc(many)
        for number in range(12):
            assert contents(reader, f"data:v{number}")["noise"] == noise("noise", 100_000)


def test_a_dry_run_writes_nothing(many):
    before = pack_files(many.repo)
    assert repack(many, dry_run=True).rewritten == 24
    assert pack_files(many.repo) == before


def test_levels_have_a_range():
    with pytest.raises(InvalidInput):
        RepackRequest(level=20)
