"""Packs that gc means to delete: empty files in ``condemned/`` whose names say which pack, and since when.

A pack goes in two steps.  *Condemned* (``<pack>.<time>``), it is read as before, but no commit relies on it any more:
what lies only there counts as unknown and is stored again.  *Doomed* (``<pack>.doomed``), it is about to be unlinked:
the mark is made before, and taken away after, so whoever looks at the marks first and then at the packs misses neither.

The files are empty so that there is nothing to be torn or flipped in them, and one a pack so that two processes
never write the same one.
"""

import contextlib
import os
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from artvc.model.objects import check_time
from artvc.store.fsio import Disk

DIRECTORY: Final = "condemned"
_DOOMED: Final = "doomed"
_MARK = re.compile(r"([0-9a-f]{64})\.([0-9]{8}T[0-9]{12}Z|doomed)\Z")


class Marks(NamedTuple):
    """What is marked at one moment.

    Attributes:
        since: pack to the time at which it was condemned; of two times the later.
        doomed: packs about to be unlinked.
    """

    since: dict[str, str]
    doomed: frozenset[str]


class Condemned:
    """The marks of one repository.

    Args:
        disk: the door.
        root: the ``.artvc`` directory.
    """

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        self.directory = os.path.join(root, DIRECTORY)

    def _names(self) -> list[str]:
        try:
            return self._disk.listdir(self.directory)
        except FileNotFoundError:  # nothing was ever condemned
            return []

    def read(self) -> Marks:
        """The marks as they are now.  Raises StorageError."""
        since: dict[str, str] = {}
        doomed = set()
        for match in filter(None, map(_MARK.match, self._names())):
            if match[2] == _DOOMED:
                doomed.add(match[1])
            else:
                time = _long(match[2])
                since[match[1]] = max(time, since.get(match[1], time))
        return Marks(since, frozenset(doomed))

    def condemn(self, packs: Iterable[str], time: str) -> None:
        """Condemn packs; durable on return.  Raises StorageFull, StorageError, InvalidInput for a malformed time."""
        self._make([f"{pack}.{_short(check_time(time))}" for pack in packs])

    def doom(self, packs: Iterable[str]) -> None:
        """Mark packs as about to be unlinked; durable on return.  Raises StorageFull, StorageError."""
        self._make([f"{pack}.{_DOOMED}" for pack in packs])

    def _make(self, names: list[str]) -> None:
        if not names:
            return
        self._disk.ensure_dir(self.directory)
        for name in names:
            with contextlib.suppress(FileExistsError):
                self._disk.close(self._disk.open_new(os.path.join(self.directory, name)))
        self._disk.fsync_dir(self.directory)

    def pardon(self, packs: Iterable[str]) -> None:
        """Condemn some packs no more; what is doomed stays so.  Raises StorageError."""
        self._remove(packs, doomed=False)

    def forget(self, packs: Iterable[str]) -> None:
        """Take all marks of packs away that are gone.  Raises StorageError."""
        self._remove(packs, doomed=True)

    def _remove(self, packs: Iterable[str], *, doomed: bool) -> None:
        wanted = set(packs)
        gone = [
            match[0]
            for match in filter(None, map(_MARK.match, self._names()))
            if match[1] in wanted and (doomed or match[2] != _DOOMED)
        ]
        for name in gone:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(os.path.join(self.directory, name))
        if gone:
            self._disk.fsync_dir(self.directory)

    def made(self) -> dict[str, int]:
        """When the newest mark of each pack was made by the file system's clock, in nanoseconds."""
        found: dict[str, int] = {}
        for match in filter(None, map(_MARK.match, self._names())):
            with contextlib.suppress(FileNotFoundError):
                time = os.stat(os.path.join(self.directory, match[0])).st_mtime_ns
                found[match[1]] = max(time, found.get(match[1], time))
        return found


def _short(time: str) -> str:
    """``2026-11-23T03:00:00.000001Z`` as ``20261123T030000000001Z``."""
    return time.replace("-", "").replace(":", "").replace(".", "")


def _long(short: str) -> str:
    day, clock = short[:8], short[9:]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}.{clock[6:]}"
