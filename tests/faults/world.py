"""Scenarios for fault injection, and the invariants that hold after every fault.

I1 all acknowledged versions are byte-exact, I2 fsck is clean, I3 the act in flight is absent or complete, I4 the same
act succeeds when it is simply done again, I5 the source files were not touched, I6 nothing outside changed.
"""

import contextlib
import hashlib
import itertools
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from artvc import curation, maintenance, recording, worktree
from artvc.errors import NotARepository
from artvc.maintenance import GcRequest, RepackRequest
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.settings import Settings
from artvc.store import packs
from artvc.store.fsio import Disk

Files = dict[str, bytes]
PROJECT = "uncategorized"
DAY = 24 * 3600
SETTINGS = Settings(sync=False, workers=2, author_name="Ada", author_email="ada@example.com")
_ticks = itertools.count()


def now() -> str:
    """A clock that ticks."""
    return f"2026-11-23T03:{next(_ticks) // 1_000_000 % 60:02}:00.{next(_ticks) % 1_000_000:06}Z"


def noise(seed: str, size: int) -> bytes:
    """Bytes that don't compress, the same for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def weights(seed: int, *, moved: float = 0.0) -> bytes:
    """A safetensors file with one array of 30,000 float32, which a training step moved a little."""
    draw = random.Random(seed)
    array = [draw.gauss(0, 0.02) + draw.gauss(0, moved) for _ in range(30_000)]
    header = b'{"w":{"dtype":"F32","shape":[30000],"data_offsets":[0,120000]}}'
    return len(header).to_bytes(8, "little") + header + struct.pack("<30000f", *array)


@dataclass
class World:
    """A directory with a repository, beside sources and a bystander that no fault may touch."""

    base: Path
    sources: Path
    acknowledged: dict[str, str] = field(default_factory=dict)  # "name:v0" -> source directory

    @property
    def root(self) -> Path:
        return self.base / "repo"

    def open(self, disk: Disk | None = None) -> Repository:
        return Repository.open(self.root, SETTINGS, disk or Disk(sync=False))

    def commit(
        self,
        source: str,
        name: str = "data",
        *,
        disk: Disk | None = None,
        aliases: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
    ) -> str:
        with self.open(disk) as repo:
            request = CommitRequest(
                paths=(self.sources / source,), name=name, type="dataset", aliases=aliases, inputs=inputs
            )
            label = recording.commit_paths(repo, request, now=now).logged.version.label
        self.acknowledged[label] = source
        return label


def fill(directory: Path, files: Files) -> None:
    """Write files."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read_files(directory: Path) -> Files:
    """All files below a directory."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def stat_print(directory: Path) -> dict[str, tuple[int, int, int, int]]:
    """What shows that a file was touched: size, times, inode (reading may move atime only)."""
    return {
        str(path): (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
        for path in [directory, *sorted(directory.rglob("*"))]
        for s in [path.lstat()]
    }


Act = Callable[[World, Disk], None]


@dataclass(frozen=True)
class Scenario:
    """One act to be interrupted.

    Attributes:
        name: for the report.
        prepare: brings a world to where the act begins.
        act: what is interrupted; done again, it succeeds.
        adds: label and source of the version that it adds, if it does.
        small_packs: packs of 64 KiB, so that a little data fills several.
        settled: looks at the world after the act was done undisturbed.
    """

    name: str
    prepare: Callable[[World], None]
    act: Act
    adds: tuple[str, str] | None = None
    small_packs: bool = False
    slow: bool = False
    settled: Callable[[World], None] = lambda world: None

    @contextlib.contextmanager
    def conditions(self) -> Iterator[None]:
        """Whatever must be different while it runs."""
        before = packs.PACK_BYTES, packs._RESERVE
        if self.small_packs:
            packs.PACK_BYTES, packs._RESERVE = 64 * 1024, 16 * 1024  # type: ignore[misc]
        try:
            yield
        finally:
            packs.PACK_BYTES, packs._RESERVE = before  # type: ignore[misc]


SOURCES: dict[str, Files] = {
    "a": {"one": b"1" * 100, "two": noise("two", 3000), "sub/three": b"three", "empty": b""},
    "b": {"one": b"1" * 100, "two": noise("two", 3000), "sub/three": b"THREE", "large": noise("large", 200_000)},
    "many": {f"d{i // 100}/f{i:04}": noise(str(i), 40) for i in range(1000)},
    "packs": {f"x{i}": noise(f"pack{i}", 150_000) for i in range(3)} | {"small": b"s"},
    "model": {"model.safetensors": weights(1)},
    "trained": {"model.safetensors": weights(1, moved=1e-6)},
    "mixed": {"large": noise("large", 200_000), "lost": noise("lost", 300_000), "two": noise("two", 3000)},
}


def _init(world: World, disk: Disk) -> None:
    repo, _ = Repository.create(world.root, project="mnist", settings=SETTINGS, disk=disk)
    repo.close()


def fresh(world: World) -> None:
    Repository.create(world.root, settings=SETTINGS, disk=Disk(sync=False))[0].close()


def _one(world: World) -> None:
    fresh(world)
    world.commit("a")


def _two(world: World) -> None:
    _one(world)
    world.commit("b")


def _model(world: World) -> None:
    fresh(world)
    world.commit("model")


def _alias(world: World, disk: Disk) -> None:
    with world.open(disk) as repo:
        recording.set_alias(repo, repo.resolve("data:v0").version, "best", now=now())


def _checkout(world: World, disk: Disk) -> None:
    with world.open(disk) as repo:
        worktree.checkout(repo, repo.resolve("data:v1").version, world.base / "out", force=True)


def _commit(source: str, name: str = "data") -> Act:
    def act(world: World, disk: Disk) -> None:
        world.commit(source, name, disk=disk)

    return act


def _garbage(world: World) -> None:
    """data:v0 and v1; data:v2, a delta whose base no name has any more; much that was deleted, some of it shared."""
    _two(world)
    world.commit("packs", "gone")
    world.commit("model", "base")
    world.commit("trained", inputs=("base",))
    world.commit("mixed", "gone")
    with world.open() as repo:
        for name in ("gone", "base"):
            curation.delete_collection(repo, PROJECT, name, now=now())
    for label in ("gone:v0", "gone:v1", "base:v0"):
        del world.acknowledged[label]


def _condemned(world: World) -> None:
    _garbage(world)
    with world.open() as repo:
        for pack in (world.root / ".artvc" / "packs").iterdir():
            os.utime(pack, (0, 0))
        assert maintenance.gc(repo, GcRequest(grace=DAY), now=now()).condemned


def gc_now(world: World, disk: Disk) -> None:
    """Delete at once whatever is dead."""
    with world.open(disk) as repo:
        maintenance.gc(repo, GcRequest(grace=0), now=now())


def gc_later(world: World, disk: Disk) -> None:
    """Delete what was condemned two days ago."""
    with world.open(disk) as repo:
        maintenance.gc(repo, GcRequest(grace=DAY), now=now().replace("-23T", "-25T"))


def repack(world: World, disk: Disk) -> None:
    """Join small packs and compress all harder."""
    with world.open(disk) as repo:
        maintenance.repack(repo, RepackRequest(every=True, level=5), now=now())


def pack_bytes(world: World) -> int:
    return sum(path.stat().st_size for path in (world.root / ".artvc" / "packs").iterdir())


def _lean(world: World) -> None:
    # b's large file, the weights and their base stay.
    assert pack_bytes(world) < 420_000, "what is dead was not deleted"


def _packed(world: World) -> None:
    with world.open() as repo:
        report = maintenance.repack(repo, RepackRequest(every=True, level=5), now=now())
    assert not report.rewritten, "a second repack finds something to do"


SCENARIOS = (
    Scenario("init", lambda world: None, _init),
    Scenario("first commit", fresh, _commit("a"), ("data:v0", "a")),
    Scenario("second commit", _one, _commit("b"), ("data:v1", "b")),
    Scenario("equal commit", _one, _commit("a"), None),
    Scenario("1,000 files", fresh, _commit("many"), ("data:v0", "many"), slow=True),
    Scenario("several packs", _one, _commit("packs"), ("data:v1", "packs"), small_packs=True),
    Scenario("delta", _model, _commit("trained"), ("data:v1", "trained")),
    Scenario("alias", _two, _alias),
    Scenario("checkout", _two, _checkout),
    Scenario("gc", _garbage, gc_now, slow=True, settled=_lean),
    Scenario("gc of what was condemned", _condemned, gc_later, slow=True, settled=_lean),
    Scenario("repack", _garbage, repack, slow=True, settled=_packed),
)


class Stage:
    """Builds each scenario's world once and copies it for every fault.

    Args:
        base: an empty directory, best in memory.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.sources = base / "sources"
        for name, files in SOURCES.items():
            fill(self.sources / name, files)
        self._before_sources = stat_print(self.sources)
        self._templates: dict[str, World] = {}
        self._numbers = itertools.count()

    def template(self, scenario: Scenario) -> World:
        if scenario.name not in self._templates:
            world = World(self.base / f"template {scenario.name}", self.sources)
            world.root.mkdir(parents=True)
            fill(world.base / "bystander", {"file": b"mine"})
            scenario.prepare(world)
            self._templates[scenario.name] = world
        return self._templates[scenario.name]

    @contextlib.contextmanager
    def world(self, scenario: Scenario) -> Iterator[World]:
        template = self.template(scenario)
        world = World(self.base / f"w{next(self._numbers)}", self.sources, dict(template.acknowledged))
        shutil.copytree(template.base, world.base, symlinks=True)
        try:
            yield world
        finally:
            shutil.rmtree(world.base)

    def operations(self, scenario: Scenario, disk_type: type[Disk]) -> list[str]:
        """The operations of an act that nothing disturbs."""
        with self.world(scenario) as world, scenario.conditions():
            disk = disk_type()
            scenario.act(world, disk)
            return list(disk.log)  # type: ignore[attr-defined]

    # -- invariants ---------------------------------------------------------------------------------------

    def check(self, scenario: Scenario, world: World, before: dict[str, str], *, acknowledged: bool = False) -> None:
        """All invariants after a fault in an act.

        Args:
            scenario, world: which and where.
            before: labels and sources that were acknowledged before the act.
            acknowledged: whether the act returned, so that its result must be there.
        """
        bystander = stat_print(world.base / "bystander")
        try:
            repo = world.open()
        except NotARepository:
            assert not before and scenario.name == "init" and not acknowledged, "the repository is gone"
        else:
            with repo:
                self.check_versions(repo, world, before, scenario.adds if acknowledged else None, scenario.adds)
        if scenario.name == "checkout" and (world.base / "out").exists():
            assert read_files(world.base / "out") == SOURCES["b"], "a checkout appeared that is not complete"
        # I4: once more, with nothing done by hand
        with scenario.conditions():
            scenario.act(world, Disk(sync=False))
            scenario.settled(world)
        with world.open() as repo:
            self.check_versions(repo, world, before, scenario.adds, scenario.adds)
            assert [v.number for v in repo.versions(PROJECT, "data")] == list(
                range(len(repo.versions(PROJECT, "data")))
            )
            if scenario.name == "alias":
                assert repo.aliases(PROJECT, "data")["best"] == 0
        if scenario.name == "checkout":
            assert read_files(world.base / "out") == SOURCES["b"]
        assert stat_print(self.sources) == self._before_sources, "source files were touched"
        assert stat_print(world.base / "bystander") == bystander, "something outside was touched"
        assert set(os.listdir(world.base)) <= {"repo", "bystander", "out"}, "something was left outside"

    def check_versions(
        self,
        repo: Repository,
        world: World,
        before: dict[str, str],
        must: tuple[str, str] | None,
        may: tuple[str, str] | None,
    ) -> None:
        """I1, I2, I3: what must be there is, what may be there is complete, nothing else is, fsck is clean."""
        project = repo.default_project if repo.default_project == PROJECT else PROJECT
        found = {version.label: version for version in repo.versions(project, "data")}
        expected = dict(before)
        if must is not None or (may is not None and may[0] in found):
            label, source = must or may or ("", "")
            expected[label] = source
        assert found.keys() == expected.keys()
        for label, source in expected.items():
            self.check_content(repo, found[label], SOURCES[source])
        if expected:
            latest = repo.resolve("data").version
            assert latest.label in found
        report = maintenance.fsck(repo)
        assert report.clean, report.problems

    def check_content(self, repo: Repository, version: object, files: Files) -> None:
        got = {
            path: b"".join(repo.read(entry))
            for path, entry in repo.walk(version)  # type: ignore[arg-type]
        }
        assert got == files, "a version is not what was committed"
