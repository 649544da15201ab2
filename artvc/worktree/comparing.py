"""Telling how the user's files differ from the version that they came from, directory by directory."""

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artvc.errors import InvalidInput, NotFound
from artvc.model import codec, merkle
from artvc.model.ids import Id, Kind, id_of
from artvc.model.objects import Entry, EntryKind, TreeSummary
from artvc.repo import Repository, Version
from artvc.store.statcache import NOT_LISTED
from artvc.worktree.caches import Caches, root_of
from artvc.worktree.origins import Origin, origins, version_of
from artvc.worktree.unchanged import Unchanged
from artvc.worktree.walking import IGNORE_FILE, Found, Listing, Rules, Walk, is_directory

# Of a directory without files: in an artifact there is none, so it is equal to nothing.
_NOTHING: Final = TreeSummary(id_of(Kind.TREE, codec.encode_tree(0, ())), 0, 0)


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
        if not wanted or any(related(disk, one) for one in wanted for _, disk in origin.mounts)
    ]
    if wanted and not found:
        raise InvalidInput(f"{wanted[0]!r} was neither checked out nor committed", hint="'artvc status' lists what was")
    return found


def related(left: str, right: str) -> bool:
    """Whether one of two paths is the other or lies below it."""
    return left == right or left.startswith(right + os.sep) or right.startswith(left + os.sep)


def _status_of(repo: Repository, origin: Origin) -> WorktreeStatus:
    root = Path(origin.mounts[0][1])
    present = [(name, disk) for name, disk in origin.mounts if os.path.lexists(disk)]
    work = _Comparison(repo, origin.subpaths)
    work.begin(present)
    version = version_of(repo, origin)
    newer = None
    with contextlib.suppress(NotFound):
        newest = repo.resolve(f"{origin.project}/{origin.name}:latest").version
        newer = newest if newest.number != (version.number if version else origin.number) else None
    if not present:
        return WorktreeStatus(path=root, version=version, asked=origin.asked, missing=True, newer=newer)
    work.compare(origin.artifact, present)
    return WorktreeStatus(
        path=root,
        version=version,
        asked=origin.asked,
        modified=tuple(sorted(work.modified)),
        added=tuple(sorted(work.added)),
        deleted=tuple(sorted(work.deleted)),
        newer=newer,
        warnings=tuple(work.walk.warnings),
    )


