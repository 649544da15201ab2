"""References into a bucket, with s3fs against moto's server: ``pip install s3fs 'moto[server]'``."""

import socket
from pathlib import Path

import pytest

import artvc
from artvc.errors import LimitExceeded

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs 'moto[server]'")
server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
boto3 = pytest.importorskip("boto3")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket that keeps versions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    for name, value in {
        "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1",
        "ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    yield client
    running.stop()


def put(bucket, **objects: bytes) -> None:
    for key, body in objects.items():
        bucket.put_object(Bucket="bucket", Key=key.replace("__", "/"), Body=body)


def logged(*references: tuple[str, str]) -> artvc.Artifact:
    with artvc.init(project="p") as run:
        draft = artvc.Artifact("refs", "dataset")
        for uri, name in references:
            draft.add_reference(uri, name=name)
        return run.log_artifact(draft)


def test_s3_object_is_pinned_to_its_version(bucket):
    put(bucket, a=b"one")
    found = logged(("s3://bucket/a", "a"))
    entry = found.get_entry("a")
    assert (entry.size, entry.digest) == (3, "f97c5d29941bfb1b2fdab0874906ab82")
    assert entry.ref.startswith("s3://bucket/a?versionId=")
    assert entry.extra.keys() == {"etag", "versionID"}
    put(bucket, a=b"two")
    assert (Path(found.download()) / "a").read_bytes() == b"one"


def test_s3_prefix_gives_one_entry_an_object(bucket):
    put(bucket, d__x=b"x" * 100, d__y__z=b"zz", other=b"no")
    found = logged(("s3://bucket/d", "here"))
    assert {path: entry.size for path, entry in found.manifest.entries.items()} == {"here/x": 100, "here/y/z": 2}
    assert (Path(found.download()) / "here" / "y" / "z").read_bytes() == b"zz"
    with pytest.raises(LimitExceeded):
        artvc.Artifact("many", "dataset").add_reference("s3://bucket/d", max_objects=1)


def test_s3_changed_or_missing_object_is_an_error(bucket):
    put(bucket, e__x=b"x", e__y=b"y")
    found = logged(("s3://bucket/e", "e"))
    put(bucket, e__x=b"changed")
    with pytest.raises(ValueError, match="changed|digest|ETag|other"):
        found.download()
    bucket.delete_object(Bucket="bucket", Key="e/x")
    with pytest.raises(FileNotFoundError):
        found.download()
    with pytest.raises(FileNotFoundError):
        artvc.Artifact("none", "dataset").add_reference("s3://bucket/missing")
    assert (Path(found.download(allow_missing_references=True)) / "e" / "y").read_bytes() == b"y"
