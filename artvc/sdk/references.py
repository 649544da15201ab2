"""Things outside the repository that an artifact names by URI: noted when added, fetched and checked when restored.

``file``, ``http`` and ``https`` need nothing; ``s3``, ``gs``, ``az`` and their kin need fsspec and its driver.  What
is known of the content is one text, ``algorithm:value`` joined by ``;``: ``sha256`` and ``md5`` of bytes that were
read, ``etag`` as a server sent it.

What a URI of a pulled repository leads to is not to be trusted: a redirect never leaves http, only regular files are
read, nothing grows beyond the noted size, and a file gets its name only when it was found right.
"""

import base64
import hashlib
import os
import stat
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, NamedTuple

from artvc.errors import CommError, InvalidInput, LimitExceeded, NotFound, SourceError
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Entry, reference_entry
from artvc.repo import Repository
from artvc.sdk import digest

OBJECTS: Final = 10_000_000
UNKNOWN_SIZE_BYTES: Final = 64 * 1024**3  # a reference of unknown size may not fill the disk
ARTIFACT_SCHEMES: Final = frozenset({"artvc-artifact", "wandb-artifact"})
_HTTP: Final = frozenset({"http", "https"})
_REMOTE: Final = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "s3", "s3a"})
_BLOCK: Final = 1024 * 1024
_ETAG_BYTES: Final = 200
_ETAG_KEYS: Final = ("ETag", "etag", "md5Hash", "content_md5")
_VERSION_KEYS: Final = ("VersionId", "version_id", "generation")


class Seen(NamedTuple):
    """One object behind a URI.

    Attributes:
        path: below the URI; "" for the object itself.
        uri: its own.
        size: bytes; 0 where unknown.
        checksum: as it is stored.
    """

    path: str
    uri: str
    size: int
    checksum: str


class Missing(CommError, FileNotFoundError):
    """What a reference names is not there (any more)."""

    exit_code = 4
    kind = "not-found"


