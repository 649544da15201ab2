"""Completion: what is offered, and that the tables it reads agree with the commands."""

import shutil
import subprocess

import click
import pytest

from artvc.cli import completion
from artvc.cli.group import group
from artvc.cli.main import COMMANDS


def test_commands_options_and_shells(filled):
    assert filled("__complete", "che") == "checkout\n"
    assert filled("__complete", "help", "che") == "checkout\n"
    assert filled("__complete", "completion", "") == "bash\nfish\nzsh\n"
    assert filled("__complete", "log", "--o") == "--oneline\n"
    assert filled("__complete", "--color", "a") == "always\nauto\n"
    assert filled("__complete", "commit", "x", "--m") == "--message\n--metadata\n"


def test_names_aliases_and_versions(filled):
    assert filled("__complete", "checkout", "mn") == "mnist-raw\n"
    assert filled("__complete", "-q", "--color", "never", "checkout", "mn") == "mnist-raw\n"
    assert filled("__complete", "checkout", "net:") == "net:best\nnet:latest\nnet:v0\n"
    assert filled("__complete", "cat", "uncategorized/net:b") == "uncategorized/net:best\n"
    assert filled("__complete", "log", "-n", "3", "ne") == "net\n"
    assert filled("__complete", "commit", "x", "--input", "ne") == "net\n"
    assert filled("__complete", "commit", "x", "--input=ne") == "--input=net\n"


def test_where_files_are_meant_nothing_is_offered(filled):
    assert filled("__complete", "commit", "") == ""
    assert filled("__complete", "checkout", "net", "") == ""
    assert filled("__complete", "commit", "-m", "ne") == ""


def test_trouble_is_silent(filled, shell):
    assert filled("__complete", "-C", "/", "checkout", "x") == ""
    for name in (filled.cwd / ".artvc/refs").iterdir():
        name.write_bytes(b"damage")
    done = filled.run("__complete", "checkout", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_repository_of_minus_c_and_of_the_environment(filled):
    assert filled("__complete", "-C", "data", "show", "n") == "net\n"
    done = filled.run("-C", "/", "__complete", "show", "n")
    assert done.returncode == 2  # the word only counts where the scripts put it
    done = filled.run("__complete", "-C", "/", "show", "n", env={"ARTVC_DIR": str(filled.cwd)})
    assert done.stdout == "net\n"


def test_the_tables_are_those_of_the_commands():
    context = click.Context(group)
    valued = set()
    commands = {"": group, **{name: group.get_command(context, name) for name in COMMANDS}}
    for name, command in list(commands.items()):
        if name and isinstance(command, click.Group):
            assert name in completion.NESTED
            commands |= {f"{name} {below}": one for below, one in command.commands.items()}
    assert set(commands) == set(completion.OPTIONS)
    for name, command in commands.items():
        assert command is not None
        shown = [one for one in command.get_params(context) if isinstance(one, click.Option) and not one.hidden]
        long = {word for one in shown for word in one.opts if word.startswith("--")}
        assert set(completion.OPTIONS[name].split()) == long, name
        valued |= {word for one in shown if not one.is_flag and not one.count for word in one.opts}
    assert valued == completion.VALUED


def _lines(shell, command: list[str]) -> list[str]:
    done = subprocess.run(command, cwd=shell.cwd, env=shell.env, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def on_path(filled, tmp_path):
    """A shell environment in which ``artvc`` is a command."""
    import os
    import sys

    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "artvc"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m artvc "$@"\n')
    program.chmod(0o755)
    filled.env["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    return filled


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("artvc che", ["checkout"]),
        ("artvc checkout mn", ["mnist-raw"]),
        ("artvc checkout net:b", ["best"]),
        ("artvc commit -m 'two words' x --input=ne", ["net"]),
        ("artvc log -n 1 ne", ["net"]),
        ("artvc commit ", []),
    ],
)
def test_the_bash_script(on_path, line, expected):
    script = (
        'eval "$(artvc completion bash)"; compopt() { :; }; COMP_LINE=$1; COMP_POINT=${#1}; _artvc; '
        'for one in "${COMPREPLY[@]}"; do echo "$one"; done'
    )
    assert _lines(on_path, ["bash", "-c", script, "bash", line]) == expected


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_the_fish_script(on_path):
    found = _lines(on_path, ["fish", "-N", "-c", "artvc completion fish | source; complete -C 'artvc checkout net:b'"])
    assert found == ["net:best"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_the_zsh_script_is_valid(on_path):
    script = (
        'compdef() { :; }; eval "$(artvc completion zsh)"; compadd() { print -l -- ${@:#-*}; }; '
        "words=(artvc checkout mn); CURRENT=3; PREFIX=mn; _artvc"
    )
    assert "mnist-raw" in _lines(on_path, ["zsh", "-f", "-c", script])
