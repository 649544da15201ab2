"""The way in: files are read, cut, hashed, looked up, compressed and appended to packs.

Theory.  The calling thread reads large segments into a few reused buffers and finds the cuts; worker threads
hash, look up and compress (all of which release the interpreter's lock); the calling thread takes their results in
order and appends new blocks to the pack with one system call a segment.  A full pack is sealed (read back,
checked, hashed, synced, renamed) by a thread of its own while the next is filled.  Small files travel many to a
work item: the worker opens, reads and hashes them and compresses the new ones together.

Memory is bounded by the buffers and the look-ahead, not by the data.  Nothing counts before :meth:`Ingest.seal`
has returned; what an aborted or killed ingest leaves is an unnamed temporary file or an unreferenced pack.

Rules: a buffer is given back only after the write that uses it; a file that changes while it is read is an error
(SourceError), never a mixture; errors of the source and of the store are kept apart.
"""

import contextlib
import functools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from artvc.errors import Damaged, NotFound, SourceError
from artvc.model import chunking, merkle
from artvc.model.ids import Id, Kind, id_of, raw_id
from artvc.model.merkle import ChunkList
from artvc.model.objects import Content, EntryKind
from artvc.store import codecs
from artvc.store.cuts import Cut, Cutter, Earlier
from artvc.store.fsio import Disk
from artvc.store.objects import Objects
from artvc.store.packs import DATA, MEMBERS, META, Block, Member, Pack, PackWriter, encode_block
from artvc.store.writers import Writer

SMALL: Final = chunking.WHOLE
SOLID: Final = 256 * 1024
SOLID_FILES: Final = 256
TINY: Final = 4 * 1024  # smaller chunks of a segment share a record
# Writes above 2 MiB ask the kernel for its largest pages, which now and then takes four times as long.
SEGMENT: Final = 3 * 512 * 1024
AHEAD: Final = 3

T = TypeVar("T")
Advance = Callable[[int], None]


class Source(NamedTuple, Generic[T]):
    """A file to take in.

    Attributes:
        path: absolute or relative to the working directory.
        size: as last seen; only decides the way it is read.
        key: handed back with the result.
        base: an earlier version of the file; its arrays may serve as bases of deltas.
    """

    path: str
    size: int
    key: T
    base: Content | None = None


class Taken(NamedTuple, Generic[T]):
    """A file that was taken in: its key, content, and its status while it was read."""

    key: T
    content: Content
    status: os.stat_result


@dataclass(slots=True)
class IngestTotals:
    """What an ingest did, in bytes of content and of packs."""

    files: int = 0
    read: int = 0
    new: int = 0
    stored: int = 0


class _Small(NamedTuple, Generic[T]):
    """What a worker made of a batch of small files."""

    taken: list[tuple[Source[T], bytes, os.stat_result]]
    block: Block | None


class _Segment(NamedTuple):
    """What a worker made of a segment: parts in order, and blocks for those that seem new."""

    parts: list[tuple[bytes, int]]
    blocks: list[Block]


class _Large(Generic[T]):
    """A large file under way: its chunk list grows as results come in."""

    def __init__(self, source: Source[T], chunks: ChunkList) -> None:
        self.source = source
        self.chunks = chunks
        self.status: os.stat_result | None = None


class _Job(NamedTuple, Generic[T]):
    """A result that is awaited, in order."""

    future: "Future[_Small[T]] | Future[_Segment]"
    large: _Large[T] | None
    buffer: bytearray | None
    last: bool


