"""fsck: every byte, every name, everything that is reachable."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from artvc import uploads
from artvc.errors import ArtvcError, Damaged, NotFound
from artvc.model import merkle
from artvc.model.ids import Id, Kind
from artvc.model.objects import Content, EntryKind
from artvc.repo import Repository, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        message: what and where.
        affected: labels of the versions that can't be restored because of it, and of runs.
    """

    message: str
    affected: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class FsckReport:
    """What a check found.

    Attributes:
        packs, objects, versions, runs, transactions: how much was checked.
        condemned: packs that gc means to delete; they are sound and of use until then.
        absent: chunks that are not here but on a remote.
        problems: what is wrong.
        leftovers: unfinished temporary files of killed processes; harmless.
        strangers: files that artvc did not make; ignored.
    """

    packs: int = 0
    objects: int = 0
    versions: int = 0
    runs: int = 0
    transactions: int = 0
    condemned: int = 0
    absent: int = 0
    problems: list[Problem] = field(default_factory=list)
    leftovers: int = 0
    strangers: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def fsck(
    repo: Repository,
    *,
    full: bool = True,
    absent: Callable[[Id], bool] = lambda _: False,
    advance: Callable[[int], None] | None = None,
) -> FsckReport:
    """Check a repository.  Nothing is changed.

    Args:
        repo: the repository.
        full: read and hash every byte of every pack; False: only that everything reachable is present.
        absent: asked for each chunk that is not here; True: that is no damage, a remote has it.
        advance: called with the bytes of each pack checked.
    """
    report = FsckReport()
    _check_log(repo, report)
    bad: set[str] = set()
    if full:
        for name, trouble in repo.objects.verify_packs():
            report.problems.append(Problem(message=trouble.message))
            bad.add(name)
    else:
        repo.objects.refresh()
        for trouble in repo.objects.index.bad.values():
            report.problems.append(Problem(message=trouble.message))
        bad |= repo.objects.packs_without_bases()
    report.packs = len(repo.objects.index.packs) + len(repo.objects.index.bad)
    if advance:
        for name in repo.objects.index.packs:
            advance(os.path.getsize(os.path.join(repo.objects.packs, name + ".pack")))
    marks = repo.objects.condemned.read()
    report.condemned = len(repo.objects.index.packs & (marks.doomed | marks.since.keys()))
    _Walker(repo, report, bad, absent).check()
    with contextlib.suppress(FileNotFoundError):  # tools that copy repositories leave out empty directories
        report.leftovers = len(repo.disk.listdir(str(repo.dir / "tmp")))
    for directory, endings in (("packs", (".pack",)), ("refs", (".json", ".checkpoint"))):
        report.strangers += [
            f"{directory}/{name}"
            for name in sorted(repo.disk.listdir(str(repo.dir / directory)))
            if not name.endswith(endings)
        ]
    return report


def _check_log(repo: Repository, report: FsckReport) -> None:
    """Read every transaction from the first on and fold it: the chain must hold."""
    try:
        last = repo.state().number
        previous = None
        for number in range(1, last + 1):
            transaction = repo.refs.read(number)
            if transaction.previous != previous:
                raise Damaged(f"transaction {number} of the ref log does not follow the one before")
            previous = transaction.id
            report.transactions += 1
    except (ArtvcError, FileNotFoundError) as exc:
        report.problems.append(Problem(message=f"the ref log is damaged: {exc}"))


