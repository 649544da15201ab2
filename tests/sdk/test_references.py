"""References: page 5, "What wandb tests" 38 to 41."""

import hashlib
import importlib.util
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

import artvc
from artvc.errors import CommError, InvalidInput, LimitExceeded, NotFound
from artvc.repo import Repository
from artvc.sdk import references


def draft(files=None, name="data"):
    artifact = artvc.Artifact(name, "dataset")
    for path, text in (files or {}).items():
        with artifact.new_file(path, "w") as file:
            file.write(text)
    return artifact


def log(artifact):
    with artvc.init(project="p") as run:
        return run.log_artifact(artifact)


def reference(uri, name=None, **more):
    artifact = draft()
    artifact.add_reference(uri, name, **more)
    return artifact


def on_disk(root):
    return {str(p.relative_to(root)): p.read_text() for p in sorted(Path(root).rglob("*")) if p.is_file()}


@pytest.fixture
def server():
    """A server on this machine; ``pages`` maps a path to status, headers and body, ``asked`` lists what it was sent."""
    found = SimpleNamespace(pages={}, asked=[], no_head=False)

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            found.asked.append(f"{self.command} {self.path}")
            status, headers, body = found.pages.get(self.path, (404, {}, b""))
            if self.command == "HEAD" and found.no_head:
                status, headers, body = 405, {}, b""
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_GET = do_HEAD = answer

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{running.server_port}"
        yield found
        running.shutdown()
        thread.join()


# -- file -------------------------------------------------------------------------------------------------


def test_file_reference_records_uri_size_and_content(desk):
    (desk / "file1.txt").write_text("hello")
    artifact = draft()
    (entry,) = artifact.add_reference(f"file://{desk}/file1.txt")
    assert (entry.path, entry.size, entry.ref) == ("file1.txt", 5, f"file://{desk}/file1.txt")
    assert entry.digest.startswith(f"sha256:{hashlib.sha256(b'hello').hexdigest()}")
    assert entry.md5 == "XUFAKrxLKna5cZ2REBfFkg=="
    assert artifact.wandb_digest == "a00c2239f036fb656c1dcbf9a32d89b4"
    assert on_disk(log(artifact).download("out")) == {"file1.txt": "hello"}


def test_file_reference_to_a_directory_has_an_entry_for_each_file(desk):
    (desk / "d" / "below").mkdir(parents=True)
    (desk / "d" / "a").write_text("1")
    (desk / "d" / "below" / "b").write_text("22")
    artifact = reference(f"file://{desk}/d")
    assert [(entry.path, entry.size) for entry in artifact.manifest.entries.values()] == [("a", 1), ("below/b", 2)]
    named = reference(f"file://{desk}/d", "top")
    assert list(named.manifest) == ["top/a", "top/below/b"]
    assert on_disk(log(named).download("out")) == {"top/a": "1", "top/below/b": "22"}


def test_file_reference_with_an_odd_name_escaped_or_not(desk):
    name = "has !@#$%^&[]()|',`~ awful"
    (desk / name).write_text("x")
    escaped = "".join(f"%{byte:02X}" for byte in name.encode())
    for uri in (f"file://{desk}/{name}", f"file://{desk}/{escaped}"):
        artifact = reference(uri, "f")
        assert on_disk(log(artifact).download(f"out{len(uri)}")) == {"f": "x"}


def test_file_reference_without_checksum_depends_on_the_uri_alone(desk):
    for name in ("one", "two"):
        (desk / name).write_text("same")
    first = log(reference(f"file://{desk}/one", "f", checksum=False))
    (desk / "one").write_text("other data")
    assert log(reference(f"file://{desk}/one", "f", checksum=False)).version == first.version
    assert log(reference(f"file://{desk}/two", "f", checksum=False)).version == "v1"
    assert on_disk(first.download("out")) == {"f": "other data"}


def test_changed_file_is_not_restored(desk):
    (desk / "f").write_text("before")
    artifact = log(reference(f"file://{desk}/f"))
    (desk / "f").write_text("behind")
    with pytest.raises(ValueError, match="changed"):
        artifact.download("out")
    (desk / "f").write_text("much longer than before")
    with pytest.raises(LimitExceeded, match="6 bytes"):
        artifact.download("out")
    assert list(Path("out").iterdir()) == []


