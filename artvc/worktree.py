"""Directories of the user's: taking them in, restoring versions into them, and telling what differs.

Besides ``store.fsio`` this is the only module that writes files, and only where the user asked for it: into the
destination of a checkout.  Its rules:

* The user's source files are only read.
* A checkout into a directory that does not exist is built beside it and appears by one rename, complete.
* A checkout into an existing one first decides everything: a file that differs from both the old and the new
  version is the user's, and without ``force`` nothing at all is touched.  New bytes go to a temporary name, are
  synced once for all, and take their place by rename.
* Files are opened relative to their directory's descriptor and never through a symbolic link; links are made last.
"""

import contextlib
import errno
import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from xxhash import xxh3_128_hexdigest

from artvc.errors import (
    ArtvcError,
    Conflict,
    Damaged,
    InvalidInput,
    MalformedObject,
    NotFound,
    SourceError,
    StorageError,
    StorageFull,
)
from artvc.model import codec, merkle, names
from artvc.model.ids import Id, Kind
from artvc.model.objects import (
    Content,
    Entry,
    EntryKind,
    Json,
    JsonObject,
    TreeSummary,
    symlink_entry,
)
from artvc.predecessors import Earlier
from artvc.repo import DIRECTORY, Repository, Version
from artvc.store import kernel
from artvc.store.fsio import storage_error
from artvc.store.ingest import Ingest, Source, content_of
from artvc.store.statcache import StatCache

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE: Final = ".artvcignore"
ALWAYS_IGNORED: Final = frozenset({DIRECTORY, ".git"})
TEMPORARY: Final = ".artvc-tmp-"
_RECORD_BYTES: Final = 64 * 1024 * 1024
_RUN: Final = 64  # chunks that one work item of a checkout restores
_PARALLEL: Final = 1024 * 1024  # files from this size on are restored by several threads
_SHOWN: Final = 5

Advance = Callable[[int], None]


# -- taking in --------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A name met on a walk: its path in the artifact, its path on disk, and its status (not followed)."""

    path: str
    disk: str
    status: os.stat_result


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
            status = _lstat(disk)
            if stat.S_ISDIR(status.st_mode) or (not path and os.path.isdir(disk)):
                yield from self._directory(f"{path}/" if path else "", disk, [])
            else:
                yield from self._one(path, disk, status)

    def _directory(self, prefix: str, disk: str, rules: list[tuple[str, "GitIgnoreSpec"]]) -> Iterator[Found]:
        try:
            with os.scandir(disk) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError as exc:
            raise SourceError(f"cannot read directory {disk!r}: {exc.strerror}") from exc
        if any(entry.name == IGNORE_FILE for entry in entries):
            rules = [*rules, (prefix, _read_rules(os.path.join(disk, IGNORE_FILE)))]
        for entry in entries:
            path = prefix + entry.name
            if entry.name in ALWAYS_IGNORED or entry.name.startswith(TEMPORARY):
                continue
            is_directory = entry.is_dir(follow_symlinks=False)
            if rules and _is_ignored(path, is_directory, rules):
                continue
            if is_directory:
                yield from self._directory(f"{path}/", entry.path, rules)
            else:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it went between listing and looking, as if we had come later
                yield from self._one(path, entry.path, status)

    def _one(self, path: str, disk: str, status: os.stat_result) -> Iterator[Found]:
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was taken in.

    Attributes:
        tree: the tree of it.
        warnings: what was left out and why.
        caches: stat caches to be saved once the version is visible.
        repo, mounts: for :meth:`remember`.
    """

    tree: TreeSummary
    warnings: tuple[str, ...]
    caches: tuple[StatCache, ...]
    repo: Repository
    mounts: tuple[tuple[str, str], ...]

    def remember(self, version: Version) -> None:
        """Note that these paths now are that version, and what their files' status was."""
        for cache in self.caches:
            cache.save(keep_others=len(self.mounts) > 1 or bool(self.mounts[0][0]))
        _write_origin(self.repo, version, self.mounts, asked=version.label, subpaths=())


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


