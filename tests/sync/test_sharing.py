"""Clones of one repository that push to and pull from a directory and a bucket."""

import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from artvc import curation, history, maintenance, recording, worktree
from artvc.errors import (
    ArtvcError,
    Conflict,
    Damaged,
    InvalidInput,
    NotFound,
    RemoteDenied,
    RemoteError,
    StorageError,
)
from artvc.maintenance import GcRequest, RepackRequest
from artvc.model.objects import Properties
from artvc.model.reach import Reach
from artvc.remotes import address, bucket, directory
from artvc.remotes.base import Known, PieceKind
from artvc.repo import Repository
from artvc.store.fsio import Disk
from artvc.sync import fetching, joining, pushing, sharing
from artvc.sync.fetching import fetch
from artvc.sync.merging import Renumbered
from artvc.sync.sharing import Work
from tests.faults.processes import LocklessDisk
from tests.faults.world import noise, weights
from tests.sync.conftest import SETTINGS, Clone, Counting, Team, now

PROJECT = "uncategorized"


def everyone_agrees(team: Team, *clones: Clone) -> None:
    """After one more round all have the same names, and nothing is amiss."""
    for clone in clones:
        clone.push()
    for clone in clones:
        clone.pull()
    shared = [joining.shared_refs(clone.repo.state()) for clone in clones]
    assert all(refs == shared[0] for refs in shared)
    for clone in clones:
        assert clone.problems() == []


# -- there and back ----------------------------------------------------------------------------------------


def test_what_was_pushed_can_be_cloned(team):
    one = team.new("one")
    files = {"a/b": b"text", "large": noise("large", 400_000), "empty": b"", "model.safetensors": weights(1)}
    one.commit(files, aliases=["best"])
    one.commit(files | {"model.safetensors": weights(1, moved=1e-6)}, message="trained", metadata={"rows": 1})
    pushed = one.push()
    assert pushed.packs and pushed.bytes > 400_000 and pushed.pulled == ()
    two = team.clone("two")
    assert two.repo.state().refs == one.repo.state().refs
    assert two.absent() == len(two.chunks())
    for reference in ("data:v0", "data:v1", "data:best"):
        assert two.files(reference) == one.files(reference)
    assert two.absent() == 0
    assert two.problems() == []
    log = [entry.commit.message for entry in history.log(two.repo)]
    assert log == [entry.commit.message for entry in history.log(one.repo)] and "trained" in log


def test_a_second_push_and_pull_do_nothing(team, counts):
    one = team.new("one")
    one.commit("text")
    one.push()
    before = one.state()
    counts.clear()
    pushed, pulled = one.push(), one.pull()
    assert (pushed.edits, pushed.bytes, pulled.edits) == ((), 0, ())
    assert counts.get("sent", 0) == counts.get("history", 0) - counts.get("history", 0) == 0
    assert one.state() == before


def test_only_what_is_new_is_sent(team, counts):
    one = team.new("one")
    large = noise("large", 2_000_000)
    one.commit({"large": large})
    one.push()
    counts.clear()
    one.commit({"large": large, "more": noise("more", 1000)})
    one.push()
    assert counts["sent"] < 20_000


def test_what_no_name_needs_stays_at_home(team, counts):
    one = team.new("one")
    secret = noise("secret", 500_000)
    one.commit({"secret": secret, "file": b"x"}, "private")
    one.commit({"file": b"x", "other": b"y" * 1000})
    curation.delete_collection(one.repo, PROJECT, "private", now=now())
    one.push()
    assert counts["sent"] < 20_000
    assert team.clone("two", everything=True).texts() == {"v0": "x"}


def test_an_empty_place_can_be_cloned_and_pushed_to(team):
    one = team.clone("one")
    assert one.repo.collections() == []
    one.commit("first")
    one.push()
    assert team.clone("two").texts() == {"v0": "first"}


def test_a_clone_with_everything_needs_the_remote_no_more(team, monkeypatch):
    one = team.new("one")
    one.commit("first")
    one.commit({"large": noise("x", 300_000), "file": b"second"})
    one.push()
    two = team.clone("two", everything=True)
    monkeypatch.setattr(address, "open_remote", None)
    assert two.absent() == 0 and two.texts() == {"v0": "first", "v1": "second"}


def test_configuration_and_hooks_never_travel(team):
    one = team.new("one")
    one.repo.set_config("user.email", "ada@secret.example")
    one.repo.set_config("hooks.post-commit", "rm -rf /")
    (one.root / ".artvc" / "hooks").mkdir()
    (one.root / ".artvc" / "hooks" / "post-commit").write_text("#!/bin/sh\nrm -rf /\n")
    one.commit("text")
    one.push()
    two = team.clone("two")
    assert two.repo.config == {"remote": {"origin": {"url": team.url}}}
    assert not (two.root / ".artvc" / "hooks").exists()
    if team.bucket is not None:
        assert not any(b"rm -rf" in body for body in team.bucket.objects.values())


