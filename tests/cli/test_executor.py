"""``artvc commit --executor``, as a user runs it."""

import pytest


@pytest.fixture
def desk(shell):
    (shell.cwd.parent / "remote").mkdir()
    shell("init")
    for number in range(5):
        shell.write(f"data/{number}.txt", f"text {number}")
    return shell


def test_it_commits_and_pushes(desk):
    desk("remote", "add", "origin", "../remote")
    said = desk("commit", "data", "-n", "texts", "-t", "dataset", "--executor", "processes:2").splitlines()
    assert said[0].startswith("[texts:v0] 5 files, 30 B (30 B new, ")
    assert said[3:5] == ["to origin:", "  new      texts:v0"]
    assert " in 0 packs of data, " in said[-1]
    assert desk.run("status", "--exit-code").returncode == 0
    desk("clone", "../remote", "clone")
    desk("-C", "clone", "checkout", "texts", "out")
    assert (desk.cwd / "clone" / "out" / "4.txt").read_text() == "text 4"


def test_json(desk):
    desk("remote", "add", "usb", "../remote")
    done = desk.json("commit", "data", "-n", "texts", "-t", "dataset", "--executor", "threads:1", "--remote", "usb")
    assert done["name"] == "texts" and done["created"] and done["stored_bytes"] > 0
    assert done["push"]["remote"] == "usb" and done["push"]["packs"] == 0 and done["push"]["bytes"] > 0
    assert done["artifact"] == desk.json("commit", "data")["artifact"]


def test_failures_are_one_line(desk):
    commit = ("commit", "data", "-n", "texts", "-t", "dataset")
    assert "--remote goes with --executor" in desk.fails(2, *commit, "--remote", "origin")
    assert "'artvc remote add origin URL'" in desk.fails(4, *commit, "--executor", "threads:2")
    desk("remote", "add", "origin", "../remote")
    assert "write threads:N" in desk.fails(2, *commit, "--executor", "many")
    (desk.cwd.parent / "remote").rmdir()
    assert "mount its disk" in desk.fails(4, *commit, "--executor", "threads:2")
    assert desk("log") == ""
