"""Where the chunks of one file end, found segment by segment, with the help of an earlier version of the file.

A file of arrays is cut at their borders; each piece is told which chunk lay in its place before, so that it may be
stored as a difference.  Everything else is cut by its content.  There an earlier version spares most of the search:
where the bytes up to the next cut of that version hash to the same chunk, the search would end at the same place, for
where a chunk ends depends on its own bytes alone.  Hashing is twice as fast, and the hash is needed anyway.

The earlier version is a hint.  Whatever is wrong with it, the cuts are those that a file without one gets.
"""

import bisect
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from artvc.errors import Damaged, NotFound
from artvc.model import chunking, merkle
from artvc.model.chunking import Region
from artvc.model.ids import Id, Kind, raw_id
from artvc.model.merkle import Get, Slice
from artvc.model.objects import Content
from artvc.store import containers

_NEAR: Final = 128 * 1024 * 1024  # how far content may have moved to be found again, bytes
_LOOK: Final = 2 * chunking.MAX_SIZE  # searched at a time where the earlier version is of no help
_STRANGE: Final = 256  # chunks in a row that the earlier version has not, until it is thought to be of no help
_TRIES: Final = 2  # chunks at the start of a segment that are compared nevertheless


class Cut(NamedTuple):
    """A chunk in a buffer.

    Attributes:
        end: offset in the buffer of the byte behind it.
        width: bytes of a number in it; 1 where it is no array's.
        array: number of its array, -1 where it is none's.
        base: the chunk that has its place in an earlier version.
        id: its own, if that was needed to find it.
    """

    end: int
    width: int = 1
    array: int = -1
    base: Id | None = None
    id: bytes | None = None


class Earlier:
    """An earlier version of a file.

    Args:
        content: of the file.
        get: reads objects.

    Methods raise NotFound and Damaged where the file's chunk list, or a chunk of its header, can't be read.
    """

    def __init__(self, content: Content, get: Get) -> None:
        self._content = content
        self._get = get

    @property
    def size(self) -> int:
        """Bytes."""
        return self._content.size

    def arrays(self) -> list[Region]:
        """The arrays in it; [] if it was cut by its content."""
        return containers.regions(self._read, self.size) if self.size >= chunking.WHOLE else []

    def chunks(self) -> Iterator[Slice]:
        """Its chunks, in order."""
        return merkle.slices(self._content, self._get)

    def _read(self, offset: int, size: int) -> bytes:
        stop = min(offset + size, self.size)
        found = []
        for one in merkle.slices(self._content, self._get, start=offset, stop=stop):
            piece = self._get(Kind.CHUNK, one.id)
            found.append(piece[max(0, offset - one.offset) : stop - one.offset])
        return b"".join(found)


class Cutter:
    """Finds the chunks of one file, segment by segment, from its first byte on.

    Args:
        read: gives bytes of the file from an offset on, for a look at its header.
        size: of the file, bytes.
        earlier: an earlier version of it.
    """

    def __init__(self, read: containers.Read, size: int, earlier: Earlier | None = None) -> None:
        self._size = size
        self._arrays: _Arrays | None = None
        self._trail: _Trail | None = None
        arrays = containers.regions(read, size) if size >= chunking.WHOLE else []
        try:
            if arrays:
                self._arrays = _Arrays(arrays, size, earlier)
            elif earlier is not None and not earlier.arrays():
                self._trail = _Trail(earlier)
        except (Damaged, NotFound):  # then there is nothing to compare with; fsck will say what is wrong
            if arrays:
                self._arrays = _Arrays(arrays, size, None)

    def cut(self, view: memoryview, *, last: bool) -> list[Cut]:
        """The sure cuts of the next segment.

        Args:
            view: the segment; it begins where the last sure cut was.
            last: the file ends with it.
        """
        if self._arrays is not None:
            return self._arrays.cut(len(view))
        if last and len(view) == self._size:
            return [Cut(end) for end in chunking.cut_whole(view)]
        if self._trail is not None:
            return self._trail.cut(view, last=last)
        return [Cut(end) for end in chunking.cut(view, final=last)]


