"""What a power cut may leave, from a log of operations (the model B2: no root, no real disk).

The model is harsher than journaling file systems are.  Of a file only what was synced is sure: the rest may be
missing, cut short, zeros or garbage.  Of a directory only the names from its last sync are sure: of the creations,
renames, links and removals since then any subset may have happened; a rename is two of them.  Any cut between two
operations is looked at, with every combination where few changes are pending and a random sample where many are.
"""

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.faulty_disk import Killed, RecordingDisk, Step
from tests.faults.world import noise

EXHAUSTIVE_CHANGES = 12
# Temporary files, caches and notes: never synced, so their changes pile up; a random choice of each is taken.
QUIET = {"tmp", "cache", "checkouts"}
VARIANTS = ("all", "synced", "half", "zeros", "noise")


@dataclass(eq=False)
class File:
    """A file: what is sure to be there and what was written."""

    synced: bytes = b""
    data: bytes = b""
    reserved: int = 0  # its size where that is beyond what was written

    def whole(self) -> bytes:
        return self.data.ljust(self.reserved, b"\0")

    def variant(self, name: str) -> bytes:
        fresh = self.whole()[len(self.synced) :]
        return {
            "all": self.whole(),
            "synced": self.synced,
            "half": self.synced + fresh[: len(fresh) // 2],
            "zeros": self.synced + bytes(len(fresh)),
            "noise": self.synced + noise("garbage", len(fresh)),
        }[name]


@dataclass(eq=False)
class Directory:
    """A directory: names sure to be there, and changes since its last sync (None removes a name)."""

    sure: dict[str, "File | Directory"] = field(default_factory=dict)
    now: dict[str, "File | Directory"] = field(default_factory=dict)
    pending: list[tuple[str, "File | Directory | None"]] = field(default_factory=list)

    def change(self, name: str, node: "File | Directory | None") -> None:
        self.pending.append((name, node))
        if node is None:
            self.now.pop(name, None)
        else:
            self.now[name] = node

    def after(self, chosen: Sequence[bool]) -> dict[str, "File | Directory"]:
        """The names if only the chosen changes happened."""
        found = dict(self.sure)
        for (name, node), happened in zip(self.pending, chosen, strict=True):
            if happened and node is None:
                found.pop(name, None)
            elif happened and node is not None:
                found[name] = node
        return found


class Model:
    """A file system that knows what is sure; fed with the steps of a log."""

    def __init__(self) -> None:
        self.root = Directory()
        self._files: dict[int, File] = {}

    def _directory(self, path: str) -> Directory:
        here = self.root
        for part in path.split("/"):
            if part not in ("", "."):
                below = here.now[part]
                assert isinstance(below, Directory)
                here = below
        return here

    def _place(self, path: str) -> tuple[Directory, str]:
        parent, _, name = path.rpartition("/")
        return self._directory(parent), name

    def feed(self, step: Step) -> None:
        """One operation."""
        if step.name == "open_new":
            parent, name = self._place(step.paths[0])
            assert step.file is not None
            self._files[step.file] = File()
            parent.change(name, self._files[step.file])
        elif step.name == "write":
            self._files[step.file or 0].data += step.data
        elif step.name == "fsync":
            file = self._files[step.file or 0]
            file.synced = file.whole()
        elif step.name == "reserve":
            self._files[step.file or 0].reserved = step.size
        elif step.name == "truncate":
            file = self._files[step.file or 0]
            assert step.size == len(file.data), "only what was reserved and not used is cut off"
            file.reserved = 0
        elif step.name in ("rename", "link"):
            (old_parent, old), (parent, name) = map(self._place, step.paths)
            parent.change(name, old_parent.now[old])
            if step.name == "rename":
                old_parent.change(old, None)
        elif step.name in ("unlink", "rmdir"):
            parent, name = self._place(step.paths[0])
            parent.change(name, None)
        elif step.name == "mkdir":
            parent, name = self._place(step.paths[0])
            parent.change(name, Directory())
        elif step.name == "fsync_dir":
            directory = self._directory(step.paths[0])
            directory.sure, directory.pending = dict(directory.now), []
        else:
            assert step.name == "close", f"the model does not know {step.name}"

    def states(self, budget: int, rng: random.Random) -> Iterator[dict[str, bytes | None]]:
        """What the disk may hold after a cut now: path to bytes, None for a directory."""
        directories = list(self._reachable())
        shuffled = [one for path, one in directories if not QUIET.intersection(path.split("/"))]
        changes = sum(len(one.pending) for one in shuffled)
        if changes <= EXHAUSTIVE_CHANGES and 2**changes <= budget:
            combinations: Iterator[tuple[bool, ...]] = itertools.product((False, True), repeat=changes)
        else:
            combinations = iter(
                [(False,) * changes, (True,) * changes]
                + [tuple(rng.random() < 0.5 for _ in range(changes)) for _ in range(budget - 2)]
            )
        for bits in combinations:
            left = list(bits)
            chosen = {}
            for _, one in directories:
                count = len(one.pending)
                if one in shuffled:
                    chosen[one], left = left[:count], left[count:]
                else:
                    chosen[one] = [rng.random() < 0.5 for _ in range(count)]
            yield from self._contents(chosen, rng)

    def _reachable(self) -> Iterator[tuple[str, Directory]]:
        """All directories that any subset of changes can bring to light."""
        todo = [("", self.root)]
        seen = set()
        while todo:
            path, one = todo.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            yield path, one
            nodes = [*one.sure.items(), *((name, node) for name, node in one.pending if node is not None)]
            todo += [(f"{path}/{name}", node) for name, node in nodes if isinstance(node, Directory)]

    def _contents(
        self, chosen: dict[Directory, Sequence[bool]], rng: random.Random
    ) -> Iterator[dict[str, bytes | None]]:
        """One namespace with each way in which its un-synced files may look."""
        found: dict[str, File | None] = {}

        def visit(path: str, one: Directory) -> None:
            for name, node in one.after(chosen[one]).items():
                if isinstance(node, Directory):
                    found[f"{path}{name}"] = None
                    visit(f"{path}{name}/", node)
                else:
                    found[f"{path}{name}"] = node

        visit("", self.root)
        open_files = [path for path, file in found.items() if file is not None and file.synced != file.data]
        read = [path for path in open_files if not QUIET.intersection(path.split("/"))]
        for variant in VARIANTS if read else VARIANTS[:1]:
            way = {path: rng.choice(VARIANTS) for path in open_files} | dict.fromkeys(read, variant)
            yield {path: None if file is None else file.variant(way.get(path, "all")) for path, file in found.items()}


def build(state: dict[str, bytes | None], root: Path) -> None:
    """Put a state on the real disk."""
    root.mkdir(parents=True, exist_ok=True)
    for path, data in state.items():
        if data is None:
            os.makedirs(root / path, exist_ok=True)
        else:
            (root / path).write_bytes(data)


def signature(state: dict[str, bytes | None]) -> frozenset[tuple[str, bytes | None]]:
    """What makes two states equal for a reader: all but temporary files."""
    return frozenset((path, data) for path, data in state.items() if "/tmp/" not in path)


class TraceDisk(RecordingDisk):
    """A recording disk whose process may be killed before an operation; another one then goes on."""

    def __init__(self, root: str, kill_before: int | None = None) -> None:
        super().__init__(root)
        self.kill_before = kill_before
        self.dead = False

    def perform(self, name: str, action: Callable[..., object], args: tuple[object, ...]) -> object:
        with self.mutex:
            if self.kill_before is not None and self.count == self.kill_before:
                self.kill_before, self.dead = None, True
            if self.dead:
                raise Killed
            return super().perform(name, action, args)

    def revive(self) -> None:
        """The next process begins."""
        self.bury()
        self.dead = False
