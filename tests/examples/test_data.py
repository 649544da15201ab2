"""Finding MNIST: every place it may be, and what happens where it is not."""

import gzip
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SAMPLE = Path(__file__).parents[1] / "data" / "mnist"


@pytest.fixture
def data(example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, with an empty cache and no mirror to download from."""
    module = example("data")
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    torchvision = example("torch_support").import_torchvision()
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [])
    return module


def sample_sha256() -> dict[str, str]:
    """The SHA-256 of the sample's files, gunzipped, by name."""
    return {path.stem: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() for path in SAMPLE.glob("*.gz")}


def lay_out(folder: Path, *, zipped: bool) -> None:
    """Put the sample's four files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in SAMPLE.glob("*.gz"):
        if zipped:
            shutil.copy(path, folder)
        else:
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))


def test_sample_has_digits_of_every_class_in_the_proportions_of_the_full_set(
    data: ModuleType,
) -> None:
    mnist = data.load_mnist(sample=True)
    assert {name: len(labels) for name, (_, labels) in mnist.splits.items()} == {
        "training": 3125,
        "validation": 625,
        "test": 625,
    }
    for images, labels in mnist.splits.values():
        assert images.shape == (len(labels), 28, 28)
        assert (str(images.dtype), str(labels.dtype)) == ("torch.uint8", "torch.int64")
        assert labels.unique().tolist() == list(range(10))
    assert not mnist.genuine


def test_a_split_owns_its_rows_and_no_others(data: ModuleType) -> None:
    for split in data.load_mnist(sample=True).splits.values():
        for tensor in split:
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "raw"])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_data_dir_layouts(data: ModuleType, tmp_path: Path, below: str, zipped: bool) -> None:
    lay_out(tmp_path / below, zipped=zipped)
    mnist = data.load_mnist(tmp_path)
    assert mnist.sha256 == sample_sha256()
    assert len(mnist.splits["test"][1]) == 625


def test_data_dir_comes_before_the_environment(
    data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_DIR", str(SAMPLE))
    assert data.load_mnist().origin == str(SAMPLE)
    with pytest.raises(data.MnistError, match="doesn't hold MNIST"):
        data.load_mnist(tmp_path)


@pytest.mark.parametrize("name", ["t10k-labels-idx1-ubyte", "train-images-idx3-ubyte"])
@pytest.mark.parametrize("zipped", [True, False], ids=["gz", "raw"])
def test_a_truncated_file_is_a_readable_error(data: ModuleType, tmp_path: Path, name: str, zipped: bool) -> None:
    lay_out(tmp_path, zipped=zipped)
    path = tmp_path / (f"{name}.gz" if zipped else name)
    os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(data.MnistError, match="cannot be read as MNIST"):
        data.load_mnist(tmp_path)


def test_without_a_network_the_sample_is_used_and_the_reason_told(data: ModuleType) -> None:
    mnist = data.load_mnist()
    assert mnist.sha256 == sample_sha256()
    assert "sample" in mnist.origin
    assert "no mirror answers" in mnist.origin
    assert "\n" not in mnist.origin
    assert not data.cache_dir().exists()


def test_mirrors_that_refuse_or_keep_silent_are_given_up_soon(
    data: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "PROBE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        ports = [server.getsockname()[1] for server in (silent, refusing)]
        start = time.monotonic()
        assert data.answering([f"http://127.0.0.1:{port}/" for port in ports], "file") == []
        assert time.monotonic() - start < 3


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps silent, also when torchvision drops a connection it opened."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            super().copyfile(source, outputfile)
        except ConnectionError:
            self.close_connection = True


@pytest.fixture
def mirror() -> Iterator[str]:
    """A local server that has the sample's gzipped files."""
    handler = partial(QuietHandler, directory=str(SAMPLE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def published(
    data: ModuleType,
    example: Callable[[str], ModuleType],
    mirror: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Let torchvision and the example take the sample for the MNIST that the mirror has."""
    mnist = example("torch_support").import_torchvision().datasets.MNIST
    resources = [(name, hashlib.md5((SAMPLE / name).read_bytes()).hexdigest()) for name, _ in mnist.resources]
    monkeypatch.setattr(mnist, "resources", resources)
    monkeypatch.setattr(mnist, "mirrors", [mirror])
    monkeypatch.setattr(data, "GENUINE_SHA256", sample_sha256())


@pytest.mark.usefixtures("published")
def test_a_download_is_kept_for_the_next_time(
    data: ModuleType, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.load_mnist().origin == str(data.cache_dir())
    assert [path.name for path in data.cache_dir().parent.iterdir()] == ["mnist"]
    torchvision = example("torch_support").import_torchvision()
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [])
    assert data.load_mnist().genuine


@pytest.mark.usefixtures("published")
def test_a_mirror_with_other_content_leaves_nothing_behind(
    data: ModuleType, example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision = example("torch_support").import_torchvision()
    resources = [(name, "0" * 32) for name, _ in torchvision.datasets.MNIST.resources]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    mnist = data.load_mnist()
    assert "was not downloaded" in mnist.origin
    assert "\n" not in mnist.origin
    assert list(data.cache_dir().parent.iterdir()) == []


def test_a_damaged_cache_is_not_trained_on(data: ModuleType) -> None:
    lay_out(data.cache_dir(), zipped=False)
    with pytest.raises(data.MnistError, match="is damaged"):
        data.load_mnist()


def load_make_sample() -> ModuleType:
    """Import the script beside the sample."""
    spec = importlib.util.spec_from_file_location("make_sample", SAMPLE / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notice_names_the_digests_of_the_sample() -> None:
    notice = (SAMPLE / "NOTICE").read_text()
    named = re.findall(r"([0-9a-f]{64})  (\S+)", notice)
    assert {(digest, name) for name, digest in sample_sha256().items()} <= set(named)
    assert {(d, n) for n, d in load_make_sample().GENUINE_SHA256.items()} <= set(named)


def test_cutting_keeps_whole_rows() -> None:
    idx = struct.pack(">HBB3I", 0, 8, 3, 5, 2, 1) + bytes(range(10))
    cut = load_make_sample().every_nth(idx, 2)
    assert cut == struct.pack(">HBB3I", 0, 8, 3, 3, 2, 1) + bytes([0, 1, 4, 5, 8, 9])


def test_gzip_headers_hold_no_time_and_no_name() -> None:
    for path in SAMPLE.glob("*.gz"):
        magic, method, flags, mtime = struct.unpack_from("<HBBI", path.read_bytes())
        assert (magic, method, flags, mtime) == (0x8B1F, 8, 0, 0)
