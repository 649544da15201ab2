"""Links and deleted versions as the shell shows them."""

from artvc import curation
from artvc.repo import Repository
from artvc.settings import now


def test_show_ls_and_checkout_know_links(filled):
    with Repository.open(filled.cwd) as repo:
        version = repo.resolve("mnist-raw").version
        curation.link(repo, version, version.project, "best", aliases=("production",), now=now())
        source = version.qualified
    assert f"Link to:  {source}" in filled("show", "best:production")
    assert "Made by:" in filled("show", "best")
    assert filled.json("show", "best")["source"] == source
    assert filled.json("show", "mnist-raw")["source"] is None
    assert "best" in filled("ls")
    assert filled("ls", "best") == filled("ls", "mnist-raw")
    assert filled.json("fsck")["clean"]


def test_log_and_show_say_what_was_deleted(filled):
    with Repository.open(filled.cwd) as repo:
        version = repo.resolve("mnist-raw").version
        curation.delete_version(repo, version, delete_aliases=True, now=now())
    assert "(deleted)" in filled("log")
    assert "was deleted" in filled.fails(4, "show", f"mnist-raw:v{version.number}")
    assert filled.json("fsck")["clean"]
