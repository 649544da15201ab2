"""What only happens on a terminal: colours, the pager, cut tables, progress."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest


def on_terminal(shell, *argv: str, lines: int = 50, columns: int = 100, **env: str) -> str:
    """What a command shows on a terminal of that size (stdout and stderr together)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    seen: list[bytes] = []

    def read() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux: the other end was closed
                return
            if not data:
                return
            seen.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    process = subprocess.Popen(
        [sys.executable, "-m", "artvc", *argv],
        cwd=shell.cwd,
        env={**shell.env, "TERM": "xterm", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    process.wait(timeout=60)
    reader.join(timeout=60)
    os.close(master)
    return b"".join(seen).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("env", "argv", "colored"),
    [
        ({}, [], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"CLICOLOR": "0"}, [], False),
        ({"TERM": "dumb"}, [], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({}, ["--color", "never"], False),
    ],
)
def test_colors(filled, env, argv, colored):
    assert ("\x1b[33m" in on_terminal(filled, *argv, "log", **env)) is colored


def test_force_color_without_a_terminal(filled):
    assert "\x1b[33m" in filled.run("log", env={"FORCE_COLOR": "1"}).stdout


def test_the_pager_gets_what_is_longer_than_the_terminal(filled):
    paged = {"PAGER": "sed s/^/P:/"}
    assert on_terminal(filled, "log", lines=5, **paged).startswith("P:")
    assert not on_terminal(filled, "log", lines=50, **paged).startswith("P:")
    assert not on_terminal(filled, "--no-pager", "log", lines=5, **paged).startswith("P:")
    assert on_terminal(filled, "log", lines=5, ARTVC_PAGER="sed s/^/A:/", **paged).startswith("A:")
    assert not on_terminal(filled, "log", lines=5, ARTVC_PAGER="", **paged).startswith("P:")
    # a pager that is not there must not hide the text
    assert "first" in on_terminal(filled, "log", lines=5, PAGER="no-such-pager-here")


def test_a_pager_that_ends_early_is_no_failure(filled):
    assert "error" not in on_terminal(filled, "help", "format-objects", lines=5, PAGER="head -n 1")


def test_tables_are_cut_to_the_terminal(filled):
    for line in on_terminal(filled, "ls", columns=20).splitlines():
        assert len(line) == 20
        assert line.endswith("\u2026")
    assert "\u2026" not in filled("ls")


def test_progress_comes_and_goes(filled):
    with (filled.cwd / "big").open("wb") as file:
        file.truncate(3 << 30)
    text = on_terminal(filled, "commit", "big", "-n", "big", "-t", "x")
    assert "\rcommitting: " in text
    assert "/s" in text
    assert "\r\x1b[K[big:v0]" in text.replace("\x1b[32;1m", "").replace("\x1b[0m", "")
    quiet = on_terminal(filled, "commit", "big", "-n", "big2", "-t", "x", "--quiet")
    assert quiet == ""
    assert filled.run("commit", "big", "-n", "big3", "-t", "x").stderr == ""


def test_ctrl_c_belongs_to_the_pager(filled, tmp_path):
    """As in git: less stays when Ctrl-C is pressed, so artvc must not end under it."""
    mark = tmp_path / "paging"
    pager = f"sh -c 'trap : INT; cat >/dev/null; touch {mark}; sleep 1; touch {mark}.end'"
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "artvc", "log"],
        cwd=filled.cwd,
        env={**filled.env, "PAGER": pager},
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    os.close(slave)
    os.close(master)
    assert (process.returncode, errors) == (0, "")
    assert mark.with_name("paging.end").exists()
