"""A run's history: one row for each step, appended as a line of JSON.

Rows collect until their step is complete; complete rows are buffered, and whoever owns the history flushes it at the
latest a second later.  A file that could not be written is cut back to its last whole row, and the rows are written
again later: none is torn, repeated or lost while the process lives.

NaN and infinities stand in the file as the texts ``NaN``, ``Infinity``, ``-Infinity``, for JSON has no words for
them; :func:`parse` makes numbers of them again.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from artvc.errors import StorageError, StorageFull
from artvc.model.objects import Json, JsonObject
from artvc.repo import Repository
from artvc.sdk import environment, values

NAME: Final = "history.jsonl"
FLUSH_SECONDS: Final = 0.8
FLUSH_ROWS: Final = 2000
_BLOCK: Final = 1024 * 1024
_LINE: Final = 64 * 1024 * 1024
_SAMPLES: Final = 256
_SAMPLE_BYTES: Final = 16 * 1024
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class History:
    """The rows of one run, appended to a file by this process alone.

    Args:
        repo: the repository.
        directory: the run's own, below ``.artvc/runs``; it exists.
        started: when the run began, seconds since 1970.
    """

    def __init__(self, repo: Repository, directory: str, *, started: float) -> None:
        self.path = os.path.join(directory, NAME)
        self.step = 0
        self._disk = repo.disk
        self._started = started
        self._fd: int | None = None
        self._size = 0
        self._torn = False
        self._row: dict[str, Json] = {}
        self._last: JsonObject = {}
        self._lines: list[str] = []
        self._due = time.monotonic() + FLUSH_SECONDS
        self._failures = 0

    @property
    def waiting(self) -> bool:
        """Whether complete rows are not in the file yet."""
        return bool(self._lines)

    @property
    def open_row(self) -> JsonObject:
        """The row of the present step, which may still grow; {} where there is none."""
        return self._timed(dict(self._row)) if self._row else {}

    @property
    def times(self) -> JsonObject:
        """``_step``, ``_timestamp`` and ``_runtime`` of the row that is open or else the last one; {} for none."""
        row = self.open_row or self._last
        return {key: row[key] for key in ("_step", "_timestamp", "_runtime") if key in row}

    def choose_step(self, step: int | None) -> bool:
        """Make a step the open one; False where it lies behind, and what was to be logged must be dropped."""
        if step is None or step == self.step:
            return True
        if step < self.step:
            environment.warn(f"step {step} lies behind step {self.step}: this log() call is dropped (steps only grow)")
            return False
        self._close_row()
        self.step = step
        return True

    def add(self, row: dict[str, Json], *, commit: bool) -> None:
        """Merge values into the open row.

        Args:
            row: JSON, NaN and infinities as floats; it may be kept and changed.
            commit: the row is complete; the next one has the next step.
        """
        if self._row:
            self._row.update(row)
        else:
            self._row = row
        if commit:
            self._close_row()
            self.step += 1
        if time.monotonic() >= self._due or (len(self._lines) >= FLUSH_ROWS and not self._failures):
            self.flush()

    def _timed(self, row: dict[str, Json]) -> dict[str, Json]:
        now = time.time()
        row["_step"] = self.step
        row["_timestamp"] = round(now, 3)
        row["_runtime"] = round(now - self._started, 3)
        return row

    def _close_row(self) -> None:
        if not self._row:
            return
        row = self._timed(self._row)
        self._row = {}
        self._last = row
        self._lines.append(line_of(row))

    def flush(self) -> bool:
        """Hand complete rows to the operating system; returns whether it took them.

        A full disk costs no rows and does not stop the training: they stay in memory and are tried again.
        """
        self._due = time.monotonic() + FLUSH_SECONDS
        if not self._lines:
            return True
        data = ("\n".join(self._lines) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._fd is None:
                self._fd = self._disk.open_append(self.path)
                self._size = self._disk.size(self._fd)
            if self._torn:
                self._disk.truncate(self._fd, self._size)
            self._torn = True  # until all of it is there, also if Ctrl-C comes in between
            self._disk.write(self._fd, [data])
        except (StorageError, StorageFull, OSError) as exc:
            self._failed(exc)
            return False
        self._size += len(data)
        self._lines.clear()
        self._torn = False
        if self._failures:
            environment.say("the history could be written again; no row was lost")
            self._failures = 0
        return True

    def _failed(self, error: Exception) -> None:
        """Cut what was written of the rows, should the process die before the next attempt."""
        self._failures += 1
        if self._failures == 1:
            environment.warn(f"history not written yet, its rows are kept in memory: {error}")
        if self._fd is not None and self._torn:
            try:
                self._disk.truncate(self._fd, self._size)
            except (StorageError, StorageFull):
                return  # the next attempt does it first
            self._torn = False

    def complete(self) -> None:
        """Write everything, the open row too.

        Raises:
            StorageFull: rows could not be written; they are kept.
        """
        self._close_row()
        if not self.flush():
            raise StorageFull(f"{len(self._lines)} rows of the history could not be written to {self.path}")

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            self._disk.close(self._fd)
            self._fd = None

    def forget(self) -> None:
        """Drop what is buffered without writing it: in a forked child it belongs to the parent."""
        self._lines, self._row, self._fd = [], {}, None

    def resume(self, open_row: JsonObject | None = None) -> None:
        """Go on behind the rows that are in the file.

        Args:
            open_row: of the process before, as its last note has it; None or {} where there is none.
        """
        self.step = mend(self._disk, self.path, open_row)


def line_of(row: dict[str, Json]) -> str:
    """A row as it stands in the file, without the end of the line."""
    try:
        return _encode(row)
    except ValueError:  # NaN, infinities
        return _encode(values.to_json(row, non_finite="text"))


def mend(disk: Any, path: str, open_row: JsonObject | None = None) -> int:
    """Make a file whose writer was killed end with a whole row, and add the row that was open.

    Args:
        disk: of the repository.
        path: of the file; it need not exist.
        open_row: what the writer noted of the open row; it is dropped if the file has its step already.

    Returns:
        the step behind the last row; 0 where there is none.
    """
    if not os.path.exists(path) and not open_row:
        return 0
    fd = disk.open_append(path)
    try:
        reading = disk.open_read(path)
        try:
            size = disk.size(reading)
            end = _line_start(disk, reading, size)
            step = _last_step(disk, reading, end)
        finally:
            disk.close(reading)
        if end < size:  # the writer was killed inside a line
            disk.truncate(fd, end)
        opened = open_row.get("_step") if open_row else None
        if open_row and isinstance(opened, int) and opened > step:
            disk.write(fd, [(line_of(open_row) + "\n").encode("utf-8", "backslashreplace")])
            step = opened
    finally:
        disk.close(fd)
    return step + 1


def _line_start(disk: Any, fd: int, end: int) -> int:
    """Where the line begins that ``end`` lies in or at the start of: behind the last line break before ``end``."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        found = disk.read_at(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0


