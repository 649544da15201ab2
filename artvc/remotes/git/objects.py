"""Git's objects and packs: made without compression, read with limits.

What goes out is already compressed, so it goes in *stored* deflate blocks: deflating it again costs most of the time
of a push and gains nothing.  Objects are streams that can be read more than once: once for the id, once to send.

What comes in is a pack in a scratch file (:class:`ReceivedPack`).  It is read from its start to its end once, every
object inflated and hashed, nothing beyond the limits; deltas, which a server may make of small things, are resolved
with a bound on all they yield.
"""

import hashlib
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from artvc.errors import Damaged
from artvc.store.fsio import Disk

if TYPE_CHECKING:
    from dulwich.pack import PackChunkGenerator, UnpackedObject

COMMIT, TREE, BLOB = 1, 2, 3
_NAMES: Final = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", 4: b"tag"}
_OFS_DELTA, _REF_DELTA = 6, 7
FILE_MODE, DIRECTORY_MODE = b"100644", b"40000"
ID_DIGITS: Final = 40
PACK_HEADER: Final = 12
PACK_TRAILER: Final = 20

# A plain git server writes the objects of a small push one by one and compresses each again; from this many objects
# on (receive.unpackLimit) it keeps the pack as it came.
UNPACK_LIMIT: Final = 100
_PIECE: Final = 1024 * 1024
STORED: Final = 65535  # the most that a stored deflate block holds
STORED_PIECE: Final = 16 * STORED  # whose blocks are all full, which makes parts of them easy to find
_BLOCKS: Final = 4 * (5 + STORED)  # bytes of stored blocks, with their headers, read at once: more leave the cache
_MEMORY: Final = 32 * 1024 * 1024  # of resolved deltas that may be bases of more
_CHAIN: Final = 4096  # deltas on deltas
_SIGNS: Final = frozenset(b"0123456789abcdef")


# -- making ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GitObject:
    """An object to be stored.

    Attributes:
        kind: COMMIT, TREE or BLOB.
        id: 40 hexadecimal digits.
        size: bytes.
        chunks: gives its bytes, from the start, each time it is called.
    """

    kind: int
    id: bytes
    size: int
    chunks: Callable[[], Iterable[bytes]]


class Entry(NamedTuple):
    """One entry of a tree."""

    name: bytes
    is_tree: bool
    id: bytes


class Commit(NamedTuple):
    """What artvc reads of a commit."""

    tree: bytes
    parents: tuple[bytes, ...]


def streamed(kind: int, size: int, chunks: Callable[[], Iterable[bytes]]) -> GitObject:
    """An object whose bytes are read now, for its id, and again when it is sent.

    Raises:
        Damaged: there are more or fewer than ``size`` bytes.
    """
    hashed, total = hashlib.sha1(b"%s %d\0" % (_NAMES[kind], size), usedforsecurity=False), 0
    for chunk in chunks():
        total += len(chunk)
        if total > size:
            break
        hashed.update(chunk)
    if total != size:
        raise Damaged(f"an object of {size} bytes has {'more' if total > size else 'fewer'}")
    return GitObject(kind, hashed.hexdigest().encode(), size, chunks)


def whole(kind: int, data: bytes) -> GitObject:
    """An object of bytes in memory."""
    return streamed(kind, len(data), lambda: (data,))


def tree(entries: Iterable[Entry]) -> GitObject:
    """A tree; entries in any order."""
    ordered = sorted(entries, key=lambda one: one.name + b"/" if one.is_tree else one.name)
    return whole(
        TREE,
        b"".join(
            b"%s %s\0%s" % (DIRECTORY_MODE if one.is_tree else FILE_MODE, one.name, bytes.fromhex(one.id.decode()))
            for one in ordered
        ),
    )


def commit(tree: bytes, parent: bytes | None, message: str, *, time: int) -> GitObject:
    """A commit by nobody in particular, the same wherever and whenever it is made.

    Args:
        tree: id.
        parent: id, where there is one.
        message: one line.
        time: seconds since 1970.
    """
    who = b"artvc <artvc@localhost> %d +0000" % time
    lines = [b"tree " + tree, *([b"parent " + parent] if parent else []), b"author " + who, b"committer " + who]
    return whole(COMMIT, b"\n".join(lines) + b"\n\n" + message.encode() + b"\n")


