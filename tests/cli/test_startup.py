"""Start-up stays small because little is imported: asserted by name, not by time."""

import subprocess
import sys

import pytest

HEAVY = {"click", "dulwich", "torch", "numpy", "tomlkit", "pathspec", "asyncio", "typing_extensions", "pyfastcdc"}


def loaded(code: str, cwd=None) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()[-1].split())


def test_import_artvc_loads_nothing_heavy():
    assert not loaded("import artvc") & (HEAVY | {"zstandard", "blake3", "json", "dataclasses"})


def test_version_loads_nothing_heavy():
    code = "sys.argv = ['artvc', '--version']\nfrom artvc.cli.main import main\ntry: main()\nexcept SystemExit: pass"
    assert not loaded(code) & (HEAVY | {"zstandard", "blake3"})


def test_completion_loads_nothing_heavy(filled):
    code = (
        "sys.argv = ['artvc', '__complete', 'checkout', 'mn']\nfrom artvc.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    assert not loaded(code, filled.cwd) & (HEAVY | {"concurrent", "difflib", "tomllib"})


@pytest.mark.parametrize("command", ["log", "ls"])
def test_reading_commands_load_no_chunker_and_no_git(filled, command):
    code = f"sys.argv = ['artvc', '{command}']\nfrom artvc.cli.main import main\ntry: main()\nexcept SystemExit: pass"
    assert not loaded(code, filled.cwd) & {"dulwich", "torch", "numpy", "tomlkit", "pyfastcdc"}


@pytest.mark.parametrize(("words", "code"), [("['--version']", 0), ("['nonsense']", 2)])
@pytest.mark.parametrize("left", ["", "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()"])
def test_the_end_of_a_command_leaves_nothing_undone(words, code, left):
    program = (
        "import atexit, sys, threading, time\n"
        "from artvc.cli.main import command\n"
        "atexit.register(print, 'registered')\n"
        f"{left}\n"
        f"sys.argv = ['artvc', *{words}]\n"
        "command()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "registered" in done.stdout
    assert ("artvc" in done.stdout) == (code == 0) and bool(done.stderr) == (code != 0)
    assert not left or "thread" in done.stdout
