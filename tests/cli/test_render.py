"""Painting is pure: values in, text out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.cli import render


@given(st.text(st.characters()))  # lone surrogates too
def test_what_is_cleaned_holds_nothing_that_moves_or_turns(text):
    shown = render.clean(text)
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


def test_lines_stay_where_lines_are_meant():
    assert render.clean("a\tb\nc\x1b") == "a b\\nc\\x1b"
    assert render.clean("a\nb\x1b", lines=True) == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (1 << 60, "1048576.0 TiB")],
)
def test_size(count, text):
    assert render.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (187, "3:07 min"), (8100, "2:15 h")])
def test_duration(seconds, text):
    assert render.duration(seconds) == text


def test_progress():
    assert render.progress_text("committing", 0, None, 0.0) == "committing: 0 B, 0 B/s"
    assert (
        render.progress_text("committing", 1 << 20, 4 << 20, 2.0, new=512 << 10)
        == "committing: 1.0 MiB of 4.0 MiB (25 %), 512.0 KiB/s, 6 s left, 512.0 KiB new"
    )
    assert render.progress_text("x", 5, 4, 1.0) == "x: 5 B, 5 B/s"  # files that grew: no nonsense


def test_tables_align_wide_characters_and_fit_the_terminal():
    rows = [["\u6570\u636e", "1"], ["data", "22"], ["e\u0301", "3"]]
    assert render.table(rows, right=[1]).splitlines() == ["\u6570\u636e   1", "data  22", "e\u0301      3"]
    assert render.table([["x" * 50, "y"]], width=10) == "x" * 9 + "\u2026"
    assert render.columns(render.shortened("\u6570" * 50, 10)) <= 10
    assert render.table([]) == ""
