"""The tools that are compared, each with the commands that a user would give.

All run with their defaults.  What a tool does not make durable by itself is followed by ``sync``, as ``cp`` is: git leaves
out its loose objects, git-lfs and DVC sync nothing.  artvc, restic, borg and Oxen sync what they write.
"""

import shutil
import sys
from pathlib import Path
from typing import ClassVar

from tests.bench.measure import Command, first_line

ARTVC: Command = (sys.executable, "-m", "artvc")
SYNC: Command = ("sync",)
OXEN = """
import os, sys
from oxen import Repo
from oxen.user import config_user
verb, place = sys.argv[1:3]
repo = Repo(place)
if verb == "init":
    config_user("bench", "bench@example.com")
    repo.init()
elif verb == "commit":
    repo.add(os.path.join(place, "data"))
    repo.commit(sys.argv[3])
elif verb == "status":
    print(repo.status())
"""


class Tool:
    """A tool with a directory of its own.

    Args:
        work: its directory.
        data: the files to keep.
        peers: a virtual environment that may hold DVC and Oxen.
    """

    name: ClassVar[str]
    inside: ClassVar[bool] = False  # it wants the data below its own directory, as ``data``
    restores: ClassVar[bool] = True

    def __init__(self, work: Path, data: Path, peers: Path) -> None:
        self.work = work
        self.data = data
        self.peers = peers

    @staticmethod
    def version(peers: Path) -> str | None:
        """What is installed, or None."""
        raise NotImplementedError

    def start(self) -> list[Command]:
        return []

    def commit(self, version: int) -> list[Command]:
        raise NotImplementedError

    def status(self) -> list[Command]:
        """None where there is no such command."""
        return []

    def restore(self, version: int, target: Path) -> list[Command]:
        raise NotImplementedError

    def held(self) -> Path:
        """What counts as the store."""
        return self.work / "store"


class Sum(Tool):
    """Only reads: what hashing costs with coreutils."""

    name = "sha256sum"
    restores = False

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["sha256sum", "--version"])

    def commit(self, version: int) -> list[Command]:
        return [["sh", "-c", f'find "{self.data}" -type f -print0 | xargs -0 sha256sum']]


class Copy(Tool):
    name = "cp"
    restores = False

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["cp", "--version"])

    def start(self) -> list[Command]:
        return [["mkdir", self.held()]]

    def commit(self, version: int) -> list[Command]:
        return [["cp", "-r", self.data, self._version(version)]]

    def _version(self, version: int) -> Path:
        return self.held() / f"v{version}"


class CopySync(Copy):
    name = "cp + sync"
    restores = True

    def commit(self, version: int) -> list[Command]:
        return [*super().commit(version), SYNC]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["cp", "-r", self._version(version), target], SYNC]


class TarZstd(Copy):
    name = "tar, zstd"
    restores = True

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["zstd", "--version"])

    def commit(self, version: int) -> list[Command]:
        pack = f'tar cf - -C "{self.data}" . | zstd -q -3 -T0 -o "{self._version(version)}"'
        return [["sh", "-c", pack], SYNC]

    def restore(self, version: int, target: Path) -> list[Command]:
        unpack = f'mkdir "{target}" && zstd -qdc "{self._version(version)}" | tar xf - -C "{target}"'
        return [["sh", "-c", unpack], SYNC]


class Artvc(Tool):
    name = "artvc"

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line([str(one) for one in (*ARTVC, "--version")])

    def start(self) -> list[Command]:
        return [[*ARTVC, "init", self.work]]

    def commit(self, version: int) -> list[Command]:
        return [[*ARTVC, "-C", self.work, "commit", self.data, "-n", "data", "-t", "data"]]

    def status(self) -> list[Command]:
        return [[*ARTVC, "-C", self.work, "status"]]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [[*ARTVC, "-C", self.work, "checkout", f"data:v{version}", target]]

    def held(self) -> Path:
        return self.work / ".artvc"


class Git(Tool):
    """git as it is; its work tree is the data."""

    name = "git"

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["git", "--version"])

    def git(self, *argv: str | Path) -> Command:
        return ["git", f"--git-dir={self.held()}", f"--work-tree={self.data}", *argv]

    def start(self) -> list[Command]:
        return [["git", "init", "-q", "--bare", self.held()], self.git("config", "core.bare", "false")]

    def commit(self, version: int) -> list[Command]:
        return [
            self.git("-C", self.data, "add", "-A"),
            self.git("-C", self.data, "commit", "-q", "--allow-empty", "-m", f"v{version}"),
            self.git("tag", f"v{version}"),
            SYNC,
        ]

    def status(self) -> list[Command]:
        return [self.git("-C", self.data, "status", "--porcelain")]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["git", f"--git-dir={self.held()}", "worktree", "add", "-q", "--detach", target, f"v{version}"], SYNC]

    def held(self) -> Path:
        return self.work / "git"


