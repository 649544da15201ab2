"""Walking over the user's files: what belongs to an artifact, and what is left out and why."""

import contextlib
import functools
import os
import posixpath
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from artvc.errors import InvalidInput, SourceError
from artvc.model import names
from artvc.repo import DIRECTORY
from artvc.store.statcache import Listed, listing_digest

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE: Final = ".artvcignore"
ALWAYS_IGNORED: Final = frozenset({DIRECTORY, ".git"})
TEMPORARY: Final = ".artvc-tmp-"

_KEEP_TIMES: Final = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})

Rules = list[tuple[str, "GitIgnoreSpec"]]  # what each .artvcignore says, with the path of its directory and a slash


class Found(NamedTuple):
    """A name met on a walk: its path in the artifact, its path on disk, and its status (not followed)."""

    path: str
    disk: str
    status: os.stat_result


@dataclass(slots=True)
class Listing:
    """One directory of a walk.

    Attributes:
        path: in the artifact, "" is its root.
        disk: on disk.
        files: what is not a directory and not ignored, in the order of their names' bytes.
        below: names of the directories in it that are not ignored, in that order.
        rules: that hold in it and below.
        listed: what tells whether other things lie in it later.
        order: names of all that lies in it, in the order of the file system.
        plain: False once something in it was met that has to be looked at each time.
    """

    path: str
    disk: str
    files: list["os.DirEntry[str]"]
    below: list[str]
    rules: Rules
    listed: Listed
    order: Iterable[str]
    plain: bool = True

    def inside(self, name: str) -> str:
        """The path of something in it, in the artifact."""
        return f"{self.path}/{name}" if self.path else name


@dataclass(slots=True)
class Walk:
    """A walk over files to be taken in; collects what was left out, with the reason."""

    warnings: list[str] = field(default_factory=list)

    def files(self, mounts: Sequence[tuple[str, str]]) -> Iterator[Found]:
        """The regular files and links below some paths, ignoring what ``.artvcignore`` says.

        Args:
            mounts: path in the artifact ("" for its root) and path on disk.

        Raises:
            SourceError: a directory can't be read.
        """
        for path, disk in mounts:
            if is_directory(path, disk):
                yield from self._below(self.listing(path, disk, []))
            else:
                yield from self.one(path, disk, _lstat(disk))

    def _below(self, listing: Listing) -> Iterator[Found]:
        yield from self.look(listing)
        for name in listing.below:
            yield from self._below(self.listing(listing.inside(name), os.path.join(listing.disk, name), listing.rules))

    def listing(self, path: str, disk: str, rules: Rules) -> Listing:
        """What lies in a directory.

        Args:
            path: in the artifact, "" is its root.
            disk: on disk.
            rules: of the directories above.

        Raises:
            SourceError: it can't be read, or its ``.artvcignore``.
        """
        began = time.time_ns()  # noqa: TID251 -- compared with the clock that stamps files, not shown
        try:
            status = os.stat(disk)
        except OSError as exc:
            raise SourceError(f"cannot read directory {disk!r}: {exc.strerror}") from exc
        found = listed(disk)
        order = [entry.name for entry in found]
        seen = Listed.of(digest_of(found), status if _keeps_times(status.st_dev) else None, read_at_ns=began)
        listing = Listing(path, disk, [], [], rules, seen, order)
        if any(entry.name == IGNORE_FILE for entry in found):
            rules = [*rules, (f"{path}/" if path else "", _read_rules(os.path.join(disk, IGNORE_FILE)))]
        found.sort(key=lambda entry: os.fsencode(entry.name))
        listing.rules = rules
        for entry in found:
            below = entry.is_dir(follow_symlinks=False)
            if rules and _is_ignored(listing.inside(entry.name), below, rules):
                continue
            if below:
                listing.below.append(entry.name)
            else:
                listing.files.append(entry)
        return listing

    def look(self, listing: Listing) -> Iterator[Found]:
        """The regular files and links of a directory."""
        prefix = f"{listing.path}/" if listing.path else ""
        noted = len(self.warnings)
        for entry in listing.files:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                listing.plain = False
                continue  # it went between listing and looking, as if we had come later
            if stat.S_ISREG(status.st_mode):
                yield Found(prefix + entry.name, entry.path, status)
                continue
            for found in self.one(prefix + entry.name, entry.path, status):
                if found.status is not status:  # a link that stands for the file that it points to
                    listing.plain = False
                yield found
        if len(self.warnings) > noted:
            listing.plain = False

    def one(self, path: str, disk: str, status: os.stat_result) -> Iterator[Found]:
        """A file or link, unless it has to be left out.

        Args:
            path, disk: in the artifact and on disk.
            status: not followed.
        """
        if stat.S_ISREG(status.st_mode):
            yield Found(path, disk, status)
        elif stat.S_ISLNK(status.st_mode):
            yield from self._link(path, disk, status)
        else:
            self.warnings.append(f"skipped {disk!r}: not a file, directory or link")

    def _link(self, path: str, disk: str, status: os.stat_result) -> Iterator[Found]:
        """A link that stays inside is kept as a link; one that leaves stands for the file that it points to."""
        target = os.readlink(disk)
        if not escapes(path, target):
            yield Found(path, disk, status)
            return
        try:
            followed = os.stat(disk)
        except OSError:
            self.warnings.append(f"skipped {disk!r}: the link points to nothing")
            return
        if stat.S_ISREG(followed.st_mode):
            yield Found(path, disk, followed)
        else:
            self.warnings.append(f"skipped {disk!r}: the link points to a directory outside")


