"""Where a run came from: git commit, program, interpreter, machine, author.

Only facts that help to repeat a run are kept; no environment variables, and no credentials from URLs.
"""

import contextlib
import functools
import getpass
import io
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from artvc.model.objects import Json, JsonObject
from artvc.settings import Settings

if TYPE_CHECKING:
    from dulwich.objects import ObjectID
    from dulwich.repo import Repo as GitRepo

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_DIRTY_LIMIT: Final = 20_000
_PATCH_BYTES: Final = 256 * 1024
_PATCH_FILE_BYTES: Final = 256 * 1024  # a larger text takes seconds to compare
_UNREADABLE: Final = -1
_ARGUMENTS: Final = 1000
_ARGUMENT_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What is known about the code and the surroundings of a run, as JSON objects."""

    code: JsonObject
    environment: JsonObject


def author(settings: Settings) -> JsonObject:
    """Name and e-mail of the author: as set, else the user's and the machine's name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name in the password file, as in many containers
        user = "unknown"
    return {
        "email": settings.author_email or f"{user}@{_host()}",
        "name": settings.author_name or user,
    }


def signed(author: JsonObject) -> str:
    """An author as the ref log names one: ``Ada <ada@example.com>``."""
    return f"{author.get('name', '')} <{author.get('email', '')}>".strip()


def signature(settings: Settings) -> str:
    """Who changes names, for the ref log."""
    return signed(author(settings))


def capture(directory: Path, argv: Sequence[str], *, environment: bool = True) -> Provenance:
    """Look at the surroundings.

    Args:
        directory: where the work is done; its git repository is looked at, if it has one.
        argv: the command line.
        environment: whether to list the installed packages.
    """
    arguments: list[Json] = [_printable(one) for one in argv[:_ARGUMENTS]]
    code: JsonObject = {"argv": arguments, "directory": _printable(str(directory))}
    git = _git_directory(directory)
    if git is not None:
        code["git"] = _git_facts(git)
    found: JsonObject = {
        "executable": _printable(sys.executable),
        "host": _host(),
        "platform": _platform(),
        "python": sys.version.split()[0],
    }
    if environment:
        found["packages"] = dict(_packages())
    return Provenance(code=code, environment=found)


def _host() -> str:
    """The machine's name."""
    return os.uname().nodename


def _platform() -> str:
    """System, release, processor and C library (``platform.platform()`` starts a process to find the same)."""
    system = os.uname()
    libc = ""
    with contextlib.suppress(ValueError, OSError):
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    return "-".join(filter(None, (system.sysname, system.release, system.machine, libc)))


def _printable(text: str) -> str:
    """Text that is valid Unicode and of bounded length, without credentials."""
    clean = _CREDENTIALS.sub("", text).encode("utf-8", "backslashreplace").decode()
    return clean[:_ARGUMENT_CHARACTERS]


@functools.cache
def _packages() -> dict[str, Json]:
    """Installed distributions and their versions."""
    import importlib.metadata  # noqa: PLC0415 -- 15 ms, only for runs

    found: dict[str, Json] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.name
        if isinstance(name, str):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def _git_directory(start: Path) -> Path | None:
    """The nearest directory at or above that holds a git repository."""
    for directory in (start, *start.parents):
        if (directory / ".git").exists():
            return directory
    return None


def _git_facts(root: Path) -> JsonObject:
    """Commit, branch, origin, and how tracked files differ from the commit; {} where git can't be read."""
    from dulwich.errors import NotGitRepository  # noqa: PLC0415 -- 60 ms that only git users pay
    from dulwich.refs import HEADREF  # noqa: PLC0415
    from dulwich.repo import Repo as GitRepo  # noqa: PLC0415

    facts: JsonObject = {"root": _printable(str(root))}
    try:
        with GitRepo(str(root)) as git:
            chain, head = git.refs.follow(HEADREF)
            if head is not None:
                facts["commit"] = head.decode("ascii")
                changed = _changed(git, root, head)
                facts["dirty"] = None if changed is None else bool(changed)
                if changed:
                    facts |= _patch(git, root, head, changed)
            if len(chain) > 1:
                facts["branch"] = _printable(os.fsdecode(chain[-1]).removeprefix("refs/heads/"))
            origin = git.get_config().get((b"remote", b"origin"), b"url")
            facts["origin"] = _printable(os.fsdecode(origin))
            return facts
    except KeyError:  # no origin
        return facts
    except (NotGitRepository, OSError, ValueError, AssertionError):
        return {}