def padding(count: int) -> list[GitObject]:
    """Tiny objects that nothing refers to, always the same, so that a push reaches :data:`UNPACK_LIMIT`."""
    return [whole(BLOB, b"artvc pad %03d\n" % number) for number in range(max(0, UNPACK_LIMIT - count))]


def stored(one: GitObject) -> Iterator[bytes]:
    """An object as it stands in a pack: header, and a zlib stream that compresses nothing.

    Raises:
        Damaged: its bytes are not as many as it said; the stream ends in the middle.
    """
    yield _entry_header(one.kind, one.size) + b"\x78\x01" + (b"\x01\0\0\xff\xff" if not one.size else b"")
    checksum, left = 1, one.size
    for chunk in one.chunks():
        checksum = zlib.adler32(chunk, checksum)
        view = memoryview(chunk)
        for start in range(0, len(view), STORED_PIECE):
            parts: list[bytes | memoryview] = []
            piece = view[start : start + STORED_PIECE]
            for at in range(0, len(piece), STORED):
                block = piece[at : at + STORED]
                left -= len(block)
                if left < 0:
                    raise Damaged(f"object {one.id.decode()} became longer while it was sent")
                parts += (struct.pack("<BHH", not left, len(block), len(block) ^ 0xFFFF), block)
            yield b"".join(parts)
    if left:
        raise Damaged(f"object {one.id.decode()} became shorter while it was sent")
    yield struct.pack(">I", checksum)


def _entry_header(kind: int, size: int) -> bytes:
    found = bytearray()
    byte, size = kind << 4 | size & 15, size >> 4
    while size:
        found.append(byte | 128)
        byte, size = size & 127, size >> 7
    found.append(byte)
    return bytes(found)


def unpacked(objects: Sequence[GitObject]) -> "Iterator[UnpackedObject]":
    """Objects as dulwich wants them, to be written as they are."""
    from dulwich.pack import UnpackedObject  # noqa: PLC0415 -- importing artvc loads no dulwich

    for one in objects:
        made = UnpackedObject(one.kind, decomp_len=one.size, sha=bytes.fromhex(one.id.decode()))
        made.comp_chunks = stored(one)  # type: ignore[assignment] # it is only iterated
        yield made


def pack_chunks(objects: Sequence[GitObject]) -> "PackChunkGenerator":
    """The bytes of a pack file; when they are read, ``entries`` and ``sha1digest()`` are what its index needs."""
    from dulwich.object_format import SHA1  # noqa: PLC0415
    from dulwich.pack import PackChunkGenerator  # noqa: PLC0415

    return PackChunkGenerator(object_format=SHA1, num_records=len(objects), records=unpacked(objects))


