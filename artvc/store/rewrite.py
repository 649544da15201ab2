"""The way from pack to pack: objects that are to stay, copied out of packs that are to go.

Nothing is copied that was not decoded and hashed; a record all of whose objects stay is then taken over as it is.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from artvc.errors import Damaged, NotFound
from artvc.model.ids import Id, Kind
from artvc.store import codecs
from artvc.store.fsio import Buffer
from artvc.store.objects import Objects
from artvc.store.packs import (
    MEMBERS,
    META,
    Block,
    Member,
    Pack,
    PackWriter,
    Place,
    check_object,
    check_record,
    copied_block,
    decode_record,
    encode_block,
    record_width,
)

SOLID: Final = 256 * 1024
Wanted = Callable[[bytes], bool]


def _records(places: Iterable[tuple[bytes, Place]]) -> Iterator[list[tuple[bytes, Place]]]:
    """The members of each record of a pack, in the order in which they lie there."""
    lying = sorted(places, key=lambda one: (one[1].offset, one[1].inside))
    for _, group in itertools.groupby(lying, key=lambda one: one[1].offset):
        yield list(group)


class Rewriter:
    """Writes packs of objects that are in the store already.

    Use as a context manager: leaving it without :meth:`seal` drops what was not sealed.

    Args:
        objects: the store.
        level: of zstd, at least, for what is compressed anew.
        bases: chunk to the base that it is to be a delta of, or None: to be no delta; others stay as they are.

    Attributes:
        packs: the new ones.
        stored: bytes of their records.
    """

    def __init__(
        self, objects: Objects, *, level: int = codecs.LEVEL, bases: Mapping[bytes, bytes | None] = MappingProxyType({})
    ) -> None:
        self._objects = objects
        self._level = level
        self._bases = bases
        self._writers: dict[int, PackWriter] = {}
        self._small: dict[int, list[tuple[Member, bytes]]] = {}
        self._done: set[bytes] = set()
        self.packs: list[str] = []
        self.stored = 0

    def __enter__(self) -> "Rewriter":
        return self

    def __exit__(self, *exc: object) -> None:
        for writer in self._writers.values():
            with contextlib.suppress(Exception):
                writer.abort()
        self._writers.clear()

    def copy(self, name: str, wanted: Wanted, advance: Callable[[int], None] = lambda _: None) -> None:
        """Take over what a pack has and is wanted, less what was taken over before.

        Args:
            name: of the pack.
            wanted: whether an object is to stay.
            advance: called with the bytes of each record.

        Raises:
            NotFound, Damaged: something that is wanted can't be read, not from other packs either.
            StorageFull, StorageError: the repository's disk.
        """
        content = self._objects.content_of(name)
        for members in _records(self._objects.places_of(name)):
            staying = [one for one in members if wanted(one[0]) and one[0] not in self._done]
            if staying:
                small = len(staying) < len(members) or self._is_small(content, staying)
                block = None if small else self.encoded(staying)
                if block is not None:
                    self.append(content, block)
                else:
                    for raw, place in staying:
                        self.add(content, Kind(place.kind), Id(raw))
                self._done.update(raw for raw, _ in staying)
            advance(members[0][1].length)

    def gain(self, name: str, wanted: Wanted) -> float:
        """The share of a pack's records that would be spared by storing them anew.  Raises as :meth:`copy`."""
        before = after = 0
        for members in _records(self._objects.places_of(name)):
            if all(wanted(raw) for raw, _ in members):
                block = self.encoded(members)
                before += members[0][1].length
                after += members[0][1].length if block is None else block.size
        return 1 - after / before if before else 0.0

    def _is_small(self, content: int, members: Sequence[tuple[bytes, Place]]) -> bool:
        """Whether a record is better joined with others: a whole one of metadata or small files is SOLID bytes."""
        size = sum(place.size for _, place in members)
        return size < SOLID // 2 and (content == META or len(members) > 1)

    def encoded(self, members: Sequence[tuple[bytes, Place]]) -> Block | None:
        """A record for what another one holds, the smallest that is known; None where that can't be read.

        Args:
            members: ids and places of all that the record holds.
        """
        try:
            record = self._objects.record(members[0][1])
            check_record(record)
            found, data = decode_record(record, self._objects.base)
            inside = 0
            for kind, raw, size in found:
                check_object(kind, raw, memoryview(data)[inside : inside + size])
                inside += size
        except (Damaged, NotFound):
            return None  # there may be another copy
        as_it_is = copied_block(record)
        if found[0].id in self._bases:
            return self._rebased(found[0], data, record_width(record))
        if self._level > codecs.LEVEL and as_it_is.base is None and record_width(record) == 1:
            harder = encode_block(found, data, way=codecs.Way(codecs.Codec.ZSTD, level=self._level))
            return harder if harder.size < as_it_is.size else as_it_is
        return as_it_is

    def _rebased(self, member: Member, data: Buffer, width: int) -> Block:
        wanted = self._bases[member.id]
        base = None if wanted is None else (wanted, self._objects.get(Kind.CHUNK, Id(wanted)))
        way = codecs.choose(memoryview(data), width, base[1] if base else None)
        return encode_block([member], data, way=way, base=base)

    def add(self, content: int, kind: Kind, wanted: Id) -> None:
        """Store an object anew, together with others of its kind of content.  Raises as :meth:`copy`."""
        data = self._objects.get(kind, wanted)
        if len(data) >= SOLID // 2:
            self.append(content, self._encoded([Member(kind, wanted, len(data))], data))
            return
        waiting = self._small.setdefault(content, [])
        waiting.append((Member(kind, wanted, len(data)), data))
        if sum(member.size for member, _ in waiting) >= SOLID or len(waiting) >= MEMBERS:
            self._flush(content)

    def _flush(self, content: int) -> None:
        waiting = self._small.pop(content, [])
        if waiting:
            self.append(content, self._encoded([one for one, _ in waiting], b"".join(data for _, data in waiting)))

    def _encoded(self, members: Sequence[Member], data: bytes) -> Block:
        way = codecs.choose(memoryview(data), 1)
        return encode_block(members, data, way=way._replace(level=max(way.level, self._level)))

    def append(self, content: int, block: Block) -> None:
        """Put a record into the open pack of that content, which is sealed when it is full."""
        writer = self._writers.get(content)
        if writer is not None and not writer.fits(block):
            self._seal(content)
            writer = None
        if writer is None:
            writer = self._writers[content] = PackWriter(self._objects.disk, self._objects.tmp, content)
        writer.append(block)
        writer.flush()
        self.stored += block.size

    def _seal(self, content: int) -> None:
        self._take(self._writers.pop(content).seal(self._objects.packs))

    def _take(self, pack: Pack) -> None:
        try:
            self._objects.index.add(pack)
            self.packs.append(pack.name)
        finally:
            pack.close()

    def seal(self) -> list[str]:
        """Make all new packs durable; their names.  Raises StorageFull, StorageError, Damaged."""
        for content in list(self._small):
            self._flush(content)
        for content in list(self._writers):
            self._seal(content)
        if self.packs:
            self._objects.disk.fsync_dir(self._objects.packs)
        return self.packs
