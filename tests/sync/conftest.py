"""Clones of one repository around a remote: a directory or a bucket."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from artvc import maintenance, recording, worktree
from artvc.model.ids import Id
from artvc.recording import CommitRequest
from artvc.remotes import address
from artvc.remotes.base import Known, Remote
from artvc.repo import Repository, Version
from artvc.settings import Settings
from artvc.store.fsio import Disk
from artvc.sync import sharing
from artvc.sync.pushing import Pushed
from artvc.sync.sharing import Pulled, Work
from artvc.sync.tracking import Tracking
from tests.remotes.bucket_server import BucketServer, serving

SETTINGS = Settings(sync=False, workers=2, author_name="Ada", author_email="ada@example.com")
Files = dict[str, bytes]
_ticks = itertools.count()


def now() -> str:
    """A clock that ticks."""
    return f"2026-11-23T03:00:00.{next(_ticks) % 1_000_000:06}Z"


class Clone:
    """A repository, and short words for what tests do with it.

    Args:
        root: its directory.
        environ: of the commands.
        repo: opened; None: made.
    """

    def __init__(self, root: Path, environ: dict[str, str], repo: Repository | None = None) -> None:
        self.root = root
        self.work = Work(environ=environ, now=now)
        root.mkdir(exist_ok=True)
        self.repo = repo or Repository.create(root, settings=SETTINGS, disk=Disk(sync=False))[0]
        sharing.attach(self.repo, self.work)
        self._sources = itertools.count()

    def add(self, url: object, name: str = "origin") -> "Clone":
        sharing.add_remote(self.repo, name, str(url), self.work, base=self.root)
        sharing.attach(self.repo, self.work)
        return self

    def reopen(self) -> None:
        self.repo.close()
        self.repo = Repository.open(self.root, SETTINGS, Disk(sync=False))
        sharing.attach(self.repo, self.work)

    def commit(self, files: Files | str, name: str = "data", *, aliases: Sequence[str] = (), **more: Any) -> Version:
        """Commit files; a text stands for one file with it."""
        source = self.root.parent / f"{self.root.name}-source{next(self._sources)}"
        for path, data in ({"file": files.encode()} if isinstance(files, str) else files).items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(data)
        request = CommitRequest(paths=(source,), name=name, type="dataset", aliases=tuple(aliases), **more)
        return recording.commit_paths(self.repo, request, now=now).logged.version

    def push(self, remote: str = "origin", **more: Any) -> Pushed:
        return sharing.push_to(self.repo, remote, self.work, **{"settled": {}, **more})

    def pull(self, remote: str = "origin", **more: Any) -> Pulled:
        return sharing.pull_from(self.repo, remote, self.work, **{"settled": {}, **more})

    def version(self, reference: str) -> Version:
        return self.repo.resolve(reference).version

    def files(self, reference: str) -> Files:
        return {path: b"".join(self.repo.read(entry)) for path, entry in self.repo.walk(self.version(reference))}

    def text(self, reference: str) -> str:
        return self.files(reference)["file"].decode()

    def texts(self, name: str = "data") -> dict[str, str]:
        """Label to the text of each version."""
        found = self.repo.versions(self.repo.default_project, name)
        return {f"v{one.number}": self.text(one.label) for one in found}

    def aliases(self, name: str = "data") -> dict[str, int]:
        return self.repo.aliases(self.repo.default_project, name)

    def checkout(self, reference: str, dest: Path) -> Files:
        worktree.checkout(self.repo, self.version(reference), dest)
        return {str(path.relative_to(dest)): path.read_bytes() for path in dest.rglob("*") if path.is_file()}

    def problems(self) -> list:
        return maintenance.fsck(self.repo, absent=sharing.on_a_remote(self.repo)).problems

    def chunks(self) -> set[Id]:
        """The chunks of all versions."""
        found = set()
        for collection in self.repo.collections():
            for version in self.repo.versions(collection.project, collection.name):
                for _, entry in self.repo.walk(version):
                    found |= {piece.id for piece in self.slices(entry)}
        return found

    def slices(self, entry: Any) -> Iterator[Any]:
        from artvc.model import merkle

        return merkle.slices(self.repo.content(entry), self.repo.objects.get)

    def absent(self) -> int:
        self.repo.objects.refresh()
        return sum(self.repo.objects.find(chunk) is None for chunk in self.chunks())

    def state(self, *, notes: bool = True) -> dict[str, object]:
        """All that a refused or a dry act must leave as it is."""
        files = [path for path in (self.root / ".artvc").rglob("*") if path.is_file()]
        shown = [path for path in files if not {"tmp", "cache", "locks"} & set(path.parts)]
        if not notes:
            shown = [path for path in shown if "remotes" not in path.parts]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in shown} | {
            "left in tmp": sorted(path.name for path in (self.root / ".artvc" / "tmp").iterdir())
        }

    def tracking(self, remote: str = "origin") -> Tracking:
        return Tracking(self.repo, remote)


class Counting:
    """A remote that counts what is read from it; everything else is passed on."""

    def __init__(self, remote: Remote, counts: dict[str, int]) -> None:
        self._remote = remote
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remote, name)

    def history(self, known: Known) -> Iterator[Any]:
        for piece in self._remote.history(known):
            yield piece._replace(data=self._counted("history", piece.data))

    @contextmanager
    def download(self, pack: Id, **part: Any) -> Iterator[Iterator[bytes]]:
        with self._remote.download(pack, **part) as pieces:
            yield self._counted("data", pieces)

    def upload(self, pack: Any) -> None:
        self._counts["sent"] = self._counts.get("sent", 0) + pack.size
        self._remote.upload(pack)

    def _counted(self, what: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._counts[what] = self._counts.get(what, 0) + len(piece)
            yield piece


class Team:
    """Clones around one place.

    Attributes:
        url: of the place.
        environ: for whoever speaks with it.
        bucket: its server, None where it is a directory.
    """

    def __init__(self, root: Path, url: str, environ: dict[str, str], bucket: BucketServer | None) -> None:
        self.root = root
        self.url = url
        self.environ = environ
        self.bucket = bucket
        self._stack = ExitStack()

    def new(self, name: str) -> Clone:
        """A fresh repository that has the place as its remote."""
        return self._kept(Clone(self.root / name, self.environ).add(self.url))

    def clone(self, name: str, **more: Any) -> Clone:
        work = Work(environ=self.environ, now=now)
        repo, _ = sharing.clone(self.url, self.root / name, work, base=self.root, settings=SETTINGS, **more)
        return self._kept(Clone(self.root / name, self.environ, repo))

    def _kept(self, clone: Clone) -> Clone:
        self._stack.callback(lambda: clone.repo.close())
        return clone

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["directory", "bucket"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    if request.param == "directory":
        (tmp_path / "hub").mkdir()
        made = Team(tmp_path, str(tmp_path / "hub"), {}, None)
        yield made
        made.close()
        return
    pytest.importorskip("obstore")
    with serving() as server:
        made = Team(tmp_path, f"s3://{server.bucket}/team", server.environment(), server)
        yield made
        made.close()


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes that are read from remotes: ``history`` and ``data``; and ``sent``."""
    found: dict[str, int] = {}
    really = address.open_remote
    monkeypatch.setattr(address, "open_remote", lambda *args: Counting(really(*args), found))
    return found
