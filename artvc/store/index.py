"""The merged pack index: which pack holds an object.  A cache: deleted or damaged, it is made again from packs.

Packs are found by listing their directory.  Most are covered by one merged file, mapped into memory (sorted ids,
their places, a fan-out table); the packs that came since are kept in a dict from their own indexes.  When these
are more than a quarter of all, the merged file is written anew, so the work is amortised and opening a large
repository reads only the newest indexes.  On a read-only medium nothing is written and everything still works.
"""

import contextlib
import heapq
import itertools
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from xxhash import xxh3_64_intdigest

from artvc.errors import Damaged, StorageError, StorageFull
from artvc.model.ids import ID_SIZE, Kind
from artvc.store.fsio import Disk
from artvc.store.packs import PACK_SUFFIX, Pack, Place, index_places, is_pack_name

_MAGIC: Final = b"ARTVCMIX"
_FORMAT: Final = 1
_ITEM = struct.Struct("<32sBIIIII")  # id, kind, offset, length, inside, size, pack number
_TAIL = struct.Struct("<8sIIQQ")  # magic, format, packs, entries, xxh3 of fan-out and pack names
_FAN: Final = 1 << 16
_LOOSE_PACKS: Final = 64
_LOOSE_PACKS_LIMIT: Final = 512
_LOOSE_ENTRIES: Final = 100_000
_WRITE: Final = 1 << 20