# -- two and three who log -----------------------------------------------------------------------------------


def test_two_that_both_log_keep_both(team):
    one, two = team.new("one"), None
    one.commit("a")
    one.push()
    two = team.clone("two")
    one.commit("of one", aliases=["prod"])
    two.commit("of two", aliases=["cand"])
    two.commit("of two, again")
    one.push()
    pushed = two.push()
    assert pushed.renumbered == [Renumbered(PROJECT, "data", 1, 2), Renumbered(PROJECT, "data", 2, 3)]
    one.pull()
    expected = {"v0": "a", "v1": "of one", "v2": "of two", "v3": "of two, again"}
    assert one.texts() == two.texts() == expected
    assert one.aliases() == {"cand": 2, "latest": 3, "prod": 1}
    everyone_agrees(team, one, two)


def test_three_that_log_in_turns(team):
    clones = [team.new("one"), team.new("two"), team.new("three")]
    for turn in range(3):
        for number, clone in enumerate(clones):
            clone.commit(f"{turn} of {number}", f"own{number}")
            clone.commit(f"{turn} of {number}")
            clone.commit(f"{turn} of all", "common")
        for clone in clones[turn:] + clones[:turn]:
            clone.push()
    everyone_agrees(team, *clones)
    assert sorted(clones[0].texts().values()) == [f"{turn} of {number}" for turn in range(3) for number in range(3)]
    assert clones[1].texts("common") == {f"v{turn}": f"{turn} of all" for turn in range(3)}
    assert clones[2].texts("own0") == {f"v{turn}": f"{turn} of 0" for turn in range(3)}


def test_repositories_that_never_met_share_a_place(team):
    one, two = team.new("one"), team.new("two")
    one.commit("a")
    two.commit("b")
    one.push()
    two.push()
    assert two.texts() == {"v0": "a", "v1": "b"}
    everyone_agrees(team, one, two)


def test_a_renumbered_version_keeps_its_lineage_and_what_was_checked_out(team):
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    one.commit("of one")
    one.push()
    mine = two.commit("mine", aliases=["best"])
    two.checkout(mine.label, two.root / "out")
    two.commit("model", "net", inputs=("data:best",))
    pulled = two.pull()
    assert pulled.renumbered == (Renumbered(PROJECT, "data", 1, 2),)
    made_by = next(entry for entry in history.log(two.repo) if entry.outputs[0].name == "net")
    assert [edge.label for edge in made_by.inputs] == ["data:v2"]
    two.reopen()
    (status,) = [one for one in worktree.status(two.repo) if one.path == two.root / "out"]
    assert status.version is not None and status.version.label == "data:v2"
    assert status.clean and status.newer is None
    two.commit("newest")
    (status,) = [one for one in worktree.status(two.repo) if one.path == two.root / "out"]
    assert status.newer is not None and status.newer.label == "data:v3"


def test_deletions_travel(team):
    one = team.new("one")
    one.commit("a")
    one.commit("b", aliases=["best"])
    one.push()
    two = team.clone("two")
    curation.delete_version(one.repo, one.version("data:v0"), now=now())
    one.push()
    two.pull()
    assert two.texts() == {"v1": "b"}
    with pytest.raises(NotFound, match="was deleted"):
        two.version("data:v0")
    two.commit("c")
    two.push()
    one.pull()
    assert one.texts() == {"v1": "b", "v2": "c"}


def test_properties_and_links_travel(team):
    one = team.new("one")
    version = one.commit("a")
    curation.link(one.repo, version, PROJECT, "shelf", aliases=("prod",), now=now())
    recording.set_properties(one.repo, version, Properties(description="good"), now=now())
    one.push()
    two = team.clone("two")
    shelf = two.version("shelf:prod")
    assert shelf.source == (PROJECT, "data", 0)
    assert two.repo.properties(shelf.properties_id).description == "good"
    recording.set_properties(two.repo, two.version("data:v0"), Properties(description="better"), now=now())
    two.push()
    one.pull()
    assert one.repo.properties(one.version("data:v0").properties_id).description == "better"


# -- conflicts ----------------------------------------------------------------------------------------------


def moved_apart(team: Team) -> tuple[Clone, Clone]:
    """The alias best: v1 on the remote and in the first clone, v2 in the second."""
    one = team.new("one")
    for text in ("a", "b", "c"):
        one.commit(text)
    recording.set_alias(one.repo, one.version("data:v0"), "best", now=now())
    one.push()
    two = team.clone("two")
    recording.set_alias(one.repo, one.version("data:v1"), "best", now=now())
    one.push()
    recording.set_alias(two.repo, two.version("data:v2"), "best", now=now())
    return one, two


