"""The objects of a git repository on this machine: packs, their indexes, loose objects.

Written are packs only: ``.pack`` and ``.idx`` under names without meaning, synced, then renamed in git's own order, so
that an index never stands without its pack.  Read is whatever is there, with deltas where git made some.  git's gc may
move every object at any moment: an object that is not where it was is looked for once more.

Nothing is mapped into memory.  An object that is no delta passes through in pieces.
"""

import contextlib
import hashlib
import itertools
import os
import struct
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from artvc.errors import Damaged
from artvc.remotes.git.gitdir import GitDirectory
from artvc.remotes.git.objects import STORED, GitObject, apply_delta, stored

ID_BYTES: Final = 20
_KINDS: Final = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
_NUMBERS: Final = {name: number for number, name in _KINDS.items()}
_OFFSET_DELTA: Final = 6
_REF_DELTA: Final = 7
_READ: Final = 256 * 1024
_PIECE: Final = 1024 * 1024
_STEP: Final = STORED + 5  # from one stored block to the next
_BLOCKS: Final = 16  # read at once
_HEADER_BYTES: Final = 64  # of an object in a pack: its size, and where its base is
_LOOSE_HEADER: Final = 64
_CHAIN: Final = 4096  # deltas on deltas; git makes at most as many
_FANOUT_AT: Final = 8
_IDS_AT: Final = _FANOUT_AT + 1024
_INDEX_MAGIC: Final = b"\xfftOc\0\0\0\2"
_LARGE: Final = 0x80000000


class Opened(NamedTuple):
    """An object that is read.

    Attributes:
        kind: b"commit", b"tree", b"blob", b"tag".
        size: bytes of its content.
        pieces: the content.
        raw: of one that is deflated by itself: the open file, and where in it that begins.
    """

    kind: bytes
    size: int
    pieces: Iterator[bytes]
    raw: tuple[int, int] | None = None


@dataclass(slots=True)
class _Index:
    """A pack's index, closed but while it is searched."""

    path: str
    fanout: tuple[int, ...]

    @property
    def pack(self) -> str:
        return self.path.removesuffix(".idx") + ".pack"


class _Moved(Exception):  # noqa: N818 -- it never leaves this file
    """A file is gone in which an object was."""


