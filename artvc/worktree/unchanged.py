"""Which directories are as they were when the stat cache was written: asked first, for all of them at once.

Asking the system about a hundred thousand files takes Python twice as long as C, nearly all of it with the
interpreter's lock held.  So where forking is safe (the command line says so), several processes share the work: each
takes the next piece from a pipe that has their numbers.  A process that dies only makes its pieces count as changed.
"""

import functools
import os
import signal
import struct
import threading
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from artvc.errors import SourceError
from artvc.store.statcache import Known, StatCache
from artvc.worktree.walking import IGNORE_FILE, digest_of, listed

_PIECE: Final = 512  # files and directories or so that are asked about at a time
_PARTS: Final = 16384  # of a larger directory
_WORTH: Final = 4096  # files that are worth a process
_NUMBER = struct.Struct("<I")
_ANSWER = struct.Struct("<IH")  # number of a piece, verdicts that follow
_SAME: Final = b"="
_CHANGED: Final = b"!"
_MOST: Final = 8192  # pieces whose numbers go into a pipe before somebody reads them


class Part(NamedTuple):
    """Files of a directory, by their numbers; the first part of it has the listing too."""

    directory: str
    start: int
    stop: int


class Unchanged:
    """What is as the stat cache says.

    Helpers begin to ask at once; what they found is waited for when it is wanted.

    Args:
        cache: of a directory.
        root: that directory.
        below: path of the part of it that is asked about, "" is all.
        processes: that may be at work; more than one forks.
    """

    def __init__(self, cache: StatCache, root: str, below: str = "", *, processes: int = 1) -> None:
        self._root = root
        self._below = below
        self._known: dict[str, Known] = {}
        for path in cache.directories:
            if path == below or not below or path.startswith(below + "/"):
                found = cache.known(path)
                if found is not None:
                    self._known[path] = found
        self._pieces = list(self._cut())
        self._helpers: list[_Helper] = []
        files = sum(part.stop - part.start for piece in self._pieces for part in piece)
        processes = min(processes, files // _WORTH, len(self._pieces))
        if processes > 1 and len(self._pieces) <= _MOST and hasattr(os, "fork") and threading.active_count() == 1:
            self._start(processes)

    @functools.cached_property
    def same(self) -> set[str]:
        """Paths of the directories whose listing and files are unchanged."""
        changed = self._asked() if self._helpers else self._ask()
        same = {path for path, one in self._known.items() if one.listing and path not in changed}
        # Where rules may have changed, directories below may have other files, though nothing in them changed.
        ruled: set[str] = set()
        for path, known in self._known.items():
            above = path.rpartition("/")[0]
            if path != self._below and (above in ruled or above not in self._known):
                ruled.add(path)
                same.discard(path)
            elif path not in same and (IGNORE_FILE in known.names or self._exists(path, IGNORE_FILE)):
                ruled.add(path)
        return same

    @functools.cached_property
    def whole(self) -> set[str]:
        """Those of them below which everything is unchanged, too."""
        whole: set[str] = set()
        for path in reversed(self._known):  # what is below comes first
            prefix = f"{path}/" if path else ""
            if path in self.same and all(prefix + name in whole for name in self._known[path].below):
                whole.add(path)
        return whole

    def _exists(self, path: str, name: str) -> bool:
        return os.path.lexists(os.path.join(self._root, path, name))

    # -- asking -------------------------------------------------------------------------------------------

    def _cut(self) -> Iterator[list[Part]]:
        """All that has to be asked about, in pieces."""
        piece: list[Part] = []
        size = 0
        for path, known in self._known.items():
            if not known.listing:
                continue
            for start in range(0, known.count or 1, _PARTS):
                stop = min(start + _PARTS, known.count)
                piece.append(Part(path, start, stop))
                size += 1 + stop - start
                if size >= _PIECE:
                    yield piece
                    piece, size = [], 0
        if piece:
            yield piece

    def _ask(self) -> set[str]:
        """The directories in which something is not as it was."""
        return {part.directory for piece in self._pieces for part in piece if not self._is_same(part, moves=False)}

    def _is_same(self, part: Part, *, moves: bool) -> bool:
        """Whether the files of a part are as they were.

        Args:
            part: of a directory.
            moves: the working directory may change: then the system need not find each file's directory anew.
        """
        known = self._known[part.directory]
        disk = os.path.join(self._root, part.directory) if part.directory else self._root
        try:
            status = os.lstat(disk) if part.directory else os.stat(disk)
            if not known.has_status(status) and not part.start and digest_of(listed(disk)) != known.listing:
                return False
            prefix = os.path.join(disk, "")
            if moves:
                os.chdir(disk)
                prefix = ""
            names = known.names[part.start : part.stop]
            return known.has_statuses(part.start, list(map(os.lstat, [prefix + name for name in names])))
        except (OSError, SourceError):
            return False

    # -- together -----------------------------------------------------------------------------------------

    def _start(self, processes: int) -> None:
        """Fork helpers, which begin at once."""
        numbers, ahead = os.pipe()
        try:
            os.write(ahead, b"".join(map(_NUMBER.pack, range(len(self._pieces)))))
            os.close(ahead)
            for _ in range(processes):
                answers, behind = os.pipe()
                child = os.fork()
                if not child:
                    self._help(numbers, behind)
                os.close(behind)
                self._helpers.append(_Helper(child, answers))
        finally:
            os.close(numbers)

    def _help(self, numbers: int, behind: int) -> NoReturn:
        """Work in a forked process, which must not do anything else, not even fail loudly."""
        try:
            while number := os.read(numbers, _NUMBER.size):
                (at,) = _NUMBER.unpack(number)
                verdict = b"".join([_SAME if self._is_same(one, moves=True) else _CHANGED for one in self._pieces[at]])
                answer = memoryview(_ANSWER.pack(at, len(verdict)) + verdict)
                while answer:
                    answer = answer[os.write(behind, answer) :]
        finally:
            os._exit(0)

    def _asked(self) -> set[str]:
        """What the helpers found, as :meth:`_ask`."""
        results: dict[int, bytes] = {}
        for helper in self._helpers:
            results.update(_read_answers(helper.answers))
        self.close()
        changed: set[str] = set()
        for number, piece in enumerate(self._pieces):
            verdict = results.get(number, b"")  # nothing where a helper died
            changed.update(part.directory for at, part in enumerate(piece) if verdict[at : at + 1] != _SAME)
        return changed

    def close(self) -> None:
        """End the helpers, finished or not."""
        while self._helpers:
            child, answers = self._helpers.pop()
            os.close(answers)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class _Helper(NamedTuple):
    """A forked process, and where it answers."""

    process: int
    answers: int


def _read_answers(answers: int) -> Iterator[tuple[int, bytes]]:
    """What a helper found, as far as it came."""
    data = bytearray()
    while piece := os.read(answers, 1 << 16):
        data += piece
    at = 0
    while at + _ANSWER.size <= len(data):
        number, size = _ANSWER.unpack_from(data, at)
        at += _ANSWER.size + size
        if at <= len(data):
            yield number, bytes(data[at - size : at])
