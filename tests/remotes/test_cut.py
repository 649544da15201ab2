"""Connections that are cut anywhere: what arrived is not sent again, nothing counts by half, the rerun finishes.

``ARTVC_FAULTS=full`` cuts at each 64 KiB of a push and a pull of 64 MiB.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from artvc.errors import ArtvcError
from artvc.remotes.base import Publication, Upload
from tests.remotes.bucket_server import BucketServer, serving
from tests.remotes.conformance import bytes_of, followed, read
from tests.remotes.proxy import HOWS, Cut, Proxy, proxied

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'artvc[s3]'")

from artvc.remotes.bucket import BucketRemote
from artvc.remotes.object_store import Access, ObjectStore, Patience

FULL = os.environ.get("ARTVC_FAULTS") == "full"
PACKS, PACK_BYTES = (4, 16 * 1024 * 1024) if FULL else (4, 256 * 1024)
POINTS = [0, 1, *range(64 * 1024, PACKS * PACK_BYTES, 64 * 1024 if FULL else 192 * 1024)]
OVERHEAD = 64 * 1024  # of requests and answers
HASTE = Patience(tries=5, first=0.001, longest=0.01, request=0.5, whole=5.0, slowest=2e6)


@dataclass
class Line:
    """A bucket behind a proxy, and what is to be pushed."""

    server: BucketServer
    proxy: Proxy
    packs: list[Upload]
    publication: Publication

    @contextlib.contextmanager
    def remote(self, patience: Patience = HASTE) -> Iterator[BucketRemote]:
        environ = {**self.server.environment(), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.port}"}
        made = BucketRemote(ObjectStore("s3", "bucket", Access.from_environment("s3", environ), patience), "p")
        yield made
        made.close()

    def push(self) -> None:
        with self.remote() as remote:
            there = remote.packs()
            for pack in self.packs:
                if pack.id not in there:
                    remote.upload(pack)
            assert remote.publish(self.publication)

    def check(self) -> None:
        """All of it is there, and right."""
        self.proxy.cut(None)
        with self.remote() as remote:
            assert followed(remote).transactions == {1: self.publication.transaction}
            assert remote.packs() == {pack.id for pack in self.packs}
        for pack in self.packs:
            assert self.server.objects[f"p/packs/{pack.id}.pack"] == bytes_of(pack)


@pytest.fixture
def line(make) -> Iterator[Line]:
    packs = [make.data(PACK_BYTES) for _ in range(PACKS)]
    publication = make.next(metadata=[make.metadata(5000)], indexes=packs)
    with serving() as server, proxied("127.0.0.1", server.port) as proxy:
        yield Line(server, proxy, packs, publication)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("how", HOWS)
def test_a_push_that_is_cut_once_goes_through_and_sends_one_pack_again_at_most(line, how, direction):
    size = sum(pack.size for pack in line.packs)
    points = POINTS if direction == "up" else [0, 1, 100, 500, 1000, 2000]
    for after in points if how != "stall" or FULL else points[::3]:
        line.server.objects.clear()
        before, cuts = line.proxy.passed["up"], line.proxy.cuts
        line.proxy.cut(Cut(after, direction, how))
        line.push()
        assert line.proxy.cuts == cuts + 1
        assert line.proxy.passed["up"] - before <= size + line.packs[0].size + OVERHEAD
        line.check()


@pytest.mark.parametrize("how", HOWS)
def test_a_push_that_is_cut_off_is_finished_by_the_next(line, how):
    size = sum(pack.size for pack in line.packs)
    for after in POINTS[::2]:
        line.server.objects.clear()
        before = line.proxy.passed["up"]
        line.proxy.cut(Cut(after, "up", how, gone=True))
        with pytest.raises(ArtvcError):
            line.push()
        assert not any("refs" in key for key in line.server.objects)
        line.proxy.cut(None)
        line.push()
        assert line.proxy.passed["up"] - before <= size + line.packs[0].size + OVERHEAD
        line.check()


@pytest.mark.parametrize("how", HOWS)
def test_a_pull_that_is_cut_goes_on_where_it_was(line, how):
    line.push()
    size = sum(pack.size for pack in line.packs)
    for after in POINTS if how != "stall" or FULL else POINTS[::3]:
        before = line.proxy.passed["down"]
        line.proxy.cut(Cut(after, "down", how))
        with line.remote() as remote:
            assert followed(remote).number == 1
            for pack in line.packs:
                assert read(remote, pack) == bytes_of(pack)
        assert line.proxy.cuts
        # What was on its way when the cut came, a piece at most, comes again.
        assert line.proxy.passed["down"] - before <= size + 2 * 1024 * 1024 + OVERHEAD


def test_a_pull_over_a_line_that_breaks_all_the_time_finishes(line):
    line.push()
    line.proxy.cut(Cut(150_000, "down", "reset", times=10_000))
    with line.remote() as remote:
        for pack in line.packs:
            assert read(remote, pack) == bytes_of(pack)
    assert line.proxy.cuts >= PACKS * PACK_BYTES // 150_000 - 1


# -- the proxy itself ---------------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    connection.sendall(piece)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def exchange(port: int, data: bytes) -> bytes:
    """What comes back before the connection ends or goes quiet."""
    found = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
        connection.sendall(data)
        while len(found) < len(data) and (piece := connection.recv(65536)):
            found += piece
    return found


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_proxy_cuts_where_it_should(echo, how, direction):
    data = bytes(range(256)) * 100
    with proxied("127.0.0.1", echo) as proxy:
        assert exchange(proxy.port, data) == data
        proxy.cut(Cut(1000, direction, how))
        found = exchange(proxy.port, data)
        assert data.startswith(found) and len(found) <= 1000
        assert proxy.cuts == 1
        assert exchange(proxy.port, data) == data
        proxy.cut(Cut(0, direction, how, gone=True))
        assert exchange(proxy.port, data) == exchange(proxy.port, data) == b""
        assert proxy.passed[direction] >= 2 * len(data) + 1000
