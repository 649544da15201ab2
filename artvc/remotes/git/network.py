"""git over a network, through dulwich: git://, ssh and http(s).

dulwich speaks the protocol; connections, their ends, redirections, credentials and what may come are decided here.
Each act uses a client of its own, for dulwich keeps its state in it; what is dear to make is shared.

Acts are tried again with growing pauses where a connection failed.  All of them may be repeated: a push compares the
ref first, so one whose reply was lost is recognised when it is tried again.
"""

import contextlib
import io
import socket
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import urllib3
from dulwich.client import AbstractHttpGitClient, GitClient, HTTPUnauthorized, TraditionalGitClient
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository, SendPackError
from dulwich.protocol import ZERO_SHA, Protocol

from artvc.errors import (
    ArtvcError,
    Damaged,
    InvalidInput,
    NotFound,
    RemoteDenied,
    RemoteError,
    UnsupportedFormat,
)
from artvc.remotes.address import Address, Surroundings
from artvc.remotes.git.channels import Channel, Counter, ProgramChannel, SocketChannel, Ssh
from artvc.remotes.git.credentials import HINT, Credentials, configured
from artvc.remotes.git.objects import GitObject, Limits, ReceivedPack, is_id, unpacked
from artvc.remotes.git.wire import Choose, Fetched, Moved, Refused, Update
from artvc.remotes.object_store import Patience
from artvc.store.fsio import Disk

if TYPE_CHECKING:
    from dulwich.pack import UnpackedObject

T = TypeVar("T")

PATIENCE: Final = Patience(tries=5, first=0.25, longest=15.0, request=60.0)
_GIT_PORT: Final = 9418
_REDIRECTIONS: Final = 5
_SHA256: Final = b"object-format=sha256"
_ATOMIC: Final = b"atomic"
_WORDS: Final = 300  # of a server's message that are shown

# Parts of what servers, ssh and dulwich say, and what they mean.
_MISSING: Final = (
    "repository not exported", "not found", "does not exist", "not appear to be a git repository", "no such file",
    "not a git repository",
)  # fmt: skip
_DENIED: Final = (
    "permission denied", "host key verification failed", "access denied", "authentication failed", "not permitted",
    "forbidden", "http resp 403", "not allowed", "read-only", "unauthorized", "service not enabled",
)  # fmt: skip
# What comes of telling a server what is here that does not listen, such as go-git's: it sends all of it at once.
_NO_HAVE: Final = ("length prefix: b'PACK'", "Broken pipe")
# A ref that somebody else moves at the moment, in JGit's words and in git's.
_LOCKED: Final = ("failed to lock", "failed to update ref", "cannot lock ref")
# A pack that did not come whole, and (JGit's) one that somebody else pushes too at the moment.
_UNSTORED: Final = ("abnormal exit", "Cannot lock")
_PASSING: Final = ("http resp 5", "http resp 429", "http resp 408", "not our ref", "timed out")


def connect(address: Address, surroundings: Surroundings) -> "NetworkWire":
    """The repository at an address that is not this machine's.

    Raises:
        InvalidInput: a setting that it needs is malformed.
    """
    terminal = sys.stdin is not None and sys.stdin.isatty()
    environ = surroundings.environ
    scheme, user, host, port, path = _parts(address.url)
    door: _Door
    if scheme == "ssh":
        command = "" if environ.get("GIT_SSH_COMMAND") else configured("core.sshCommand", environ)
        door = _SshDoor(Ssh(user, host, port, environ, configured=command, terminal=terminal), PATIENCE)
    elif scheme == "git":
        door = _GitDoor(host, port or _GIT_PORT, PATIENCE)
    else:
        place = f"{host}:{port}" if port else host
        credentials = Credentials(scheme, place, path, user or "", environ, terminal=terminal)
        door = _HttpDoor(f"{scheme}://{place}{path}", credentials, environ, PATIENCE)
    return NetworkWire(address.url, host.strip("[]"), path, door, surroundings, PATIENCE)