class Intake(NamedTuple):
    """Files that were taken in: their paths in the artifact with their entries, what was left out, and stat caches."""

    entries: list[tuple[str, Entry]]
    warnings: list[str]
    caches: list[StatCache]


def take_in(
    repo: Repository,
    ingest: Ingest,
    mounts: Sequence[tuple[str, str]],
    *,
    earlier: Earlier = lambda _path, _size: None,
    advance: Advance | None = None,
) -> Intake:
    """Take files in; those whose status says that their content is known are not read.

    Args:
        repo, ingest: where to.
        mounts: path in the artifact and absolute path on disk, as :func:`mounts_of` gives them.
        earlier: finds the earlier version of a file.
        advance: called with the bytes of files that need not be read (the ingest reports those that are).

    Raises:
        SourceError: a file can't be read or changes meanwhile.
        InvalidInput: a file's name can't be stored.
    """
    began = time.time_ns()  # noqa: TID251 -- compared with the clock that stamps files, not shown
    walk = Walk()
    caches = _Caches(repo)
    entries: list[tuple[str, Entry]] = []

    def sources() -> Iterator[Source[Found]]:
        for found in walk.files(mounts):
            if stat.S_ISLNK(found.status.st_mode):
                entries.append((found.path, symlink_entry(_base(found.path), os.readlink(found.disk))))
                continue
            known = caches.get(found)
            if known is not None and ingest.has(known):
                entries.append((found.path, _file(found, known)))
                if advance:
                    advance(known.size)
            else:
                size = found.status.st_size
                base = earlier(found.path, size)
                yield Source(found.disk, size, found, base)

    for found, content, status in ingest.add_files(sources()):
        entries.append((found.path, _file(found, content)))
        caches.put(found, status, content, began)
    return Intake(entries, walk.warnings, caches.opened)


def snapshot(
    repo: Repository,
    ingest: Ingest,
    mounts: Sequence[tuple[str, str]],
    *,
    earlier: Earlier = lambda _path, _size: None,
    advance: Advance | None = None,
) -> Snapshot:
    """Take files in as one tree.  Arguments and errors as for :func:`take_in`."""
    taken = take_in(repo, ingest, mounts, earlier=earlier, advance=advance)
    tree = merkle.write_tree(taken.entries, ingest.put)
    return Snapshot(tree, tuple(taken.warnings), tuple(taken.caches), repo, tuple(mounts))


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _file(found: Found, content: Content) -> Entry:
    try:
        names.check_path(found.path)
    except InvalidInput as exc:
        raise InvalidInput(f"cannot store {found.disk!r}: {exc.message}", hint=f"list it in {IGNORE_FILE}") from exc
    executable = bool(found.status.st_mode & stat.S_IXUSR)
    return Entry(_base(found.path), content.kind, executable, content.size, 1, content.id)


class _Caches:
    """The stat caches that a walk needs: one for the directory it began at, others for single files."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._by_root: dict[str, StatCache] = {}

    @property
    def opened(self) -> list[StatCache]:
        return list(self._by_root.values())

    def _place(self, found: Found) -> tuple[StatCache, str, str]:
        """The cache of a file, and its directory and name in there."""
        root = found.disk[: -len(found.path) - 1] or "/"  # the path on disk ends with the path in the artifact
        directory, _, name = found.path.rpartition("/")
        if root not in self._by_root:
            self._by_root[root] = StatCache(self._repo.disk, str(self._repo.dir), root)
        return self._by_root[root], directory, name

    def get(self, found: Found) -> Content | None:
        cache, directory, name = self._place(found)
        return cache.get(directory, name, found.status)

    def put(self, found: Found, status: os.stat_result, content: Content, read_at_ns: int | None) -> None:
        cache, directory, name = self._place(found)
        cache.put(directory, name, status, content, read_at_ns=read_at_ns)


# -- what was checked out ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which version some paths of the user's came from.

    Attributes:
        project, name, number, artifact: the version.
        asked: the reference as typed.
        mounts: path in the artifact and absolute path on disk.
        subpaths: what was restored of it; () is everything.
    """

    project: str
    name: str
    number: int
    artifact: Id
    asked: str
    mounts: tuple[tuple[str, str], ...]
    subpaths: tuple[str, ...]


