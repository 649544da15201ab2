"""Directories that are taken over as trees because nothing in them changed: never one in which something did."""

import dataclasses
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from artvc import curation, maintenance, recording, worktree
from artvc.errors import Conflict
from artvc.maintenance import collecting
from artvc.model import merkle
from artvc.repo import Repository
from artvc.store import statcache
from artvc.store.statcache import StatCache
from artvc.worktree import unchanged, walking
from artvc.worktree.unchanged import Unchanged

FILES = {f"data/{sub}{name}": f"{sub}{name}" for sub in ("", "a/", "b/", "b/c/") for name in "xyz"}
LET_AGE = 0.03  # seconds after which a file is no longer racy


@pytest.fixture
def looked_at(monkeypatch):
    """Paths of the directories whose files were looked at one by one."""
    seen = []
    honest = worktree.Walk.look

    def look(self, listing):
        seen.append(listing.path)
        return honest(self, listing)

    monkeypatch.setattr(worktree.Walk, "look", look)
    return seen


def aged(desk, files=FILES):
    desk.write(files)
    time.sleep(LET_AGE)


def tree_of(desk, reference="data"):
    return desk.repo.artifact(desk.version(reference).artifact_id).root


def tree_without_cache(desk, directory="data"):
    """What a commit stores that knows nothing."""
    with pytest.MonkeyPatch.context() as patch, desk.repo.ingest() as ingest:
        patch.setattr(StatCache, "get", lambda *_args: None)
        work = worktree.snapshot(desk.repo, ingest, worktree.mounts_of([desk.root / directory]))
        ingest.seal()
    return work.tree.id


def test_no_file_of_an_unchanged_directory_is_looked_at(desk, looked_at):
    aged(desk)
    desk.commit("data")
    assert set(looked_at) == {"", "a", "b", "b/c"}
    looked_at.clear()
    assert worktree.status(desk.repo)[0].clean
    assert not desk.commit("data").logged.created
    assert not looked_at
    desk.write({"data/b/c/x": "changed"})
    time.sleep(LET_AGE)
    assert worktree.status(desk.repo)[0].modified == ("b/c/x",)
    assert looked_at == ["b/c"]
    looked_at.clear()
    assert desk.commit("data").logged.created
    assert {"a"}.isdisjoint(looked_at)
    assert tree_of(desk) == tree_without_cache(desk)
    looked_at.clear()
    assert worktree.status(desk.repo)[0].clean
    assert not looked_at


def test_one_look_after_a_checkout_is_enough(desk, looked_at):
    aged(desk)
    desk.commit("data")
    desk.checkout("data", "out")
    time.sleep(LET_AGE)
    assert all(one.clean for one in worktree.status(desk.repo))
    looked_at.clear()
    assert all(one.clean for one in worktree.status(desk.repo))
    assert not looked_at


MUTATIONS = ("write", "write", "new", "remove", "mode", "directory", "link", "ignore", "rename", "replace", "same size")


def mutate(rng, base: Path, step: int) -> None:
    files = [path for path in sorted(base.rglob("*")) if path.is_symlink() or path.is_file()]
    directories = [base, *(path for path in sorted(base.rglob("*")) if path.is_dir() and not path.is_symlink())]
    there, where = rng.choice(files), rng.choice(directories)
    what = rng.choice(MUTATIONS)
    if what == "write" and not there.is_symlink():
        there.write_text(f"{there.name} {step}")
    elif what == "same size" and not there.is_symlink():
        there.write_bytes(os.urandom(there.stat().st_size))
    elif what == "new":
        (where / f"new{step}").write_text(f"{step}")
    elif what == "remove" and len(files) > 3:
        there.unlink()
    elif what == "mode" and not there.is_symlink():
        there.chmod(there.stat().st_mode ^ 0o100)
    elif what == "directory":
        (where / f"dir{step}").mkdir()
        if rng.random() < 0.5:
            (where / f"dir{step}" / "x").write_text(f"{step}")
    elif what == "link":
        (where / f"link{step}").symlink_to(rng.choice(["x", f"../{step}", "/etc/passwd"]))
    elif what == "ignore":
        (where / ".artvcignore").write_text(rng.choice(["", "x\n", "new*\n", "c/\n", "dir*\n"]))
    elif what == "rename":
        there.rename(there.with_name(f"renamed{step}"))
    elif what == "replace" and where != base:
        shutil.rmtree(where)
        if rng.random() < 0.5:
            where.write_text(f"{step}")
    if not any(path.is_file() for path in base.iterdir()):
        (base / "kept").write_text(f"{step}")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("processes", [1, 2])
