"""``artvc://``: what fsspec and those who read through it see."""

import io
import os
import pickle
import random
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec")

from artvc import filesystem, recording, settings  # noqa: E402
from artvc.errors import FileMissing, InvalidInput, NotARepository, UsageError  # noqa: E402
from artvc.filesystem import ArtvcFileSystem  # noqa: E402
from artvc.recording import CommitRequest  # noqa: E402
from artvc.repo import Repository  # noqa: E402
from artvc.settings import Settings  # noqa: E402
from artvc.sync import sharing  # noqa: E402

BIG = random.Random(5).randbytes(3_000_000)
FILES = {"big.bin": BIG, "a.csv": b"x,y\n1,2\n3,4\n", "sub/b.txt": b"bee\n", "sub/deep/c.txt": b""}


class Lab:
    """A repository with a version, and filesystems about it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.repo, _ = Repository.create(root, settings=Settings(sync=False))
        self.commit(FILES)

    def commit(self, files: dict[str, bytes]) -> None:
        base = self.root / "data"
        for name, data in files.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_bytes(data)
        request = CommitRequest(paths=(base,), name="data", type="dataset")
        recording.commit_paths(self.repo, request, now=settings.now)

    def fs(self, **options: Any) -> ArtvcFileSystem:
        return ArtvcFileSystem(repo=self.root, **options)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    filesystem._forget()
    made = Lab(tmp_path / "lab")
    yield made
    made.repo.close()
    filesystem._forget()


@pytest.fixture
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The ids of chunks that are read from packs."""
    from artvc.store.objects import Objects

    seen: list[Any] = []
    real = Objects.chunks

    def chunks(self: Objects, wanted: Any) -> Any:
        seen.extend(wanted)
        return real(self, wanted)

    monkeypatch.setattr(Objects, "chunks", chunks)
    return seen


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("artvc://data:latest/sub/b.txt", "data:latest/sub/b.txt"),
        ("artvc://p/data:v0/sub/", "p/data:v0/sub"),
        ("data@0123abcd/x", "data@0123abcd/x"),
        ("artvc://", ""),
    ],
)
def test_strip_protocol(url: str, path: str) -> None:
    assert ArtvcFileSystem._strip_protocol(url) == path


def test_looking(lab: Lab) -> None:
    fs = lab.fs()
    assert fs.ls("", detail=False) == ["uncategorized/data:latest"]
    top = ["data:v0/a.csv", "data:v0/big.bin", "data:v0/sub"]
    assert fs.ls("artvc://data:v0", detail=False) == top
    assert [(one["type"], one["size"]) for one in fs.ls("data:v0/")] == [
        ("file", 12), ("file", len(BIG)), ("directory", 4),
    ]  # fmt: skip
    assert fs.info("data/sub/b.txt")["size"] == 4
    assert fs.find("data:latest") == [f"data:latest/{name}" for name in sorted(FILES)]
    assert fs.glob("data:v0/**/*.txt") == ["data:v0/sub/b.txt", "data:v0/sub/deep/c.txt"]
    assert fs.isfile("uncategorized/data:v0/a.csv") and fs.isdir("uncategorized/data:v0/sub")
    assert not fs.isdir("data:v0/a.csv") and not fs.exists("data:v0/none") and not fs.exists("data:v7/a.csv")
    assert fs.ls("data:v0/a.csv", detail=False) == ["data:v0/a.csv"]
    assert fs.ukey("data:v0/a.csv") == fs.ukey("data/a.csv") != fs.ukey("data:v0/big.bin")


def test_links_inside_the_version(lab: Lab) -> None:
    base = lab.root / "data"
    (base / "sub" / "up").symlink_to("../a.csv")
    (base / "dir").symlink_to("sub")
    (base / "out").symlink_to("gone")
    lab.commit({})
    fs = lab.fs()
    assert fs.cat_file("data/sub/up") == FILES["a.csv"] and fs.info("data/sub/up")["type"] == "file"
    assert {fs.info(f"data/{name}")["type"] for name in ("dir", "out")} == {"link"}
    assert len(fs.find("data:latest")) == len(FILES) + 3
    with pytest.raises(InvalidInput, match="symlink"):
        fs.cat_file("data/out")