def _origin_file(repo: Repository, mounts: Sequence[tuple[str, str]]) -> str:
    """Where the note about some paths lies: one for each first path."""
    key = os.path.relpath(mounts[0][1], repo.root)
    return str(repo.dir / "checkouts" / (xxh3_128_hexdigest(os.fsencode(key)) + ".json"))


def _write_origin(
    repo: Repository,
    version: Version,
    mounts: Sequence[tuple[str, str]],
    *,
    asked: str,
    subpaths: Sequence[str],
) -> None:
    """Note where paths came from; paths are kept relative to the repository, so that both can move together."""
    value: JsonObject = {
        "artifact": version.artifact_id.hex(),
        "asked": asked,
        "mounts": [[_stored_path(name), _stored_path(os.path.relpath(disk, repo.root))] for name, disk in mounts],
        "name": version.name,
        "number": version.number,
        "project": version.project,
        "subpaths": [_stored_path(one) for one in subpaths],
    }
    body = codec.encode_json(value)
    # The note only spares typing and lets status compare: a read-only or full repository must not fail a
    # checkout, nor make a commit that is already visible look as if it had failed.
    with contextlib.suppress(StorageError, StorageFull, FileNotFoundError):
        repo.disk.write_file(_origin_file(repo, mounts), body, tmp=str(repo.dir / "tmp"), durable=False)