class _Arrays:
    """The cuts of a file of arrays.

    Args:
        arrays: in order of their place.
        size: of the file, bytes.
        earlier: an earlier version.
    """

    def __init__(self, arrays: Sequence[Region], size: int, earlier: Earlier | None) -> None:
        self._pieces = chunking.cut_arrays(arrays, size)
        self._next: chunking.Piece | None = None
        self._start = 0  # of the next segment in the file
        self._chunks: list[Slice] = list(earlier.chunks()) if earlier is not None else []
        self._places = _places_before(arrays, earlier.arrays()) if earlier is not None else []

    def cut(self, size: int) -> list[Cut]:
        """The cuts of the next segment, of ``size`` bytes from the last cut on."""
        found: list[Cut] = []
        stop = self._start + size
        before = self._start
        while True:
            piece = self._next or next(self._pieces, None)
            self._next = piece
            if piece is None or piece.end > stop:
                break
            self._next = None
            found.append(Cut(piece.end - self._start, piece.width, piece.array, self._base(piece, before)))
            before = piece.end
        self._start = before
        return found

    def _base(self, piece: chunking.Piece, start: int) -> Id | None:
        """The chunk that lay in the piece's place."""
        if not self._places or piece.width == 1:
            return None
        array = self._places[piece.array]
        if array is None:
            return None
        at = bisect.bisect_left(self._chunks, array + piece.offset, key=lambda one: one.offset)
        one = self._chunks[at] if at < len(self._chunks) else None
        fits = one is not None and (one.offset, one.size) == (array + piece.offset, piece.end - start)
        return one.id if one is not None and fits else None


def _places_before(arrays: Sequence[Region], earlier: Sequence[Region]) -> list[int | None]:
    """Where each array began before: that of the same name, else the next one of the same size and width."""
    named = {(one.name, one.size, one.width): one.start for one in earlier}
    alike: dict[tuple[int, int], list[int]] = {}
    for one in earlier:
        alike.setdefault((one.size, one.width), []).append(one.start)
    found: list[int | None] = []
    passed: dict[tuple[int, int], int] = {}
    for one in arrays:
        same = alike.get((one.size, one.width), [])
        number = passed.get((one.size, one.width), 0)
        passed[one.size, one.width] = number + 1
        other = same[number] if number < len(same) else None
        found.append(named.get((one.name, one.size, one.width), other))
    return found


class _Trail:
    """The cuts of a file that an earlier version is followed for.

    Only the chunks of that version near the present place are held, so that memory does not grow with the file.

    Args:
        earlier: the earlier version, which was cut by its content.

    Raises:
        NotFound, Damaged: as :class:`Earlier`.
    """

    def __init__(self, earlier: Earlier) -> None:
        self._size = earlier.size
        self._rest = earlier.chunks()
        self._near: deque[Slice] = deque()
        self._numbers: dict[bytes, int] = {}  # of the chunks that are held, by id
        self._first = 0  # the number of the first one that is held
        self._at = 0  # of the next segment in the file
        self._expected: int | None = 0
        self._strange = 0
        self._approach(0)

    def cut(self, view: memoryview, *, last: bool) -> list[Cut]:
        """As :meth:`Cutter.cut`."""
        found: list[Cut] = []
        done = 0
        tries = _STRANGE if self._strange < _STRANGE else _TRIES
        try:
            self._approach(self._at + len(view))
        except (Damaged, NotFound):
            self._rest = iter(())
        while done < len(view):
            cut = self._follow(view, done, last=last)
            if cut is not None:
                found.append(cut)
                done = cut.end
                continue
            if self._expected is not None:  # it would end behind the segment
                break
            stop = min(len(view), done + _LOOK) if tries > 0 else len(view)
            ends = chunking.cut(view[done:stop], final=last and stop == len(view))
            if not ends:
                break
            start = done
            for end in ends:
                if tries <= 0:
                    found.append(Cut(start + end))
                    done = start + end
                    continue
                raw = raw_id(Kind.CHUNK, view[done : start + end])
                found.append(Cut(start + end, id=raw))
                done = start + end
                number = self._numbers.get(raw)
                if number is not None:
                    self._expected, self._strange, tries = number + 1, 0, _STRANGE
                    break
                self._strange += 1
                tries -= 1
        self._at += done
        return found

    def _follow(self, view: memoryview, start: int, *, last: bool) -> Cut | None:
        """The next chunk if it is the one that is expected; otherwise nothing is expected any more.

        None and still something expected: its end lies behind the segment.
        """
        if self._expected is None:
            return None
        at = self._expected - self._first
        if not 0 <= at < len(self._near):
            self._expected = None
            return None
        one = self._near[at]
        end = start + one.size
        # The last chunk ended because the file did: it says something only where this one does, too.
        is_last = one.offset + one.size == self._size
        if end > len(view) and not last and not is_last:
            return None
        if end <= len(view) and (not is_last or (last and end == len(view))):
            raw = raw_id(Kind.CHUNK, view[start:end])
            if raw == one.id:
                self._expected += 1
                self._strange = 0
                return Cut(end, id=raw)
        self._expected = None
        return None

    def _approach(self, place: int) -> None:
        """Hold the chunks around a place in the file."""
        while not self._near or self._near[-1].offset < place + _NEAR:
            one = next(self._rest, None)
            if one is None:
                break
            self._numbers[one.id] = self._first + len(self._near)
            self._near.append(one)
        while self._near and self._near[0].offset + self._near[0].size < place - _NEAR:
            one = self._near.popleft()
            if self._numbers.get(one.id) == self._first:
                del self._numbers[one.id]
            self._first += 1