class _Walker:
    """Visits everything that names reach, each object once; what lies in bad packs is read."""

    def __init__(self, repo: Repository, report: FsckReport, bad: set[str], absent: Callable[[Id], bool]) -> None:
        self._repo = repo
        self._absent = absent
        self._report = report
        self._bad = bad
        self._good: set[Id] = set()
        self._broken: dict[Id, str] = {}

    def check(self) -> None:
        affected: dict[str, list[str]] = {}
        try:
            versions = [
                version
                for collection in self._repo.collections()
                for version in self._repo.versions(collection.project, collection.name)
            ]
            runs = self._repo.runs()
            pending = list(uploads.all_of(self._repo))
        except ArtvcError:
            return  # the log is damaged, which was said
        for version in versions:
            self._report.versions += 1
            for trouble in self._version(version):
                affected.setdefault(trouble, []).append(version.qualified)
        for run in runs:
            self._report.runs += 1
            broken = self._commit(run.commit)
            if broken:
                affected.setdefault(broken, []).append(f"run {run.project}/{run.run_id}")
        for upload in pending:
            for _, tree, said in upload.parts:
                for trouble in self._contribution(tree, said):
                    affected.setdefault(trouble, []).append(upload.ref)
        for trouble, labels in affected.items():
            self._report.problems.append(Problem(message=trouble, affected=tuple(labels)))
        self._report.objects = len(self._good)

    def _version(self, version: Version) -> set[str]:
        """All that keeps a version from being restored."""
        try:
            if version.source is not None:
                source = self._repo.version(*version.source)
                if source.source is not None or source.artifact_id != version.artifact_id:
                    raise Damaged(f"the link {version.qualified} is not to what {source.qualified} is")
            self._repo.properties(version.properties_id)
            artifact = self._repo.artifact(version.artifact_id)
            return self._tree(artifact.root)
        except ArtvcError as exc:
            return {exc.message}

    def _contribution(self, tree: Id, said: Id) -> set[str]:
        try:
            self._repo.properties(said)
            return self._tree(tree)
        except ArtvcError as exc:
            return {exc.message}

    def _tree(self, root: Id) -> set[str]:
        if root in self._good:
            return set()
        found: set[str] = set()
        try:
            for entry in merkle.iterate(root, self._get):
                if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
                    found |= self._tree(entry.id)
                elif entry.is_file and entry.id is not None:
                    found |= self._file(Content(entry.kind, entry.id, entry.size))
        except (ArtvcError, FileNotFoundError) as exc:
            return found | {str(exc)}
        if not found:
            self._good.add(root)
        return found

    def _file(self, content: Content) -> set[str]:
        if content.id in self._good:
            return set()
        found = set()
        try:
            for piece in merkle.slices(content, self._get):
                trouble = self._chunk(piece.id, piece.size)
                if trouble:
                    found.add(trouble)
        except (ArtvcError, FileNotFoundError) as exc:
            found.add(str(exc))
        if not found:
            self._good.add(content.id)
        return found

    def _chunk(self, chunk: Id, size: int) -> str | None:
        """What is wrong with a chunk; those in packs that passed the full check need no second reading."""
        if chunk in self._good:
            return None
        if chunk in self._broken:
            return self._broken[chunk]
        place = self._repo.objects.find(chunk)
        try:
            if place is None and self._absent(chunk):
                self._report.absent += 1
                self._good.add(chunk)
                return None
            if place is None:
                raise NotFound(f"chunk {chunk.short} is not in this repository")
            if place.size != size or place.kind != Kind.CHUNK:
                raise Damaged(f"chunk {chunk.short} is not of the size that its file says")
            if place.pack in self._bad:
                self._get(Kind.CHUNK, chunk)
        except (ArtvcError, FileNotFoundError) as exc:
            self._broken[chunk] = str(exc)
            return str(exc)
        self._good.add(chunk)
        return None

    def _get(self, kind: Kind, wanted: Id) -> bytes:
        return self._repo.objects.get(kind, wanted)

    def _commit(self, commit: Id) -> str | None:
        """What is wrong with a run's record: its commits, the artifacts they name, its files."""
        seen = commit
        try:
            while True:
                found = self._repo.commit(seen)
                for artifact in [one.artifact for one in found.inputs] + [one.artifact for one in found.outputs]:
                    self._repo.artifact(artifact)
                if found.files is not None:
                    trouble = self._tree(found.files)
                    if trouble:
                        return min(trouble)
                self._good.add(seen)
                if found.previous is None or found.previous in self._good:
                    return None
                seen = found.previous
        except ArtvcError as exc:
            return exc.message