def _stored_path(path: str) -> Json:
    """A path as JSON; one that is no valid Unicode as the hex digits of its bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"hex": os.fsencode(path).hex()}
    return path


def _loaded_path(value: Json) -> str:
    """A path from what :func:`_stored_path` gave.  Raises ValueError, KeyError."""
    return os.fsdecode(bytes.fromhex(str(value["hex"]))) if isinstance(value, dict) else str(value)


def origins(repo: Repository) -> list[Origin]:
    """All notes about checked-out or committed paths; damaged ones are left out (they only cost comfort)."""
    found = []
    directory = str(repo.dir / "checkouts")
    try:
        names_there = sorted(repo.disk.listdir(directory))
    except FileNotFoundError:
        return []
    for name in names_there:
        if name.endswith(".json"):
            with contextlib.suppress(ArtvcError, FileNotFoundError, ValueError, KeyError, TypeError):
                found.append(_read_origin(repo, os.path.join(directory, name)))
    return sorted(found, key=lambda origin: origin.mounts[0][1])


def _read_origin(repo: Repository, path: str) -> Origin:
    value = codec.decode_json(repo.disk.read_file(path, limit=_RECORD_BYTES), limit=_RECORD_BYTES)
    mounts, subpaths = value["mounts"], value["subpaths"]
    if not isinstance(mounts, list) or not isinstance(subpaths, list) or not mounts:
        raise MalformedObject(f"{path} is malformed")
    pairs = [one for one in mounts if isinstance(one, list) and len(one) == 2]
    return Origin(
        project=str(value["project"]),
        name=str(value["name"]),
        number=int(str(value["number"])),
        artifact=Id.parse(str(value["artifact"])),
        asked=str(value["asked"]),
        mounts=tuple(
            (_loaded_path(name), os.path.normpath(os.path.join(repo.root, _loaded_path(disk)))) for name, disk in pairs
        ),
        subpaths=tuple(map(_loaded_path, subpaths)),
    )


def origin_of(repo: Repository, paths: Sequence[Path]) -> Origin | None:
    """Where exactly these paths came from, if that is known."""
    wanted = {os.path.abspath(path) for path in paths}
    for origin in origins(repo):
        if {disk for _, disk in origin.mounts} == wanted:
            return origin
    return None


# -- status -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeStatus:
    """How paths differ from the version that they came from; file lists are sorted and relative to ``path``.

    Attributes:
        path: the directory, or the first of the files.
        version: the version; None if it was deleted.
        asked: the reference as typed.
        modified, added, deleted: paths in the artifact.
        missing: the whole directory is gone.
        newer: the version that ``latest`` stands for, if it is another one.
        warnings: what was not looked at and why.
    """

    path: Path
    version: Version | None
    asked: str
    modified: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    missing: bool = False
    newer: Version | None = None
    warnings: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return not (self.modified or self.added or self.deleted or self.missing)


def status(repo: Repository, *, paths: Sequence[Path] = ()) -> list[WorktreeStatus]:
    """What differs between paths and the versions that they came from.

    Args:
        repo: the repository.
        paths: look only at those at, below or above these; () is all.

    Raises:
        SourceError: a file can't be read.
        InvalidInput: a path was given of which nothing is known.
    """
    wanted = [os.path.abspath(path) for path in paths]
    found = [
        _status_of(repo, origin)
        for origin in origins(repo)
        if not wanted or any(_related(disk, one) for one in wanted for _, disk in origin.mounts)
    ]
    if wanted and not found:
        raise InvalidInput(f"{wanted[0]!r} was neither checked out nor committed", hint="'artvc status' lists what was")
    return found


def _related(left: str, right: str) -> bool:
    return left == right or left.startswith(right + os.sep) or right.startswith(left + os.sep)


def _status_of(repo: Repository, origin: Origin) -> WorktreeStatus:
    root = Path(origin.mounts[0][1])
    # By its content: a merge may have given it another number since.
    same = [one for one in repo.versions(origin.project, origin.name) if one.artifact_id == origin.artifact]
    version = next((one for one in same if one.number == origin.number), same[-1] if same else None)
    newer = None
    with contextlib.suppress(NotFound):
        newest = repo.resolve(f"{origin.project}/{origin.name}:latest").version
        newer = newest if newest.number != (version.number if version else origin.number) else None
    present = [(name, disk) for name, disk in origin.mounts if os.path.lexists(disk)]
    if not present:
        return WorktreeStatus(path=root, version=version, asked=origin.asked, missing=True, newer=newer)
    expected = dict(_expected(repo, origin.artifact, origin.subpaths))
    walk, caches = Walk(), _Caches(repo)
    modified, added = [], []
    began = time.time_ns()  # noqa: TID251 -- compared with the clock that stamps files, not shown
    for found in walk.files(present):
        entry = expected.pop(found.path, None)
        if entry is None:
            if not origin.subpaths:
                added.append(found.path)
        elif entry.kind != EntryKind.REFERENCE and not _is_same(found, entry, caches, began):
            modified.append(found.path)
    for cache in caches.opened:
        cache.save(keep_others=True)
    return WorktreeStatus(
        path=root,
        version=version,
        asked=origin.asked,
        modified=tuple(modified),
        added=tuple(added),
        deleted=tuple(sorted(path for path, entry in expected.items() if entry.kind != EntryKind.REFERENCE)),
        newer=newer,
        warnings=tuple(walk.warnings),
    )


def _expected(repo: Repository, artifact: Id, subpaths: Sequence[str]) -> Iterator[tuple[str, Entry]]:
    """The files of an artifact, or those at or below some paths of it.  Raises NotFound for a path without any."""
    root = repo.artifact(artifact).root
    if not subpaths:
        yield from merkle.walk(root, repo.objects.get)
    for subpath in subpaths:
        entry = merkle.find(root, subpath, repo.objects.get)
        if entry is None:
            raise NotFound(f"the version has no file {subpath!r}", hint="'artvc ls' lists its files")
        if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
            yield from merkle.walk(entry.id, repo.objects.get, prefix=f"{subpath}/")
        else:
            yield subpath, entry


def _is_same(found: Found, entry: Entry, caches: _Caches, began: int) -> bool:
    """Whether a file on disk is what an entry says: kind, execute bit and content."""
    if entry.kind == EntryKind.SYMLINK:
        return stat.S_ISLNK(found.status.st_mode) and os.readlink(found.disk) == entry.target
    if not entry.is_file or not stat.S_ISREG(found.status.st_mode):
        return False
    if bool(found.status.st_mode & stat.S_IXUSR) != entry.executable or found.status.st_size != entry.size:
        return False
    content = caches.get(found)
    if content is None:
        content, read = content_of(found.disk)
        caches.put(found, read, content, began)
    return (content.kind, content.id) == (entry.kind, entry.id)


# -- checkout ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutResult:
    """What a checkout did.

    Attributes:
        dest: the directory.
        files: files, links and references of the version (or of the part asked for).
        written, kept, removed: files written, found right, and taken away.
        bytes: written.
        references: paths that stand for something outside and were not restored.
    """

    dest: Path
    files: int
    written: int
    kept: int
    removed: int
    bytes: int
    references: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What a checkout will do, decided before anything is touched."""

    write: list[tuple[str, Entry]] = field(default_factory=list)
    links: list[tuple[str, Entry]] = field(default_factory=list)
    keep: int = 0
    remove: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


