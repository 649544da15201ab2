"""Push, pull, clone and gc --local, killed, failed and cut off at every operation, on both sides of a directory."""

import contextlib
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from artvc import maintenance, recording
from artvc.errors import ArtvcError, NotARepository
from artvc.maintenance import GcRequest
from artvc.recording import CommitRequest
from artvc.repo import Repository
from artvc.store import packs, refs
from artvc.store.fsio import Disk
from artvc.sync import sharing
from artvc.sync.sharing import Work
from tests.faults.faulty_disk import ERRNOS, DyingDisk, FailingDisk, Killed, PointDisk
from tests.faults.power import Directory, Model, TraceDisk, build, signature
from tests.faults.test_kill import cuts
from tests.faults.world import PROJECT, SETTINGS, fill, noise, now

WORK = Work(environ={}, now=now, jobs=2)
SOURCES = {name: {"file": name.encode(), "noise": noise(name, 30_000), "shared": noise("s", 9000)} for name in "abcdx"}
FULL = os.environ.get("ARTVC_FAULTS") == "full"


@dataclass
class Place:
    """A directory with a hub and repositories around it.

    Attributes:
        base: the directory.
        sources: what is committed.
    """

    base: Path
    sources: Path

    def open(self, name: str, disk: Disk | None = None) -> Repository:
        return Repository.open(self.base / name, SETTINGS, disk or Disk(sync=False))

    def init(self, name: str, disk: Disk) -> None:
        (self.base / name).mkdir(exist_ok=True)
        Repository.create(self.base / name, settings=SETTINGS, disk=disk)[0].close()
        with self.open(name, disk) as repo:
            if not sharing.list_remotes(repo):
                sharing.add_remote(repo, "origin", "../hub", WORK, base=self.base / name)

    def commit(self, name: str, source: str, disk: Disk | None = None) -> None:
        with self.open(name, disk) as repo:
            request = CommitRequest(paths=(self.sources / source,), name="data", type="dataset")
            recording.commit_paths(repo, request, now=now)

    def push(self, name: str, disk: Disk | None = None) -> None:
        with self.open(name, disk) as repo:
            sharing.push_to(repo, "origin", WORK, settled={})

    def pull(self, name: str, disk: Disk | None = None, *, everything: bool = True) -> None:
        with self.open(name, disk) as repo:
            sharing.pull_from(repo, "origin", WORK, settled={}, everything=everything)

    def clone(self, name: str, disk: Disk | None = None) -> None:
        sharing.clone(
            str(self.base / "hub"),
            self.base / name,
            WORK,
            base=self.base,
            settings=SETTINGS,
            everything=True,
            disk=disk or Disk(sync=False),
        )[0].close()

    def drop(self, name: str, disk: Disk | None = None) -> None:
        with self.open(name, disk) as repo:
            drop, absent = sharing.droppable(repo, WORK), sharing.on_a_remote(repo)
            maintenance.gc(repo, GcRequest(grace=0, drop=drop, absent=absent), now=now())

    def words(self, name: str) -> list[str]:
        """The sources of the versions of a repository, by number; it must be sound, and all of it readable."""
        with self.open(name) as repo:
            report = maintenance.fsck(repo, absent=sharing.on_a_remote(repo))
            assert not report.problems, (name, report.problems)
            sharing.attach(repo, WORK)
            found = []
            for version in repo.versions(PROJECT, "data"):
                files = {path: b"".join(repo.read(entry)) for path, entry in repo.walk(version)}
                found.append(next((word for word, one in SOURCES.items() if one == files), f"? {version.label}"))
            return found

    def words_if_there(self, name: str) -> list[str]:
        try:
            return self.words(name)
        except NotARepository:
            return []

    def agree(self, *names: str) -> list[str]:
        """Everybody pushes and pulls; what all have then."""
        for name in names:
            self.push(name)
        for name in names:
            self.pull(name)
        found = [self.words(name) for name in ("hub", *names)]
        assert all(one == found[0] for one in found), found
        return found[0]


Act = Callable[[Place, Disk | None], None]