class Merged:
    """The merged index file, mapped: entries sorted by id, a fan-out by the first 16 bits, pack names, tail.

    Args:
        view: the whole file.

    Raises:
        Damaged: it is not whole.
    """

    def __init__(self, view: memoryview) -> None:
        if len(view) < _TAIL.size:
            raise Damaged("merged index is cut short")
        magic, version, packs, count, checksum = _TAIL.unpack_from(view, len(view) - _TAIL.size)
        fan_at = count * _ITEM.size
        names_at = fan_at + (_FAN + 1) * 8
        end = names_at + packs * ID_SIZE
        if magic != _MAGIC or version != _FORMAT or end + _TAIL.size != len(view):
            raise Damaged("merged index is cut short")
        if xxh3_64_intdigest(view[fan_at:end]) != checksum:
            raise Damaged("merged index does not have its checksum")
        self.packs = [bytes(view[i : i + ID_SIZE]).hex() for i in range(names_at, end, ID_SIZE)]
        self.count = count
        self._fan = struct.unpack_from(f"<{_FAN + 1}Q", view, fan_at)
        self._view = view

    def find(self, wanted: bytes) -> Iterator[Place]:
        """All places of an id."""
        slot = int.from_bytes(wanted[:2], "big")
        low, high = self._fan[slot], min(self._fan[slot + 1], self.count)
        while low < high:
            middle = (low + high) // 2
            if self._id(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        while low < self.count and self._id(low) == wanted:
            # Entries have no checksum: one that is damaged is passed over, as if the object were not there.
            with contextlib.suppress(Damaged):
                yield self._entry(low)[1]
            low += 1

    def _id(self, number: int) -> bytes:
        at = number * _ITEM.size
        return bytes(self._view[at : at + ID_SIZE])

    def _entry(self, number: int) -> tuple[bytes, Place]:
        raw, kind, offset, length, inside, size, pack = _ITEM.unpack_from(self._view, number * _ITEM.size)
        if pack >= len(self.packs):
            raise Damaged("merged index names a pack that it does not have")
        return raw, Place(self.packs[pack], kind, offset, length, inside, size)

    def entries(self) -> Iterator[tuple[bytes, Place]]:
        """All ids and places, sorted by id."""
        return map(self._entry, range(self.count))


def _merged_pieces(packs: list[str], entries: Iterable[tuple[bytes, Place]]) -> Iterator[bytes]:
    """The bytes of a merged file, piece by piece, from entries sorted by id."""
    numbers = {name: number for number, name in enumerate(packs)}
    fan = [0] * (_FAN + 1)
    count = 0
    piece = bytearray()
    for raw, at in entries:
        fan[int.from_bytes(raw[:2], "big") + 1] += 1
        count += 1
        piece += _ITEM.pack(raw, at.kind, at.offset, at.length, at.inside, at.size, numbers[at.pack])
        if len(piece) >= _WRITE:
            yield bytes(piece)
            piece.clear()
    end = struct.pack(f"<{_FAN + 1}Q", *itertools.accumulate(fan)) + b"".join(map(bytes.fromhex, packs))
    yield bytes(piece) + end + _TAIL.pack(_MAGIC, _FORMAT, len(packs), count, xxh3_64_intdigest(end))


class PackIndex:
    """Finds objects among the packs of one directory.

    Args:
        disk: the door.
        packs: directory of packs.
        cache: directory for the merged file.
        tmp: directory for temporary files.
    """

    def __init__(self, disk: Disk, *, packs: str, cache: str, tmp: str) -> None:
        self._disk = disk
        self._packs = packs
        self._file = os.path.join(cache, "packs.idx")
        self._tmp = tmp
        self._merged: Merged | None = None
        self._loose: dict[bytes, Place] = {}
        self._extra: dict[bytes, list[Place]] = {}
        self._known: set[str] = set()
        self._bad: dict[str, Damaged] = {}
        self._loose_packs: list[str] = []
        self._read_only = False

    @property
    def packs(self) -> set[str]:
        """Names of the packs that are known and readable."""
        return self._known - self._bad.keys()

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
        if not self._known and self._merged is None:
            self._map()
        gone = {name for name in self._known if name + PACK_SUFFIX not in listed}
        if gone:
            merged_ones = gone.intersection(self._merged.packs if self._merged else ())
            self.forget()
            if not merged_ones:
                self._map()
        unknown = listed.difference([name + PACK_SUFFIX for name in self._known])
        fresh = sorted(name[: -len(PACK_SUFFIX)] for name in unknown if is_pack_name(name))
        whole = all(self._take(name) for name in fresh)
        return bool(fresh or gone), whole

    def forget(self) -> None:
        """Drop everything in memory; the next refresh reads again."""
        self._merged = None
        self._loose, self._extra, self._bad = {}, {}, {}
        self._known, self._loose_packs = set(), []

    def discard_cache(self) -> None:
        """Drop the merged file too: it was found to be wrong."""
        self.forget()
        self._disk.discard(self._file)

    def _map(self) -> None:
        """Take the merged file if it is there and whole."""
        self._merged = self._mapped()
        if self._merged is not None:
            self._known.update(self._merged.packs)

    def _mapped(self) -> Merged | None:
        try:
            fd = self._disk.open_read(self._file)
        except (FileNotFoundError, StorageError):
            return None
        try:
            return Merged(memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ)))
        except (Damaged, ValueError, OSError):
            return None
        finally:
            os.close(fd)

    def add(self, pack: Pack) -> None:
        """Take up a pack that was just written."""
        if pack.name not in self._known:
            self._take_index(pack.name, pack.index())
            self._merge_if_due()

    def _take(self, name: str) -> bool:
        """Take up a pack; False if it is gone."""
        try:
            pack = Pack.open(self._disk, os.path.join(self._packs, name + PACK_SUFFIX))
        except FileNotFoundError:
            return False
        try:
            self._take_index(name, pack.index())
        except Damaged as exc:
            self._known.add(name)
            self._bad[name] = exc
        finally:
            pack.close()
        return True

    def _take_index(self, name: str, index: bytes) -> None:
        for raw, place in index_places(name, index):
            if raw in self._loose:
                self._extra.setdefault(raw, []).append(place)
            else:
                self._loose[raw] = place
        self._known.add(name)
        self._loose_packs.append(name)

    def find(self, wanted: bytes) -> Place | None:
        """Where an object lies, or None."""
        found = self._loose.get(wanted)
        if found is None and self._merged is not None:
            return next(self._merged.find(wanted), None)
        return found

    def find_all(self, wanted: bytes) -> list[Place]:
        """All places of an object: the second serves where the first is damaged."""
        found = [self._loose[wanted]] if wanted in self._loose else []
        found += self._extra.get(wanted, ())
        if self._merged is not None:
            found += self._merged.find(wanted)
        return found

    def __contains__(self, wanted: bytes) -> bool:
        return self.find(wanted) is not None

    def ids(self, kind: Kind | None = None, prefix: bytes = b"") -> Iterator[bytes]:
        """The ids of all objects (once for each place), or of those of one kind or with a prefix."""
        for raw, place in self._entries():
            if (kind is None or place.kind == kind) and raw.startswith(prefix):
                yield raw

    def _entries(self) -> Iterator[tuple[bytes, Place]]:
        loose = [*self._loose.items()]
        loose += [(raw, place) for raw, places in self._extra.items() for place in places]
        loose.sort()
        return heapq.merge(self._merged.entries() if self._merged else (), loose)

    def in_several_packs(self) -> Iterator[tuple[bytes, list[Place]]]:
        """The objects that have several places, rising by id."""
        for raw, group in itertools.groupby(self._entries(), key=lambda one: one[0]):
            places = [place for _, place in group]
            if len(places) > 1:
                yield raw, places

    def _merge_if_due(self) -> None:
        """Write the merged file when much is outside it.  Look-ups in other threads never miss meanwhile."""
        inside = len(self._merged.packs) if self._merged else 0
        packs_due = len(self._loose_packs) > min(max(_LOOSE_PACKS, inside // 4), _LOOSE_PACKS_LIMIT)
        if self._read_only or not (packs_due or len(self._loose) > _LOOSE_ENTRIES):
            return
        names = [*(self._merged.packs if self._merged else ()), *self._loose_packs]
        try:
            self._disk.ensure_dir(os.path.dirname(self._file))  # people delete caches
            self._disk.write_file(self._file, _merged_pieces(names, self._entries()), tmp=self._tmp, durable=False)
            merged = self._mapped()
        except (StorageError, StorageFull, FileNotFoundError, Damaged):
            merged = None
        if merged is None:  # a read-only medium, a full disk: the dict serves as well
            self._read_only = True
            return
        self._merged = merged
        self._loose, self._extra, self._loose_packs = {}, {}, []
