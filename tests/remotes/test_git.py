"""Git repositories on servers as remotes: what hosts refuse, and what strangers answer."""

import contextlib
import hashlib
import http.server
import os
import random
import resource
import socketserver
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from artvc.errors import (
    ArtvcError,
    Damaged,
    InvalidInput,
    LimitExceeded,
    NotFound,
    RemoteDenied,
    RemoteError,
    UnsupportedFormat,
)
from artvc.remotes.address import Surroundings, open_remote, parse
from artvc.remotes.base import Known, PieceKind
from artvc.remotes.git import channels, layout, network
from artvc.remotes.git.objects import BLOB, Limits, ReceivedPack, apply_delta, pack_chunks, stored, whole
from artvc.remotes.git.remote import GitRemote
from artvc.store.fsio import Disk
from tests.remotes import git_servers
from tests.remotes.conformance import Reader, bytes_of, followed, publish_all, read
from tests.remotes.git_servers import GitServer, git

LIMITS = Limits(bytes=10_000_000, objects=300, object_bytes=1_000_000, delta_bytes=100_000, total_bytes=3_000_000)


def client(url: str, tmp_path: Path, environ: Mapping[str, str]) -> GitRemote:
    """A new client of a repository."""
    surroundings = Surroundings(disk=Disk(sync=False), scratch=tmp_path / "scratch", environ=environ)
    remote = open_remote(parse(url, base=tmp_path), surroundings)
    assert isinstance(remote, GitRemote)
    return remote


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[GitServer]:
    with git_servers.daemon(tmp_path_factory.mktemp("daemon")) as found:
        yield found


# -- what lies where ----------------------------------------------------------------------------------------


def test_a_pack_is_a_ref_and_a_plain_clone_has_none_of_it(server, make, tmp_path):
    place, data, tree = server.fresh(), make.data(200_000), make.metadata()
    remote = client(place.url, tmp_path, server.environ)
    remote.upload(data)
    publish_all(remote, [make.next(metadata=[tree], indexes=[data])])
    refs = git("for-each-ref", "--format=%(refname)", environ=server.environ, cwd=place.path).split()
    assert refs == ["refs/artvc/meta", f"refs/artvc/packs/{data.id.hex()[:2]}/{data.id.hex()}"]
    names = git("ls-tree", "-r", "--name-only", "refs/artvc/meta", environ=server.environ, cwd=place.path).split()
    assert names == ["format", f"index/{data.id}.index", f"meta/{tree.id}.pack", f"refs/{1:020}.json"]
    git("clone", "-q", place.url, tmp_path / "clone", environ=server.environ)
    counted = git("count-objects", "-v", environ=server.environ, cwd=tmp_path / "clone")
    assert "count: 0\n" in counted and "in-pack: 0\n" in counted


def test_two_who_push_the_same_pack_make_the_same_commit(server, make, tmp_path):
    data, found = make.data(), set()
    for _ in range(2):
        place = server.fresh()
        client(place.url, tmp_path, server.environ).upload(data)
        found.add(git("for-each-ref", "--format=%(objectname)", environ=server.environ, cwd=place.path))
    assert len(found) == 1


def test_what_is_new_comes_alone(server, make, tmp_path):
    """The second fetch does not bring the first one's large metadata again, nor does a push after it."""
    place, large = server.fresh(), make.metadata(900_000)
    first = make.next(metadata=[large])
    second = make.next(first, metadata=[make.metadata()])
    writer, reader, seen = (client(place.url, tmp_path, server.environ) for _ in range(2)), None, Reader()
    writer, reader = writer
    publish_all(writer, [first])
    seen.follow(reader)
    publish_all(writer, [second])
    came: list[int] = []
    counted = channels.Counter.count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels.Counter, "count", lambda *args: (came.append(args[1]), counted(*args))[1])
        heads = seen.follow(reader)
        publish_all(reader, [make.next(second)])
    assert [kind for kind, _, _ in heads] == [PieceKind.TRANSACTION, PieceKind.METADATA, PieceKind.TOKEN]
    assert sum(came) < 20_000


