"""Checkout, status and taking in: what is written, what is left alone, what is refused."""

import gc
import itertools
import os
import stat

import pytest

from artvc import worktree
from artvc.errors import Conflict, Damaged, InvalidInput, NotFound
from artvc.model import merkle
from artvc.model.objects import Entry, EntryKind, TreeSummary
from artvc.recording import OutputDraft, record
from artvc.worktree import restoring


def clean(desk) -> bool:
    return all(one.clean for one in worktree.status(desk.repo))


def test_round_trip_of_all_kinds(desk):
    desk.write({"data/a": "1", "data/empty": "", "data/deep/er/b": b"\0" * 100_000, "data/big": os.urandom(700_000)})
    (desk.root / "data/run.sh").write_text("#!")
    (desk.root / "data/run.sh").chmod(0o755)
    os.symlink("deep/er/b", desk.root / "data/link")
    (desk.root / os.fsdecode(b"data/not-utf8-\xff")).write_text("x")
    desk.commit("data")
    result = desk.checkout("data", "out")
    assert desk.files("out") == desk.files("data")
    assert os.readlink(desk.root / "out/link") == "deep/er/b"
    assert (desk.root / "out/run.sh").stat().st_mode & stat.S_IXUSR
    assert not (desk.root / "out/a").stat().st_mode & stat.S_IXUSR
    assert result.files == 7
    assert clean(desk)


def test_status_tells_what_differs(desk):
    desk.write({"data/a": "1", "data/b": "2", "data/c": "3"})
    desk.commit("data")
    assert clean(desk)
    desk.write({"data/a": "9", "data/new": "n"})
    (desk.root / "data/b").unlink()
    (desk.root / "data/c").chmod(0o755)
    (found,) = worktree.status(desk.repo)
    assert (found.modified, found.added, found.deleted) == (("a", "c"), ("new",), ("b",))
    assert found.version.label == "data:v0"