def test_missing_file_is_an_error_or_with_allow_missing_references_a_warning(desk, capsys):
    (desk / "f").write_text("x")
    artifact = draft({"own": "1"})
    artifact.add_reference(f"file://{desk}/f")
    log(artifact)
    (desk / "f").unlink()
    with pytest.raises(FileNotFoundError, match="not there"):
        artifact.download("out")
    assert on_disk(artifact.download("out", allow_missing_references=True)) == {"own": "1"}
    assert "'f' of data:v0 was not fetched" in capsys.readouterr().err


def test_only_regular_files_are_read(desk):
    os.mkfifo(desk / "pipe")
    with pytest.raises(ValueError, match="no file or directory"):
        reference(f"file://{desk}/pipe")
    (desk / "f").write_text("x")
    artifact = log(reference(f"file://{desk}/f"))
    (desk / "f").unlink()
    os.mkfifo(desk / "f")
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        artifact.download("out")


def test_max_objects_is_the_most_that_a_directory_may_have(desk):
    (desk / "d").mkdir()
    for name in "abc":
        (desk / "d" / name).write_text(name)
    artifact = draft()
    with pytest.raises(ValueError, match="more than 2"):
        artifact.add_reference(f"file://{desk}/d", max_objects=2)
    assert not artifact.manifest.entries
    assert len(artifact.add_reference(f"file://{desk}/d", max_objects=3)) == 3


def test_a_fetched_file_is_kept_and_a_changed_one_is_fetched_again(desk):
    (desk / "f").write_text("hello")
    artifact = log(reference(f"file://{desk}/f"))
    path = Path(artifact.download(), "f")
    before = path.stat().st_ino
    artifact.download()
    assert path.stat().st_ino == before
    path.write_text("HELLO")
    artifact.download()
    assert path.read_text() == "hello"
    assert on_disk(artifact.checkout("exact")) == {"f": "hello"}
    assert on_disk(artifact.checkout("exact")) == {"f": "hello"}


def test_a_link_on_the_way_is_not_followed(desk):
    (desk / "f").write_text("x")
    (desk / "out").mkdir()
    (desk / "elsewhere").mkdir()
    (desk / "out" / "d").symlink_to(desk / "elsewhere")
    artifact = log(reference(f"file://{desk}/f", "d/f"))
    assert on_disk(artifact.download("out")) == {"d/f": "x"}
    assert not (desk / "out" / "d").is_symlink()
    assert not list((desk / "elsewhere").iterdir())


def test_verify_only_warns_of_references(desk, capsys):
    (desk / "f").write_text("x")
    artifact = log(reference(f"file://{desk}/f"))
    artifact.download()
    artifact.verify()
    assert "1 references of data:v0 were not verified" in capsys.readouterr().err


def test_status_of_fetched_references_is_clean(desk, repo):
    (desk / "f").write_text("x")
    log(reference(f"file://{desk}/f")).download("out")
    (status,) = repo.status()
    assert status.clean


# -- http -------------------------------------------------------------------------------------------------


def test_http_reference_records_etag_and_size(server):
    server.pages["/a/b.bin"] = (200, {"ETag": '"abc"'}, b"x" * 256)
    artifact = draft()
    (entry,) = artifact.add_reference(f"{server.url}/a/b.bin?query=1#part".replace("?query=1#part", ""))
    assert (entry.path, entry.digest, entry.size, entry.extra) == ("b.bin", "abc", 256, {"etag": '"abc"'})
    assert entry.wandb_digest == "abc"
    assert server.asked == ["HEAD /a/b.bin"]
    assert on_disk(log(artifact).download("out")) == {"b.bin": "x" * 256}


def test_http_reference_without_etag_goes_by_url(server):
    server.pages["/f"] = (200, {}, b"data")
    artifact = reference(f"{server.url}/f")
    assert artifact.manifest["f"].digest == artifact.manifest["f"].wandb_digest == f"{server.url}/f"
    assert on_disk(log(artifact).download("out")) == {"f": "data"}


def test_http_server_that_does_not_know_head_is_asked_by_get(server):
    server.no_head = True
    server.pages["/f"] = (200, {"ETag": '"1"'}, b"data")
    assert reference(f"{server.url}/f").manifest["f"].digest == "1"


