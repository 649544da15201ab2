"""Web pages: text, paths and open files, kept as they are."""

import io

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType
from tests.sdk.test_media_artifact import there_and_back


def test_text_a_path_and_a_file_are_taken(desk):
    (desk / "page.html").write_text("<b>é</b>", encoding="utf-8")
    for data in ("<b>é</b>", "page.html", desk / "page.html", io.StringIO("<b>é</b>"), io.BytesIO("<b>é</b>".encode())):
        assert artvc.Html(data).html == "<b>é</b>"
    assert artvc.Html("page.html", data_is_not_path=True).html == "page.html"
    assert artvc.Html("no/such.html").html == "no/such.html"
    assert artvc.Html("a\0b", inject=False).html == "a\0b"


def test_a_file_that_was_read_before_is_read_from_its_beginning():
    file = io.StringIO("text")
    file.read()
    assert artvc.Html(file).html == "text"


def test_what_is_no_page_is_refused(desk):
    with pytest.raises(InvalidType):
        artvc.Html(3)
    with pytest.raises(InvalidInput, match="none"):
        artvc.Html(desk / "none.html")
    (desk / "bad.html").write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match="UTF-8"):
        artvc.Html("bad.html")


def test_logged_pages_are_files_below_media_html(logged, run_files):
    with artvc.init(project="p"):
        artvc.log({"one": artvc.Html("<i>1</i>"), "two": [artvc.Html("2"), artvc.Html("3")]})
    (row,) = logged()
    assert row["one"]["_type"] == "html-file" and run_files()[row["one"]["path"]] == b"<i>1</i>"
    assert row["one"]["path"].startswith("media/html/one_0_") and row["one"]["path"].endswith(".html")
    assert (row["two"]["_type"], row["two"]["count"]) == ("html", 2)
    assert [run_files()[one["path"]] for one in row["two"]["html"]] == [b"2", b"3"]


def test_a_page_comes_back_from_an_artifact():
    page = artvc.Html("<p>")
    assert there_and_back(page) == page and hash(there_and_back(page)) == hash(page)
    assert page != artvc.Html("<b>") and page != 3
