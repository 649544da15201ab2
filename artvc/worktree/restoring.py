"""Restoring versions into directories of the user's.

Besides ``store.fsio`` this is the only module that writes files, and only where the user asked for it: into the
destination of a checkout.  Its rules:

* A checkout into a directory that does not exist is built beside it and appears by one rename, complete.
* A checkout into an existing one first decides everything: a file that differs from both the old and the new
  version is the user's, and without ``force`` nothing at all is touched.  New bytes go to a temporary name, are
  synced once for all, and take their place by rename.
* Files are opened relative to their directory's descriptor and never through a symbolic link; links are made last.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from xxhash import xxh3_128_hexdigest

from artvc.errors import (
    ArtvcError,
    Conflict,
    Damaged,
    InvalidInput,
    NotFound,
)
from artvc.model import merkle, names
from artvc.model.ids import Id, Kind
from artvc.model.objects import Content, Entry, EntryKind
from artvc.repo import Repository, Version
from artvc.store import kernel
from artvc.store.fsio import storage_error
from artvc.worktree.caches import Caches
from artvc.worktree.comparing import is_same, related
from artvc.worktree.origins import origin_of, write_origin
from artvc.worktree.walking import ALWAYS_IGNORED, TEMPORARY, Found, escapes

_RUN: Final = 64  # chunks that one work item of a checkout restores
_PARALLEL: Final = 1024 * 1024  # files from this size on are restored by several threads
_SHOWN: Final = 5
_KEPT: Final = 50_000  # entries that are kept rather than read again: 25 MB

Advance = Callable[[int], None]


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


class _Wanted:
    """What a checkout is to restore: paths and entries in the order of the tree; many are read from it each time.

    Args:
        repo: the repository.
        version: of what.
        subpaths: only what lies at or below these; () is all.

    Attributes:
        files: how many paths there are.
        references: paths that stand for something outside.
        links: paths of links.

    Raises:
        NotFound: there is nothing at a subpath.
        Damaged: a link leads out of the artifact.
    """

    def __init__(self, repo: Repository, version: Version, subpaths: Sequence[str]) -> None:
        self._repo = repo
        self._artifact = version.artifact_id
        self._subpaths = [one for one in dict.fromkeys(subpaths) if not any(up in subpaths for up in _parents(one))]
        self.files = 0
        self.references: list[str] = []
        self.links: list[tuple[str, Entry]] = []
        self._kept: list[tuple[str, Entry]] | None = None
        kept: list[tuple[str, Entry]] = []
        for path, entry in self:
            self.files += 1
            if self.files <= _KEPT:
                kept.append((path, entry))
            elif kept:
                kept.clear()
            if entry.kind == EntryKind.SYMLINK:
                if escapes(path, entry.target):
                    raise Damaged(f"{version.label} has a link out of itself: {path!r} -> {entry.target!r}")
                self.links.append((path, entry))
            elif not entry.is_file:
                self.references.append(path)
        if self.files <= _KEPT:
            self._kept = kept

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        if self._kept is not None:
            return iter(self._kept)
        return _expected(self._repo, self._artifact, self._subpaths)


class _FilesOf(Collection[tuple[str, Entry]]):
    """The files with bytes of what is wanted, read from the tree each time: a million need no room."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted = wanted

    def __len__(self) -> int:
        return self._wanted.files - len(self._wanted.links) - len(self._wanted.references)

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return ((path, entry) for path, entry in self._wanted if entry.is_file)

    def __contains__(self, one: object) -> bool:
        return any(one == other for other in self)