class ObjectFiles:
    """The objects of a repository; may be used by several threads.

    Args:
        home: the repository.
    """

    def __init__(self, home: GitDirectory) -> None:
        self._home = home
        self._disk = home.disk
        self._indexes: dict[str, _Index] = {}  # by path; what was useful last comes first

    # -- reading ------------------------------------------------------------------------------------------

    def has(self, wanted: bytes) -> bool:
        """Whether an object is there; its id is 40 hexadecimal digits."""
        object_id = bytes.fromhex(wanted.decode())
        with self._home.told():
            for attempt in range(2):
                if attempt:
                    self._scan()
                if self._packed(object_id) is not None or self._loose(object_id) is not None:
                    return True
        return False

    @contextlib.contextmanager
    def opened(self, wanted: bytes, *, limit: int) -> Iterator[Opened]:
        """An object, its content in pieces.

        Args:
            wanted: its id, 40 hexadecimal digits.
            limit: the most bytes that its content may have.

        Raises:
            KeyError: it isn't there.
            Damaged: it is larger, or its file is damaged.
        """
        with self._home.told(), contextlib.ExitStack() as stack:
            yield self._found(bytes.fromhex(wanted.decode()), limit, stack)

    def read(self, wanted: bytes, kind: bytes, *, limit: int) -> bytes:
        """The content of an object of a kind, which is hashed.  Raises as :meth:`opened`."""
        with self.opened(wanted, limit=limit) as found:
            body = b"".join(found.pieces)
        hashed = hashlib.sha1(b"%s %d\0%s" % (found.kind, len(body), body), usedforsecurity=False)
        if found.kind != kind or hashed.hexdigest().encode() != wanted:
            raise Damaged(f"{self._home.name}: object {wanted.decode()} is not the {kind.decode()} of that name")
        return body

    def part(self, wanted: bytes, start: int, end: int | None, *, limit: int) -> Generator[bytes]:
        """The content of an object from ``start`` to ``end`` (its end where None), which is not hashed.

        What artvc wrote is not compressed, so a part costs what it is long; of others all before it is inflated.

        Args:
            wanted: its id, 40 hexadecimal digits.
            start, end: in bytes.
            limit: the most bytes that its content may have.

        Raises:
            KeyError: it isn't there.
            Damaged: it has not so many bytes, is larger than the limit, or its file is damaged.
        """
        with self._home.told(), contextlib.ExitStack() as stack:
            found = self._found(bytes.fromhex(wanted.decode()), limit, stack)
            end = found.size if end is None else end
            if not start <= end <= found.size:
                raise Damaged(f"{self._home.name}: object {wanted.decode()} has only {found.size} bytes")
            at = start
            if found.raw is not None:
                for piece in self._stored(found.raw, found.size, start, end):
                    at += len(piece)
                    yield piece
            place = 0
            for piece in found.pieces if at < end else ():
                first, last = max(at - place, 0), min(len(piece), end - place)
                if first < last:
                    yield piece[first:last]
                place += len(piece)
                if place >= end:
                    return

    def _found(self, object_id: bytes, limit: int, stack: contextlib.ExitStack) -> Opened:
        for attempt in range(3):
            if attempt:
                self._scan()
            with contextlib.suppress(_Moved):
                place = self._packed(object_id)
                if place is not None:
                    return self._from_pack(place[0], place[1], limit, stack)
                loose = self._loose(object_id)
                if loose is not None:
                    return self._from_loose(loose, limit, stack)
        raise KeyError(object_id.hex())

    def _open(self, path: str, stack: contextlib.ExitStack) -> int:
        try:
            fd = self._disk.open_read(path)
        except FileNotFoundError as exc:
            raise _Moved from exc
        stack.callback(os.close, fd)
        return fd

    # -- packs --------------------------------------------------------------------------------------------

    def _scan(self) -> None:
        """Look which packs there are now."""
        before, found = self._indexes, {}
        for directory in self._home.objects:
            folder = os.path.join(directory, "pack")
            try:
                names = set(self._disk.listdir(folder))
            except FileNotFoundError:
                continue
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".idx") and name.removesuffix(".idx") + ".pack" in names and path not in before:
                    with contextlib.suppress(FileNotFoundError, Damaged):
                        found[path] = self._index(path)
                elif path in before:
                    found[path] = before[path]
        self._indexes = found

    def _index(self, path: str) -> _Index:
        fd = self._disk.open_read(path)
        try:
            head = self._disk.read_at(fd, _IDS_AT, 0)
            size = self._disk.size(fd)
        finally:
            os.close(fd)
        if len(head) < _IDS_AT or not head.startswith(_INDEX_MAGIC):
            raise Damaged(f"{path} is no index of version 2")
        fanout = struct.unpack_from(">256I", head, _FANOUT_AT)
        count = fanout[-1]
        if any(one > other for one, other in itertools.pairwise(fanout)) or size < _IDS_AT + 28 * count + 40:
            raise Damaged(f"{path} is malformed")
        return _Index(path, fanout)

    def _packed(self, object_id: bytes) -> tuple[str, int] | None:
        """The pack that has an object, and where in it."""
        if not self._indexes:
            self._scan()
        first = object_id[0]
        for index in list(self._indexes.values()):
            low, high = index.fanout[first - 1] if first else 0, index.fanout[first]
            if low == high:
                continue
            with contextlib.suppress(FileNotFoundError):
                offset = self._searched(index, object_id, low, high)
                if offset is not None:
                    self._indexes = {index.path: index, **self._indexes}
                    return index.pack, offset
        return None

    def _searched(self, index: _Index, object_id: bytes, low: int, high: int) -> int | None:
        fd = self._disk.open_read(index.path)
        try:
            while low < high:
                middle = (low + high) // 2
                found = self._disk.read_at(fd, ID_BYTES, _IDS_AT + middle * ID_BYTES)
                if found == object_id:
                    return self._offset(fd, index, middle)
                if found < object_id:
                    low = middle + 1
                else:
                    high = middle
            return None
        except struct.error as exc:
            raise Damaged(f"{index.path} is too short") from exc
        finally:
            os.close(fd)

    def _offset(self, fd: int, index: _Index, number: int) -> int:
        """Where the object with a number in an index lies in the pack."""
        count = index.fanout[-1]
        offsets = _IDS_AT + count * (ID_BYTES + 4)
        (offset,) = struct.unpack(">I", self._disk.read_at(fd, 4, offsets + number * 4))
        if offset & _LARGE:
            at = offsets + count * 4 + (offset & ~_LARGE) * 8
            (offset,) = struct.unpack(">Q", self._disk.read_at(fd, 8, at))
        return int(offset)

    def _from_pack(self, path: str, offset: int, limit: int, stack: contextlib.ExitStack) -> Opened:
        fd = self._open(path, stack)
        kind, size, start, _ = self._head(fd, path, offset)
        self._check_size(size, limit)
        if kind in _KINDS:
            return Opened(_KINDS[kind], size, self._inflated(fd, path, start, size), (fd, start))
        name, body = self._resolved(path, offset, limit)
        return Opened(name, len(body), iter((body,)))

    def _head(self, fd: int, path: str, offset: int) -> tuple[int, int, int, int | bytes]:
        """Of an object in a pack: its kind, the size of what is deflated, where that starts, and its base."""
        head = self._disk.read_at(fd, _HEADER_BYTES, offset)
        try:
            kind, size, shift, at = (head[0] >> 4) & 7, head[0] & 15, 4, 1
            while head[at - 1] & 0x80:
                size |= (head[at] & 0x7F) << shift
                shift, at = shift + 7, at + 1
            base: int | bytes = 0
            if kind == _OFFSET_DELTA:
                back = head[at] & 0x7F
                while head[at] & 0x80:
                    at += 1
                    back = ((back + 1) << 7) | (head[at] & 0x7F)
                at, base = at + 1, offset - back
            elif kind == _REF_DELTA:
                at, base = at + ID_BYTES, head[at : at + ID_BYTES]
        except IndexError as exc:
            raise Damaged(f"{path} is too short") from exc
        is_delta = kind in (_OFFSET_DELTA, _REF_DELTA)
        if not (kind in _KINDS or is_delta) or (
            kind == _OFFSET_DELTA and isinstance(base, int) and not 0 < base < offset
        ):
            raise Damaged(f"{path} has no object at {offset}")
        return kind, size, offset + at, base

    def _inflated(self, fd: int, path: str, start: int, size: int) -> Generator[bytes]:
        """What is deflated at a place of a file, which must be so many bytes."""
        stream, at, total = zlib.decompressobj(), start, 0
        try:
            while not stream.eof:
                data = self._disk.read_at(fd, _READ, at)
                if not data:
                    raise Damaged(f"{path} ends within an object")
                at += len(data)
                while data and not stream.eof:
                    piece = stream.decompress(data, _PIECE)
                    data = stream.unconsumed_tail
                    total += len(piece)
                    if total > size:
                        raise Damaged(f"{path} has an object that is longer than it says")
                    if piece:
                        yield piece
        except zlib.error as exc:
            raise Damaged(f"{path} is damaged at {start}") from exc
        if total != size:
            raise Damaged(f"{path} has an object that is shorter than it says")

    def _stored(self, raw: tuple[int, int], size: int, start: int, end: int) -> Generator[bytes]:
        """Bytes from ``start`` to ``end`` of a content that lies there in stored blocks of the usual length.

        Where a block is another than expected, this ends early.
        """
        fd, base = raw
        head = self._disk.read_at(fd, 2, base)
        if len(head) < 2 or head[0] & 15 != 8 or head[1] & 32 or (head[0] << 8 | head[1]) % 31:
            return
        while start < end:
            first, last = start // STORED, min(start // STORED + _BLOCKS, (end - 1) // STORED + 1)
            data = memoryview(self._disk.read_at(fd, (last - first) * _STEP, base + 2 + first * _STEP))
            parts: list[memoryview] = []
            for number in range(first, last):
                begin, at = number * STORED, (number - first) * _STEP
                length = min(STORED, size - begin)
                if data[at : at + 5] != struct.pack("<BHH", begin + length == size, length, length ^ 0xFFFF):
                    break
                parts.append(data[at + 5 + max(start - begin, 0) : at + 5 + min(end - begin, length)])
            piece = b"".join(parts)
            start += len(piece)
            if piece:
                yield piece
            if start < min(end, last * STORED):
                return

    def _resolved(self, path: str, offset: int, limit: int) -> tuple[bytes, bytes]:
        """Kind and content of an object that may be a delta of others."""
        deltas: list[bytes] = []
        while True:
            with contextlib.ExitStack() as stack:
                fd = self._open(path, stack)
                kind, size, start, base = self._head(fd, path, offset)
                self._check_size(size, limit)
                found = b"".join(self._inflated(fd, path, start, size))
            if kind in _KINDS:
                return _KINDS[kind], self._with_all(found, deltas, limit)
            deltas.append(found)
            if len(deltas) > _CHAIN or sum(map(len, deltas)) > 2 * limit:
                raise Damaged(f"{path} has an object that is a delta of too many others")
            if isinstance(base, int):
                offset = base
                continue
            place = self._packed(base)
            if place is None:
                return self._on_loose(base, deltas, limit)
            path, offset = place

    def _on_loose(self, base: bytes, deltas: list[bytes], limit: int) -> tuple[bytes, bytes]:
        path = self._loose(base)
        if path is None:
            raise _Moved
        with contextlib.ExitStack() as stack:
            found = self._from_loose(path, limit, stack)
            return found.kind, self._with_all(b"".join(found.pieces), deltas, limit)

    @staticmethod
    def _with_all(base: bytes, deltas: list[bytes], limit: int) -> bytes:
        """What deltas, the last one first, make of a base."""
        for delta in reversed(deltas):
            base = apply_delta(base, delta, limit=limit)
        return base

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            raise Damaged(f"{self._home.name} has an object of {size} bytes where {limit} are the most")

    # -- loose objects ------------------------------------------------------------------------------------

    def _loose(self, object_id: bytes) -> str | None:
        name = object_id.hex()
        paths = (os.path.join(directory, name[:2], name[2:]) for directory in self._home.objects)
        return next((path for path in paths if os.path.isfile(path)), None)

    def _from_loose(self, path: str, limit: int, stack: contextlib.ExitStack) -> Opened:
        fd = self._open(path, stack)
        try:
            head, _, _ = (
                zlib.decompressobj().decompress(self._disk.read_at(fd, _READ, 0), _LOOSE_HEADER).partition(b"\0")
            )
            kind, _, digits = head.partition(b" ")
            size = int(digits)
        except (zlib.error, ValueError) as exc:
            raise Damaged(f"{path} is no object") from exc
        if kind not in _NUMBERS or size < 0:
            raise Damaged(f"{path} is no object")
        self._check_size(size, limit)
        return Opened(kind, size, self._behind(fd, path, len(head) + 1, size))

    def _behind(self, fd: int, path: str, head: int, size: int) -> Generator[bytes]:
        for piece in self._inflated(fd, path, 0, head + size):
            yield piece[head:]
            head = max(0, head - len(piece))

    # -- writing ------------------------------------------------------------------------------------------

    def write(self, objects: Sequence[GitObject]) -> None:
        """Make a pack of objects, no id twice, durable and to be found on return."""
        with self._home.told(), contextlib.ExitStack() as undone:
            path, fd = self._home.temporary()
            undone.callback(self._disk.discard, path)
            try:
                name, records = self._write_pack(fd, objects)
                self._disk.fsync(fd)
            finally:
                self._disk.close(fd)
            index = self._home.write_temporary(_index_of(records, name))
            undone.callback(self._disk.discard, index)
            for one in (path, index):
                self._home.share(one, writable=False)
            target = os.path.join(self._home.objects[0], "pack", f"pack-{name.hex()}")
            self._disk.rename(path, target + ".pack")
            self._disk.rename(index, target + ".idx")
            undone.pop_all()
            self._disk.fsync_dir(os.path.dirname(target))

    def _write_pack(self, fd: int, objects: Sequence[GitObject]) -> tuple[bytes, list[tuple[bytes, int, int]]]:
        """Write a pack; its checksum and of each object id, CRC and offset."""
        head = struct.pack(">4sII", b"PACK", 2, len(objects))
        hashed, at, records = hashlib.sha1(head, usedforsecurity=False), len(head), []
        self._disk.write(fd, [head])
        for one in objects:
            start, crc = at, 0
            for piece in stored(one):
                hashed.update(piece)
                crc = zlib.crc32(piece, crc)
                at += len(piece)
                self._disk.write(fd, [piece])
            records.append((bytes.fromhex(one.id.decode()), crc, start))
        self._disk.write(fd, [hashed.digest()])
        return hashed.digest(), records


def _index_of(records: list[tuple[bytes, int, int]], name: bytes) -> bytes:
    """The index, version 2, of a pack."""
    records = sorted(records)
    counts = [0] * 256
    for object_id, _, _ in records:
        counts[object_id[0]] += 1
    for one in range(1, 256):
        counts[one] += counts[one - 1]
    large = [offset for _, _, offset in records if offset >= _LARGE]
    numbers = {offset: number for number, offset in enumerate(large)}
    body = b"".join(
        (
            _INDEX_MAGIC,
            struct.pack(">256I", *counts),
            *(object_id for object_id, _, _ in records),
            *(struct.pack(">I", crc) for _, crc, _ in records),
            *(struct.pack(">I", _LARGE | numbers[at] if at >= _LARGE else at) for _, _, at in records),
            *(struct.pack(">Q", offset) for offset in large),
            name,
        )
    )
    return body + hashlib.sha1(body, usedforsecurity=False).digest()
