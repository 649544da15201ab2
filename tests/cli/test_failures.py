"""Bad input gets one clear line and a documented exit code."""

import json
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize(
    ("code", "words", "argv"),
    [
        (4, "no artifact 'minst-raw'; did you mean 'mnist-raw'?", ["checkout", "minst-raw"]),
        (4, "has no alias 'bset'; did you mean net:best?", ["cat", "net:bset/x"]),
        (4, "has no version v9; it has v0 to v0", ["ls", "net:v9"]),
        (4, "net:v0 has no file 'modle.pt'; did you mean 'model.pt'?", ["cat", "net:v0/modle.pt"]),
        (2, "invalid artifact name 'a b'", ["commit", "data", "-n", "a b", "-t", "x"]),
        (2, "no type for the new artifact 'x'", ["commit", "data", "-n", "x"]),
        (2, "cannot read '", ["commit", "nothing", "-n", "x", "-t", "x"]),
        (2, "not a reference", ["checkout", "a/b/c/d:v0"]),
        (2, "did you mean 'checkout'", ["chekout", "net"]),
        (2, "Missing argument", ["commit"]),
        (2, "is not valid JSON", ["commit", "data", "--metadata", "model.pt"]),
        (2, "cannot read metadata", ["commit", "data", "--metadata", "nothing.json"]),
        (5, "already exists with type 'model'", ["commit", "data", "-n", "net", "-t", "dataset"]),
        (2, "was neither checked out nor committed", ["status", "/usr"]),
        (2, "cannot change to 'nowhere'", ["-C", "nowhere", "log"]),
        (4, "no artifact 'nope'", ["show", "nope"]),
    ],
)
def test_one_line_and_a_code(filled, code, words, argv):
    line = filled.fails(code, *argv)
    assert line.startswith("artvc: error: ")
    assert words in line


def test_outside_a_repository_the_hint_is_init(shell):
    assert "run 'artvc init'" in shell.fails(10, "log")
    shell.write("x", "x")
    assert "run 'artvc init'" in shell.fails(10, "commit", "x", "-n", "x", "-t", "x")


def test_failures_as_json(filled):
    done = filled.run("--json", "cat", "minst-raw/x")
    assert done.returncode == 4
    error = json.loads(done.stderr)["error"]
    assert error["kind"] == "not-found"
    assert (error["code"], error["hint"]) == (4, "did you mean 'mnist-raw'?")


def test_a_hostile_message_cannot_move_the_cursor(filled):
    hostile = "good\x1b[2J\x1b]0;title\x07\r evil \u202e txt"
    filled.write("data/a.txt", "2")
    filled("commit", "data", "-m", hostile)
    for argv in (["log"], ["log", "--oneline"], ["log", "--graph"]):
        text = filled(*argv)
        assert not set(text) & set("\x1b\x07\r\u202e")
        assert "\\x1b[2J" in text
    assert filled.json("log")["commits"][0]["message"] == hostile


def test_a_closed_pipe_is_quiet(filled):
    command = f"{sys.executable} -m artvc log; echo $? >code"
    process = subprocess.Popen(
        ["bash", "-c", f"({command}) | true"], cwd=filled.cwd, env=filled.env, stderr=subprocess.PIPE, text=True
    )
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert (filled.cwd / "code").read_text().strip() in {"141", "0"}


def test_interrupted_is_130_and_nothing_is_recorded(shell):
    shell("init")
    with (shell.cwd / "big").open("wb") as file:
        file.truncate(3 << 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "artvc", "commit", "big", "-n", "big", "-t", "x"],
        cwd=shell.cwd,
        env=shell.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("artvc: error: interrupted")
    assert shell.json("ls") == {"artifacts": []}