def _tree_of(git: "GitRepo", head: "ObjectID") -> "ObjectID | None":
    from dulwich.objects import Commit  # noqa: PLC0415

    commit = git[head]
    return commit.tree if isinstance(commit, Commit) else None


def _index_count(path: str) -> int:
    """How many entries git says that its index has (gitformat-index: magic, version and number, of 4 bytes each)."""
    try:
        with open(path, "rb") as file:
            return int.from_bytes(file.read(12)[8:], "big")
    except FileNotFoundError:  # nothing was ever added
        return 0


def _changed(git: "GitRepo", root: Path, head: "ObjectID") -> set[bytes] | None:
    """The tracked files that differ from the commit; None where there are too many to look at.

    Like git itself: a file whose size and time are those of the index is not read.
    """
    from dulwich.index import ConflictedIndexEntry  # noqa: PLC0415
    from dulwich.objects import Blob  # noqa: PLC0415

    if _index_count(git.index_path()) > _DIRTY_LIMIT:
        return None  # before 5 us are spent on each
    index = git.open_index()
    changes = index.changes_from_tree(git.object_store, _tree_of(git, head))
    changed = {path for names, _, _ in changes for path in names if path is not None}
    for path, entry in index.items():
        if isinstance(entry, ConflictedIndexEntry):
            changed.add(path)
            continue
        try:
            status = os.lstat(os.path.join(os.fsencode(root), path))
        except OSError:
            changed.add(path)
            continue
        mtime = entry.mtime if isinstance(entry.mtime, tuple) else divmod(int(entry.mtime * 10**9), 10**9)
        if status.st_size == entry.size and status.st_mtime_ns == mtime[0] * 10**9 + mtime[1]:
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            changed.add(path)
            continue
        with open(os.path.join(os.fsencode(root), path), "rb") as file:
            if Blob.from_string(file.read()).id != entry.sha:
                changed.add(path)
    return changed


def _patch(git: "GitRepo", root: Path, head: "ObjectID", changed: set[bytes]) -> JsonObject:
    """What ``git apply`` needs to get from the commit to the files as they are.

    Returns:
        ``patch``, and ``not_in_patch``: changed files that are binary, large, or for which there was no room.
    """
    from dulwich.object_store import tree_lookup_path  # noqa: PLC0415
    from dulwich.objects import Blob  # noqa: PLC0415
    from dulwich.patch import write_blob_diff  # noqa: PLC0415

    tree = _tree_of(git, head)
    patch = b""
    left_out: list[Json] = []
    for path in sorted(changed):
        old_mode, old = None, None
        if tree is not None:
            with contextlib.suppress(KeyError):
                old_mode, name = tree_lookup_path(git.__getitem__, tree, path)
                old = git[name]
        new_mode, data = _tracked_file(os.path.join(os.fsencode(root), path))
        new = None if data is None else Blob.from_string(data)
        if (
            new_mode != _UNREADABLE
            and (old is None or isinstance(old, Blob))
            and not any(_is_binary(one.data) for one in (old, new) if one is not None)
        ):
            piece = io.BytesIO()
            write_blob_diff(piece, (path if old else None, old_mode, old), (path if new else None, new_mode, new))
            if len(patch) + piece.tell() <= _PATCH_BYTES:
                patch += piece.getvalue()
                continue
        left_out.append(_printable(os.fsdecode(path)))
    facts: JsonObject = {"patch": patch.decode("utf-8", "backslashreplace")}
    if left_out:
        facts["not_in_patch"] = left_out[:_ARGUMENTS]
    return facts


def _tracked_file(path: bytes) -> tuple[int | None, bytes | None]:
    """Git's mode and the bytes of a file: (None, None) where it is gone, (_UNREADABLE, None) where it is no text."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _PATCH_FILE_BYTES:
            return _UNREADABLE, None
        with open(path, "rb") as file:
            return 0o100755 if status.st_mode & stat.S_IXUSR else 0o100644, file.read(_PATCH_FILE_BYTES)
    except FileNotFoundError:
        return None, None
    except OSError:
        return _UNREADABLE, None


def _is_binary(data: bytes) -> bool:
    """Whether a file has no place in a patch: by git's own rule, or as text that is not UTF-8, as the patch is."""
    if len(data) > _PATCH_FILE_BYTES or b"\0" in data:
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False