class Ingest:
    """One intake into a store, from the first "is it known?" to durable packs.

    Use as a context manager: leaving it without :meth:`seal` drops what was not sealed.

    Args:
        objects: the store.
        workers: threads that hash and compress.
        paranoid: look whether the stored copy is sound before relying on it; damaged ones are stored again.
        advance: called with bytes read, for progress.
    """

    def __init__(
        self,
        objects: Objects,
        *,
        workers: int = 2,
        paranoid: bool = False,
        advance: Advance | None = None,
    ) -> None:
        self._objects = objects
        self._disk: Disk = objects.disk
        self._sign = Writer(self._disk, objects.root)
        self._paranoid = paranoid
        self._advance = advance or (lambda _: None)
        self._pool = ThreadPoolExecutor(workers, "artvc-ingest")
        self._sealer = ThreadPoolExecutor(1, "artvc-seal")
        self._sealing: list[Future[Pack]] = []
        self._writers: dict[int, PackWriter] = {}
        self._session: set[bytes] = set()
        self._meta: list[tuple[Member, bytes]] = []
        self._meta_size = 0
        self._buffers: list[bytearray] = []
        self._done = False
        self.totals = IngestTotals()
        try:
            objects.look_for_condemned()  # after the sign is up: gc waits for whoever can't know what it condemned
            objects.refresh()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Ingest":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- files --------------------------------------------------------------------------------------------

    def add_files(self, sources: Iterable[Source[T]]) -> Iterator[Taken[T]]:
        """Take in files while the results are iterated over.

        Yields:
            one result a source, in no particular order.

        Raises:
            SourceError: a file can't be read, is no regular file, or changed meanwhile.
            StorageFull, StorageError: the repository's disk.
        """
        self._objects.look_for_condemned()
        waiting: deque[_Job[T]] = deque()
        batch: list[Source[T]] = []
        size = 0
        try:
            for source in sources:
                if source.size >= SMALL:
                    for job in self._read_large(source):
                        yield from self._submitted(job, waiting)
                    continue
                batch.append(source)
                size += source.size
                if size >= SOLID or len(batch) >= SOLID_FILES:
                    yield from self._submitted(self._small_job(batch), waiting)
                    batch, size = [], 0
            if batch:
                yield from self._submitted(self._small_job(batch), waiting)
            while waiting:
                yield from self._collect(waiting.popleft())
        finally:
            for job in waiting:
                job.future.cancel()

    def add_file(self, path: str, base: Callable[[int], Content | None] = lambda _: None) -> Taken[str]:
        """Take in one file.

        Args:
            path: as for :class:`Source`.
            base: gives an earlier version of the file, by its size.

        Raises:
            SourceError, StorageFull, StorageError: as :meth:`add_files`.
        """
        try:
            size = os.stat(path).st_size
        except OSError as exc:
            raise _source_error(exc, path) from exc
        (taken,) = self.add_files([Source(path, size, path, base(size))])
        return taken

    def add_bytes(self, data: bytes) -> Content:
        """Take in bytes as a file."""
        view = memoryview(data)
        cutter = Cutter(lambda offset, count: data[offset : offset + count], len(data))
        result = self._segment(view, cutter.cut(view, last=True))
        chunks = ChunkList(self.put)
        self._take_segment(result, chunks)
        self.totals.files += 1
        self.totals.read += len(data)
        if not data:
            return Content(EntryKind.CHUNK, Id(result.parts[0][0]), 0)
        return chunks.finish()

    def _small_job(self, batch: list[Source[T]]) -> "_Job[T]":
        return _Job(self._pool.submit(self._small, batch), None, None, True)

    def _submitted(self, job: "_Job[T]", waiting: "deque[_Job[T]]") -> Iterator[Taken[T]]:
        """Queue a job; the results of those that the look-ahead has no room for."""
        waiting.append(job)
        while len(waiting) > AHEAD:
            yield from self._collect(waiting.popleft())

    def _collect(self, job: "_Job[T]") -> Iterator[Taken[T]]:
        """Take the next result in order: append what is new, finish files."""
        result = job.future.result()
        if isinstance(result, _Small):
            if result.block is not None:
                self._append(DATA, [result.block])
            for source, raw, status in result.taken:
                self._count(status.st_size)
                yield Taken(source.key, Content(EntryKind.CHUNK, Id(raw), status.st_size), status)
        elif job.large is not None:
            self._take_segment(result, job.large.chunks)
            if job.buffer is not None:
                self._buffers.append(job.buffer)
            if job.last and job.large.status is not None:
                self.totals.files += 1
                yield Taken(job.large.source.key, job.large.chunks.finish(), job.large.status)

    def _count(self, size: int) -> None:
        self.totals.files += 1
        self.totals.read += size
        self._advance(size)

    def _take_segment(self, result: _Segment, chunks: ChunkList) -> None:
        # Two workers may have found the same chunk new; the first one stored is enough.
        session = self._session
        self._append(DATA, [one for one in result.blocks if not session.issuperset([m.id for m in one.members])])
        for raw, size in result.parts:
            if size:
                chunks.add(raw, size)

    # -- large files --------------------------------------------------------------------------------------

    def _read_large(self, source: Source[T]) -> "Iterator[_Job[T]]":
        """Read a file segment by segment; the bytes behind the last sure cut go before the next segment."""
        large = _Large(source, ChunkList(self.put))
        with _opened(source.path) as (fd, before):
            carry: bytes | memoryview = b""
            left = before.st_size
            last = False
            if left < SMALL:  # it was larger when it was listed; as a small file it is not cut
                raise SourceError(f"{source.path!r} shrank while it was read; nothing was recorded")
            look = functools.partial(_read_at, fd, source.path)
            cutter = Cutter(look, left, self._earlier(source.base))
            while not last:
                buffer = self._buffer()
                buffer[: len(carry)] = carry
                got = _read_into(fd, memoryview(buffer)[len(carry) :], source.path)
                left -= got
                self.totals.read += got
                self._advance(got)
                view = memoryview(buffer)[: len(carry) + got]
                last = left <= 0 or got == 0
                cuts = cutter.cut(view, last=last)
                carry = bytes(view[cuts[-1].end if cuts else 0 :])
                if last:
                    large.status = _unchanged(fd, before, source.path, total=before.st_size - left)
                future = self._pool.submit(self._segment, view, cuts)
                yield _Job(future, large, buffer, last)

    def _earlier(self, content: Content | None) -> Earlier | None:
        return Earlier(content, self._objects.get) if content is not None else None

    def _buffer(self) -> bytearray:
        """A buffer that no one uses; fresh ones are zeroed page by page, which costs more than a copy."""
        return self._buffers.pop() if self._buffers else bytearray(SEGMENT + chunking.MAX_SIZE)

    def _segment(self, view: memoryview, cuts: Sequence[Cut]) -> _Segment:
        """Hash the chunks of a segment and encode those that are not known (in a worker)."""
        parts: list[tuple[bytes, int]] = []
        blocks: list[Block] = []
        seen: set[bytes] = set()
        tiny: list[tuple[Member, memoryview]] = []
        ways: dict[tuple[int, bool], codecs.Way] = {}
        start = 0
        for cut in cuts:
            piece = view[start : cut.end]
            raw = cut.id or raw_id(Kind.CHUNK, piece)
            parts.append((raw, len(piece)))
            start = cut.end
            if raw in seen or self._known(raw):
                continue
            seen.add(raw)
            member = Member(Kind.CHUNK, raw, len(piece))
            if len(piece) < TINY:
                tiny.append((member, piece))
                continue
            base = self._objects.as_base(cut.base) if cut.base is not None else None
            if base is not None and len(base[1]) != len(piece):
                base = None
            sort = (cut.array, base is not None)
            if sort not in ways:
                # What lies between arrays, or is cut by its content, is judged by all of the segment.
                whole = view if cut.array < 0 else piece
                ways[sort] = codecs.choose(whole, cut.width, base[1] if base else None)
            blocks.append(encode_block([member], piece, way=ways[sort], base=base))
        for at in range(0, len(tiny), MEMBERS):
            members, pieces = zip(*tiny[at : at + MEMBERS], strict=True)
            joined = memoryview(b"".join(pieces))
            blocks.append(encode_block(members, joined, way=codecs.choose(joined, 1)))
        return _Segment(parts, blocks)

    # -- small files --------------------------------------------------------------------------------------

    def _small(self, batch: list[Source[T]]) -> _Small[T]:
        """Read small files and compress the new ones together (in a worker)."""
        taken: list[tuple[Source[T], bytes, os.stat_result]] = []
        members: list[Member] = []
        pieces: list[bytes] = []
        seen: set[bytes] = set()
        for source in batch:
            data, status = _read_small(source.path)
            raw = raw_id(Kind.CHUNK, data)
            taken.append((source, raw, status))
            if raw not in seen and not self._known(raw):
                seen.add(raw)
                members.append(Member(Kind.CHUNK, raw, len(data)))
                pieces.append(data)
        if not members:
            return _Small(taken, None)
        joined = memoryview(b"".join(pieces))
        return _Small(taken, encode_block(members, joined, way=codecs.choose(joined, 1)))

    # -- objects ------------------------------------------------------------------------------------------

    def _known(self, raw: bytes) -> bool:
        if raw in self._session:
            return True
        if not self._objects.lasting(raw):
            return False
        return not self._paranoid or self._objects.sound(raw)

    def has(self, content: Content) -> bool:
        """Whether a file's content is in the store already: its chunk, or its chunk list and all that it names."""
        if not self._known(content.id):
            return False
        if content.kind == EntryKind.CHUNK or content.id in self._session:
            return True
        # An older chunk list is no proof of its chunks: a pack may have been lost since.
        try:
            return all(self._known(piece.id) for piece in merkle.slices(content, self._objects.get))
        except (Damaged, NotFound):
            return False

    def relies_on(self, tree: Id) -> bool:
        """Whether a tree is in the store; nothing is said of what it names."""
        return self._known(tree)

    def put(self, kind: Kind, data: bytes) -> Id:
        """Store a metadata object; returns its id."""
        wanted = id_of(kind, data)
        if not self._known(wanted):
            self._session.add(wanted)
            self._meta.append((Member(kind, wanted, len(data)), data))
            self._meta_size += len(data)
            if self._meta_size >= SOLID or len(self._meta) >= MEMBERS:
                self._flush_meta()
        return wanted

    def _flush_meta(self) -> None:
        if self._meta:
            members = [member for member, _ in self._meta]
            self._append(META, [encode_block(members, b"".join(data for _, data in self._meta))])
        self._meta, self._meta_size = [], 0

    def _append(self, content: int, blocks: list[Block]) -> None:
        """Append blocks to the open pack of that content, sealing it when it is full."""
        plain = stored = 0
        if self._sealing and self._sealing[0].done():  # so that the ids of a full pack need not be kept any longer
            self._take_sealed(self._sealing.pop(0))
        for block in blocks:
            writer = self._writers.get(content)
            if writer is not None and not writer.fits(block):
                writer.flush()
                self._start_seal(content)
                writer = None
            if writer is None:
                writer = self._writers[content] = PackWriter(self._disk, self._objects.tmp, content)
            writer.append(block)
            stored += block.size
            for _, raw, size in block.members:
                self._session.add(raw)
                plain += size
        if blocks:
            self._writers[content].flush()
        self.totals.stored += stored
        if content == DATA:
            self.totals.new += plain

    def _start_seal(self, content: int) -> None:
        """Seal a pack in the background; one at a time, so that at most two packs wait for the disk."""
        while len(self._sealing) > 1 or (self._sealing and self._sealing[0].done()):
            self._take_sealed(self._sealing.pop(0))
        writer = self._writers.pop(content)
        self._sealing.append(self._sealer.submit(writer.seal, self._objects.packs))

    def _take_sealed(self, future: "Future[Pack]") -> None:
        pack = future.result()
        try:
            self._objects.index.add(pack)
            self._objects.relied.add(pack.name)
            self._objects.written.add(pack.name)
            self._session.difference_update(pack.ids())
        finally:
            pack.close()

    def seal(self) -> IngestTotals:
        """Make everything durable: packs synced and named, their directory synced.

        Raises:
            StorageFull, StorageError, Damaged: nothing of what was not yet sealed counts.
        """
        self._flush_meta()
        for content in list(self._writers):
            self._start_seal(content)
        while self._sealing:
            self._take_sealed(self._sealing.pop(0))
        # Also where nothing is new: what was relied on may be of a process that died before this.
        self._disk.fsync_dir(self._objects.packs)
        return self.totals

    def close(self) -> None:
        """Stop the threads and drop what was not sealed."""
        if self._done:
            return
        self._done = True
        self._pool.shutdown(cancel_futures=True)
        for writer in self._writers.values():
            with contextlib.suppress(Exception):
                writer.abort()
        self._writers.clear()
        for future in self._sealing:
            with contextlib.suppress(Exception):
                future.result().close()
        self._sealer.shutdown()
        self._buffers.clear()
        self._sign.close()