def test_whatever_happens_the_tree_is_that_of_a_look_at_all_files(desk, monkeypatch, seed, processes):
    monkeypatch.setattr(unchanged, "_WORTH", 1)
    monkeypatch.setattr(unchanged, "_PIECE", 3)
    monkeypatch.setattr(unchanged, "_PARTS", 2)
    desk.settings = dataclasses.replace(desk.settings, processes=processes)
    desk.reopen()
    rng = random.Random(seed)
    aged(desk)
    desk.commit("data")
    for step in range(12):
        for _ in range(rng.choice([0, 1, 1, 3])):
            mutate(rng, desk.root / "data", step)
        time.sleep(LET_AGE)
        expected = tree_without_cache(desk)
        (found,) = worktree.status(desk.repo)
        changes = {one.path for one in merkle.compare(tree_of(desk), expected, desk.repo.objects.get)}
        assert {*found.modified, *found.added, *found.deleted} == changes
        if rng.random() < 0.7:
            desk.commit("data")
            assert tree_of(desk) == expected


def test_rules_above_count_below(desk):
    aged(desk)
    desk.commit("data")
    desk.write({"data/.artvcignore": "z\n"})
    time.sleep(LET_AGE)
    assert worktree.status(desk.repo)[0].deleted == ("a/z", "b/c/z", "b/z", "z")
    desk.commit("data")
    assert "b/c/z" not in dict(desk.repo.walk(desk.version("data")))
    (desk.root / "data/.artvcignore").unlink()
    time.sleep(LET_AGE)
    assert set(worktree.status(desk.repo)[0].added) == {"a/z", "b/c/z", "b/z", "z"}


def test_parts_committed_by_themselves_are_not_mistaken_for_the_whole(desk):
    aged(desk)
    desk.commit("data")
    desk.write({"data/a/x": "changed"})
    time.sleep(LET_AGE)
    desk.commit("data/a", "data/b", name="parts")
    whole, _ = sorted(worktree.status(desk.repo), key=lambda one: one.version.name)
    assert whole.modified == ("a/x",)


def test_a_file_that_is_skipped_is_named_each_time(desk):
    aged(desk)
    os.mkfifo(desk.root / "data/fifo")
    assert len(desk.commit("data").warnings) == 1
    time.sleep(LET_AGE)
    assert len(desk.commit("data").warnings) == 1
    assert len(worktree.status(desk.repo)[0].warnings) == 1


def test_a_lost_pack_is_noticed_and_what_was_in_it_is_stored_again(desk):
    aged(desk, {**FILES, "data/big": os.urandom(300_000)})
    desk.commit("data")
    for pack in (desk.root / ".artvc/packs").iterdir():
        if pack.stat().st_size > 200_000:
            pack.unlink()
    desk.reopen()
    assert worktree.status(desk.repo)[0].clean
    desk.commit("data")
    assert maintenance.fsck(desk.repo).clean


def test_a_deleted_version_is_no_base(desk, looked_at):
    aged(desk)
    desk.commit("data")
    desk.write({"other/x": "1"})
    desk.commit("other", name="data")
    curation.delete_version(desk.repo, desk.version("data:v0"), now=desk.now(), delete_aliases=True)
    maintenance.gc(desk.repo, maintenance.GcRequest(grace=0), now=desk.now())
    looked_at.clear()
    assert desk.commit("data").logged.created
    assert set(looked_at) == {"", "a", "b", "b/c"}
    assert maintenance.fsck(desk.repo).clean


def test_paranoia_takes_nothing_over(desk, looked_at):
    aged(desk)
    desk.commit("data")
    looked_at.clear()
    desk.commit("data", paranoid=True)
    assert set(looked_at) == {"", "a", "b", "b/c"}


def test_a_cache_that_says_it_all_is_not_written_again(desk):
    aged(desk)
    desk.commit("data")
    desk.commit("data")  # by now all files are older than a tick
    (file,) = (desk.root / ".artvc/cache/stat").iterdir()
    before = file.stat().st_ino
    desk.commit("data")  # which adds a pack
    assert file.stat().st_ino == before
    desk.write({"data/b/c/x": "changed"})
    time.sleep(LET_AGE)
    desk.commit("data")
    (file,) = (desk.root / ".artvc/cache/stat").iterdir()
    assert file.stat().st_ino != before


def cache_of(desk) -> StatCache:
    return StatCache(desk.repo.disk, str(desk.repo.dir), str(desk.root / "data"))


