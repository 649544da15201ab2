"""The page about JSON names every field that commands print."""

import re
from pathlib import Path

import pytest

from artvc import cli

PAGE = (Path(cli.__file__).parents[1] / "docs" / "json.md").read_text()
NAMED = set(re.findall(r"`(\w+)`", PAGE))
# Below these keys stand the user's own, or those of other pages.
FREE = {"config", "summary", "metadata", "code", "environment"}


def fields(value) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(fields, value))
    if not isinstance(value, dict):
        return set()
    found = set(value)
    for key, inner in value.items():
        if key == "aliases" and isinstance(inner, dict):
            continue
        found |= set() if key in FREE else fields(inner)
    return found


@pytest.mark.parametrize(
    "argv",
    [
        *(
            ["init"],
            ["commit", "data"],
            ["checkout", "net"],
            ["log"],
            ["show", "net"],
            ["ls"],
            ["ls", "net"],
            ["status"],
        ),
        *(["run", "ls"], ["run", "recover"]),
        *(["alias"], ["alias", "net:v0", "x"], ["alias", "-d", "net:best"], ["fsck"], ["version"], ["help"]),
        *(["gc"], ["repack"]),
        ["help", "commit"],
    ],
    ids=" ".join,
)
def test_every_field_is_on_the_page(filled, argv):
    unnamed = fields(filled.json(*argv)) - NAMED
    assert not unnamed


def test_a_run_and_a_value_of_config(filled):
    run = filled.json("log")["commits"][0]["run"]
    assert not fields(filled.json("show", run)) - NAMED
    assert not fields(filled.json("run", "show", run)) - NAMED
    (value,) = filled.json("config", "a.b", "c").values()
    assert set(value) == {"value", "origin"} <= NAMED


def test_every_field_of_sharing_is_on_the_page(filled, tmp_path):
    (tmp_path / "hub").mkdir()
    hub = str(tmp_path / "hub")
    asked = [
        ["remote", "add", "origin", hub],
        ["remote", "list"],
        ["push", "--dry-run"],
        ["push"],
        ["clone", hub, str(tmp_path / "two")],
        ["fetch"],
        ["pull", "net:best"],
        ["remote", "set-url", "origin", hub],
        ["gc", "--local"],
        ["remote", "remove", "origin"],
    ]
    for argv in asked:
        assert not fields(filled.json(*argv)) - NAMED, argv
