"""Names that must never be stored (design page 3: F1 to F3), names that must, and references."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import InvalidInput
from artvc.model import names

IGNORABLE = [0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
TRAVERSAL = [
    "", ".", "..", "../x", "a/../b", "a/../../b", "/", "/etc/passwd", "//x", "a//b", "a/", "./a", "a/.", "a/..",
    "\0", "a\0b", "..\\x", "a\\..\\b", "\n", "a\rb", "\x1b[2J", "a\x7f", "\x85",
    "\u202ecod.exe", "a\u2066b", "\u200fx", "\u061cx",
]  # fmt: skip
CONTROL = [
    ".git", ".GIT", ".Git", ".gIt", ".artvc", ".ARTVC", ".Artvc", ".git.", ".git ", ".git. .", ".git...", ".artvc ",
    "git~1", "GIT~1", "Git~2", "git~10", "artvc~1", "ARTVC~4", "git~1 ", "git~1.",
    ".git::$INDEX_ALLOCATION", ".git:stream", ".artvc::$DATA", ".git\\config", "a\\.git", "a\\.git\\hooks", "x\\.artvc ",
    "\uff0egit", ".\uff47it", ".g\u0131t".replace("\u0131", "i"),
    *[f".g{chr(point)}it" for point in IGNORABLE], *[f".artvc{chr(point)}" for point in IGNORABLE],
    *[f"{chr(point)}.git" for point in IGNORABLE],
]  # fmt: skip
# Odd, and a trouble on other systems, but names of real files: stored, and refused only where they bite.
STORED = [
    "CON", "con.txt", "NUL", "COM1", "COM\u00b9", "LPT9.log", "AUX", "PRN", "a:b", "12:30.log", "a?b", "a*b", "a|b",
    "a<b>c", 'say "x"', "trailing.", "trailing ", " leading", "-rf", "--help", "~", "~root", "$HOME", "%2e%2e", "%00",
    ".gitignore", ".gitattributes", ".github", "git", "artvc", ".artvcignore", "git~", "a~1", "...", "....", "a..b",
    "\u00e9", "e\u0301", "\u00df", "SS", "\u0130", "\u65e5\u672c\u8a9e", "\U0001f600", "x" * 255, "caf\udce9",
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSAL + CONTROL, ids=ascii)
def test_never_a_path(name):
    with pytest.raises(InvalidInput):
        names.check_path(name)
    with pytest.raises(InvalidInput):
        names.check_path(f"dir/{name}/file" if name else "dir//file")


@pytest.mark.parametrize("name", STORED, ids=ascii)
def test_stored(name):
    assert names.check_path(name) == name
    assert names.check_file_name(name) == name


@pytest.mark.parametrize("path", ["x" * 256, "/".join(["d"] * 65), "/".join(["d" * 200] * 6), "\u00e9" * 128])
def test_too_long(path):
    with pytest.raises(InvalidInput):
        names.check_path(path)


@pytest.mark.parametrize(
    ("given_path", "wanted"),
    [("a//b/./c", "a/b/c"), ("./a", "a"), ("a/", "a"), ("a/./", "a"), ("a", "a")],
)
def test_logical_path(given_path, wanted):
    assert names.logical_path(given_path) == wanted


@pytest.mark.parametrize("path", ["", ".", "./", "/a", "../a", "a/../b", "C:\\x", "c:/x", "a/.git/b", "//a"])
def test_logical_path_refuses(path):
    with pytest.raises(InvalidInput):
        names.logical_path(path)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "a:b", "a@b", "\u00e9", "x" * 129, "a\n", "a\0"])
def test_artifact_names_and_projects_refuse(name):
    with pytest.raises(InvalidInput):
        names.check_artifact_name(name)
    with pytest.raises(InvalidInput):
        names.check_project(name)


@pytest.mark.parametrize(
    "name", ["v0", "v3", "v007", "a/b", "a:b", "a@b", "", " a", "a ", "-a", "best\n", "\u202ea", "a\x1b"]
)
def test_aliases_refuse(name):
    with pytest.raises(InvalidInput):
        names.check_alias(name)


@pytest.mark.parametrize("name", ["best", "latest", "v", "vx", "1", "v1.0", "\u00e9t\u00e9", "a b", "HEAD"])
def test_aliases_accept(name):
    assert names.check_alias(name) == name


@given(st.text(max_size=60))
def test_references_parse_or_refuse(text):
    try:
        readings = names.parse_reference(text)
    except InvalidInput:
        return
    for reading in readings:
        assert str(names.parse_reference(str(reading))[0]) == str(reading)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("./\\:~gitarvc \u200c", max_size=12))
def test_an_accepted_path_stays_inside(path):
    import os.path

    try:
        names.check_path(path)
    except InvalidInput:
        return
    joined = os.path.normpath(os.path.join("/base", path))
    assert joined.startswith("/base/")
    assert not {".git", ".artvc"} & {part.lower() for part in joined.split("/")}
