"""What no name reaches goes, in two steps; nothing else does."""

import os

import pytest

from artvc import curation, maintenance, recording
from artvc.errors import Conflict, Damaged, NotFound
from artvc.maintenance import GcReport, GcRequest
from artvc.model.objects import Properties
from artvc.recording import CommitRequest
from artvc.repo import Repository
from tests.faults.world import noise, weights

DAY = 24 * 3600
NOW = GcRequest(grace=0)


def at(day: int) -> str:
    """A time so many days after the commits of the tests."""
    return f"2026-{12 if day > 7 else 11}-{(23 + day - 1) % 30 + 1:02}T03:00:00.000000Z"


def pack_files(repo: Repository) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (repo.dir / "packs").iterdir()}


def age(repo: Repository) -> None:
    """Let all packs be so old that no killed commit comes back for them."""
    for path in (repo.dir / "packs").iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))


def sound(repo: Repository) -> bool:
    return maintenance.fsck(repo).problems == []


def contents(repo: Repository, reference: str) -> dict[str, bytes]:
    return {path: b"".join(repo.read(entry)) for path, entry in repo.walk(repo.resolve(reference).version)}


def gc(desk, day: int = 0, **more) -> GcReport:
    return maintenance.gc(desk.repo, GcRequest(**more), now=at(day))


@pytest.fixture
def two(desk):
    """data:v0 with a large file and data:v1 without it."""
    desk.write({"a/large": noise("large", 300_000), "a/one": b"first", "b/one": b"second", "b/two": b"two"})
    desk.commit("a")
    desk.commit("b")
    age(desk.repo)
    return desk


def test_nothing_to_do(two):
    before = pack_files(two.repo)
    report = gc(two)
    assert (report.deleted, report.condemned, report.rewritten) == (0, 0, 0)
    assert (report.kept, report.bytes) == (len(before), sum(before.values()))
    assert pack_files(two.repo) == before


def test_a_deleted_version_is_condemned_then_deleted(two):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    before = pack_files(two.repo)
    first = gc(two, 1)
    assert first.deleted == 0
    assert first.condemned == 1
    assert first.waiting > 300_000
    assert first.due == at(15)
    assert pack_files(two.repo) == before
    assert sound(two.repo)
    assert gc(two, 14).deleted == 0
    last = gc(two, 16)
    assert last.deleted == 1
    assert last.freed > 300_000
    assert sum(pack_files(two.repo).values()) < 30_000
    assert contents(two.repo, "data") == {"one": b"second", "two": b"two"}
    assert sound(two.repo)
    assert list((two.repo.dir / "condemned").iterdir()) == []


def test_without_grace_it_takes_one_run(two):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    report = gc(two, grace=0)
    assert report.freed > 300_000
    assert report.waiting == 0
    assert contents(two.repo, "data") == {"one": b"second", "two": b"two"}
    assert sound(two.repo)
    assert gc(two, grace=0).deleted == 0


def test_a_dry_run_says_what_would_be_done_and_does_nothing(two):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    before = {path: path.stat().st_mtime_ns for path in two.repo.dir.rglob("*")}
    report = gc(two, grace=0, dry_run=True)
    assert report.freed > 300_000
    assert {path: path.stat().st_mtime_ns for path in two.repo.dir.rglob("*")} == before
    assert gc(two, 1, dry_run=True).condemned == 1


def test_equal_content_that_another_version_has_stays(desk):
    big = noise("big", 200_000)
    desk.write({"a/x": big, "b/x": big, "b/y": b"y"})
    desk.commit("a")
    desk.commit("b", name="other")
    curation.delete_collection(desk.repo, "uncategorized", "data", now=at(0))
    gc(desk, grace=0)
    assert contents(desk.repo, "other") == {"x": big, "y": b"y"}
    assert sound(desk.repo)


def test_a_pack_that_is_partly_dead_is_written_anew(desk):
    kept, lost = noise("kept", 200_000), noise("lost", 800_000)
    desk.write({"a/kept": kept, "a/lost": lost, "b/kept": kept})
    desk.commit("a")
    desk.commit("b", name="other")
    curation.delete_collection(desk.repo, "uncategorized", "data", now=at(0))
    age(desk.repo)
    report = gc(desk, grace=0)
    assert report.rewritten >= 1
    assert report.freed > 1_000_000
    assert 200_000 < sum(pack_files(desk.repo).values()) < 230_000
    assert contents(desk.repo, "other") == {"kept": kept}
    assert sound(desk.repo)


def test_with_grace_the_old_pack_of_a_rewritten_one_can_be_read_until_it_goes(desk):
    kept, lost = noise("kept", 200_000), noise("lost", 800_000)
    desk.write({"a/kept": kept, "a/lost": lost, "b/kept": kept})
    desk.commit("a")
    desk.commit("b", name="other")
    curation.delete_collection(desk.repo, "uncategorized", "data", now=at(0))
    age(desk.repo)
    assert gc(desk, 1).rewritten == 0  # an undo may bring it back
    report = gc(desk, 16)
    assert report.rewritten >= 1
    assert report.deleted == 0
    assert gc(desk, 17).rewritten == 0
    assert sound(desk.repo)
    assert gc(desk, 31).freed > 800_000
    assert contents(desk.repo, "other") == {"kept": kept}
    assert sound(desk.repo)


