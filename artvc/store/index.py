"""The merged pack index: which pack holds an object.  A cache: deleted or damaged, it is made again from packs.

Packs are found by listing their directory.  Most are covered by one merged file, mapped into memory (entries sorted by
id, a fan-out table, the names of the packs); the packs that came since are kept in a dict from their own indexes.  When
these are more than a quarter of all, or many, the merged file is written anew, so that opening a large repository reads
only the newest indexes.  On a read-only medium nothing is written and everything still works.

Theory.  An entry of the merged file is an entry of a pack's index and the pack's number.  So both taking up a pack and
merging move bytes and never look into an entry: 10 million take half a second, most of it the disk's.  A look-up takes
the slot that the fan-out names, halves it to a few kilobytes and lets C search these.
"""

import heapq
import itertools
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from xxhash import xxh3_64_intdigest

from artvc.errors import Damaged, StorageError, StorageFull
from artvc.model.ids import ID_SIZE, Kind
from artvc.store.fsio import Buffer, Disk
from artvc.store.packs import END_BYTES, ENTRY_BYTES, PACK_SUFFIX, Pack, Place, is_pack_name, read_end

_MAGIC: Final = b"ARTVCMIX"
_FORMAT: Final = 1
_ITEM: Final = ENTRY_BYTES + 4  # an entry of a pack's index and the pack's number
_SPLIT: Final = struct.Struct(f"<{ID_SIZE}s{_ITEM - ID_SIZE}s")  # id, where
_WHERE: Final = struct.Struct("<BIIIII")  # kind, offset, length, inside, size, pack number
_TAIL: Final = struct.Struct("<8sIIQQ")  # magic, format, packs, entries, xxh3 of fan-out and pack names
_FAN: Final = 1 << 16
_SLOT: Final = struct.Struct("<2Q")  # first entry of a slot and of the next
_WINDOW: Final = 64  # entries that are searched as plain bytes
_LOOSE_PACKS: Final = 64
_LOOSE_PACKS_LIMIT: Final = 512
_LOOSE_ENTRIES: Final = 60_000  # take 25 ms to open
_LOOSE_ENTRIES_LIMIT: Final = 500_000  # 100 MB of memory
_WRITE: Final = _ITEM << 14