@dataclass(frozen=True)
class Scene:
    """An act to be interrupted.

    Attributes:
        name: for the report.
        prepare: brings a place to where it begins.
        act: done again, it succeeds.
        words: what everybody has in the end.
        names: the repositories beside the hub.
    """

    name: str
    prepare: Callable[[Place], None]
    act: Act
    words: str
    names: tuple[str, ...]


def _fresh(place: Place) -> None:
    (place.base / "hub").mkdir()
    place.init("one", Disk(sync=False))
    place.commit("one", "a")
    place.commit("one", "b")


def _pushed(place: Place) -> None:
    _fresh(place)
    place.push("one")


def _apart(place: Place) -> None:
    """One pushed c; the clone has d and x, under the numbers of c and of nobody."""
    _pushed(place)
    place.clone("two")
    place.commit("one", "c")
    place.push("one")
    place.commit("two", "d")
    place.commit("two", "x")


SCENES = (
    Scene("first push", _fresh, lambda place, disk: place.push("one", disk), "ab", ("one",)),
    Scene("push with a merge", _apart, lambda place, disk: place.push("two", disk), "abcdx", ("one", "two")),
    Scene("pull with a merge", _apart, lambda place, disk: place.pull("two", disk), "abcdx", ("one", "two")),
    Scene("clone", _pushed, lambda place, disk: place.clone("three", disk), "ab", ("one", "three")),
    Scene("gc --local", _apart, lambda place, disk: place.drop("one", disk), "abcdx", ("one", "two")),
)


