"""Objects in a bucket: the one door to obstore, which speaks to S3 and its likes, Google Cloud Storage and Azure.

obstore works on a runtime of its own.  Here it is asked from an event loop in a thread, so that whoever waits can be
interrupted, every wait has an end, and many requests run at once without many threads.  The runtime does not survive
a fork: a forked child would wait for ever, so it gets an error.

obstore itself repeats requests that failed in passing (no connection, 5xx, 429) with growing, jittered pauses.  What
it leaves is done here: bodies that end too early are asked for again from where they ended, a creation that was
refused because another was under way is tried again, and a creation whose reply was lost is recognised by what is
there.

What a server says is not trusted: sizes are checked before bytes are taken, no answer may be endless, and of error
texts only what is known to be harmless gets into messages.
"""

import asyncio
import configparser
import contextlib
import os
import random
import re
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from artvc.errors import ArtvcError, Damaged, InvalidInput, NotFound, RemoteDenied, RemoteError

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = AzureStore | GCSStore | S3Store

T = TypeVar("T")

SCHEMES: Final = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}
LISTED: Final = 1_000_000  # keys in one listing
_PIECE: Final = 1024 * 1024
_COMPARED: Final = 64 * 1024
_CONFIG_BYTES: Final = 1024 * 1024
_UNANSWERED: Final = 4  # tries of a request whose answer does not come
_NEVER: Final = timedelta(days=1)

# What is taken from the environment, by scheme; the names are those of the vendors' own tools.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_SKIP_SIGNATURE",
        "AWS_REQUEST_PAYER", "AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_KMS_KEY_ID", "AWS_CHECKSUM_ALGORITHM",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_METADATA_ENDPOINT",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN", "GOOGLE_BASE_URL", "GOOGLE_SKIP_SIGNATURE",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_TOKEN", "AZURE_STORAGE_ENDPOINT",
        "AZURE_STORAGE_USE_EMULATOR", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID",
        "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST", "AZURE_USE_AZURE_CLI", "AZURE_SKIP_SIGNATURE",
    ),
}  # fmt: skip
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT")
_CREDENTIALS: Final[Mapping[str, str]] = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile of ~/.aws/credentials",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}


def variables(scheme: str) -> tuple[str, ...]:
    """The names of what is taken from the environment for a scheme."""
    return _VARIABLES[scheme]