@pytest.mark.parametrize(
    ("later", "error"),
    [
        ((200, {"ETag": '"new"'}, b"data"), ValueError),
        ((200, {}, b"data"), ValueError),
        ((200, {"ETag": '"old"'}, b"dat"), ValueError),
        ((200, {"ETag": '"old"'}, b"data and more"), ValueError),
        ((404, {}, b""), FileNotFoundError),
        ((500, {}, b""), CommError),
    ],
    ids=["etag", "no etag", "shorter", "longer", "gone", "broken"],
)
def test_http_answer_that_is_not_what_was_noted_is_not_restored(server, later, error):
    server.pages["/f"] = (200, {"ETag": '"old"'}, b"data")
    artifact = log(reference(f"{server.url}/f"))
    server.pages["/f"] = later
    with pytest.raises(error):
        artifact.download("out")
    assert list(Path("out").iterdir()) == []


def test_http_that_can_not_be_reached_is_an_error_unless_checksum_is_false():
    gone = "http://127.0.0.1:9/f"
    with pytest.raises(CommError, match="cannot reach") as caught:
        reference(gone)
    assert "checksum=False" in caught.value.hint
    assert reference(gone, checksum=False).manifest["f"].digest == gone


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_stay_with_http(server, target):
    server.pages["/f"] = (302, {"Location": target}, b"")
    with pytest.raises(CommError, match=r"HTTP 302|not followed"):
        reference(f"{server.url}/f")


def test_redirects_to_http_are_followed(server):
    server.pages["/old"] = (302, {"Location": "/new"}, b"")
    server.pages["/new"] = (200, {"ETag": '"1"'}, b"data")
    artifact = log(reference(f"{server.url}/old"))
    assert on_disk(artifact.download("out")) == {"old": "data"}


def test_credentials_are_refused_and_never_stored(desk):
    for uri in ("https://ada:secret@example.com/f", "s3://key:secret@bucket/f", "http://token@example.com/f"):
        with pytest.raises(ValueError, match="user name or password"):
            reference(uri, "f", checksum=False)
    assert not any(b"secret" in path.read_bytes() for path in (desk / ".artvc").rglob("*") if path.is_file())


# -- other schemes ----------------------------------------------------------------------------------------


def test_unknown_scheme_needs_a_name_and_goes_by_uri(capsys):
    with pytest.raises(ValueError, match="needs a name"):
        reference("weird://thing/f")
    artifact = reference("weird://thing/f", "f")
    assert artifact.manifest["f"].digest == artifact.manifest["f"].wandb_digest == "weird://thing/f"
    assert on_disk(log(artifact).download("out")) == {}
    assert "unknown schemes" in capsys.readouterr().err


def test_what_is_no_uri_is_refused():
    for bad in ("/bare/path", "relative", "", ":x", "http:", "http:///f", "1a:b"):
        with pytest.raises(ValueError):
            reference(bad, "f")
    with pytest.raises(TypeError):
        draft().add_reference(3)


def test_path_that_is_taken_by_other_content_is_refused(desk):
    (desk / "f").write_text("x")
    artifact = draft({"f": "other"})
    with pytest.raises(ValueError, match="Cannot add the same path twice"):
        artifact.add_reference(f"file://{desk}/f")


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/bucket/d/a": b"1", "/bucket/d/below/b": b"22", "/bucket/d/marker": b""})
    yield filesystem
    filesystem.rm("/bucket", recursive=True)


def test_fsspec_object_and_prefix(memory):
    assert reference("memory://bucket/d/a").manifest["a"].size == 1
    artifact = reference("memory://bucket/d", "top")
    assert {path: entry.ref for path, entry in artifact.manifest.entries.items()} == {
        "top/a": "memory://bucket/d/a",
        "top/below/b": "memory://bucket/d/below/b",
    }
    assert on_disk(log(artifact).download("out")) == {"top/a": "1", "top/below/b": "22"}
    with pytest.raises(LimitExceeded):
        reference("memory://bucket/d", max_objects=1)
    with pytest.raises(FileNotFoundError):
        reference("memory://bucket/none")


