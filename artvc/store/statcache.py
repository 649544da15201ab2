"""The stat cache: which content a file had when its size, times and inode were such.

A cache file for each directory that was committed or checked out (``cache/stat/<hash of its path>``).  A file whose
status is the same as when its content was known is not read again.  As git knows, that is wrong for a file that is
changed once more within one tick of the clock; so an entry is kept only if the file was already older than a tick
when it was read ("racy" files are read again next time).  Change time and inode can't be set back by tools that
restore modification times, so they are compared too.

A directory of which everything is known is *whole*: the cache also has its own status, a digest of its listing, and
the tree that it and all below it made.  As long as its listing and the status of its files are the same, no file of it
need be looked at by itself, and if that holds for all directories below, the tree stands for all of them.  As long as
its own status is the same, so is its listing.

Layout: directories one after the other, each with its path, names, a table of status and a table of contents, so that
only the directories looked at are unpacked, and a whole table of status is compared at once; an xxh3 at the end
covers all.  The list of packs at the beginning says which there were when the trees were known to be complete.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Final, NamedTuple, Self

from xxhash import xxh3_64, xxh3_64_intdigest, xxh3_128_hexdigest

from artvc.errors import StorageError, StorageFull
from artvc.model.ids import Id
from artvc.model.objects import Content, EntryKind, TreeSummary
from artvc.store.fsio import Disk

TICK_NS: Final = 20_000_000  # kernels stamp files with a clock that moves every 1 to 10 ms
COARSE_TICK_NS: Final = 2_000_000_000  # FAT and some network file systems
_MAGIC: Final = b"ARTVCST2"
_HEAD = struct.Struct("<8sQQ")  # magic, packs, directories
_PACK_BYTES: Final = 8  # of its id; enough to miss one that is gone
# Bytes of path, names, subdirectories; number of files; its own status, listing; tree with its files and size.
_DIRECTORY = struct.Struct("<IIII36sQ32sQQ")
_TREE = struct.Struct("<32sQQ")  # the end of the same
_STATUS = struct.Struct("<QqqQI")  # size, mtime, ctime, inode, mode
_CONTENT = struct.Struct("<B32s")  # kind, id
_CHECKSUM = struct.Struct("<Q")
_LIMIT: Final = 4 * 1024 * 1024 * 1024
_NO_ID: Final = bytes(32)
_NO_STATUS: Final = bytes(_STATUS.size)
_OPEN: Final = 8  # directories that are kept unpacked
_KINDS: Final = {int(kind): kind for kind in EntryKind}

_Record = tuple[bytes, int, bytes]  # status, kind, id


def packed_status(status: os.stat_result) -> bytes:
    """What of a file's status tells whether it was changed."""
    return _STATUS.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode)


class Listed(NamedTuple):
    """What tells whether other things lie in a directory than before.

    Attributes:
        digest: of its listing, see :func:`listing_digest`; 0: look at all files one by one.
        status: its own, as :func:`packed_status` has it; zeros where that was too fresh, or says nothing.
    """

    digest: int
    status: bytes

    @classmethod
    def of(cls, digest: int, status: os.stat_result | None, *, read_at_ns: int) -> Self:
        """What a directory is.

        Args:
            digest: of its listing.
            status: from before it was listed; None where it does not tell of changes.
            read_at_ns: the clock at that time, or before.
        """
        if status is None or _is_fresh(status, read_at_ns):
            return cls(digest, _NO_STATUS)
        return cls(digest, packed_status(status))


def _is_fresh(status: os.stat_result, read_at_ns: int) -> bool:
    """Whether something may be changed once more without a change of its times."""
    whole_seconds = status.st_mtime_ns % 10**9 == 0 and status.st_ctime_ns % 10**9 == 0
    tick = COARSE_TICK_NS if whole_seconds else TICK_NS
    return max(status.st_mtime_ns, status.st_ctime_ns) > read_at_ns - tick