def test_a_helper_that_dies_only_costs_time(desk, monkeypatch):
    monkeypatch.setattr(unchanged.threading, "active_count", lambda: 1)  # whatever other tests left running
    monkeypatch.setattr(unchanged, "_WORTH", 1)
    monkeypatch.setattr(unchanged, "_PIECE", 1)
    aged(desk)
    desk.commit("data")
    monkeypatch.setattr(
        Unchanged, "_is_same", lambda *_args, **_more: os.kill(os.getpid(), signal.SIGKILL), raising=True
    )
    look = Unchanged(cache_of(desk), str(desk.root / "data"), processes=2)
    assert look._helpers
    assert look.same == look.whole == set()
    assert not look._helpers


def test_helpers_find_what_one_process_finds(desk, monkeypatch):
    monkeypatch.setattr(unchanged.threading, "active_count", lambda: 1)
    monkeypatch.setattr(unchanged, "_WORTH", 1)
    monkeypatch.setattr(unchanged, "_PIECE", 2)
    aged(desk)
    desk.commit("data")
    (desk.root / "data/b/c/y").write_text("changed")
    for processes in (1, 2, 3):
        look = Unchanged(cache_of(desk), str(desk.root / "data"), processes=processes)
        assert bool(look._helpers) == (processes > 1)
        assert look.same == {"", "a", "b"}
        assert look.whole == {"a"}


def test_a_damaged_cache_is_an_empty_one(desk):
    aged(desk)
    desk.commit("data")
    (path,) = (desk.root / ".artvc/cache/stat").iterdir()
    assert cache_of(desk).directories
    raw = path.read_bytes()
    for damaged in (b"", raw[:30], raw[:-1], raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]):
        path.write_bytes(damaged)
        assert not cache_of(desk).directories
        assert worktree.status(desk.repo)[0].clean


def test_a_directory_as_fresh_as_its_listing_is_listed_again(desk):
    (desk.root / "data").mkdir()
    status = os.stat(desk.root / "data")
    fresh = statcache.Listed.of(1, status, read_at_ns=status.st_mtime_ns)
    old = statcache.Listed.of(1, status, read_at_ns=status.st_mtime_ns + 3 * 10**9)
    assert not any(fresh.status)
    assert old.status == statcache.packed_status(status)


def test_directories_whose_times_say_nothing_are_listed_each_time(desk, monkeypatch):
    """As behind FUSE, where a new file may leave its directory's times as they were."""
    monkeypatch.setattr(walking, "_keeps_times", lambda _device: False)
    aged(desk)
    desk.commit("data")
    monkeypatch.setattr(statcache.Known, "has_status", lambda self, _status: self._own != bytes(36))
    desk.write({"data/a/new": "n"})
    assert worktree.status(desk.repo)[0].added == ("a/new",)


def test_which_file_systems_keep_times(tmp_path):
    device = os.stat(tmp_path).st_dev
    kinds = {
        line.partition(" - ")[2].split(" ")[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split(" ")[2] == f"{os.major(device)}:{os.minor(device)}"
    }
    assert walking._keeps_times(device) == bool(kinds & walking._KEEP_TIMES)
    assert not walking._keeps_times(os.stat("/proc").st_dev)


def test_a_base_that_goes_while_it_is_relied_on_is_looked_at_again(desk, monkeypatch):
    """Where locks do nothing, gc knows of no commit in flight."""
    aged(desk, {**FILES, "data/big": os.urandom(100_000)})
    desk.commit("data", message=os.urandom(30_000).hex())  # so that the pack of the trees is worth to be kept
    desk.write({"other/x": "1"})
    desk.commit("other", name="data")
    desk.reopen()
    honest = recording.record

    def late(*args, **more):
        monkeypatch.setattr(recording, "record", honest)
        other = Repository.open(desk.root, desk.settings)
        curation.delete_version(other, other.resolve("data:v0").version, now=desk.now(), delete_aliases=True)
        monkeypatch.setattr(collecting.writers, "began", lambda *_args, **_more: [])
        maintenance.gc(other, maintenance.GcRequest(grace=0), now=desk.now())
        other.close()
        return honest(*args, **more)

    monkeypatch.setattr(recording, "record", late)
    with pytest.raises(Conflict, match="gc"):
        desk.commit("data", name="again", kind="dataset")
    assert maintenance.fsck(desk.repo).clean
    assert desk.commit("data", name="again", kind="dataset").logged.created
    assert maintenance.fsck(desk.repo).clean
