"""Directories as remotes."""

import os
from pathlib import Path

import pytest

from artvc import recording
from artvc.errors import Damaged, NotFound, RemoteDenied, RemoteError, StorageError, StorageFull, UnsupportedFormat
from artvc.model.ids import Id, transaction_id
from artvc.recording import CommitRequest
from artvc.remotes.base import Known, PieceKind, Publication, Upload
from artvc.remotes.directory import DirectoryRemote
from artvc.repo import Repository
from artvc.settings import Settings
from artvc.store.fsio import Disk
from tests.faults.faulty_disk import ERRNOS, Cut, DyingDisk, FailingDisk, Killed, PointDisk
from tests.remotes.conformance import Conformance, Maker, Reader, bytes_of, followed, publish_all, read, upload_of

SETTINGS = Settings(sync=False, author_name="Ada", author_email="ada@example.com")


def remote_in(root: Path, disk: Disk | None = None) -> DirectoryRemote:
    return DirectoryRemote(root, disk or Disk(sync=False))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "remote"
    made.mkdir()
    return made


class TestConformance(Conformance):
    @pytest.fixture(params=["remote", "mit Leerzeichen äöü 模型", ".hidden%20?#&"])
    def place(self, tmp_path: Path, request: pytest.FixtureRequest):
        root = tmp_path / request.param
        root.mkdir()
        return lambda: remote_in(root)


def publication(number: int, transaction: bytes, last: Publication | None, metadata: list[Upload]) -> Publication:
    previous = transaction_id(last.transaction.partition(b"\n")[0]) if last else None
    return Publication(number=number, transaction=transaction, previous=previous, metadata=metadata)


def commit(root: Path, text: str) -> None:
    with Repository.open(root, SETTINGS) as repo:
        (root / "file").write_text(text)
        request = CommitRequest(paths=(root / "file",), name="data", type="dataset")
        recording.commit_paths(repo, request, now=lambda: "2026-11-23T03:00:00.000000Z")


def test_another_checkout_is_a_remote_and_its_commits_are_transactions(root):
    made, _ = Repository.create(root, settings=SETTINGS)
    made.close()
    commit(root, "one")
    seen = Reader()
    remote = remote_in(root)
    seen.follow(remote)
    assert sorted(seen.transactions) == [1]
    assert len(seen.indexes) == len(remote.packs()) == 1 and seen.metadata
    commit(root, "two")
    heads = seen.follow(remote_in(root))
    assert (PieceKind.TRANSACTION, 2, None) in heads
    for pack in remote.packs():
        assert seen.indexes[pack] == upload_of(root / ".artvc" / "packs" / f"{pack}.pack").index