@dataclass(slots=True)
class _Comparison:
    """One comparison of files with an artifact.

    Attributes:
        repo: the repository.
        subpaths: what of the artifact was restored; () is everything.
        modified, added, deleted: paths in the artifact.
    """

    repo: Repository
    subpaths: Sequence[str]
    modified: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    walk: Walk = field(default_factory=Walk)
    caches: Caches = field(init=False)
    began: int = field(init=False)
    begun: dict[str, Unchanged] = field(default_factory=dict)
    unchanged: Unchanged | None = None

    def __post_init__(self) -> None:
        self.caches = Caches(self.repo)
        # Compared with the clock that stamps files, not shown.
        self.began = time.time_ns()  # noqa: TID251

    def begin(self, mounts: Sequence[tuple[str, str]]) -> None:
        """Let helpers look what is unchanged; arguments as for :meth:`compare`."""
        if self.subpaths:
            return
        for path, disk in mounts:
            if is_directory(path, disk):
                root, processes = root_of(path, disk), self.repo.settings.processes
                self.begun[path] = Unchanged(self.caches.at(root), root, path, processes=processes)

    def compare(self, artifact: Id, mounts: Sequence[tuple[str, str]]) -> None:
        """Compare what is there with an artifact.

        Args:
            artifact: its id.
            mounts: path in the artifact and on disk, of what is there.
        """
        value = self.repo.artifact(artifact)
        whole = TreeSummary(value.root, value.files, value.size)
        if mounts[0][0]:
            left = {entry.name: entry for entry in merkle.iterate(value.root, self.repo.objects.get)}
            for path, disk in mounts:
                self._mounted(path, disk, left.pop(path, None))
            self._gone("", left.values())
        else:
            self._mounted("", mounts[0][1], Entry("", EntryKind.DIRECTORY, False, whole.size, whole.files, whole.id))
        self.caches.save(keep_others=True)

    def _mounted(self, path: str, disk: str, entry: Entry | None) -> None:
        if is_directory(path, disk):
            self.unchanged = self.begun.get(path)
            tree = _tree_of(entry)
            self._directory(path, disk, [], tree)
            if tree is None and entry is not None:
                self._gone("", [entry])
            return
        met = False
        for found in self.walk.one(path, disk, os.lstat(disk)):
            met = True
            self._file(found, entry)
        if entry is not None and (not met or entry.kind == EntryKind.DIRECTORY):
            self._gone("", [entry])

    # -- directories --------------------------------------------------------------------------------------

    def _directory(self, path: str, disk: str, rules: Rules, tree: TreeSummary | None) -> bool:
        """Compare a directory and all below it.

        Args:
            path, disk: of it, in the artifact and on disk.
            rules: of the directories above.
            tree: what it should be; None: it should not be there.

        Returns:
            whether it would be stored as that tree.
        """
        cache = self.caches.at(root_of(path, disk))
        known = cache.known(path) if self.unchanged is not None and path in self.unchanged.same else None
        own = known is not None and known.tree is not None and _equal(known.tree, tree)
        if own and self.unchanged is not None and path in self.unchanged.whole:
            cache.keep_all(path)
            return True
        wanted = self._wanted(path, tree)
        if known is not None and own:
            below = known.below
            if IGNORE_FILE in known.names:
                rules = self.walk.listing(path, disk, rules).rules
            equal = self._below(path, disk, below, rules, wanted)
            cache.keep_with(path, tree if equal else None)
            return equal
        listing = self.walk.listing(path, disk, rules)
        names, equal = self._files(listing, wanted)
        equal = self._below(path, disk, listing.below, listing.rules, wanted) and equal
        left = [entry for entry in wanted.values() if entry.kind != EntryKind.REFERENCE]
        self._gone(path, left)
        equal = equal and not wanted and not self.subpaths
        # Where an earlier look found references, they are in the tree, but not in what a commit would store.
        whole = listing.plain and not self.subpaths
        seen = listing.listed if whole else NOT_LISTED
        cache.seal(path, names, listing.order, listing.below, seen, (tree or _NOTHING) if equal and whole else None)
        return equal

    def _wanted(self, path: str, tree: TreeSummary | None) -> dict[str, Entry]:
        """What should be in a directory, by name."""
        if tree is None:
            return {}
        found = merkle.iterate(tree.id, self.repo.objects.get)
        return {entry.name: entry for entry in found if self._is_chosen(_inside(path, entry.name))}

    def _is_chosen(self, path: str) -> bool:
        """Whether a path was restored, is in a directory that was, or may have something in it that was."""
        return not self.subpaths or any(related(path, one) for one in self.subpaths)

    def _files(self, listing: Listing, wanted: dict[str, Entry]) -> tuple[set[str], bool]:
        """Compare a directory's files and take them out of what is wanted; their names, and whether all are equal."""
        names, equal = set(), True
        for found in self.walk.look(listing):
            name = found.path.rpartition("/")[2]
            names.add(name)
            entry = wanted.get(name)
            if entry is not None and entry.kind != EntryKind.DIRECTORY:
                del wanted[name]
            equal = self._file(found, entry) and equal
        return names, equal

    def _below(self, path: str, disk: str, below: Sequence[str], rules: Rules, wanted: dict[str, Entry]) -> bool:
        """Compare the directories in a directory, taking them out of what is wanted; whether all are equal."""
        equal = True
        for name in below:
            entry = wanted.get(name)
            tree = _tree_of(entry)
            if tree is not None:
                del wanted[name]
            equal = self._directory(_inside(path, name), os.path.join(disk, name), rules, tree) and equal
        return equal

    def _gone(self, path: str, entries: Iterable[Entry]) -> None:
        """What should be there and is not."""
        for entry in entries:
            inside = _inside(path, entry.name)
            tree = _tree_of(entry)
            if tree is None:
                if entry.kind != EntryKind.REFERENCE:
                    self.deleted.append(inside)
                continue
            for below, one in merkle.walk(tree.id, self.repo.objects.get, prefix=f"{inside}/"):
                if one.kind != EntryKind.REFERENCE and self._is_chosen_file(below):
                    self.deleted.append(below)

    def _is_chosen_file(self, path: str) -> bool:
        return not self.subpaths or any(path == one or path.startswith(one + "/") for one in self.subpaths)

    # -- files --------------------------------------------------------------------------------------------

    def _file(self, found: Found, entry: Entry | None) -> bool:
        """Compare a file or link with what it should be; whether it is that."""
        if entry is None or entry.kind == EntryKind.DIRECTORY:
            if not self.subpaths:
                self.added.append(found.path)
            self._remember(found)
            return False
        if entry.kind == EntryKind.REFERENCE:
            self._remember(found)
            return False
        if not is_same(found, entry, self.caches, self.began):
            self.modified.append(found.path)
            return False
        if entry.kind == EntryKind.SYMLINK:
            self.caches.put(found, found.status, None, self.began)
        return True

    def _remember(self, found: Found) -> None:
        """Keep what the cache has of a file that is not compared."""
        if stat.S_ISLNK(found.status.st_mode):
            self.caches.put(found, found.status, None, self.began)
        else:
            self.caches.get(found)


def _inside(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _tree_of(entry: Entry | None) -> TreeSummary | None:
    if entry is None or entry.kind != EntryKind.DIRECTORY or entry.id is None:
        return None
    return TreeSummary(entry.id, entry.files, entry.size)


def _equal(known: TreeSummary, tree: TreeSummary | None) -> bool:
    return known.id == tree.id if tree is not None else not known.files


def is_same(found: Found, entry: Entry, caches: Caches, began: int) -> bool:
    """Whether a file on disk is what an entry says: kind, execute bit and content.

    Args:
        found: the file or link.
        entry: what it should be.
        caches: asked before the file is read.
        began: the clock before it was looked at, in nanoseconds.
    """
    if entry.kind == EntryKind.SYMLINK:
        return stat.S_ISLNK(found.status.st_mode) and os.readlink(found.disk) == entry.target
    if not entry.is_file or not stat.S_ISREG(found.status.st_mode):
        return False
    if bool(found.status.st_mode & stat.S_IXUSR) != entry.executable or found.status.st_size != entry.size:
        return False
    content = caches.get(found)
    if content is None:
        from artvc.store.ingest import content_of  # noqa: PLC0415 -- 5 ms that only who has to read files pays

        content, read = content_of(found.disk)
        caches.put(found, read, content, began)
    return (content.kind, content.id) == (entry.kind, entry.id)