@functools.cache
def _keeps_times(device: int) -> bool:
    """Whether directories of a device change their times whenever a name comes or goes.

    What is behind FUSE or a network may give them any time; so only file systems are trusted of which it is known.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:  # ID PARENT MAJOR:MINOR ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == number:
                return rest.partition(" ")[0] in _KEEP_TIMES
    return False


def listed(disk: str | int) -> "list[os.DirEntry[str]]":
    """What lies in a directory, in the order of the file system, without what is never part of an artifact.

    Args:
        disk: its path, or a descriptor of it.

    Raises:
        SourceError: it can't be read.
    """
    try:
        with os.scandir(disk) as scan:
            return [
                entry for entry in scan if entry.name not in ALWAYS_IGNORED and not entry.name.startswith(TEMPORARY)
            ]
    except OSError as exc:
        raise SourceError(f"cannot read directory {disk!r}: {exc.strerror}") from exc


def digest_of(found: "Sequence[os.DirEntry[str]]") -> int:
    """The digest of what :func:`listed` gave."""
    return listing_digest([e.name + "/" if e.is_dir(follow_symlinks=False) else e.name for e in found])


def is_directory(path: str, disk: str) -> bool:
    """Whether something to be taken in is a directory.

    Args:
        path: in the artifact; a link may stand for its root only.
        disk: on disk.

    Raises:
        InvalidInput: it is not there.
    """
    return stat.S_ISDIR(_lstat(disk).st_mode) or (not path and os.path.isdir(disk))


def escapes(path: str, target: str) -> bool:
    """Whether a link at a path of an artifact points out of the artifact's root."""
    if target.startswith("/") or not target:
        return True
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return reached == ".." or reached.startswith("../")


def _lstat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as exc:
        raise InvalidInput(f"cannot read {path!r}: {exc.strerror}") from exc


def _read_rules(path: str) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 -- 40 ms that only directories with rules pay

    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return GitIgnoreSpec.from_lines(file.read(names.FILE_NAME_BYTES * 4096).splitlines())
    except (OSError, ValueError) as exc:
        raise SourceError(f"cannot read {path!r}: {exc}") from exc


def _is_ignored(path: str, is_directory: bool, rules: Sequence[tuple[str, "GitIgnoreSpec"]]) -> bool:
    """Whether the rules leave a path out; those of the deepest directory are asked first, as in git."""
    for prefix, spec in reversed(rules):
        verdict = spec.check_file(path[len(prefix) :] + ("/" if is_directory else "")).include
        if verdict is not None:
            return verdict
    return False


def mounts_of(paths: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Where paths go in the artifact: one directory is the root, everything else keeps its base name.

    Raises:
        InvalidInput: a path is missing or has no usable name, or two have one name.
    """
    absolute = [os.path.abspath(path) for path in paths]
    for one in absolute:
        _lstat(one)
    if len(absolute) == 1 and os.path.isdir(absolute[0]):
        return (("", absolute[0]),)
    mounts = tuple((names.logical_path(os.path.basename(one)), one) for one in absolute)
    if len({name for name, _ in mounts}) != len(mounts):
        raise InvalidInput("two of the paths have one base name", hint="commit their common directory instead")
    return mounts
