"""Git servers that fall silent, break off, are overloaded for a while, or answer without an end."""

import contextlib
import gzip
import itertools
import shlex
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from artvc.errors import ArtvcError, Damaged, RemoteError
from artvc.remotes.address import Surroundings, open_remote, parse
from artvc.remotes.base import Known
from artvc.remotes.git import channels, layout, network
from artvc.remotes.git.objects import BLOB, pack_chunks, whole
from artvc.remotes.git.remote import GitRemote
from artvc.remotes.object_store import Patience
from artvc.store.fsio import Disk
from tests.remotes.conformance import bytes_of, followed, read
from tests.remotes.git_servers import SERVERS, GitServer, Place, git
from tests.remotes.proxy import HOWS, Cut, Proxy, proxied

HASTE = Patience(tries=3, first=0.001, longest=0.01, request=0.4)
KINDS = ["daemon", "http", "ssh"]
DENIED = ["403 Forbidden", "404 Not Found", "400 Bad Request"]


@pytest.fixture(autouse=True)
def _hasty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    is_ssh = "line" in request.fixturenames and request.getfixturevalue("line").is_ssh  # which needs a while to begin
    monkeypatch.setattr(network, "PATIENCE", replace(HASTE, request=2.0) if is_ssh else HASTE)


def client(url: str, tmp_path: Path, environ: dict[str, str]) -> GitRemote:
    """A new client of a repository."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    remote = open_remote(
        parse(url, base=tmp_path), Surroundings(disk=Disk(sync=False), scratch=scratch, environ=environ)
    )
    assert isinstance(remote, GitRemote)
    return remote


# -- connections that break ---------------------------------------------------------------------------------


class Line:
    """A server behind a proxy.

    Args:
        server: the server.
        proxy: before it.
    """

    def __init__(self, server: GitServer, proxy: Proxy) -> None:
        self.server = server
        self.proxy = proxy
        self._port = urlsplit(server.url.format("r")).port
        self.environ = dict(server.environ)
        self.is_ssh = "GIT_SSH_COMMAND" in self.environ
        if self.is_ssh:
            self.environ["GIT_SSH_COMMAND"] += f" -oHostKeyAlias=[127.0.0.1]:{self._port}"

    def url(self, place: Place) -> str:
        return place.url.replace(f":{self._port}/", f":{self.proxy.port}/")


@pytest.fixture(scope="module", params=KINDS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(SERVERS[request.param](tmp_path_factory.mktemp(request.param)))
        port = urlsplit(server.url.format("r")).port
        assert port is not None
        yield Line(server, stack.enter_context(proxied("127.0.0.1", port)))


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("how", HOWS)
def test_a_push_that_is_cut_once_goes_through(line, how, direction, make, tmp_path):
    """Also where the push arrived, and only its reply did not: then it is recognised when it is tried again."""
    data, tree = make.data(300_000), make.metadata()
    publication = make.next(metadata=[tree], indexes=[data])
    points = [0, 700, 100_000, 302_000] if direction == "up" else [0, 150, 600, 1000]
    for after in points[1::2] if line.is_ssh else points:
        place = line.server.fresh()
        before = line.proxy.cuts
        line.proxy.cut(Cut(after, direction, how))
        remote = client(line.url(place), tmp_path, line.environ)
        remote.upload(data)
        assert remote.publish(publication) is True
        remote.close()
        line.proxy.cut(None)
        assert line.proxy.cuts == before + 1
        there = client(place.url, tmp_path, line.server.environ)
        assert followed(there).transactions == {1: publication.transaction}
        assert there.packs() == {data.id} and read(there, data) == bytes_of(data)
        there.close()
        git("fsck", "--full", "--strict", environ=line.server.environ, cwd=place.path)
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_a_fetch_that_is_cut_once_goes_through(line, how, make, tmp_path):
    data, tree = make.data(300_000), make.metadata(50_000)
    place = line.server.fresh()
    publication = make.next(metadata=[tree], indexes=[data])
    with contextlib.closing(client(place.url, tmp_path, line.server.environ)) as remote:
        remote.upload(data)
        assert remote.publish(publication)
    for after in [5_000, 200_000] if line.is_ssh else [0, 200, 5_000, 200_000]:
        before = line.proxy.cuts
        line.proxy.cut(Cut(after, "down", how))
        remote = client(line.url(place), tmp_path, line.environ)
        assert followed(remote).metadata == {tree.id: bytes_of(tree)}
        assert read(remote, data) == bytes_of(data)
        remote.close()
        assert line.proxy.cuts == before + 1
    line.proxy.cut(None)


@pytest.mark.slow
def test_a_server_that_hangs_in_every_pack_is_given_up(line, make, tmp_path):
    data, place = make.data(300_000), line.server.fresh()
    with contextlib.closing(client(place.url, tmp_path, line.server.environ)) as remote:
        remote.upload(data)
    line.proxy.cut(Cut(100_000, "down", "stall", times=100))
    before = line.proxy.cuts
    with contextlib.closing(client(line.url(place), tmp_path, line.environ)) as remote:
        with pytest.raises(RemoteError, match="no answer in time"):
            read(remote, data)
        assert line.proxy.cuts - before == HASTE.tries
        line.proxy.cut(None)
        assert read(remote, data) == bytes_of(data)
    assert not list((tmp_path / "scratch").iterdir())


# -- silence ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, Callable[[], int]]]:
    """A port at which connections are taken and nothing is ever said; the port, and how many there were."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        taken: list[socket.socket] = []

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(stack.enter_context(door.accept()[0]))

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield door.getsockname()[1], lambda: len(taken)
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("act", ["packs", "probe", "history", "upload", "publish", "download"])
@pytest.mark.parametrize("scheme", ["git", "http"])
def test_a_server_that_never_answers_is_given_up(scheme, act, make, tmp_path):
    data = make.data()
    with listening() as (port, taken):
        remote = client(f"{scheme}://127.0.0.1:{port}/r.git", tmp_path, {})
        acts: dict[str, Callable[[], object]] = {
            "packs": remote.packs,
            "probe": remote.probe,
            "history": lambda: list(remote.history(Known())),
            "upload": lambda: remote.upload(data),
            "publish": lambda: remote.publish(make.next()),
            "download": lambda: read(remote, data),
        }
        with pytest.raises(RemoteError, match="no answer in time") as info:
            acts[act]()
        assert taken() == HASTE.tries and f":{port}/r.git" in str(info.value) and info.value.hint
        remote.close()