class Changed(InvalidInput):
    """What a reference names is not what it was when it was added."""


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case.  Raises InvalidInput for what is none."""
    scheme, colon, _ = uri.partition(":")
    if not colon or not scheme[:1].isalpha() or not all(one.isalnum() or one in "+.-" for one in scheme):
        raise InvalidInput(f"References must be URIs, not {uri!r:.200}", hint="write file:///path for a local file")
    return scheme.lower()


def look(uri: str, name: str | None, *, checksum: bool, max_objects: int | None) -> list[Entry]:
    """The entries that a URI stands for; the ``name`` of each is its path in the artifact.

    Args:
        uri: what to look at.
        name: where it goes in the artifact; None: the last part of the URI; of a directory, the root.
        checksum: read or ask for what tells a later change; False: note the URI alone, and look at nothing but the
            names in a directory.
        max_objects: most that a directory may have; None: 10,000,000.

    Raises:
        InvalidInput: no URI, credentials in it, no name for an unknown scheme.
        LimitExceeded: more objects than allowed.
        Missing: nothing is there.
        CommError: it can't be reached.
        SourceError: a file can't be read.
    """
    scheme = scheme_of(uri)
    _refuse_credentials(uri)
    limit = OBJECTS if max_objects is None else max_objects
    if scheme in _HTTP and not _host(uri):
        raise InvalidInput(f"not the URI of a server: {uri!r:.200}")
    if scheme == "file":
        seen = _local(uri, checksum, limit)
    elif scheme in _HTTP:
        seen = iter([_asked(uri) if checksum else Seen("", uri, 0, "")])
    elif scheme in _REMOTE and (checksum or name is None):
        seen = _remote(uri, checksum, limit)
    else:
        if name is None:
            raise InvalidInput(f"a reference to {uri!r:.200} needs a name", hint="pass name=")
        seen = iter([Seen("", uri, 0, "")])
    found: list[Entry] = []
    for one in seen:
        if len(found) >= limit:
            raise LimitExceeded(f"{uri!r:.200} has more than {limit} objects", hint="pass a larger max_objects=")
        path = one.path if name is None else "/".join(part for part in (name, one.path) if part)
        path = names.logical_path(path or _last(uri))
        entry = reference_entry(path.rpartition("/")[2], uri=one.uri, size=one.size, checksum=one.checksum)
        found.append(entry._replace(name=path))
    return found


def _last(uri: str) -> str:
    """The last part of the path of a URI.  Raises InvalidInput where there is none."""
    parts = urllib.parse.urlsplit(uri)
    base = urllib.parse.unquote(parts.path.rstrip("/").rpartition("/")[2])
    if not base or not (parts.netloc or parts.scheme == "file"):
        raise InvalidInput(f"a reference to {uri!r:.200} needs a name", hint="pass name=")
    return base


def _host(uri: str) -> str:
    return urllib.parse.urlsplit(uri).hostname or ""


def _refuse_credentials(uri: str) -> None:
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError as exc:
        raise InvalidInput(f"not a URI: {uri!r:.200}") from exc
    if "@" in parts.netloc and parts.scheme.lower() in _HTTP | _REMOTE and not parts.scheme.startswith("abfs"):
        raise InvalidInput(
            f"a reference to {parts.hostname!r} would store a user name or password",
            hint="leave out USER:PASSWORD@; keep credentials in ~/.netrc or the driver's own configuration",
        )


# -- files ------------------------------------------------------------------------------------------------


def local_path(uri: str) -> str:
    """The path of a ``file`` URI; percent-escapes are undone where the path as written does not exist."""
    path = uri.partition(":")[2]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        path = slash + rest if host in {"", "localhost"} else path[2:]
    return path if os.path.lexists(path) else urllib.parse.unquote(path)


def _local(uri: str, checksum: bool, limit: int) -> Iterator[Seen]:
    path = local_path(uri)
    if os.path.isfile(path):
        yield _local_file("", uri, path, checksum)
        return
    if not os.path.isdir(path):
        raise InvalidInput(f"no file or directory {path!r} for reference {uri!r:.200}")
    count = 0
    for directory, below, files in os.walk(path):
        below.sort()
        for file in sorted(files):
            disk = os.path.join(directory, file)
            if not os.path.isfile(disk):
                continue
            count += 1
            if count > limit:
                raise LimitExceeded(f"{uri!r:.200} has more than {limit} files", hint="pass a larger max_objects=")
            relative = os.path.relpath(disk, path).replace(os.sep, "/")
            yield _local_file(relative, f"{uri.rstrip('/')}/{relative}", disk, checksum)


def _local_file(relative: str, uri: str, disk: str, checksum: bool) -> Seen:
    if not checksum:
        return Seen(relative, uri, 0, "")
    try:
        with _regular(disk) as file:
            size, found = _hashes(iter(lambda: file.read(_BLOCK), b""))
    except OSError as exc:
        raise SourceError(f"cannot read {disk!r}: {exc.strerror}") from exc
    return Seen(relative, uri, size, found)


def _regular(path: str) -> IO[bytes]:
    """Open a file that is really one; a device or pipe has no end.  Raises OSError, Missing."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Missing(f"{path!r} is not a regular file")
    return os.fdopen(fd, "rb")


def _hashes(pieces: Iterable[bytes]) -> tuple[int, str]:
    """Size and checksum text of some bytes."""
    size = 0
    strong, weak = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        size += len(piece)
        strong.update(piece)
        weak.update(piece)
    return size, f"sha256:{strong.hexdigest()};md5:{weak.hexdigest()}"


# -- http -------------------------------------------------------------------------------------------------


def _asked(uri: str) -> Seen:
    """Ask a server what it has, by HEAD, or by a GET that is cut off where it does not know HEAD."""
    from artvc.sdk import web  # noqa: PLC0415 -- http is slow to import, and few need it

    try:
        with web.request(uri, "HEAD") as response:
            return _described(uri, response.headers)
    except Missing:
        raise
    except CommError as exc:
        if "HTTP" not in exc.message:
            raise
    with web.request(uri, "GET") as response:
        return _described(uri, response.headers)


def _described(uri: str, headers: Any) -> Seen:
    etag = headers.get("ETag") or ""
    length = headers.get("Content-Length") or ""
    known = etag and len(etag.encode()) <= _ETAG_BYTES and ";" not in etag
    return Seen("", uri, int(length) if length.isdecimal() else 0, f"etag:{etag}" if known else "")


# -- fsspec -----------------------------------------------------------------------------------------------