def listing_digest(listed: Sequence[str]) -> int:
    """A digest of the names in a directory, in the order of the file system, directories with a slash; never 0."""
    return xxh3_64_intdigest(os.fsencode("\0".join(listed))) or 1


class Known:
    """What the cache has of one directory; unpacked as it is asked for.

    Args:
        block: bytes that have it.
        at: where it begins.

    Attributes:
        count: files and links.
        listing: the :func:`listing_digest` of it if it is whole, else 0.
        tree: what it and all below made when it was whole; None where that is not known.
    """

    __slots__ = ("_at", "_below", "_data", "_names", "_own", "count", "listing", "tree")

    def __init__(self, block: bytes | memoryview, at: int) -> None:
        self._data = memoryview(block)
        path, self._names, self._below, count, own, listing, tree, files, size = _DIRECTORY.unpack_from(self._data, at)
        self._at = at + _DIRECTORY.size + path
        self.count: int = count
        self._own = own
        self.listing: int = listing
        self.tree = TreeSummary(Id(tree), files, size) if tree != _NO_ID else None

    @property
    def names(self) -> list[str]:
        """Of its files and links."""
        return self._text(self._at, self._names) if self.count else []

    @property
    def below(self) -> list[str]:
        """Names of the directories in it that belong to the artifact."""
        return self._text(self._at + self._names, self._below) if self._below else []

    def _text(self, start: int, size: int) -> list[str]:
        return os.fsdecode(bytes(self._data[start : start + size])).split("\0")

    @property
    def _statuses(self) -> memoryview:
        start = self._at + self._names + self._below
        return self._data[start : start + self.count * _STATUS.size]

    @property
    def contents(self) -> Iterator[tuple[int, bytes]]:
        """Kind and id of each file."""
        start = self._at + self._names + self._below + self.count * _STATUS.size
        return _CONTENT.iter_unpack(self._data[start : start + self.count * _CONTENT.size])

    def records(self) -> dict[str, _Record]:
        """By name: status, kind and id."""
        size, packed = _STATUS.size, bytes(self._statuses)
        statuses = [packed[at : at + size] for at in range(0, len(packed), size)]
        return {
            name: (status, kind, raw)
            for name, status, (kind, raw) in zip(self.names, statuses, self.contents, strict=True)
        }

    def has_status(self, status: os.stat_result) -> bool:
        """Whether the directory itself has this status, and so its listing."""
        return bool(self._own == packed_status(status))

    def has_statuses(self, start: int, found: Sequence[os.stat_result]) -> bool:
        """Whether the files from a number on have these."""
        pack = _STATUS.pack  # written out, for a call more takes a fifth of the time
        packed = b"".join([pack(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_mode) for s in found])
        return self._statuses[start * _STATUS.size :][: len(packed)] == packed


