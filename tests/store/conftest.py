"""A bare store in a temporary directory."""

import sys
from pathlib import Path

import pytest

from artvc.store.fsio import Disk
from artvc.store.ingest import Ingest
from artvc.store.objects import Objects
from artvc.store.refs import RefLog

sys.path.insert(0, str(Path(__file__).parents[2]))


class Store:
    """The directories of a repository and what reads them."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.disk = disk or Disk(sync=False)
        for name in ("packs", "refs", "cache", "locks", "tmp"):
            (root / name).mkdir(exist_ok=True)
        self.objects = Objects(self.disk, str(root))

    def ingest(self, **options: object) -> Ingest:
        return Ingest(self.objects, **options)  # type: ignore[arg-type]

    def log(self) -> RefLog:
        return RefLog(self.disk, str(self.root))

    def reopen(self) -> "Store":
        self.objects.close()
        return Store(self.root)

    def packs(self) -> list[Path]:
        return sorted((self.root / "packs").glob("*.pack"))


@pytest.fixture
def store(tmp_path: Path):
    root = tmp_path / "store"
    root.mkdir()
    made = Store(root)
    yield made
    made.objects.close()
