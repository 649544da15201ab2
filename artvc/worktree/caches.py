"""The stat caches that a walk needs, found by the paths of files."""

import os

from artvc.model.objects import Content
from artvc.repo import Repository
from artvc.store.statcache import StatCache
from artvc.worktree.walking import Found


class Caches:
    """One cache for the directory that a walk began at, others for single files.

    Args:
        repo: whose caches they are.
    """

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._by_root: dict[str, StatCache] = {}

    def at(self, root: str) -> StatCache:
        """The cache of a directory on disk."""
        if root not in self._by_root:
            self._by_root[root] = StatCache(self._repo.disk, str(self._repo.dir), root)
        return self._by_root[root]

    def _place(self, found: Found) -> tuple[StatCache, str, str]:
        """The cache of a file, and its directory and name in there."""
        directory, _, name = found.path.rpartition("/")
        return self.at(root_of(found.path, found.disk)), directory, name

    def get(self, found: Found) -> Content | None:
        """The content of a file that is unchanged since it was known."""
        cache, directory, name = self._place(found)
        return cache.get(directory, name, found.status)

    def put(self, found: Found, status: os.stat_result, content: Content | None, read_at_ns: int | None) -> None:
        """Remember a file; arguments as for :meth:`artvc.store.statcache.StatCache.put`."""
        cache, directory, name = self._place(found)
        cache.put(directory, name, status, content, read_at_ns=read_at_ns)

    def save(self, *, complete: bool = False, keep_others: bool = False) -> None:
        """Save all of them; arguments as for :meth:`artvc.store.statcache.StatCache.save`."""
        packs = self._repo.objects.index.packs
        for cache in self._by_root.values():
            cache.save(packs, complete=complete, keep_others=keep_others)

    def move(self, directory: str) -> None:
        """Let them be about another directory: the one that theirs was renamed to."""
        for cache in self._by_root.values():
            cache.move(str(self._repo.dir), directory)


def root_of(path: str, disk: str) -> str:
    """The directory on disk that stands for the root of an artifact.

    Args:
        path: of something in the artifact, "" is the root itself.
        disk: of the same, on disk; ends with the path.
    """
    return (disk[: -len(path) - 1] or "/") if path else disk