def test_reading(lab: Lab) -> None:
    fs = lab.fs()
    assert fs.cat_file("data/big.bin") == BIG
    for start, end in [(0, 1), (100_000, 900_001), (-5, None), (None, -2_999_990), (5, 5), (9, 2), (2_999_999, 9**9)]:
        assert fs.cat_file("data/big.bin", start, end) == BIG[start:end]
    assert fs.cat_file("data/sub/deep/c.txt") == b""
    with fs.open("data/big.bin") as file:
        rng = random.Random(1)
        for _ in range(200):
            at, count = rng.randrange(len(BIG)), rng.choice([1, 100, 70_000])
            file.seek(at)
            assert file.read(count) == BIG[at : at + count]
        file.seek(0)
        assert file.read() == BIG and file.read(1) == b""
    with fs.open("data/a.csv", "r") as text:
        assert text.readlines() == ["x,y\n", "1,2\n", "3,4\n"]


def test_whole_file_larger_than_the_window(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_WINDOW", 300_000)
    with lab.fs().open("data/big.bin") as file:
        assert b"".join(iter(lambda: file.read(77_777), b"")) == BIG


def test_a_range_reads_the_chunks_that_it_needs_once(lab: Lab, chunks_read: list[Any]) -> None:
    fs = lab.fs()
    content = fs._content("data/big.bin")
    from artvc.model import merkle

    needed = [one.id for one in merkle.slices(content, lab.repo.objects.get, start=1_000_000, stop=1_300_000)]
    assert 1 < len(needed) < 20
    fs.cat_file("data/big.bin", 1_000_000, 1_300_000)
    assert chunks_read == needed
    with fs.open("data/big.bin") as file:
        file.seek(1_000_000)
        file.read(300_000)
    assert fs.cat_ranges(["data/big.bin"] * 2, [1_000_000, 1_100_000], [1_000_001, 1_200_000]) == [
        BIG[1_000_000:1_000_001], BIG[1_100_000:1_200_000],
    ]  # fmt: skip
    assert chunks_read == needed


def test_the_cache_is_bounded(lab: Lab, chunks_read: list[Any]) -> None:
    filesystem._process.cache = filesystem._Cache(500_000)
    fs = lab.fs()
    assert fs.cat_file("data/big.bin") == BIG
    cache = filesystem._process.cache
    assert sum(map(len, cache._kept.values())) == cache._size <= 500_000
    before = len(chunks_read)
    assert fs.cat_file("data/big.bin", 0, 10) == BIG[:10]
    assert len(chunks_read) == before + 1  # it had to go
    assert fs.cat_file("data/big.bin", -10) == BIG[-10:]
    assert len(chunks_read) == before + 1  # it had stayed


def test_ranges_of_several_files_and_their_errors(lab: Lab) -> None:
    fs = lab.fs()
    paths = ["data/a.csv", "data/none", "data/big.bin"]
    found = fs.cat_ranges(paths, 0, [3, 3, 5])
    assert found[0] == b"x,y" and isinstance(found[1], FileNotFoundError) and found[2] == BIG[:5]
    with pytest.raises(FileMissing):
        fs.cat_ranges(paths, 0, [3, 3, 5], on_error="raise")
    assert fs.cat(["data/a.csv", "data/sub/b.txt"]) == {"data/a.csv": FILES["a.csv"], "data/sub/b.txt": b"bee\n"}


def test_a_reference_is_pinned(lab: Lab) -> None:
    fs = lab.fs()
    assert fs.cat_file("data:latest/a.csv") == FILES["a.csv"]
    copy = pickle.dumps(fs)
    lab.commit({"a.csv": b"new"})
    for one in (fs, pickle.loads(copy)):
        assert one.cat_file("data:latest/a.csv") == FILES["a.csv"]
        assert one.ls("data:latest")[0]["size"] == 12
    assert lab.fs().cat_file("data:latest/a.csv") == b"new"
    fs.invalidate_cache("artvc://data:latest/a.csv")
    assert fs.cat_file("data:latest/a.csv") == b"new"


def test_pickles_know_their_repository(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.root / "data")
    fs = ArtvcFileSystem()
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(pickle.dumps(fs))
    assert again.root == str(lab.root) and again.cat_file("data/sub/b.txt") == b"bee\n"


def test_threads(lab: Lab) -> None:
    fs = lab.fs()

    def check(seed: int) -> bool:
        start = random.Random(seed).randrange(len(BIG) - 200_000)
        with fs.open("data/big.bin") as file:
            file.seek(start)
            return bool(file.read(200_000) == BIG[start : start + 200_000])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(64)))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(lab: Lab) -> None:
    fs = lab.fs()
    file = fs.open("data/big.bin")
    assert file.read(10) == BIG[:10]
    parent = filesystem._store(fs.root)
    with filesystem._process.lock, parent.lock:  # another thread may hold them
        child = os.fork()
        if not child:
            code = 1
            try:
                ours = filesystem._store(fs.root) is not parent
                file.seek(2_000_000)
                good = file.read(100) == BIG[2_000_000:2_000_100] and fs.cat_file("data/a.csv") == FILES["a.csv"]
                code = 0 if ours and good else 2
            finally:
                os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert file.read(5) == BIG[10:15]