class Places:
    """Builds each scene's place once and copies it for every fault."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.sources = base / "share-sources"
        for name, files in SOURCES.items():
            fill(self.sources / name, files)
        self._templates: dict[str, Path] = {}
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def place(self, scene: Scene) -> Iterator[Place]:
        if scene.name not in self._templates:
            # All copies have one path, for addresses are absolute.
            made = Place(self.base / "place", self.sources)
            made.base.mkdir()
            scene.prepare(made)
            template = self.base / f"share template {scene.name}"
            made.base.rename(template)
            self._templates[scene.name] = template
        shutil.copytree(self._templates[scene.name], self.base / "place", symlinks=True)
        try:
            yield Place(self.base / "place", self.sources)
        finally:
            shutil.rmtree(self.base / "place")

    def operations(self, scene: Scene) -> list[str]:
        with self.place(scene) as place:
            disk = PointDisk()
            scene.act(place, disk)
            return disk.log


@pytest.fixture(scope="module")
def places(arena: Path) -> Places:
    return Places(arena)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 64 * 1024)
    monkeypatch.setattr(packs, "_RESERVE", 16 * 1024)
    monkeypatch.setattr(refs, "_CHECKPOINT_EVERY", 3)


def check(scene: Scene, place: Place, before: dict[str, list[str]]) -> None:
    """What holds after a fault: nothing that was there is lost, all is sound, and the act done again succeeds."""
    for name, words in before.items():
        found = place.words_if_there(name)
        assert set(words) <= set(found) and "?" not in "".join(found), (name, words, found)
    scene.act(place, None)
    found = place.agree(*scene.names)
    assert "".join(found) == scene.words, found
    assert set(os.listdir(place.base)) == {"hub", *scene.names}


def before_of(scene: Scene, place: Place) -> dict[str, list[str]]:
    return {name: place.words_if_there(name) for name in ("hub", *scene.names) if (place.base / name).exists()}


@pytest.mark.parametrize("scene", SCENES, ids=lambda one: one.name)
def test_killed_at_every_operation(places: Places, scene: Scene, sample, record_property) -> None:
    points = sample(cuts(places.operations(scene)), 14)
    for cut in points:
        with places.place(scene) as place:
            before = before_of(scene, place)
            disk = DyingDisk(cut)
            try:
                scene.act(place, disk)
            except Killed:
                pass
            finally:
                disk.bury()
            try:
                check(scene, place, before)
            except (AssertionError, ArtvcError) as exc:
                raise AssertionError(f"killed {cut.part} operation {cut.at}: {exc}") from exc
    record_property("faults: kill points", len(points))


@pytest.mark.parametrize("scene", SCENES, ids=lambda one: one.name)
def test_an_error_at_every_operation(places: Places, scene: Scene, sample, record_property) -> None:
    count = len(places.operations(scene))
    every = [(at, name, forever) for at in range(count) for name in ("ENOSPC", "EIO") for forever in (False, True)]
    points = sample(every, 14)
    for at, name, forever in points:
        with places.place(scene) as place:
            before = before_of(scene, place)
            disk = FailingDisk(at, ERRNOS[name], forever=forever)
            try:
                with contextlib.suppress(ArtvcError):
                    scene.act(place, disk)
                check(scene, place, before)
            except (AssertionError, ArtvcError, OSError) as exc:
                raise AssertionError(f"{name} at operation {at}, {forever=}: {exc!r}") from exc
    record_property("faults: error points", len(points))


# -- power cuts ---------------------------------------------------------------------------------------------

# What is done, where, and what the hub and the repository have when it returns.
STORY: tuple[tuple[str, Act, dict[str, str]], ...] = (
    ("init", lambda place, disk: place.init("one", disk or Disk(sync=False)), {}),
    ("commit a", lambda place, disk: place.commit("one", "a", disk), {"one": "a"}),
    ("push", lambda place, disk: place.push("one", disk), {"hub": "a", "one": "a"}),
    ("clone", lambda place, disk: place.clone("two", disk), {"two": "a"}),
    ("commit b", lambda place, disk: place.commit("one", "b", disk), {"one": "ab"}),
    ("push b", lambda place, disk: place.push("one", disk), {"hub": "ab"}),
    ("commit c", lambda place, disk: place.commit("two", "c", disk), {"two": "ac"}),
    ("pull", lambda place, disk: place.pull("two", disk), {"two": "abc"}),
    ("push c", lambda place, disk: place.push("two", disk), {"hub": "abc"}),
    ("gc --local", lambda place, disk: place.drop("two", disk), {}),
)


def test_power_cuts(places: Places, arena: Path, record_property) -> None:
    """All machines lose their power at once: the un-synced part of everything may be lost."""
    place = Place(arena / "place", places.sources)
    place.base.mkdir()
    for name in ("hub", "one", "two"):  # the users'
        (place.base / name).mkdir()
    disk = TraceDisk(str(place.base))
    marks: list[tuple[int, int]] = []
    for _, act, _ in STORY:
        first = disk.count
        act(place, disk)
        marks.append((first, disk.count))
    shutil.rmtree(place.base)
    model = Model()
    for name in ("hub", "one", "two"):
        model.root.now[name] = model.root.sure[name] = Directory()
    rng = random.Random(5)
    chosen = set(range(len(disk.steps) + 1)) if FULL else set(rng.sample(range(len(disk.steps) + 1), 16))
    seen: set[object] = set()
    states = 0
    for cut in range(len(disk.steps) + 1):
        if cut:
            model.feed(disk.steps[cut - 1])
        if cut not in chosen:
            continue
        at = next((number for number, (_, end) in enumerate(marks) if cut < end), len(STORY))
        found = list(model.states(12 if FULL else 2, rng))
        for state in rng.sample(found, min(len(found), 8 if FULL else 3)):
            key = (signature(state), at)
            if key in seen:
                continue
            seen.add(key)
            states += 1
            build(state, place.base)
            try:
                survive(place, at)
            except (AssertionError, ArtvcError) as exc:
                doing = STORY[at][0] if at < len(STORY) else "nothing"
                raise AssertionError(f"cut after operation {cut} ({disk.steps[cut - 1]}) in {doing}: {exc!r}") from exc
            finally:
                shutil.rmtree(place.base)
    record_property("faults: power-cut states", states)


def survive(place: Place, at: int) -> None:
    """What was acknowledged is there; the story goes on from where it was cut."""
    sure: dict[str, str] = {}
    for _, _, words in STORY[:at]:
        sure |= words
    for name, words in sure.items():
        found = place.words(name)
        assert set(words) <= set(found) and "?" not in "".join(found), (name, words, found)
    for _, act, _ in STORY[at:]:
        act(place, None)
    assert place.agree("one", "two") == ["a", "b", "c"]