def test_an_alias_that_both_moved_is_a_conflict_that_names_the_way_out(team):
    _, two = moved_apart(team)
    before = two.state(notes=False)
    for act in (two.pull, two.push, lambda: two.pull(dry_run=True)):
        with pytest.raises(Conflict, match=r"uncategorized/data:best is v2 here and v1 on origin") as caught:
            act()
        assert "artvc pull origin --theirs uncategorized/data:best" in str(caught.value.hint)
    assert two.state(notes=False) == before


@pytest.mark.parametrize("choice", ["ours", "theirs"])
@pytest.mark.parametrize("word", ["uncategorized/data:best", "data:best"])
def test_a_conflict_is_settled_for_everybody(team, choice, word):
    one, two = moved_apart(team)
    two.pull(settled={word: choice})
    assert two.aliases()["best"] == (2 if choice == "ours" else 1)
    everyone_agrees(team, two, one)
    assert one.aliases()["best"] == (2 if choice == "ours" else 1)


def test_a_push_can_settle_too(team):
    one, two = moved_apart(team)
    pushed = two.push(settled={"data:best": "ours"})
    assert [edit.name for edit in pushed.edits] == [f"artifacts/{PROJECT}/data/best"]
    one.pull()
    assert one.aliases()["best"] == 2


# -- dry runs -----------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing_anywhere(team):
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    one.commit("of one", aliases=["prod"])
    one.push()
    two.commit({"file": b"of two", "large": noise("l", 100_000)})
    place = remote_state(team)
    before = two.state(notes=False)
    dry = two.push(dry_run=True)
    assert two.state(notes=False) == before and remote_state(team) == place
    assert dry.packs and dry.bytes > 100_000
    assert all(edit.new is not None for edit in dry.edits), "it would remove what others pushed"
    pulled = two.pull(dry_run=True)
    assert two.state(notes=False) == before
    assert {edit.name for edit in pulled.edits} >= {f"artifacts/{PROJECT}/data/prod"}
    really = two.push()
    assert [edit.name for edit in really.edits] == [edit.name for edit in dry.edits]
    assert (really.renumbered, really.pulled) == (dry.renumbered, dry.pulled)


def remote_state(team: Team) -> dict[str, bytes]:
    if team.bucket is not None:
        return dict(team.bucket.objects)
    return {str(path): path.read_bytes() for path in Path(team.url).rglob("*") if path.is_file()}


# -- parts of the data ---------------------------------------------------------------------------------------


def ten(team: Team) -> Clone:
    one = team.new("one")
    for number in range(10):
        files = {f"f{part}": noise(f"{number} {part}", 60_000) for part in range(10)}
        one.commit(files | {"text": b"0123456789" * 5000}, f"data{number}")
    one.push()
    return one


def large(number: int) -> bytes:
    return noise(f"large {number}", 400_000)


def five_large(team: Team) -> Clone:
    one = team.new("one")
    one.commit({f"f{number}": large(number) for number in range(5)})
    one.push()
    return one


def test_one_of_ten_moves_little_more_than_it_needs(team, counts):
    ten(team)
    two = team.clone("two")
    assert counts.get("data", 0) == 0
    report = two.pull(references=["data3"])
    assert counts["data"] == report.brought.bytes <= 1.2 * 600_000
    counts.clear()
    assert len(two.files("data3:latest")) == 11
    assert counts == {}


def test_a_path_moves_little_more_than_that(team, counts):
    five_large(team)
    two = team.clone("two")
    two.pull(references=["data"], paths=["f1", "f3"])
    assert 800_000 <= counts["data"] <= 1.2 * 800_000
    counts.clear()
    entry = two.repo.entry(two.version("data"), "f3")
    assert b"".join(two.repo.read(entry)) == large(3) and counts == {}
    with pytest.raises(NotFound):
        two.pull(references=["data"], paths=["nothing"])
    with pytest.raises(NotFound):
        two.pull(references=["nobody"])


def test_reading_brings_what_it_reads(team, counts):
    five_large(team)
    two = team.clone("two")
    entry = two.repo.entry(two.version("data"), "f2")
    assert b"".join(two.repo.read(entry)) == large(2)
    assert counts["data"] <= 1.2 * 400_000
    with two.repo.open_file(two.repo.entry(two.version("data"), "f0")) as file:
        file.seek(399_990)
        assert file.read() == large(0)[399_990:]
    assert counts["data"] <= 1.2 * 800_000
    assert two.checkout("data", two.root / "out")["f4"] == large(4)
    assert counts["data"] <= 1.2 * 2_000_000


def test_differences_come_with_their_bases(team):
    one = team.new("one")
    for step in range(4):
        one.commit({"model.safetensors": weights(1, moved=step * 1e-6)}, "model")
    one.push()
    two = team.clone("two")
    assert two.files("model:v3") == one.files("model:v3")
    assert two.files("model:v1") == one.files("model:v1")
    assert two.problems() == []


