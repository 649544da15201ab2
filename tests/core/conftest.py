"""A repository in a temporary directory, a clock that ticks, and short words for what most tests do."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artvc import recording, worktree
from artvc.recording import CommitRequest, CommitResult
from artvc.repo import Repository, Version
from artvc.settings import Settings


class Desk:
    """A repository, the directory around it and a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(sync=False, author_name="Ada", author_email="ada@example.com")
        self.repo, _ = Repository.create(root, settings=self.settings)
        self._ticks = itertools.count()

    def now(self) -> str:
        return f"2026-11-23T03:00:00.{next(self._ticks):06}Z"

    def write(self, files: dict[str, bytes | str]) -> None:
        for name, data in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    def commit(
        self, *paths: str, name: str | None = "data", kind: str | None = "dataset", **more: object
    ) -> CommitResult:
        request = CommitRequest(paths=tuple(self.root / path for path in paths), name=name, type=kind, **more)  # type: ignore[arg-type]
        return recording.commit_paths(self.repo, request, now=self.now)

    def checkout(self, reference: str, dest: str, **more: object) -> worktree.CheckoutResult:
        return worktree.checkout(self.repo, self.version(reference), self.root / dest, **more)  # type: ignore[arg-type]

    def version(self, reference: str) -> Version:
        return self.repo.resolve(reference).version

    def files(self, directory: str) -> dict[str, bytes]:
        base = self.root / directory
        return {str(p.relative_to(base)): p.read_bytes() for p in sorted(base.rglob("*")) if p.is_file()}

    def reopen(self) -> None:
        self.repo.close()
        self.repo = Repository.open(self.root, self.settings)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path)
    yield made
    made.repo.close()


MakeDesk = Callable[[], Desk]