def _filesystem(uri: str) -> tuple[Any, str]:
    """The driver for a URI, and the path in it.  Raises InvalidInput where it is not installed."""
    if "::" in uri:
        raise InvalidInput(f"chained URIs are not followed: {uri!r:.200}")
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415, I001 -- optional

        filesystem, path = url_to_fs(uri)
    except ImportError as exc:
        raise InvalidInput(
            f"{uri!r:.200} can't be looked at: {exc}",
            hint="install fsspec and its driver (s3fs, gcsfs, adlfs), or pass name= and checksum=False",
        ) from exc
    filesystem.invalidate_cache()  # drivers are shared and remember listings; what is there now is asked for
    return filesystem, str(path)


def _remote(uri: str, checksum: bool, limit: int) -> Iterator[Seen]:
    filesystem, top = _filesystem(uri)
    base = uri.partition("?")[0].rstrip("/")
    with _driver_errors(uri):
        info = filesystem.info(top)
        if info.get("type") != "directory":
            yield _remote_file(filesystem, "", uri, info, checksum)
            return
        found = filesystem.find(top, detail=True)
        if len(found) > limit:
            raise LimitExceeded(f"{uri!r:.200} has more than {limit} objects", hint="pass a larger max_objects=")
        for path, one in sorted(found.items()):
            relative = path.removeprefix(top.rstrip("/")).lstrip("/")
            if one.get("size") and relative:  # empty objects stand for directories
                yield _remote_file(filesystem, relative, f"{base}/{relative}", one, checksum)


def _remote_file(filesystem: Any, relative: str, uri: str, info: dict[str, Any], checksum: bool) -> Seen:
    if not checksum:
        return Seen(relative, uri, 0, "")
    version = next((info[key] for key in _VERSION_KEYS if info.get(key)), None)
    if version and str(version) != "null" and uri.startswith("s3") and "versionId=" not in uri:
        uri += f"?versionId={urllib.parse.quote(str(version), safe='')}"
    etag = _etag(info)
    if etag:
        return Seen(relative, uri, int(info.get("size") or 0), f"etag:{etag}")
    with filesystem.open(info["name"], "rb") as file:
        size, found = _hashes(iter(lambda: file.read(_BLOCK), b""))
    return Seen(relative, uri, size, found)


def _etag(info: dict[str, Any]) -> str:
    found = next((info[key] for key in _ETAG_KEYS if info.get(key)), "")
    text = found.hex() if isinstance(found, bytes | bytearray) else str(found)
    return text if len(text.encode()) <= _ETAG_BYTES and ";" not in text else ""


@contextmanager
def _driver_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as exc:
        raise exc if isinstance(exc, Missing) else Missing(f"{uri!r:.200} is not there") from exc
    except OSError as exc:
        raise CommError(f"cannot reach {uri!r:.200}: {exc}") from exc


# -- what is known ----------------------------------------------------------------------------------------


def known(entry: Entry) -> dict[str, str]:
    """What is known of a reference's content, by algorithm."""
    pairs = (one.partition(":") for one in entry.checksum.split(";") if one)
    return {algorithm: value for algorithm, _, value in pairs}


def extra(entry: Entry) -> dict[str, Any]:
    """The part of it that W&B keeps as ``extra``."""
    found: dict[str, Any] = {}
    etag = known(entry).get("etag")
    if etag:
        found["etag"] = etag
    version = urllib.parse.parse_qs(entry.target.partition("?")[2]).get("versionId")
    if version:
        found["versionID"] = version[0]
    return found


def wandb_digest(entry: Entry) -> str:
    """The digest that W&B gives a reference."""
    found = known(entry)
    if "etag" in found:
        return found["etag"].strip('"')
    if "md5" in found:
        return base64.b64encode(bytes.fromhex(found["md5"])).decode()
    return digest.of_text(entry.target) if entry.target.startswith("file:") else entry.target


# -- fetching ---------------------------------------------------------------------------------------------


def can_fetch(entry: Entry) -> bool:
    """Whether the scheme of a reference is one that is followed."""
    return scheme_of(entry.target) in {"file", *_HTTP, *_REMOTE}


