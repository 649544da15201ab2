"""Finding MNIST, and splitting it into training, validation and test digits.

The digits come from the first of these that applies:

1. the sample committed with this repository, if it is asked for;
2. the folder given by `--data-dir` or the environment variable MNIST_DIR;
3. an earlier download, in the user's cache folder;
4. a download by torchvision;
5. the sample again, with a notice that says why.
"""

import contextlib
import gzip
import hashlib
import http.client
import os
import socket
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch_support import import_torchvision

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

SAMPLE_DIR = Path(__file__).resolve().parents[2] / "tests" / "data" / "mnist"
SAMPLE = "the committed sample (one true digit in sixteen)"

# The uncompressed files as LeCun, Cortes and Burges published them.
GENUINE_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

PROBE_SECONDS = 4.0  # how long a mirror may take to answer before we call the network absent
STALL_SECONDS = 20.0  # how long a running download may stand still

# Images uint8 (n, 28, 28), 0 is paper and 255 is ink; labels int64 (n,), 0 to 9.
Digits = tuple[torch.Tensor, torch.Tensor]


class MnistError(Exception):
    """MNIST was not found where the user said it is, or cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mnist:
    """The digits, where they came from, and the digests of the four files they were read from."""

    splits: Mapping[str, Digits]
    sha256: Mapping[str, str]
    origin: str

    @property
    def genuine(self) -> bool:
        """Whether this is the complete published MNIST."""
        return self.sha256 == GENUINE_SHA256


def load_mnist(data_dir: Path | None = None, *, sample: bool = False) -> Mnist:
    """Find MNIST, read it and split it.

    Raises:
        MnistError: the folder named by `data_dir` or MNIST_DIR doesn't hold a readable MNIST.
    """
    if sample:
        return read_folder(SAMPLE_DIR, SAMPLE)
    if data_dir is None and os.environ.get("MNIST_DIR"):
        data_dir = Path(os.environ["MNIST_DIR"])
    if data_dir is not None:
        return read_folder(data_dir, str(data_dir))
    cache = cache_dir()
    if not cache.exists():
        try:
            download(cache)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            return read_folder(SAMPLE_DIR, f"{SAMPLE}: MNIST was not downloaded, {reason}")
    mnist = read_folder(cache, str(cache))
    if not mnist.genuine:
        raise MnistError(f"{cache} is damaged; remove it to download MNIST again")
    return mnist


def cache_dir() -> Path:
    """The folder that keeps a download for the next time."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "artvc-examples" / "mnist"


def read_folder(folder: Path, origin: str) -> Mnist:
    """Read the four files in `folder`, `folder/raw` or `folder/MNIST/raw`, gzipped or not."""
    sources = find_files(folder)
    torchvision = import_torchvision()
    with tempfile.TemporaryDirectory(prefix="mnist-") as root:
        raw = Path(root, "MNIST", "raw")
        raw.mkdir(parents=True)
        try:
            sha256 = {name: unpack(path, raw / name) for name, path in sources.items()}
            train = torchvision.datasets.MNIST(root, train=True)
            test = torchvision.datasets.MNIST(root, train=False)
        # torchvision checks the headers by assertion and the sizes by reshaping.
        except (OSError, EOFError, zlib.error, AssertionError, RuntimeError, ValueError) as error:
            raise MnistError(f"{folder} cannot be read as MNIST: {error}") from error
    return Mnist(splits=split(train, test), sha256=sha256, origin=origin)


def find_files(folder: Path) -> dict[str, Path]:
    """Return the path of each of the four files, by its name without `.gz`."""
    for candidate in (folder / "MNIST" / "raw", folder / "raw", folder):
        found = {
            name: path
            for name in GENUINE_SHA256
            for path in (candidate / f"{name}.gz", candidate / name)
            if path.is_file()
        }
        if len(found) == len(GENUINE_SHA256):
            return found
    raise MnistError(
        f"{folder} doesn't hold MNIST: neither it nor its raw or MNIST/raw has "
        f"{', '.join(GENUINE_SHA256)} (each may end in .gz)"
    )


def unpack(source: Path, target: Path) -> str:
    """Copy `source` to `target`, gunzipped, and return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    open_source = gzip.open if source.suffix == ".gz" else open
    with open_source(source, "rb") as reader, target.open("wb") as writer:
        while block := reader.read(1 << 20):
            digest.update(block)
            writer.write(block)
    return digest.hexdigest()


def split(train: "MNIST", test: "MNIST") -> dict[str, Digits]:
    """Keep the last sixth of the training digits for validation: 50,000 and 10,000 of 60,000.

    Each part is cloned, for a slice shares the whole tensor's storage and `torch.save`
    writes storages: training.pt and validation.pt would each hold all 60,000 digits.
    """
    border = len(train.data) - len(train.data) // 6
    return {
        "training": (train.data[:border].clone(), train.targets[:border].clone()),
        "validation": (train.data[border:].clone(), train.targets[border:].clone()),
        "test": (test.data.clone(), test.targets.clone()),
    }


def download(folder: Path) -> None:
    """Let torchvision download MNIST and put it at `folder`, whole or not at all.

    Raises:
        OSError, RuntimeError, http.client.HTTPException: it could not be had.
    """
    published = import_torchvision().datasets.MNIST
    mirrors = answering(published.mirrors, published.resources[0][0])
    if not mirrors:
        raise ConnectionError("no mirror answers")
    # torchvision names its folder after the class, hence the same name.
    reachable = type("MNIST", (published,), {"mirrors": mirrors})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
        with socket_timeout(STALL_SECONDS):
            reachable(partial, download=True)
        try:
            Path(partial, "MNIST").rename(folder)
        except OSError:
            if not folder.exists():  # else another process downloaded it meanwhile
                raise


def answering(mirrors: list[str], file: str) -> list[str]:
    """Return the mirrors that have `file`, asking all at once for PROBE_SECONDS at most.

    The threads are daemons because a name server that doesn't answer holds its caller far
    longer than any socket timeout, and nobody shall wait for that.
    """
    have = dict.fromkeys(mirrors, False)

    def ask(mirror: str) -> None:
        request = urllib.request.Request(mirror + file, method="HEAD")
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(request, timeout=PROBE_SECONDS),
        ):
            have[mirror] = True

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    deadline = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror, has_file in have.items() if has_file]


@contextlib.contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Give sockets that set no timeout of their own, as torchvision's, this one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