@dataclass(slots=True)
class _Plan:
    """What a checkout will do, decided before anything is touched."""

    write: Collection[tuple[str, Entry]] = ()
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
    if related(str(repo.dir), target) and not str(repo.dir).startswith(target + os.sep):
        raise InvalidInput(f"cannot check out into the repository's own directory: {target!r}")
    clean_paths = tuple(names.logical_path(one) for one in subpaths)
    wanted = _Wanted(repo, version, clean_paths)
    mounts = (("", target),)
    with _translated(target):
        if os.path.lexists(target):
            if not os.path.isdir(target) or os.path.islink(target):
                raise Conflict(f"{str(dest)!r} is not a directory")
            base = {} if merge else _base_of(repo, target, clean_paths)
            result = _update(repo, version, target, wanted, base, force, exact, advance)
        else:
            result = _create(repo, version, target, wanted, advance)
    write_origin(repo, version, mounts, asked=asked or version.label, subpaths=clean_paths)
    return result


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
    repo: Repository, version: Version, target: str, wanted: _Wanted, advance: Advance | None
) -> CheckoutResult:
    """Build a directory beside its place and rename it there."""
    parent, base = os.path.split(target)
    os.makedirs(parent, exist_ok=True)
    staging = os.path.join(parent, f"{TEMPORARY}{base[:100]}-{version.artifact_id.short}")
    with repo.disk.lock(_staging_lock(repo, staging), exclusive=True):
        if os.path.lexists(target):
            raise Conflict(f"{target!r} has just been made by somebody else", hint="try again")
        try:
            os.mkdir(staging)
            plan = _Plan(write=_FilesOf(wanted), links=wanted.links, references=wanted.references)
        except FileExistsError:
            if os.path.islink(staging) or not os.path.isdir(staging):
                raise Conflict(f"{staging!r} is in the way", hint="remove it") from None
            # What an interrupted checkout left here is ours: right files stay, everything else goes.
            plan = _decide(repo, staging, dict(wanted), base={}, force=True, exact=True)
        caches = Caches(repo)
        written = _carry_out(repo, staging, plan, caches, advance, in_place=False)
        _sync(staging, repo)
        os.rename(staging, target)  # noqa: TID251 -- the user's directory, not the repository
        _sync_directory(parent, repo)
    caches.move(target)
    caches.save()
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
    wanted: _Wanted,
    base: dict[str, Entry],
    force: bool,
    exact: bool,
    advance: Advance | None,
) -> CheckoutResult:
    """Bring an existing directory to a version."""
    plan = _decide(repo, target, dict(wanted), base=base, force=force, exact=exact)
    if plan.blocked:
        shown = ", ".join(repr(path) for path in plan.blocked[:_SHOWN])
        more = f" and {len(plan.blocked) - _SHOWN} more" if len(plan.blocked) > _SHOWN else ""
        raise Conflict(
            f"checkout of {version.label} would overwrite changes in {target!r}: {shown}{more}",
            hint="commit them, move them away, or use --force",
        )
    caches = Caches(repo)
    written = _carry_out(repo, target, plan, caches, advance, in_place=True)
    caches.save(keep_others=True)
    return _result(target, wanted, plan, written)


def _result(target: str, wanted: _Wanted, plan: _Plan, written: int) -> CheckoutResult:
    return CheckoutResult(
        dest=Path(target),
        files=wanted.files,
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
    write: list[tuple[str, Entry]] = []
    plan = _Plan(write=write)
    caches = Caches(repo)
    began = time.time_ns()  # noqa: TID251 -- compared with the clock that stamps files, not shown
    left = dict(wanted)
    directories = {parent for path in wanted for parent in _parents(path)}
    for found in _all_files(target):
        entry = left.pop(found.path, None)
        old = base.get(found.path)
        untouched = old is not None and is_same(found, old, caches, began)
        if entry is not None:
            if is_same(found, entry, caches, began):
                plan.keep += 1
                continue
            if entry.kind == EntryKind.REFERENCE:  # what was fetched for it
                plan.references.append(found.path)
                continue
            if not untouched and not force:
                plan.blocked.append(found.path)
            _enlist(plan, write, found.path, entry)
            continue
        in_the_way = _clashes(found.path, wanted, directories)
        if untouched or exact or (force and (in_the_way or old is not None)):
            plan.remove.append(found.path)
        elif in_the_way or old is not None:
            plan.blocked.append(found.path)
    for path, entry in left.items():
        _enlist(plan, write, path, entry)
    caches.save(keep_others=True)
    return plan


def _parents(path: str) -> Iterator[str]:
    """The directories above a path, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _enlist(plan: _Plan, write: list[tuple[str, Entry]], path: str, entry: Entry) -> None:
    if entry.kind == EntryKind.SYMLINK:
        plan.links.append((path, entry))
    elif entry.is_file:
        write.append((path, entry))
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
    repo: Repository, root: str, plan: _Plan, caches: Caches, advance: Advance | None, *, in_place: bool
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
    files: Iterable[tuple[str, Entry]],
    caches: Caches,
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