def test_a_chain_that_was_replaced_comes_whole(server, make, tmp_path):
    """Somebody made the log anew: what the reader has of it, it gets no more, and what is gone is said."""
    place, tree, other = server.fresh(), make.metadata(), make.metadata()
    first = make.next(metadata=[tree])
    seen = Reader()
    publish_all(client(place.url, tmp_path, server.environ), [first])
    remote = client(place.url, tmp_path, server.environ)
    seen.follow(remote)
    git("update-ref", "-d", "refs/artvc/meta", environ=server.environ, cwd=place.path)
    publish_all(client(place.url, tmp_path, server.environ), [make.next(metadata=[other])])
    pieces = [(piece.kind, piece.id) for piece in remote.history(seen.known())]
    assert pieces[:-1] == [(PieceKind.METADATA, other.id), (PieceKind.GONE, tree.id)]


# -- servers without a lock ---------------------------------------------------------------------------------

_OVERWRITING = """#!/bin/sh
# Once a ref was moved, and before the client hears of it, somebody else moves it: as if both had found the old value.
if [ "$1" = committed ] && [ -e rival ]; then
    mv rival done
    git update-ref refs/artvc/meta "$(cat done)"
fi
"""


def test_a_server_without_a_lock_is_said_to_lose_pushes(server, make, tmp_path):
    place, data = server.fresh("receive.advertiseAtomic=false"), make.data()
    remote = client(place.url, tmp_path, server.environ)
    found = remote.probe()
    assert not found.many_writers and found.writable and "would lose a version" in found.warnings[0]
    remote.upload(data)
    publish_all(remote, [make.next(indexes=[data])])
    assert client(place.url, tmp_path, server.environ).probe() == found
    assert read(remote, data) == bytes_of(data) and followed(remote).number == 1
    assert client(server.fresh().url, tmp_path, server.environ).probe().many_writers


def test_who_is_overwritten_at_a_server_without_a_lock_hears_of_it(server, make, tmp_path):
    place, copy = server.fresh("receive.advertiseAtomic=false"), server.fresh()
    first = make.next()
    ours, theirs = make.next(first, why="ours"), make.next(first, why="theirs")
    remote = client(place.url, tmp_path, server.environ)
    publish_all(remote, [first])
    publish_all(client(copy.url, tmp_path, server.environ), [first, theirs])
    git("fetch", "-q", copy.path, "refs/artvc/meta:refs/rival", environ=server.environ, cwd=place.path)
    rival = git("rev-parse", "refs/rival", environ=server.environ, cwd=place.path)
    hook = place.path / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_OVERWRITING)
    hook.chmod(0o755)
    (place.path / "rival").write_text(rival)
    assert remote.publish(ours) is False
    assert (place.path / "done").exists()
    publish_all(remote, [make.next(theirs, why="ours")])
    assert sorted(followed(remote).transactions.items())[:2] == [(1, first.transaction), (2, theirs.transaction)]


def test_a_pack_that_a_server_without_a_lock_dropped_is_an_error(server, make, tmp_path):
    place, data = server.fresh("receive.advertiseAtomic=false"), make.data()
    remote = client(place.url, tmp_path, server.environ)
    publish_all(remote, [make.next()])
    hook = place.path / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\nif [ "$1" = committed ] && [ ! -e done ]; then\n    touch done\n'
        "    for ref in $(git for-each-ref --format='%(refname)' refs/artvc/packs); do git update-ref -d $ref; done\nfi\n"
    )
    hook.chmod(0o755)
    with pytest.raises(RemoteError, match="did not keep"):
        remote.upload(data)
    remote.upload(data)
    assert read(remote, data) == bytes_of(data)


def test_a_ref_that_is_locked_for_a_while_is_pushed_again(server, make, tmp_path, monkeypatch):
    place, first = server.fresh("core.filesRefLockTimeout=0"), make.next()
    remote = client(place.url, tmp_path, server.environ)
    publish_all(remote, [first])
    lock, waits = place.path / "refs" / "artvc" / "meta.lock", []
    lock.touch()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            lock.unlink()

    monkeypatch.setattr(network.time, "sleep", sleep)
    publish_all(remote, [make.next(first)])
    assert len(waits) == 2 and followed(remote).number == 2


