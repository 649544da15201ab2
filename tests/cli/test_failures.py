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
        (2, "metadata without a key: '=5'", ["commit", "data", "--metadata", "=5"]),
        (2, "not valid Unicode", ["commit", "data", "--metadata", 'x="\\ud800"']),
        (2, "NaN and infinities", ["commit", "data", "--metadata", "nan.json"]),
        (2, "Choose from: bash, fish, zsh", ["completion"]),
        (2, "'tcsh' is not one of 'bash', 'fish', 'zsh'; see", ["completion", "tcsh"]),
        (4, "did you mean 'exit-codes'?", ["help", "exitcodes"]),
        (2, "invalid artifact name '\\udcff'", ["checkout", "\udcff"]),
    ],
)
def test_one_line_and_a_code(filled, code, words, argv):
    filled.write("nan.json", '{"x": NaN}')
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


@pytest.mark.parametrize("argv", [["cat", "net/model.pt"], ["log"], ["--version"], ["ls", "--json"]])
def test_output_that_cannot_be_written_is_an_error(filled, argv):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "artvc", *argv]
        done = subprocess.run(
            command, cwd=filled.cwd, env=filled.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
    assert "No space left on device" in done.stderr


def test_a_fault_of_artvc_itself_is_one_line_and_a_trace_on_request(filled):
    code = "from artvc.cli import main\ndef broken(argv): raise {}\nmain._run_group = broken\nmain.main()"
    for raised, exit_code, words in (
        ("RuntimeError('boom\\x1b')", 70, "internal error: RuntimeError: boom\\x1b; run again with ARTVC_TRACE=1"),
        ("MemoryError", 70, "out of memory"),
        ("RecursionError('deep')", 70, "internal error: RecursionError"),
        ("KeyboardInterrupt", 130, "interrupted"),
        ("PermissionError(13, 'no', '/x')", 7, "cannot read or write '/x': Permission denied"),
    ):
        command = [sys.executable, "-c", code.format(raised), "log"]
        done = subprocess.run(command, cwd=filled.cwd, env=filled.env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (exit_code, "", 1), done.stderr
        assert words in done.stderr
        traced = subprocess.run(
            command, cwd=filled.cwd, env={**filled.env, "ARTVC_TRACE": "1"}, capture_output=True, text=True, timeout=60
        )
        assert traced.returncode == exit_code
        assert traced.stderr.startswith("Traceback ")


def test_a_warning_about_a_hostile_file_name_is_made_visible(filled):
    import os

    os.mkfifo(filled.cwd / "data" / "pipe\x1b[2J")
    done = filled.run("commit", "data")
    assert done.returncode == 0
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith("artvc: warning: skipped ")
    done = filled.run("status", "data")
    assert "\x1b" not in done.stderr + done.stdout


def test_a_pager_of_bad_quotes_and_config_of_the_repository(filled):
    from artvc.cli.pager import pager_command
    from artvc.errors import InvalidInput

    filled("config", "core.pager", "evil")
    home = {"HOME": filled.env["HOME"]}
    assert pager_command(home) == ["less"]
    assert pager_command({**home, "PAGER": "more -d"}) == ["more", "-d"]
    assert pager_command({**home, "PAGER": "more", "ARTVC_PAGER": ""}) == []
    config = filled.cwd.parent / "home/.config/artvc/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[core]\npager = "mine"\n')
    assert pager_command({**home, "PAGER": "more"}) == ["mine"]
    assert pager_command({**home, "ARTVC_PAGER": "other"}) == ["other"]
    with pytest.raises(InvalidInput):
        pager_command({**home, "ARTVC_PAGER": "'"})


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