def test_an_ssh_that_never_answers_is_given_up(make, tmp_path):
    count = tmp_path / "calls"
    script = f"echo x >> {shlex.quote(str(count))}; exec sleep 60"
    remote = client("ssh://host.invalid/r.git", tmp_path, {"GIT_SSH_COMMAND": f"sh -c {shlex.quote(script)}"})
    with pytest.raises(RemoteError, match="no answer in time"):
        remote.packs()
    assert len(count.read_text().split()) == HASTE.tries
    remote.close()


# -- servers that are overloaded ----------------------------------------------------------------------------


@contextlib.contextmanager
def sometimes(port: int, answer: Callable[[int], bytes | None]) -> Iterator[str]:
    """What stands before a server at a port, and answers some of the connections, by their number, itself."""
    numbers = itertools.count(1)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            said = answer(next(numbers))
            with contextlib.suppress(OSError):
                if said is not None:
                    self.request.recv(65536)
                    self.request.sendall(said)
                    return
                with socket.create_connection(("127.0.0.1", port)) as there:
                    back = threading.Thread(target=_pass, args=(there, self.request))
                    back.start()
                    _pass(self.request, there)
                    back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _status(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry".encode()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with SERVERS["http"](tmp_path_factory.mktemp("http")) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("status", ["503 Service Unavailable", "502 Bad Gateway", "429 Too Many Requests"])
def test_a_server_that_is_overloaded_twice_is_asked_again(web, status, make, tmp_path):
    place, data = web.fresh(), make.data()
    url = urlsplit(place.url)
    with sometimes(url.port or 0, lambda number: _status(status) if number <= 2 else None) as front:
        remote = client(front + url.path, tmp_path, web.environ)
        assert remote.packs() == frozenset()
        remote.upload(data)
        remote.close()
    with sometimes(url.port or 0, lambda number: _status(status) if number <= 2 else None) as front:
        remote = client(front + url.path, tmp_path, web.environ)
        assert read(remote, data) == bytes_of(data)
        remote.close()


@pytest.mark.slow
@pytest.mark.parametrize("status", ["503 Service Unavailable", *DENIED])
def test_a_server_that_stays_like_that_is_an_error(web, status, tmp_path):
    asked: list[int] = []

    def answer(number: int) -> bytes:
        asked.append(number)
        return _status(status)

    with sometimes(0, answer) as front:
        remote = client(front + "/r.git", tmp_path, web.environ)
        with pytest.raises(ArtvcError, match=status[:3] if status[0] != "4" or status[2] == "3" else "r.git"):
            remote.packs()
        remote.close()
    assert len(asked) == (1 if status in DENIED else HASTE.tries)


# -- answers without an end ---------------------------------------------------------------------------------


def _packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


_ID = b"1" * 40
_V2 = _packet(b"version 2\n") + _packet(b"ls-refs=unborn\n") + _packet(b"fetch=shallow\n") + b"0000"
_META = _packet(_ID + b" refs/artvc/meta\n") + b"0000"
_PUSH = _packet(_ID + b" refs/heads/x\0report-status side-band-64k delete-refs atomic ofs-delta\n") + b"0000"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-%s-%s\r\n\r\n"
_LONG = b"x" * 60_000
# What a server begins with, and what it repeats for ever.
ENDLESS = {
    "refs": (_V2, _packet(_ID + b" refs/artvc/packs/" + _LONG + b"\n")),
    "refs as of old": (b"", _packet(_ID + b" refs/artvc/packs/" + _LONG + b"\n")),
    "capabilities": (_packet(b"version 2\n"), _packet(b"c" + _LONG)),
    "progress": (_V2 + _META + _packet(b"packfile\n"), _packet(b"\x02" + _LONG)),
    "pack": (_V2 + _META + _packet(b"packfile\n"), _packet(b"\x01" + _LONG)),
    "sections": (_V2 + _META, _packet(b"shallow-info\n") + _packet(b"shallow " + _ID + b"\n") * 1000 + b"0001"),
    "keepalives": (_V2 + _META + _packet(b"packfile\n"), _packet(b"\x01") * 10_000),
}
REPORTS = {
    "report": (_PUSH, _packet(b"\x01" + _packet(b"unpack ok\n") * 5000)),
    "words": (_PUSH, _packet(b"\x02" + _LONG)),
    "refs of a push": (b"", _packet(_ID + b" refs/heads/" + _LONG + b"\0delete-refs\n")),
}


@contextlib.contextmanager
def repeating(head: bytes, piece: bytes, *, http: bool = False) -> Iterator[tuple[str, Callable[[], int]]]:
    """A server that says something and then something else for ever; its URL, and the bytes that were taken of it."""
    said = 0

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            nonlocal said
            with contextlib.suppress(OSError):
                service = b"receive-pack" if b"receive-pack" in self.request.recv(4096) else b"upload-pack"
                if http:
                    self.request.sendall(_OK % (service, b"advertisement"))
                self.request.sendall(head)
                block = piece * max(1, 200_000 // len(piece))
                while True:
                    self.request.sendall(block)
                    said += len(block)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"{'http' if http else 'git'}://127.0.0.1:{running.server_address[1]}/r.git", lambda: said
        running.shutdown()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Limits that are reached soon; the bytes that may be taken from a server until it is given up."""
    monkeypatch.setattr(channels, "REFS_BYTES", 4_000_000)
    monkeypatch.setattr(layout, "META_LIMITS", replace(layout.META_LIMITS, bytes=4_000_000))
    return 40_000_000  # with what lies in buffers on the way


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_an_end_is_not_read_to_its_end(what, small, tmp_path):
    with repeating(*ENDLESS[what]) as (url, said):
        remote = client(url, tmp_path, {})
        with pytest.raises(ArtvcError):
            list(remote.history(Known()))
        assert said() < small
        remote.close()
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("what", REPORTS)
def test_a_report_without_an_end_is_not_read_to_its_end(what, small, make, tmp_path):
    with repeating(*REPORTS[what]) as (url, said):
        wire = client(url, tmp_path, {})._wire
        blob = whole(BLOB, b"data")
        with pytest.raises((ArtvcError, network.Refused)):
            wire.push(network.Update(b"refs/heads/y", None, blob.id), [blob])
        assert said() < small
        wire.close()


@pytest.mark.parametrize("what", ["refs", "refs as of old", "capabilities"])
def test_an_http_answer_without_an_end_is_not_read_to_its_end(what, small, tmp_path):
    begun, piece = ENDLESS[what]
    head = _packet(b"# service=git-upload-pack\n") + b"0000" + begun
    with repeating(head, piece, http=True) as (url, said):
        remote = client(url, tmp_path, {})
        with pytest.raises(ArtvcError):
            list(remote.history(Known()))
        assert said() < small
        remote.close()


def test_a_compressed_http_answer_is_not_inflated(tmp_path):
    """Nobody asked for a compressed answer, and none is inflated: this one would be good."""
    bomb = gzip.compress(_packet(b"# service=git-upload-pack\n") + b"0000" + _META)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Encoding: gzip\r\n"
    said = head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(bomb) + bomb
    with sometimes(0, lambda _: said) as front:
        remote = client(front + "/r.git", tmp_path, {})
        with pytest.raises(ArtvcError, match="git"):
            remote.packs()
        remote.close()


def test_a_pack_larger_than_asked_for_is_not_kept(make, tmp_path, monkeypatch):
    data = make.data(10_000)
    monkeypatch.setattr(layout, "DATA_LIMITS", replace(layout.DATA_LIMITS, bytes=1_000_000))
    raw = b"".join(pack_chunks([whole(BLOB, bytes(3_000_000))]))
    ref = layout.CUSTOM.pack(data.id)
    begun = _V2 + _packet(_ID + b" " + ref + b"\n") + b"0000" + _packet(b"packfile\n")
    pieces = b"".join(_packet(b"\x01" + raw[at : at + 60_000]) for at in range(0, len(raw), 60_000))
    with repeating(begun + pieces, b"0000") as (url, _):
        remote = client(url, tmp_path, {})
        with pytest.raises(Damaged, match="more than"):
            read(remote, data)
        remote.close()
    assert not list((tmp_path / "scratch").iterdir())