# -- reading -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that may come in one pack.

    Attributes:
        bytes: of the pack.
        objects: in it.
        object_bytes: of one of them.
        delta_bytes: of one that comes as a delta, which is put together in memory.
        total_bytes: of all of them.
    """

    bytes: int
    objects: int
    object_bytes: int
    delta_bytes: int = 64 * 1024 * 1024
    total_bytes: int


def is_id(text: bytes) -> bool:
    """Whether bytes are the id of an object."""
    return len(text) == ID_DIGITS and _SIGNS.issuperset(text)


def parse_commit(data: bytes) -> Commit:
    """Tree and parents of a commit.  Raises Damaged."""
    head = data.partition(b"\n\n")[0].split(b"\n")
    parents = []
    for line in head[1:]:
        if not line.startswith(b"parent "):
            break
        parents.append(line[7:])
    found = head[0].removeprefix(b"tree ")
    if not head[0].startswith(b"tree ") or not all(map(is_id, (found, *parents))):
        raise Damaged("a commit is malformed")
    return Commit(found, tuple(parents))


def parse_tree(data: bytes) -> tuple[Entry, ...]:
    """The entries of a tree.  Raises Damaged."""
    found, at = [], 0
    while at < len(data):
        end = data.find(b"\0", at, at + 4096)
        mode, space, name = data[at:end].partition(b" ")
        raw = data[end + 1 : end + 21]
        if end < 0 or not space or not name or b"/" in name or len(raw) != 20:
            raise Damaged("a tree is malformed")
        found.append(Entry(name, mode == DIRECTORY_MODE, raw.hex().encode()))
        at = end + 21
    return tuple(found)


class _Place(NamedTuple):
    """Where an object is in a pack.

    Attributes:
        kind: as in the pack; of a delta, that of its base once it is resolved.
        start: of its deflated bytes.
        size: inflated; of a delta, of the delta.
        base: offset of the base of a delta; 0 for others.
    """

    kind: int
    start: int
    size: int
    base: int


class ReceivedPack:
    """A pack in a scratch file, whose objects are read by their ids.

    Args:
        disk: the door to the file.
        fd: the file, open; closed by whoever opened it.
        limits: of the pack.

    Raises:
        Damaged: it is malformed, or beyond the limits.
    """

    def __init__(self, disk: Disk, fd: int, limits: Limits) -> None:
        self._disk = disk
        self._fd = fd
        self._limits = limits
        self._end = disk.size(fd) - PACK_TRAILER
        self._window, self._window_start = b"", 0
        self._places: dict[int, _Place] = {}
        self._offsets: dict[bytes, int] = {}
        self._near: OrderedDict[int, bytes] = OrderedDict()
        self._near_bytes = 0
        self._budget = limits.total_bytes
        self._scan()

    def __len__(self) -> int:
        return len(self._places)

    def commit(self, wanted: bytes) -> Commit | None:
        """A commit; None where it is not here.  Raises Damaged."""
        data = self._small(wanted, COMMIT)
        return None if data is None else parse_commit(data)

    def tree(self, wanted: bytes) -> tuple[Entry, ...] | None:
        """The entries of a tree; None where it is not here.  Raises Damaged."""
        data = self._small(wanted, TREE)
        return None if data is None else parse_tree(data)

    def blob(self, wanted: bytes) -> Iterator[bytes] | None:
        """The bytes of a blob; None where it is not here.  Raises Damaged."""
        place = self._find(wanted, BLOB)
        if place is None:
            return None
        if place.base:
            return iter([self._resolve(self._offsets[wanted])])
        return self._inflate(place.start, place.size, None)

    def _find(self, wanted: bytes, kind: int) -> _Place | None:
        offset = self._offsets.get(wanted)
        if offset is None:
            return None
        place = self._places[offset]
        if place.kind != kind:
            raise Damaged(f"git object {wanted.decode()} is no {_NAMES[kind].decode()}")
        return place

    def _small(self, wanted: bytes, kind: int) -> bytes | None:
        place = self._find(wanted, kind)
        if place is None:
            return None
        if place.size > self._limits.delta_bytes:
            raise Damaged(f"git object {wanted.decode()} has {place.size} bytes")
        return self._resolve(self._offsets[wanted])

    # -- from start to end --------------------------------------------------------------------------------

    def _scan(self) -> None:
        head = self._read(0, PACK_HEADER)
        signature, version, count = struct.unpack(">4sII", head) if len(head) == PACK_HEADER else (b"", 0, 0)
        if signature != b"PACK" or version != 2 or self._end < PACK_HEADER:
            raise Damaged("what came is no git pack")
        if count > self._limits.objects:
            raise Damaged(f"a git pack of {count} objects, more than the {self._limits.objects} that it may have")
        at, waiting = PACK_HEADER, list[tuple[int, bytes]]()
        for _ in range(count):
            at = self._scan_object(at, waiting)
        if at != self._end:
            raise Damaged("a git pack has bytes behind its last object")
        self._resolve_all(waiting)

    def _resolve_all(self, waiting: list[tuple[int, bytes]]) -> None:
        """Put all deltas together once, for their ids.

        Args:
            waiting: offsets of those that name their base by its id, and that id.
        """
        by_offset: dict[int, list[int]] = {}
        by_id: dict[bytes, list[int]] = {}
        for offset, place in self._places.items():
            if place.base:
                by_offset.setdefault(place.base, []).append(offset)
        for offset, base in waiting:
            by_id.setdefault(base, []).append(offset)
        left = sum(map(len, by_offset.values())) + len(waiting)
        ready = [(offset, name) for name, offset in self._offsets.items()] if left else []
        while ready:
            at, name = ready.pop()
            for offset in by_offset.pop(at, []) + by_id.pop(name, []):
                self._places[offset] = self._places[offset]._replace(base=at)
                data = self._resolve(offset)
                kind = _NAMES[self._places[offset].kind]
                hashed = hashlib.sha1(b"%s %d\0%s" % (kind, len(data), data), usedforsecurity=False)
                ready.append((offset, self._name(offset, hashed)))
                left -= 1
        if left:
            raise Damaged("a git pack has a delta without its base")

    def _scan_object(self, offset: int, waiting: list[tuple[int, bytes]]) -> int:
        """Look at the object at an offset; returns where the next one begins."""
        head = self._read(offset, 64)
        kind, size, at = _parse_entry_header(head)
        limit = self._limits.object_bytes if kind in _NAMES else self._limits.delta_bytes
        if size > limit or size > self._budget:
            raise Damaged(f"a git object of {size} bytes, more than it may have")
        self._budget -= size
        base = 0
        if kind == _OFS_DELTA:
            distance, at = _parse_distance(head, at)
            base = offset - distance
            if base not in self._places:
                raise Damaged("a git pack has a delta without its base")
        elif kind == _REF_DELTA:
            waiting.append((offset, head[at : at + 20].hex().encode()))
            at += 20
        elif kind not in _NAMES:
            raise Damaged(f"a git pack has an object of kind {kind}")
        place = _Place(kind, offset + at, size, base)
        self._places[offset] = place
        end = [0]
        if kind in _NAMES:
            hashed = hashlib.sha1(b"%s %d\0" % (_NAMES[kind], size), usedforsecurity=False)
            for piece in self._inflate(place.start, size, end):
                hashed.update(piece)
            self._name(offset, hashed)
        else:
            for _ in self._inflate(place.start, size, end):
                pass
        return end[0]

    def _name(self, offset: int, hashed: "hashlib._Hash") -> bytes:
        name = hashed.hexdigest().encode()
        self._offsets.setdefault(name, offset)
        return name

    def _read(self, start: int, size: int) -> bytes:
        """Bytes of the pack, but none of its trailer."""
        size = min(size, self._end - start)
        at = start - self._window_start
        if at < 0 or at + size > len(self._window):
            self._window = self._disk.read_at(self._fd, max(size, min(_PIECE, self._end - start)), start)
            self._window_start, at = start, 0
        return self._window[at : at + size]

    def _inflate(self, start: int, size: int, end: list[int] | None) -> Iterator[bytes]:
        """An object's bytes, in pieces.

        Args:
            start: of the deflated bytes.
            size: that it must have.
            end: where to put the end of the deflated bytes; None: the file is read past the window, for this may go
                on while others read.
        """
        given = 0
        if size > STORED:
            for piece in self._stored(start, size, end):
                given += len(piece)
                yield piece
            if given == size:
                return
        for piece in self._inflated(start, size, end):
            if len(piece) > given:
                yield piece[given:]
            given = max(0, given - len(piece))

    def _stored(self, start: int, size: int, end: list[int] | None) -> Iterator[bytes]:
        """As :meth:`_inflate`, of an object in stored blocks as :func:`stored` makes them; ends early at any other.

        The checksum behind them is passed over: what counts is the object's id.
        """
        head = self._disk.read_at(self._fd, 2, start)
        if len(head) < 2 or head[0] & 15 != 8 or head[1] & 32 or int.from_bytes(head, "big") % 31:
            return
        at, left = start + 2, size
        while left:
            data = memoryview(self._disk.read_at(self._fd, max(0, min(_BLOCKS, self._end - 4 - at)), at))
            parts, read = list[memoryview](), 0
            while left and read + 5 <= len(data):
                length = min(left, STORED)
                if data[read : read + 5] != struct.pack("<BHH", length == left, length, length ^ 0xFFFF):
                    break
                if read + 5 + length > len(data):
                    break
                parts.append(data[read + 5 : read + 5 + length])
                read, left = read + 5 + length, left - length
            if not parts:
                return
            at += read
            if not left and end is not None:
                end[0] = at + 4
            yield b"".join(parts)

    def _inflated(self, start: int, size: int, end: list[int] | None) -> Iterator[bytes]:
        """As :meth:`_inflate`, of any object."""
        stream, at, left, step = zlib.decompressobj(), start, size, 4096
        try:
            while not stream.eof:
                wanted = min(step, self._end - at)
                data = self._read(at, wanted) if end is not None else self._disk.read_at(self._fd, wanted, at)
                if not data:
                    raise Damaged("a git pack ends in the middle of an object")
                at, step = at + len(data), min(step * 4, _PIECE)
                while data and not stream.eof:
                    piece = stream.decompress(data, min(left + 1, _PIECE))
                    left -= len(piece)
                    if left < 0:
                        raise Damaged("a git object is longer than it says")
                    data = stream.unconsumed_tail
                    if piece:
                        yield piece
        except zlib.error as exc:
            raise Damaged("a git object can't be inflated") from exc
        if left:
            raise Damaged("a git object is shorter than it says")
        if end is not None:
            end[0] = at - len(stream.unused_data)

    # -- deltas -------------------------------------------------------------------------------------------

    def _resolve(self, offset: int) -> bytes:
        """The bytes of an object, put together where it is a delta."""
        chain: list[int] = []
        while offset not in self._near and self._places[offset].base:
            chain.append(offset)
            if len(chain) > _CHAIN:
                raise Damaged("a git pack has deltas without an end")
            offset = self._places[offset].base
        place = self._places[offset]
        data = self._near.get(offset)
        if data is None:
            if place.size > self._limits.delta_bytes:
                raise Damaged(f"a git object of {place.size} bytes is too large to be put together")
            data = b"".join(self._inflate(place.start, place.size, None))
        kind = place.kind
        for one in reversed(chain):
            self._keep(offset, data)
            place = self._places[one]
            delta = b"".join(self._inflate(place.start, place.size, None))
            data = apply_delta(data, delta, limit=self._limits.delta_bytes)
            if place.kind != kind:  # the first time
                self._budget -= len(data)
                if self._budget < 0:
                    raise Damaged(f"a git pack of more than {self._limits.total_bytes} bytes, inflated")
                self._places[one] = place._replace(kind=kind)
            offset = one
        return data

    def _keep(self, offset: int, data: bytes) -> None:
        if offset not in self._near:
            self._near[offset] = data
            self._near_bytes += len(data)
        self._near.move_to_end(offset)
        while self._near_bytes > _MEMORY:
            self._near_bytes -= len(self._near.popitem(last=False)[1])


def _parse_entry_header(head: bytes) -> tuple[int, int, int]:
    """Kind, size and the end of an entry's header.  Raises Damaged."""
    if not head:
        raise Damaged("a git pack ends before its last object")
    kind, size, shift = head[0] >> 4 & 7, head[0] & 15, 4
    at = 1
    while head[at - 1] & 128:
        if at >= min(len(head), 10):
            raise Damaged("a git object has a malformed size")
        size |= (head[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return kind, size, at


def _parse_distance(head: bytes, at: int) -> tuple[int, int]:
    """How far back the base of a delta is, and the end of that number.  Raises Damaged."""
    if at >= len(head):
        raise Damaged("a git object has a malformed base")
    distance = head[at] & 127
    while head[at] & 128:
        at += 1
        if at >= min(len(head), 24):
            raise Damaged("a git object has a malformed base")
        distance = (distance + 1) << 7 | head[at] & 127
    return distance, at + 1


def apply_delta(base: bytes, delta: bytes, *, limit: int) -> bytes:
    """What a delta makes of its base.

    Args:
        base: the bytes that it copies from.
        delta: git's instructions.
        limit: of the result.

    Raises:
        Damaged: it is malformed, or the result would be too large.
    """
    before, at = _parse_size(delta, 0)
    after, at = _parse_size(delta, at)
    if before != len(base) or after > limit:
        raise Damaged("a git delta does not fit")
    parts, left = list[bytes](), after
    while at < len(delta):
        code = delta[at]
        at += 1
        if code & 128:
            fields = []
            for bit in range(7):
                fields.append(delta[at] if code >> bit & 1 and at < len(delta) else 0)
                at += code >> bit & 1
            start = int.from_bytes(fields[:4], "little")
            size = int.from_bytes(fields[4:], "little") or 0x10000
            part = base[start : start + size]
        else:
            size = code
            part = delta[at : at + size]
            at += size
        left -= size
        if not code or len(part) != size or left < 0:
            raise Damaged("a git delta is malformed")
        parts.append(part)
    if left or at != len(delta):
        raise Damaged("a git delta is malformed")
    return b"".join(parts)


def _parse_size(delta: bytes, at: int) -> tuple[int, int]:
    size, shift = 0, 0
    while True:
        if at >= len(delta) or shift > 56:
            raise Damaged("a git delta is malformed")
        size |= (delta[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not delta[at - 1] & 128:
            return size, at
