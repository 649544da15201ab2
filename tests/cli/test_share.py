"""What remote, push, pull, fetch and clone say."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    return tmp_path / "hub"


@pytest.fixture
def two(filled: Shell, hub: Path, tmp_path: Path) -> Shell:
    """A clone of what ``filled`` pushed."""
    filled("remote", "add", "origin", "../hub")
    filled("push")
    made = Shell(tmp_path, Path(filled.env["HOME"]))
    assert made("clone", "hub", "two") == "cloned into two: 2 versions, 2 runs; data comes when it is needed\n"
    made.cwd = tmp_path / "two"
    return made


def test_remotes_are_listed_changed_and_removed(filled, hub):
    assert filled("remote") == ""
    assert filled("remote", "add", "origin", "../hub") == f"added origin: {hub}\n"
    assert filled("remote", "list").split() == ["origin", str(hub)]
    assert filled("remote", "set-url", "origin", "elsewhere") == f"origin is now {filled.cwd / 'elsewhere'}\n"
    assert filled("remote", "remove", "origin") == "removed origin\n"
    assert "no remote 'origin'" in filled.fails(4, "push")
    assert "no such directory" in filled.fails(4, "remote", "add", "origin", "../nowhere")


def test_a_push_says_what_it_sent(filled, hub):
    filled("remote", "add", "origin", "../hub")
    planned = filled("push", "-n").splitlines()
    done = filled("push").splitlines()
    assert planned[:-1] == done[:-1]
    assert done[0] == "to origin:"
    assert "mnist-raw:v0" in done[1] and "net:v0" in done[1]
    assert planned[-1].startswith("would send ") and done[-1].startswith("sent ")
    assert done[-1].endswith("of data, for 19 B of files")
    assert filled("push") == "origin has everything\n"
    assert filled("push", "-q") == ""


def test_there_and_back(filled, two):
    assert two("cat", "mnist-raw/sub/b.txt") == "world\n"
    assert two("pull", "net:best").splitlines()[-1].endswith(" of data, for 7 B of files")
    assert two("pull", "net:best").splitlines() == ["nothing new on origin", "all data is here, 7 B of files"]
    assert two("fetch") == "nothing new on origin\n"
    two.write("model.pt", "better")
    two("commit", "model.pt", "-n", "net", "-t", "model")
    two("push")
    assert filled("fetch").startswith("origin: 1 new transaction, ")
    assert filled("pull", "--dry-run").splitlines()[0] == "origin has:"
    assert filled("pull").splitlines()[1].split() == ["new", "net:v1"]
    assert filled("cat", "net:v1/model.pt") == "better"


def test_versions_that_both_logged_are_renumbered_and_it_is_said(filled, two):
    for shell, text in ((filled, "of one"), (two, "of two")):
        shell.write("model.pt", text)
        shell("commit", "model.pt", "-n", "net", "-t", "model")
    filled("push")
    said = two("push").splitlines()
    assert said[0] == "renumbered: net:v1 is now net:v2"
    assert two("cat", "net:v2/model.pt") == "of two"
    assert two("status").startswith("model.pt: net:v2, clean")


def test_a_conflict_is_one_line_whose_command_settles_it(filled, two):
    for shell, text in ((filled, "of one"), (two, "of two")):
        shell.write("model.pt", text)
        shell("commit", "model.pt", "-n", "net", "-t", "model", "-a", "best")
    filled("push")
    line = two.fails(5, "push")
    assert "net:best is v2 here and v1 on origin" in line
    command = line.partition("'artvc ")[2].partition("'")[0].split()
    two(*command)
    assert two("cat", "net:best/model.pt") == "of one"
    assert "both --ours and --theirs" in two.fails(2, "pull", "--ours", "a:b", "--theirs", "a:b")


def test_data_that_is_there_need_not_be_here(filled, two):
    two("pull", "--all")
    assert two.json("fsck")["absent"] == 0
    two("gc", "--local")
    assert two.json("fsck")["absent"] > 0
    assert two("cat", "mnist-raw/a.txt") == "hello\n"


def test_a_remote_that_is_gone_is_one_line(filled, two, hub):
    hub.rename(hub.with_name("unplugged"))
    for argv in (["push"], ["pull"], ["fetch"], ["cat", "net/model.pt"]):
        assert "no such directory" in two.fails(4, *argv)
    for argv in (["clone", "elsewhere"], ["clone", "elsewhere", "here"], ["-C", "..", "clone", "hub"]):
        assert "no such directory" in two.fails(4, *argv)
    assert not (two.cwd / "elsewhere").exists() and not (two.cwd / "here").exists()
    assert "clone of itself" in two.fails(5, "-C", "..", "clone", "two")
