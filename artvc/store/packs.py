"""Pack files: many objects in one immutable file that ends with its own index.

Layout (``docs/format-packs.md`` has the byte table): header, records, index, bases, trailer.  A record holds one
*block*: one object, or several small ones compressed together.  Its header names codec and lengths, then come kind,
size and id of each member, then the stored bytes; an xxh3 covers it all, so a scan finds damage without decompressing
and can rebuild the index from the records alone.  The index is sorted by id.  The bases name, of each object that is
stored as a difference to another, that other one, so that what must be kept or sent is known without reading the
records.  The trailer holds the pack's id,
which is also the file's name: BLAKE3 of everything before it but the stored bytes, for which the checksums in the
records' headers and the objects' own ids stand (``docs/decisions/0008-pack-ids.md``).

Nothing here trusts a number that it read: offsets and lengths are checked against the file's size first, and
every object handed out was hashed against its id.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from blake3 import blake3
from xxhash import xxh3_64, xxh3_64_intdigest

from artvc.errors import Conflict, Damaged, NotFound
from artvc.model.ids import ID_SIZE, PACK_CONTEXT, Kind, raw_id
from artvc.store import codecs
from artvc.store.fsio import Buffer, Disk

PACK_BYTES: Final = 32 * 1024 * 1024
PACK_SUFFIX: Final = ".pack"
FORMAT: Final = 1
DATA, META = 1, 2
MEMBERS: Final = 4096
_NAME_LENGTH: Final = 2 * ID_SIZE + len(PACK_SUFFIX)
_HEX: Final = frozenset("0123456789abcdef")

_HEADER = struct.Struct("<8sBB6x")  # magic, format, content
_RECORD = struct.Struct("<4sBxHIIQ")  # magic, codec, members, plain bytes, stored bytes, xxh3
_CHECKSUM = struct.Struct("<Q")
_CHECKED: Final = _RECORD.size - _CHECKSUM.size
_NO_CHECKSUM: Final = bytes(_CHECKSUM.size)
_MEMBER = struct.Struct("<BI32s")  # kind, size, id
_ENTRY = struct.Struct("<32sBIIII")  # id, kind, record offset, record bytes, offset inside, size
_BASE = struct.Struct("<I32s")  # number of the index entry, id of its base
_TRAILER = struct.Struct("<8sQIIQ32s")  # magic, index offset, entries, format, xxh3 of index and bases, pack id
_MAGIC: Final = b"ARTVCPAK"
_RECORD_MAGIC: Final = b"ARec"
_TRAILER_MAGIC: Final = b"ARTVCIDX"
HEADER_BYTES: Final = _HEADER.size
ENTRY_BYTES: Final = _ENTRY.size
TRAILER_BYTES: Final = _TRAILER.size
END_BYTES: Final = 64 * 1024 * 1024  # index, bases and trailer of a pack: a pack of the smallest objects has less
_READ: Final = 1024 * 1024
_RESERVE: Final = 4 * 1024 * 1024  # a pack that grows beyond this will likely be a full one


class Member(NamedTuple):
    """An object inside a block."""

    kind: Kind
    id: bytes
    size: int


class Block(NamedTuple):
    """An encoded record, ready to be appended to a pack."""

    head: bytes
    payload: tuple[Buffer, ...]  # in pieces
    members: tuple[Member, ...]
    size: int  # bytes of the whole record
    base: bytes | None = None  # the object whose difference to this one is stored


class Place(NamedTuple):
    """Where an object lies."""

    pack: str
    kind: int
    offset: int  # of the record in the pack
    length: int  # of the record
    inside: int  # offset in the block's plain bytes
    size: int  # of the object


def encode_block(
    members: Sequence[Member],
    data: Buffer,
    *,
    way: codecs.Way = codecs.ZSTD,
    base: tuple[bytes, Buffer] | None = None,
) -> Block:
    """A record for objects whose bytes stand end to end in ``data``.

    Args:
        members: the objects; only one where there is a base.
        data: their bytes.
        way: how to encode them.
        base: id and bytes of an earlier version of ``data``.
    """
    stored = codecs.encode(data, way, base if len(members) == 1 else None)
    table = b"".join(_MEMBER.pack(kind, size, raw) for kind, raw, size in members)
    head = _record_head(stored, len(members), len(data), table)
    return Block(head, stored.pieces, tuple(members), len(head) + stored.size, stored.base)


def copied_block(record: Buffer) -> Block:
    """A record as it stands in a pack, to be appended to another one.

    Raises:
        Damaged: the record is not sound.
    """
    check_record(record)
    view = memoryview(record)
    head = _head(view)
    members = tuple(Member(_KINDS[kind], raw, size) for kind, size, raw in _MEMBER.iter_unpack(head[_RECORD.size :]))
    return Block(bytes(head), (view[len(head) :],), members, len(view), record_base(record))


def _record_head(stored: codecs.Encoded, members: int, size: int, table: bytes) -> bytes:
    bare = _RECORD.pack(_RECORD_MAGIC, stored.codec, members, size, stored.size, 0)
    checksum = xxh3_64(bare)
    checksum.update(table)
    for piece in stored.pieces:
        checksum.update(piece)
    return _RECORD.pack(_RECORD_MAGIC, stored.codec, members, size, stored.size, checksum.intdigest()) + table


class PackWriter:
    """Appends blocks to a new pack; nothing of it counts before :meth:`seal`.

    Args:
        disk: the door.
        tmp: directory for the unfinished file.
        content: DATA or META.
    """

    def __init__(self, disk: Disk, tmp: str, content: int) -> None:
        self._disk = disk
        self._tmp = tmp
        self._entries = bytearray()  # packed: as objects, those of small files would take more memory than their data
        self._bases: list[tuple[int, bytes]] = []
        self._queue: list[Buffer] = []
        self._heads: list[bytes] = []
        self._hashed = blake3(derive_key_context=PACK_CONTEXT)
        self.path, self._fd = disk.open_temporary(tmp)
        self._at = 0
        self._closed = self._named = self._reserved = False
        try:
            header = _HEADER.pack(_MAGIC, FORMAT, content)
            self._at = disk.write(self._fd, [header])
            self._hashed.update(header)
        except BaseException:
            self.abort()
            raise

    def fits(self, block: Block) -> bool:
        """Whether the pack stays within PACK_BYTES with this block (an empty pack takes any block)."""
        index = len(self._entries) + len(block.members) * ENTRY_BYTES + TRAILER_BYTES
        index += (len(self._bases) + 1) * _BASE.size
        return not self._entries or self._at + block.size + index <= PACK_BYTES

    def append(self, block: Block) -> None:
        """Put a block at the end; :meth:`flush` writes it."""
        inside = 0
        for kind, raw, size in block.members:
            self._entries += _ENTRY.pack(raw, kind, self._at, block.size, inside, size)
            inside += size
        if block.base is not None:
            self._bases.append((self._at, block.base))
        self._queue += (block.head, *block.payload)
        self._heads.append(block.head)
        self._at += block.size

    def flush(self) -> None:
        """Write what was appended, in one system call where possible; its buffers may then be used again."""
        if self._at > _RESERVE and not self._reserved:
            self._reserved = True
            self._disk.reserve(self._fd, PACK_BYTES)
        size = self._disk.write(self._fd, self._queue)
        self._hashed.update(b"".join(self._heads))
        self._queue, self._heads = [], []
        if self._reserved:
            self._disk.start_writing(self._fd, self._at - size, size)

    def seal(self, packs: str) -> "Pack":
        """Write index and trailer, read everything back and check it, sync, and give the pack its name.

        The name is durable only after ``fsync_dir(packs)``, which the caller does once for all packs.

        Raises:
            Damaged: what the file holds is not what was written to it.
            Conflict: gc deleted it at once, for it took it for an equal one that was there before.
        """
        try:
            path = self._seal(packs)
        except BaseException:
            self.abort()
            raise
        try:
            return Pack.open(self._disk, path)
        except FileNotFoundError as exc:
            raise Conflict(
                f"gc deleted what was there before and is now written anew: {path}", hint="try again"
            ) from exc

    def _seal(self, packs: str) -> str:
        self.flush()
        count = len(self._entries) // ENTRY_BYTES
        entries = bytes(self._entries)
        self._entries.clear()
        index = _index_bytes(entries, self._bases)
        del entries
        self._disk.write(self._fd, [index])
        bare = _TRAILER.pack(_TRAILER_MAGIC, self._at, count, FORMAT, xxh3_64_intdigest(index), bytes(ID_SIZE))[
            :-ID_SIZE
        ]
        self._disk.write(self._fd, [bare])
        for piece in (index, bare):
            self._hashed.update(piece)
        pack_id = self._hashed.digest()
        if _read_id(self._disk, self._fd, self._at, len(index) + len(bare)) != pack_id:
            raise Damaged("a pack does not hold what was written to it")
        self._disk.write(self._fd, [pack_id])
        if self._reserved:
            self._disk.truncate(self._fd, self._at + len(index) + TRAILER_BYTES)
        self._disk.fsync(self._fd)
        self._close()
        path = os.path.join(packs, pack_id.hex() + PACK_SUFFIX)
        self._disk.rename(self.path, path)
        self._named = True
        return path

    def abort(self) -> None:
        """Drop the unfinished file."""
        try:
            if not self._closed:
                self._close()
        finally:
            if not self._named:
                self._disk.discard(self.path)

    def _close(self) -> None:
        self._closed = True
        self._disk.close(self._fd)


def _index_bytes(entries: bytes, bases: list[tuple[int, bytes]]) -> bytes:
    """Index and bases as a pack ends with them.

    Args:
        entries: each as _ENTRY packs it, by offset.
        bases: offset of the record of one object, and the id of its base.
    """
    rows = [entries[at : at + ENTRY_BYTES] for at in range(0, len(entries), ENTRY_BYTES)]
    rows.sort()
    # What is there twice is by offset, whose bytes are not in that order.
    twice = [at for at in range(1, len(rows)) if rows[at - 1][:ID_SIZE] == rows[at][:ID_SIZE]]
    while twice:
        stop = twice.pop() + 1
        start = stop - 2
        while twice and twice[-1] == start:
            start = twice.pop() - 1
        rows[start:stop] = sorted(rows[start:stop], key=_ENTRY.unpack)
    named = dict(bases)
    table: list[bytes] = []
    if named:
        offsets = enumerate(_ENTRY.unpack(row)[2] for row in rows)
        table = [_BASE.pack(number, named[offset]) for number, offset in offsets if offset in named]
    return b"".join([*rows, *table])


def _walk(disk: Disk, fd: int, end: int) -> Iterator[tuple[int, memoryview]]:
    """The records of a pack, which end at ``end``, with their offsets; each has its checksum.

    A view holds only until the next one is asked for.

    Raises:
        Damaged: at the first record that is not sound.
    """
    buffer = memoryview(bytearray(min(_READ, end - HEADER_BYTES)))
    at = HEADER_BYTES
    while at < end:
        piece = buffer[: disk.read_into(fd, buffer[: end - at], at)]
        done = 0
        while len(piece) - done >= _RECORD.size:
            length = record_length(piece, done)
            if done + length > len(piece):
                break
            record = piece[done : done + length]
            _check_sum(record)
            yield at + done, record
            done += length
        if not done:  # one record larger than a read, or a file that is shorter than it should be
            done = record_length(piece)
            if done > end - at:
                raise Damaged("record reaches into what follows the records")
            record = memoryview(disk.read_at(fd, done, at))
            if len(record) != done:
                raise Damaged("record ends too early")
            _check_sum(record)
            yield at, record
        at += done


def _read_id(disk: Disk, fd: int, end: int, rest: int) -> bytes:
    """The id of a pack by what the file holds.  Raises Damaged where a record is not sound."""
    hashed = blake3(disk.read_at(fd, HEADER_BYTES, 0), derive_key_context=PACK_CONTEXT)
    heads: list[bytes] = []
    for _, record in _walk(disk, fd, end):
        heads.append(bytes(_head(record)))
        if len(heads) >= MEMBERS:
            hashed.update(b"".join(heads))
            heads = []
    hashed.update(b"".join(heads))
    hashed.update(disk.read_at(fd, rest, end))
    return hashed.digest()


def _head(record: memoryview) -> memoryview:
    """What a record says of itself: everything but the stored bytes, whose checksum is in it."""
    return record[: _RECORD.size + _RECORD.unpack_from(record)[2] * _MEMBER.size]


def record_length(buffer: Buffer, at: int = 0) -> int:
    """The length of the record that begins at ``at``, by its first bytes.  Raises Damaged."""
    if len(buffer) - at < _RECORD.size:
        raise Damaged("record ends too early")
    magic, codec, members, size, stored, _ = _RECORD.unpack_from(buffer, at)
    if magic != _RECORD_MAGIC or not 0 < members <= MEMBERS:
        raise Damaged("no record where one should be")
    if size > codecs.BLOCK_BYTES or stored > codecs.STORED_BYTES:
        raise Damaged(f"record of codec {codec} claims {size} bytes in {stored}")
    return int(_RECORD.size + members * _MEMBER.size + stored)


def check_record(record: Buffer) -> None:
    """Compare a whole record with its checksum.  Raises Damaged."""
    if record_length(record) != len(record):
        raise Damaged("record is not of the length that it says")
    _check_sum(memoryview(record))


def _check_sum(record: memoryview) -> None:
    found = xxh3_64(record[:_CHECKED])
    found.update(_NO_CHECKSUM)
    found.update(record[_RECORD.size :])
    if found.intdigest() != _CHECKSUM.unpack_from(record, _CHECKED)[0]:
        raise Damaged("record does not have its checksum")


def _no_base(base: bytes) -> Buffer:
    raise Damaged(f"the base {base.hex()[:12]} of a delta is not at hand")


def decode_record(record: Buffer, fetch_base: codecs.FetchBase = _no_base) -> tuple[tuple[Member, ...], Buffer]:
    """The members of a record and its plain bytes, hashes not yet checked.

    Args:
        record: all of it.
        fetch_base: gives the bytes of a base.

    Raises:
        Damaged: the record is not sound, or its base is not.
        NotFound: by ``fetch_base``.
    """
    if record_length(record) != len(record):
        raise Damaged("record is not of the length that it says")
    _, codec, count, size, _, _ = _RECORD.unpack_from(record)
    view = memoryview(record)
    start = _RECORD.size + count * _MEMBER.size
    members = []
    for kind, length, raw in _MEMBER.iter_unpack(view[_RECORD.size : start]):
        if kind not in _KINDS:
            raise Damaged(f"record has an object of unknown kind {kind}")
        members.append(Member(_KINDS[kind], raw, length))
    if sum(member.size for member in members) != size:
        raise Damaged("record's members don't add up to it")
    base = codecs.base_of(codec, view[start:])
    if base is not None and len(members) != 1:
        raise Damaged("delta of several objects")
    return tuple(members), codecs.decode(codec, view[start:], size, None if base is None else fetch_base(base))


def record_base(record: Buffer) -> bytes | None:
    """The base that a record needs, or None.  Raises Damaged."""
    _, codec, count, _, _, _ = _RECORD.unpack_from(record)
    return codecs.base_of(codec, memoryview(record)[_RECORD.size + count * _MEMBER.size :])


def record_ids(record: Buffer) -> set[bytes]:
    """The ids of what a whole record says that it holds."""
    count = _RECORD.unpack_from(record)[2]
    return {raw for _, _, raw in _MEMBER.iter_unpack(record[_RECORD.size : _RECORD.size + count * _MEMBER.size])}


def record_width(record: Buffer) -> int:
    """The bytes of a number by which a record was taken apart; 1 where it was not."""
    _, codec, count, _, _, _ = _RECORD.unpack_from(record)
    return codecs.width_of(codec, memoryview(record)[_RECORD.size + count * _MEMBER.size :])


_KINDS: Final = {int(kind): kind for kind in Kind}


def check_object(kind: Kind, wanted: bytes, data: Buffer) -> None:
    """Hash bytes against an id.  Raises Damaged."""
    if raw_id(kind, data) != wanted:
        raise Damaged(f"{kind.word} {wanted.hex()[:12]} does not hash to its id")


class Pack:
    """An open, sealed pack.

    Args:
        disk: the door.
        path: of the file, named after the pack's id.
        fd: open for reading.
    """

    def __init__(self, disk: Disk, path: str, fd: int) -> None:
        self._disk = disk
        self.path = path
        self.name = os.path.basename(path).removesuffix(PACK_SUFFIX)
        self._fd = fd

    @classmethod
    def open(cls, disk: Disk, path: str) -> "Pack":
        """Open a pack.  Raises FileNotFoundError, StorageError."""
        return cls(disk, path, disk.open_read(path))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def size(self) -> int:
        """Bytes of the file."""
        return self._disk.size(self._fd)

    def index(self) -> bytes:
        """The index as stored: ENTRY_BYTES an object, sorted by id.

        Raises:
            Damaged: header, trailer or index are not what was written.
        """
        table, count = self._table()
        return table[: count * ENTRY_BYTES]

    def index_start(self) -> int:
        """Where the records end and index, bases and trailer begin.  Raises Damaged as :meth:`index`."""
        table, _ = self._table()
        return self.size() - TRAILER_BYTES - len(table)

    def end(self) -> bytes:
        """The bytes from the index on, as :func:`read_end` takes them.  Raises Damaged as :meth:`index`."""
        start = self.index_start()
        return self._disk.read_at(self._fd, self.size() - start, start)

    def bases(self) -> Iterator[tuple[bytes, bytes]]:
        """The ids of the objects that are stored as deltas, each with its base's.  Raises Damaged as :meth:`index`."""
        table, count = self._table()
        for number, base in _BASE.iter_unpack(table[count * ENTRY_BYTES :]):
            if number >= count:
                raise self._damaged("names the base of an object that it has not", 0)
            yield table[number * ENTRY_BYTES : number * ENTRY_BYTES + ID_SIZE], base

    def _table(self) -> tuple[bytes, int]:
        """Index and bases as stored, and the number of entries."""
        size = self.size()
        trailer = self._disk.read_at(self._fd, TRAILER_BYTES, max(0, size - TRAILER_BYTES))
        if size < HEADER_BYTES + TRAILER_BYTES or len(trailer) != TRAILER_BYTES:
            raise self._damaged("is too short", size)
        magic, start, count, version, checksum, pack_id = _TRAILER.unpack(trailer)
        if magic != _TRAILER_MAGIC or version != FORMAT or pack_id.hex() != self.name:
            raise self._damaged("has a damaged trailer", size - TRAILER_BYTES)
        rest = size - TRAILER_BYTES - start - count * ENTRY_BYTES
        if not HEADER_BYTES <= start <= size or not 0 <= rest <= count * _BASE.size or rest % _BASE.size:
            raise self._damaged("has a trailer that contradicts its length", size - TRAILER_BYTES)
        table = self._disk.read_at(self._fd, count * ENTRY_BYTES + rest, start)
        if xxh3_64_intdigest(table) != checksum:
            raise self._damaged("has a damaged index", start)
        return table, count

    def ids(self) -> Iterator[bytes]:
        """The ids of its objects, rising.  Raises Damaged as :meth:`index`."""
        return (raw for raw, _ in index_places(self.name, self.index()))

    def content(self) -> int:
        """DATA or META.  Raises Damaged."""
        head = self._disk.read_at(self._fd, HEADER_BYTES, 0)
        if len(head) != HEADER_BYTES:
            raise self._damaged("is too short", 0)
        magic, version, content = _HEADER.unpack(head)
        if magic != _MAGIC or version != FORMAT or content not in (DATA, META):
            raise self._damaged("has a damaged header", 0)
        return int(content)

    def record(self, offset: int, length: int) -> bytes:
        """The bytes of a record.  Raises Damaged where the file has not that many."""
        if offset + length > self.size():  # before so many bytes are allocated
            raise self._damaged("ends inside a record", offset)
        record = self._disk.read_at(self._fd, length, offset)
        if len(record) != length:
            raise self._damaged("ends inside a record", offset)
        return record

    def records_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with records that lie behind one another.  Raises Damaged as :meth:`record`."""
        if self._disk.read_into(self._fd, buffer, offset) != len(buffer):
            raise self._damaged("ends inside a record", offset)

    def verify(self, fetch_base: codecs.FetchBase = _no_base, *, limit: int | None = None) -> Iterator[Damaged]:
        """Check every byte: pack id, checksums, decoding, hashes, and that the index says the same.

        Args:
            fetch_base: gives the bytes of a base, which may lie in another pack.
            limit: plain bytes that its records may have; more are not decoded.

        Yields:
            one Damaged for each thing found wrong.
        """
        try:
            index, _ = self._table()
            self.content()
        except Damaged as exc:
            yield exc
            return
        stop = self.size() - TRAILER_BYTES - len(index)
        hashed = blake3(self._disk.read_at(self._fd, HEADER_BYTES, 0), derive_key_context=PACK_CONTEXT)
        found = bytearray()
        bases: list[tuple[int, bytes]] = []
        at, plain = HEADER_BYTES, 0
        try:
            for start, record in _walk(self._disk, self._fd, stop):
                at = start
                plain += _RECORD.unpack_from(record)[3]
                if limit is not None and plain > limit:
                    raise Damaged(f"records of more than {limit} bytes")
                hashed.update(_head(record))
                base = record_base(record)
                if base is not None:
                    bases.append((at, base))
                found += b"".join([_ENTRY.pack(*one) for one in _check_members(record, at, fetch_base)])
                at += len(record)
        except (Damaged, NotFound) as exc:
            yield self._damaged(f"has a damaged record: {exc}", at)
            return
        hashed.update(self._disk.read_at(self._fd, len(index) + TRAILER_BYTES - ID_SIZE, stop))
        if hashed.hexdigest() != self.name:
            yield self._damaged("does not hash to its name", 0)
        if _index_bytes(bytes(found), bases) != index:
            yield self._damaged("has an index that contradicts its records", stop)

    def _damaged(self, what: str, offset: int) -> Damaged:
        return Damaged(
            f"pack {self.path} {what} (at byte {offset})",
            hint="artvc fsck lists what is affected; committing the same data again stores it anew",
        )


def _check_members(
    record: Buffer, at: int, fetch_base: codecs.FetchBase
) -> Iterator[tuple[bytes, int, int, int, int, int]]:
    """Hash all objects of a record; yields their index entries."""
    members, data = decode_record(record, fetch_base)
    inside = 0
    for kind, wanted, size in members:
        check_object(kind, wanted, memoryview(data)[inside : inside + size])
        yield wanted, kind, at, len(record), inside, size
        inside += size


class PackEnd(NamedTuple):
    """What a pack ends with, as it lies apart from the pack.

    Attributes:
        size: bytes of the whole pack.
        entries: the index as stored: ENTRY_BYTES an object, sorted by id.
        bases: id of each object that is stored as a delta, and its base's.
    """

    size: int
    entries: bytes
    bases: dict[bytes, bytes]


def read_end(name: str, end: Buffer) -> PackEnd:
    """Take the end of a pack apart, from its index on.

    Args:
        name: the pack's id in hex digits.
        end: the bytes.

    Raises:
        Damaged: they are no whole end of that pack, or point out of it.
    """
    view = memoryview(end)
    table = view[:-TRAILER_BYTES]
    if len(view) < TRAILER_BYTES:
        raise Damaged(f"the index of pack {name[:12]} is too short")
    magic, start, count, version, checksum, pack_id = _TRAILER.unpack(view[-TRAILER_BYTES:])
    if magic != _TRAILER_MAGIC or version != FORMAT or pack_id.hex() != name:
        raise Damaged(f"the index of pack {name[:12]} has a damaged trailer")
    rest = len(table) - count * ENTRY_BYTES
    if not 0 <= rest <= count * _BASE.size or rest % _BASE.size or xxh3_64_intdigest(table) != checksum:
        raise Damaged(f"the index of pack {name[:12]} is damaged")
    entries = bytes(table[: count * ENTRY_BYTES])
    for raw, kind, offset, length, _, _ in _ENTRY.iter_unpack(entries):
        if kind not in _KINDS or offset < HEADER_BYTES or offset + length > start or length > codecs.STORED_BYTES * 2:
            raise Damaged(f"the index of pack {name[:12]} has a place for {raw.hex()[:12]} that is not in the pack")
    bases = {}
    for number, base in _BASE.iter_unpack(table[count * ENTRY_BYTES :]):
        if number >= count:
            raise Damaged(f"the index of pack {name[:12]} names the base of an object that it has not")
        bases[entries[number * ENTRY_BYTES : number * ENTRY_BYTES + ID_SIZE]] = base
    return PackEnd(start + len(view), entries, bases)


def index_places(pack: str, index: bytes) -> Iterator[tuple[bytes, Place]]:
    """The entries of an index as ids and places."""
    for raw, kind, offset, length, inside, size in _ENTRY.iter_unpack(index):
        yield raw, Place(pack, kind, offset, length, inside, size)


def is_pack_name(name: str) -> bool:
    """Whether a file name is that of a pack (editors and sync tools leave other things)."""
    return len(name) == _NAME_LENGTH and name.endswith(PACK_SUFFIX) and _HEX.issuperset(name[: -len(PACK_SUFFIX)])