def _last_step(disk: Any, fd: int, end: int) -> int:
    """The step of the last row before ``end``, which follows a line break; -1 where there is none."""
    while end > 0:
        begin = _line_start(disk, fd, end - 1)
        if end - begin <= _LINE:
            row = parse(disk.read_at(fd, end - begin, begin))
            step = row.get("_step") if row else None
            if isinstance(step, int):
                return step
        end = begin
    return -1


def parse(line: bytes) -> JsonObject | None:
    """A row from its line, with NaN and infinities as numbers; None for what is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return {key: values.restored(value) for key, value in row.items()} if isinstance(row, dict) else None


def rows(pieces: Iterable[bytes]) -> Iterator[JsonObject]:
    """The rows of a history file that comes in pieces; lines that are no rows are left out.

    Args:
        pieces: the bytes of the file, cut anywhere.
    """
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (row for row in map(parse, whole) if row is not None)
    last = parse(rest) if rest else None
    if last is not None:
        yield last


def sample(disk: Any, path: str) -> list[JsonObject]:
    """Rows of a history file that are enough to draw it (see :func:`sample_of`); [] where there is no file."""
    try:
        fd = disk.open_read(path)
    except FileNotFoundError:
        return []
    try:
        return sample_of(lambda size, offset: disk.read_at(fd, size, offset), disk.size(fd))
    finally:
        disk.close(fd)


def sample_of(read_at: Callable[[int, int], bytes], size: int) -> list[JsonObject]:
    """Rows of a history that are enough to draw it: all of a short one, some all over a long one.

    Args:
        read_at: gives up to so many bytes from an offset.
        size: of the file, bytes.
    """
    if size <= _SAMPLES * _SAMPLE_BYTES:
        return list(rows([read_at(size, 0)]))
    found: list[JsonObject] = []
    for number in range(_SAMPLES):
        begin = (size - _SAMPLE_BYTES) * number // (_SAMPLES - 1)
        lines = read_at(_SAMPLE_BYTES, begin).split(b"\n")[1:-1]
        found += [row for row in map(parse, lines) if row is not None]
    return found
