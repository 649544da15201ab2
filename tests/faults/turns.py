"""Two actors that take turns at every operation of the disk, by a plan: systematic interleavings.

Reading counts as an operation here, too: what one actor has just listed may be gone when it looks.  Locks do nothing, so
that the other one is never kept waiting: what holds here holds where flock lies.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from artvc.store import fsio
from artvc.store.fsio import Disk

POINTS = (*fsio.OPERATIONS, "open_read", "listdir")
_WAIT = 60.0


class Turns:
    """Whose turn it is.

    Args:
        plan: actor and how many operations it may do before the next one's turn.  At the end of the plan, and where the
            one whose turn it is has finished, the others go on.
        actors: their names.
    """

    def __init__(self, plan: Sequence[tuple[str, int]], actors: Sequence[str]) -> None:
        self._plan = list(plan)
        self._left = list(actors)
        self._changed = threading.Condition()
        self.counts = dict.fromkeys(actors, 0)

    def _now(self) -> str:
        while self._plan and (self._plan[0][1] <= 0 or self._plan[0][0] not in self._left):
            self._plan.pop(0)
        return self._plan[0][0] if self._plan else self._left[0]

    def take(self, actor: str) -> None:
        """Wait until an actor may do an operation."""
        with self._changed:
            while True:
                before = self._now()
                if before == actor:
                    break
                self._changed.notify_all()
                assert self._changed.wait(_WAIT), f"{actor} waits for ever for {before}"
            if self._plan:
                self._plan[0] = (actor, self._plan[0][1] - 1)
            self.counts[actor] += 1

    def finish(self, actor: str) -> None:
        """An actor does no more."""
        with self._changed:
            self._left.remove(actor)
            self._changed.notify_all()


class TurnsDisk(Disk):
    """A disk whose operations wait for their turn."""

    def __init__(self, turns: Turns, actor: str) -> None:
        super().__init__(sync=False)
        self._turns = turns
        self._actor = actor

    @contextlib.contextmanager
    def lock(self, path: str, *, exclusive: bool) -> Iterator[bool]:
        yield False


def _point(name: str) -> Callable[..., Any]:
    action = getattr(Disk, name)

    def method(self: TurnsDisk, *args: Any) -> Any:
        self._turns.take(self._actor)
        return action(self, *args)

    return method


for _name in POINTS:
    setattr(TurnsDisk, _name, _point(_name))


def together(plan: Sequence[tuple[str, int]], acts: dict[str, Callable[[Disk], Any]]) -> tuple[dict[str, Any], Turns]:
    """Let actors act at once.

    Args:
        plan: as for :class:`Turns`.
        acts: what each does with its disk.

    Returns:
        what each returned or raised, and the turns that they took.
    """
    turns = Turns(plan, list(acts))
    results: dict[str, Any] = {}

    def run(actor: str) -> None:
        try:
            results[actor] = acts[actor](TurnsDisk(turns, actor))
        except BaseException as exc:  # noqa: BLE001 -- looked at by the test
            results[actor] = exc
        finally:
            turns.finish(actor)

    threads = [threading.Thread(target=run, args=(actor,)) for actor in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * _WAIT)
        assert not thread.is_alive()
    return results, turns