def checkout(
    repo: Repository,
    version: Version,
    dest: Path,
    *,
    asked: str | None = None,
    subpaths: Sequence[str] = (),
    force: bool = False,
    exact: bool = False,
    merge: bool = False,
    advance: Advance | None = None,
) -> CheckoutResult:
    """Restore a version.  Interrupted, it can simply be repeated: what is right already is not written again.

    Args:
        repo: the repository.
        version: what to restore.
        dest: directory; made if it does not exist.
        asked: the reference as typed, for ``status``.
        subpaths: restore only these files and directories of the version.
        force: overwrite files that are the user's.
        exact: also remove files that the version does not have.
        merge: remove none, not even unchanged ones of the version that the directory came from.
        advance: called with bytes restored.

    Raises:
        Conflict: files of the user's are in the way; nothing was touched.
        NotFound: a subpath does not exist, or data is not in this repository.
        Damaged: stored bytes are not what they were; none of them were written.
        StorageFull, StorageError: the destination's disk.
    """
    target = os.path.abspath(dest)
    if _related(str(repo.dir), target) and not str(repo.dir).startswith(target + os.sep):
        raise InvalidInput(f"cannot check out into the repository's own directory: {target!r}")
    clean_paths = tuple(names.logical_path(one) for one in subpaths)
    wanted = dict(_expected(repo, version.artifact_id, clean_paths))
    for path, entry in wanted.items():
        if entry.kind == EntryKind.SYMLINK and escapes(path, entry.target):
            raise Damaged(f"{version.label} has a link out of itself: {path!r} -> {entry.target!r}")
    mounts = (("", target),)
    with _translated(target):
        if os.path.lexists(target):
            if not os.path.isdir(target) or os.path.islink(target):
                raise Conflict(f"{str(dest)!r} is not a directory")
            base = {} if merge else _base_of(repo, target, clean_paths)
            result = _update(repo, version, target, wanted, base, force, exact, advance)
        else:
            result = _create(repo, version, target, wanted, advance)
    _write_origin(repo, version, mounts, asked=asked or version.label, subpaths=clean_paths)
    return result


@contextlib.contextmanager
def _translated(target: str) -> Iterator[None]:
    """Turn the operating system's errors about the destination into the error family."""
    try:
        yield
    except ArtvcError:  # one may be an OSError too
        raise
    except OSError as exc:
        raise storage_error(exc, f"cannot write {exc.filename or target!r}") from exc


def _create(
    repo: Repository, version: Version, target: str, wanted: dict[str, Entry], advance: Advance | None
) -> CheckoutResult:
    """Build a directory beside its place and rename it there."""
    parent, base = os.path.split(target)
    os.makedirs(parent, exist_ok=True)
    staging = os.path.join(parent, f"{TEMPORARY}{base[:100]}-{version.artifact_id.short}")
    with repo.disk.lock(_staging_lock(repo, staging), exclusive=True):
        if os.path.lexists(target):
            raise Conflict(f"{target!r} has just been made by somebody else", hint="try again")
        with contextlib.suppress(FileExistsError):
            os.mkdir(staging)
        if os.path.islink(staging) or not os.path.isdir(staging):
            raise Conflict(f"{staging!r} is in the way", hint="remove it")
        # What an interrupted checkout left here is ours: right files stay, everything else goes.
        plan = _decide(repo, staging, wanted, base={}, force=True, exact=True)
        caches = _Caches(repo)
        written = _carry_out(repo, staging, plan, caches, advance, in_place=False)
        _sync(staging, repo)
        os.rename(staging, target)  # noqa: TID251 -- the user's directory, not the repository
        _sync_directory(parent, repo)
    _save_caches(repo, caches, staging, target)
    return _result(target, wanted, plan, written)