NOT_LISTED: Final = Listed(0, _NO_STATUS)


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
        self._data = memoryview(b"")
        self._old: dict[str, int] = {}  # path -> where its block begins
        self._kept: set[str] = set()
        self._new: dict[str, bytes] = {}  # path -> its block
        self._unpacked: dict[str, dict[str, _Record]] = {}  # of _old
        self._open: dict[str, dict[str, _Record]] = {}  # of what will be in _new
        self._packs: Set[bytes] = frozenset()
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
        magic, packs, count = _HEAD.unpack_from(data)
        if magic != _MAGIC or _CHECKSUM.unpack(raw[-_CHECKSUM.size :])[0] != xxh3_64_intdigest(data):
            return
        self._read(data, packs, count)

    def _read(self, data: memoryview, packs: int, count: int) -> None:
        at = _HEAD.size + packs * _PACK_BYTES
        self._packs = {bytes(data[one : one + _PACK_BYTES]) for one in range(_HEAD.size, at, _PACK_BYTES)}
        for _ in range(count):
            start = at + _DIRECTORY.size
            path_size = _DIRECTORY.unpack_from(data, at)[0]
            self._old[os.fsdecode(bytes(data[start : start + path_size]))] = at
            at += _block_bytes(data, at)
        self._data = data

    # -- directories --------------------------------------------------------------------------------------

    @property
    def directories(self) -> Sequence[str]:
        """Paths of all that the file has, parents before what is below them."""
        return list(self._old)

    def known(self, directory: str) -> Known | None:
        """What the file has of a directory ("" is the root), or None."""
        at = self._old.get(directory)
        return Known(self._data, at) if at is not None else None

    def keep_all(self, directory: str) -> None:
        """Take over what the file has of a directory and of all below it."""
        below = f"{directory}/"
        self._kept.update(path for path in self._old if not directory or path == directory or path.startswith(below))

    def keep_with(self, directory: str, tree: TreeSummary | None) -> None:
        """Take over what the file has of a directory, but for the tree that it and all below make.  Raises KeyError."""
        block = bytearray(self._block(directory))
        tree_id, files, size = tree if tree is not None else (_NO_ID, 0, 0)
        _TREE.pack_into(block, _DIRECTORY.size - _TREE.size, bytes(tree_id), files, size)
        self._new[directory] = bytes(block)

    def seal(
        self,
        directory: str,
        names: Set[str],
        order: Iterable[str],
        below: Sequence[str],
        listing: Listed,
        tree: TreeSummary | None,
    ) -> None:
        """Note that all files of a directory are known, if they are.

        Args:
            directory: its path.
            names: the files and links in it that belong to the artifact; each was got or put.
            order: these names, maybe among others, in the order in which the file system gives them.
            below: names of the directories in it that belong to the artifact.
            listing: what it was before the files were looked at.
            tree: what it and all below make, if that is known.
        """
        records = self._open.pop(directory, None)
        if records is None:
            packed = self._new.get(directory)
            records = Known(packed, 0).records() if packed is not None else {}
        if records.keys() == names:
            records = {name: records[name] for name in order if name in names}
        else:
            listing, tree = NOT_LISTED, None
        self._new[directory] = _packed(directory, records, below, listing, tree)

    # -- files --------------------------------------------------------------------------------------------

    def _records(self, directory: str) -> dict[str, _Record]:
        """What the file has of the files in a directory."""
        found = self._unpacked.get(directory)
        if found is None:
            known = self.known(directory)
            found = known.records() if known is not None else {}
            if len(self._unpacked) >= _OPEN:
                del self._unpacked[next(iter(self._unpacked))]
            self._unpacked[directory] = found
        return found

    def _fresh(self, directory: str) -> dict[str, _Record]:
        """What will be in the file."""
        found = self._open.get(directory)
        if found is None:
            if len(self._open) >= _OPEN:
                oldest = next(iter(self._open))
                self._new[oldest] = _packed(oldest, self._open.pop(oldest), (), NOT_LISTED, None)
            packed = self._new.pop(directory, None)
            found = self._open[directory] = Known(packed, 0).records() if packed is not None else {}
        return found

    def get(self, directory: str, name: str, status: os.stat_result) -> Content | None:
        """The content of a file if it has not changed since it was known, else None.

        Args:
            directory: path of its directory from the root, "" for the root.
            name: its name there.
            status: as it is now.
        """
        record = self._records(directory).get(name)
        if record is None or record[0] != packed_status(status) or record[1] == EntryKind.SYMLINK:
            return None
        self._fresh(directory)[name] = record
        return Content(_KINDS[record[1]], Id(record[2]), status.st_size)

    def put(
        self, directory: str, name: str, status: os.stat_result, content: Content | None, *, read_at_ns: int | None
    ) -> None:
        """Remember a file's content, unless the file is so fresh that a change could go unnoticed.

        Args:
            directory, name: as for :meth:`get`.
            status: from when it was read or written.
            content: what it was then; None for a symbolic link.
            read_at_ns: the clock before it was read; None for a file that artvc itself wrote.
        """
        if read_at_ns is not None and _is_fresh(status, read_at_ns):
            return
        kind, raw = (int(content.kind), bytes(content.id)) if content is not None else (int(EntryKind.SYMLINK), _NO_ID)
        self._fresh(directory)[name] = (packed_status(status), kind, raw)

    # -- packs --------------------------------------------------------------------------------------------

    def packs_stand(self, packs: Set[str]) -> bool:
        """Whether all packs are there (their names are given) that were when the trees were known to be complete."""
        return self._packs <= set(map(_short, packs))

    # -- saving -------------------------------------------------------------------------------------------

    def save(self, packs: Set[str], *, complete: bool = False, keep_others: bool = False) -> None:
        """Write what was got, put, kept or sealed since opening; a failure only costs time later.

        Args:
            packs: names of those that are there.
            complete: all trees that are noted were just found complete; else packs that went are not forgotten.
            keep_others: keep directories and files that were not asked for (after looking at a part only).
        """
        for path in list(self._open):
            self._new[path] = _packed(path, self._open.pop(path), (), NOT_LISTED, None)
        if keep_others:
            for path in self._old.keys() & self._new.keys():
                self._merge(path)
            for path in list(self._new):
                self._doubt_above(path)
            self._kept.update(self._old)
        there = {_short(name) for name in packs}
        wanted = there if complete else there | self._packs
        if not self._new and self._kept.issuperset(self._old) and wanted >= self._packs:
            return
        try:
            self._disk.ensure_dir(os.path.dirname(self._dir))  # people delete caches
            self._disk.ensure_dir(self._dir)
            self._disk.write_file(self._file, self._pieces(wanted), tmp=self._tmp, durable=False)
        except (StorageError, StorageFull, FileNotFoundError):
            return

    def _merge(self, path: str) -> None:
        """Add what the file has of a directory to what is new of it, where that is not all."""
        new, old = Known(self._new[path], 0), self.known(path)
        if new.listing or old is None:
            return
        fresh, records = new.records(), old.records()
        if fresh.items() <= records.items():
            del self._new[path]
        else:
            self._new[path] = _packed(path, {**records, **fresh}, new.below, NOT_LISTED, None)

    def _doubt_above(self, path: str) -> None:
        """Forget the trees of the directories above one that was looked at without them."""
        while path:
            path = path.rpartition("/")[0]
            if path in self._new:
                return
            if path in self._old:
                self.keep_with(path, None)

    def _pieces(self, packs: Set[bytes]) -> Iterator[bytes | memoryview]:
        paths = sorted(self._new.keys() | (self._kept & self._old.keys()))
        checksum = xxh3_64()
        head = _HEAD.pack(_MAGIC, len(packs), len(paths)) + b"".join(sorted(packs))
        checksum.update(head)
        yield head
        for path in paths:
            block = self._new.get(path) or self._block(path)
            checksum.update(block)
            yield block
        yield _CHECKSUM.pack(checksum.intdigest())

    def _block(self, path: str) -> memoryview:
        at = self._old[path]
        return self._data[at : at + _block_bytes(self._data, at)]


def _short(pack: str) -> bytes:
    return bytes.fromhex(pack[: 2 * _PACK_BYTES])


def _block_bytes(data: memoryview, at: int) -> int:
    path, names, below, files, *_ = _DIRECTORY.unpack_from(data, at)
    return int(_DIRECTORY.size + path + names + below + files * (_STATUS.size + _CONTENT.size))


def _packed(
    path: str, records: dict[str, _Record], below: Sequence[str], listing: Listed, tree: TreeSummary | None
) -> bytes:
    raw_path, names = os.fsencode(path), os.fsencode("\0".join(records))
    raw_below = os.fsencode("\0".join(below))
    tree_id, files, size = tree if tree is not None else (_NO_ID, 0, 0)
    head = _DIRECTORY.pack(
        *(len(raw_path), len(names), len(raw_below), len(records)),
        *(listing.status, listing.digest, bytes(tree_id), files, size),
    )
    statuses = b"".join([status for status, _, _ in records.values()])
    contents = b"".join([_CONTENT.pack(kind, raw) for _, kind, raw in records.values()])
    return b"".join((head, raw_path, names, raw_below, statuses, contents))