_STATUS = re.compile(r"status code: ([0-9]{3}(?: [A-Za-z]{1,20}){1,4})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_KIND = re.compile(r"kind: (Connect|Timeout|Interrupted|Decode)")
_TRIED = re.compile(r"after ([0-9]{1,3}) retries, max_retries: ([0-9]{1,3})")
_KINDS: Final = {
    "Connect": "no connection",
    "Timeout": "no answer in time",
    "Interrupted": "the connection was cut",
    "Decode": "the answer is garbled",
}
_KNOWN: Final = (  # parts of obstore's messages, and how they are said here
    ("Requested ", "the answer is another range than was asked for"),
    ("non-partial response", "the answer is not the range that was asked for"),
    ("Content-Length Header missing", "the answer has no length"),
    ("Received redirect", "the bucket is elsewhere: is the region right?"),
    ("error sending request", "no answer"),
    ("invalid path", "there is a key with empty parts, '.' or '..', which can't be listed: remove it"),
)
_DENIED: Final[Mapping[str, str | None]] = {
    "AccessDenied": None,
    "AuthorizationHeaderMalformed": "is the region right? set AWS_REGION",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidAccessKeyId": None,
    "InvalidToken": None,
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "SignatureDoesNotMatch": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to get at buckets of one scheme; never stored, and never shown.

    Attributes:
        options: for obstore, by the names of the environment variables.
        certificates: PEM text of authorities to trust beside the system's.
    """

    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificates: bytes = field(default=b"", repr=False)

    @classmethod
    def from_environment(cls, scheme: str, environ: Mapping[str, str]) -> "Access":
        """What the environment says, and for S3 the files of its tools.

        Args:
            scheme: ``s3``, ``gs`` or ``az``.
            environ: the variables.

        Raises:
            InvalidInput: a file that it names can't be read.
        """
        options = {name: environ[name] for name in _VARIABLES[scheme] if environ.get(name)}
        if scheme == "s3":
            for name, value in _profile(environ).items():
                options.setdefault(name, value)
            endpoint = options.get("AWS_ENDPOINT_URL_S3") or options.get("AWS_ENDPOINT_URL")
            if endpoint is not None:
                options["AWS_ENDPOINT_URL"] = options["AWS_ENDPOINT_URL_S3"] = endpoint
        bundle = environ.get("AWS_CA_BUNDLE") if scheme == "s3" else None
        return cls(options=options, certificates=_read(Path(bundle)) if bundle else b"")


def _profile(environ: Mapping[str, str]) -> dict[str, str]:
    """What the files of the AWS tools say of the chosen profile; nothing where the environment has keys."""
    if environ.get("AWS_ACCESS_KEY_ID") or not environ.get("HOME"):
        return {}
    home, name = Path(environ["HOME"]) / ".aws", environ.get("AWS_PROFILE") or "default"
    found: dict[str, str] = {}
    for path, section in (
        (Path(environ.get("AWS_CONFIG_FILE") or home / "config"), name if name == "default" else f"profile {name}"),
        (Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"), name),
    ):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(_read(path).decode())
        except (configparser.Error, UnicodeDecodeError) as exc:
            raise InvalidInput(f"{path} is not a file of profiles") from exc
        if parser.has_section(section):
            found |= parser.items(section)
    names = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
    options = {key.upper(): value for key, value in found.items() if key in names and value}
    options |= {f"AWS_{key.upper()}": found[key] for key in ("region", "endpoint_url") if found.get(key)}
    if environ.get("AWS_PROFILE") and not found:
        raise InvalidInput(f"there is no AWS profile {name[:80]!r}", hint="see AWS_PROFILE and ~/.aws")
    return options


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_CONFIG_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to try.

    Attributes:
        tries: of a request, and of a body that gets no further.
        first, longest: pause between them, seconds; each is twice the one before, jittered.
        request: seconds for one try of a small request, and for the next bytes of a body.
        whole: seconds for a request with all its tries.
        slowest: bytes a second; an upload that is slower counts as stuck.
    """

    tries: int = 10
    first: float = 0.1
    longest: float = 60.0
    request: float = 20.0
    whole: float = 180.0
    slowest: float = 64 * 1024

    def pause(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt, counted from 0."""
        return random.uniform(0.5, 1.0) * min(self.longest, self.first * 2.0 ** min(attempt, 30))


_forked_from: int | None = None


class ObjectStore:
    """The objects of a bucket.  Methods may be called from many threads.

    Args:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: its name.
        access: credentials and endpoint.
        patience: how long to try.

    Raises:
        InvalidInput: the access is malformed, or obstore is not installed.
    """

    def __init__(self, scheme: str, bucket: str, access: Access, patience: Patience | None = None) -> None:
        self.name = f"{scheme}://{bucket}"
        self._scheme = scheme
        self._bucket = bucket
        self._access = access
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        try:
            import obstore  # noqa: PLC0415 -- an extra
        except ImportError as exc:
            raise InvalidInput(
                f"{self.name} needs the library obstore, which is not installed", hint="pip install 'artvc[s3]'"
            ) from exc
        self._obstore = obstore
        limit = timedelta(seconds=self._patience.request)
        self._quick = self._open(timeout=limit)
        self._reading = self._open(timeout=_NEVER, read_timeout=limit)
        self._writing = self._open(timeout=_NEVER)

    def _open(self, **limits: timedelta) -> "Store":
        from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415

        patience, options = self._patience, dict(self._access.options)
        plain = any(options.get(name, "").startswith("http://") for name in _ENDPOINTS)
        kind: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[self._scheme]
        client: dict[str, Any] = {
            "allow_http": plain or bool(options.get("AZURE_STORAGE_USE_EMULATOR")),
            "connect_timeout": timedelta(seconds=min(10.0, patience.request)),
            **limits,
            "user_agent": "artvc",
        }
        if self._access.certificates:
            client["root_certificate"] = self._access.certificates
        if self._scheme == "s3":
            options["AWS_DISABLE_BULK_DELETE"] = "true"
        try:
            return kind(  # type: ignore[no-any-return]
                self._bucket,
                config={name.lower(): value for name, value in options.items()},
                client_options=client,
                retry_config={
                    "max_retries": patience.tries - 1,
                    "retry_timeout": timedelta(seconds=patience.whole),
                    "backoff": {
                        "init_backoff": timedelta(seconds=patience.first),
                        "max_backoff": timedelta(seconds=patience.longest),
                        "base": 2,
                    },
                },
            )
        except (self._obstore.exceptions.BaseError, ValueError) as exc:
            raise InvalidInput(f"{self.name}: the settings are malformed", hint=_CREDENTIALS[self._scheme]) from exc

    # -- what there is to do ------------------------------------------------------------------------------

    def get(self, key: str, *, limit: int) -> bytes | None:
        """A whole object, or None.  Raises Damaged where it has more bytes than ``limit``."""
        return self._wait(self.start_get(key, limit=limit))

    def start_get(self, key: str, *, limit: int) -> "Future[bytes | None]":
        """As :meth:`get`, in the background."""
        return self._start(self._get(key, limit))

    def create(self, key: str, body: bytes) -> bool:
        """Make an object that nobody has made; False: it is there with other bytes.

        Raises:
            RemoteError: also where it is not known whether it was made.
        """
        return self._wait(self.start_create(key, body))

    def start_create(self, key: str, body: bytes) -> "Future[bool]":
        """As :meth:`create`, in the background."""
        return self._start(self._create(key, body))

    def replace(self, key: str, body: bytes) -> None:
        """Make an object, whatever is there."""
        self._wait(self._start(self._replace(key, body)))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._wait(self._start(self._delete(key)))

    def has(self, key: str, size: int, end: bytes) -> bool | None:
        """Whether an object of that size ends with these bytes; None where there is none."""
        return self._wait(self._start(self._has(key, size, end)))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[tuple[str, int]]:
        """Keys below a prefix and their sizes, as the server says.

        Args:
            prefix: without the slash at its end.
            after: only keys that come after this one.

        Raises:
            NotFound: there is no such bucket.
            Damaged: the listing repeats itself, or has no end.
        """
        seen: set[str] = set()
        again: set[str] = set()  # what comes a second time because the listing was begun anew
        attempt, stream = 0, self._obstore.list(self._quick, prefix, offset=after, chunk_size=1000)
        while True:
            try:
                page = self._wait(self._start(self._next_page(stream)))
            except _Unanswered as exc:
                attempt += 1
                if attempt == _UNANSWERED or isinstance(exc.__cause__, TimeoutError):
                    raise
                again, stream = set(seen), self._obstore.list(self._quick, prefix, offset=after, chunk_size=1000)
                continue
            if page is None:
                return
            for one in page:
                key = one["path"]
                if key in again:
                    again.remove(key)
                    continue
                if key in seen or len(seen) >= LISTED:
                    raise Damaged(f"{self.name} lists {'a key twice' if key in seen else 'too many keys'}")
                seen.add(key)
                yield key, one["size"]

    def read(self, key: str, start: int, end: int | None) -> Generator[bytes]:
        """The bytes of an object from ``start`` to ``end`` (its end where None), in pieces.

        The first request is made when the first piece is asked for.

        Raises:
            FileNotFoundError: there is no such object.
            Damaged: it has not so many bytes.
        """
        at, stop, attempt = start, end, 0
        while stop is None or at < stop:
            try:
                found, size = self._wait(self._start(self._open_body(key, at, stop)))
                if stop is None:
                    stop = size
                while at < stop:
                    piece = self._wait(self._start(self._next_piece(found)))
                    piece = piece[: stop - at]
                    at, attempt = at + len(piece), 0
                    yield piece
            except _Cut as exc:
                attempt += 1
                if attempt >= self._patience.tries:
                    raise exc.failure from exc
                self._wait(self._start(asyncio.sleep(self._patience.pause(attempt - 1))))

    def close(self) -> None:
        """End what is under way."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or _forked_from != os.getpid():
            return
        with contextlib.suppress(ArtvcError):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    # -- in the event loop --------------------------------------------------------------------------------

    async def _get(self, key: str, limit: int) -> bytes | None:
        attempt = 0
        while True:
            try:
                found, size = await self._open_body(key, 0, None)
                if size > limit:
                    raise Damaged(f"{self.name}/{key} has {size} bytes, more than the {limit} that it may have")
                pieces, length = [], 0
                while length < size:
                    pieces.append(await self._next_piece(found))
                    length += len(pieces[-1])
                return b"".join(pieces)[:size]
            except FileNotFoundError:
                return None
            except _Cut as exc:
                attempt += 1
                if attempt >= self._patience.tries:
                    raise exc.failure from exc
                await asyncio.sleep(self._patience.pause(attempt - 1))

    async def _open_body(self, key: str, start: int, end: int | None) -> tuple[Any, int]:
        """A stream of the bytes from ``start``, and where it ends."""
        options: Any = {}
        if end is not None:
            options = {"range": (start, end)}
        elif start:
            options = {"range": {"offset": start}}
        result = await self._ask(lambda: self._obstore.get_async(self._reading, key, options=options))
        size = result.meta["size"]
        if end is not None and end > size:
            raise Damaged(f"{self.name}/{key} has only {size} bytes")
        if tuple(result.range) != (start, size if end is None else end):
            raise Damaged(f"{self.name}/{key}: the answer is another range than was asked for")
        return result.stream(_PIECE), size if end is None else end

    async def _next_piece(self, stream: Any) -> bytes:
        try:
            async with asyncio.timeout(2 * self._patience.request):
                return bytes(await anext(stream))
        except StopAsyncIteration as exc:
            raise _Cut(RemoteError(f"{self.name}: an answer was too short", hint="try again")) from exc
        except (self._obstore.exceptions.BaseError, TimeoutError) as exc:
            raise _Cut(self._failure(exc)) from exc

    async def _next_page(self, stream: Any) -> Any:
        try:
            return await self._timed(anext(stream), 4 * self._patience.request)
        except StopAsyncIteration:
            return None
        except FileNotFoundError as exc:
            raise self._no_bucket() from exc

    async def _create(self, key: str, body: bytes) -> bool:
        for attempt in range(self._patience.tries):
            try:
                await self._put(key, body, "create")
            except self._obstore.exceptions.AlreadyExistsError:
                # It may be ours: the reply to a first try was lost.  And it may not be there: others are at it.
                same = await self._has(key, len(body), body[-_COMPARED:])
                if same is not None:
                    return same
                await asyncio.sleep(self._patience.pause(attempt))
            else:
                return True
        raise RemoteError(f"{self.name}: others kept creating {key}", hint="try again")

    async def _replace(self, key: str, body: bytes) -> None:
        await self._put(key, body, "overwrite")

    async def _delete(self, key: str) -> None:
        await self._ask(lambda: self._obstore.delete_async(self._quick, key))

    async def _put(self, key: str, body: bytes, mode: Any) -> None:
        small = len(body) <= _PIECE
        store = self._quick if small else self._writing
        seconds = self._patience.whole if small else self._patience.request + len(body) / self._patience.slowest
        try:
            await self._ask(
                lambda: self._obstore.put_async(store, key, body, mode=mode, use_multipart=False),
                seconds=seconds,
                passing=(self._obstore.exceptions.AlreadyExistsError,),
                late=not small,
            )
        except FileNotFoundError as exc:
            raise self._no_bucket() from exc

    async def _has(self, key: str, size: int, end: bytes) -> bool | None:
        try:
            meta = await self._ask(lambda: self._obstore.head_async(self._quick, key))
        except FileNotFoundError:
            return None
        if meta["size"] != size or not end:
            return bool(meta["size"] == size)
        start = size - len(end)
        found = await self._ask(lambda: self._obstore.get_range_async(self._quick, key, start=start, end=size))
        return bytes(found) == end

    async def _ask(
        self,
        request: Callable[[], Any],
        *,
        seconds: float | None = None,
        passing: tuple[type[Exception], ...] = (),
        late: bool = False,
    ) -> Any:
        """The answer to a request, which is made again when the connection ends before it comes.

        Args:
            request: makes it; all that are made here may be repeated.
            seconds: for one try.
            passing: failures that are an answer, beside FileNotFoundError.
            late: whether no answer in time is a reason to try again.
        """
        for attempt in range(_UNANSWERED):
            try:
                return await self._timed(request(), seconds or self._patience.whole, passing)
            except _Unanswered as exc:
                if attempt + 1 == _UNANSWERED or (isinstance(exc.__cause__, TimeoutError) and not late):
                    raise
                await asyncio.sleep(self._patience.pause(attempt))
        raise AssertionError("unreachable")

    async def _timed(self, asked: Any, seconds: float, passing: tuple[type[Exception], ...] = ()) -> Any:
        """What is awaited; failures come out as the error family, but for missing objects and ``passing``."""
        try:
            async with asyncio.timeout(seconds):
                return await asked
        except FileNotFoundError:
            raise
        except passing:
            raise
        except (self._obstore.exceptions.BaseError, TimeoutError, ValueError) as exc:
            raise self._failure(exc) from exc

    # -- the loop and its thread --------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        global _forked_from  # noqa: PLW0603 -- it is a fact about the process
        with self._lock:
            if _forked_from not in (None, os.getpid()):
                work.close()
                raise RemoteError(
                    f"{self.name} can't be used in a process that was forked from one that used a bucket",
                    hint="start such processes with multiprocessing's method 'spawn', or 'forkserver'",
                )
            _forked_from = os.getpid()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=f"artvc {self.name}", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    @staticmethod
    def _wait(future: "Future[T]") -> T:
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    # -- what went wrong ----------------------------------------------------------------------------------

    def _no_bucket(self) -> NotFound:
        return NotFound(f"there is no bucket {self.name}", hint="make it first, or check its name")

    def _failure(self, exc: Exception) -> ArtvcError:
        """What obstore says, as the error family says it, without anything that a server or a secret put in."""
        text = str(exc)
        status, code, kind = _STATUS.search(text), _CODE.search(text), _KIND.search(text)
        named = code[1] if code else ""
        if status and status[1].startswith("404"):
            return self._no_bucket()
        if isinstance(exc, TimeoutError):
            said = "no answer in time"
        elif status:
            said = f"{status[1]}{f' ({named})' if named else ''}"
        elif kind:
            said = _KINDS[kind[1]]
        else:
            said = next((words for part, words in _KNOWN if part in text), "the request failed")
        denied = (self._obstore.exceptions.PermissionDeniedError, self._obstore.exceptions.UnauthenticatedError)
        refused = status is not None and status[1][:3] in ("401", "403")
        if isinstance(exc, denied) or refused or named in _DENIED:
            return RemoteDenied(f"{self.name}: {said}", hint=_DENIED.get(named) or _CREDENTIALS[self._scheme])
        if "169.254.169.254" in text or "metadata.google" in text:  # the last place where credentials are looked for
            return RemoteDenied(f"{self.name}: no credentials", hint=_CREDENTIALS[self._scheme])
        if any(part in text for part, _ in _KNOWN[:3]):
            return Damaged(f"{self.name}: {said}")
        tried = _TRIED.search(text)
        done = tried is not None and tried[1] == tried[2]
        broken = isinstance(exc, TimeoutError) or "error sending request" in text or "body error" in text
        unanswered = broken and not done and not (kind and kind[1] == "Connect")
        return (_Unanswered if unanswered else RemoteError)(
            f"{self.name}: {said}", hint="check endpoint and network, then try again"
        )


class _Unanswered(RemoteError):
    """No answer came, or none that was whole: it may have been done or not, and may be tried again."""


class _Cut(Exception):  # noqa: N818 -- it never leaves this file
    """A body ended too early.

    Args:
        failure: what to raise in the end.
    """

    def __init__(self, failure: ArtvcError) -> None:
        super().__init__(failure.message)
        self.failure = failure


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
