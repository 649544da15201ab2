"""Push and fetch through git servers, beside C git at its best.

    python -m tests.bench.git_remote                       # 1 GiB over git://, http, ssh and by path
    python -m tests.bench.git_remote --mib 256 --rounds 1  # a look

The data is noise in files of 32 MiB.  git's best is what nobody has set up: core.compression=0 and pack.window=0 on
both sides, everything in a pack before its push begins, receive.unpackLimit=1 at the server, fetch.unpackLimit=1 at the
client.  Only its ``push`` and ``fetch`` count, not the ``add`` and ``repack`` before, as artvc's ``commit`` doesn't count
either; artvc pushes to a server with git's defaults.  A fetch of artvc's is ``clone --all``, which checks every byte.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.bench.growth import MAKE_NOISE
from tests.bench.measure import Run, environment, machine, read_all, warm_memory
from tests.bench.tools import ARTVC
from tests.remotes import git_servers
from tests.remotes.git_servers import GitServer, Place

MIB = 1 << 20
FILE = 32 * MIB
# Wall time of artvc over that of git; peak memory in MiB.
BARS = {"git": 1.1, "http": 1.1, "ssh": 1.1, "path": 0.5}
PEAK = 100
BEST = ["core.compression=0", "pack.window=0", "pack.threads=2"]


@dataclass
class Found:
    """The rounds of one transport."""

    git: dict[str, list[Run]] = field(default_factory=lambda: {"push": [], "fetch": []})
    artvc: dict[str, list[Run]] = field(default_factory=lambda: {"push": [], "fetch": []})

    def row(self, name: str, what: str) -> str:
        git, artvc = ([run.seconds for run in kept[what]] for kept in (self.git, self.artvc))
        used = [median(run.cpu for run in kept[what]) for kept in (self.git, self.artvc)]
        ratio, peak = median(artvc) / median(git), max(run.peak for run in self.artvc[what]) / MIB
        kept = "yes" if ratio <= BARS[name] and peak < PEAK else "no"
        return (
            f"| {name} | {what} | {median(git):.1f} | {median(artvc):.1f} | {ratio:.2f} | {BARS[name]} "
            f"| {used[0]:.1f} | {used[1]:.1f} | {peak:.0f} | {kept} |"
        )


@contextmanager
def by_path(root: Path) -> Iterator[GitServer]:
    """No server at all."""
    repositories = root / "repositories"
    repositories.mkdir()
    yield GitServer(f"{repositories}/{{}}.git", repositories, git_servers.hermetic(root))


TRANSPORTS = {"git": git_servers.daemon, "http": git_servers.http, "ssh": git_servers.ssh, "path": by_path}


def make_data(root: Path, mib: int) -> None:
    """Noise, made by other processes: what this one has in memory counts as the peak of those that it starts."""
    root.mkdir()
    for number in range(max(1, mib * MIB // FILE)):
        with (root / f"{number:04}.bin").open("wb") as file:
            argv = [sys.executable, "-c", MAKE_NOISE, str(number), str(min(FILE, mib * MIB))]
            subprocess.run(argv, stdout=file, check=True)


class Both:
    """The data, kept by git and by artvc.

    Args:
        scratch: an empty directory.
        mib: how much.
    """

    def __init__(self, scratch: Path, mib: int) -> None:
        self.scratch = scratch
        self.mib = mib
        self.environment = environment(scratch)
        self.git = scratch / "git"
        self.artvc = scratch / "artvc"
        make_data(self.git, mib)
        self.artvc.mkdir()
        settings = [word for one in BEST for word in ("-c", one)]
        for argv in (
            ["init", "--quiet", "--initial-branch=main"],
            ["add", "."],
            ["commit", "--quiet", "--message=noise"],
            ["repack", "--quiet", "-adf"],
        ):
            Run(["git", *settings, *argv], self.git, self.environment)
        Run([*ARTVC, "init"], self.artvc, self.environment)
        files = [path for path in self.git.iterdir() if path.suffix == ".bin"]
        Run([*ARTVC, "commit", *files, "-n", "noise", "-t", "data"], self.artvc, self.environment)

    def push_git(self, place: Place, environ: Mapping[str, str]) -> Run:
        read_all(self.git / ".git" / "objects" / "pack")
        argv = ["git", *(word for one in BEST for word in ("-c", one)), "push", "--quiet", place.url, "main"]
        return self._run(argv, self.git, environ)

    def fetch_git(self, place: Place, environ: Mapping[str, str]) -> Run:
        target = self.scratch / "fetched"
        Run(["git", "init", "--quiet", target], self.scratch, environ)
        argv = ["git", "-c", "fetch.unpackLimit=1", "fetch", "--quiet", place.url, "main"]
        run = self._run(argv, target, environ)
        shutil.rmtree(target)
        return run

    def push_artvc(self, place: Place, environ: Mapping[str, str]) -> Run:
        read_all(self.artvc / ".artvc" / "packs")
        Run([*ARTVC, "remote", "add", "--no-check", "origin", place.url], self.artvc, environ)
        run = self._run([*ARTVC, "push", "--quiet"], self.artvc, environ)
        Run([*ARTVC, "remote", "remove", "origin"], self.artvc, environ)
        return run

    def fetch_artvc(self, place: Place, environ: Mapping[str, str]) -> Run:
        target = self.scratch / "cloned"
        run = self._run([*ARTVC, "clone", "--all", "--quiet", place.url, target], self.scratch, environ)
        packs = sum(one.stat().st_size for one in (target / ".artvc" / "packs").iterdir())
        if packs < self.mib * MIB:
            raise SystemExit(f"the clone has only {packs} bytes")
        shutil.rmtree(target)
        return run

    def _run(self, argv: list[str | Path], cwd: Path, environ: Mapping[str, str]) -> Run:
        os.sync()
        warm_memory(min(2 << 30, 2 * self.mib * MIB))
        return Run(argv, cwd, environ)


def measure(both: Both, server: GitServer, rounds: int) -> Found:
    """One transport: in each round git and artvc in turn, each round beginning with the other one."""
    found = Found()
    ours = {name: value for name, value in server.environ.items() if name.startswith("GIT_SSH")}
    environ = both.environment | ours | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def git() -> None:
        place = server.fresh("receive.unpackLimit=1", *BEST)
        found.git["push"].append(both.push_git(place, environ))
        found.git["fetch"].append(both.fetch_git(place, environ))
        shutil.rmtree(place.path)

    def artvc() -> None:
        place = server.fresh()
        for what, act in (("push", both.push_artvc), ("fetch", both.fetch_artvc)):
            found.artvc[what].append(act(place, environ))
        git_servers.git("fsck", environ=server.environ, cwd=place.path)
        shutil.rmtree(place.path)

    for number in range(rounds):
        for act in (git, artvc) if number % 2 == 0 else (artvc, git):
            act()
    return found


def table(found: Mapping[str, Found]) -> Iterator[str]:
    """Lines of Markdown; processor time is that of the client, and by path of what git starts as its server."""
    yield "| transport | | git, s | artvc, s | ratio | bar | git, CPU s | artvc, CPU s | peak memory, MiB | kept |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, one in found.items():
        for what in ("push", "fetch"):
            yield one.row(name, what)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.git_remote", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TRANSPORTS), help="transports, separated by commas")
    parser.add_argument("--scratch", type=Path, help="directory on the disk to be measured")
    given = parser.parse_args()
    before, found = os.getloadavg()[0], {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="artvc-bench-", dir=given.scratch)))
        (scratch / "both").mkdir()
        both = Both(scratch / "both", given.mib)
        for name in given.only.split(","):
            root = scratch / name
            root.mkdir()
            try:
                with TRANSPORTS[name](root) as server:
                    found[name] = measure(both, server, given.rounds)
            except pytest.skip.Exception as exc:
                print(f"({name} is left out: {exc})", file=sys.stderr)
    here = machine()
    print(
        f"{given.mib} MiB, {given.rounds} rounds, {here['cpu']}, {here['cores']} cores, commit {here['commit']}, ",
        end="",
    )
    print(f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after\n")
    print(*table(found), sep="\n")


if __name__ == "__main__":
    main()
