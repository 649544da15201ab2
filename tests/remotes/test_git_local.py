"""Git repositories by path, as a remote."""

import itertools
import random
from pathlib import Path

import pytest

from artvc.errors import Damaged, NotFound, RemoteError
from artvc.remotes.git.local import LocalRemote, LocalWire
from artvc.remotes.git.objects import BLOB, Entry, GitObject, Limits, commit, streamed, tree, whole
from artvc.remotes.git.packfiles import ObjectFiles
from artvc.remotes.git.wire import Moved, Update
from artvc.store.fsio import Disk
from tests.remotes.conformance import Conformance, bytes_of, read
from tests.remotes.git_servers import git, hermetic

LIMITS = Limits(bytes=1 << 30, objects=1000, object_bytes=1 << 25, total_bytes=1 << 30)
META = b"refs/artvc/meta"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return hermetic(tmp_path)


@pytest.fixture
def root(tmp_path: Path, environ: dict[str, str]) -> Path:
    git("init", "--quiet", "--bare", tmp_path / "remote.git", environ=environ)
    return tmp_path / "remote.git"


def wire_of(root: Path) -> LocalWire:
    return LocalWire(root, str(root), Disk(sync=False))


def one_commit(body: bytes, parent: bytes | None = None) -> list[GitObject]:
    blob = whole(BLOB, body)
    folder = tree([Entry(b"pack", False, blob.id)])
    return [blob, folder, commit(folder.id, parent, "a pack", time=0)]


def body_of(wire: LocalWire, ref: bytes, limits: Limits = LIMITS) -> bytes | None:
    with wire.fetch([ref], lambda refs: refs.get(ref), limits=limits) as found:
        if found.wanted is None:
            return None
        made = found.objects.commit(found.wanted)
        (entry,) = found.objects.tree(made.tree)
        return b"".join(found.objects.blob(entry.id))


def test_what_is_pushed_is_fetched_and_git_agrees(root, environ):
    wire, body = wire_of(root), random.Random(1).randbytes(3_000_000)
    objects = one_commit(body)
    assert wire.refs(b"refs/") == {} and body_of(wire, META) is None
    wire.push(Update(META, None, objects[-1].id), objects)
    assert wire_of(root).refs(b"refs/heads/", b"refs/artvc/") == {META: objects[-1].id}
    assert body_of(wire_of(root), META) == body
    git("fsck", "--strict", environ=environ, cwd=root)
    assert git("cat-file", "-s", f"{META.decode()}:pack", environ=environ, cwd=root) == "3000000\n"
    git("gc", "--quiet", environ=environ, cwd=root)
    assert body_of(wire, META) == body
    wire.push(Update(META, objects[-1].id, None), [])
    assert wire.refs(b"refs/artvc/") == {}
    wire.close()


def test_a_ref_that_is_another_is_not_moved(root):
    wire, first, second = wire_of(root), one_commit(b"first"), one_commit(b"second")
    wire.push(Update(META, None, first[-1].id), first)
    for old in (None, second[-1].id):
        with pytest.raises(Moved) as moved:
            wire.push(Update(META, old, second[-1].id), second)
        assert moved.value.found == first[-1].id
    assert body_of(wire, META) == b"first"
    assert len(list((root / "objects/pack").glob("*.pack"))) == 1  # nothing is written for what can't go through


def test_a_push_that_breaks_off_leaves_nothing(root):
    wire = wire_of(root)
    blob = streamed(BLOB, 5_000_000, iter([[b"x" * 5_000_000], [b"x" * 4_999_999], [b"x" * 5_000_001]]).__next__)
    for _ in range(2):
        with pytest.raises(Damaged):
            wire.push(Update(META, None, blob.id), [blob])
    assert wire.refs(b"refs/") == {} and list((root / "objects/pack").iterdir()) == []


def test_objects_are_what_their_names_say(root, environ):
    wire, objects = wire_of(root), one_commit(b"text")
    wrong = GitObject(BLOB, objects[0].id, 4, lambda: [b"lies"])
    wire.push(Update(META, None, objects[-1].id), [wrong, *objects[1:]])
    with pytest.raises(Damaged, match="other bytes"):
        body_of(wire, META)
    with wire.fetch([b"refs/"], lambda refs: refs[META], limits=LIMITS) as found:
        for ask in (found.objects.commit, found.objects.tree, found.objects.blob):
            assert ask(b"1" * 40) is None
        with pytest.raises(Damaged):
            found.objects.tree(found.wanted)
        with pytest.raises(Damaged):
            list(found.objects.blob(found.wanted))
        with pytest.raises(Damaged):
            found.objects.commit(objects[1].id)


def test_nothing_larger_than_the_limit_is_read(root):
    wire, objects = wire_of(root), one_commit(b"x" * 1001)
    wire.push(Update(META, None, objects[-1].id), objects)
    tight = Limits(bytes=1 << 30, objects=1000, object_bytes=1000, total_bytes=1 << 30)
    with pytest.raises(Damaged, match="1001"):
        body_of(wire, META, tight)


