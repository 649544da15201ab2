"""Lists that are made when they are looked at: what :class:`artvc.Api` returns for "all runs" or "all versions"."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

T = TypeVar("T")


class Listing(Sequence[T], Generic[T]):
    """A list whose members are found at the first look and built one by one, each once.

    ``len()``, indexing, slicing (a plain list), iteration and ``next()`` work.  What is listed is what was there at
    the first look.

    Args:
        find: what is listed, as functions that build the members.
        what: the members are, for ``repr``.
    """

    def __init__(self, find: Callable[[], Sequence[Callable[[], T]]], what: str) -> None:
        self._find = find
        self._what = what
        self._makers: Sequence[Callable[[], T]] | None = None
        self._made: dict[int, T] = {}
        self._cursor = 0

    def _all(self) -> Sequence[Callable[[], T]]:
        if self._makers is None:
            self._makers = self._find()
        return self._makers

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self._all()))[index]
        return self._make(places) if isinstance(places, int) else [self._make(place) for place in places]

    def _make(self, place: int) -> T:
        if place not in self._made:
            self._made[place] = self._all()[place]()
        return self._made[place]

    def __iter__(self) -> Iterator[T]:
        return (self._make(place) for place in range(len(self._all())))

    def __next__(self) -> T:
        if self._cursor >= len(self):
            raise StopIteration
        self._cursor += 1
        return self._make(self._cursor - 1)

    def __repr__(self) -> str:
        return f"<{self._what}: {len(self)}>"
