"""Commits in flight: while something is taken in, a file in ``locks/`` says so, held by a lock of the kernel.

gc asks who is at work and leaves alone what such a writer may have found before it was condemned.  The lock goes with
the process, so there is nothing stale; a file that nobody holds is removed.  Where locks do nothing (some
network file systems) this spares nobody, and nothing depends on it: a writer looks again at its ref transaction.
"""

import contextlib
import os
from typing import Final

from artvc.errors import StorageError, StorageFull
from artvc.store.fsio import Disk

SUFFIX: Final = ".writer"


class Writer:
    """The sign that this process takes something in, from now until :meth:`close`.

    Args:
        disk: the door.
        root: the ``.artvc`` directory.

    Raises:
        StorageFull, StorageError: the sign can't be put up.
    """

    def __init__(self, disk: Disk, root: str) -> None:
        self._disk = disk
        directory = os.path.join(root, "locks")
        if not os.path.isdir(directory):  # tools that copy repositories leave out empty directories
            disk.ensure_dir(directory)
        while True:
            self._path = os.path.join(directory, os.urandom(8).hex() + SUFFIX)
            self._fd = disk.open_new(self._path)
            disk.hold(self._fd)
            if os.fstat(self._fd).st_nlink:  # else gc took it for a dead one's before it was held
                break
            disk.close(self._fd)

    def close(self) -> None:
        """Take the sign down."""
        self._disk.discard(self._path)
        with contextlib.suppress(StorageError, StorageFull):  # it was only read, and the work is done
            self._disk.close(self._fd)


def began(disk: Disk, root: str, *, tidy: bool = True) -> list[int]:
    """When each living writer began, by the file system's clock, in nanoseconds.

    Args:
        disk, root: as for :class:`Writer`.
        tidy: remove the signs of dead ones.
    """
    directory = os.path.join(root, "locks")
    found = []
    try:
        names = [name for name in disk.listdir(directory) if name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    for name in names:
        path = os.path.join(directory, name)
        try:
            fd = disk.open_read(path)
        except FileNotFoundError:
            continue
        try:
            if disk.hold(fd):
                if tidy:
                    disk.discard(path)
            else:
                found.append(os.fstat(fd).st_mtime_ns)
        finally:
            os.close(fd)
    return found