def test_a_base_lives_as_long_as_what_depends_on_it(desk):
    desk.write({"a/m.safetensors": weights(1), "b/m.safetensors": weights(1, moved=1e-6)})
    desk.commit("a")
    desk.commit("b")
    curation.delete_version(desk.repo, desk.version("data:v0"), now=at(0))
    gc(desk, grace=0)
    gc(desk, grace=0)
    assert contents(desk.repo, "data") == {"m.safetensors": weights(1, moved=1e-6)}
    assert sound(desk.repo)
    curation.delete_version(desk.repo, desk.version("data:v1"), delete_aliases=True, now=at(0))
    gc(desk, grace=0)
    assert sum(pack_files(desk.repo).values()) < 20_000


def test_a_commit_stores_again_what_is_condemned(two):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    assert gc(two, 1).condemned == 1
    two.reopen()
    two.write({"a/more": b"more"})
    again = two.commit("a", name="again")
    assert again.recorded.totals.new > 300_000
    assert gc(two, 16).deleted == 1
    assert contents(two.repo, "again")["large"] == noise("large", 300_000)
    assert sound(two.repo)


def test_what_is_needed_again_is_pardoned(two):
    version = two.version("data:v0")
    state = two.repo.state()
    refs = {name: value for name, value in state.refs.items() if name.endswith("data/v0")}
    curation.delete_version(two.repo, version, now=at(0))
    assert gc(two, 1).condemned == 1
    _bring_back(two.repo, refs)
    report = gc(two, 16)
    assert report.pardoned == 1
    assert report.deleted == 0
    assert contents(two.repo, "data:v0")["large"] == noise("large", 300_000)


def _bring_back(repo: Repository, refs: dict) -> None:
    """What an undo does."""
    from artvc.store.refs import RefEdit

    def build(state):
        edits = [RefEdit(name, state.get(name), value) for name, value in refs.items()]
        repo.check_whole(edits)
        return edits

    repo.refs.apply(build, time=at(2), who="Ada", why="undo")


def test_what_is_gone_can_not_be_brought_back(two):
    version = two.version("data:v0")
    refs = {name: value for name, value in two.repo.state().refs.items() if name.endswith("data/v0")}
    curation.delete_version(two.repo, version, now=at(0))
    gc(two, grace=0)
    with pytest.raises(Conflict, match="gc delete"):
        _bring_back(two.repo, refs)
    assert sound(two.repo)


def test_a_commit_in_flight_keeps_what_it_relies_on(two):
    """It found something before that was condemned, and comes back when that could be deleted."""
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    with Repository.open(two.root, two.settings) as other, other.ingest() as ingest:
        taken = ingest.add_file(str(two.root / "a" / "large"))
        assert ingest.totals.new == 0
        report = gc(two, grace=0)
        assert report.deleted == 0
        assert report.writers == 1
        assert report.waiting > 300_000
        assert taken.content.size == 300_000
    assert gc(two, grace=0).freed > 300_000


def test_a_writer_that_slept_too_long_is_told(two, monkeypatch):
    """Locks do nothing here, so gc does not see the commit in flight: that one sees gc."""
    monkeypatch.setattr("artvc.store.writers.began", lambda *_, **__: [])
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    inner = recording.record

    def sleepy(repo, *args, **more):
        monkeypatch.setattr(recording, "record", inner)
        with Repository.open(two.root, two.settings) as other:
            assert maintenance.gc(other, NOW, now=at(40)).freed > 300_000
        return inner(repo, *args, **more)

    monkeypatch.setattr(recording, "record", sleepy)
    with Repository.open(two.root, two.settings) as repo:
        request = CommitRequest(paths=(two.root / "a",), name="again", type="dataset")
        with pytest.raises(Conflict, match="gc delete"):
            recording.commit_paths(repo, request, now=two.now)
    two.reopen()
    with pytest.raises(NotFound):
        two.version("again")
    assert sound(two.repo)
    two.commit("a", name="again")
    assert contents(two.repo, "again")["large"] == noise("large", 300_000)


def test_what_a_killed_commit_left_stays_for_a_day(two):
    two.write({"c/new": noise("new", 100_000)})
    with Repository.open(two.root, two.settings) as repo, repo.ingest() as ingest:
        ingest.add_file(str(two.root / "c" / "new"))
        ingest.seal()
    before = pack_files(two.repo)
    assert gc(two, 2).condemned == 0
    assert two.commit("c", name="c").recorded.totals.new == 0
    curation.delete_collection(two.repo, "uncategorized", "c", now=at(0))
    assert gc(two, 2).condemned == 0
    age(two.repo)
    assert gc(two, 2).condemned > 0
    assert pack_files(two.repo).items() >= before.items()