def _staging_lock(repo: Repository, staging: str) -> str:
    return str(repo.dir / "locks" / f"checkout-{xxh3_128_hexdigest(os.fsencode(staging))}")


def _base_of(repo: Repository, target: str, subpaths: Sequence[str]) -> dict[str, Entry]:
    """The files that a directory had from the version that it came from; {} where only parts are restored."""
    origin = origin_of(repo, [Path(target)])
    if origin is not None and not subpaths:
        with contextlib.suppress(NotFound):
            return dict(_expected(repo, origin.artifact, origin.subpaths))
    return {}


def _update(
    repo: Repository,
    version: Version,
    target: str,
    wanted: dict[str, Entry],
    base: dict[str, Entry],
    force: bool,
    exact: bool,
    advance: Advance | None,
) -> CheckoutResult:
    """Bring an existing directory to a version."""
    plan = _decide(repo, target, wanted, base=base, force=force, exact=exact)
    if plan.blocked:
        shown = ", ".join(repr(path) for path in plan.blocked[:_SHOWN])
        more = f" and {len(plan.blocked) - _SHOWN} more" if len(plan.blocked) > _SHOWN else ""
        raise Conflict(
            f"checkout of {version.label} would overwrite changes in {target!r}: {shown}{more}",
            hint="commit them, move them away, or use --force",
        )
    caches = _Caches(repo)
    written = _carry_out(repo, target, plan, caches, advance, in_place=True)
    _save_caches(repo, caches, target, target, keep_others=True)
    return _result(target, wanted, plan, written)


def _result(target: str, wanted: dict[str, Entry], plan: _Plan, written: int) -> CheckoutResult:
    return CheckoutResult(
        dest=Path(target),
        files=len(wanted),
        written=len(plan.write) + len(plan.links),
        kept=plan.keep,
        removed=len(plan.remove),
        bytes=written,
        references=tuple(plan.references),
    )


def _decide(
    repo: Repository, target: str, wanted: dict[str, Entry], *, base: dict[str, Entry], force: bool, exact: bool
) -> _Plan:
    """Compare a directory with what is wanted and with what it came from.

    A file that is neither as wanted nor as in ``base`` is the user's: it blocks, or gives way to ``force``.
    """
    plan = _Plan()
    caches = _Caches(repo)
    began = time.time_ns()  # noqa: TID251 -- compared with the clock that stamps files, not shown
    left = dict(wanted)
    directories = {parent for path in wanted for parent in _parents(path)}
    for found in _all_files(target):
        entry = left.pop(found.path, None)
        old = base.get(found.path)
        untouched = old is not None and _is_same(found, old, caches, began)
        if entry is not None:
            if _is_same(found, entry, caches, began):
                plan.keep += 1
                continue
            if entry.kind == EntryKind.REFERENCE:  # what was fetched for it
                plan.references.append(found.path)
                continue
            if not untouched and not force:
                plan.blocked.append(found.path)
            _enlist(plan, found.path, entry)
            continue
        in_the_way = _clashes(found.path, wanted, directories)
        if untouched or exact or (force and (in_the_way or old is not None)):
            plan.remove.append(found.path)
        elif in_the_way or old is not None:
            plan.blocked.append(found.path)
    for path, entry in left.items():
        _enlist(plan, path, entry)
    for cache in caches.opened:
        cache.save(keep_others=True)
    return plan