def test_differences_that_come_before_their_bases(team, monkeypatch):
    """Parts so small that no difference is in one part with its base."""
    from artvc.sync import lending

    one = team.new("one")
    one.commit({"model.safetensors": weights(1)}, "model")
    one.commit({"model.safetensors": weights(1, moved=1e-6)}, "model")
    maintenance.repack(one.repo, RepackRequest(every=True), now=now())
    one.push()
    monkeypatch.setattr(lending, "_PART", 1)
    monkeypatch.setattr(lending, "_GAP", 0)
    monkeypatch.setattr(lending, "_BATCH", 1)
    two = team.clone("two", everything=True)
    assert two.absent() == 0
    assert two.files("model:v1") == one.files("model:v1")


def test_a_remote_without_parts_sends_whole_packs_once(team, counts, monkeypatch):
    ten(team)
    two = team.clone("two")
    monkeypatch.setattr(Counting, "ranged", False, raising=False)
    two.files("data1")
    first = counts["data"]
    two.files("data1")
    assert counts["data"] == first
    for number in range(10):
        two.files(f"data{number}")
    assert two.absent() == 0 and two.problems() == []
    tracking = two.tracking()
    assert counts["data"] <= sum(tracking.end(pack.hex()).size for pack in tracking.known().indexes)


def test_many_threads_read_what_is_not_here(team, counts):
    five_large(team)
    two = team.clone("two")
    start = threading.Barrier(8)

    def read(number: int) -> bytes:
        start.wait()
        entry = two.repo.entry(two.version("data"), f"f{number % 4}")
        return b"".join(two.repo.read(entry))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(8)))
    assert found == [large(number % 4) for number in range(8)]
    assert counts["data"] <= 1.2 * 1_600_000


def _read_in_child(root: Path, environ: dict[str, str], results: "multiprocessing.Queue[object]", repo) -> None:
    try:
        entry = repo.entry(repo.resolve("data2").version, "f1")
        results.put(b"".join(repo.read(entry)) == noise("2 1", 60_000))
    except BaseException as exc:
        results.put(repr(exc))


def test_a_forked_child_brings_what_it_reads(tmp_path):
    """While another thread of the parent is in the midst of it."""
    (tmp_path / "hub").mkdir()
    team = Team(tmp_path, str(tmp_path / "hub"), {}, None)
    ten(team)
    two = team.clone("two")
    two.files("data1")
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    busy, go, parent = threading.Event(), threading.Event(), os.getpid()

    def dawdle(count: int) -> None:
        if os.getpid() == parent:
            busy.set()
            go.wait()

    sharing.attach(two.repo, Work(environ={}, now=now, planned=dawdle))
    thread = threading.Thread(target=two.files, args=("data0",))
    thread.start()
    assert busy.wait(10)
    child = fork.Process(target=_read_in_child, args=(two.root, {}, results, two.repo))
    child.start()
    try:
        assert results.get(timeout=30) is True
    finally:
        go.set()
        thread.join()
        child.join(10)
    team.close()


# -- gc on both sides -----------------------------------------------------------------------------------------


def drop_local(clone: Clone, keep: int = 0) -> None:
    drop = sharing.droppable(clone.repo, clone.work, keep=keep)
    request = GcRequest(grace=0, drop=drop, absent=sharing.on_a_remote(clone.repo))
    maintenance.gc(clone.repo, request, now=now())
    clone.reopen()


def test_what_the_remote_has_may_go_and_comes_again(team):
    one = ten(team)
    drop_local(one)
    assert one.absent() == len(one.chunks())
    assert one.problems() == []
    assert one.files("data9")["f3"] == noise("9 3", 60_000)
    drop_local(one, keep=10**9)
    assert 0 < one.absent() < len(one.chunks())


