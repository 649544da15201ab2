"""The stat cache: which content a file had when its size, times and inode were such.

A cache file for each directory that was committed or checked out (``cache/stat/<hash of its path>``).  A file whose
status is the same as when its content was known is not read again.  As git knows, that is wrong for a file that is
changed once more within one tick of the clock; so an entry is kept only if the file was already older than a tick
when it was read ("racy" files are read again next time).  Change time and inode can't be set back by tools that
restore modification times, so they are compared too.

Layout: directories one after the other, each with its path, its names and a table of fixed records, so that
only the directories looked at are unpacked; an xxh3 at the end covers all.
"""

import os
import struct
from collections.abc import Iterable
from typing import Final

from xxhash import xxh3_64_intdigest, xxh3_128_hexdigest

from artvc.errors import StorageError, StorageFull
from artvc.model.ids import Id
from artvc.model.objects import Content, EntryKind
from artvc.store.fsio import Disk

TICK_NS: Final = 20_000_000  # kernels stamp files with a clock that moves every 1 to 10 ms
COARSE_TICK_NS: Final = 2_000_000_000  # FAT and some network file systems
_MAGIC: Final = b"ARTVCST1"
_HEAD = struct.Struct("<8sQ")  # magic, directories
_DIRECTORY = struct.Struct("<III")  # bytes of path, of names, number of files
_RECORD = struct.Struct("<QqqQB32s")  # size, mtime, ctime, inode, kind, id
_CHECKSUM = struct.Struct("<Q")
_LIMIT: Final = 4 * 1024 * 1024 * 1024
_KINDS: Final = {int(kind): kind for kind in EntryKind}

Record = tuple[int, int, int, int, int, bytes]


class StatCache:
    """The known files below one directory.

    Args:
        disk: the door.
        root: the ``.artvc`` directory.
        directory: absolute path of the directory that the cache is for.
    """

    def __init__(self, disk: Disk, root: str, directory: str) -> None:
        self._disk = disk
        self._tmp = os.path.join(root, "tmp")
        self._dir = os.path.join(root, "cache", "stat")
        self._file = os.path.join(self._dir, xxh3_128_hexdigest(os.fsencode(directory)))
        self._packed: dict[str, tuple[int, int, int]] = {}
        self._data = memoryview(b"")
        self._found: dict[str, dict[str, Record]] = {}
        self._fresh: dict[str, dict[str, Record]] = {}
        self._load()

    def move(self, root: str, directory: str) -> None:
        """Let it be about another directory: the one that this was renamed to."""
        self._file = os.path.join(root, "cache", "stat", xxh3_128_hexdigest(os.fsencode(directory)))

    def _load(self) -> None:
        """Take the cache file if it is whole; otherwise start with nothing."""
        try:
            raw = self._disk.read_file(self._file, limit=_LIMIT)
        except (FileNotFoundError, StorageError):
            return
        if len(raw) < _HEAD.size + _CHECKSUM.size:
            return
        data = memoryview(raw)[: -_CHECKSUM.size]
        magic, count = _HEAD.unpack_from(data)
        if magic != _MAGIC or _CHECKSUM.unpack(raw[-_CHECKSUM.size :])[0] != xxh3_64_intdigest(data):
            return
        at = _HEAD.size
        for _ in range(count):
            path_size, names_size, files = _DIRECTORY.unpack_from(data, at)
            at += _DIRECTORY.size
            path = os.fsdecode(bytes(data[at : at + path_size]))
            self._packed[path] = (at + path_size, names_size, files)
            at += path_size + names_size + files * _RECORD.size
        self._data = data

    def _directory(self, path: str) -> dict[str, Record]:
        found = self._found.get(path)
        if found is None:
            found = {}
            if path in self._packed:
                at, names_size, files = self._packed[path]
                names = os.fsdecode(bytes(self._data[at : at + names_size])).split("\0")
                start = at + names_size
                records = _RECORD.iter_unpack(self._data[start : start + files * _RECORD.size])
                found = dict(zip(names, records, strict=True)) if files else {}
            self._found[path] = found
        return found

    def get(self, directory: str, name: str, status: os.stat_result) -> Content | None:
        """The content of a file if it has not changed since it was known, else None.

        Args:
            directory: path of its directory from the root, "" for the root.
            name: its name there.
            status: as it is now.
        """
        record = self._directory(directory).get(name)
        if record is None:
            return None
        size, mtime, ctime, inode, kind, raw = record
        if (
            size != status.st_size
            or mtime != status.st_mtime_ns
            or ctime != status.st_ctime_ns
            or inode != status.st_ino
        ):
            return None
        self._fresh.setdefault(directory, {})[name] = record
        return Content(_KINDS[kind], Id(raw), size)

    def put(
        self, directory: str, name: str, status: os.stat_result, content: Content, *, read_at_ns: int | None
    ) -> None:
        """Remember a file's content, unless the file is so fresh that a change could go unnoticed.

        Args:
            directory, name: as for :meth:`get`.
            status: from when it was read or written.
            content: what it was then.
            read_at_ns: the clock before it was read; None for a file that artvc itself wrote.
        """
        if read_at_ns is not None:
            whole_seconds = status.st_mtime_ns % 10**9 == 0 and status.st_ctime_ns % 10**9 == 0
            tick = COARSE_TICK_NS if whole_seconds else TICK_NS
            if max(status.st_mtime_ns, status.st_ctime_ns) > read_at_ns - tick:
                return
        self._fresh.setdefault(directory, {})[name] = (
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            int(content.kind),
            bytes(content.id),
        )

    def save(self, *, keep_others: bool = False) -> None:
        """Write what was got or put since opening; a failure only costs time later.

        Args:
            keep_others: keep entries that were not asked for (after looking at a part only).
        """
        merged = {path: dict(self._directory(path)) for path in self._packed} if keep_others else {}
        for path, files in self._fresh.items():
            merged.setdefault(path, {}).update(files)
        body = b"".join(_packed_pieces(merged.items(), len(merged)))
        data = body + _CHECKSUM.pack(xxh3_64_intdigest(body))
        if bytes(self._data) == body:
            return
        try:
            self._disk.ensure_dir(os.path.dirname(self._dir))  # people delete caches
            self._disk.ensure_dir(self._dir)
            self._disk.write_file(self._file, data, tmp=self._tmp, durable=False)
        except (StorageError, StorageFull, FileNotFoundError):
            return


def _packed_pieces(directories: Iterable[tuple[str, dict[str, Record]]], count: int) -> Iterable[bytes]:
    yield _HEAD.pack(_MAGIC, count)
    for path, files in directories:
        raw_path, names = os.fsencode(path), os.fsencode("\0".join(files))
        yield _DIRECTORY.pack(len(raw_path), len(names), len(files)) + raw_path + names
        yield b"".join(_RECORD.pack(*record) for record in files.values())
