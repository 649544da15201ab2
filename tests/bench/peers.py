"""The same versions kept by artvc and by other tools, in one run: seconds of each commit, bytes of the store, seconds to restore.

    python tests/bench/peers.py --work csv,frozen,files,weights,random
    python tests/bench/peers.py --work fp32,bf16 --checkpoints DIR     # DIR: what tests/bench/minilm.py wrote
    python tests/bench/peers.py --tools artvc,cp,restic --work csv --rounds 3

A tool takes part if it is installed (``dvc`` may lie in a virtual environment: ``--dvc PATH``); all work with their
defaults.  The rounds go through the tools in turn, and the table has the medians.  ``cp`` is followed by ``sync``; artvc,
restic and borg sync by themselves, git, git-lfs and dvc don't.  Each tool's restored last version is compared byte by byte.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Command = list[str | Path]


class Tool:
    """A tool with a place of its own; each step is the commands that a user would give."""

    def __init__(self, work: Path, data: Path) -> None:
        self.work = work
        self.data = data

    def start(self) -> list[Command]:
        return []

    def commit(self, version: int) -> list[Command]:
        raise NotImplementedError

    def restore(self, version: int, target: Path) -> list[Command]:
        raise NotImplementedError

    def held(self) -> Path:
        """What counts as the store."""
        return self.work / "store"


class Copy(Tool):
    def commit(self, version: int) -> list[Command]:
        return [["cp", "-r", self.data, self._version(version)], ["sync"]]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["cp", "-r", self._version(version), target], ["sync"]]

    def start(self) -> list[Command]:
        return [["mkdir", self.held()]]

    def _version(self, version: int) -> Path:
        return self.held() / f"v{version}"


class TarZstd(Copy):
    def commit(self, version: int) -> list[Command]:
        pack = f'tar cf - -C "{self.data}" . | zstd -q -3 -T0 -o "{self._version(version)}" && sync'
        return [["sh", "-c", pack]]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [
            ["sh", "-c", f'mkdir "{target}" && zstd -qdc "{self._version(version)}" | tar xf - -C "{target}" && sync']
        ]


class Artvc(Tool):
    artvc = (sys.executable, "-m", "artvc")

    def start(self) -> list[Command]:
        return [[*self.artvc, "init", self.work]]

    def commit(self, version: int) -> list[Command]:
        return [[*self.artvc, "-C", self.work, "commit", self.data, "-n", "data", "-t", "data"]]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [[*self.artvc, "-C", self.work, "checkout", f"data:v{version}", target]]

    def held(self) -> Path:
        return self.work / ".artvc"


class Git(Tool):
    """git as it is; its work tree is the data, as that of the tools built on it."""

    def git(self, *argv: str | Path) -> Command:
        return ["git", f"--git-dir={self.held()}", f"--work-tree={self.data}", *argv]

    def start(self) -> list[Command]:
        return [["git", "init", "-q", "--bare", self.held()], self.git("config", "core.bare", "false")]

    def commit(self, version: int) -> list[Command]:
        return [
            self.git("-C", self.data, "add", "-A"),
            self.git("-C", self.data, "commit", "-q", "-m", f"v{version}"),
            self.git("tag", f"v{version}"),
        ]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["git", f"--git-dir={self.held()}", "worktree", "add", "-q", "--detach", target, f"v{version}"]]

    def held(self) -> Path:
        return self.work / "git"


class GitLfs(Git):
    def start(self) -> list[Command]:
        attributes = "* filter=lfs diff=lfs merge=lfs -text\n"
        write = f"mkdir -p '{self.held()}/info' && printf '{attributes}' > '{self.held()}/info/attributes'"
        return [*super().start(), self.git("-C", self.data, "lfs", "install", "--local"), ["sh", "-c", write]]


class Dvc(Tool):
    exe = "dvc"

    def start(self) -> list[Command]:
        return [["sh", "-c", f'cd "{self.work}" && "{self.exe}" init -q --no-scm']]

    def commit(self, version: int) -> list[Command]:
        # DVC wants its data inside; the copy of it is made before the clock runs.
        return [["sh", "-c", f'cd "{self.work}" && "{self.exe}" add -q data && cp data.dvc v{version}.saved']]

    def restore(self, version: int, target: Path) -> list[Command]:
        get = f'cd "{self.work}" && rm -rf data && cp v{version}.saved data.dvc && "{self.exe}" checkout -q data.dvc'
        return [["sh", "-c", f'{get} && mv data "{target}"']]

    def held(self) -> Path:
        return self.work / ".dvc" / "cache"


class Restic(Tool):
    def start(self) -> list[Command]:
        return [["restic", "init", "-q", "-r", self.held()]]

    def commit(self, version: int) -> list[Command]:
        inside = f'cd "{self.data}" && restic backup -q -r "{self.held()}" --tag v{version} .'
        return [["sh", "-c", inside]]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["restic", "restore", "-q", "-r", self.held(), "latest", "--tag", f"v{version}", "--target", target]]


class Borg(Tool):
    def start(self) -> list[Command]:
        return [["borg", "init", "-e", "none", self.held()]]

    def commit(self, version: int) -> list[Command]:
        return [["sh", "-c", f'cd "{self.data}" && borg create "{self.held()}::v{version}" .']]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["sh", "-c", f'mkdir "{target}" && cd "{target}" && borg extract "{self.held()}::v{version}"']]


TOOLS: dict[str, tuple[type[Tool], str]] = {
    "artvc": (Artvc, "git"),
    "cp": (Copy, "cp"),
    "tar|zstd": (TarZstd, "zstd"),
    "git": (Git, "git"),
    "git-lfs": (GitLfs, "git-lfs"),
    "dvc": (Dvc, "dvc"),
    "restic": (Restic, "restic"),
    "borg": (Borg, "borg"),
}


# -- workloads: each puts the next version into a directory, and yields its number ------------------------------


def csv(data: Path, options: argparse.Namespace) -> Iterator[int]:
    """512 MiB of rows, then 1,000 more at random places."""
    source = random.Random(1)
    rows = [f"{source.random():.6f},{source.gauss(0, 1):.5f},{source.randrange(10**6)},item-{source.randrange(9999)}\n"
            for _ in range(200_000)]  # fmt: skip
    size = options.megabytes * 2**20
    with (data / "rows.csv").open("w") as file:
        number = written = 0
        while written < size:
            written += file.write(f"{number},{rows[number % len(rows)]}")
            number += 1
    yield 0
    old = (data / "rows.csv").read_bytes()
    places = sorted(old.index(b"\n", source.randrange(len(old) - 200)) + 1 for _ in range(1000))
    with (data / "rows.csv").open("wb") as file:
        for start, stop in zip([0, *places], [*places, len(old)], strict=True):
            file.write(old[start:stop])
            file.write(f"new,{source.random()},inserted,row\n".encode())
    yield 1


def frozen(data: Path, options: argparse.Namespace) -> Iterator[int]:
    """Ten epochs of a head of 2 MB on a backbone of 256 MB that does not change (safetensors, fp32)."""
    import numpy  # noqa: PLC0415

    source = numpy.random.default_rng(1)
    backbone = [source.standard_normal(2**22, dtype=numpy.float32) * 0.02 for _ in range(16)]
    head = source.standard_normal(2**19, dtype=numpy.float32) * 0.02
    for epoch in range(10):
        head = head + source.standard_normal(len(head), dtype=numpy.float32) * 1e-4
        write_safetensors(data / "model.safetensors", [*backbone, head])
        yield epoch


def weights(data: Path, options: argparse.Namespace) -> Iterator[int]:
    """1 GiB of float32 as weights are: normal, 0.02."""
    import numpy  # noqa: PLC0415

    source = numpy.random.default_rng(1)
    write_safetensors(
        data / "model.safetensors", [source.standard_normal(2**24, dtype=numpy.float32) * 0.02 for _ in range(16)]
    )
    yield 0


def noise(data: Path, options: argparse.Namespace) -> Iterator[int]:
    """1 GiB that nothing compresses."""
    with (data / "noise.bin").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(2**24))
    yield 0


def files(data: Path, options: argparse.Namespace) -> Iterator[int]:
    """50,000 JSON files of 4 KiB."""
    source = random.Random(1)
    for number in range(50_000):
        directory = data / f"{number // 500:04}"
        directory.mkdir(exist_ok=True)
        line = f'{{"id": {number}, "values": "{source.getrandbits(1600):x}"}}\n'
        (directory / f"{number:07}.json").write_text((line * 10)[:4096].ljust(4096))
    yield 0


def checkpoints(kind: str) -> "Work":
    def series(data: Path, options: argparse.Namespace) -> Iterator[int]:
        for number in range(8):
            shutil.copy(options.checkpoints / f"{kind}-{number}.safetensors", data / "model.safetensors")
            yield number

    return series


def write_safetensors(path: Path, arrays: list) -> None:  # type: ignore[type-arg]
    header, at = {}, 0
    for number, array in enumerate(arrays):
        header[f"layer.{number}"] = {"dtype": "F32", "shape": [len(array)], "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays:
            file.write(array.data)


Work = Callable[[Path, argparse.Namespace], Iterator[int]]
WORK: dict[str, Work] = {
    "fp32": checkpoints("fp32"),
    "bf16": checkpoints("bf16"),
    "csv": csv,
    "frozen": frozen,
    "weights": weights,
    "random": noise,
    "files": files,
}


# -- measuring ----------------------------------------------------------------------------------------------------


def timed(commands: list[Command], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    for command in commands:
        done = subprocess.run(
            [str(one) for one in command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{command} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def size_of(root: Path) -> int:
    return sum(os.lstat(os.path.join(where, name)).st_size for where, _, names in os.walk(root) for name in names)


def measure(work: Work, tools: dict[str, type[Tool]], scratch: Path, options: argparse.Namespace) -> dict[str, object]:
    """Bytes and seconds of every tool on every version; the rounds begin anew each time."""
    found: dict[str, dict[str, list]] = {name: {"commit": [], "bytes": [], "restore": []} for name in tools}  # type: ignore[type-arg]
    raw: list[int] = []
    for turn in range(options.rounds):
        data = scratch / f"data-{turn}"
        data.mkdir()
        environment = {
            **os.environ,
            "HOME": str(scratch / "home"),
            "RESTIC_PASSWORD": "x",
            "GIT_LFS_SKIP_SMUDGE": "0",
            **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }
        running = {name: kind(scratch / f"{name.replace('|', '-')}-{turn}", data) for name, kind in tools.items()}
        for tool in running.values():
            tool.work.mkdir()
            timed(tool.start(), environment)
        last = 0
        for version in work(data, options):
            last = version
            if not turn:
                raw.append(size_of(data))
            for name, tool in running.items():
                if isinstance(tool, Dvc):
                    inside = tool.work / "data"
                    shutil.rmtree(inside, ignore_errors=True)
                    shutil.copytree(data, inside)
                os.sync()
                seconds = timed(tool.commit(version), environment)
                found[name]["commit"].append((version, seconds))
                if not turn:
                    found[name]["bytes"].append(size_of(tool.held()))
        for name, tool in running.items():
            target = scratch / f"{name.replace('|', '-')}-{turn}-restored"
            os.sync()
            found[name]["restore"].append(timed(tool.restore(last, target), environment))
            if subprocess.run(["diff", "-rq", "-x", ".git", str(data), str(target)], check=False).returncode:
                raise SystemExit(f"{name}: what came back differs")
        for one in scratch.iterdir():
            if one.name != "home":
                shutil.rmtree(one)
    return {"raw": raw, "tools": {name: summary(one, raw) for name, one in found.items()}}


def summary(one: dict[str, list], raw: list[int]) -> dict[str, object]:  # type: ignore[type-arg]
    first = [seconds for version, seconds in one["commit"] if not version]
    later = [seconds for version, seconds in one["commit"] if version]
    stored = one["bytes"]
    added = (stored[-1] - stored[0]) / sum(raw[1:]) if len(raw) > 1 else None
    return {
        "first commit s": round(statistics.median(first), 2),
        "later commit s": round(statistics.median(later), 2) if later else None,
        "restore s": round(statistics.median(one["restore"]), 2),
        "first stored": round(stored[0] / raw[0], 4),
        "later stored": None if added is None else round(added, 4),
        "bytes": stored[-1],
    }


def table(name: str, result: dict) -> str:  # type: ignore[type-arg]
    """Markdown; shares are of the raw bytes of the first and of all later versions."""
    lines = [
        f"### {name}: {len(result['raw'])} versions of {result['raw'][0] / 1e6:,.0f} MB",
        "",
        "| tool | first commit s | later commit s | restore s | first version | later versions |",
        "|---|---|---|---|---|---|",
    ]
    for tool, one in sorted(result["tools"].items(), key=lambda item: item[1]["bytes"]):
        share = "" if one["later stored"] is None else f"{one['later stored']:.1%}"
        later = "" if one["later commit s"] is None else one["later commit s"]
        lines.append(
            f"| {tool} | {one['first commit s']} | {later} | {one['restore s']} | {one['first stored']:.1%} | {share} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--work", default="csv,frozen,files")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--megabytes", type=int, default=512, help="of the CSV")
    parser.add_argument("--checkpoints", type=Path, help="directory with the files of minilm.py")
    parser.add_argument("--dvc", default="dvc")
    parser.add_argument("--scratch", type=Path, help="directory on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    Dvc.exe = options.dvc
    wanted = {name: TOOLS[name] for name in options.tools.split(",")}
    wanted = {
        name: one
        for name, one in wanted.items()
        if shutil.which(options.dvc if one[1] == "dvc" else one[1]) is not None
    }
    report = {}
    for name in options.work.split(","):
        scratch = Path(tempfile.mkdtemp(prefix="artvc-peers-", dir=options.scratch))
        (scratch / "home").mkdir()
        try:
            report[name] = measure(WORK[name], {key: kind for key, (kind, _) in wanted.items()}, scratch, options)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if not options.json:
            print(table(name, report[name]) + f"\n\nload {os.getloadavg()[0]:.1f}\n", flush=True)
    if options.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
