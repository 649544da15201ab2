"""The door: short writes, descriptors, translation of errors, and who may use it."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from artvc.errors import StorageError, StorageFull
from artvc.store import fsio
from artvc.store.fsio import Disk


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("iov", [1, 2, 1024])
def test_short_writes(tmp_path, monkeypatch, step, iov):
    real = os.writev
    monkeypatch.setattr(fsio, "_IOV", iov)

    def writev(fd, buffers):
        data = b"".join(bytes(one) for one in buffers)[:step]
        return real(fd, [data])

    monkeypatch.setattr(fsio.os, "writev", writev)
    disk = Disk(sync=False)
    fd = disk.open_new(str(tmp_path / "file"))
    pieces = [b"", b"one", bytearray(b"two"), memoryview(b"three"), b"", b"x" * 20, b""]
    assert disk.write(fd, pieces) == 31
    assert disk.write(fd, []) == 0
    disk.close(fd)
    assert (tmp_path / "file").read_bytes() == b"onetwothree" + b"x" * 20


def test_short_reads(tmp_path, monkeypatch):
    real = os.pread
    monkeypatch.setattr(fsio.os, "pread", lambda fd, size, offset: real(fd, min(size, 3), offset))
    (tmp_path / "file").write_bytes(bytes(range(100)))
    disk = Disk()
    assert disk.read_file(str(tmp_path / "file"), limit=100) == bytes(range(100))
    with pytest.raises(StorageError, match="more than"):
        disk.read_file(str(tmp_path / "file"), limit=99)


def test_many_buffers(tmp_path):
    disk = Disk(sync=False)
    fd = disk.open_new(str(tmp_path / "file"))
    assert disk.write(fd, [b"%05d" % n for n in range(5000)]) == 25_000
    disk.close(fd)
    assert (tmp_path / "file").read_bytes() == b"".join(b"%05d" % n for n in range(5000))


def test_never_the_descriptors_of_stdio(tmp_path):
    """With stdin, stdout and stderr closed, a stray print must not land in a pack."""
    code = """
        import os, sys
        for fd in (0, 1, 2):
            os.close(fd)
        from artvc.store.fsio import Disk
        disk = Disk(sync=False)
        new = disk.open_new(sys.argv[1] + "/new")
        append = disk.open_append(sys.argv[1] + "/append")
        read = disk.open_read(sys.argv[1] + "/new")
        disk.write(new, [b"data"])
        assert min(new, append, read) > 2, (new, append, read)
        with disk.lock(sys.argv[1] + "/lock", exclusive=True) as had:
            assert had
            assert not {0, 1, 2} & {int(fd) for fd in os.listdir("/proc/self/fd")} - {os.open("/", os.O_RDONLY)}
        with open(sys.argv[1] + "/passed", "w") as file:
            file.write("yes")
    """
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], cwd=root, check=False)
    assert (tmp_path / "passed").exists()
    assert (tmp_path / "new").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageError), (errno.EROFS, StorageError)],
)
def test_errors_are_translated(tmp_path, monkeypatch, number, kind):
    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    disk = Disk()
    fd = disk.open_new(str(tmp_path / "file"))
    for name in ("writev", "fsync", "ftruncate"):
        monkeypatch.setattr(fsio.os, name, refuse)
    for act in (lambda: disk.write(fd, [b"x"]), lambda: disk.fsync(fd), lambda: disk.truncate(fd, 1)):
        with pytest.raises(kind) as caught:
            act()
        assert os.strerror(number) in caught.value.message
    monkeypatch.undo()
    disk.close(fd)


def test_the_answers_that_callers_decide_by(tmp_path):
    disk = Disk(sync=False)
    (tmp_path / "there").write_bytes(b"")
    with pytest.raises(FileExistsError):
        disk.open_new(str(tmp_path / "there"))
    with pytest.raises(FileExistsError):
        disk.create_file(str(tmp_path / "there"), b"x", tmp=str(tmp_path))
    with pytest.raises(FileNotFoundError):
        disk.open_read(str(tmp_path / "missing"))
    assert sorted(os.listdir(tmp_path)) == ["there"]


def test_links_are_not_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    disk = Disk(sync=False)
    for act in (disk.open_read, disk.open_append):
        with pytest.raises(StorageError):
            act(str(tmp_path / "link"))
    disk.write_file(str(tmp_path / "link"), b"new", tmp=str(tmp_path), durable=True)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert (tmp_path / "link").read_bytes() == b"new"


def test_order_of_a_durable_write(tmp_path):
    """Written, synced, named, directory synced: nothing else makes a name safe to trust."""
    calls = []

    class Noting(Disk):
        pass

    for name in ("write", "fsync", "close", "rename", "link", "unlink", "fsync_dir"):
        real = getattr(Disk, name)
        setattr(Noting, name, lambda self, *a, real=real, name=name: (calls.append(name), real(self, *a))[1])
    disk = Noting()
    disk.write_file(str(tmp_path / "a"), b"x", tmp=str(tmp_path), durable=True)
    assert calls == ["write", "fsync", "close", "rename", "fsync_dir"]
    calls.clear()
    disk.create_file(str(tmp_path / "b"), b"x", tmp=str(tmp_path))
    assert calls == ["write", "fsync", "close", "link", "unlink", "fsync_dir"]


def test_a_missing_temporary_directory_is_made(tmp_path):
    Disk(sync=False).write_file(str(tmp_path / "a"), b"x", tmp=str(tmp_path / "tmp"), durable=True)
    assert (tmp_path / "a").read_bytes() == b"x"


def test_locks_shut_out(tmp_path):
    path = str(tmp_path / "lock")
    code = "import fcntl,os,sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with Disk().lock(path, exclusive=True) as had:
        assert had
        assert subprocess.run([sys.executable, "-c", code, path], capture_output=True).returncode
    assert not subprocess.run([sys.executable, "-c", code, path], capture_output=True).returncode
    with Disk().lock(str(tmp_path / "no" / "lock"), exclusive=True) as had:
        assert not had
