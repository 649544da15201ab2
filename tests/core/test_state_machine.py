"""A repository against a dict: whatever order of commits, aliases, checkouts and reopenings, both say the same."""

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from artvc import maintenance, recording, worktree
from artvc.errors import Conflict, NotFound
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.settings import Settings

NAMES = st.sampled_from(["data", "model"])
ALIASES = st.sampled_from(["best", "good"])
FILES = st.dictionaries(
    st.sampled_from(["a", "b", "dir/c", "dir/d", "dir/deep/e"]),
    st.one_of(st.binary(max_size=20), st.integers(0, 3).map(lambda seed: bytes([seed]) * 70_000)),
    max_size=4,
)


class RepositoryMachine(RuleBasedStateMachine):
    """The model: for each artifact the contents of its versions, and where its aliases point."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="artvc-machine-"))
        self.settings = Settings(sync=False, author_name="a", author_email="a@b", workers=1)
        self.ticks = itertools.count()
        self.versions: dict[str, list[dict[str, bytes]]] = {"data": [], "model": []}
        self.aliases: dict[str, dict[str, int]] = {"data": {}, "model": {}}
        self.places: dict[str, dict[str, bytes]] = {}

    def now(self) -> str:
        return f"2026-11-23T03:00:00.{next(self.ticks):06}Z"

    @initialize()
    def create(self) -> None:
        self.repo, _ = Repository.create(self.root, settings=self.settings)

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            self.repo.close()
        shutil.rmtree(self.root)

    def _lay(self, place: str, files: dict[str, bytes]) -> Path:
        directory = self.root / place
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for name, data in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return directory

    @rule(name=NAMES, files=FILES, alias=st.none() | ALIASES)
    def commit(self, name: str, files: dict[str, bytes], alias: str | None) -> None:
        directory = self._lay(f"source-{name}", files)
        request = CommitRequest(
            paths=(directory,), name=name, type=f"type-{name}", aliases=(alias,) if alias else ()
        )
        logged = recording.commit_paths(self.repo, request, now=self.now).logged
        known = self.versions[name]
        assert logged.created == (files not in known)
        if logged.created:
            known.append(files)
        number = known.index(files)
        assert logged.version.number == number
        self.aliases[name]["latest"] = number
        if alias:
            self.aliases[name][alias] = number

    @precondition(lambda self: self.versions["data"])
    @rule(alias=ALIASES, pick=st.integers(0))
    def move_alias(self, alias: str, pick: int) -> None:
        number = pick % len(self.versions["data"])
        version = self.repo.resolve(f"data:v{number}").version
        assert recording.set_alias(self.repo, version, alias, now=self.now()) == self.aliases["data"].get(alias)
        self.aliases["data"][alias] = number

    @rule(name=NAMES, alias=ALIASES)
    def remove_alias(self, name: str, alias: str) -> None:
        try:
            recording.remove_alias(self.repo, "uncategorized", name, alias, now=self.now())
        except NotFound:
            assert alias not in self.aliases[name]
        else:
            del self.aliases[name][alias]

    @precondition(lambda self: self.versions["data"])
    @rule(pick=st.integers(0), place=st.sampled_from(["one", "two"]), edit=st.booleans())
    def checkout(self, pick: int, place: str, edit: bool) -> None:
        number = pick % len(self.versions["data"])
        wanted = self.versions["data"][number]
        version = self.repo.resolve(f"data:v{number}").version
        directory = self.root / place
        if edit and place in self.places and "a" in self.places[place]:
            (directory / "a").write_bytes(b"an edit of the user's")
            if wanted.get("a") != b"an edit of the user's":
                try:
                    worktree.checkout(self.repo, version, directory)
                except Conflict:
                    assert (directory / "a").read_bytes() == b"an edit of the user's"
                else:
                    raise AssertionError("an edit was overwritten")
            worktree.checkout(self.repo, version, directory, force=True)
        else:
            worktree.checkout(self.repo, version, directory)
        self.places[place] = wanted
        found = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
        assert found == wanted

    @rule()
    def reopen(self) -> None:
        self.repo.close()
        self.repo = Repository.open(self.root, self.settings)

    @invariant()
    def names_agree(self) -> None:
        if not hasattr(self, "repo"):
            return
        for name, contents in self.versions.items():
            assert len(self.repo.versions("uncategorized", name)) == len(contents)
            assert self.repo.aliases("uncategorized", name) == self.aliases[name]

    @precondition(lambda self: next(self.ticks) % 7 == 0)
    @rule()
    def contents_agree(self) -> None:
        for name, contents in self.versions.items():
            for number, wanted in enumerate(contents):
                version = self.repo.version("uncategorized", name, number)
                found = {path: b"".join(self.repo.read(entry)) for path, entry in self.repo.walk(version)}
                assert found == wanted
        assert maintenance.fsck(self.repo).clean


TestRepository = RepositoryMachine.TestCase
TestRepository.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
