"""What the README and the pages tell people to type is what there is."""

import ast
import http.server
import re
import runpy
import shlex
import subprocess
import threading
from pathlib import Path

import click
import pytest

from artvc.cli.group import group
from artvc.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "artvc" / "docs"
README = (ROOT / "README.md").read_text()
PAGES = sorted(DOCS.rglob("*.md"))


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def marked(name: str) -> str:
    found = re.search(rf"^<!-- the {name} line -->\n```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


@pytest.mark.parametrize("name", ["example", "test"])
def test_the_two_lines_are_one_line_each(name):
    line = marked(name)
    assert line.count("\n") == 1
    assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0
    assert line.startswith("python3 -m venv ")


def test_ci_runs_the_line_of_the_readme_and_nothing_else():
    script = (ROOT / ".ci" / "run").read_text()
    assert "the test line" in script
    assert "pytest" not in script
    assert "pip" not in script.replace("pipefail", "")


def test_what_the_lines_name_is_there():
    for line in (marked("example"), marked("test")):
        for word in re.findall(r"(?<![\w$-])(?:\.\./)?((?:\.ci|examples|tests)/[\w./]+)", line):
            assert (ROOT / word).exists(), word
    for word in re.findall(r"\btests/\w+", README):
        assert (ROOT / word).exists(), word


def test_longer_checks_use_the_switch_that_the_tests_know():
    for switch in re.findall(r"\bARTVC_\w+(?==)", README):
        assert any(switch in path.read_text() for path in (ROOT / "tests").rglob("test_*.py")), switch


@pytest.mark.parametrize("code", blocks("python"))
def test_python_parses_and_names_what_there_is(code):
    import artvc

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module == "artvc":
            assert {alias.name for alias in node.names} <= set(artvc.__all__)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "wandb":
            assert node.attr in artvc.__all__, node.attr


def typed(text: str) -> list[list[str]]:
    """The artvc commands among lines for a shell, without what follows a pipe or ``&&``."""
    found = []
    for line in text.splitlines():
        for part in re.split(r"&&|\|", line.partition("  #")[0]):
            words = shlex.split(part.partition("$(")[2].rstrip(')" ') if "$(artvc" in part else part)
            if words[:1] and (words[0] == "artvc" or words[0].endswith("/artvc")):
                found.append(words[1:])
    return found


@pytest.mark.parametrize("words", [words for block in blocks("sh") for words in typed(block)], ids=" ".join)
def test_commands_are_accepted_by_the_parser(words):
    assert words[0] in COMMANDS
    command = group.get_command(click.Context(group), words[0])
    assert command is not None
    with click.Context(group, info_name="artvc") as context:
        command.make_context(words[0], words[1:], parent=context)


def linked(page: Path) -> set[Path]:
    return {(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#:]+?\.md)\)", page.read_text())}


def test_every_page_is_reached_from_the_readme():
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        fresh = linked(page) - reached
        reached |= fresh
        waiting += fresh
    assert set(PAGES) <= reached


@pytest.mark.parametrize("status", [200, 403])
def test_torch_comes_from_the_cpu_index_only_if_that_answers(status, monkeypatch, capsys):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers = runpy.run_path(str(ROOT / ".ci" / "torch_index.py"))["answers"]
        answers.__globals__["INDEX"] = f"http://127.0.0.1:{server.server_port}"
        assert answers() is (status == 200)
        server.shutdown()
    assert answers() is False  # nobody listens any more
    assert capsys.readouterr().out == ""