def test_what_is_pushed_to_a_directory_is_a_repository(root, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    made, _ = Repository.create(source, settings=SETTINGS)
    made.close()
    commit(source, "text " * 1000)
    commit(source, "other " * 1000)
    here, there = remote_in(source), remote_in(root)
    seen = followed(here)
    packs = source / ".artvc" / "packs"
    uploads = {pack: upload_of(packs / f"{pack}.pack") for pack in here.packs() | seen.metadata.keys()}
    for pack in here.packs():
        there.upload(uploads[pack])
    last = None
    for number, transaction in seen.transactions.items():
        last = publication(number, transaction, last, [uploads[pack] for pack in seen.metadata])
        assert there.publish(last)
    with Repository.open(root, SETTINGS) as copy:
        assert copy.resolve("data:latest").version.number == 1
        assert list(copy.objects.verify_packs()) == []
    assert followed(there).metadata == seen.metadata


def test_the_directory_that_holds_the_store_means_the_same(root, make):
    remote = remote_in(root)
    publish_all(remote, [make.next()])
    assert followed(remote_in(root / ".artvc")).number == 1
    assert not (root / ".artvc" / ".artvc").exists()


def test_no_directory_is_not_found_and_none_is_made(tmp_path, make):
    remote = remote_in(tmp_path / "unmounted" / "models")
    for act in (
        remote.probe,
        remote.packs,
        lambda: list(remote.history(Known())),
        lambda: remote.upload(make.data()),
        lambda: remote.publish(make.next()),
        lambda: read(remote, make.data()),
    ):
        with pytest.raises(NotFound):
            act()
    assert not (tmp_path / "unmounted").exists()


def test_reading_makes_nothing(root):
    remote = remote_in(root)
    assert remote.packs() == frozenset() and list(remote.history(Known())) == []
    assert remote.probe().writable
    assert list(root.iterdir()) == []


def test_a_newer_repository_is_not_touched(root, make):
    made, _ = Repository.create(root, settings=SETTINGS)
    made.close()
    path = root / ".artvc" / "format"
    body = path.read_bytes().replace(b'"version":1', b'"version":2').partition(b"\n")[0]
    path.write_bytes(body + b"\n" + transaction_id(body).hex().encode() + b"\n")
    before = {one: one.stat().st_mtime_ns for one in (root / ".artvc").rglob("*")}
    for act in (lambda: remote_in(root).upload(make.data()), lambda: remote_in(root).packs()):
        with pytest.raises(UnsupportedFormat):
            act()
    assert {one: one.stat().st_mtime_ns for one in (root / ".artvc").rglob("*")} == before


# -- what lies there may be damaged, strange or hostile -----------------------------------------------------


def test_strangers_among_the_files_are_passed_over(root, make):
    remote = remote_in(root)
    data = make.data()
    remote.upload(data)
    publish_all(remote, [make.next(metadata=[make.metadata()], indexes=[data])])
    store, hexes = root / ".artvc", "0" * 63
    for name in (
        "readme.txt",
        hexes + ".pack",
        "A" * 64 + ".pack",
        "x" * 64 + ".pack",
        "..pack",
        hexes + "1.pack.part",
    ):
        (store / "packs" / name).write_bytes(b"nothing of ours")
    for name in ("1.json", "0" * 18 + "2.json", "0" * 20 + ".jsonx", "٣" * 20 + ".json", "note"):
        (store / "refs" / name).write_bytes(b"nothing of ours")
    assert remote.packs() == {data.id}
    assert sorted(followed(remote).transactions) == [1]


@pytest.mark.parametrize("what", ["fifo", "directory", "link", "empty", "header", "text"])
def test_what_is_no_pack_is_none(root, make, what):
    remote, data, tree = remote_in(root), make.data(), make.metadata()
    remote.upload(data)
    publish_all(remote, [make.next(metadata=[tree], indexes=[data])])
    path = root / ".artvc" / "packs" / ("ab" * 32 + ".pack")
    secret = root / "secret.pack"
    secret.write_bytes(bytes_of(data))
    match what:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to(secret)
        case "empty":
            path.write_bytes(b"")
        case "header":
            path.write_bytes(bytes_of(data)[:16])
        case "text":
            path.write_bytes(b"not a pack at all" * 10)
    for client in (remote, remote_in(root)):
        seen = followed(client)
        assert seen.indexes == {data.id: data.index} and seen.metadata == {tree.id: bytes_of(tree)}
        assert client.packs() - {data.id} <= ({Id.parse(path.stem)} if what == "header" else set())


def test_a_transaction_that_is_a_fifo_keeps_nobody_waiting(root, make):
    remote = remote_in(root)
    publish_all(remote, [make.next()])
    os.mkfifo(root / ".artvc" / "refs" / f"{2:020}.json")
    with pytest.raises(Damaged):
        followed(remote)


def test_a_gap_in_the_log_is_said(root, make):
    remote, chain = remote_in(root), [make.next()]
    chain += [make.next(chain[-1])]
    chain += [make.next(chain[-1])]
    publish_all(remote, chain)
    (root / ".artvc" / "refs" / f"{2:020}.json").unlink()
    with pytest.raises(RemoteError, match=f"{2:020}"):
        followed(remote)


def test_damage_to_one_pack_leaves_the_others_readable(root, make):
    remote, packs = remote_in(root), [make.data(), make.data()]
    for pack in packs:
        remote.upload(pack)
    path = root / ".artvc" / "packs" / f"{packs[0].id}.pack"
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    assert followed(remote).indexes == {packs[1].id: packs[1].index}


def test_a_pack_that_is_too_short_is_replaced(root, make):
    remote, pack = remote_in(root), make.data()
    remote.upload(pack)
    path = root / ".artvc" / "packs" / f"{pack.id}.pack"
    path.write_bytes(bytes_of(pack)[:-20])
    with pytest.raises(Damaged):
        read(remote, pack, 0, pack.size)
    remote.upload(pack)
    assert read(remote, pack) == bytes_of(pack)


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_checkpoint_is_passed_over(root, make, damage):
    remote, chain = remote_in(root), [make.next()]
    for number in range(2, 70):
        chain.append(make.next(chain[-1], checkpoint=number in (65, 68)))
    publish_all(remote, chain)
    assert list(followed(remote).checkpoints) == [68]
    path = root / ".artvc" / "refs" / f"{68:020}.checkpoint"
    path.write_bytes(path.read_bytes()[:-1] + b"?" if damage is None else damage)
    assert list(followed(remote).checkpoints) == [65]
    path.with_name(f"{65:020}.checkpoint").write_bytes(path.read_bytes())
    seen = followed(remote)
    assert not seen.checkpoints and sorted(seen.transactions) == list(range(1, 70))


def test_a_transaction_that_is_not_whole_is_not_published(root, make):
    remote, first = remote_in(root), make.next()
    with pytest.raises(Damaged):
        remote.publish(publication(1, first.transaction[:-3], None, []))
    assert followed(remote).number == 0


def test_a_data_pack_is_not_published_as_metadata_nor_the_other_way_round(root, make):
    remote = remote_in(root)
    with pytest.raises(Damaged):
        remote.upload(make.metadata())
    with pytest.raises(Damaged):
        remote.publish(make.next(metadata=[make.data()]))
    assert followed(remote).number == 0 and remote.packs() == frozenset()


def test_packs_that_were_removed_meanwhile_are_not_referred_to(root, make):
    remote, data = remote_in(root), make.data()
    remote.upload(data)
    (root / ".artvc" / "packs" / f"{data.id}.pack").unlink()
    with pytest.raises(RemoteError, match="lost"):
        remote.publish(make.next(indexes=[data]))
    assert followed(remote).number == 0


# -- its disk fails -----------------------------------------------------------------------------------------


def push(root: Path, make: Maker, disk: Disk) -> bool:
    remote, data = remote_in(root, disk), make.data(seed=1)
    remote.upload(data)
    first = make.next(metadata=[make.metadata(seed=2)], indexes=[data], checkpoint=True)
    return remote.publish(first)


def points(tmp_path: Path, make: Maker) -> int:
    root, disk = tmp_path / "count", PointDisk()
    root.mkdir()
    assert push(root, make, disk)
    return disk.count


def test_killed_at_any_operation_a_push_is_there_or_not_and_goes_through_when_repeated(tmp_path, make):
    count = points(tmp_path, make)
    assert count > 40
    for at in range(count):
        for part in ("before", "half", "after"):
            root = tmp_path / f"{at}{part}"
            root.mkdir()
            disk = DyingDisk(Cut(at, part))
            try:
                push(root, make, disk)
            except Killed:
                disk.bury()
            seen = followed(remote_in(root))
            assert seen.number in (0, 1)
            if seen.number:
                assert len(seen.metadata) == len(seen.indexes) == 1
            assert push(root, make, Disk(sync=False))
            Repository.open(root, SETTINGS).close()
            assert len(followed(remote_in(root)).metadata) == 1


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize(
    ("errno", "failure"), [("EIO", RemoteError), ("ENOSPC", StorageFull), ("EACCES", RemoteDenied)]
)
def test_failed_at_any_operation_a_push_says_so_or_is_done(tmp_path, make, errno, failure, forever):
    for at in range(points(tmp_path, make)):
        root = tmp_path / f"{at}"
        root.mkdir()
        try:
            assert push(root, make, FailingDisk(at, ERRNOS[errno], forever=forever))
        except failure:
            assert followed(remote_in(root)).number in (0, 1)
        assert push(root, make, Disk(sync=False))


def test_a_file_system_without_links_is_said_by_the_probe(root, make):
    class Fat(Disk):
        def link(self, old: str, new: str) -> None:
            raise StorageError(f"cannot link {old}: Operation not permitted")

    publish_all(remote_in(root), [make.next()])
    found = remote_in(root, Fat(sync=False)).probe()
    assert not found.writable and not found.many_writers and "hard links" in found.warnings[0]
    assert list((root / ".artvc" / "tmp").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_may_only_be_read_can_be_read(root, make):
    publish_all(remote_in(root), [make.next()])
    for path in [root, *root.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        remote = remote_in(root)
        assert not remote.probe().writable
        assert followed(remote).number == 1
        with pytest.raises(RemoteDenied):
            remote.upload(make.data())
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o700)