def test_gc_removes_what_a_fetch_that_was_killed_left(tmp_path, monkeypatch):
    (tmp_path / "hub").mkdir()
    team = Team(tmp_path, str(tmp_path / "hub"), {}, None)
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.new("two")
    with monkeypatch.context() as patch:
        patch.setattr(fetching._Quarantine, "__exit__", lambda *args: None)
        patch.setattr(fetching._Quarantine, "admit", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            two.pull()
    tmp = two.root / ".artvc" / "tmp"
    (left,) = tmp.iterdir()
    assert any(path.is_file() for path in left.rglob("*"))
    maintenance.gc(two.repo, GcRequest(grace=0), now=now())
    assert left.exists(), "it may be at work"
    os.utime(left, (0, 0))
    maintenance.gc(two.repo, GcRequest(grace=0), now=now())
    assert list(tmp.iterdir()) == []
    team.close()


def test_what_only_we_have_never_goes(team):
    one = ten(team)
    one.commit({"mine": noise("mine", 50_000)}, "mine")
    drop_local(one)
    team_is_gone(team)
    assert one.files("mine") == {"mine": noise("mine", 50_000)}


def team_is_gone(team: Team) -> None:
    if team.bucket is not None:
        team.bucket.objects.clear()
    else:
        shutil.rmtree(team.url)


def test_what_lies_there_with_no_name_that_keeps_it_is_not_let_go(team, monkeypatch):
    """A push that was cut off left its packs: the remote's gc may take them."""
    one = team.new("one")
    one.commit("a")
    one.push()
    one.commit({"mine": noise("mine", 50_000)}, "mine")
    with monkeypatch.context() as patch:
        patch.setattr(pushing, "_publish", lambda *args, **more: (_ for _ in ()).throw(RemoteError("cut")))
        with pytest.raises(RemoteError, match="cut"):
            one.push()
    drop_local(one)
    assert one.repo.objects.lend is not None
    one.repo.objects.lend = None
    assert one.files("mine") == {"mine": noise("mine", 50_000)}
    with pytest.raises(NotFound):
        one.text("data")


def test_a_push_goes_on_after_the_remote_was_collected_and_repacked(tmp_path):
    (tmp_path / "hub").mkdir()
    team = Team(tmp_path, str(tmp_path / "hub"), {}, None)
    one = ten(team)
    two = team.clone("two")
    for number in range(8):
        curation.delete_collection(one.repo, PROJECT, f"data{number}", now=now())
    one.push()
    with Repository.open(Path(team.url), SETTINGS, Disk(sync=False)) as hub:
        maintenance.repack(hub, RepackRequest(), now=now())
        maintenance.gc(hub, GcRequest(grace=0), now=now())
        assert maintenance.fsck(hub).clean
    # What two knows of packs is old; what was deleted there is gone, the rest moved.
    assert two.files("data9")["f1"] == noise("9 1", 60_000)
    one.commit({"f": noise("0 0", 60_000)}, "again")  # that of a version which was deleted there
    one.push()
    two.pull()
    assert two.files("again") == {"f": noise("0 0", 60_000)}
    assert [one.name for one in two.repo.collections() if one.versions] == ["again", "data8", "data9"]
    assert two.problems() == one.problems() == []
    team.close()


def test_history_that_was_fetched_and_collected_before_it_was_merged_comes_again(team):
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    one.commit("b")
    one.push()
    sharing.fetch_from(two.repo, "origin", two.work)
    for pack in (two.root / ".artvc" / "packs").iterdir():
        os.utime(pack, (0, 0))
    two.reopen()
    maintenance.gc(two.repo, GcRequest(grace=0, absent=sharing.on_a_remote(two.repo)), now=now())
    two.reopen()
    two.pull()
    assert two.texts() == {"v0": "a", "v1": "b"}
    assert two.problems() == []


# -- places that change or refuse ------------------------------------------------------------------------------


def test_a_place_that_was_emptied_is_not_taken_for_an_unchanged_one(team):
    one = team.new("one")
    one.commit("a")
    one.push()
    if team.bucket is not None:
        team.bucket.objects.clear()
    else:
        shutil.rmtree(Path(team.url) / ".artvc")
    before = one.state()
    for act in (one.push, one.pull, lambda: drop_local(one)):
        with pytest.raises(RemoteError) as caught:
            act()
        assert caught.value.hint
    assert one.state() == before
    sharing.remove_remote(one.repo, "origin")
    one.add(team.url)
    one.push()
    assert team.clone("two").texts() == {"v0": "a"}


@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_place_that_became_another_repository_is_refused(team, commits):
    """Whether it has fewer, as many or more transactions than before."""
    one = team.new("one")
    one.commit("a")
    one.push()
    one.commit("b")
    one.push()
    team_is_gone(team)
    if team.bucket is None:
        Path(team.url).mkdir()
    other = team.new("other")
    for number in range(commits):
        other.commit(f"of another {number}")
        other.push()
    before = one.state()
    for act in (one.push, one.pull):
        with pytest.raises((RemoteError, Damaged)) as caught:
            act()
        assert caught.value.hint
        assert one.state() == before
    assert one.problems() == []


def test_a_place_that_was_set_back_to_an_older_copy_is_refused(team, tmp_path):
    one = team.new("one")
    one.commit("a")
    one.push()
    old = remote_state(team)
    one.commit("b")
    one.push()
    if team.bucket is not None:
        team.bucket.objects.clear()
        team.bucket.objects.update(old)
    else:
        for path in set(remote_state(team)) - set(old):
            os.unlink(path)
    for act in (one.push, one.pull):
        with pytest.raises(RemoteError):
            act()
    one.tracking().forget()  # as if the notes had been damaged
    with pytest.raises(RemoteError, match="had 2"):
        one.push()
    assert one.texts() == {"v0": "a", "v1": "b"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_can_only_be_read(tmp_path):
    (tmp_path / "hub").mkdir()
    team = Team(tmp_path, str(tmp_path / "hub"), {}, None)
    one = team.new("one")
    one.commit("a")
    one.push()
    for path in [Path(team.url), *Path(team.url).rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        two = team.clone("two")
        assert two.texts() == {"v0": "a"}
        two.commit("b")
        with pytest.raises(RemoteDenied):
            two.push()
        assert two.texts() == {"v0": "a", "v1": "b"}
    finally:
        for path in [Path(team.url), *Path(team.url).rglob("*")]:
            path.chmod(0o755)
    two.push()
    assert team.clone("three").texts() == {"v0": "a", "v1": "b"}
    team.close()


class Refusing(Counting):
    """A remote that can only be read."""

    def upload(self, pack):
        raise RemoteDenied("no")

    def publish(self, publication):
        raise RemoteDenied("no")


def test_a_remote_that_can_only_be_read(team, monkeypatch):
    one = team.new("one")
    one.commit("a")
    one.push()
    really = address.open_remote
    monkeypatch.setattr(address, "open_remote", lambda *args: Refusing(really(*args), {}))
    two = team.clone("two")
    two.commit("b")
    assert two.texts() == {"v0": "a", "v1": "b"}
    place = remote_state(team)
    with pytest.raises(RemoteDenied):
        two.push()
    assert remote_state(team) == place and two.problems() == []
    monkeypatch.undo()
    two.push()
    one.pull()
    assert one.texts() == {"v0": "a", "v1": "b"}


class Losing(Counting):
    """A remote whose answer to a publication is lost; ``between`` happens then."""

    between = staticmethod(lambda: None)
    counts = True

    def publish(self, publication):
        if self.counts:
            assert self._remote.publish(publication)
        type(self).between()
        raise RemoteError("the connection was cut")


@pytest.mark.parametrize("others", [False, True])
def test_a_lost_reply_is_settled_by_reading_back(team, monkeypatch, others):
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    one.commit("b")

    really = address.open_remote

    def meanwhile() -> None:
        monkeypatch.setattr(address, "open_remote", really)
        if others:
            two.commit("of two", "other")
            two.push()

    monkeypatch.setattr(Losing, "between", staticmethod(meanwhile))
    monkeypatch.setattr(address, "open_remote", lambda *args: Losing(really(*args), {}))
    pushed = one.push()
    assert [edit.name for edit in pushed.edits if "v1" in edit.name]
    assert one.push().edits == ()
    everyone_agrees(team, one, two)
    assert one.texts() == {"v0": "a", "v1": "b"}
    assert one.texts("other") == ({"v0": "of two"} if others else {})


def test_a_push_that_was_lost_before_it_counted_is_an_error_and_goes_through_when_repeated(team, monkeypatch):
    one = team.new("one")
    one.commit("a")
    really = address.open_remote
    monkeypatch.setattr(address, "open_remote", lambda *args: Losing(really(*args), {}))
    monkeypatch.setattr(Losing, "counts", False)
    with pytest.raises(RemoteError, match="cut"):
        one.push()
    monkeypatch.undo()
    sent = one.push()
    assert sent.packs == 0 and team.clone("two").texts() == {"v0": "a"}


# -- several processes in one repository -------------------------------------------------------------------------


def test_somebody_else_in_this_repository_fetches_in_the_midst_of_a_push(team, monkeypatch):
    """What they brought is not merged yet: a push must not take it for something that we removed."""
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    two.commit("of two", "other", aliases=["best"])
    one.commit("b")
    beside = Clone(one.root, one.work.environ, Repository.open(one.root, SETTINGS, Disk(sync=False)))
    really = pushing.take_over
    rounds = []

    def taken_over(*args, **more):
        found = really(*args, **more)
        rounds.append(args[0])
        if len(rounds) == 1:
            two.push()
            sharing.fetch_from(beside.repo, "origin", beside.work)
        return found

    monkeypatch.setattr(pushing, "take_over", taken_over)
    one.push()
    assert rounds == [one.repo, two.repo, one.repo]
    assert one.texts("other") == {"v0": "of two"}
    everyone_agrees(team, one, two)
    assert two.texts() == {"v0": "a", "v1": "b"} and two.texts("other") == {"v0": "of two"}
    beside.repo.close()


def test_somebody_else_in_this_repository_merges_in_the_midst_of_a_pull(team, monkeypatch):
    one = team.new("one")
    one.commit("a")
    one.push()
    two = team.clone("two")
    two.commit("of two")
    two.push()
    beside = Clone(one.root, one.work.environ, Repository.open(one.root, SETTINGS, LocklessDisk(sync=False)))
    really = joining.merging.merge
    rounds = []

    def merged(*args, **more):
        if not rounds:
            rounds.append(1)
            two.commit("later", "other")
            two.push()
            beside.pull()
        return really(*args, **more)

    monkeypatch.setattr(joining.merging, "merge", merged)
    one.pull()
    monkeypatch.undo()
    one.push()
    assert one.texts() == {"v0": "a", "v1": "of two"} and one.texts("other") == {"v0": "later"}
    everyone_agrees(team, one, two)
    assert two.texts("other") == {"v0": "later"}
    beside.repo.close()


def test_two_that_fetch_at_once(team):
    one = team.new("one")
    for text in "abc":
        one.commit(text)
        one.push()
    two = team.clone("two")
    for text in "def":
        one.commit(text)
        one.push()
    clones = [Clone(two.root, two.work.environ, Repository.open(two.root, SETTINGS, Disk(sync=False))) for _ in "12"]

    class Slow(Counting):
        """The other one fetches after all of the history was read, before anything counts."""

        def history(self, known):
            yield from super().history(known)
            sharing.fetch_from(clones[1].repo, "origin", clones[1].work)

    work = clones[0].work
    with sharing.connected(clones[0].repo, "origin", work) as remote:
        fetch(clones[0].repo, clones[0].tracking(), Slow(remote, {}))
    assert clones[0].tracking().state().number == one.tracking().state().number
    two.pull()
    assert len(two.texts()) == 6 and two.problems() == []
    for clone in clones:
        clone.repo.close()


def test_a_push_looks_at_what_is_near_and_not_at_all_that_is_there(team, monkeypatch):
    one = team.new("one")
    for number in range(12):
        for name in ("data", "other"):
            one.commit({"large": noise("kept", 300_000), "text": f"{name} {number}".encode()}, name)
    one.push()
    read = []
    really = Reach._load

    def counted(self, kind, wanted):
        if self._lenient:
            read.append(wanted)
        return really(self, kind, wanted)

    monkeypatch.setattr(Reach, "_load", counted)
    one.commit({"large": noise("kept", 300_000), "text": b"next"}, "data")
    pushed = one.push()
    assert pushed.bytes < 10_000
    assert 0 < len(read) < 12
    # What only an old version of something else has is found too.
    read.clear()
    one.commit({"text": b"other 3"}, "third")
    assert one.push().bytes < 10_000
    assert len(read) > 24
    two = team.clone("two", everything=True)
    assert two.problems() == [] and two.files("third") == {"text": b"other 3"}


def test_a_crowd_loses_nothing(team):
    """4 clients that push 5 times each; 16 that push 50 times with ARTVC_FAULTS=full."""
    clients, pushes = (16, 50) if os.environ.get("ARTVC_FAULTS") == "full" else (4, 5)
    first = team.new("first")
    first.commit("a")
    first.push()
    crowd = [team.clone(f"clone{number}") for number in range(clients)]

    def work(clone: Clone) -> None:
        for number in range(pushes):
            clone.commit(f"{clone.root.name} {number}")
            clone.push()

    with ThreadPoolExecutor(len(crowd)) as pool:
        list(pool.map(work, crowd))
    everyone_agrees(team, first, *crowd)
    expected = {"a", *(f"clone{one} {number}" for one in range(clients) for number in range(pushes))}
    assert set(first.texts().values()) == expected and len(first.texts()) == len(expected)


def test_a_clone_of_a_long_history_begins_at_a_checkpoint(team, monkeypatch):
    for module in (directory, bucket):
        monkeypatch.setattr(module, "CHECKPOINT_AFTER", 3)
    monkeypatch.setattr(pushing, "_CHECKPOINT_EVERY", 4)
    one = team.new("one")
    for number in range(10):
        one.commit(f"text {number}", aliases=[f"alias{number}"])
        one.push()
    work = one.work
    with sharing.connected(one.repo, "origin", work) as remote:
        pieces = [(piece.kind, piece.number) for piece in remote.history(Known()) if piece.number]
    assert pieces == [(PieceKind.CHECKPOINT, 8), (PieceKind.TRANSACTION, 9), (PieceKind.TRANSACTION, 10)]
    two = team.clone("two")
    assert two.repo.state().refs == one.repo.state().refs and len(two.texts()) == 10
    two.commit("of two")
    two.push()
    everyone_agrees(team, one, two)


# -- several remotes --------------------------------------------------------------------------------------------


def test_data_comes_from_whichever_remote_has_it(team, tmp_path):
    one = team.new("one")
    one.commit("a")
    one.push()
    (tmp_path / "usb").mkdir()
    one.add(tmp_path / "usb", "usb")
    one.commit({"file": b"only on usb", "large": noise("usb", 100_000)}, "more")
    one.push("usb")
    two = team.clone("two").add(tmp_path / "usb", "usb")
    two.pull("usb")
    assert two.texts() == {"v0": "a"} and two.text("more") == "only on usb"
    two.repo.objects.close()
    shutil.rmtree(tmp_path / "usb")
    three = team.clone("three").add(tmp_path, "usb")
    with pytest.raises(NotFound):
        three.version("more")


def test_a_number_that_two_remotes_know_otherwise_is_not_silently_changed(team, tmp_path):
    (tmp_path / "usb").mkdir()
    one = team.new("one").add(tmp_path / "usb", "usb")
    one.commit("a")
    one.push()
    one.push("usb")
    two = team.clone("two")
    two.commit("of two")
    two.push()
    one.commit("of one")
    one.push("usb")
    before = one.state(notes=False)
    with pytest.raises(InvalidInput, match="data:v1"):
        one.push()
    assert one.state(notes=False) == before


def test_a_version_is_pinned_only_where_the_other_remote_has_the_same(team, tmp_path):
    (tmp_path / "usb").mkdir()
    one = team.new("one").add(tmp_path / "usb", "usb")
    one.commit("a")
    one.push()
    one.push("usb")
    stick = Clone(tmp_path / "stick", {}).add(tmp_path / "usb")
    stick.pull()
    stick.commit("of the stick")
    stick.push()
    sharing.fetch_from(one.repo, "usb", one.work)  # data:v1 there, which we did not take over
    two = team.clone("two")
    two.commit("of two")
    two.push()
    one.commit("of one")
    assert one.push().renumbered == [Renumbered(PROJECT, "data", 1, 2)]
    stick.repo.close()


def test_the_default_remote(tmp_path):
    clone = Clone(tmp_path / "one", {})
    with pytest.raises(NotFound, match="origin"):
        sharing.default_remote(clone.repo)
    for name in ("hub", "usb", "third"):
        (tmp_path / name).mkdir()
    clone.add(tmp_path / "hub", "hub")
    assert sharing.default_remote(clone.repo) == "hub"
    clone.add(tmp_path / "usb", "usb")
    with pytest.raises(NotFound) as caught:
        sharing.default_remote(clone.repo)
    assert "hub, usb" in str(caught.value.hint)
    clone.add(tmp_path / "third", "origin")
    assert sharing.default_remote(clone.repo) == "origin"
    with pytest.raises(Conflict, match="already"):
        clone.add(tmp_path / "usb", "usb")
    assert [one.name for one in sharing.list_remotes(clone.repo)] == ["hub", "origin", "usb"]
    sharing.set_url(clone.repo, "usb", "elsewhere", base=tmp_path)
    assert sharing.url_of(clone.repo, "usb") == str(tmp_path / "elsewhere")
    for name in ("hub", "origin", "usb"):
        sharing.remove_remote(clone.repo, name)
    assert sharing.list_remotes(clone.repo) == [] and not list((tmp_path / "one/.artvc").glob("remotes/*"))
    with pytest.raises(NotFound):
        sharing.remove_remote(clone.repo, "hub")
    clone.repo.close()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "..", "a.b", "x" * 65])
def test_names_that_no_remote_may_have(tmp_path, name):
    clone = Clone(tmp_path / "one", {})
    with pytest.raises(InvalidInput):
        clone.add(tmp_path, name)
    clone.repo.close()


# -- clones that are cut off, and directories that are taken --------------------------------------------------------


def test_a_clone_goes_only_where_nothing_is(team):
    one = team.new("one")
    one.commit("a")
    one.push()
    (team.root / "full").mkdir()
    (team.root / "full" / "file").write_text("mine")
    (team.root / "a-file").write_text("mine")
    for name in ("full", "a-file", "one"):
        if name == "one":
            sharing.set_url(one.repo, "origin", "elsewhere", base=team.root)
        with pytest.raises(Conflict):
            team.clone(name)
    assert sorted(path.name for path in (team.root / "full").iterdir()) == ["file"]
    (team.root / "empty").mkdir()
    assert team.clone("empty").texts() == {"v0": "a"}
    assert team.clone("empty").texts() == {"v0": "a"}, "a clone that is repeated"


@pytest.mark.parametrize("half", ["nothing", "no format", "no remote"])
def test_a_clone_that_was_cut_off_is_simply_repeated(team, half):
    one = team.new("one")
    one.commit("a")
    one.push()
    target = team.root / "two"
    if half != "nothing":
        target.mkdir()
        Repository.create(target, settings=SETTINGS, disk=Disk(sync=False))[0].close()
        if half == "no format":
            (target / ".artvc" / "format").unlink()
    assert team.clone("two").texts() == {"v0": "a"}


def test_a_clone_of_nothing_leaves_nothing(tmp_path):
    work = Work(environ={}, now=now)
    with pytest.raises(ArtvcError):
        sharing.clone(str(tmp_path / "nowhere"), tmp_path / "two", work, base=tmp_path, settings=SETTINGS)
    assert not (tmp_path / "two").exists()
    with pytest.raises((NotFound, StorageError)):
        Clone(tmp_path / "one", {}).add(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/srv/models/.artvc", "models"),
        ("git@host:team/models.git", "models"),
        ("host:models", "models"),
        ("s3://bucket/a/b/", "b"),
        ("/", None),
        ("..", None),
        ("x/-rf", None),
    ],
)
def test_where_a_clone_goes_that_was_not_told(url, name):
    if name is None:
        with pytest.raises(InvalidInput):
            sharing.directory_of(url)
    else:
        assert sharing.directory_of(url) == name