def _parts(url: str) -> tuple[str, str | None, str, int, str]:
    """Scheme, user, host (an IPv6 address in brackets), port and path of an address, which was looked at before."""
    if "://" not in url:
        place, _, path = url.partition("]:") if "[" in url.partition(":")[0] else url.partition(":")
        user, _, host = (place + ("]" if "[" in place else "")).rpartition("@")
        return "ssh", user or None, host, 0, path
    found = urllib.parse.urlsplit(url)
    host = found.netloc.rpartition("@")[2]
    host = host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return found.scheme, found.username, host, found.port or 0, found.path


class NetworkWire:
    """A repository on a server; as :class:`artvc.remotes.git.wire.Wire`.

    Args:
        url: without credentials.
        host: its name.
        path: on the server.
        door: makes clients.
        surroundings: where packs that come are put until they are read.
        patience: how often to try.
    """

    def __init__(
        self, url: str, host: str, path: str, door: "_Door", surroundings: Surroundings, patience: Patience
    ) -> None:
        self.url = url
        self.host = host
        self.excludes = True
        self._path = path
        self._door = door
        self._disk: Disk = surroundings.disk
        self._scratch = str(surroundings.scratch)
        self._patience = patience

    def refs(self, *prefixes: bytes) -> Mapping[bytes, bytes]:
        """As :meth:`artvc.remotes.git.wire.Wire.refs`."""

        def ask(client: GitClient) -> Mapping[bytes, bytes]:
            found = client.get_refs(self._path.encode(), ref_prefix=prefixes)
            self._check_format(found.object_format)
            return _refs(found.refs, prefixes)

        return self._tried(ask)

    @contextlib.contextmanager
    def fetch(
        self,
        prefixes: Sequence[bytes],
        choose: Choose,
        *,
        limits: Limits,
        have: bytes | None = None,
        depth: int | None = None,
    ) -> Iterator[Fetched]:
        """As :meth:`artvc.remotes.git.wire.Wire.fetch`."""
        with contextlib.ExitStack() as stack:
            yield self._tried(lambda client: self._fetch(client, prefixes, choose, limits, have, depth, stack))

    def _fetch(
        self,
        client: "GitClient",
        prefixes: Sequence[bytes],
        choose: Choose,
        limits: Limits,
        have: bytes | None,
        depth: int | None,
        stack: contextlib.ExitStack,
    ) -> Fetched:
        refs: Mapping[bytes, bytes] = {}
        wanted: bytes | None = None
        size = 0
        path, fd = self._disk.open_temporary(self._scratch)
        stack.callback(self._disk.close, fd)
        self._disk.discard(path)  # it lives as long as it is open

        def determine(found: Mapping[bytes, bytes], depth: int | None = None) -> list[bytes]:  # noqa: ARG001
            nonlocal refs, wanted
            refs = _refs(found, prefixes)
            wanted = choose(refs)
            self._door.counter(client).allow(limits.bytes)
            return [wanted] if wanted else []

        def take(data: bytes) -> int:
            nonlocal size
            size += len(data)
            if size > limits.bytes:
                raise Damaged(f"{self.url} sends a git pack of more than {limits.bytes} bytes")
            self._disk.write(fd, [data])
            return len(data)

        walker: Any = _Haves(have)
        wants: Any = determine
        try:
            done = client.fetch_pack(self._path.encode(), wants, walker, take, ref_prefix=list(prefixes), depth=depth)
        except GitProtocolError as exc:
            if depth is not None and "shallow" in str(exc):
                depth = None
            elif have is not None and any(part in str(exc) for part in _NO_HAVE):
                have = None
            else:
                raise
            again = self._door.client()
            try:
                return self._fetch(again, prefixes, choose, limits, have, depth, stack)
            finally:
                self._door.end(again)
        self._check_format(done.object_format)
        return Fetched(refs, wanted, ReceivedPack(self._disk, fd, limits) if wanted else None)

    def push(self, update: Update, objects: Sequence[GitObject]) -> None:
        """As :meth:`artvc.remotes.git.wire.Wire.push`.

        A server that does not offer ``atomic`` has no lock for what it moves: go-git's looks only whether the ref is
        there.  So of such a one the ref is read back, which tells those who were overwritten soon after, not all.
        """
        new = update.new or ZERO_SHA

        def compare(found: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
            there = found.get(update.ref)
            if there != update.old:
                raise Moved(there)
            return {update.ref: new}

        def pack(*_: object, **__: object) -> "tuple[int, Iterator[UnpackedObject]]":
            return len(objects), unpacked(objects)

        def send(client: "GitClient") -> None:
            done = client.send_pack(self._path.encode(), compare, pack)  # type: ignore[arg-type]
            self.excludes = isinstance(client, _Checked) and client.offers_atomic
            why = (done.ref_status or {}).get(update.ref, "said nothing of it")
            if why is not None:
                raise Refused(_plain(why))

        for attempt in range(self._patience.tries):
            try:
                self._tried(send)
                break
            except Refused as exc:
                if attempt + 1 == self._patience.tries or not any(part in exc.why for part in _LOCKED):
                    raise
            time.sleep(self._patience.pause(attempt))
        if not self.excludes and update.new is not None:
            found = self.refs(update.ref).get(update.ref)
            if found != update.new:
                raise Moved(found)

    def close(self) -> None:
        """End connections."""
        self._door.close()

    # -- trying -------------------------------------------------------------------------------------------

    def _tried(self, act: Callable[["GitClient"], T]) -> T:
        """What an act gives, which is tried again where the connection failed."""
        for attempt in range(self._patience.tries):
            client = self._door.client()
            try:
                return act(client)
            except (ArtvcError, Moved, Refused):
                raise
            except (OSError, EOFError, GitProtocolError, urllib3.exceptions.HTTPError, ValueError, LookupError,
                    AssertionError, TypeError, AttributeError, NotGitRepository, HTTPUnauthorized) as exc:  # fmt: skip
                failure, passing = self._failure(exc, self._door.said(client), cut=self._door.was_cut(client))
                if not passing or attempt + 1 == self._patience.tries:
                    raise failure from exc
            finally:
                self._door.end(client)
            time.sleep(self._patience.pause(attempt))
        raise AssertionError("unreachable")

    def _failure(self, exc: Exception, said: str, *, cut: bool) -> tuple[ArtvcError, bool]:
        """What an exception means, and whether the act may do better when it is repeated.

        Args:
            exc: it.
            said: beside the protocol.
            cut: whether the connection ended where more was expected.
        """
        hung_up = isinstance(exc, HangupException) or (cut and isinstance(exc, GitProtocolError))
        text = (said or "the connection was cut") if hung_up else f"{exc} {said}".strip()
        words = text.lower()
        shown = f"{self.url}: {_plain(text)}"
        if isinstance(exc, NotGitRepository):
            return NotFound(f"there is no git repository {self.url}", hint="make it on the host first"), False
        if isinstance(exc, HTTPUnauthorized):
            return RemoteDenied(f"{self.url} wants credentials", hint=HINT), False
        if any(part in words for part in _MISSING):
            return NotFound(shown, hint="make the repository on the host first, or check its name"), False
        if any(part in words for part in _DENIED):
            hint = "does 'git ls-remote' of it work? an ssh key must be loaded, and the host be known" if said else HINT
            return RemoteDenied(shown, hint=hint), False
        if isinstance(exc, socket.gaierror):
            return RemoteError(f"{self.url}: no such host", hint="check the address and the network"), False
        if isinstance(exc, SendPackError):
            why = b" ".join(one for one in exc.args if isinstance(one, bytes)).decode(errors="replace")
            passing = any(part in why for part in _UNSTORED)
            return RemoteError(f"{self.url} could not store what was pushed: {_plain(why)}", hint="push again"), passing
        if _timed_out(exc):
            return RemoteError(f"{self.url}: no answer in time", hint="check the network, then try again"), True
        if isinstance(exc, GitProtocolError) and not hung_up:
            broken = isinstance(exc.__cause__, ConnectionError | urllib3.exceptions.HTTPError)
            passing = broken or any(part in words for part in _PASSING)
            return RemoteError(shown, hint="try again"), passing
        if hung_up or isinstance(exc, OSError | EOFError | urllib3.exceptions.HTTPError):
            return RemoteError(shown, hint="check the network, then try again"), True
        return Damaged(f"{self.url} does not answer as a git server does ({type(exc).__name__})"), False

    def _check_format(self, form: str | None) -> None:
        if form == "sha256":
            raise _sha256(self.url)


def _timed_out(exc: BaseException | None) -> bool:
    """Whether the cause is that nothing came; dulwich hides that in errors of its own."""
    while exc is not None:
        if isinstance(exc, TimeoutError | urllib3.exceptions.TimeoutError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _sha256(url: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{url} is a git repository with SHA-256", hint="make one with git init --object-format=sha1"
    )


def _refs(found: Mapping[Any, Any], prefixes: Sequence[bytes]) -> dict[bytes, bytes]:
    """Refs that were asked for; servers may send others.  Raises Damaged for what are no ids."""
    kept = {
        bytes(ref): bytes(value)
        for ref, value in found.items()
        if value is not None and ref.startswith(tuple(prefixes)) and value != ZERO_SHA
    }
    for value in kept.values():
        if not is_id(value):
            raise Damaged("a git server lists a ref without an id")
    return kept


def _plain(text: str) -> str:
    """A server's words on one line, without what a terminal would obey."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(shown.split())[:_WORDS] or "no reason given"


class _Haves:
    """The one commit that is here, for dulwich.

    Args:
        have: its id; None where there is none.
    """

    shallow = None

    def __init__(self, have: bytes | None) -> None:
        self._left = [have] if have else []

    def __next__(self) -> bytes | None:
        return self._left.pop() if self._left else None

    def ack(self, sha: bytes) -> None:
        """The server has it."""

    def nak(self) -> None:
        """It does not."""


# -- doors: what makes clients ---------------------------------------------------------------------------------


class _Door:
    """Makes clients, one for each act."""

    def client(self) -> GitClient:
        raise NotImplementedError

    def counter(self, client: GitClient) -> Counter:
        """What counts the bytes that come to a client."""
        raise NotImplementedError

    def was_cut(self, client: GitClient) -> bool:
        """Whether the answer to a client ended where more was expected."""
        raise NotImplementedError

    def said(self, client: GitClient) -> str:  # noqa: ARG002
        """What was said about a failure beside the protocol."""
        return ""

    def end(self, client: GitClient) -> None:
        """Close what a client has open."""

    def close(self) -> None:
        """Close what clients share."""


class _Checked(GitClient):
    """What dulwich negotiates, without what is not wanted.

    Attributes:
        offers_atomic: whether the server said so when something was pushed.
    """

    offers_atomic = False

    def _negotiate_upload_pack_capabilities(self, server_capabilities: set[bytes]) -> Any:
        if _SHA256 in server_capabilities:
            raise _sha256("this")
        # Packs from other addresses: nobody shall be sent to places that a stranger names.
        named = {one for one in server_capabilities if not one.startswith(b"packfile-uris")}
        return super()._negotiate_upload_pack_capabilities(named)

    def _negotiate_receive_pack_capabilities(self, server_capabilities: set[bytes]) -> Any:
        if _SHA256 in server_capabilities:
            raise _sha256("this")
        self.offers_atomic = _ATOMIC in server_capabilities
        return super()._negotiate_receive_pack_capabilities(server_capabilities)


class _ChannelClient(_Checked, TraditionalGitClient):
    """A client on a channel that is opened when it is needed.

    Args:
        open_channel: given "upload-pack" or "receive-pack", path, and version of the protocol.
    """

    def __init__(self, open_channel: Callable[[str, str, int], Channel]) -> None:
        super().__init__(thin_packs=False, quiet=True)
        self._open_channel = open_channel
        self.channel: Channel | None = None
        self._protocol: Protocol | None = None

    def _connect(self, cmd: bytes, path: str | bytes, protocol_version: int | None = None) -> Any:
        version = 2 if cmd == b"upload-pack" and protocol_version is None else protocol_version or 0
        self.protocol_version = version
        text = path.decode() if isinstance(path, bytes) else path
        channel = self.channel = self._open_channel(cmd.decode(), text, version)
        self._protocol = Protocol(channel.read, channel.write, channel.close, shutdown_write=channel.finish_writing)
        return self._protocol, channel.can_read, None

    def end(self) -> None:
        """Close what is open; dulwich does so only where nothing failed."""
        if self._protocol is not None:
            self._protocol.close()


class _ChannelDoor(_Door):
    """Makes clients that have a channel."""

    def _open(self, service: str, path: str, version: int) -> Channel:
        raise NotImplementedError

    def client(self) -> _ChannelClient:
        return _ChannelClient(self._open)

    def counter(self, client: GitClient) -> Counter:
        if not isinstance(client, _ChannelClient) or client.channel is None:
            raise AssertionError("refs came through a channel")
        return client.channel.counter

    def was_cut(self, client: GitClient) -> bool:
        return isinstance(client, _ChannelClient) and client.channel is not None and client.channel.counter.ended

    def said(self, client: GitClient) -> str:
        return client.channel.said() if isinstance(client, _ChannelClient) and client.channel else ""

    def end(self, client: GitClient) -> None:
        if isinstance(client, _ChannelClient):
            with contextlib.suppress(OSError):
                client.end()


class _GitDoor(_ChannelDoor):
    """git://"""

    def __init__(self, host: str, port: int, patience: Patience) -> None:
        self._host, self._port, self._silence = host, port, patience.request

    def _open(self, service: str, path: str, version: int) -> Channel:
        channel = SocketChannel(self._host.strip("[]"), self._port, silence=self._silence)
        place = f"{self._host}:{self._port}" if self._port != _GIT_PORT else self._host
        asked = f"git-{service} {path.removeprefix('/') if path.startswith('/~') else path}\0host={place}\0"
        asked += f"\0version={version}\0" if version else ""
        line = asked.encode()
        try:
            channel.write(b"%04x" % (len(line) + 4) + line)
        except BaseException:
            channel.close()
            raise
        return channel


class _SshDoor(_ChannelDoor):
    """ssh"""

    def __init__(self, ssh: Ssh, patience: Patience) -> None:
        self._ssh, self._silence = ssh, patience.request

    def _open(self, service: str, path: str, version: int) -> Channel:
        quoted = "'" + (path.removeprefix("/") if path.startswith("/~") else path).replace("'", "'\\''") + "'"
        args, environ = self._ssh.arguments(f"git-{service} {quoted}", version=version)
        # Some servers read a push to its end before they answer.
        return ProgramChannel(args, environ, silence=self._silence, one_answer=service == "receive-pack")

    def end(self, client: GitClient) -> None:
        super().end(client)
        if isinstance(client, _ChannelClient) and client.channel is not None and client.channel.stuck:
            self._ssh.begin_anew()  # what is silent may be the connection that all share

    def close(self) -> None:
        self._ssh.close()


class _HttpClient(_Checked, AbstractHttpGitClient):
    """A client over http.

    Args:
        door: has the connections and the credentials.
    """

    def __init__(self, door: "_HttpDoor") -> None:
        super().__init__(door.base, dumb=False, thin_packs=False, quiet=True)
        self._door = door
        self._responses: list[Any] = []
        self.count = Counter()

    def _get_url(self, path: str | bytes) -> str:  # noqa: ARG002
        return self._door.base.rstrip("/") + "/"

    def _http_request(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: ARG002
    ) -> Any:
        response = self._door.request(url, dict(headers or {}), data)
        self._responses.append(response)
        source = io.BufferedReader(response, 256 * 1024)

        def read(size: int) -> bytes:
            piece = source.read(size)
            self.count.count(len(piece), size)
            return piece

        return response, read

    def end(self) -> None:
        """Close what was not read to its end; the connections of others are used again."""
        for response in self._responses:
            response.close()


class _HttpDoor(_Door):
    """http and https.

    Args:
        base: URL of the repository.
        credentials: for its origin.
        environ: variables: proxies and certificates.
        patience: how long to wait.

    Raises:
        InvalidInput: the settings are malformed.
    """

    def __init__(self, base: str, credentials: Credentials, environ: Mapping[str, str], patience: Patience) -> None:
        self.base = base
        self._origin = _origin(base)
        self._credentials = credentials
        settings: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=min(20.0, patience.request), read=patience.request),
            "retries": False,
            "maxsize": 16,
        }
        bundle = environ.get("GIT_SSL_CAINFO") or environ.get("SSL_CERT_FILE")
        if bundle:
            settings["ca_certs"] = bundle
        proxy = _proxy(base, environ)
        try:
            self._pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)
        except (ValueError, urllib3.exceptions.HTTPError) as exc:
            raise InvalidInput("the proxy is malformed", hint="see https_proxy and http_proxy") from exc

    def client(self) -> _HttpClient:
        return _HttpClient(self)

    def counter(self, client: GitClient) -> Counter:
        if not isinstance(client, _HttpClient):
            raise AssertionError("it was made here")
        return client.count

    def was_cut(self, client: GitClient) -> bool:
        return self.counter(client).ended

    def end(self, client: GitClient) -> None:
        if isinstance(client, _HttpClient):
            with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
                client.end()

    def close(self) -> None:
        self._pool.clear()

    def request(self, url: str, headers: dict[str, str], data: bytes | Iterator[bytes] | None) -> Any:
        """Ask, with credentials where the server wants them; follow redirections of the first question.

        Raises:
            RemoteDenied: it wants other credentials.
            RemoteError: it sends us elsewhere, or fails.
            NotFound: there is no repository.
        """
        headers |= {"User-Agent": "git/artvc", "Pragma": "no-cache"}
        asked = url
        for _ in range(_REDIRECTIONS):
            if _origin(url) != self._origin:
                raise RemoteError(
                    f"{self.base} leads to {_plain(url)}", hint="if you trust that host, use its address instead"
                )
            response = self._authorized(url, headers, data)
            if response.status not in (301, 302, 303, 307, 308) or data is not None:
                break
            url = urllib.parse.urljoin(url, response.headers.get("Location", ""))
            response.close()
            if self._origin[0] == "http" and _origin(url)[:2] == ("https", self._origin[1]):
                self._origin = _origin(url)  # to the same host, and safer
        else:
            raise RemoteError(f"{self.base} leads in a circle")
        self._check(response, url, is_first=data is None)
        response.content_type = response.headers.get("Content-Type")
        response.redirect_location = url if url != asked else ""
        response.auto_close = False  # the reader above is what comes to the end
        return response

    def _authorized(self, url: str, headers: dict[str, str], data: bytes | Iterator[bytes] | None) -> Any:
        sent = self._credentials.header()
        while True:
            own = {**headers, **({"Authorization": sent} if sent else {})}
            method = "GET" if data is None else "POST"
            response: Any = self._pool.request(
                method, url, headers=own, body=data, preload_content=False, redirect=False, retries=False,
                decode_content=False,
            )  # fmt: skip
            if response.status != 401:
                if sent and response.status == 200:
                    self._credentials.worked()
                return response
            response.close()
            sent = self._credentials.get(sent)
            if data is not None and not isinstance(data, bytes):
                raise ConnectionResetError("the server wants credentials now")  # the body is used up: begin anew

    def _check(self, response: Any, url: str, *, is_first: bool) -> None:
        status = response.status
        kind = str(response.headers.get("Content-Type", ""))
        if status == 200 and (not is_first or kind.startswith("application/x-git-")):
            return
        response.close()
        if status in (403, 407):
            raise RemoteDenied(f"{self.base}: {status}, not allowed", hint=HINT)
        if status in (404, 410) or status == 200:
            raise NotFound(f"there is no git repository {self.base}", hint="make it on the host first; is it private?")
        if status == 413:
            raise RemoteError(f"{_plain(url)}: the server takes no request of that size", hint="raise its limit")
        raise GitProtocolError(f"unexpected http resp {status}")


def _origin(url: str) -> tuple[str, str, int]:
    try:
        found = urllib.parse.urlsplit(url)
        port = found.port or (443 if found.scheme == "https" else 80)
    except ValueError:
        return "", "", 0
    return found.scheme, (found.hostname or "").lower(), port


def _proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for a URL, as the usual variables say."""
    scheme, host, _ = _origin(url)
    named = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy") and value}
    skipped = [one.strip().lower().lstrip(".") for one in named.get("no_proxy", "").split(",")]
    if any(one == "*" or (one and (host == one or host.endswith("." + one))) for one in skipped):
        return None
    return named.get(f"{scheme}_proxy") or named.get("all_proxy")