def test_nothing_is_asked_before_it_must_be_and_no_repository_is_not_found(tmp_path):
    wire = wire_of(tmp_path / "nothing.git")
    for act in (lambda: wire.refs(b"refs/"), lambda: wire.push(Update(META, None, None), [])):
        with pytest.raises(NotFound, match=r"nothing\.git"):
            act()
    assert not (tmp_path / "nothing.git").exists()
    wire.close()


def test_hooks_are_not_run(root, environ, tmp_path):
    for name in ("pre-receive", "update", "post-receive", "reference-transaction"):
        (root / "hooks" / name).write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\nexit 1\n")
        (root / "hooks" / name).chmod(0o755)
    objects = one_commit(b"text")
    wire_of(root).push(Update(META, None, objects[-1].id), objects)
    assert not (tmp_path / "ran").exists()


def test_a_plain_clone_has_nothing_of_it(root, environ, tmp_path):
    objects = one_commit(random.Random(1).randbytes(3_000_000))
    wire_of(root).push(Update(META, None, objects[-1].id), objects)
    git("clone", "--quiet", "--no-local", root, tmp_path / "copy", environ=environ)
    assert git("count-objects", environ=environ, cwd=tmp_path / "copy").startswith("0 objects")
    assert "size-pack: 0\n" in git("count-objects", "-v", environ=environ, cwd=tmp_path / "copy")


def test_an_object_that_gc_removes_meanwhile_is_said(root):
    wire, objects = wire_of(root), one_commit(b"text")
    wire.push(Update(META, None, objects[-1].id), objects)
    with wire.fetch([b"refs/"], lambda refs: refs[META], limits=LIMITS) as found:
        pieces = found.objects.blob(objects[0].id)
        for path in (root / "objects/pack").iterdir():
            path.unlink()
        with pytest.raises(RemoteError, match="missing"):
            list(pieces)


class TestConformance(Conformance):
    @pytest.fixture(params=["remote.git", "mit Leerzeichen äöü 模型", ".hidden%20?#&"])
    def place(self, tmp_path: Path, environ: dict[str, str], request: pytest.FixtureRequest):
        bare = ["--bare"] if request.param.endswith(".git") else []
        root = tmp_path / request.param
        git("init", "--quiet", *bare, root, environ=environ)
        yield lambda: LocalRemote(wire_of(root), {})
        git("fsck", "--strict", environ=environ, cwd=root)
        assert [path for path in root.rglob("*") if path.suffix == ".lock" or path.name.startswith("tmp_")] == []


@pytest.mark.parametrize(
    "again", [None, ["-F"], ["-F", "-c", "core.compression=0"]], ids=["ours", "deflated", "stored"]
)
def test_parts_of_a_pack_however_git_has_stored_it(root, environ, make, again, monkeypatch):
    """As artvc wrote it; deflated anew; and stored by git, in blocks of other lengths."""
    remote, pack = LocalRemote(wire_of(root), {}), make.data(2_500_000)
    remote.upload(pack)
    body = bytes_of(pack)
    if again is None:
        inflated = ObjectFiles._inflated

        def small(self, fd, path, start, size):
            assert size < 1000, "all before the part is inflated"
            yield from inflated(self, fd, path, start, size)

        monkeypatch.setattr(ObjectFiles, "_inflated", small)
    else:
        options = [word for word in again if word != "-F"]
        git(*options, "repack", "--quiet", "-adF", environ=environ, cwd=root)
    edges = sorted(
        {
            0,
            1,
            65534,
            65535,
            65536,
            131070,
            16 * 65535,
            1 << 20,
            (1 << 20) + 1,
            31 * 65535 + 1,
            pack.size - 1,
            pack.size,
        }
    )
    for start, end in itertools.combinations([one for one in edges if one <= pack.size], 2):
        assert read(remote, pack, start, end) == body[start:end]
    for start in (0, 70_000, pack.size):
        assert read(remote, pack, start) == body[start:]
    for start, end in ((0, pack.size + 1), (pack.size + 1, None)):
        with pytest.raises(Damaged):
            read(remote, pack, start, end)


def test_a_pack_that_git_made_a_delta_of_another(root, environ, make):
    """Two commits of packs that are alike but for a few bytes; whoever is asked for the second gets all of it."""
    remote, pack = LocalRemote(wire_of(root), {}), make.data(400_000)
    remote.upload(pack)
    near = bytearray(bytes_of(pack))
    near[200_000:200_003] = b"abc"
    wire_of(root).push(Update(META, None, (objects := one_commit(bytes(near)))[-1].id), objects)
    git("repack", "--quiet", "-adf", environ=environ, cwd=root)
    (index,) = (root / "objects/pack").glob("*.idx")
    assert "chain length = 1: 1 object" in git("verify-pack", "-v", index, environ=environ, cwd=root)
    assert body_of(wire_of(root), META) == bytes(near)
    assert read(remote, pack, 199_990, 200_010) == bytes_of(pack)[199_990:200_010]
    assert read(remote, pack) == bytes_of(pack)