def test_fsspec_object_that_changed_or_went(memory):
    artifact = log(reference("memory://bucket/d/a"))
    memory.pipe("/bucket/d/a", b"2")
    with pytest.raises(ValueError, match="changed"):
        artifact.download("out")
    memory.rm("/bucket/d/a")
    with pytest.raises(FileNotFoundError):
        artifact.download("out")
    assert on_disk(artifact.download("out", allow_missing_references=True)) == {}


def test_fsspec_etag_and_version_are_recorded(memory, monkeypatch):
    info = memory.info("/bucket/d/a") | {"ETag": '"e1"', "VersionId": "7/x"}
    seen = references._remote_file(memory, "", "s3://bucket/d/a", info, True)
    assert seen == ("", "s3://bucket/d/a?versionId=7%2Fx", 1, 'etag:"e1"')
    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "info", lambda self, path, **more: info)
        artifact = reference("memory://bucket/d/a")
        assert artifact.manifest["a"].extra == {"etag": '"e1"'}
        assert on_disk(log(artifact).download("out")) == {"a": "1"}
        info["ETag"] = '"e2"'
        with pytest.raises(ValueError, match="ETag"):
            artifact.download("again")


def test_chained_urls_of_fsspec_are_not_followed(memory):
    with pytest.raises(ValueError, match="chained"):
        reference("memory://x::file:///etc/passwd", "f")


def test_cloud_reference_without_its_driver_says_what_to_install():
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(InvalidInput, match="can't be looked at") as caught:
            reference("s3://bucket/key")
        assert "s3fs" in caught.value.hint
    assert reference("s3://bucket/key", "key", checksum=False).manifest["key"].digest == "s3://bucket/key"


# -- files of other artifacts -----------------------------------------------------------------------------


def test_chained_references_to_entries_resolve_to_the_first_artifact(desk):
    first = log(draft({"deep/a": "original"}, name="first"))
    middle = draft(name="middle")
    middle.add_reference(first.get_entry("deep/a"), "m")
    log(middle)
    last = draft(name="last")
    (entry,) = last.add_reference(middle.get_entry("m").ref_url(), "z")
    log(last)
    again = artvc.Artifact.from_version(last._place(), last._version)
    assert entry.ref == again.get_entry("z").ref == f"artvc-artifact://{first.id}/deep/a"
    assert again.get_entry("z").ref_target() == first.get_entry("deep/a").ref_url()
    assert on_disk(last.download("out")) == {"z": "original"}


@pytest.mark.parametrize("scheme", ["artvc-artifact", "wandb-artifact"])
def test_entry_by_url_with_name_or_id(scheme):
    first = log(draft({"a": "1"}, name="first"))
    for rest in ("first:v0/a", "first/a", "p/first:latest/a", f"{first.id}/a"):
        artifact = reference(f"{scheme}://{rest}")
        assert artifact.manifest["a"].size == 1
    for bad, error in (
        ("first:v0", InvalidInput),
        ("first:v7/a", NotFound),
        ("none:v0/a", NotFound),
        ("first:v0/b", KeyError),
        ("0" * 64 + "/a", NotFound),
    ):
        with pytest.raises(error):
            reference(f"{scheme}://{bad}")


def test_taking_over_an_entry_marks_its_artifact_as_used():
    first = log(draft({"a": "1"}, name="first"))
    artifact = draft(name="second")
    artifact.add_reference(first.get_entry("a"))
    log(artifact)
    (user,) = first.used_by()
    assert user.outputs == ("second:v0",) and user.inputs == ("first:v0",)


def test_a_taken_over_entry_outlives_its_artifact():
    first = log(draft({"a": "1"}, name="first"))
    artifact = draft(name="second")
    artifact.add_reference(first.get_entry("a"))
    log(artifact)
    url = first.get_entry("a").ref_url()
    first.delete(delete_aliases=True)
    assert on_disk(artifact.download("out")) == {"a": "1"}
    with pytest.raises(ValueError, match="deleted"):
        reference(url)


def test_overwriting_a_taken_over_entry_forgets_where_it_came_from(desk):
    first = log(draft({"a": "1"}, name="first"))
    artifact = draft(name="second")
    artifact.add_reference(first.get_entry("a"))
    (desk / "f").write_text("own")
    artifact.add_file("f", "a", overwrite=True)
    assert artifact.manifest["a"].ref is None
    log(artifact)
    with Repository.open(desk) as repo:
        assert repo.properties(artifact._version.properties_id).origins == {}
