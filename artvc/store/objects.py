"""All objects of one repository on this disk: look-up, verified reading, and checking.

A read goes: index -> pack -> record -> decode -> hash against the id -> bytes.  Everything is immutable, so readers
take no lock: when a pack is not where the index said, the list of packs is read once more, and then it is an
error.  An object that is damaged in one pack is looked for in the others before that is said.
"""

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Final

from artvc.errors import Damaged, NotFound
from artvc.model.ids import Id, Kind
from artvc.store.codecs import FetchBase
from artvc.store.condemned import Condemned
from artvc.store.fsio import Buffer, Disk
from artvc.store.index import PackIndex
from artvc.store.packs import (
    PACK_SUFFIX,
    Pack,
    Place,
    check_object,
    check_record,
    decode_record,
    index_places,
    record_base,
    record_ids,
)

_OPEN_PACKS: Final = 64
_CACHED_BLOCKS: Final = 16
_CACHED_BLOCK_BYTES: Final = 1024 * 1024
_RUN_BYTES: Final = 4 * 1024 * 1024


def _run_end(places: Sequence[Place | None], start: int) -> int:
    """Where a run of adjacent records ends that begins at ``start``."""
    first = places[start]
    end = start + 1
    while end < len(places) and first is not None:
        before, here = places[end - 1], places[end]
        if before is None or here is None or here.pack != first.pack:
            break
        if here.offset != before.offset + before.length or here.offset + here.length - first.offset > _RUN_BYTES:
            break
        end += 1
    return end


def _only_chunk(record: Buffer, wanted: Id, fetch_base: FetchBase) -> Buffer | None:
    """The bytes of a record that holds just this chunk; None if anything about it is not as it should be."""
    try:
        members, data = decode_record(record, fetch_base)
        if len(members) != 1 or members[0].kind != Kind.CHUNK:
            return None
        check_object(Kind.CHUNK, wanted, data)
    except (Damaged, NotFound, FileNotFoundError):
        return None
    return data