def test_more_files_may_be_open_than_select_knows(server, make, tmp_path):
    place, data = server.fresh(), make.data()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2000, limit[1]), limit[1]))
        for _ in range(1100):
            stack.enter_context(open(os.devnull))
        remote = client(place.url, tmp_path, server.environ)
        remote.upload(data)
        publish_all(remote, [make.next(indexes=[data])])
        assert followed(client(place.url, tmp_path, server.environ)).number == 1
        assert read(remote, data) == bytes_of(data)


# -- what hosts refuse --------------------------------------------------------------------------------------


def test_a_host_that_takes_only_branches_gets_branches_and_that_is_said(server, make, tmp_path):
    place, data = server.fresh("receive.hideRefs=refs/artvc"), make.data()
    remote = client(place.url, tmp_path, server.environ)
    found = remote.probe()
    assert found.writable and "every plain 'git clone'" in found.warnings[0]
    remote.upload(data)
    publish_all(remote, [make.next(indexes=[data])])
    refs = git("for-each-ref", "--format=%(refname)", environ=server.environ, cwd=place.path).split()
    assert len(refs) == 2 and all(ref.startswith("refs/heads/artvc/") for ref in refs)
    reader = client(place.url, tmp_path, server.environ)
    assert followed(reader).number == 1 and read(reader, data) == bytes_of(data)
    publish_all(client(place.url, tmp_path, server.environ), [make.next(make.next(indexes=[data]))])


def test_a_host_that_takes_nothing_is_read_only(server, make, tmp_path):
    place = server.fresh()
    hook = place.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    remote = client(place.url, tmp_path, server.environ)
    found = remote.probe()
    assert not found.writable and "can't be written" in found.warnings[0]
    for act in (lambda: remote.upload(make.data()), lambda: remote.publish(make.next())):
        with pytest.raises(RemoteDenied):
            act()


def test_sha256_is_refused(server, make, tmp_path):
    git("init", "-q", "--bare", "--object-format=sha256", server.root / "big.git", environ=server.environ)
    remote = client(server.url.format("big"), tmp_path, server.environ)
    for act in (remote.packs, remote.probe, lambda: list(remote.history(Known())), lambda: remote.upload(make.data())):
        with pytest.raises(UnsupportedFormat, match="SHA-256"):
            act()


def test_no_repository_is_not_found(server, tmp_path):
    remote = client(server.url.format("nothing"), tmp_path, server.environ)
    with pytest.raises(NotFound):
        remote.packs()


def test_pushes_stop_at_the_limit(server, make, tmp_path):
    place = server.fresh()
    remote = client(place.url, tmp_path, {**server.environ, "ARTVC_GIT_LIMIT_GB": "0"})
    remote.upload(make.data())  # 0 is none
    environ = {**server.environ, "ARTVC_GIT_LIMIT_GB": "1"}
    remote = client(place.url, tmp_path, environ)
    remote.packs()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("artvc.remotes.git.remote.PACK_BYTES", 600_000_000)
        assert "think of a bucket" in remote.probe().warnings[0]
        remote.upload(make.data())
        with pytest.raises(LimitExceeded, match="limit"):
            remote.upload(make.data())
    with pytest.raises(InvalidInput):
        client(place.url, tmp_path, {"ARTVC_GIT_LIMIT_GB": "lots"})


# -- credentials --------------------------------------------------------------------------------------------


class _Answering(http.server.BaseHTTPRequestHandler):
    """Notes the headers, and asks for credentials or leads to ``target``."""

    target = ""

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        if not self.headers.get("Authorization") and self.target:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
        elif self.target:
            self.send_response(302)
            self.send_header("Location", self.target + self.path)
        else:
            self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@contextlib.contextmanager
def answering(target: str = "") -> Iterator[tuple[str, list]]:
    handler = type("Handler", (_Answering,), {"target": target})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", running.seen  # type: ignore[attr-defined]
        running.shutdown()