class Merged:
    """The merged index file, mapped: entries sorted by id, a fan-out by the first 16 bits, pack names, tail.

    Args:
        view: the whole file; its slices are bytes.

    Raises:
        Damaged: it is not whole.
    """

    def __init__(self, view: mmap.mmap) -> None:
        if len(view) < _TAIL.size:
            raise Damaged("merged index is cut short")
        magic, version, packs, count, checksum = _TAIL.unpack_from(view, len(view) - _TAIL.size)
        self._fan_at = count * _ITEM
        names_at = self._fan_at + (_FAN + 1) * 8
        end = names_at + packs * ID_SIZE
        if magic != _MAGIC or version != _FORMAT or end + _TAIL.size != len(view):
            raise Damaged("merged index is cut short")
        if xxh3_64_intdigest(memoryview(view)[self._fan_at : end]) != checksum:
            raise Damaged("merged index does not have its checksum")
        names = view[names_at:end].hex()
        self.packs = [names[at : at + 2 * ID_SIZE] for at in range(0, len(names), 2 * ID_SIZE)]
        self.count: int = count
        self._view = view

    def find(self, wanted: bytes) -> Iterator[bytes]:
        """All places of an id, each as the rest of its entry."""
        at, high = self._near(wanted)
        start = at * _ITEM
        found = (window := self._view[start : (high + 1) * _ITEM]).find(wanted)
        while found > 0 and found % _ITEM:  # bytes that only look like an id
            found = window.find(wanted, found + 1)
        if found < 0:
            return
        at += found // _ITEM
        while at < self.count and self.id(at) == wanted:
            where = self._view[at * _ITEM + ID_SIZE : (at + 1) * _ITEM]
            # Entries have no checksum: one that is damaged is passed over, as if the object were not there.
            if int.from_bytes(where[-4:], "little") < len(self.packs):
                yield where
            at += 1

    def place(self, wanted: bytes) -> int:
        """The number of the first entry that is not before an id."""
        low, high = self._near(wanted)
        while low < high:
            middle = (low + high) // 2
            if self.id(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def _near(self, wanted: bytes) -> tuple[int, int]:
        """Numbers that :meth:`place` is not before and not behind, at most _WINDOW apart."""
        low, high = _SLOT.unpack_from(self._view, self._fan_at + int.from_bytes(wanted[:2], "big") * 8)
        while high - low > _WINDOW:
            middle = (low + high) // 2
            if self.id(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low, high

    def id(self, number: int) -> bytes:
        """The id of an entry."""
        return self._view[number * _ITEM : number * _ITEM + ID_SIZE]

    def entries(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes of a range of entries, in pieces of at most _WRITE."""
        whole = memoryview(self._view)[: stop * _ITEM]
        for at in range(start * _ITEM, stop * _ITEM, _WRITE):
            yield whole[at : at + _WRITE]

    def fan(self) -> Sequence[int]:
        """How many entries lie before each slot."""
        found: Sequence[int] = struct.unpack_from(f"<{_FAN + 1}Q", self._view, self._fan_at)
        return found


def _numbered(index: bytes, number: int) -> bytes:
    """A pack's index as entries of the merged file."""
    count = len(index) // ENTRY_BYTES
    items = bytearray(count * _ITEM)
    # Column by column: 53 copies in C, however many entries there are.
    for column in range(ENTRY_BYTES):
        items[column::_ITEM] = index[column::ENTRY_BYTES]
    for column, byte in enumerate(number.to_bytes(4, "little"), ENTRY_BYTES):
        items[column::_ITEM] = bytes([byte]) * count
    return bytes(items)


def _merged_pieces(old: Merged | None, packs: Sequence[str], items: Iterable[bytes], more: int) -> Iterator[bytes]:
    """The bytes of a merged file, piece by piece.

    Args:
        old: the file that it replaces.
        packs: names of all packs by number, those of the old file first.
        items: the entries that are not in the old file, sorted.
        more: how many.
    """
    parts: list[Buffer] = []
    size = done = 0
    fan = [0] * (_FAN + 1)
    for item in items:
        fan[int.from_bytes(item[:2], "big") + 1] += 1
        if old is not None:
            here = old.place(item[:ID_SIZE])
            parts += old.entries(done, here)
            size += (here - done) * _ITEM
            done = here
        parts.append(item)
        size += _ITEM
        if size >= _WRITE:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)
    counts: Iterator[int] = itertools.accumulate(fan)
    if old is not None:
        yield from map(bytes, old.entries(done, old.count))
        counts = map(int.__add__, counts, old.fan())
    count = more + (old.count if old is not None else 0)
    end = struct.pack(f"<{_FAN + 1}Q", *counts) + bytes.fromhex("".join(packs))
    yield end + _TAIL.pack(_MAGIC, _FORMAT, len(packs), count, xxh3_64_intdigest(end))


def _rows(items: bytes) -> Iterator[bytes]:
    """Entries one by one."""
    for at in range(0, len(items), _ITEM):
        yield items[at : at + _ITEM]


class _Table:
    """What is known at a time.  Replaced as a whole, so that a look-up in another thread never sees half of a change.

    Args:
        merged: the merged file, or None.
    """

    def __init__(self, merged: Merged | None) -> None:
        self.merged = merged
        self.names = [] if merged is None else list(merged.packs)  # of packs by number: those of the file first
        self.loose: dict[bytes, bytes] = {}  # by id: the rest of its entry
        self.more: dict[bytes, list[bytes]] = {}  # of ids that are in several loose packs, the others

    def take(self, name: str, index: bytes) -> None:
        """Take up a loose pack."""
        self.names.append(name)  # first: who meets its entries needs it
        items = _numbered(index, len(self.names) - 1)
        new = dict(_SPLIT.iter_unpack(items))
        if len(new) * _ITEM == len(items) and self.loose.keys().isdisjoint(new):
            self.loose.update(new)
            return
        for raw, where in _SPLIT.iter_unpack(items):
            if raw in self.loose:
                self.more.setdefault(raw, []).append(where)
            else:
                self.loose[raw] = where

    def first(self, wanted: bytes) -> bytes | None:
        """A place of an id, as the rest of its entry, or None."""
        found = self.loose.get(wanted)
        if found is None and self.merged is not None:
            return next(self.merged.find(wanted), None)
        return found

    def all(self, wanted: bytes) -> Iterator[bytes]:
        """All places of an id."""
        if wanted in self.loose:
            yield self.loose[wanted]
            yield from self.more.get(wanted, ())
        if self.merged is not None:
            yield from self.merged.find(wanted)

    def items(self) -> list[bytes]:
        """The entries of the loose packs, sorted."""
        found = [raw + where for raw, where in self.loose.items()]
        found += [raw + where for raw, places in self.more.items() for where in places]
        found.sort()
        return found

    def place(self, where: bytes) -> Place:
        """What the rest of an entry says."""
        kind, offset, length, inside, size, number = _WHERE.unpack(where)
        return Place(self.names[number], kind, offset, length, inside, size)


class PackIndex:
    """Finds objects among the packs of one directory.

    Args:
        disk: the door.
        packs: directory of packs.
        cache: directory for the merged file.
        tmp: directory for temporary files.
        ends: the directory holds only the ends of packs that are elsewhere, under the same names.
    """

    def __init__(self, disk: Disk, *, packs: str, cache: str, tmp: str, ends: bool = False) -> None:
        self._disk = disk
        self._packs = packs
        self._ends = ends
        self._file = os.path.join(cache, "packs.idx")
        self._tmp = tmp
        self._table = _Table(None)
        self._files: set[str] = set()  # of all packs that were looked at
        self._bad: dict[str, Damaged] = {}
        self._read_only = False

    @property
    def packs(self) -> set[str]:
        """Names of the packs that are known and readable."""
        return {file.removesuffix(PACK_SUFFIX) for file in self._files} - self._bad.keys()

    @property
    def bad(self) -> dict[str, Damaged]:
        """Packs whose index can't be read, with the reason; everything else works."""
        return self._bad

    def refresh(self) -> bool:
        """Take up the packs that have come and forget those that have gone; whether there were any."""
        changed = False
        whole = False
        while not whole:  # what goes while this looks lies in a pack that came, maybe after the list was made
            more, whole = self._follow()
            changed = changed or more
        self._merge_if_due()
        return changed

    def _follow(self) -> tuple[bool, bool]:
        """Compare with a list of the packs: whether there were changes, and whether none of them went meanwhile."""
        listed = set(self._disk.listdir(self._packs))
        if not self._files:
            self._map()
        gone = self._files - listed
        if gone:
            merged = self._table.merged
            in_file = merged is not None and not gone.isdisjoint([name + PACK_SUFFIX for name in merged.packs])
            self.forget()
            if not in_file:
                self._map()
        fresh = sorted(filter(is_pack_name, listed - self._files))
        whole = True
        for file in fresh:
            whole &= self._take(file)
            if len(self._table.loose) > _LOOSE_ENTRIES_LIMIT:  # the merged file was lost: made again in steps
                self._merge_if_due()
        return bool(fresh or gone), whole

    def forget(self) -> None:
        """Drop everything in memory; the next refresh reads again."""
        self._table, self._files, self._bad = _Table(None), set(), {}

    def discard_cache(self) -> None:
        """Drop the merged file too: it was found to be wrong."""
        self.forget()
        self._disk.discard(self._file)

    def _map(self) -> None:
        """Take the merged file if it is there and whole."""
        self._table = _Table(self._mapped())
        self._files = {name + PACK_SUFFIX for name in self._table.names}

    def _mapped(self) -> Merged | None:
        try:
            fd = self._disk.open_read(self._file)
        except (FileNotFoundError, StorageError):
            return None
        try:
            return Merged(mmap.mmap(fd, 0, access=mmap.ACCESS_READ))
        except (Damaged, ValueError, OSError):
            return None
        finally:
            os.close(fd)

    def add(self, pack: Pack) -> None:
        """Take up a pack that was just written."""
        if pack.name + PACK_SUFFIX in self._files:
            return
        index = pack.index()
        self._files.add(pack.name + PACK_SUFFIX)
        # An index of tiny files takes a tenth of the memory if it goes into the file as it is.
        if len(index) <= _LOOSE_ENTRIES * ENTRY_BYTES or not self._merge(pack.name, index):
            self._table.take(pack.name, index)
            self._merge_if_due()

    def _take(self, file: str) -> bool:
        """Take up a pack; False if it is gone."""
        path = os.path.join(self._packs, file)
        if self._ends:
            return self._take_end(file.removesuffix(PACK_SUFFIX), path)
        try:
            pack = Pack.open(self._disk, path)
        except FileNotFoundError:
            return False
        try:
            self._table.take(pack.name, pack.index())
        except Damaged as exc:
            self._bad[pack.name] = exc
        finally:
            pack.close()
        self._files.add(file)
        return True

    def _take_end(self, name: str, path: str) -> bool:
        try:
            self._table.take(name, read_end(name, self._disk.read_file(path, limit=END_BYTES)).entries)
        except FileNotFoundError:
            return False
        except (Damaged, StorageError) as exc:
            self._bad[name] = Damaged(str(exc))
        self._files.add(name + PACK_SUFFIX)
        return True

    def find(self, wanted: bytes) -> Place | None:
        """Where an object lies, or None."""
        table = self._table
        found = table.first(wanted)
        return None if found is None else table.place(found)

    def find_all(self, wanted: bytes) -> list[Place]:
        """All places of an object: the second serves where the first is damaged."""
        table = self._table
        return [table.place(where) for where in table.all(wanted)]

    def __contains__(self, wanted: bytes) -> bool:
        return self._table.first(wanted) is not None

    def ids(self, kind: Kind | None = None, prefix: bytes = b"") -> Iterator[bytes]:
        """The ids of all objects (once for each place), or of those of one kind or with a prefix, in no order."""
        table = self._table
        merged = table.merged
        pieces = itertools.chain(
            [b"".join(table.items())], map(bytes, merged.entries(0, merged.count)) if merged else ()
        )
        for piece in pieces:
            for raw, where in _SPLIT.iter_unpack(piece):
                if (kind is None or where[0] == kind) and raw.startswith(prefix):
                    yield raw

    def in_several_packs(self) -> Iterator[tuple[bytes, list[Place]]]:
        """The objects that have several places, rising by id."""
        table = self._table
        merged = table.merged
        inside = map(bytes, merged.entries(0, merged.count)) if merged else iter(())
        sorted_ones = heapq.merge(
            itertools.chain.from_iterable(map(_SPLIT.iter_unpack, inside)), map(_SPLIT.unpack, table.items())
        )
        for raw, group in itertools.groupby(sorted_ones, key=lambda one: one[0]):
            places = [table.place(where) for _, where in group]
            if len(places) > 1:
                yield raw, places

    def _merge_if_due(self) -> None:
        """Write the merged file when much is outside it.  Look-ups in other threads never miss meanwhile."""
        table = self._table
        inside = len(table.merged.packs) if table.merged else 0
        outside = len(table.names) - inside
        packs_due = outside > min(max(_LOOSE_PACKS, inside // 4), _LOOSE_PACKS_LIMIT)
        if self._read_only or not (packs_due or len(table.loose) > _LOOSE_ENTRIES):
            return
        self._merge()

    def _merge(self, name: str = "", index: bytes = b"") -> bool:
        """Write the merged file; False where that can't be done.

        Args:
            name, index: a pack to take up with it.
        """
        table = self._table
        names, items = table.names, table.items()
        count = len(items) + len(index) // ENTRY_BYTES
        rows: Iterable[bytes] = items
        if name:
            names = [*names, name]
            rows = heapq.merge(items, _rows(_numbered(index, len(names) - 1)))
        try:
            self._disk.ensure_dir(os.path.dirname(self._file))  # people delete caches
            self._disk.write_file(
                self._file, _merged_pieces(table.merged, names, rows, count), tmp=self._tmp, durable=False
            )
            merged = self._mapped()
        except (StorageError, StorageFull, FileNotFoundError, Damaged):
            merged = None
        if merged is None:  # a read-only medium, a full disk: the dict serves as well
            self._read_only = True
            return False
        self._table = _Table(merged)
        return True
