"""A run's history: one row for each step, appended as a line of JSON.

Rows collect until their step is complete; complete rows are buffered and written at the next call that comes a
second after the last write, and at the end.  So a killed process loses at most the last second and the open row.
"""

import json
import os
import time
from typing import Final

from artvc.errors import StorageError, StorageFull
from artvc.model.objects import Json
from artvc.repo import Repository
from artvc.sdk import environment, values

FLUSH_SECONDS: Final = 1.0
FLUSH_ROWS: Final = 2000
_TAIL: Final = 1024 * 1024
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class History:
    """The rows of one run.

    Args:
        repo: the repository.
        directory: the run's own, below ``.artvc/runs``; it exists.
        started: when the run began, seconds since 1970.
    """

    def __init__(self, repo: Repository, directory: str, *, started: float) -> None:
        self.path = os.path.join(directory, "history.jsonl")
        self.step = 0
        self._disk = repo.disk
        self._started = started
        self._fd: int | None = None
        self._row: dict[str, Json] = {}
        self._lines: list[str] = []
        self._flushed = time.monotonic()

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
            row: JSON, NaN and infinities as floats.
            commit: the row is complete; the next one has the next step.
        """
        self._row.update(row)
        if commit:
            self._close_row()
            self.step += 1
        if time.monotonic() - self._flushed > FLUSH_SECONDS or len(self._lines) > FLUSH_ROWS:
            self.flush()

    def _close_row(self) -> None:
        row = self._row
        if not row:
            return
        now = time.time()
        row["_step"] = self.step
        row["_timestamp"] = round(now, 3)
        row["_runtime"] = round(now - self._started, 3)
        try:
            self._lines.append(_encode(row))
        except ValueError:  # NaN, infinities
            self._lines.append(_encode(values.to_json(row, non_finite="text")))
        self._row = {}

    def flush(self) -> None:
        """Hand complete rows to the operating system.

        A full disk costs rows, not the training: they stay in memory and are tried again.
        """
        self._flushed = time.monotonic()
        if not self._lines:
            return
        try:
            if self._fd is None:
                self._fd = self._disk.open_append(self.path)
            data = "\n".join(self._lines) + "\n"
            self._disk.write(self._fd, [data.encode("utf-8", "backslashreplace")])
        except (StorageError, StorageFull) as exc:
            environment.warn(f"history not written yet: {exc}")
            return
        self._lines.clear()

    def complete(self) -> None:
        """Write everything, the open row too."""
        self._close_row()
        self.flush()

    def close(self) -> None:
        """Write everything and close the file."""
        self.complete()
        if self._fd is not None:
            self._disk.close(self._fd)
            self._fd = None

    def forget(self) -> None:
        """Drop what is buffered without writing it: in a forked child it belongs to the parent."""
        self._lines, self._row, self._fd = [], {}, None

    def resume(self) -> None:
        """Go on behind the rows that are in the file."""
        try:
            fd = self._disk.open_read(self.path)
        except FileNotFoundError:
            return
        try:
            size = self._disk.size(fd)
            tail = self._disk.read_at(fd, min(size, _TAIL), max(0, size - _TAIL))
        finally:
            os.close(fd)
        if tail and not tail.endswith(b"\n"):  # the writer was killed inside a line
            fd = self._disk.open_append(self.path)
            self._disk.write(fd, [b"\n"])
            self._disk.close(fd)
        for line in reversed(tail.splitlines()):
            step = _step_of(line)
            if step is not None:
                self.step = step + 1
                return


def _step_of(line: bytes) -> int | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    step = row.get("_step") if isinstance(row, dict) else None
    return step if isinstance(step, int) else None