def test_credentials_go_to_their_host_alone(server, tmp_path):
    with answering() as (stranger, heard), answering(stranger) as (host, seen):
        environ = {**server.environ, "ARTVC_GIT_HOST": host.removeprefix("http://"), "ARTVC_GIT_TOKEN": "secret"}
        with pytest.raises(RemoteError, match="leads to") as info:
            client(host + "/r.git", tmp_path, environ).packs()
        assert seen[0] is None and seen[1].startswith("Basic ") and heard == []
        assert "secret" not in str(info.value)
        with pytest.raises(RemoteDenied, match="credentials"):
            client(stranger + "/r.git", tmp_path, environ).packs()
        assert heard == [None]


def test_a_helper_of_git_gives_credentials(make, tmp_path):
    (tmp_path / "server").mkdir()
    with git_servers.http(tmp_path / "server", private=True) as private:
        url, data = private.fresh().url, make.data(2_000_000)
        with pytest.raises(RemoteDenied, match="there are none"):
            client(url, tmp_path, private.environ).packs()
        with pytest.raises(RemoteDenied, match="does not accept"):
            client(url, tmp_path, git_servers.with_credentials(private.environ, password="wrong")).packs()
        remote = client(url, tmp_path, git_servers.with_credentials(private.environ))
        remote.upload(data)
        publish_all(remote, [make.next(indexes=[data])])
        assert read(remote, data) == bytes_of(data)


# -- what strangers answer ----------------------------------------------------------------------------------


def _packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


@contextlib.contextmanager
def saying(answer: Callable[[socketserver.StreamRequestHandler], None]) -> Iterator[str]:
    """A server of git:// that says what a test wants; gives its URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                answer(self)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"git://127.0.0.1:{running.server_address[1]}/r.git"
        running.shutdown()


_V2 = _packet(b"version 2\n") + _packet(b"ls-refs=unborn\n") + _packet(b"fetch=shallow\n") + b"0000"
_ID = b"1" * 40


def _endless_refs(handler: socketserver.StreamRequestHandler) -> None:
    handler.wfile.write(_V2)
    line = _packet(b"1" * 40 + b" refs/artvc/packs/" + b"x" * 60_000 + b"\n")
    while True:
        handler.wfile.write(line)


def _no_ids(handler: socketserver.StreamRequestHandler) -> None:
    handler.wfile.write(_V2 + _packet(b"nothing refs/artvc/meta\n") + b"0000")


def _noise(handler: socketserver.StreamRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" * 100)


def _wrong_pack(handler: socketserver.StreamRequestHandler) -> None:
    raw = b"".join(pack_chunks([whole(BLOB, b"not what was asked for")]))
    handler.wfile.write(_V2 + _packet(_ID + b" refs/artvc/meta\n") + b"0000")
    handler.wfile.write(_packet(b"packfile\n") + _packet(b"\x01" + raw) + b"0000")


@pytest.mark.parametrize("answer", [_endless_refs, _no_ids, _noise, _wrong_pack])
def test_a_hostile_server_is_an_error_and_no_more(answer, tmp_path):
    with pytest.MonkeyPatch.context() as patch, saying(answer) as url:
        patch.setattr(channels, "REFS_BYTES", 4 * 1024 * 1024)
        remote = client(url, tmp_path, {})
        with pytest.raises(ArtvcError):
            list(remote.history(Known()))
        assert not os.listdir(tmp_path / "scratch")


def received(tmp_path: Path, raw: bytes, limits: Limits = LIMITS) -> ReceivedPack:
    disk, path = Disk(sync=False), tmp_path / hashlib.sha1(raw).hexdigest()
    path.write_bytes(raw)
    fd = disk.open_read(str(path))
    try:
        found = ReceivedPack(disk, fd, limits)
        assert len(found) <= limits.objects
        return found
    finally:
        disk.close(fd)


def _raw_pack(*objects: bytes, count: int | None = None) -> bytes:
    body = struct.pack(">4sII", b"PACK", 2, len(objects) if count is None else count) + b"".join(objects)
    return body + hashlib.sha1(body).digest()


def _raw(kind: int, size: int, deflated: bytes) -> bytes:
    head, size = [kind << 4 | size & 15], size >> 4
    while size:
        head[-1] |= 128
        head.append(size & 127)
        size >>= 7
    return bytes(head) + deflated


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PACK",
        _raw_pack(count=1),
        _raw_pack(count=301),
        _raw_pack(_raw(3, 5, zlib.compress(b"12345")) + b"more"),
        _raw_pack(_raw(3, 5, zlib.compress(b"1234"))),
        _raw_pack(_raw(3, 5, zlib.compress(bytes(900_000)))),
        _raw_pack(_raw(3, 1_000_001, zlib.compress(bytes(1_000_001)))),
        _raw_pack(*[_raw(3, 900_000, zlib.compress(bytes(900_000)))] * 4),
        _raw_pack(_raw(3, 5, b"no zlib")),
        _raw_pack(_raw(5, 5, zlib.compress(b"12345"))),
        _raw_pack(_raw(3, 5, zlib.compress(b"12345"))[:-3]),
        _raw_pack(_raw(6, 2, b"\x01" + zlib.compress(b"12"))),
        _raw_pack(_raw(7, 2, bytes(20) + zlib.compress(b"12"))),
        _raw_pack(b"\xff" * 30),
    ],
)
def test_a_malformed_pack_is_damaged(raw, tmp_path):
    with pytest.raises(Damaged):
        received(tmp_path, raw)


_NOISE = random.Random(7).randbytes(300_000)


def _deflated(*levels: int) -> bytes:
    """Noise in equal parts, each deflated at a level of its own; 0 is zlib's own way of storing."""
    step, found = len(_NOISE) // len(levels), []
    for number, level in enumerate(levels):
        part = _NOISE[number * step : (number + 1) * step]
        stream = zlib.compressobj(level, wbits=-15)
        is_last = number + 1 == len(levels)
        found.append(stream.compress(part) + stream.flush(zlib.Z_FINISH if is_last else zlib.Z_FULL_FLUSH))
    return b"\x78\x01" + b"".join(found) + struct.pack(">I", zlib.adler32(_NOISE))


