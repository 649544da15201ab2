"""Where a remote is: what a URL or path means, and the remote behind it.

    s3://BUCKET/PREFIX  gs://  az://                   a bucket
    https://  http://  ssh://  git://  HOST:PATH       a git host
    PATH  file://PATH                                  what is there: a git repository, else a directory
    git+URL                                            git, whatever is there

A directory that holds both ``.git`` and ``.artvc`` is another checkout, and a directory for that reason; ``git+file://``
means the git repository in it.

An address may come from a stranger's readme: what could be taken for an option, a program or a line of its own is
refused, and so are secrets, which would be stored and shown.
"""

import enum
import importlib
import os
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from artvc.errors import InvalidInput
from artvc.remotes.base import Remote
from artvc.repo import DIRECTORY
from artvc.store.fsio import Disk

BUCKETS: Final = ("s3", "gs", "az")
HOSTS: Final = ("https", "http", "ssh", "git")
_LENGTH: Final = 2048
_PREFIX_BYTES: Final = 512
_TOKEN: Final = 30  # a user name this long is a token
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)\Z", re.DOTALL)
_SCP = re.compile(r"(?:(?P<user>[^@:/]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/\[\]]+):(?P<path>[^/].*|/.*)\Z", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?\Z|[0-9a-f:.]+\Z")
_USER = re.compile(r"[A-Za-z0-9_.][^\s/@:'\"`$\\]*\Z")
_REFUSED: Final = {"Cc", "Cs", "Zl", "Zp"}
_TURNING: Final = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class RemoteKind(enum.Enum):
    """What a remote is made of."""

    GIT = "git"
    BUCKET = "bucket"
    DIRECTORY = "directory"


# Each of these rooms has ``connect(address, surroundings)``.
_ROOMS: Final[Mapping[RemoteKind, str]] = {
    RemoteKind.GIT: "artvc.remotes.git",
    RemoteKind.BUCKET: "artvc.remotes.bucket",
    RemoteKind.DIRECTORY: "artvc.remotes.directory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a remote is.

    Attributes:
        kind: what it is made of.
        url: in one form, fit to be stored and shown; of a directory, its absolute path.
        path: of a directory, or of a git repository on this machine.
        scheme, bucket, prefix: of a bucket.
    """

    kind: RemoteKind
    url: str
    path: Path | None = None
    scheme: str = ""
    bucket: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a remote may use of the machine and the process that it works in.

    Attributes:
        disk: the door to files.
        scratch: directory for temporary files.
        environ: variables: credentials, endpoints, programs.
    """

    disk: Disk
    scratch: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


def open_remote(address: Address, surroundings: Surroundings) -> Remote:
    """The remote at an address; nothing is asked of it yet.

    Raises:
        InvalidInput: a library or a setting that it needs is missing or malformed.
    """
    room = importlib.import_module(_ROOMS[address.kind])
    connect = cast("Callable[[Address, Surroundings], Remote]", room.connect)
    return connect(address, surroundings)


def variables(address: Address) -> Sequence[str]:
    """The names of the variables of the environment that say how an address is reached."""
    if address.kind != RemoteKind.BUCKET:
        return ()
    room = importlib.import_module("artvc.remotes.object_store")
    return cast("Sequence[str]", room.variables(address.scheme))


def parse(text: str, *, base: Path) -> Address:
    """What an address means.

    Args:
        text: as the user or the configuration gives it.
        base: absolute; what relative paths start from.

    Raises:
        InvalidInput: it means nothing here, or something that is refused.
    """
    _check_text(text)
    forced = text.startswith("git+")
    rest = text.removeprefix("git+")
    url = _URL.match(rest)
    if url is None:
        if forced:
            raise _invalid(text, "git+ stands before a URL", hint="for a path write git+file:///PATH")
        return _scp(text) or _local(text, base / text)
    scheme = url[1].lower()
    if scheme == "file":
        return _local(text, _file_path(text, url[2]), git=forced)
    if scheme in HOSTS:
        return _host(text, scheme, rest)
    if scheme in BUCKETS and not forced:
        return _bucket(text, scheme, url[2])
    raise _invalid(text, "unknown scheme", hint=f"known are {', '.join((*BUCKETS, *HOSTS, 'file'))} and paths")


def _invalid(text: str, why: str, *, hint: str | None = None) -> InvalidInput:
    shown = "".join(sign if sign.isprintable() else "?" for sign in text[:120])
    # What stands before an @ may be a password.
    return InvalidInput(f"not an address of a remote: {re.sub(r'//[^/]*@', '//...@', shown)!r}: {why}", hint=hint)


def _check_text(text: str) -> None:
    if not text or text != text.strip() or len(text) > _LENGTH:
        raise _invalid(text, f"it must have 1 to {_LENGTH} characters, no space at its ends")
    if any(unicodedata.category(sign) in _REFUSED or sign in _TURNING for sign in text):
        raise _invalid(text, "it has control characters")
    if text.startswith("-"):
        raise _invalid(text, "it looks like an option", hint="write ./-NAME for such a path")
    if _HELPER.match(text):
        raise _invalid(text, "helper programs are not run")


def _file_path(text: str, rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise _invalid(text, "a file URL is file:///PATH, on this machine")
    try:
        found = urllib.parse.unquote(slash + path, errors="strict")
    except UnicodeDecodeError as exc:
        raise _invalid(text, "its path is not UTF-8") from exc
    _check_text(found)
    return Path(found)


def _local(text: str, path: Path, *, git: bool = False) -> Address:
    # Without resolving links: an address means what is there when it is used.
    path = Path(os.path.normpath(path))
    if "\0" in str(path):
        raise _invalid(text, "it has control characters")
    if git or (not (path / DIRECTORY).exists() and _is_git(path)):
        return Address(
            kind=RemoteKind.GIT, url=f"git+file://{urllib.parse.quote(str(path))}" if git else str(path), path=path
        )
    return Address(kind=RemoteKind.DIRECTORY, url=str(path), path=path)


def _is_git(path: Path) -> bool:
    """Whether a git repository is there, with or without a working tree, or by its name is meant to be."""
    bare = (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()
    return bare or (path / ".git").exists() or (path.suffix == ".git" and not path.exists())


def _check_host(text: str, user: str | None, host: str | None, path: str) -> None:
    if not host or not _HOST.match(host.strip("[]").lower()):
        raise _invalid(text, "it has no proper host")
    if user is not None and not _USER.match(user):
        raise _invalid(text, "its user name is malformed")
    if path.lstrip("/").startswith("-") or not path.strip("/"):
        raise _invalid(text, "it has no proper path")


def _scp(text: str) -> Address | None:
    """An address of ssh's short form; as git has it, a slash before the first colon makes it a path."""
    found = _SCP.match(text)
    if found is None:
        return None
    _check_host(text, found["user"], found["host"], found["path"])
    return Address(kind=RemoteKind.GIT, url=text)


def _host(text: str, scheme: str, rest: str) -> Address:
    try:
        url = urllib.parse.urlsplit(rest)
        user, password, host, port = url.username, url.password, url.hostname, url.port
    except ValueError as exc:
        raise _invalid(text, "it is malformed") from exc
    _check_host(text, user, host, url.path)
    if password is not None or (user is not None and scheme != "ssh" and len(user) >= _TOKEN):
        raise _invalid(text, "it has a password or token in it", hint="'git credential' or the environment keeps those")
    if url.query or url.fragment or port == 0:
        raise _invalid(text, "it has more than host, port and path")
    return Address(kind=RemoteKind.GIT, url=f"{scheme}://{url.netloc}{url.path}")


def _bucket(text: str, scheme: str, rest: str) -> Address:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        raise _invalid(text, "credentials and ports have no place in it", hint="the environment keeps those")
    if not _BUCKET.match(bucket):
        raise _invalid(text, "it has no proper bucket")
    prefix = prefix.rstrip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")[: None if prefix else 0]):
        raise _invalid(text, "its prefix has empty parts, or '.' or '..'")
    if len(prefix.encode()) > _PREFIX_BYTES:
        raise _invalid(text, f"its prefix has more than {_PREFIX_BYTES} bytes")
    url = f"{scheme}://{bucket}/{prefix}" if prefix else f"{scheme}://{bucket}"
    return Address(kind=RemoteKind.BUCKET, url=url, scheme=scheme, bucket=bucket, prefix=prefix)