class GitLfs(Git):
    name = "git-lfs"

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["git-lfs", "version"])

    def start(self) -> list[Command]:
        attributes = "* filter=lfs diff=lfs merge=lfs -text\n"
        write = f"mkdir -p '{self.held()}/info' && printf '{attributes}' > '{self.held()}/info/attributes'"
        return [*super().start(), self.git("-C", self.data, "lfs", "install", "--local"), ["sh", "-c", write]]


class Dvc(Tool):
    name = "DVC"
    inside = True

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line([str(peers / "bin" / "dvc"), "--version"])

    def dvc(self, line: str) -> Command:
        """A line of shell in its directory, where DVC is ``$dvc``."""
        return ["sh", "-c", f'dvc="{self.peers}/bin/dvc"; cd "{self.work}" && {line}']

    def start(self) -> list[Command]:
        return [self.dvc("$dvc init -q --no-scm")]

    def commit(self, version: int) -> list[Command]:
        return [self.dvc(f"$dvc add -q data && cp data.dvc v{version}.saved"), SYNC]

    def status(self) -> list[Command]:
        return [self.dvc("$dvc status -q")]

    def restore(self, version: int, target: Path) -> list[Command]:
        get = f"mv data data.old && cp v{version}.saved data.dvc && $dvc checkout -q data.dvc && mv data"
        return [self.dvc(f'{get} "{target}"'), SYNC]

    def held(self) -> Path:
        return self.work / ".dvc" / "cache"


class Oxen(Tool):
    """Through its Python API: the wheel has no executable.  A version can't be restored to another place."""

    name = "Oxen"
    inside = True
    restores = False

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line([str(peers / "bin" / "python"), "-c", "import oxen; print('oxenai', oxen.__version__)"])

    def oxen(self, verb: str, *argv: str) -> Command:
        return [self.peers / "bin" / "python", "-c", OXEN, verb, self.work, *argv]

    def start(self) -> list[Command]:
        return [self.oxen("init")]

    def commit(self, version: int) -> list[Command]:
        return [self.oxen("commit", f"v{version}")]

    def status(self) -> list[Command]:
        return [self.oxen("status")]

    def held(self) -> Path:
        return self.work / ".oxen"


class Restic(Tool):
    name = "restic"

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["restic", "version"])

    def start(self) -> list[Command]:
        return [["restic", "init", "-q", "-r", self.held()]]

    def commit(self, version: int) -> list[Command]:
        return [["sh", "-c", f'cd "{self.data}" && restic backup -q -r "{self.held()}" --tag v{version} .']]

    def status(self) -> list[Command]:
        return [["sh", "-c", f'cd "{self.data}" && restic backup -q -r "{self.held()}" --dry-run .']]

    def restore(self, version: int, target: Path) -> list[Command]:
        get: Command = [
            "restic",
            "restore",
            "-q",
            "-r",
            self.held(),
            "latest",
            "--tag",
            f"v{version}",
            "--target",
            target,
        ]
        return [get, SYNC]


class Borg(Tool):
    name = "borg"

    @staticmethod
    def version(peers: Path) -> str | None:
        return first_line(["borg", "--version"])

    def start(self) -> list[Command]:
        return [["borg", "init", "-e", "none", self.held()]]

    def commit(self, version: int) -> list[Command]:
        return [["sh", "-c", f'cd "{self.data}" && borg create "{self.held()}::v{version}" .']]

    def restore(self, version: int, target: Path) -> list[Command]:
        return [["sh", "-c", f'mkdir "{target}" && cd "{target}" && borg extract "{self.held()}::v{version}"'], SYNC]


class Cdc(Tool):
    """What a store of content-defined chunks of 64 KiB would hold, each by itself under zstd 3 (see ``cdc``)."""

    name = "64 KiB CDC, zstd"
    restores = False

    @staticmethod
    def version(peers: Path) -> str | None:
        return "FastCDC 2020"

    def start(self) -> list[Command]:
        return [["mkdir", self.held()]]

    def commit(self, version: int) -> list[Command]:
        return [[sys.executable, "-m", "tests.bench.cdc", self.data, self.held() / "chunks"], SYNC]


TOOLS: tuple[type[Tool], ...] = (Artvc, Sum, Copy, CopySync, TarZstd, Git, GitLfs, Dvc, Oxen, Restic, Borg, Cdc)
FLOORS = {"artvc", "sha256sum", "cp", "cp + sync"}


def found(wanted: set[str] | None, peers: Path) -> dict[type[Tool], str]:
    """The tools that are there, with what they say of their version.

    Args:
        wanted: names; None for all.
        peers: as for :class:`Tool`.
    """
    unknown = (wanted or set()) - {tool.name for tool in TOOLS}
    if unknown:
        raise SystemExit(f"no such tools: {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TOOLS)}")
    versions = {tool: tool.version(peers) for tool in TOOLS if wanted is None or tool.name in wanted}
    return {tool: version for tool, version in versions.items() if version is not None}


def place_for(peers: Path | None) -> Path:
    """The virtual environment with DVC and Oxen: the one given, else the one whose dvc is on the path."""
    if peers is not None:
        return peers.absolute()
    dvc = shutil.which("dvc")
    return Path(dvc).absolute().parent.parent if dvc else Path(sys.prefix)
