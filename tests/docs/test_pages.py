"""The pages and the code say the same."""

import re
from pathlib import Path

import make_commands
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "artvc" / "docs"


def test_the_page_of_commands_is_what_the_commands_say():
    assert make_commands.PAGE.read_text() == make_commands.page(), "run python tests/docs/make_commands.py"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_modules_named_in_the_architecture_exist():
    text = (DOCS / "architecture.md").read_text()
    for name in re.findall(r"`((?:store|model|cli)/\w+(?:\.py)?)`", text):
        path = ROOT / "artvc" / name
        assert path.with_suffix(".py").exists(), name


def test_tests_named_in_the_promises_exist():
    for name in re.findall(r"`(tests/[\w/.]+)`", (DOCS / "promises.md").read_text()):
        assert (ROOT / name).exists(), name


def test_exit_codes_are_those_of_the_classes():
    from artvc import errors

    page = (DOCS / "exit-codes.md").read_text()
    codes = {
        one.exit_code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.ArtvcError)
    }
    for code in codes:
        assert f"| {code} |" in page