class Objects:
    """Reads objects by kind and id.  Safe to share between threads.

    Args:
        disk: the door.
        root: the ``.artvc`` directory.

    Attributes:
        relied: packs in which something was found that was then not stored again, and those written here.
        written: those written here.
    """

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk = disk
        self.packs = os.path.join(root, "packs")
        self.tmp = os.path.join(root, "tmp")
        self.root = root
        self.condemned = Condemned(disk, root)
        self.relied: set[str] = set()
        self.written: set[str] = set()
        self._passed_over: frozenset[str] = frozenset()
        self.index = PackIndex(disk, packs=self.packs, cache=os.path.join(root, "cache"), tmp=self.tmp)
        self._open: OrderedDict[str, Pack] = OrderedDict()
        self._in_use: dict[Pack, int] = {}
        self._buffers: list[bytearray] = []
        self._blocks: OrderedDict[tuple[str, int], Buffer] = OrderedDict()
        self._lock = threading.RLock()
        self._loaded = False
        # Brings chunks that are not here from where they are, or raises NotFound; None where there is no such place.
        self.lend: Callable[[Sequence[Id]], None] | None = None

    def refresh(self) -> None:
        """Look for packs that have come or gone."""
        with self._lock:
            self.index.refresh()
            self._loaded = True

    def find(self, wanted: bytes) -> Place | None:
        """Where an object lies, or None (packs that came since the last refresh don't count)."""
        if not self._loaded:
            self.refresh()
        return self.index.find(wanted)

    def look_for_condemned(self) -> None:
        """See which packs gc means to delete: from now on nothing new relies on them."""
        marks = self.condemned.read()
        self._passed_over = marks.doomed.union(marks.since)

    def lasting(self, wanted: bytes) -> bool:
        """Whether a pack has an object that is not condemned; whoever asks relies on it from then on."""
        place = self.index.find(wanted)
        if place is None:
            return False
        if place.pack in self._passed_over:
            place = next((one for one in self.index.find_all(wanted) if one.pack not in self._passed_over), None)
            if place is None:
                return False
        self.relied.add(place.pack)
        return True

    def relied_on_stands(self) -> bool:
        """Whether no pack that was relied on is gone or about to go.  Raises StorageError."""
        if not self.relied:
            return True
        # In this order: a mark is taken away only after its pack was.
        if not self.relied.isdisjoint(self.condemned.read().doomed):
            return False
        listed = self.disk.listdir(self.packs)
        return self.relied.issubset(name.removesuffix(PACK_SUFFIX) for name in listed)

    def endangered(self, wanted: Set[bytes]) -> bytes | None:
        """The first of some objects that is gone or about to go, or whose base is, where it was written here.

        Raises:
            StorageError, Damaged: that can't be seen.
        """
        doomed = self.condemned.read().doomed
        self.refresh()
        for one in wanted:
            if all(place.pack in doomed for place in self.index.find_all(one)):
                return one
        for name in (self.written & self.index.packs) - doomed:
            for one, base in self.bases_of(name):
                if one in wanted and not self._has_base(base, doomed):
                    return one
        return None

    def _has_base(self, wanted: bytes, but: frozenset[str]) -> bool:
        try:
            self._base(wanted, but)
        except NotFound:
            return False
        return True

    def get(self, kind: Kind, wanted: Id) -> bytes:
        """The bytes of an object, hashed against its id.

        Raises:
            NotFound: no pack has it.
            Damaged: every copy of it is damaged.
        """
        if not self._loaded:
            self.refresh()
        try:
            return self._get(kind, wanted)
        except (NotFound, Damaged):
            # The index may be old, or wrong: read what the packs themselves say before giving up.
            with self._lock:
                self.close()
                self.index.discard_cache()
                self.index.refresh()
            if kind == Kind.CHUNK and self.lend is not None and self.index.find(wanted) is None:
                self.lend([wanted])
            return self._get(kind, wanted)

    def _get(self, kind: Kind, wanted: Id) -> bytes:
        trouble: Damaged | None = None
        for place in self.index.find_all(wanted):
            try:
                return self._read(kind, wanted, place)
            except FileNotFoundError:
                continue
            except Damaged as exc:
                trouble = trouble or exc
        if trouble is not None:
            raise trouble
        raise NotFound(
            f"{kind.word} {wanted.short} is not in this repository",
            hint=f"{len(self.index.bad)} packs have an unreadable index" if self.index.bad else None,
        )

    def _read(self, kind: Kind, wanted: bytes, place: Place) -> bytes:
        if place.kind != kind:
            raise Damaged(f"object {wanted.hex()[:12]} is filed as another kind than {kind.word}")
        try:
            block = self._block(place)
            piece = memoryview(block)[place.inside : place.inside + place.size]
            if len(piece) != place.size:
                raise Damaged("its record is too short")
            check_object(kind, wanted, piece)
        except (Damaged, NotFound) as exc:
            path = os.path.join(self.packs, place.pack + PACK_SUFFIX)
            raise Damaged(
                f"{kind.word} {wanted.hex()[:12]} is damaged in pack {path} at byte {place.offset}: {exc}",
                hint="'artvc fsck' lists what is affected; committing the same data again stores it anew",
            ) from exc
        return bytes(piece)

    def _block(self, place: Place) -> Buffer:
        """The plain bytes of a record; those that hold several objects are kept for a while."""
        key = (place.pack, place.offset)
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
        members, data = decode_record(self.record(place), self.base)
        if len(members) > 1 and len(data) <= _CACHED_BLOCK_BYTES:
            with self._lock:
                self._blocks[key] = data
                while len(self._blocks) > _CACHED_BLOCKS:
                    self._blocks.popitem(last=False)
        return data

    def base(self, wanted: bytes) -> Buffer:
        """The bytes of a chunk that deltas name as their base; not hashed, for what is made with it will be.

        Raises:
            NotFound: no pack has it other than as a delta itself, which no base may be.
            Damaged: no copy of it can be decoded.
        """
        return self._base(wanted, frozenset())[1]

    def _base(self, wanted: bytes, but: frozenset[str]) -> tuple[str, Buffer]:
        """The bytes of a base and the pack that they were read from, which is none of ``but``."""
        trouble: Damaged | None = None
        for place in self.index.find_all(wanted):
            if place.pack in but:
                continue
            try:
                record = self.record(place)
                if place.kind == Kind.CHUNK and record_base(record) is None:
                    members, data = decode_record(record)
                    if len(members) > 1:
                        return place.pack, memoryview(data)[place.inside : place.inside + place.size]
                    return place.pack, data
            except FileNotFoundError:
                continue
            except Damaged as exc:
                trouble = trouble or exc
        if trouble is not None:
            raise Damaged(f"the base {wanted.hex()[:12]} of a delta is damaged: {trouble}")
        raise NotFound(f"the base {wanted.hex()[:12]} of a delta is not in this repository")

    def as_base(self, wanted: Id) -> tuple[bytes, Buffer] | None:
        """What a new version of a chunk can be stored as a difference to.

        Args:
            wanted: the chunk's id.

        Returns:
            id and bytes of the chunk or, if it is stored as a delta itself, of its base; None where there is none that
            is sound and lasts.  The bytes were hashed: a delta to wrong bytes would be worth nothing.
        """
        place = self.find(wanted)
        if place is None:
            return None
        try:
            root = record_base(self.record(place)) or wanted
            pack, data = self._base(root, self._passed_over)
            check_object(Kind.CHUNK, root, data)
        except (Damaged, NotFound, FileNotFoundError):
            return None
        self.relied.add(pack)
        return root, data

    def record(self, place: Place) -> bytes:
        """The bytes of a record, unchecked.  Raises FileNotFoundError, Damaged."""
        with self._pack(place.pack) as pack:
            return pack.record(place.offset, place.length)

    def places_of(self, name: str) -> list[tuple[bytes, Place]]:
        """The ids and places of all that a pack has, rising by id.  Raises FileNotFoundError, Damaged."""
        with self._pack(name) as pack:
            return list(index_places(name, pack.index()))

    def bases_of(self, name: str) -> list[tuple[bytes, bytes]]:
        """The ids of what a pack has as deltas, each with its base's.  Raises FileNotFoundError, Damaged."""
        with self._pack(name) as pack:
            return list(pack.bases())

    def content_of(self, name: str) -> int:
        """What a pack holds: DATA or META.  Raises FileNotFoundError, Damaged."""
        with self._pack(name) as pack:
            return pack.content()

    def size_of(self, name: str) -> int:
        """Bytes of a pack.  Raises FileNotFoundError."""
        with self._pack(name) as pack:
            return pack.size()

    @contextlib.contextmanager
    def _pack(self, name: str) -> Iterator[Pack]:
        """An open pack, which no other thread closes while it is used; the lock is not held meanwhile."""
        with self._lock:
            pack = self._open.get(name)
            if pack is None:
                pack = Pack.open(self.disk, os.path.join(self.packs, name + PACK_SUFFIX))
                self._open[name] = pack
                while len(self._open) > _OPEN_PACKS:
                    self._close_oldest()
            self._open.move_to_end(name)
            self._in_use[pack] = self._in_use.get(pack, 0) + 1
        try:
            yield pack
        finally:
            with self._lock:
                self._in_use[pack] -= 1
                if not self._in_use[pack]:
                    del self._in_use[pack]
                    if self._open.get(name) is not pack:
                        pack.close()

    def _close_oldest(self) -> None:
        """Forget the pack that was used least recently; whoever still reads it closes it."""
        _, pack = self._open.popitem(last=False)
        if pack not in self._in_use:
            pack.close()

    def chunks(self, wanted: Sequence[Id]) -> Iterator[Buffer]:
        """The bytes of chunks in the given order, verified; neighbours in a pack are read in one go.

        Yields:
            buffers that hold only until the next one is asked for.

        Raises:
            NotFound, Damaged: as :meth:`get`.
        """
        places = [self.find(one) for one in wanted]
        if self.lend is not None and None in places:
            self.lend([one for one, place in zip(wanted, places, strict=True) if place is None])
            places = [self.find(one) for one in wanted]
        # Fresh memory costs as much as reading into it: the buffer goes from one run, and one call, to the next.
        buffer = self._buffers.pop() if self._buffers else bytearray(_RUN_BYTES)
        at = 0
        try:
            while at < len(wanted):
                end, place = at + 1, places[at]
                if place is not None:
                    end = _run_end(places, at)
                yield from self._run(wanted[at:end], places[at:end], memoryview(buffer))
                at = end
        finally:
            self._buffers.append(buffer)

    def _run(self, wanted: Sequence[Id], places: Sequence[Place | None], buffer: memoryview) -> Iterator[Buffer]:
        """The chunks of a run of records that lie behind one another in one pack."""
        first, last = places[0], places[-1]
        raw = memoryview(b"")
        if first is not None and last is not None and len(wanted) > 1:
            with contextlib.suppress(Damaged, FileNotFoundError), self._pack(first.pack) as pack:
                piece = buffer[: last.offset + last.length - first.offset]
                pack.records_into(first.offset, piece)
                raw = piece
        for one, place in zip(wanted, places, strict=True):
            data = None
            if raw and first is not None and place is not None:
                start = place.offset - first.offset
                data = _only_chunk(raw[start : start + place.length], one, self.base)
            # Whatever went wrong with the short way: the long one looks for other copies and says what is broken.
            yield self.get(Kind.CHUNK, one) if data is None else data

    def sound_ids(self, place: Place) -> Set[bytes]:
        """What the record at a place says that it holds; nothing where it has not its checksum (it is not decoded)."""
        try:
            record = self.record(place)
            check_record(record)
        except (Damaged, FileNotFoundError):
            return frozenset()
        return record_ids(record)

    def sound(self, wanted: bytes) -> bool:
        """Whether a record that holds an object has its checksum, and that of its base (they are not decoded)."""
        self.find(wanted)
        for place in self.index.find_all(wanted):
            with contextlib.suppress(Damaged, FileNotFoundError):
                record = self.record(place)
                check_record(record)
                base = record_base(record)
                if base is None or self._sound_base(base):
                    return True
        return False

    def _sound_base(self, wanted: bytes) -> bool:
        for place in self.index.find_all(wanted):
            with contextlib.suppress(Damaged, FileNotFoundError):
                record = self.record(place)
                check_record(record)
                if record_base(record) is None:
                    return True
        return False

    def close(self) -> None:
        """Close all packs and drop what is kept in memory."""
        with self._lock:
            while self._open:
                self._close_oldest()
            self._blocks.clear()
            self._buffers.clear()

    def verify_packs(self) -> Iterator[tuple[str, Damaged]]:
        """Check every byte of every pack.

        Yields:
            the pack's name and what is wrong with it.
        """
        self.refresh()
        for name in sorted(self.index.packs | self.index.bad.keys()):
            try:
                pack = Pack.open(self.disk, os.path.join(self.packs, name + PACK_SUFFIX))
            except FileNotFoundError:
                continue
            try:
                for trouble in pack.verify(self.base):
                    yield name, trouble
            finally:
                pack.close()

    def packs_without_bases(self) -> set[str]:
        """The packs with a delta whose base no pack has; found by their indexes alone."""
        found = set()
        for name in sorted(self.index.packs):
            with contextlib.suppress(FileNotFoundError, Damaged):
                if any(self.find(base) is None for _, base in self.bases_of(name)):
                    found.add(name)
        return found
