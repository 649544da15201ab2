"""Progress on stderr: bytes, rate, time left.  Nothing where stderr is no terminal or quiet was asked for."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self

from artvc.cli.render import progress_text, shortened
from artvc.errors import ArtvcError

_EVERY: Final = 0.1
_DELAY: Final = 0.5  # work that is done sooner needs no progress


class Totals(Protocol):
    """What rises while files are taken in: the bytes that were not known before."""

    new: int


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns - 1
    except (OSError, ValueError):
        return 79


class Progress:
    """A line that shows how far some work is.

    Args:
        what: a word for the work.
        total: bytes in all, None where not known.
        sizes: instead of ``total``: the sizes of all files.  They are added up beside the work, in a thread of their
            own and only if the work takes long enough to be shown; until then the line shows no time left.
        shown: whether to show anything.
    """

    def __init__(
        self,
        what: str,
        *,
        total: int | None = None,
        sizes: Callable[[], Iterator[int]] | None = None,
        shown: bool = True,
    ) -> None:
        self._what = what
        self._total = total
        self._sizes = sizes
        self._shown = shown and sys.stderr.isatty()
        self._totals: Totals | None = None
        self._done = 0
        self._began = time.monotonic()
        self._next = self._began + _DELAY
        self._drawn = False
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def watch(self, totals: Totals) -> None:
        """Show from now on how much of what was read is new; the rest is stored already."""
        self._totals = totals

    def expect(self, count: int) -> None:
        """Note that so many more bytes will have to be done."""
        self._total = (self._total or 0) + count

    def advance(self, count: int) -> None:
        """Note that so many more bytes are done."""
        self._done += count
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _EVERY
            self._draw(now - self._began)

    def _draw(self, seconds: float) -> None:
        if not self._drawn and self._sizes is not None:
            threading.Thread(target=self._add_up, args=(self._sizes,), daemon=True).start()
        self._drawn = True
        new = self._totals.new if self._totals is not None else None
        line = progress_text(self._what, self._done, self._total, seconds, new=new)
        sys.stderr.write("\r" + shortened(line, _columns()) + "\x1b[K")
        sys.stderr.flush()

    def _add_up(self, sizes: Callable[[], Iterator[int]]) -> None:
        total = 0
        with contextlib.suppress(ArtvcError, OSError):  # the work itself meets the same trouble and reports it
            for one in sizes():
                total += one
                if self._over:
                    return
            self._total = total