def _parents(path: str) -> Iterator[str]:
    """The directories above a path, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _enlist(plan: _Plan, path: str, entry: Entry) -> None:
    if entry.kind == EntryKind.SYMLINK:
        plan.links.append((path, entry))
    elif entry.is_file:
        plan.write.append((path, entry))
    else:
        plan.references.append(path)


def _clashes(path: str, wanted: dict[str, Entry], directories: set[str]) -> bool:
    """Whether a file stands where a wanted path needs a directory, or below a path that is a wanted file."""
    return path in directories or any(parent in wanted for parent in _parents(path))


def _all_files(target: str) -> Iterator[Found]:
    """Everything below a directory that is no directory, ignored or not; our own temporary files too."""
    todo = [("", target)]
    while todo:
        prefix, disk = todo.pop()
        with os.scandir(disk) as scan:
            for entry in scan:
                if entry.name in ALWAYS_IGNORED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    todo.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.name.startswith(TEMPORARY):
                    os.unlink(entry.path)
                else:
                    yield Found(prefix + entry.name, entry.path, entry.stat(follow_symlinks=False))


def place_file(root: Path, path: str, fill: Callable[[Callable[[bytes], object]], None]) -> None:
    """Put a file into a directory of the user's, under its name only when all of it is there and right.

    Args:
        root: the directory, which must exist.
        path: below it; directories are made, links on the way are not followed.
        fill: writes the content by the function that it is given, and raises where it is not right.

    Raises:
        Conflict: a link or a file is in the place of a directory, or a directory in that of the file.
        StorageFull, StorageError: the directory's disk.
        whatever ``fill`` raises; then nothing is left of the file.
    """
    with _translated(str(root)):
        directories = _Directories(os.path.realpath(root))
        try:
            directory, _, name = names.check_path(path).rpartition("/")
            try:
                parent = directories.get(directory)
            except OSError as exc:
                if exc.errno not in {errno.ENOTDIR, errno.ELOOP}:
                    raise
                raise Conflict(f"{path!r} can't be placed in {str(root)!r}: no directory above it") from exc
            temporary = TEMPORARY + os.urandom(8).hex()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o666, dir_fd=parent)

            def put(data: bytes) -> None:
                with _translated(str(root)):
                    file.write(data)

            try:
                with os.fdopen(fd, "wb") as file:
                    fill(put)
                try:
                    os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
                except IsADirectoryError as exc:
                    raise Conflict(f"{path!r} in {str(root)!r} is a directory") from exc
            except BaseException:
                os.unlink(temporary, dir_fd=parent)
                raise
        finally:
            directories.close()


class _Directories:
    """Descriptors of directories below a root, each opened from its parent's without following links."""

    def __init__(self, root: str) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._open: dict[str, int] = {"": os.open(root, flags | os.O_NOFOLLOW)}

    def get(self, path: str) -> int:
        """The descriptor of a directory, made if it is not there; "" is the root."""
        found = self._open.get(path)
        if found is not None:
            return found
        above, _, name = path.rpartition("/")
        parent = self.get(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        self._make_room(above)
        self._open[path] = fd
        return fd

    def _make_room(self, keep: str) -> None:
        """Close directories that are no ancestors of the one in use when many are open."""
        if len(self._open) < 256:
            return
        for path in list(self._open):
            if path and path != keep and not keep.startswith(path + "/"):
                os.close(self._open.pop(path))

    def forget(self, path: str) -> None:
        """Close a directory that was removed."""
        fd = self._open.pop(path, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def _carry_out(
    repo: Repository, root: str, plan: _Plan, caches: _Caches, advance: Advance | None, *, in_place: bool
) -> int:
    """Write, link and remove as planned; returns the bytes written.

    In place, new bytes stand under temporary names until all of them are written and synced.
    """
    directories = _Directories(root)
    renames: list[tuple[str, str, str]] = []
    try:
        for path in plan.remove:
            _remove(directories, root, path)
        written = _write_files(repo, directories, root, plan.write, caches, advance, renames if in_place else None)
        if in_place and renames:
            _sync(root, repo)
        for directory, temporary, name in renames:
            fd = directories.get(directory)
            _clear_directory(fd, name)
            os.replace(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        for path, entry in plan.links:
            directory, _, name = path.rpartition("/")
            fd = directories.get(directory)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
            os.symlink(entry.target, name, dir_fd=fd)
        return written
    finally:
        directories.close()


def _clear_directory(fd: int, name: str) -> None:
    """Remove an empty directory that stands where a file is to be."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.rmdir(name, dir_fd=fd)


def _remove(directories: _Directories, root: str, path: str) -> None:
    """Remove a file and the directories that become empty with it."""
    directory, _, name = path.rpartition("/")
    os.unlink(name, dir_fd=directories.get(directory))
    while directory:
        try:
            os.rmdir(os.path.join(root, directory))
        except OSError:
            return
        directories.forget(directory)
        directory = directory.rpartition("/")[0]


def _write_files(
    repo: Repository,
    directories: _Directories,
    root: str,
    files: Sequence[tuple[str, Entry]],
    caches: _Caches,
    advance: Advance | None,
    renames: list[tuple[str, str, str]] | None,
) -> int:
    """Write files under their own names, or under temporary ones that are put into ``renames``."""
    total = 0
    repo.bring(repo.content(entry) for _, entry in files)
    with ThreadPoolExecutor(repo.settings.workers, "artvc-checkout") as pool:
        for path, entry in files:
            directory, _, name = path.rpartition("/")
            parent = directories.get(directory)
            if renames is not None:
                temporary = TEMPORARY + os.urandom(8).hex()
                renames.append((directory, temporary, name))
            else:
                temporary = name
                with contextlib.suppress(FileNotFoundError):
                    _discard(parent, name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o777 if entry.executable else 0o666, dir_fd=parent)
            try:
                _write_content(repo, fd, repo.content(entry), pool, advance)
                status = os.fstat(fd)
            finally:
                os.close(fd)
            total += entry.size
            # A rename changes the ctime, so what stands in the cache is the status under the temporary name
            # only where no rename follows.
            if renames is None:
                caches.put(Found(path, os.path.join(root, path), status), status, repo.content(entry), None)
    return total


def _discard(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=parent)


def _write_content(
    repo: Repository, fd: int, content: Content, pool: ThreadPoolExecutor, advance: Advance | None
) -> None:
    """Write a file's verified bytes; a large one is decoded and written by several threads."""
    if content.size < _PARALLEL:
        for piece in merkle.slices(content, repo.objects.get):
            data = repo.objects.get(Kind.CHUNK, piece.id)
            _write_at(fd, data, piece)
            if advance:
                advance(piece.size)
        return
    kernel.reserve(fd, content.size)
    waiting: list[Future[int]] = []
    for run in _runs(merkle.slices(content, repo.objects.get)):
        waiting.append(pool.submit(_write_run, repo, fd, run))
        while len(waiting) > 2 * repo.settings.workers:
            done = waiting.pop(0).result()
            if advance:
                advance(done)
    for future in waiting:
        done = future.result()
        if advance:
            advance(done)


def _runs(slices: Iterable[merkle.Slice]) -> Iterator[list[merkle.Slice]]:
    run: list[merkle.Slice] = []
    for piece in slices:
        run.append(piece)
        if len(run) >= _RUN:
            yield run
            run = []
    if run:
        yield run


def _write_run(repo: Repository, fd: int, run: Sequence[merkle.Slice]) -> int:
    for piece, data in zip(run, repo.objects.chunks([one.id for one in run]), strict=True):
        _write_at(fd, data, piece)
    size = sum(piece.size for piece in run)
    if repo.settings.sync:
        kernel.start_writing(fd, run[0].offset, size)
    return size


def _write_at(fd: int, data: bytes | bytearray | memoryview, piece: merkle.Slice) -> None:
    if len(data) != piece.size:
        raise Damaged(f"chunk {piece.id.short} has {len(data)} bytes, its list says {piece.size}")
    view, at = memoryview(data), piece.offset
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done


def _sync(path: str, repo: Repository) -> None:
    """Make everything below a directory durable: one sync of its file system instead of one for each file."""
    if not repo.settings.sync:
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kernel.sync_file_system(fd)
    except OSError as exc:
        raise storage_error(exc, f"cannot sync {path!r}") from exc
    finally:
        os.close(fd)


def _sync_directory(path: str, repo: Repository) -> None:
    if repo.settings.sync:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _save_caches(repo: Repository, caches: _Caches, written: str, final: str, *, keep_others: bool = False) -> None:
    """Save what is known about the files just written, under the place where they are now."""
    for cache in caches.opened:
        if written != final:
            cache.move(str(repo.dir), final)
        cache.save(keep_others=keep_others)
