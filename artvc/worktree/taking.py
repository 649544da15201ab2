"""Taking the user's files in, as one tree or one by one.

A tree is stored directory by directory, as their last files come in, so that memory does not grow with their number.
What is unchanged since the tree of a version that still counts was noted (see ``unchanged``) is taken over as a tree
without a look at its files.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from artvc.errors import InvalidInput, LimitExceeded
from artvc.model import merkle, names
from artvc.model.ids import Id
from artvc.model.objects import (
    Content,
    Entry,
    EntryKind,
    TreeSummary,
    directory_entry,
    symlink_entry,
)
from artvc.predecessors import Earlier
from artvc.repo import Repository, Version
from artvc.store.ingest import Ingest, Source
from artvc.store.statcache import NOT_LISTED, StatCache
from artvc.worktree.caches import Caches, root_of
from artvc.worktree.origins import write_origin
from artvc.worktree.unchanged import Unchanged
from artvc.worktree.walking import IGNORE_FILE, Found, Listing, Rules, Walk, is_directory

Advance = Callable[[int], None]


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
    caches: Caches
    repo: Repository
    mounts: tuple[tuple[str, str], ...]

    def remember(self, version: Version) -> None:
        """Note that these paths now are that version, and what their files' status was."""
        self.caches.save(complete=True, keep_others=len(self.mounts) > 1 or bool(self.mounts[0][0]))
        write_origin(self.repo, version, self.mounts, asked=version.label, subpaths=())


class Intake(NamedTuple):
    """Files that were taken in: their paths in the artifact with their entries, what was left out, and stat caches."""

    entries: list[tuple[str, Entry]]
    warnings: list[str]
    caches: Caches


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
    entries: list[tuple[str, Entry]] = []
    work = _Taking(repo, ingest, earlier, advance)
    for path, entry in work.files(mounts):
        entries.append((path, entry))
    return Intake(entries, work.walk.warnings, work.caches)


def snapshot(
    repo: Repository,
    ingest: Ingest,
    mounts: Sequence[tuple[str, str]],
    *,
    earlier: Earlier = lambda _path, _size: None,
    advance: Advance | None = None,
    base: Id | None = None,
) -> Snapshot:
    """Take files in as one tree.

    Args:
        repo, ingest, mounts, earlier, advance: as for :func:`take_in`.
        base: root of the tree of a version that a ref names since the ingest began; parts of it that are as they
            were when it was checked out or committed are taken over.

    Raises:
        SourceError, InvalidInput: as for :func:`take_in`.
    """
    work = _Taking(repo, ingest, earlier, advance)
    tree = work.tree(mounts, base)
    return Snapshot(tree, tuple(work.walk.warnings), work.caches, repo, tuple(mounts))


@dataclass(slots=True)
class _Growing:
    """A directory whose entries come in.

    Attributes:
        path: in the artifact.
        above: the directory that it is in.
        entries: of what is known of it.
        awaited: files and directories in it that are not known yet, and 1 while it is walked over.
        cache: where it is noted when it is complete.
        listing: what lay in it; None where its files are those of the cache.
        names: of its files and links.
    """

    path: str
    above: "_Growing | None"
    cache: StatCache | None = None
    listing: Listing | None = None
    entries: list[Entry] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    below: Sequence[str] = ()
    awaited: int = 1


class _Key(NamedTuple):
    """What a file's content is awaited for."""

    found: Found
    directory: _Growing