def test_by_its_name(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("artvc", "artvc.filesystem.ArtvcFileSystem", clobber=True)
    with fsspec.open("artvc://data:v0/sub/b.txt", repo=lab.root) as file:
        assert file.read() == b"bee\n"
    monkeypatch.setenv("ARTVC_DIR", str(lab.root / ".artvc"))
    fs, path = fsspec.url_to_fs("artvc://data:v0/sub/b.txt")
    assert (fs.root, path) == (str(lab.root), "data:v0/sub/b.txt")
    with fsspec.open("artvc://data/a.csv", "rt") as file:
        assert file.readline() == "x,y\n"


def test_the_entry_point_names_the_class() -> None:
    import tomllib

    project = tomllib.loads((Path(filesystem.__file__).parents[1] / "pyproject.toml").read_text())
    (entry,) = project["project"]["entry-points"]["fsspec.specs"].items()
    module, _, name = entry[1].partition(":")
    assert entry[0] == ArtvcFileSystem.protocol and getattr(sys.modules[module], name) is ArtvcFileSystem


WRITES: list[Callable[[Any], Any]] = [
    lambda fs: fs.open("data:v0/new", "wb"),
    lambda fs: fs.open("data:v0/a.csv", "ab"),
    lambda fs: fs.pipe("data:v0/new", b"x"),
    lambda fs: fs.rm("data:v0/a.csv"),
    lambda fs: fs.mkdir("data:v0/d"),
    lambda fs: fs.makedirs("data:v0/d"),
    lambda fs: fs.mv("data:v0/a.csv", "data:v0/b.csv"),
    lambda fs: fs.copy("data:v0/a.csv", "data:v0/b.csv"),
    lambda fs: fs.touch("data:v0/a.csv"),
    lambda fs: fs.put(__file__, "data:v0/b.csv"),
]


@pytest.mark.parametrize("write", WRITES)
def test_no_writing(lab: Lab, write: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match="for reading only"):
        write(lab.fs())


def test_errors_say_what_is_missing(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match=str(tmp_path)):
        ArtvcFileSystem(repo=tmp_path)
    fs = lab.fs()
    for path, message in [
        ("data:v3/a.csv", "has no version v3"),
        ("data:best/a.csv", "has no alias 'best'"),
        ("dat:v0/a.csv", "no artifact 'dat'"),
        ("data:v0/b.csv", "has no file 'b.csv'"),
    ]:
        with pytest.raises(FileMissing, match=message) as caught:
            fs.open(path)
        assert isinstance(caught.value, FileNotFoundError) and message in str(caught.value)
    with pytest.raises(FileMissing) as caught:
        fs.info("data:v0/a.cs")
    assert caught.value.hint == "did you mean 'a.csv'?"
    with pytest.raises(InvalidInput, match="is a directory"):
        fs.open("data:v0/sub")


def test_pandas(lab: Lab) -> None:
    pandas = pytest.importorskip("pandas")
    fsspec.register_implementation("artvc", "artvc.filesystem.ArtvcFileSystem", clobber=True)
    frame = pandas.read_csv("artvc://data:v0/a.csv", storage_options={"repo": str(lab.root)})
    assert frame["y"].tolist() == [2, 4]


def test_parquet_columns(lab: Lab, chunks_read: list[Any]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rng = random.Random(2)
    columns = {f"c{n}": [rng.random() for _ in range(100_000)] for n in range(8)}
    made = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), made, compression="none", use_dictionary=False)
    lab.commit({"t.parquet": made.getvalue()})
    table = parquet.read_table("data/t.parquet", columns=["c3"], filesystem=lab.fs())
    assert table["c3"].to_pylist() == columns["c3"]
    content = lab.fs()._content("data/t.parquet")
    from artvc.model import merkle

    sizes = {one.id: one.size for one in merkle.slices(content, lab.repo.objects.get)}
    assert sum(sizes[one] for one in chunks_read) < 0.25 * content.size


