"""A script that logs as W&B's do, killed or failed at every operation: what it was told is there, is there."""

import contextlib
import errno
import os
import shutil
import struct
import zlib
from pathlib import Path

import pytest

import artvc
from artvc import maintenance
from artvc.errors import ArtvcError
from artvc.repo import Repository
from artvc.sdk import current, leftovers, workspace
from artvc.store.fsio import Disk
from tests.faults.faulty_disk import DyingDisk, FailingDisk, Killed, PointDisk
from tests.faults.test_kill import cuts
from tests.faults.world import SETTINGS, fill, noise, read_files, weights

ERRNOS = (errno.ENOSPC, errno.EIO)


def png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0ab\0cd")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


FILES = {
    "one": b"1" * 100,
    "dir/two": noise("sdk", 3000),
    "dir/sub/three": b"three",
    "model.safetensors": weights(1),
    "trained.safetensors": weights(1, moved=1e-6),
    "picture.png": png(),
}


class Script:
    """Logs a bit of everything; remembers what it was told is there."""

    def __init__(self, sources: Path) -> None:
        self.sources = sources
        self.promised: dict[str, dict[str, bytes]] = {}
        self.rows = 0
        self.finished = False

    def model(self, run: artvc.Run, name: str) -> None:
        artifact = artvc.Artifact("net", "model", metadata={"from": name})
        artifact.add_file(str(self.sources / name), name="model.safetensors")
        self.promised[run.log_artifact(artifact).source_name] = {"model.safetensors": FILES[name]}

    def play(self, run_id: str) -> None:
        run = artvc.init(project="p", id=run_id, config={"lr": 0.1})
        run.log({"loss": 1.0})
        data = artvc.Artifact("data", "dataset")
        data.add_file(str(self.sources / "one"))
        data.add_dir(str(self.sources / "dir"), name="dir")
        with data.new_file("note.txt", mode="wb") as file:
            file.write(b"noted " + run_id.encode())
        label = run.log_artifact(data).source_name
        self.promised[label] = {
            "one": FILES["one"],
            "dir/two": FILES["dir/two"],
            "dir/sub/three": FILES["dir/sub/three"],
            "note.txt": b"noted " + run_id.encode(),
        }
        self.rows = 1
        self.model(run, "model.safetensors")
        run.log({"picture": artvc.Image(str(self.sources / "picture.png"))})
        run.log({"table": artvc.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])})
        run.save(str(self.sources / "one"))
        self.rows = 3
        self.model(run, "trained.safetensors")
        run.log({"loss": 0.5})
        run.finish()
        self.rows, self.finished = 4, True


class Theatre:
    """A repository of its own for each performance, in the current process."""

    def __init__(self, base: Path, patch: pytest.MonkeyPatch) -> None:
        self.base = base
        self.patch = patch
        self.sources = base / "sdk sources"
        if not self.sources.exists():
            fill(self.sources, FILES)
        self.template = base / "sdk template"
        if not self.template.exists():
            self.template.mkdir()
            Repository.create(self.template, project="p", settings=SETTINGS, disk=Disk(sync=False))[0].close()
        self.stage = base / "sdk stage"

    def perform(self, disk: Disk, script: Script) -> None:
        """Play a script on a disk; it knows what it had been told when it ended or died."""
        shutil.rmtree(self.stage, ignore_errors=True)
        shutil.copytree(self.template, self.stage)
        with contextlib.chdir(self.stage), self.patch.context() as patch:
            patch.setattr("artvc.repo.Disk", lambda **_: disk)
            try:
                script.play("victim")
            finally:
                self.forget()

    def forget(self) -> None:
        """Let nothing of the run live on, as when its process is gone."""
        for run in [one for one in current._process.open if one._timer is not None]:
            run._timer.cancel()
            run._timer.join()
        current._process.open.clear()
        current._process.run = None
        workspace.forget_all()

    def check(self, script: Script) -> None:
        """All that was promised is there, and the next script works."""
        with Repository.open(self.stage, SETTINGS, Disk(sync=False)) as repo:
            assert [problem.message for problem in maintenance.fsck(repo).problems] == []
            for label, files in script.promised.items():
                found = repo.resolve(f"p/{label}").version
                assert {path: b"".join(repo.read(entry)) for path, entry in repo.walk(found)} == files, label
            left = leftovers.find(repo, "victim")
            if left is not None:
                leftovers.recover(repo, left)
        if script.promised or left is not None:
            run = artvc.Api(path=self.stage).run("p/victim")
            assert len(list(run.scan_history())) >= script.rows
            assert script.finished <= (run.state == "finished")
            assert run.config == ({"lr": 0.1} if script.promised else run.config)
        assert read_files(self.sources) == FILES
        again = Script(self.sources)
        with contextlib.chdir(self.stage):
            try:
                again.play("again")
            finally:
                artvc.finish()
                workspace.close_all()
                self.forget()
        assert again.finished


@pytest.fixture
def theatre(arena: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Theatre:
    for name, value in {"SILENT": "1", "FSYNC": "0", "AUTHOR_NAME": "Ada", "AUTHOR_EMAIL": "a@example.com"}.items():
        monkeypatch.setenv(f"ARTVC_{name}", value)
    return Theatre(arena, monkeypatch)


def operations(theatre: Theatre) -> list[str]:
    disk = PointDisk(sync=False)
    script = Script(theatre.sources)
    theatre.perform(disk, script)
    assert script.finished
    return list(disk.log)


def test_script_killed_at_every_operation(theatre, sample, record_property):
    points = sample(cuts(operations(theatre)), 60)
    for cut in points:
        disk = DyingDisk(cut)
        script = Script(theatre.sources)
        try:
            theatre.perform(disk, script)
        except Killed:
            pass
        finally:
            disk.bury()
        try:
            theatre.check(script)
        except (AssertionError, ArtvcError) as exc:
            raise AssertionError(f"killed {cut.part} operation {cut.at}: {exc}") from exc
    record_property("faults: kill points in scripts", len(points))


def test_script_whose_disk_fails(theatre, sample, record_property):
    count = len(operations(theatre))
    points = sample([(at, error, forever) for at in range(count) for error in ERRNOS for forever in (False, True)], 60)
    for at, error, forever in points:
        disk = FailingDisk(at, error, forever=forever)
        script = Script(theatre.sources)
        try:
            theatre.perform(disk, script)
        except (ArtvcError, OSError):
            pass
        try:
            theatre.check(script)
        except (AssertionError, ArtvcError) as exc:
            raise AssertionError(f"{os.strerror(error)} at operation {at}, {forever=}: {exc}") from exc
    record_property("faults: error points in scripts", len(points))