def content_of(path: str) -> tuple[Content, os.stat_result]:
    """What a file would be in the store, without storing it.

    Raises:
        SourceError: it can't be read, is no regular file, or changed meanwhile.
    """

    def name(kind: Kind, data: bytes) -> Id:
        return id_of(kind, data)

    chunks = ChunkList(name)
    with _opened(path) as (fd, before):
        if before.st_size < SMALL:
            buffer = bytearray(SMALL)
            got = _read_into(fd, memoryview(buffer), path)
            status = _unchanged(fd, before, path, total=got)
            return Content(EntryKind.CHUNK, id_of(Kind.CHUNK, memoryview(buffer)[:got]), got), status
        buffer = bytearray(SEGMENT + chunking.MAX_SIZE)
        cutter = Cutter(functools.partial(_read_at, fd, path), before.st_size)
        carried = total = 0
        last = False
        while not last:
            got = _read_into(fd, memoryview(buffer)[carried:], path)
            total += got
            view = memoryview(buffer)[: carried + got]
            last = total >= before.st_size or got == 0
            start = 0
            for cut in cutter.cut(view, last=last):
                chunks.add(raw_id(Kind.CHUNK, view[start : cut.end]), cut.end - start)
                start = cut.end
            carried = len(view) - start
            buffer[:carried] = bytes(view[start:])
        status = _unchanged(fd, before, path, total=total)
    return chunks.finish(), status