def fetch(entry: Entry, write: Callable[[bytes], object]) -> None:
    """Read what a reference names; it is right only if this returns.

    Args:
        entry: the reference.
        write: called with its bytes, piece by piece.

    Raises:
        Missing: it is not there.
        Changed: it is not what was noted.
        LimitExceeded: it is larger than noted, or of unknown size and larger than 64 GiB.
        CommError: it can't be reached.
    """
    uri, expected = entry.target, known(entry)
    limit = entry.size if entry.size or "sha256" in expected else UNKNOWN_SIZE_BYTES
    strong = hashlib.sha256()
    size = 0
    with _content(uri) as (pieces, etag):
        if "etag" in expected and etag and etag != expected["etag"]:
            raise Changed(f"{uri!r:.200} was changed: its ETag is {etag}, it was {expected['etag']}")
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise LimitExceeded(f"{uri!r:.200} has more than {limit} bytes")
            strong.update(piece)
            write(piece)
    if entry.size and size != entry.size:
        raise Changed(f"{uri!r:.200} was changed: it has {size} bytes, it had {entry.size}")
    if "sha256" in expected and strong.hexdigest() != expected["sha256"]:
        raise Changed(f"{uri!r:.200} was changed: it has other content than when it was added")
    if "etag" in expected and not etag:
        raise Changed(f"{uri!r:.200} has no ETag any more, so it can't be checked")


def has_content(path: str, entry: Entry) -> bool:
    """Whether a file has the bytes that were noted of a reference."""
    with open(path, "rb") as file:
        size, found = _hashes(iter(lambda: file.read(_BLOCK), b""))
    return size == entry.size and f"sha256:{known(entry).get('sha256')};" in found


@contextmanager
def _content(uri: str) -> Iterator[tuple[Iterator[bytes], str]]:
    """The bytes behind a URI and their ETag, "" where there is none."""
    scheme = scheme_of(uri)
    if scheme == "file":
        path = local_path(uri)
        try:
            file = _regular(path)
        except FileNotFoundError as exc:
            raise exc if isinstance(exc, Missing) else Missing(f"{path!r} is not there") from exc
        except OSError as exc:
            raise SourceError(f"cannot read {path!r}: {exc.strerror}") from exc
        with file:
            yield iter(lambda: file.read(_BLOCK), b""), ""
    elif scheme in _HTTP:
        from artvc.sdk import web  # noqa: PLC0415

        with web.request(uri, "GET") as response:
            yield iter(lambda: response.read(_BLOCK), b""), response.headers.get("ETag") or ""
    else:
        filesystem, path = _filesystem(uri)
        with _driver_errors(uri):
            info = filesystem.info(path)
            with filesystem.open(path, "rb") as stream:
                yield iter(lambda: stream.read(_BLOCK), b""), _etag(info)


# -- files of other artifacts -----------------------------------------------------------------------------


def artifact_uri(artifact: Id, path: str) -> str:
    """The URI of a file of an artifact."""
    return f"artvc-artifact://{artifact.hex()}/{urllib.parse.quote(path, safe='/', errors='surrogateescape')}"


def parse_artifact_uri(repo: Repository, uri: str, project: str | None) -> tuple[str, str]:
    """The version, as ``project/name:vN``, and the path in it that such a URI names.

    Args:
        repo: where to look.
        uri: ``artvc-artifact://`` or ``wandb-artifact://``, then the artifact's id or ``[project/]name:vN``, then the
            file's path.
        project: for names without one.

    Raises:
        InvalidInput: it names no file.
        NotFound: no version has that id or name.
    """
    rest = by_id(repo, uri.partition("://")[2])
    found = repo.resolve(urllib.parse.unquote(rest, errors="surrogateescape"), project=project)
    if not found.path:
        raise InvalidInput(f"{uri!r:.200} names no file", hint="end it with /PATH")
    return found.version.qualified, found.path


def by_id(repo: Repository, text: str) -> str:
    """A reference whose artifact may be given by its whole id, with ``project/name:vN`` in its place.

    Raises:
        NotFound: no version has that id (any more).
    """
    head, slash, path = text.partition("/")
    if len(head) != 64 or set(head) - set("0123456789abcdef"):
        return text
    wanted = Id.parse(head)
    name = repo.artifact(wanted).name
    for owner in repo.projects():
        for version in repo.versions(owner, name):
            if version.artifact_id == wanted and version.source is None:
                return version.qualified + slash + path
    raise NotFound(f"the version of artifact {name!r} with id {head[:12]} was deleted")
