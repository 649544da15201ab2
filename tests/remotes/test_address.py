"""What addresses mean, and which are refused."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artvc.errors import InvalidInput
from artvc.remotes.address import RemoteKind, Surroundings, open_remote, parse
from artvc.repo import Repository
from artvc.store.fsio import Disk

BASE = Path("/nowhere/at/all")


@pytest.mark.parametrize(
    ("text", "url", "bucket", "prefix"),
    [
        ("s3://models/team/a", "s3://models/team/a", "models", "team/a"),
        ("s3://models", "s3://models", "models", ""),
        ("S3://models//", "s3://models", "models", ""),
        ("gs://my_bucket.x/a b/ü/", "gs://my_bucket.x/a b/ü", "my_bucket.x", "a b/ü"),
        ("az://container/a%20?#", "az://container/a%20?#", "container", "a%20?#"),
    ],
)
def test_buckets(text, url, bucket, prefix):
    found = parse(text, base=BASE)
    assert (found.kind, found.url, found.bucket, found.prefix) == (RemoteKind.BUCKET, url, bucket, prefix)
    assert parse(found.url, base=BASE) == found


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://github.com/team/models.git", "https://github.com/team/models.git"),
        ("HTTPS://me@host.example:8443/x", "https://me@host.example:8443/x"),
        ("http://127.0.0.1:8000/x.git", "http://127.0.0.1:8000/x.git"),
        ("ssh://git@host/~me/x.git", "ssh://git@host/~me/x.git"),
        ("ssh://[::1]:22/x", "ssh://[::1]:22/x"),
        ("git://host/x", "git://host/x"),
        ("git+ssh://host/x", "ssh://host/x"),
        ("git@github.com:team/models.git", "git@github.com:team/models.git"),
        ("host:x y/z", "host:x y/z"),
        ("[::1]:x", "[::1]:x"),
    ],
)
def test_git_hosts(text, url):
    found = parse(text, base=BASE)
    assert (found.kind, found.url, found.path) == (RemoteKind.GIT, url, None)
    assert parse(found.url, base=BASE) == found


@pytest.mark.parametrize(
    "text",
    [
        "", " ", " s3://b", "s3://b\n", "s3://b/a\x1b[31m", "s3://b/\u202egnp", "a\0b", "x" * 3000, "file:///a%00b", "file:///a%0ab",
        "-oProxyCommand=x", "--upload-pack=x", "ext::sh -c x", "fd::7", "::x", "a+b::c",
        "ftp://host/x", "foo://x", "javascript://x/y", "git+s3://bucket/x", "git+/path", "git+ftp://h/x",
        "ssh://-oProxyCommand=x/y", "ssh://-x@host/y", "ssh://host/-x", "-x@host:y", "host:-x", "me@-host:x", "ssh://host", "ssh:///x",
        "https://", "https:///x", "https://host", "https://host/", "https://ho st/x", "https://host:99999/x", "https://host:x/y", "https://[::1/x",
        "https://me:secret@host/x", "https://ghp_0123456789012345678901234567890123@host/x", "https://host/x?token=1", "https://host/x#y",
        "s3://", "s3:///x", "s3://b", "s3://key:secret@bucket/x", "s3://bucket:9000/x", "s3://-bucket/x", "s3://bu cket/x",
        "s3://bucket/a//b", "s3://bucket//a", "s3://bucket/../x", "s3://bucket/a/./b", "s3://bucket/" + "a" * 600,
        "file://host/x", "file://x", "file:///%ff",
    ],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(InvalidInput) as caught:
        parse(text, base=BASE)
    assert "secret" not in str(caught.value) and "ghp_" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_paths_mean_what_is_there(tmp_path):
    def kind(text: str) -> RemoteKind:
        return parse(text, base=tmp_path).kind

    (tmp_path / "plain").mkdir()
    (tmp_path / "work" / ".git").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".git").write_text("gitdir: elsewhere")
    for name in ("objects", "refs"):
        (tmp_path / "bare" / name).mkdir(parents=True)
    (tmp_path / "bare" / "HEAD").write_text("ref: refs/heads/main\n")
    both = tmp_path / "both"
    (both / ".git").mkdir(parents=True)
    Repository.create(both)[0].close()
    assert kind("plain") is kind("./plain") is kind("none/yet") is RemoteKind.DIRECTORY
    assert kind("work") is kind("linked") is kind("bare") is kind("new.git") is RemoteKind.GIT
    assert kind("both") is RemoteKind.DIRECTORY
    assert kind(f"file://{both}") is RemoteKind.DIRECTORY
    forced = parse(f"git+file://{both}", base=tmp_path)
    assert (forced.kind, forced.path) == (RemoteKind.GIT, both)
    assert parse(forced.url, base=BASE) == forced


def test_paths_are_made_absolute_and_stay_what_they_are(tmp_path):
    (tmp_path / "a b%20ü").mkdir()
    for text in ("a b%20ü", "./a b%20ü/", f"file://{tmp_path}/a%20b%2520%C3%BC", str(tmp_path / "a b%20ü")):
        found = parse(text, base=tmp_path)
        assert found.url == str(tmp_path / "a b%20ü") and found.path == tmp_path / "a b%20ü"
        assert parse(found.url, base=BASE) == found
    assert parse("./a:b", base=tmp_path).path == tmp_path / "a:b"
    assert parse("./-x", base=tmp_path).path == tmp_path / "-x"


def test_a_directory_is_opened_without_the_libraries_of_the_others(tmp_path):
    address = parse("there", base=tmp_path)
    before = set(sys.modules)
    remote = open_remote(address, Surroundings(disk=Disk(sync=False), scratch=tmp_path))
    assert remote.url == str(tmp_path / "there")
    assert not {"obstore", "dulwich"} & (set(sys.modules) - before)


def test_a_bucket_is_opened_with_what_the_environment_says(tmp_path):
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")
    environ = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    surroundings = Surroundings(disk=Disk(sync=False), scratch=tmp_path, environ=environ)
    remote = open_remote(parse("s3://bucket/a", base=BASE), surroundings)
    assert remote.url == "s3://bucket/a"
    assert "secret" not in repr(surroundings)
    remote.close()


@given(st.text(max_size=60) | st.text("ab:/@-.+%[]?#~ s3git", max_size=30))
def test_any_text_is_an_address_or_invalid_input(text):
    try:
        found = parse(text, base=BASE)
    except InvalidInput:
        return
    assert found.url.isprintable() or found.path is not None
    assert not found.url.startswith("-")
    assert parse(found.url, base=BASE) == found
