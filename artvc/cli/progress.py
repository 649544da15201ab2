"""Progress on stderr: bytes, rate, time left.  Nothing where stderr is no terminal or quiet was asked for."""

import sys
import time
from types import TracebackType
from typing import Final, Self

from artvc.cli.render import size

_EVERY: Final = 0.1
_DELAY: Final = 0.5  # work that is done sooner needs no progress


class Progress:
    """A line that shows how far some work is.

    Args:
        what: a word for the work.
        total: bytes in all, None where not known.
        shown: whether to show anything.
    """

    def __init__(self, what: str, *, total: int | None = None, shown: bool = True) -> None:
        self._what = what
        self._total = total
        self._shown = shown and sys.stderr.isatty()
        self._done = 0
        self._began = time.monotonic()
        self._next = self._began + _DELAY
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def advance(self, count: int) -> None:
        """Note that so many more bytes are done."""
        self._done += count
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _EVERY
            self._draw(now - self._began)

    def _draw(self, seconds: float) -> None:
        rate = self._done / seconds
        text = f"{self._what}: {size(self._done)}"
        if self._total:
            left = max(0, self._total - self._done) / rate if rate else 0
            text += f" of {size(self._total)} ({min(100, 100 * self._done // self._total)} %), {left:.0f} s left"
        sys.stderr.write(f"\r\x1b[K{text}, {size(int(rate))}/s")
        sys.stderr.flush()
        self._drawn = True