def test_status_notices_an_edit_of_equal_size_at_once(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    for value in "23456789":
        desk.write({"data/a": value})
        (found,) = worktree.status(desk.repo)
        assert found.modified == ("a",), value


def test_unchanged_files_are_not_read_again(desk, monkeypatch):
    desk.write({f"data/{i}": f"{i}" for i in range(20)} | {"data/big": b"b" * 200_000})
    for path in (desk.root / "data").iterdir():
        os.utime(path, ns=(10**18, 10**18 + 1))
    import time

    time.sleep(0.05)  # older than a tick, or the files would rightly be read again
    desk.commit("data")
    from artvc.store import ingest

    monkeypatch.setattr(ingest, "_opened", None)
    assert clean(desk)
    assert desk.commit("data").logged.created is False


def test_checkout_never_overwrites_a_change_without_force(desk):
    desk.write({"data/a": "1", "data/b": "1"})
    desk.commit("data")
    desk.write({"data/a": "2", "data/b": "2"})
    desk.commit("data")
    desk.checkout("data:v0", "out")
    desk.write({"out/a": "mine"})
    with pytest.raises(Conflict, match="would overwrite changes in .*: 'a'") as caught:
        desk.checkout("data:v1", "out")
    assert "--force" in caught.value.hint
    assert desk.files("out") == {"a": b"mine", "b": b"1"}
    desk.checkout("data:v1", "out", force=True)
    assert desk.files("out") == {"a": b"2", "b": b"2"}


def test_switching_versions_removes_what_the_new_one_lacks_and_keeps_the_users_files(desk):
    desk.write({"data/a": "1", "data/gone/x": "1"})
    desk.commit("data")
    (desk.root / "data/gone/x").unlink()
    (desk.root / "data/gone").rmdir()
    desk.commit("data")
    desk.checkout("data:v0", "out")
    desk.write({"out/notes": "mine"})
    result = desk.checkout("data:v1", "out")
    assert result.removed == 1
    assert desk.files("out") == {"a": b"1", "notes": b"mine"}
    desk.checkout("data:v0", "out")
    assert desk.files("out") == {"a": b"1", "gone/x": b"1", "notes": b"mine"}
    desk.checkout("data:v1", "out", exact=True)
    assert desk.files("out") == {"a": b"1"}


def test_a_deleted_but_edited_file_blocks(desk):
    desk.write({"data/a": "1", "data/b": "1"})
    desk.commit("data")
    (desk.root / "data/b").unlink()
    desk.commit("data")
    desk.checkout("data:v0", "out")
    desk.write({"out/b": "mine"})
    with pytest.raises(Conflict, match="'b'"):
        desk.checkout("data:v1", "out")


def test_files_of_the_user_that_are_right_already_are_kept(desk):
    desk.write({"data/a": "1", "data/b": "2"})
    desk.commit("data")
    desk.write({"out/a": "1", "out/other": "o"})
    before = (desk.root / "out/a").stat()
    result = desk.checkout("data", "out")
    assert (result.kept, result.written) == (1, 1)
    assert (desk.root / "out/a").stat().st_ino == before.st_ino
    assert desk.files("out") == {"a": b"1", "b": b"2", "other": b"o"}


def test_a_file_where_a_directory_must_be_blocks_and_gives_way_to_force(desk):
    desk.write({"data/x/y": "1", "data/z": "1"})
    desk.commit("data")
    desk.write({"out/x": "a file", "out/z/deep": "a directory"})
    with pytest.raises(Conflict):
        desk.checkout("data", "out")
    desk.checkout("data", "out", force=True)
    assert desk.files("out") == {"x/y": b"1", "z": b"1"}


def test_subpaths_restore_a_part(desk):
    desk.write({"data/a": "1", "data/s/b": "2", "data/s/t/c": "3"})
    desk.commit("data")
    desk.checkout("data", "out", subpaths=("s",))
    assert desk.files("out") == {"s/b": b"2", "s/t/c": b"3"}
    assert clean(desk)
    with pytest.raises(NotFound):
        desk.checkout("data", "out2", subpaths=("nothing",))
    assert not (desk.root / "out2").exists()


def test_an_interrupted_checkout_leaves_no_destination_and_resumes(desk, monkeypatch):
    desk.write({f"data/{i}": f"{i}" for i in range(50)})
    desk.commit("data")
    honest, calls = restoring._write_content, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 25:
            raise KeyboardInterrupt
        return honest(*args)

    monkeypatch.setattr(restoring, "_write_content", dies)
    with pytest.raises(KeyboardInterrupt):
        desk.checkout("data", "out")
    assert not (desk.root / "out").exists()
    monkeypatch.setattr(restoring, "_write_content", honest)
    result = desk.checkout("data", "out")
    assert desk.files("out") == desk.files("data")
    assert result.kept >= 24
    assert [p.name for p in desk.root.iterdir() if p.name.startswith(worktree.TEMPORARY)] == []


def test_ignore_rules_nest_and_control_directories_are_left_out(desk):
    desk.write(
        {
            "data/.artvcignore": "*.tmp\n/cache/\n!keep.tmp\n",
            "data/a.tmp": "1",
            "data/keep.tmp": "1",
            "data/cache/x": "1",
            "data/sub/cache/x": "1",
            "data/sub/.artvcignore": "!b.tmp\n",
            "data/sub/b.tmp": "1",
            "data/.git/config": "x",
        }
    )
    version = desk.commit("data").logged.version
    assert [path for path, _ in desk.repo.walk(version)] == [
        ".artvcignore",
        "keep.tmp",
        "sub/.artvcignore",
        "sub/b.tmp",
        "sub/cache/x",
    ]
    assert clean(desk)


def test_links_that_leave_stand_for_their_file_or_are_left_out_with_a_warning(desk):
    desk.write({"outside": "content", "data/a": "1"})
    os.symlink("../outside", desk.root / "data/file")
    os.symlink("../../../etc", desk.root / "data/dir")
    os.symlink("nowhere/../..", desk.root / "data/dangling")
    os.mkfifo(desk.root / "data/fifo")
    result = desk.commit("data")
    assert dict(desk.repo.walk(result.logged.version))["file"].kind == EntryKind.CHUNK
    assert len(result.warnings) == 3


def hostile_version(desk, files):
    with desk.repo.ingest() as ingest:
        tree = merkle.write_tree(files(ingest), ingest.put)
        commit = desk.commit_value()
        return (
            record(desk.repo, ingest, commit, [OutputDraft(name="evil", type="x", tree=tree)], why="test")
            .outputs[0]
            .version
        )


def test_links_out_of_the_destination_are_refused(desk):
    from artvc.model.objects import Commit

    desk.commit_value = lambda: Commit(run_id="r", run_name="r", project="p", started=desk.now(), ended=desk.now())
    for path, target in (("up", "../.."), ("sub/up", "../../x"), ("sub/odd", "a/../../../x")):
        link = Entry(path.rpartition("/")[2], EntryKind.SYMLINK, False, len(target), 1, None, target)
        version = hostile_version(desk, lambda _, path=path, link=link: [(path, link)])
        with pytest.raises(Damaged, match="link out of itself"):
            worktree.checkout(desk.repo, version, desk.root / "out")
        assert not (desk.root / "out").exists()


def test_existing_links_in_the_destination_are_not_written_through(desk):
    desk.write({"data/sub/a": "1", "elsewhere/x": "x"})
    desk.commit("data")
    (desk.root / "out").mkdir()
    os.symlink(desk.root / "elsewhere", desk.root / "out/sub")
    with pytest.raises(Conflict):
        desk.checkout("data", "out")
    desk.checkout("data", "out", force=True)
    assert desk.files("elsewhere") == {"x": b"x"}
    assert not (desk.root / "out/sub").is_symlink()


def test_the_repository_itself_is_no_destination(desk):
    desk.write({"data/a": "1"})
    desk.commit("data")
    for dest in (".artvc", ".artvc/x", ".artvc/packs"):
        with pytest.raises(InvalidInput):
            desk.checkout("data", dest)


def test_damaged_data_is_not_written(desk):
    desk.write({"data/a": os.urandom(50_000)})
    desk.commit("data")
    for pack in (desk.root / ".artvc/packs").iterdir():
        raw = bytearray(pack.read_bytes())
        if len(raw) > 50_000:
            raw[25_000] ^= 1
            pack.write_bytes(raw)
    desk.reopen()
    with pytest.raises(Damaged, match="is damaged in pack .* at byte"):
        desk.checkout("data", "out")
    assert not (desk.root / "out").exists()


def test_committing_again_with_paranoia_heals(desk):
    desk.write({"data/a": os.urandom(50_000)})
    desk.commit("data")
    for pack in (desk.root / ".artvc/packs").iterdir():
        raw = bytearray(pack.read_bytes())
        if len(raw) > 50_000:
            raw[25_000] ^= 1
            pack.write_bytes(raw)
    desk.reopen()
    desk.write({"data/b": "another"})
    desk.commit("data", paranoid=True)
    assert desk.checkout("data:v0", "out").written == 1
    assert desk.files("out")["a"] == desk.files("data")["a"]


def test_empty_tree_round_trip(desk):
    (desk.root / "data").mkdir()
    result = desk.commit("data")
    assert result.logged.artifact.files == 0
    desk.checkout("data", "out")
    assert list((desk.root / "out").iterdir()) == []
    assert isinstance(TreeSummary(result.logged.artifact.root, 0, 0), tuple)


def test_a_subpath_below_another_is_restored_once(desk):
    desk.write({"data/a/b/x": "1", "data/a/y": "2", "data/z": "3"})
    desk.commit("data")
    result = desk.checkout("data:v0", "out", subpaths=("a/b", "a", "a/b/x", "a"))
    assert (result.files, result.written) == (2, 2)
    assert desk.files("out") == {"a/b/x": b"1", "a/y": b"2"}


def test_a_new_directory_needs_no_room_for_all_entries(desk, monkeypatch):
    desk.write({f"data/{number % 30}/{number}": str(number) for number in range(3000)})
    desk.commit("data")
    counts = []
    really = restoring._write_content
    calls = itertools.count()

    def counted(repo, fd, content, pool, advance):
        if not next(calls) % 500:
            counts.append(sum(type(one) is Entry for one in gc.get_objects()))
        really(repo, fd, content, pool, advance)

    monkeypatch.setattr(restoring, "_write_content", counted)
    monkeypatch.setattr(restoring, "_KEPT", 100)
    assert desk.checkout("data:v0", "out").files == 3000
    assert len(counts) == 6
    assert max(counts) < 1000