def _source_error(exc: OSError, path: str) -> SourceError:
    return SourceError(f"cannot read {path!r}: {exc.strerror or exc}")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A source file, open for reading, and its status; a fifo or device is refused before it can block."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise _source_error(exc, path) from exc
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"cannot read {path!r}: not a regular file")
        yield fd, status
    finally:
        os.close(fd)


def _read_into(fd: int, view: memoryview, path: str) -> int:
    """Fill a buffer from the file's position; returns the bytes read, fewer only at the end."""
    total = 0
    try:
        while total < len(view):
            got = os.readv(fd, [view[total:]])
            if not got:
                break
            total += got
    except OSError as exc:
        raise _source_error(exc, path) from exc
    return total


def _read_at(fd: int, path: str, offset: int, count: int) -> bytes:
    """Bytes of the file from an offset on, fewer only at its end."""
    found = bytearray()
    try:
        while len(found) < count:
            piece = os.pread(fd, count - len(found), offset + len(found))
            if not piece:
                break
            found += piece
    except OSError as exc:
        raise _source_error(exc, path) from exc
    return bytes(found)


def _unchanged(fd: int, before: os.stat_result, path: str, *, total: int) -> os.stat_result:
    """The status of a file after it was read, which must be that from before."""
    after = os.fstat(fd)
    same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    if not same or total != after.st_size:
        raise SourceError(
            f"{path!r} changed while it was read; nothing was recorded", hint="try again when it is complete"
        )
    return after


def _read_small(path: str) -> tuple[bytes, os.stat_result]:
    """A small file's bytes and its status."""
    with _opened(path) as (fd, before):
        try:
            data = os.read(fd, SMALL)
        except OSError as exc:
            raise _source_error(exc, path) from exc
        status = _unchanged(fd, before, path, total=len(data))
        if status.st_size >= SMALL:  # it was smaller when it was listed; as a large file it is cut otherwise
            raise SourceError(f"{path!r} grew while it was read; nothing was recorded")
        return data, status
