"""A repository against a dict, through random commits, aliases, checkouts, kills and reopenings (G2).

``HYPOTHESIS_PROFILE=nightly`` or ``ARTVC_STATE_MACHINE=EXAMPLESxSTEPS`` run longer.
"""

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from artvc import maintenance, recording, worktree
from artvc.errors import Conflict, InvalidInput, NotFound
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.settings import Settings
from artvc.store import index, refs
from tests.faults.faulty_disk import Cut, DyingDisk, Killed
from tests.faults.world import noise

SETTINGS = Settings(sync=False, author_name="Ada", author_email="ada@example.com")
PROJECT = "uncategorized"
NAMES = st.sampled_from(["data", "model"])
ALIASES = st.sampled_from(["best", "good", "prod"])
CONTENTS = {
    "empty": b"",
    "one byte": b"x",
    "small": b"y" * 1000,
    "zeros": bytes(70_000),
    "large": noise("large", 150_000),
}
FILES = st.dictionaries(
    st.sampled_from(["a", "b", "sub/c", "sub/deep/d", "e"]),
    st.sampled_from(sorted(CONTENTS)).map(lambda key: CONTENTS[key]),
    min_size=1,
    max_size=4,
)


class RepositoryMachine(RuleBasedStateMachine):
    """The truth: per name a list of distinct contents (the versions) and a dict of aliases."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(refs, "_CHECKPOINT_EVERY", 3)
        self.patch.setattr(index, "_LOOSE_PACKS", 2)
        self.base = Path(
            tempfile.mkdtemp(prefix="artvc-machine-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        )
        self.root = self.base / "repo"
        self.root.mkdir()
        self.repo, _ = Repository.create(self.root, settings=SETTINGS)
        self.versions: dict[str, list[dict[str, bytes]]] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.runs = 0
        self.count = 0
        self.ticks = 0

    def now(self) -> str:
        self.ticks += 1
        return f"2026-11-23T03:00:00.{self.ticks:06}Z"

    def teardown(self) -> None:
        self.patch.undo()
        assert maintenance.fsck(self.repo).clean
        self.repo.close()
        shutil.rmtree(self.base)

    def source(self, files: dict[str, bytes]) -> Path:
        self.count += 1
        place = self.base / f"source{self.count}"
        for name, data in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        return place

    def committed(self, name: str, files: dict[str, bytes], aliases: tuple[str, ...]) -> int:
        """What a commit does to the truth."""
        known = self.versions.setdefault(name, [])
        if files not in known:
            known.append(files)
        number = known.index(files)
        self.aliases.setdefault(name, {}).update({alias: number for alias in ("latest", *aliases)})
        self.runs += 1
        return number

    @rule(name=NAMES, files=FILES, aliases=st.lists(ALIASES, max_size=2, unique=True))
    def commit(self, name: str, files: dict[str, bytes], aliases: list[str]) -> None:
        known = files in self.versions.get(name, [])
        request = CommitRequest(paths=(self.source(files),), name=name, type=name, aliases=tuple(aliases))
        logged = recording.commit_paths(self.repo, request, now=self.now).logged
        assert logged.created != known
        assert logged.version.number == self.committed(name, files, tuple(aliases))

    @rule(name=NAMES, files=FILES, at=st.integers(0, 40), part=st.sampled_from(["before", "half", "after"]))
    def killed_commit(self, name: str, files: dict[str, bytes], at: int, part: str) -> None:
        """A second process dies in a commit: all of it is there or nothing."""
        disk = DyingDisk(Cut(at, part))
        source = self.source(files)
        before = len(self.repo.runs())
        try:
            with Repository.open(self.root, SETTINGS, disk) as other:
                recording.commit_paths(other, CommitRequest(paths=(source,), name=name, type=name), now=self.now)
        except Killed:
            pass
        disk.bury()
        if len(self.repo.runs()) > before:
            self.committed(name, files, ())

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, alias=ALIASES, number=st.integers(0, 9))
    def alias(self, name: str, alias: str, number: int) -> None:
        try:
            version = self.repo.version(PROJECT, name, number)
        except NotFound:
            assert number >= len(self.versions.get(name, []))
            return
        before = recording.set_alias(self.repo, version, alias, now=self.now())
        assert before == self.aliases[name].get(alias)
        self.aliases[name][alias] = number

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, alias=ALIASES)
    def remove_alias(self, name: str, alias: str) -> None:
        if alias in self.aliases.get(name, {}):
            recording.remove_alias(self.repo, PROJECT, name, alias, now=self.now())
            del self.aliases[name][alias]
        else:
            with pytest.raises(NotFound):
                recording.remove_alias(self.repo, PROJECT, name, alias, now=self.now())

    @precondition(lambda self: self.versions)
    @rule(name=NAMES, data=st.data(), place=st.sampled_from(["one", "two"]), spoil=st.booleans())
    def checkout(self, name: str, data: st.DataObject, place: str, spoil: bool) -> None:
        versions = self.versions.get(name, [])
        if not versions:
            return
        number = data.draw(st.integers(0, len(versions) - 1))
        dest = self.base / place
        if spoil and (dest / "a").is_file() and (dest / "a").read_bytes() != versions[number].get("a"):
            (dest / "a").write_bytes(b"my own work")
            if "a" in versions[number]:
                with pytest.raises(Conflict):
                    worktree.checkout(self.repo, self.repo.version(PROJECT, name, number), dest)
                assert (dest / "a").read_bytes() == b"my own work"
        worktree.checkout(self.repo, self.repo.version(PROJECT, name, number), dest, force=True, exact=True)
        found = {str(p.relative_to(dest)): p.read_bytes() for p in dest.rglob("*") if p.is_file()}
        assert found == versions[number]
        (status,) = worktree.status(self.repo, paths=[dest])
        assert status.clean
        (dest / "e").write_bytes(b"changed")
        (status,) = worktree.status(self.repo, paths=[dest])
        assert status.modified + status.added == ("e",)

    @rule(name=NAMES)
    def refused(self, name: str) -> None:
        """What must fail changes nothing."""
        source = self.source({"a": b"never"})
        if name in self.versions:
            with pytest.raises(Conflict):
                recording.commit_paths(
                    self.repo, CommitRequest(paths=(source,), name=name, type="another"), now=self.now
                )
        with pytest.raises(InvalidInput):
            recording.commit_paths(
                self.repo, CommitRequest(paths=(source,), name=name, type=name, aliases=("v3",)), now=self.now
            )

    @rule(lose=st.booleans())
    def reopen(self, lose: bool) -> None:
        self.repo.close()
        if lose:
            shutil.rmtree(self.root / ".artvc" / "cache", ignore_errors=True)
            for path in (self.root / ".artvc" / "refs").glob("*.checkpoint"):
                path.unlink()
        self.repo = Repository.open(self.root, SETTINGS)

    @invariant()
    def names_are_as_the_truth_says(self) -> None:
        for name, contents in self.versions.items():
            versions = self.repo.versions(PROJECT, name)
            assert [version.number for version in versions] == list(range(len(contents)))
            assert self.repo.aliases(PROJECT, name) == self.aliases[name]
        assert {one.name for one in self.repo.collections()} == self.versions.keys()
        assert len(self.repo.runs()) == self.runs

    @invariant()
    def the_newest_version_is_byte_exact(self) -> None:
        for name, contents in self.versions.items():
            version = self.repo.version(PROJECT, name, len(contents) - 1)
            assert {p: b"".join(self.repo.read(e)) for p, e in self.repo.walk(version)} == contents[-1]


_examples, _, _steps = os.environ.get("ARTVC_STATE_MACHINE", "30x30").partition("x")
TestRepository = RepositoryMachine.TestCase
TestRepository.settings = settings(
    max_examples=int(_examples), stateful_step_count=int(_steps or 30), deadline=None, derandomize=True, database=None
)