@pytest.mark.parametrize("what", ["pack index", "ref", "tree", "pack gone"])
def test_nothing_is_deleted_where_something_can_not_be_read(two, what):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    alive = two.repo.objects.find(two.repo.artifact(two.version("data:v1").artifact_id).root)
    live = two.repo.dir / "packs" / f"{alive.pack}.pack"
    if what == "pack gone":
        live.unlink()
    else:
        path = two.repo.dir / "refs" / "00000000000000000001.json" if what == "ref" else live
        data = bytearray(path.read_bytes())
        data[{"pack index": -100, "ref": 30, "tree": alive.offset + alive.length - 1}[what]] ^= 1
        path.write_bytes(data)
    two.reopen()
    before = pack_files(two.repo)
    with pytest.raises(Damaged):
        gc(two, grace=0)
    assert pack_files(two.repo) == before


def test_a_sound_copy_is_kept_where_the_other_is_damaged(two):
    """A pack whose objects lie elsewhere too is deleted only if those copies are sound."""
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    gc(two, 1)
    two.reopen()
    two.write({"a/more": b"more"})
    two.commit("a", name="again")
    marks = two.repo.objects.condemned.read().since
    chunk = next(raw for raw, at_ in two.repo.objects.places_of(next(iter(marks))) if at_.size > 1000)
    (copy,) = [one for one in two.repo.objects.index.find_all(chunk) if one.pack not in marks]
    path = two.repo.dir / "packs" / f"{copy.pack}.pack"
    data = bytearray(path.read_bytes())
    data[copy.offset + copy.length - 5] ^= 1
    path.write_bytes(data)
    two.reopen()
    assert gc(two, 16).deleted == 0
    assert contents(two.repo, "again")["large"] == noise("large", 300_000)


def test_a_clock_that_was_ahead_only_delays(two):
    curation.delete_version(two.repo, two.version("data:v0"), now=at(0))
    maintenance.gc(two.repo, GcRequest(), now="2036-11-23T03:00:00.000000Z")
    assert gc(two, 1).deleted == 0
    assert gc(two, 14).deleted == 0
    assert gc(two, 16).deleted == 1
    assert sound(two.repo)


def test_runs_uploads_and_links_keep_what_they_name(two):
    version = two.version("data:v0")
    curation.link(two.repo, version, "uncategorized", "best", now=at(0))
    with pytest.raises(Conflict):
        curation.delete_version(two.repo, version, now=at(0))
    assert gc(two, grace=0).deleted == 0
    curation.delete_version(two.repo, two.version("data:v0"), delete_aliases=True, now=at(0))
    assert gc(two, grace=0).deleted == 1
    assert len(two.repo.runs()) == 2
    assert sound(two.repo)


def test_old_unfinished_files_are_removed(two):
    old, young = two.repo.dir / "tmp" / "0123456789abcdef", two.repo.dir / "tmp" / "fedcba9876543210"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    with two.repo.ingest():
        os.utime(next((two.repo.dir / "locks").glob("*.writer")), (1_690_000_000, 1_690_000_000))
        assert gc(two, grace=0).leftovers == 0
    assert gc(two, grace=0).leftovers == 1
    assert not old.exists()
    assert young.exists()


def test_what_can_be_had_elsewhere_is_dropped_and_need_not_be_here(two):
    """What gc --local does: the trees stay, the bytes go."""
    chunk = two.repo.entry(two.version("data:v0"), "large")
    gone = {piece for piece in two.repo.objects.index.ids() if two.repo.objects.find(piece).kind == 1}
    report = gc(two, grace=0, drop=gone.__contains__)
    assert report.freed > 300_000
    assert [path for path, _ in two.repo.walk(two.version("data:v0"))] == ["large", "one"]
    with pytest.raises(NotFound):
        b"".join(two.repo.read(chunk))
    assert gc(two, grace=0, drop=gone.__contains__).deleted == 0
    with pytest.raises(Damaged, match="is not in this repository"):
        gc(two, grace=0)


def test_versions_expire_by_their_ttl(two):
    recording.set_properties(two.repo, two.version("data:v0"), Properties(ttl=5 * DAY), now=at(0))
    recording.set_properties(two.repo, two.version("data:v1"), Properties(ttl=5 * DAY), now=at(0))
    curation.link(two.repo, two.version("data:v1"), "uncategorized", "best", now=at(0))
    assert curation.delete_expired(two.repo, now=at(4)) == []
    assert [one.label for one in curation.expired(two.repo, now=at(6))] == ["data:v0"]
    assert [one.label for one in curation.delete_expired(two.repo, now=at(6))] == ["data:v0"]
    assert [one.number for one in two.repo.versions("uncategorized", "data")] == [1]
    curation.delete_version(two.repo, two.version("best:v0"), delete_aliases=True, now=at(6))
    assert [one.label for one in curation.delete_expired(two.repo, now=at(6))] == ["data:v1"]
    assert two.repo.aliases("uncategorized", "data") == {}
