"""The data of the benchmarks, made by seed: ``python -m tests.bench.workloads NAME DIR VERSION SCALE [SOURCE]``.

Each call writes one version into a directory that holds the one before.  It is a process of its own, for the memory that
it takes would count as that of every command started later.
"""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

MIB = 1 << 20


@dataclass(frozen=True)
class Workload:
    """What is kept, version after version.

    Attributes:
        title: for people.
        write: puts a version into a directory: the directory, number of the version, scale, source.
        versions: how many there are.
        source: what kind of directory it copies from, an option of the same name; empty where it makes all itself.
    """

    title: str
    write: "Write"
    versions: int = 1
    source: str = ""


Write = Callable[[Path, int, float, Path], None]


def make(name: str, data: Path, version: int, scale: float, source: Path | None) -> None:
    """Write a version in a process of its own."""
    argv = [sys.executable, "-m", "tests.bench.workloads", name, str(data), str(version), str(scale)]
    subprocess.run([*argv, str(source)], check=True, cwd=Path(__file__).parents[2])


def normal(source: "numpy.random.Generator", count: int) -> "numpy.ndarray[tuple[int], numpy.dtype[numpy.float32]]":
    """Numbers as the weights of a network are."""
    return source.standard_normal(count, dtype="float32") * 0.02


def write_safetensors(path: Path, arrays: "list[int]", seed: int) -> None:
    """A file of float32 arrays of these sizes (numbers), in turn made and written."""
    import numpy  # noqa: PLC0415

    source = numpy.random.default_rng(seed)
    header, at = {}, 0
    for number, count in enumerate(arrays):
        header[f"layer.{number}"] = {"dtype": "F32", "shape": [count], "data_offsets": [at, at + 4 * count]}
        at += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for count in arrays:
            file.write(normal(source, count).data)


def weights(data: Path, version: int, scale: float, source: Path) -> None:
    write_safetensors(data / "model.safetensors", [int((1 << 24) * scale)] * 16, 1)


def noise(data: Path, version: int, scale: float, source: Path) -> None:
    made = random.Random(1)
    with (data / "noise.bin").open("wb") as file:
        for _ in range(64):
            file.write(made.randbytes(int(16 * MIB * scale)))


def write_files(data: Path, first: int, last: int, size: int) -> None:
    """JSON files numbered from ``first`` up to ``last``, 500 to a directory."""
    for number in range(first, last):
        folder = data / f"{number // 500:04}"
        if number % 500 == 0:
            folder.mkdir()
        line = f'{{"id": {number}, "values": "{random.Random(number).getrandbits(1600):x}"}}\n'
        (folder / f"{number:07}.json").write_text((line * 10)[:size].ljust(size))


def files(data: Path, version: int, scale: float, source: Path) -> None:
    write_files(data, 0, int(50_000 * scale), 4096)


def tree(data: Path, version: int, scale: float, source: Path) -> None:
    write_files(data, 0, int(100_000 * scale), 512)


def changed(data: Path, version: int, scale: float, source: Path) -> None:
    """2 GiB of weights, of which then 1 % is written anew, in 20 places that differ each time."""
    import numpy  # noqa: PLC0415

    path = data / "model.safetensors"
    if version == 0:
        write_safetensors(path, [int((1 << 24) * scale)] * 32, 1)
        return
    size = path.stat().st_size
    piece = size // 2000 // 4 * 4
    places = numpy.random.default_rng(version).integers(4096, size - piece, 20)
    with path.open("r+b") as file:
        for number, at in enumerate(places):
            file.seek(int(at) // 4 * 4)
            file.write(normal(numpy.random.default_rng([version, number]), piece // 4).data)


def csv(data: Path, version: int, scale: float, source: Path) -> None:
    """512 MiB of rows, then 1,000 more at random places."""
    made = random.Random(version)
    path = data / "rows.csv"
    if version == 0:
        rows = [
            f"{made.random():.6f},{made.gauss(0, 1):.5f},{made.randrange(10**6)},item-{made.randrange(9999)}\n"
            for _ in range(200_000)
        ]
        with path.open("w") as file:
            number = written = 0
            while written < 512 * MIB * scale:
                written += file.write(f"{number},{rows[number % len(rows)]}")
                number += 1
        return
    old = path.read_bytes()
    places = sorted(old.index(b"\n", made.randrange(len(old) - 200)) + 1 for _ in range(1000))
    with path.open("wb") as file:
        for start, stop in zip([0, *places], [*places, len(old)], strict=True):
            file.write(old[start:stop])
            if stop < len(old):
                file.write(f"new,{made.random()},inserted,row\n".encode())


def frozen(data: Path, version: int, scale: float, source: Path) -> None:
    """A head of 2 MB on a backbone of 256 MB; the head alone is trained."""
    import numpy  # noqa: PLC0415

    path = data / "model.safetensors"
    head = 1 << 19
    if version == 0:
        write_safetensors(path, [*[int((1 << 22) * scale)] * 16, head], 1)
        return
    with path.open("r+b") as file:
        file.seek(-4 * head, 2)
        old = numpy.frombuffer(file.read(), "float32")
        file.seek(-4 * head, 2)
        step = numpy.random.default_rng(version).standard_normal(head, dtype="float32") * numpy.float32(1e-4)
        file.write((old + step).data)


def checkpoints(kind: str) -> Write:
    def copy(data: Path, version: int, scale: float, source: Path) -> None:
        shutil.copy(source / f"{kind}-{version}.safetensors", data / "model.safetensors")

    return copy


def mnist(data: Path, version: int, scale: float, source: Path) -> None:
    for name in ("mnist-raw", "mnist-preprocess"):
        shutil.copytree(source / f"{name}:v0", data / name)


WORKLOADS: dict[str, Workload] = {
    "weights": Workload("1 GiB of float32 weights", weights),
    "random": Workload("1 GiB that nothing compresses", noise),
    "files": Workload("50,000 files of 4 KiB", files),
    "changed": Workload("2 GiB of weights, 1 % changed", changed, 6),
    "tree": Workload("100,000 unchanged files", tree),
    "fp32": Workload("8 checkpoints of MiniLM, float32", checkpoints("fp32"), 8, "checkpoints"),
    "bf16": Workload("8 checkpoints of MiniLM, bfloat16", checkpoints("bf16"), 8, "checkpoints"),
    "frozen": Workload("10 epochs of a head on a frozen backbone", frozen, 10),
    "mnist": Workload("MNIST, raw and preprocessed", mnist, 1, "mnist"),
    "csv": Workload("CSV of 512 MiB, 1,000 rows inserted", csv, 2),
}

if __name__ == "__main__":
    name, place, number, factor, *rest = sys.argv[1:]
    WORKLOADS[name].write(Path(place), int(number), float(factor), Path(rest[0] if rest else "."))
