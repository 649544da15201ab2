"""Git repositories by path, below the transport: what C git makes is read, and what is written C git takes."""

import itertools
import os
import random
import socket
import stat
import struct
import subprocess
import threading
import zlib
from pathlib import Path

import pytest

from artvc.errors import Damaged, NotFound, RemoteDenied, RemoteError, UnsupportedFormat
from artvc.remotes.git import packfiles, reffiles
from artvc.remotes.git.gitdir import GitDirectory, Sharing
from artvc.remotes.git.objects import BLOB, GitObject, apply_delta, stored, whole
from artvc.remotes.git.packfiles import ObjectFiles
from artvc.remotes.git.reffiles import RefFiles
from artvc.remotes.git.wire import Update
from artvc.store.fsio import Disk
from tests.faults.faulty_disk import Cut, DyingDisk, FailingDisk, Killed, PointDisk
from tests.remotes.conformance import together
from tests.remotes.git_servers import git as run_git
from tests.remotes.git_servers import hermetic

LIMIT = 10_000_000
META = b"refs/artvc/meta"


class Scene:
    """A repository and its git."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.environ = hermetic(root.parent)
        run_git("init", "--quiet", "--initial-branch=main", *options, root, environ=self.environ)

    def git(self, *args: str | bytes | Path) -> str:
        return run_git(*map(os.fsdecode, args), environ=self.environ, cwd=self.root)

    def home(self, disk: Disk | None = None) -> GitDirectory:
        return GitDirectory(self.root, disk or Disk(sync=False))

    def commits(self, count: int = 12) -> list[bytes]:
        """Commits of a file that changes a little; their ids."""
        source, made = random.Random(1), []
        parts = [source.randbytes(2000) for _ in range(20)]
        for number in range(count):
            parts[number % 20] = source.randbytes(2000)
            (self.root / "file").write_bytes(b"".join(parts))
            (self.root / f"file {number}").write_text("text" * number)
            self.git("add", "--all")
            self.git("commit", "--quiet", "-m", f"number {number}")
            made.append(self.git("rev-parse", "HEAD").strip().encode())
        return made

    def check_all(self, objects: ObjectFiles) -> int:
        """Read every object as git lists them."""
        lines = self.git("cat-file", "--batch-all-objects", "--batch-check").splitlines()
        for line in lines:
            name, kind, size = line.split()
            assert len(objects.read(name.encode(), kind.encode(), limit=LIMIT)) == int(size)
        return len(lines)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "repository")


def blobs(count: int, size: int = 5000) -> list[GitObject]:
    source = random.Random(7)
    return [whole(BLOB, source.randbytes(size + number)) for number in range(count)]


# -- what is there --------------------------------------------------------------------------------------------


def test_a_repository_is_found_as_git_finds_it(scene, tmp_path):
    scene.commits(1)
    scene.git("worktree", "add", "--quiet", tmp_path / "tree", "-b", "other")
    scene.git("clone", "--quiet", "--bare", ".", tmp_path / "bare.git")
    home = str(scene.root / ".git")
    for path in (scene.root, scene.root / ".git", tmp_path / "tree"):
        assert GitDirectory(path, Disk()).path == home
    for path in (tmp_path / "bare.git", tmp_path / "bare"):
        assert GitDirectory(path, Disk()).path == str(tmp_path / "bare.git")
    (tmp_path / "linked").symlink_to(scene.root)
    assert RefFiles(GitDirectory(tmp_path / "linked", Disk())).read(b"refs/heads/main")
    (tmp_path / "plain").mkdir()
    for path in (tmp_path / "plain", tmp_path / "nothing"):
        with pytest.raises(NotFound, match=path.name):
            GitDirectory(path, Disk())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["core.repositoryFormatVersion=1", "extensions.objectFormat=sha256"], "SHA-256"),
        (["core.repositoryFormatVersion=1", "extensions.refStorage=reftable"], "reftable"),
        (["core.repositoryFormatVersion=1", "extensions.somethingNew=true"], "somethingnew"),
        (["core.repositoryFormatVersion=2"], "unknown format"),
    ],
)
def test_what_is_not_understood_is_refused(scene, settings, said):
    for one in settings:
        scene.git("config", *one.split("=", 1))
    with pytest.raises(UnsupportedFormat, match=said):
        scene.home()


def test_a_repository_of_git_with_sha256_is_refused(tmp_path):
    with pytest.raises(UnsupportedFormat, match="SHA-256"):
        Scene(tmp_path / "new", "--object-format=sha256").home()


def test_a_configuration_with_includes_reads_no_other_file(scene, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    scene.git("config", "include.path", tmp_path / "fifo")
    scene_config = scene.root / ".git" / "config"
    assert GitDirectory(scene.root, Disk()).path == str(scene.root / ".git")
    scene_config.write_text("no section")
    with pytest.raises(Damaged, match="config"):
        scene.home()


# -- objects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pack",
    [
        [],
        ["gc", "--quiet", "--aggressive"],
        ["-c", "repack.useDeltaBaseOffset=false", "repack", "--quiet", "-adf"],
    ],
    ids=["loose", "deltas by place", "deltas by name"],
)
def test_every_object_that_git_has_is_read(scene, pack):
    scene.commits()
    if pack:
        scene.git(*pack)
        assert "-" in scene.git("verify-pack", "-v", next((scene.root / ".git/objects/pack").glob("*.idx")))
    assert scene.check_all(ObjectFiles(scene.home())) > 30
    with pytest.raises(KeyError), ObjectFiles(scene.home()).opened(b"1" * 40, limit=LIMIT):
        pass


def test_objects_of_other_repositories_that_it_borrows_from(scene, tmp_path):
    scene.commits()
    name = 'stra"nge äö'
    os.rename(scene.root, tmp_path / name)
    scene.root = tmp_path / name
    scene.git("repack", "--quiet", "-ad")
    scene.git("clone", "--quiet", "--bare", "--shared", ".", tmp_path / "one.git")
    scene.git("clone", "--quiet", "--bare", "--reference", tmp_path / "one.git", tmp_path / "one.git", tmp_path / "two")
    objects = ObjectFiles(GitDirectory(tmp_path / "two", Disk()))
    assert scene.check_all(objects) > 30


def test_git_may_move_objects_at_any_time(scene):
    scene.commits()
    objects = ObjectFiles(scene.home())
    known = scene.git("rev-parse", "HEAD:file").strip().encode()
    body = objects.read(known, b"blob", limit=LIMIT)
    for command in (["repack", "-ad"], ["gc", "--prune=now"], ["-c", "pack.packSizeLimit=1m", "repack", "-adf"]):
        with objects.opened(known, limit=LIMIT) as found:
            scene.git(*command, "--quiet")
            assert b"".join(found.pieces) == body
        assert objects.read(known, b"blob", limit=LIMIT) == body
        scene.check_all(objects)
    assert objects.has(known) and not objects.has(b"2" * 40)


def test_git_takes_a_pack_that_is_written(scene):
    made = blobs(300)
    ObjectFiles(scene.home()).write(made)
    scene.git("fsck", "--full", "--strict")
    for one in made:
        assert scene.git("cat-file", "-t", one.id) == "blob\n"
    (index,) = (scene.root / ".git/objects/pack").glob("*.idx")
    scene.git("verify-pack", index)
    scene.git("index-pack", "-o", scene.root / "again", index.with_suffix(".pack"))
    assert (scene.root / "again").read_bytes() == index.read_bytes()
    objects = ObjectFiles(scene.home())
    objects.write(made)  # once more
    scene.check_all(objects)


def test_offsets_beyond_two_gigabytes(scene):
    objects = ObjectFiles(scene.home())
    one = whole(BLOB, b"far away" * 10)
    at = [12, 2**31 - 1, 2**31, 2**33 + 5]
    records = [(bytes([number]) * 20, 9, offset) for number, offset in enumerate(at)] + [
        (bytes.fromhex(one.id.decode()), 8, 2**32 + 1)
    ]
    base = scene.root / ".git/objects/pack" / f"pack-{'ab' * 20}"
    base.with_suffix(".idx").write_bytes(packfiles._index_of(records, b"\xab" * 20))
    with base.with_suffix(".pack").open("wb") as pack:
        pack.seek(2**32 + 1)
        pack.write(b"".join(stored(one)))
    assert objects.read(one.id, b"blob", limit=LIMIT) == b"far away" * 10
    with base.with_suffix(".idx").open("rb") as source:
        shown = subprocess.run(["git", "show-index"], stdin=source, capture_output=True, text=True).stdout
    assert {int(line.split()[0]) for line in shown.splitlines()} == {*at, 2**32 + 1}


def test_damage_is_said(scene):
    made = blobs(3, 300_000)
    ObjectFiles(scene.home()).write(made)
    (pack,) = (scene.root / ".git/objects/pack").glob("*.pack")
    whole = pack.read_bytes()
    pack.chmod(0o600)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for body in (whole[:400_000], bytes(flipped), whole[:12] + b"\0" * 1_000_000):
        pack.write_bytes(body)
        failed = 0
        for one in made:
            try:
                ObjectFiles(scene.home()).read(one.id, b"blob", limit=LIMIT)
            except Damaged:
                failed += 1
        assert failed
    pack.write_bytes(whole)
    with pytest.raises(Damaged, match="300000"), ObjectFiles(scene.home()).opened(made[0].id, limit=299_999):
        pass
    (index,) = (scene.root / ".git/objects/pack").glob("*.idx")
    index.chmod(0o600)
    for body in (b"", index.read_bytes()[:-30], b"\xfftOc\0\0\0\2" + b"\xff" * 1100):
        index.write_bytes(body)
        assert not ObjectFiles(scene.home()).has(made[0].id)


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        b"\x05",
        b"\x05\xff\xff\xff\xff\xff\xff\xff\x7f\x90\x05",  # makes far too much
        b"\x06\x05\x90\x05",  # of another base
        b"\x05\x05\x91\x03\x05",  # beyond its base
        b"\x05\x05\x03ab",  # cut off
        b"\x05\x05\x00",
        b"\x05\x05\x90\x04",  # too little
        b"\x05\x05\x90\x05\x90\x05",  # too much
        b"\x05\x05\x90",
        b"\x05" + b"\x80" * 50,
    ],
)
def test_a_hostile_delta_makes_nothing(delta):
    assert apply_delta(b"hello", b"\x05\x06\x90\x04\x02!!", limit=100) == b"hell!!"
    with pytest.raises(Damaged):
        apply_delta(b"hello", delta, limit=1000)


def test_a_delta_of_itself_is_damage(scene):
    body = zlib.compress(b"\x05\x05\x90\x05")
    records = [(b"\1" * 20, 0, 12)]
    base = scene.root / ".git/objects/pack" / f"pack-{'cd' * 20}"
    base.with_suffix(".idx").write_bytes(packfiles._index_of(records, b"\xcd" * 20))
    base.with_suffix(".pack").write_bytes(b"PACK" + struct.pack(">II", 2, 1) + b"\x74" + b"\1" * 20 + body)
    with pytest.raises(Damaged, match="too many"), ObjectFiles(scene.home()).opened(b"01" * 20, limit=1000):
        pass


# -- permissions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["umask", "group", "all", "0640", "0664", "0600", "true", "0"])
def test_files_get_the_permissions_that_git_gives(tmp_path, value):
    """The same blob, pushed by git and by us, into two repositories that are set up alike."""
    before = os.umask(0o077)
    try:
        ours, theirs = (Scene(tmp_path / name, "--bare", f"--shared={value}") for name in ("ours", "theirs"))
        work = Scene(tmp_path / "work")
        (head,) = work.commits(1)
        work.git("push", "--quiet", tmp_path / "theirs", f"main:{META.decode()}")
        ours.git("fetch", "--quiet", work.root, "main")
        objects, refs = ObjectFiles(ours.home()), RefFiles(ours.home())
        made = blobs(2)
        objects.write(made)
        assert refs.apply([Update(META, None, head)])
        theirs.git("repack", "--quiet", "-ad")
    finally:
        os.umask(before)

    def modes(root: Path) -> dict[str, str]:
        found = {f"*{path.suffix}": path for path in (root / "objects/pack").iterdir()}
        found |= {name: root / name for name in ("objects/pack", "refs/artvc", META.decode())}
        return {name: stat.filemode(path.stat().st_mode) for name, path in found.items()}

    found, wanted = modes(tmp_path / "ours"), modes(tmp_path / "theirs")
    assert {name: wanted[name] for name in found} == found and len(found) == 5


@pytest.mark.parametrize("value", [b"nonsense", b"0077", b"9", b"-1"])
def test_a_malformed_sharing_is_refused(value):
    with pytest.raises(Damaged, match="sharedRepository"):
        Sharing.parse(value)


# -- refs -----------------------------------------------------------------------------------------------------


def test_refs_are_those_of_git_packed_or_not(scene):
    one, two, three = scene.commits(3)
    refs = RefFiles(scene.home())
    assert refs.listed(b"refs/artvc/") == {} and refs.read(META) is None
    assert refs.apply([Update(META, None, one), Update(b"refs/artvc/packs/ab/cd", None, two)])
    assert scene.git("rev-parse", META.decode(), "refs/artvc/packs/ab/cd").split() == [one.decode(), two.decode()]
    scene.git("pack-refs", "--all", "--prune")
    assert refs.read(META) == one
    assert refs.listed(b"refs/artvc/packs/") == {b"refs/artvc/packs/ab/cd": two}
    assert not refs.apply([Update(META, None, two)])
    assert not refs.apply([Update(META, three, two)])
    assert refs.apply([Update(META, one, three)])
    assert refs.listed(b"refs/artvc/") == {META: three, b"refs/artvc/packs/ab/cd": two}
    scene.git("update-ref", META.decode(), two, three)
    assert refs.read(META) == two
    assert refs.apply([Update(META, two, None), Update(b"refs/artvc/packs/ab/cd", two, None)])
    assert refs.listed(b"refs/") == {b"refs/heads/main": three}
    scene.git("pack-refs", "--all")
    scene.git("tag", "-a", "-m", "tag", "v1")
    assert refs.listed(b"refs/artvc/") == {} and "artvc" not in scene.git("for-each-ref")
    assert [path for path in scene.root.rglob("*") if path.suffix == ".lock" or path.name.startswith("tmp_")] == []


def test_of_several_changes_all_or_none_are_made(scene):
    one, two = scene.commits(2)
    refs = RefFiles(scene.home())
    assert refs.apply([Update(b"refs/artvc/a", None, one)])
    edits = [
        Update(b"refs/artvc/b", None, one),
        Update(b"refs/artvc/a", two, one),
        Update(b"refs/artvc/c", one, None),
    ]
    for wrong in itertools.permutations(edits):
        assert not refs.apply(wrong)
    assert refs.listed(b"refs/artvc/") == {b"refs/artvc/a": one}


def test_peeled_tags_go_with_their_lines(scene):
    (one,) = scene.commits(1)
    for name in ("artvc-a", "artvc-b"):
        scene.git("tag", "-a", "-m", "tag", name)
    scene.git("pack-refs", "--all", "--prune")
    refs = RefFiles(scene.home())
    tag = refs.read(b"refs/tags/artvc-a")
    assert refs.apply([Update(b"refs/tags/artvc-a", tag, None)])
    assert scene.git("show-ref", "-d").splitlines()[-1] == f"{one.decode()} refs/tags/artvc-b^{{}}"
    assert len(scene.git("show-ref", "-d").splitlines()) == 3


def test_names_in_the_way_are_said(scene):
    (one,) = scene.commits(1)
    refs = RefFiles(scene.home())
    scene.git("update-ref", "refs/artvc", one)
    with pytest.raises(RemoteError):
        refs.apply([Update(META, None, one)])
    scene.git("pack-refs", "--all", "--prune")
    with pytest.raises(RemoteError, match="in the way"):
        refs.apply([Update(META, None, one)])
    scene.git("update-ref", "-d", "refs/artvc")
    scene.git("update-ref", META.decode() + "/below", one)
    scene.git("pack-refs", "--all", "--prune")
    with pytest.raises(RemoteError, match="in the way"):
        refs.apply([Update(META, None, one)])
    scene.git("update-ref", "-d", META.decode() + "/below")
    (scene.root / ".git" / META.decode()).mkdir(parents=True, exist_ok=True)
    assert refs.apply([Update(META, None, one)])
    assert scene.git("rev-parse", META.decode()).strip().encode() == one


@pytest.mark.parametrize("body", [b"", b"ref: refs/heads/main\n", b"x" * 40, b"\0" * 41])
def test_a_damaged_ref_is_said_and_others_are_read(scene, body):
    (one,) = scene.commits(1)
    refs = RefFiles(scene.home())
    assert refs.apply([Update(b"refs/artvc/packs/aa/1", None, one)])
    path = scene.root / ".git" / "refs/artvc/packs/aa/2"
    path.write_bytes(body)
    os.mkfifo(path.with_name("3"))
    assert refs.listed(b"refs/artvc/") == {b"refs/artvc/packs/aa/1": one}
    for name in (b"refs/artvc/packs/aa/2", b"refs/artvc/packs/aa/3"):
        with pytest.raises(Damaged):
            refs.apply([Update(name, None, one)])


# -- locks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(reffiles, "_TRIES", 5)


def lock_of(scene: Scene, owner: str) -> Path:
    path = scene.root / ".git" / "refs/artvc/meta.lock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(owner)
    return path


def dead_process() -> int:
    return int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True).stdout)


def test_a_lock_of_git_is_waited_for_and_never_removed(scene, impatient):
    (one,) = scene.commits(1)
    path, refs = lock_of(scene, ""), RefFiles(scene.home())
    os.utime(path, (0, 0))
    with pytest.raises(RemoteError, match="meta.lock"):
        refs.apply([Update(META, None, one)])
    assert path.exists() and refs.read(META) is None
    path.unlink()
    assert refs.apply([Update(META, None, one)])


def test_git_waits_for_a_lock_of_ours(scene):
    (one,) = scene.commits(1)
    refs = RefFiles(scene.home())
    with refs._locked(str(scene.root / ".git" / META.decode())), pytest.raises(RuntimeError, match=r"meta\.lock"):
        scene.git("update-ref", META.decode(), one)
    scene.git("update-ref", META.decode(), one)


def test_a_lock_whose_owner_is_dead_goes(scene):
    (one,) = scene.commits(1)
    refs, host = RefFiles(scene.home()), socket.gethostname()
    path = lock_of(scene, f"artvc {dead_process()} {host}\n")
    assert refs.apply([Update(META, None, one)]) and not path.exists()
    path = lock_of(scene, "artvc 1 elsewhere\n")
    os.utime(path, (0, 0))
    assert refs.apply([Update(META, one, None)]) and not path.exists()


@pytest.mark.parametrize("owner", [f"artvc {os.getppid()} {socket.gethostname()}\n", "artvc 1 elsewhere\n"])
def test_a_lock_whose_owner_may_live_stays(scene, impatient, owner):
    (one,) = scene.commits(1)
    path, refs = lock_of(scene, owner), RefFiles(scene.home())
    with pytest.raises(RemoteError):
        refs.apply([Update(META, None, one)])
    assert path.read_text() == owner


def test_a_lock_that_is_held_stays_however_old(scene, impatient):
    (one,) = scene.commits(1)
    path, refs, disk = lock_of(scene, "artvc 1 elsewhere\n"), RefFiles(scene.home()), Disk()
    os.utime(path, (0, 0))
    fd = disk.open_read(str(path))
    assert disk.hold(fd)
    with pytest.raises(RemoteError):
        refs.apply([Update(META, None, one)])
    os.close(fd)
    assert refs.apply([Update(META, None, one)])


class Lockless(Disk):
    """A disk whose advisory locks do nothing."""

    def hold(self, fd: int) -> bool:
        return True


@pytest.mark.parametrize("disk", [Disk, Lockless])
def test_no_change_is_lost_among_many_writers_and_git(scene, disk):
    """Each thread moves a ref along a chain that only it knows; git moves and packs it in between."""
    made = [line.encode() for line in chain(scene, 60)]
    after = dict(itertools.pairwise(made))
    assert RefFiles(scene.home()).apply([Update(META, None, made[0])])
    lock_of(scene, f"artvc {dead_process()} {socket.gethostname()}\n")

    def work(number: int) -> int:
        refs, moved = RefFiles(scene.home(disk(sync=False))), 0
        while True:
            now = refs.read(META)
            if now == made[-1]:
                return moved
            if number:
                moved += refs.apply([Update(META, now, after[now])])
            else:
                scene.git("pack-refs", "--all", "--prune")
                try:
                    scene.git("update-ref", META.decode(), after[now], now)
                    moved += 1
                except RuntimeError:
                    continue

    assert sum(together(5, work)) == 59
    assert not list((scene.root / ".git").rglob("*.lock"))


def chain(scene: Scene, count: int) -> list[str]:
    """Ids of so many commits, without files."""
    scene.commits(1)
    tree = scene.git("write-tree").strip()
    return [scene.git("commit-tree", tree, "-m", str(number)).strip() for number in range(count)]


# -- its disk fails -------------------------------------------------------------------------------------------


def push(scene: Scene, disk: Disk, head: bytes) -> None:
    home = scene.home(disk)
    objects, refs = ObjectFiles(home), RefFiles(home)
    made = blobs(2, 100)
    objects.write(made)
    with home.told():
        assert refs.apply([Update(META, refs.read(META), head), Update(b"refs/artvc/packs/ab/1", None, head)])
        assert refs.apply([Update(b"refs/artvc/packs/ab/1", head, None)])


def scenes(tmp_path: Path) -> tuple[Scene, bytes, int]:
    scene = Scene(tmp_path / "first")
    (head,) = scene.commits(1)
    push(scene, Disk(sync=False), head)  # makes directories, which stay
    reset(scene)
    disk = PointDisk()
    push(scene, disk, head)
    return scene, head, disk.count


def reset(scene: Scene) -> None:
    for path in (scene.root / ".git/objects/pack").iterdir():
        path.unlink()
    for name in scene.git("for-each-ref", "--format=%(refname)", "refs/artvc").split():
        scene.git("update-ref", "-d", name)


def test_killed_at_any_operation_nothing_is_damaged_and_the_same_again_goes_through(tmp_path):
    scene, head, count = scenes(tmp_path)
    assert count > 30
    for at in range(count):
        for part in ("before", "after"):
            reset(scene)
            disk = DyingDisk(Cut(at, part))
            with pytest.raises(Killed):
                push(scene, disk, head)
            disk.bury()
            for name in RefFiles(scene.home()).listed(b"refs/artvc/"):
                assert name in (META, b"refs/artvc/packs/ab/1")
            if list((scene.root / ".git/objects/pack").glob("pack*.idx")):
                for one in blobs(2, 100):
                    ObjectFiles(scene.home()).read(one.id, b"blob", limit=LIMIT)
            refs = RefFiles(scene.home())
            left = refs.read(b"refs/artvc/packs/ab/1")
            assert refs.apply([Update(b"refs/artvc/packs/ab/1", left, None)])
            push(scene, Disk(sync=False), head)
            assert not list((scene.root / ".git").rglob("*.lock"))
    scene.git("fsck", "--full")
    scene.git("prune", "--expire=now")
    assert not list((scene.root / ".git/objects/pack").glob("tmp_*"))


def test_failed_at_any_operation_it_is_said_or_done(tmp_path):
    scene, head, count = scenes(tmp_path)
    for at in range(count):
        reset(scene)
        try:
            push(scene, FailingDisk(at, 5, forever=False), head)
        except RemoteError:
            pass
        refs = RefFiles(scene.home())
        left = refs.read(b"refs/artvc/packs/ab/1")
        assert refs.apply([Update(b"refs/artvc/packs/ab/1", left, None)])
        push(scene, Disk(sync=False), head)
    scene.git("fsck", "--full")


def test_a_repository_that_may_not_be_written_is_said(scene):
    class Denied(Disk):
        def open_new(self, path: str) -> int:
            raise PermissionError(13, "Permission denied", path)

    with pytest.raises(RemoteDenied):
        ObjectFiles(scene.home(Denied())).write(blobs(1))


def test_threads_share_the_objects(scene):
    scene.commits(4)
    objects = ObjectFiles(scene.home())
    stop = threading.Event()

    def work(number: int) -> None:
        if number:
            while not stop.is_set():
                scene.check_all(objects)
        else:
            for _ in range(3):
                scene.git("repack", "--quiet", "-adf")
                scene.git("prune-packed")
            stop.set()

    together(3, work)