def _blocks(*sizes: int, final: int) -> bytes:
    """Noise in stored blocks of some sizes; ``final`` says which of them claims to be the last."""
    found, at = [b"\x78\x01"], 0
    for number, size in enumerate(sizes):
        found.append(struct.pack("<BHH", number == final, size, size ^ 0xFFFF) + _NOISE[at : at + size])
        at += size
    return b"".join(found) + struct.pack(">I", zlib.adler32(_NOISE))


@pytest.mark.parametrize(
    "deflated",
    [
        b"".join(stored(whole(BLOB, _NOISE)))[4:],
        _deflated(0),
        _deflated(9),
        _deflated(0, 9, 0),
        _blocks(65535, 65535, 0, 65535, 65535, 37860, final=5),
        _blocks(65535, 65535, 65535, 65535, 37860, 0, final=5),
        _blocks(60000, 60000, 60000, 60000, 60000, final=4),
    ],
)
def test_an_object_is_read_however_it_was_deflated(deflated, tmp_path):
    blob, other = whole(BLOB, _NOISE), whole(BLOB, b"behind it")
    raw = _raw_pack(_raw(3, len(_NOISE), deflated), _raw(3, 9, zlib.compress(b"behind it")))
    path, disk = tmp_path / "pack", Disk(sync=False)
    path.write_bytes(raw)
    with contextlib.closing(os.fdopen(disk.open_read(str(path)), "rb")) as file:
        found = ReceivedPack(disk, file.fileno(), LIMITS)
        assert b"".join(found.blob(blob.id)) == _NOISE and b"".join(found.blob(other.id)) == b"behind it"