class _Taking:
    """One intake of files."""

    def __init__(self, repo: Repository, ingest: Ingest, earlier: Earlier, advance: Advance | None) -> None:
        self._repo = repo
        self._ingest = ingest
        self._earlier = earlier
        self._advance = advance or (lambda _: None)
        # Compared with the clock that stamps files, not shown.
        self._began = time.time_ns()  # noqa: TID251
        self._put: Callable[[str, Entry], None] = lambda _path, _entry: None
        self._stored = False  # whether directories are stored as trees
        self._unchanged: Unchanged | None = None
        self._root = TreeSummary(Id(bytes(32)), 0, 0)
        self.walk = Walk()
        self.caches = Caches(repo)

    # -- the two ways -------------------------------------------------------------------------------------

    def files(self, mounts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Entry]]:
        """Paths and entries of all files, in no particular order."""
        found: list[tuple[str, Entry]] = []
        self._put = lambda path, entry: found.append((path, entry))
        for _ in self._ingest_all(mounts, None):
            yield from found
            found.clear()
        yield from found

    def tree(self, mounts: Sequence[tuple[str, str]], base: Id | None) -> TreeSummary:
        """The tree of all files."""
        self._stored = True
        for _ in self._ingest_all(mounts, base):
            pass
        return self._root

    def _ingest_all(self, mounts: Sequence[tuple[str, str]], base: Id | None) -> Iterator[None]:
        for key, content, status in self._ingest.add_files(self._sources(mounts, base)):
            self._take(key.directory, key.found, content, status)
            self._arrived(key.directory)
            if not self._stored:
                yield

    def _sources(self, mounts: Sequence[tuple[str, str]], base: Id | None) -> Iterator[Source[_Key]]:
        top = _Growing("", None)  # for what is mounted by a name
        for path, disk in mounts:
            wanted = base
            if base is not None and path:
                entry = merkle.find(base, path, self._repo.objects.get)
                wanted = entry.id if entry is not None and entry.kind == EntryKind.DIRECTORY else None
            if not is_directory(path, disk):
                for found in self.walk.one(path, disk, os.lstat(disk)):
                    yield from self._file(top, found)
                continue
            cache = self.caches.at(root_of(path, disk))
            self._unchanged = None
            if wanted is not None and cache.packs_stand(self._repo.objects.index.packs):
                processes = self._repo.settings.processes
                self._unchanged = Unchanged(cache, root_of(path, disk), path, processes=processes)
            yield from self._directory(path, disk, [], wanted, top if path else None)
        if mounts[0][0]:
            self._arrived(top)

    # -- directories --------------------------------------------------------------------------------------

    def _directory(
        self, path: str, disk: str, rules: Rules, wanted: Id | None, above: _Growing | None
    ) -> Iterator[Source[_Key]]:
        """Take in a directory and all below it.

        Args:
            path, disk: of it, in the artifact and on disk.
            rules: of the directories above.
            wanted: the tree that it was in ``base``.
            above: the directory that it is in.
        """
        if path.count("/") >= names.PATH_DEPTH:
            raise LimitExceeded(f"path deeper than {names.PATH_DEPTH}: {path[:200]!r}")
        cache = self.caches.at(root_of(path, disk))
        if above is not None:
            above.awaited += 1
        here = _Growing(path, above, cache)
        kept = self._taken_over(here, wanted)
        if kept == _WHOLE:
            return
        trees = self._trees(wanted)
        if kept == _OWN:
            here.entries = [entry for entry in trees.values() if entry.kind != EntryKind.DIRECTORY]
            self._advance(sum(entry.size for entry in here.entries))
            known = cache.known(path)
            here.below = known.below if known is not None else ()
            if known is not None and IGNORE_FILE in known.names:
                rules = self.walk.listing(path, disk, rules).rules
        else:
            here.listing = listing = self.walk.listing(path, disk, rules)
            here.below, rules = listing.below, listing.rules
            for found in self.walk.look(listing):
                yield from self._file(here, found)
        for name in here.below:
            below = trees.get(name)
            tree = below.id if below is not None and below.kind == EntryKind.DIRECTORY else None
            inside = f"{path}/{name}" if path else name
            yield from self._directory(inside, os.path.join(disk, name), rules, tree, here)
        self._arrived(here)

    def _trees(self, wanted: Id | None) -> dict[str, Entry]:
        """What a directory of ``base`` has."""
        if wanted is None or self._unchanged is None:
            return {}
        return {entry.name: entry for entry in merkle.iterate(wanted, self._repo.objects.get)}

    def _taken_over(self, here: _Growing, wanted: Id | None) -> str:
        """Take over a directory that is unchanged with all below it; else say what of it is."""
        if self._unchanged is None or here.cache is None or here.path not in self._unchanged.same:
            return _NOTHING
        known = here.cache.known(here.path)
        if known is None or known.tree is None:
            return _NOTHING
        nothing_there = wanted is None and not known.tree.files
        if not nothing_there and (known.tree.id != wanted or not self._ingest.relies_on(known.tree.id)):
            return _NOTHING
        if here.path not in self._unchanged.whole:
            return _OWN if not nothing_there else _NOTHING
        here.cache.keep_all(here.path)
        self._advance(known.tree.size)
        here.awaited = 0
        self._complete(here, known.tree)
        return _WHOLE

    def _arrived(self, directory: _Growing) -> None:
        """One that was awaited in a directory is known; with the last one the directory is complete."""
        directory.awaited -= 1
        if directory.awaited:
            return
        tree = merkle.write_directory(directory.entries, self._ingest.put) if self._stored else None
        cache, listing = directory.cache, directory.listing
        if cache is not None and listing is not None:
            whole = listing.listed if listing.plain else NOT_LISTED
            tree_of_it = tree if listing.plain else None
            cache.seal(directory.path, directory.names, listing.order, directory.below, whole, tree_of_it)
        elif cache is not None:
            cache.keep_with(directory.path, tree)
        directory.entries = []
        self._complete(directory, tree)

    def _complete(self, directory: _Growing, tree: TreeSummary | None) -> None:
        above = directory.above
        if above is None:
            if tree is not None:
                self._root = tree
            return
        if tree is not None and tree.files:  # there are no empty directories in an artifact
            above.entries.append(directory_entry(_base(directory.path), tree))
        self._arrived(above)

    # -- files --------------------------------------------------------------------------------------------

    def _file(self, directory: _Growing, found: Found) -> Iterator[Source[_Key]]:
        """Take in a file or link; gives what has to be read."""
        if stat.S_ISLNK(found.status.st_mode):
            self._enter(directory, found, symlink_entry(_base(found.path), os.readlink(found.disk)))
            self.caches.put(found, found.status, None, self._began)
            return
        cache, status = directory.cache, found.status
        known = self.caches.get(found) if cache is None else cache.get(directory.path, _base(found.path), status)
        if known is not None and self._ingest.has(known):
            self._enter(directory, found, entry_of(found, known))
            self._advance(known.size)
            return
        size = status.st_size
        directory.awaited += 1
        yield Source(found.disk, size, _Key(found, directory), self._earlier(found.path, size))

    def _take(self, directory: _Growing, found: Found, content: Content, status: os.stat_result) -> None:
        entry = entry_of(found, content)
        self._enter(directory, found, entry)
        if directory.cache is None:
            self.caches.put(found, status, content, self._began)
        else:
            directory.cache.put(directory.path, entry.name, status, content, read_at_ns=self._began)

    def _enter(self, directory: _Growing, found: Found, entry: Entry) -> None:
        directory.names.add(entry.name)
        if self._stored:
            directory.entries.append(entry)
        else:
            self._put(found.path, entry)


_WHOLE: Final = "whole"  # a directory and all below it are taken over
_OWN: Final = "own"  # its own files are
_NOTHING: Final = "nothing"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def entry_of(found: Found, content: Content) -> Entry:
    """The entry of a file.

    Args:
        found: where it is, and its status.
        content: what was read of it.

    Raises:
        InvalidInput: its name can't be stored.
    """
    try:
        names.check_path(found.path)
    except InvalidInput as exc:
        raise InvalidInput(f"cannot store {found.disk!r}: {exc.message}", hint=f"list it in {IGNORE_FILE}") from exc
    executable = bool(found.status.st_mode & stat.S_IXUSR)
    return Entry(found.path.rpartition("/")[2], content.kind, executable, content.size, 1, content.id)
