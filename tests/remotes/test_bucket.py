"""Buckets as remotes, against a server of the tests' own."""

import pytest

from artvc.remotes.bucket import BucketRemote
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