@pytest.mark.parametrize(
    "deflated",
    [
        _blocks(65535, 65535, 65535, 65535, 37859, final=4),
        _blocks(65535, 65535, 65535, 65535, 37860, 1, final=5),
        _blocks(65535, 65535, 65535, 65535, 37860, final=-1),
        _blocks(65535, 65535, 65535, 65535, 37860, final=1),
        _blocks(65535, 65535, 65535, 65535, 37860, final=4)[:-5],
        _blocks(65535, 65535, 65535, 65535, 37860, final=4)[:100_000],
        _blocks(65535, 65535, 65535, 65535, 37860, final=4)[:65543],
        b"\x78\x02" + _blocks(65535, 65535, 65535, 65535, 37860, final=4)[2:],
        b"\x78",
    ],
)
def test_stored_blocks_that_are_malformed_are_damaged(deflated, tmp_path):
    with pytest.raises(Damaged):
        received(tmp_path, _raw_pack(_raw(3, len(_NOISE), deflated)))


def test_no_change_of_a_byte_gives_other_bytes(tmp_path):
    """Around the headers of stored blocks: what still passes has the bytes that its name says."""
    blob = whole(BLOB, _NOISE)
    raw = _raw(3, len(_NOISE), _blocks(65535, 65535, 65535, 65535, 37860, final=4))
    heads = [4 + 2 + number * 65540 for number in range(5)]
    for at in [*range(8), *(head + more for head in heads for more in range(-1, 6)), *range(len(raw) - 6, len(raw))]:
        for bit in (1, 128):
            changed = bytearray(raw)
            changed[at] ^= bit
            path, disk = tmp_path / "pack", Disk(sync=False)
            path.write_bytes(_raw_pack(bytes(changed)))
            with contextlib.closing(os.fdopen(disk.open_read(str(path)), "rb")) as file, contextlib.suppress(Damaged):
                found = ReceivedPack(disk, file.fileno(), LIMITS).blob(blob.id)
                assert found is None or b"".join(found) == _NOISE


def test_a_delta_bomb_is_damaged():
    """A few bytes that copy the base over and over."""
    base = bytes(60_000)
    size = 60_000 * 1000
    sizes = b""
    for number in (len(base), size):
        while number > 127:
            sizes, number = sizes + bytes([number & 127 | 128]), number >> 7
        sizes += bytes([number])
    copy = b"\xb0" + struct.pack("<H", 60_000)
    with pytest.raises(Damaged):
        apply_delta(base, sizes + copy * 1000, limit=1_000_000)
    assert apply_delta(base, sizes + copy * 1000, limit=size) == bytes(size)


def test_the_deltas_of_git_are_read(server, tmp_path):
    work = tmp_path / "work"
    git("init", "-q", work, environ=server.environ)
    for number in range(8):
        (work / "file").write_text("".join(f"line {one}\n" for one in range(500)) + f"and {number}\n" * 10)
        git("add", ".", environ=server.environ, cwd=work)
        git("commit", "-qm", "more", environ=server.environ, cwd=work)
    git("gc", "-q", environ=server.environ, cwd=work)
    raw = next((work / ".git" / "objects" / "pack").glob("*.pack")).read_bytes()
    path, disk = tmp_path / "pack", Disk(sync=False)
    path.write_bytes(raw)
    fd = disk.open_read(str(path))
    found = ReceivedPack(disk, fd, LIMITS)
    for number in range(8):
        top = git("rev-parse", f"HEAD~{number}", environ=server.environ, cwd=work).strip().encode()
        commit = found.commit(top)
        (entry,) = found.tree(commit.tree)
        body = git("show", f"HEAD~{number}:file", environ=server.environ, cwd=work).encode()
        assert b"".join(found.blob(entry.id)) == body
    assert found.blob(b"0" * 40) is None
    with pytest.raises(Damaged):
        found.blob(top)
    disk.close(fd)


def test_a_log_with_something_else_in_it_is_damaged(server, make, tmp_path):
    place = server.fresh()
    remote = client(place.url, tmp_path, server.environ)
    publish_all(remote, [make.next()])
    empty = git("hash-object", "-t", "tree", "-w", os.devnull, environ=server.environ, cwd=place.path).strip()
    top = git("commit-tree", empty, "-p", "refs/artvc/meta", "-m", "x", environ=server.environ, cwd=place.path).strip()
    git("update-ref", layout.CUSTOM.meta.decode(), top, environ=server.environ, cwd=place.path)
    with pytest.raises(Damaged):
        list(client(place.url, tmp_path, server.environ).history(Known()))