def test_the_examples_of_the_page(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    made = io.BytesIO()
    parquet.write_table(pyarrow.table({"c3": [1, 2]}), made)
    lab.commit({"t.parquet": made.getvalue()})
    monkeypatch.chdir(lab.root)
    fsspec.register_implementation("artvc", "artvc.filesystem.ArtvcFileSystem", clobber=True)
    page = (Path(filesystem.__file__).parent / "docs" / "filesystem.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    seen: dict[str, Any] = {}
    for example in examples:
        exec(example.replace("/path/of/the/repository", str(lab.root)), seen)
    assert seen["frame"].shape == (2, 2) and seen["head"] == BIG[:100] and seen["table"]["c3"].to_pylist() == [1, 2]


@pytest.fixture
def far(lab: Lab, tmp_path: Path) -> Iterator[tuple[Repository, list[int]]]:
    """A clone without data, and the bytes of packs that travelled to it since."""
    work = sharing.Work(environ={}, now=settings.now)
    (tmp_path / "remote").mkdir()
    sharing.add_remote(lab.repo, "origin", str(tmp_path / "remote"), work, base=tmp_path)
    sharing.push_to(lab.repo, "origin", work, settled={})
    clone, _ = sharing.clone(
        str(tmp_path / "remote"), tmp_path / "far", work, base=tmp_path, settings=Settings(sync=False)
    )
    yield clone, []
    clone.close()


def test_on_demand(lab: Lab, far: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from artvc.model import merkle
    from artvc.sync.lending import Lender

    clone, travelled = far
    calls: list[int] = []
    real = Lender.bring

    def bring(self: Lender, wanted: Any) -> Any:
        brought = real(self, wanted)
        travelled.append(brought.bytes)
        calls.append(brought.chunks)
        return brought

    monkeypatch.setattr(Lender, "bring", bring)
    fs = ArtvcFileSystem(repo=clone.root)
    assert len(fs.find("data:v0")) == len(FILES) and not travelled
    starts, ends = [500_000, 2_000_000], [650_000, 2_100_000]
    assert fs.cat_ranges(["data/big.bin"] * 2, starts, ends) == [BIG[500_000:650_000], BIG[2_000_000:2_100_000]]
    content = fs._content("data/big.bin")
    needed = {
        one.id: one.size
        for start, stop in zip(starts, ends, strict=True)
        for one in merkle.slices(content, lab.repo.objects.get, start=start, stop=stop)
    }
    assert calls == [len(needed)]  # one trip
    assert 0 < sum(travelled) <= 1.2 * sum(needed.values())
    with fs.open("data/big.bin") as file:
        file.seek(510_000)
        assert file.read(100_000) == BIG[510_000:610_000]
    assert len(travelled) == 1
