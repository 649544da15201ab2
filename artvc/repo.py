"""An opened repository: where it is, its settings, its objects and names, and questions about them.

Functions take a :class:`Repository` when they need two or more of its parts.  It answers; the verbs that change
things are in ``recording``, ``worktree`` and ``maintenance``.
"""

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from artvc.errors import (
    Conflict,
    Damaged,
    InvalidInput,
    MalformedObject,
    NotARepository,
    NotFound,
    StorageError,
    UnsupportedFormat,
)
from artvc.model import chunking, codec, merkle, names
from artvc.model.ids import Id, Kind, transaction_id
from artvc.model.names import Reference
from artvc.model.objects import (
    Artifact,
    Commit,
    Content,
    Entry,
    EntryKind,
    Json,
    JsonObject,
    Properties,
)
from artvc.model.reach import Reach
from artvc.settings import Settings, lookup, parse_toml
from artvc.store.fsio import Disk
from artvc.store.objects import Objects
from artvc.store.refs import RefEdit, RefLog, RefState

if TYPE_CHECKING:
    from artvc.store.ingest import Ingest

DIRECTORY: Final = ".artvc"
FORMAT_VERSION: Final = 1
DEFAULT_PROJECT: Final = "uncategorized"
DIRECTORIES: Final = ("packs", "refs", "runs", "cache", "locks", "tmp", "checkouts")
_FORMAT: Final[JsonObject] = {
    "arrays": chunking.ARRAY_RULE,
    "chunking": chunking.RULE,
    "hash": "blake3-256",
    "version": FORMAT_VERSION,
    "whole": chunking.WHOLE,
}
_SMALL_FILE: Final = 1024 * 1024
_SIMILAR_LIMIT: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of an artifact: what its name stands for at one moment.

    Attributes:
        project, name, number: what it is called.
        artifact_id, commit_id: its content, and the run commit that logged it first.
        properties_id: what is said about it; of a link, about its source.
        aliases: that stand for it.
        source: of a link to a version of another artifact, that one's project, name and number; else None.
        linked: when the link was made; "" for a version that is none.
    """

    project: str
    name: str
    number: int
    artifact_id: Id
    commit_id: Id
    properties_id: Id | None
    aliases: tuple[str, ...]
    source: tuple[str, str, int] | None = None
    linked: str = ""

    @property
    def home(self) -> tuple[str, str, int]:
        """Project, name and number of the version that was logged: the source of a link, else its own."""
        return self.source or (self.project, self.name, self.number)

    @property
    def label(self) -> str:
        """``name:v3``."""
        return f"{self.name}:v{self.number}"

    @property
    def qualified(self) -> str:
        """``project/name:v3``."""
        return f"{self.project}/{self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a reference stands for."""

    version: Version
    path: str
    asked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """All versions of an artifact, and what is said about them together."""

    project: str
    name: str
    type: str
    latest: int | None
    versions: int
    description: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """A run as the refs know it."""

    project: str
    run_id: str
    name: str
    commit: Id
    started: str
    ended: str


class Repository:
    """An opened repository.  Use as a context manager, or call :meth:`close`.

    Args:
        root: directory that holds ``.artvc``.
        settings: how to work.
        disk: the door to its files.
    """

    def __init__(self, root: Path, settings: Settings, disk: Disk) -> None:
        self.root = root
        self.dir = root / DIRECTORY
        self.settings = settings
        self.disk = disk
        self.objects = Objects(disk, str(self.dir))
        self.refs = RefLog(disk, str(self.dir), self._vouch)
        self._config: JsonObject | None = None
        self._bases: set[Version] = set()

    # -- opening ------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, root: Path, settings: Settings | None = None, disk: Disk | None = None) -> Self:
        """Open the repository of a directory.

        Raises:
            NotARepository: there is none.
            UnsupportedFormat: a newer artvc made it.
            Damaged: its format file is damaged.
        """
        settings = settings or Settings()
        repo = cls(Path(os.path.abspath(root)), settings, disk or Disk(sync=settings.sync))
        repo._check_format()
        return repo

    @classmethod
    def discover(cls, start: Path, settings: Settings | None = None) -> Self:
        """Open the repository of a directory or of the nearest one above it.  Raises as :meth:`open`."""
        start = Path(os.path.abspath(start))
        for directory in (start, *start.parents):
            if (directory / DIRECTORY / "format").is_file():
                return cls.open(directory, settings)
        raise NotARepository(
            f"not an artvc repository (or any directory above): {start}", hint="run 'artvc init' to make one"
        )

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        project: str | None = None,
        settings: Settings | None = None,
        disk: Disk | None = None,
    ) -> tuple[Self, bool]:
        """Make a repository, or open the one that is there.

        Args:
            root: existing directory.
            project: default project of a new repository.
            settings, disk: as for :meth:`open`.

        Returns:
            the repository, and whether it is new.  The format file is written last, so that a creation cut short
            is no repository and can simply be repeated.
        """
        settings = settings or Settings()
        disk = disk or Disk(sync=settings.sync)
        if project is not None:
            names.check_project(project)
        root = Path(os.path.abspath(root))
        if not root.is_dir():
            raise InvalidInput(f"not a directory: {root}")
        base = str(root / DIRECTORY)
        if os.path.exists(os.path.join(base, "format")):
            return cls.open(root, settings, disk), False
        disk.ensure_dir(base)
        for name in DIRECTORIES:
            disk.ensure_dir(os.path.join(base, name))
        repo = cls(root, settings, disk)
        if project is not None:
            repo.set_config("project.default", project)
        try:
            disk.create_file(os.path.join(base, "format"), format_file(), tmp=str(repo.dir / "tmp"))
        except FileExistsError:
            return cls.open(root, settings, disk), False
        return repo, True

    def _check_format(self) -> None:
        path = str(self.dir / "format")
        try:
            raw = self.disk.read_file(path, limit=_SMALL_FILE)
        except (FileNotFoundError, StorageError) as exc:
            raise NotARepository(f"not an artvc repository: {self.root}", hint="run 'artvc init' to make one") from exc
        check_format(raw, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self.objects.close()

    # -- configuration ------------------------------------------------------------------------------------

    @property
    def config(self) -> JsonObject:
        """The repository's configuration; it never travels and can't name programs to run.

        Raises:
            InvalidInput: ``.artvc/config`` is not valid TOML.
        """
        if self._config is None:
            self._config = self._parse_config()
        return self._config

    def _parse_config(self) -> JsonObject:
        return parse_toml(self._config_text(), str(self.dir / "config"))

    def _config_text(self) -> str:
        path = str(self.dir / "config")
        try:
            return self.disk.read_file(path, limit=_SMALL_FILE).decode()
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as exc:
            raise InvalidInput(f"{path} is not valid TOML: {exc}") from exc

    def set_config(self, key: str, value: str | None) -> None:
        """Set a dotted key to text, or remove it (None); comments and order of the file are kept.

        Raises:
            InvalidInput: the key is malformed or stands for a table.
        """
        import tomlkit  # noqa: PLC0415 -- 40 ms that only this needs
        import tomlkit.exceptions  # noqa: PLC0415

        parts = key.split(".")
        if len(parts) < 2 or not all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts):
            raise InvalidInput(f"not a configuration key: {key!r}", hint="write SECTION.NAME")
        try:
            document = tomlkit.parse(self._config_text())
        except tomlkit.exceptions.ParseError as exc:
            raise InvalidInput(f"{self.dir / 'config'} is not valid TOML: {exc}") from exc
        here = document
        for part in parts[:-1]:
            if part not in here:
                here[part] = tomlkit.table()
            here = here[part]
            if not isinstance(here, dict):
                raise InvalidInput(f"configuration key {key!r}: {part!r} is a value, not a section")
        if isinstance(here.get(parts[-1]), dict):
            raise InvalidInput(f"configuration key {key!r} is a section, not a value")
        if value is None:
            here.pop(parts[-1], None)
        else:
            here[parts[-1]] = value
        text = tomlkit.dumps(document).encode()
        self.disk.write_file(str(self.dir / "config"), text, tmp=str(self.dir / "tmp"), durable=True)
        self._config = None

    @property
    def default_project(self) -> str:
        """The project of names without one: as set, else the only one there is, else ``uncategorized``."""
        chosen = self.settings.project or lookup(self.config, "project.default")
        if chosen is not None:
            return names.check_project(chosen)
        known = self.projects()
        return known[0] if len(known) == 1 else DEFAULT_PROJECT

    # -- names --------------------------------------------------------------------------------------------

    def state(self) -> RefState:
        """All refs as they are now.  It moves on with the log: take what is needed, keep nothing."""
        return self.refs.state()

    def _vouch(self, edits: Sequence[RefEdit], state: RefState) -> None:
        """Before names count: refuse them where gc took away what this process relied on."""
        if not edits:
            return
        stand = all(_is_named(version, state) for version in self._bases)
        if not (stand and self.objects.relied_on_stands()):
            self.check_whole(edits)

    def rely_on(self, version: "Version") -> None:
        """Note that parts of a version's tree are taken over without a look at their objects.

        To be called after an ingest began: as long as a name keeps them, gc does too.
        """
        self._bases.add(version)

    def check_whole(self, edits: Sequence[RefEdit]) -> None:
        """Look whether everything is there that some edits of refs name.

        To be called while a transaction is built, by whoever brings names back that were removed: nothing else keeps
        their objects from being deleted at this moment.

        Raises:
            Conflict: something was deleted, or is about to be.
        """
        reach = Reach(self.objects.get)
        try:
            for edit in edits:
                if edit.new is not None:
                    reach.add(edit.name, edit.new)
            gone = self.objects.endangered(reach.objects | reach.chunks)
        except NotFound as exc:
            raise Conflict(f"gc deleted what this names: {exc}", hint="add the files again and repeat this") from exc
        if gone is not None:
            raise Conflict(
                f"gc deletes what this names: object {gone.hex()[:12]}", hint="add the files again and repeat this"
            )

    def projects(self) -> list[str]:
        """All projects that have an artifact or a run, sorted."""
        state = self.state()
        found = {prefix.split("/")[1] for prefix in state.prefixes("collections/")}
        return sorted(found | {prefix.split("/")[1] for prefix in state.prefixes("runs/")})

    def collections(self, project: str | None = None) -> list[Collection]:
        """All artifacts of a project or of all, sorted by project and name."""
        state = self.state()
        found = []
        for prefix in state.prefixes("collections/"):
            owner = prefix.split("/")[1]
            if project is not None and owner != project:
                continue
            for name, value in sorted(state.below(prefix).items()):
                refs = state.below(f"artifacts/{owner}/{name}")
                count = sum(names.version_number(ref) is not None for ref in refs)
                latest = refs.get(names.LATEST)
                found.append(
                    Collection(
                        project=owner,
                        name=name,
                        type=str(value.get("type")),
                        latest=_number(latest) if latest else None,
                        versions=count,
                        description=str(value.get("description", "")),
                        tags=_texts(value.get("tags")),
                    )
                )
        return found

    def aliases(self, project: str, name: str) -> dict[str, int]:
        """The aliases of an artifact and the versions that they stand for."""
        refs = self.state().below(f"artifacts/{project}/{name}")
        return {ref: _number(value) for ref, value in sorted(refs.items()) if names.version_number(ref) is None}

    def versions(self, project: str, name: str) -> list[Version]:
        """The versions of an artifact, rising.  Unknown names have none."""
        state = self.state()
        refs = state.below(f"artifacts/{project}/{name}")
        by_number: dict[int, list[str]] = {}
        for ref, value in refs.items():
            if names.version_number(ref) is None:
                by_number.setdefault(_number(value), []).append(ref)
        numbers = sorted(number for number in map(names.version_number, refs) if number is not None)
        return [_version(state, project, name, number, by_number.get(number, [])) for number in numbers]

    def version(self, project: str, name: str, number: int) -> Version:
        """One version.  Raises NotFound."""
        state = self.state()
        refs = state.below(f"artifacts/{project}/{name}")
        if f"v{number}" not in refs:
            collection = state.get(f"collections/{project}/{name}") or {}
            following = collection.get("next")
            if isinstance(following, int) and number < following:
                raise NotFound(f"version '{project}/{name}:v{number}' was deleted", hint=_version_hint(refs))
            raise NotFound(f"artifact '{project}/{name}' has no version v{number}", hint=_version_hint(refs))
        aliases = [ref for ref, value in refs.items() if value.get("version") == number]
        return _version(state, project, name, number, aliases)

    def links_to(self, version: Version) -> list[Version]:
        """The links to a version, sorted by project, name and number."""
        state = self.state()
        wanted = version.artifact_id.hex()
        found = []
        for prefix in state.prefixes("artifacts/"):
            _, project, name = prefix.split("/")
            for ref in state.having(prefix, wanted):
                number = names.version_number(ref)
                if number is not None and source_of(state.refs[f"{prefix}/{ref}"]) == version.home:
                    found.append(self.version(project, name, number))
        return sorted(found, key=lambda one: (one.project, one.name, one.number))

    def resolve(self, reference: str, *, project: str | None = None) -> Found:
        """What ``[project/]NAME[:ALIAS|:vN|@HASH][/path]`` stands for.

        Args:
            reference: as typed.
            project: for names without one; None: the default project if it has the artifact, else the only one.

        Raises:
            InvalidInput: no reference.
            NotFound: no such artifact, alias, version or hash; suggests similar names.
        """
        readings = names.parse_reference(reference)
        for reading in readings:
            owner = self._project_of(reading, project)
            if owner is not None:
                version = self._select(owner, reading)
                return Found(version=version, path=reading.path, asked=reference)
        # Of "a/b" the first part is a project only if there is one of that name, else a misspelt artifact.
        meant = readings[0] if readings[0].project in {None, *self.projects()} else readings[-1]
        raise self._no_artifact(meant, project)

    def _project_of(self, reading: Reference, project: str | None) -> str | None:
        state = self.state()
        wanted = reading.project or project
        candidates = [wanted] if wanted else [self.default_project]
        for owner in candidates:
            if state.get(f"collections/{owner}/{reading.name}") is not None:
                return owner
        if reading.project is not None:
            return None
        having = [owner for owner in self.projects() if state.get(f"collections/{owner}/{reading.name}")]
        if len(having) > 1:
            raise NotFound(
                f"project {candidates[0]!r} has no artifact {reading.name!r}, but several others have",
                hint="say which: " + ", ".join(f"{owner}/{reading.name}" for owner in having[:10]),
            )
        return having[0] if having else None

    def _select(self, project: str, reading: Reference) -> Version:
        refs = self.state().below(f"artifacts/{project}/{reading.name}")
        if reading.digest is not None:
            return self._by_digest(project, reading.name, reading.digest)
        if reading.version is not None:
            return self.version(project, reading.name, reading.version)
        if reading.selector not in refs:
            close = _similar(reading.selector, refs)
            hint = f"did you mean {reading.name}:{close}?" if close else _version_hint(refs)
            if not refs:
                raise NotFound(f"all versions of artifact '{project}/{reading.name}' were deleted")
            raise NotFound(f"artifact '{project}/{reading.name}' has no alias {reading.selector!r}", hint=hint)
        return self.version(project, reading.name, _number(refs[reading.selector]))

    def _by_digest(self, project: str, name: str, digest: str) -> Version:
        """The version whose artifact id or root tree starts with some hex digits."""
        found = [
            version
            for version in self.versions(project, name)
            if version.artifact_id.hex().startswith(digest)
            or self.artifact(version.artifact_id).root.hex().startswith(digest)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            labels = ", ".join(version.label for version in found[:10])
            raise NotFound(f"'{project}/{name}@{digest}' is ambiguous", hint=f"it may be {labels}")
        raise NotFound(f"artifact '{project}/{name}' has no version with hash {digest!r}")

    def _no_artifact(self, reading: Reference, project: str | None) -> NotFound:
        known = [collection.name for collection in self.collections()]
        close = _similar(reading.name, known)
        where = f" in project {reading.project or project!r}" if reading.project or project else ""
        if close:
            hint = f"did you mean {close!r}?"
        else:
            hint = "'artvc ls' lists what is there" if known else "nothing has been committed yet"
        return NotFound(f"no artifact {reading.name!r}{where}", hint=hint)

    def runs(self, project: str | None = None) -> list[RunRef]:
        """The runs of a project or of all, newest first."""
        state = self.state()
        found = []
        for prefix in state.prefixes("runs/"):
            owner = prefix.split("/")[1]
            if project is None or owner == project:
                found += [_run_ref(owner, run_id, value) for run_id, value in state.below(prefix).items()]
        found.sort(key=lambda run: (run.ended, run.run_id), reverse=True)
        return found

    def run(self, project: str, run_id: str) -> RunRef:
        """One run.  Raises NotFound."""
        value = self.state().get(f"runs/{project}/{run_id}")
        if value is None:
            raise NotFound(f"no run {run_id!r} in project {project!r}", hint="'artvc log' lists the runs")
        return _run_ref(project, run_id, value)

    # -- objects ------------------------------------------------------------------------------------------

    def artifact(self, artifact: Id) -> Artifact:
        """An artifact by id.  Raises NotFound, Damaged."""
        return codec.decode_artifact(self.objects.get(Kind.ARTIFACT, artifact))

    def properties(self, properties: Id | None) -> Properties:
        """Properties by id; None are empty ones.  Raises NotFound, Damaged."""
        if properties is None:
            return Properties()
        return codec.decode_properties(self.objects.get(Kind.PROPERTIES, properties))

    def commit(self, commit: Id) -> Commit:
        """A run commit by id.  Raises NotFound, Damaged."""
        return codec.decode_commit(self.objects.get(Kind.COMMIT, commit))

    def entry(self, version: Version, path: str) -> Entry:
        """The entry at a path of a version; "" is the root, as a directory without a name.

        Raises:
            NotFound: there is none; suggests a similar name.
        """
        artifact = self.artifact(version.artifact_id)
        if not path:
            return Entry("", EntryKind.DIRECTORY, False, artifact.size, artifact.files, artifact.root)
        found = merkle.find(artifact.root, path, self.objects.get)
        if found is None:
            raise NotFound(f"{version.label} has no file {path!r}", hint=self._similar_path(artifact.root, path))
        return found

    def _similar_path(self, root: Id, path: str) -> str | None:
        parent, _, name = path.rpartition("/")
        above = merkle.find(root, parent, self.objects.get) if parent else None
        tree = root if not parent else (above.id if above and above.kind == EntryKind.DIRECTORY else None)
        if tree is None:
            return None
        close = _similar(name, (e.name for e in merkle.iterate(tree, self.objects.get)))
        return f"did you mean {(parent + '/' if parent else '') + close!r}?" if close else None

    def listdir(self, version: Version, path: str = "") -> Iterator[Entry]:
        """The entries of a directory of a version; of a file, the file itself.  Raises NotFound."""
        entry = self.entry(version, path)
        if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
            yield from merkle.iterate(entry.id, self.objects.get)
        else:
            yield entry

    def walk(self, version: Version, path: str = "") -> Iterator[tuple[str, Entry]]:
        """All files, links and references at or below a path, with their paths from the version's root."""
        entry = self.entry(version, path)
        if entry.kind == EntryKind.DIRECTORY and entry.id is not None:
            yield from merkle.walk(entry.id, self.objects.get, prefix=f"{path}/" if path else "")
        else:
            yield path, entry

    def read(self, entry: Entry, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of a file from ``start`` to ``stop``, verified, piece by piece.

        Raises:
            InvalidInput: the entry is no regular file.
            NotFound, Damaged: its bytes are not there, or not what they were.
        """
        content = self.content(entry)
        stop = content.size if stop is None else min(stop, content.size)
        for piece in merkle.slices(content, self.objects.get, start=start, stop=stop):
            data = self.objects.get(Kind.CHUNK, piece.id)
            if len(data) != piece.size:
                raise Damaged(f"chunk {piece.id.short} has {len(data)} bytes, its list says {piece.size}")
            part = data[max(0, start - piece.offset) : max(0, stop - piece.offset)]
            if part:
                yield part

    def content(self, entry: Entry) -> Content:
        """What a regular file consists of.  Raises InvalidInput for anything else."""
        if not entry.is_file or entry.id is None:
            raise InvalidInput(f"{entry.name!r} is a {entry.kind.name.lower()}, not a file")
        return Content(entry.kind, entry.id, entry.size)

    def bring(self, files: Iterable[Content]) -> None:
        """Have the bytes of files here at once, where they lie on a remote; reading brings them one by one.

        Raises:
            NotFound: they are neither here nor there.
            RemoteError: they could not be had.
        """
        if self.objects.lend is None:
            return
        find = self.objects.find
        pieces = (piece.id for content in files for piece in merkle.slices(content, self.objects.get))
        missing = list(dict.fromkeys(piece for piece in pieces if find(piece) is None))
        if missing:
            self.objects.lend(missing)

    def open_file(self, entry: Entry) -> io.BufferedReader:
        """A file as a seekable stream of verified bytes.  Raises InvalidInput for what is no regular file."""
        return io.BufferedReader(_FileStream(self, entry), 256 * 1024)

    def ingest(self, *, paranoid: bool = False, advance: Callable[[int], None] | None = None) -> "Ingest":
        """Begin to take in data; see :class:`artvc.store.ingest.Ingest`."""
        from artvc.store.ingest import Ingest  # noqa: PLC0415 -- threads and chunking that readers don't need

        return Ingest(self.objects, workers=self.settings.workers, paranoid=paranoid, advance=advance)


class _FileStream(io.RawIOBase):
    """The bytes of a file in the store, read as they are asked for."""

    def __init__(self, repo: Repository, entry: Entry) -> None:
        super().__init__()
        self._repo = repo
        self._entry = entry
        self._size = repo.content(entry).size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise InvalidInput(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        for piece in self._repo.read(self._entry, start=self._at, stop=self._at + len(view)):
            view[: len(piece)] = piece
            self._at += len(piece)
            return len(piece)
        return 0


def _similar(word: str, known: Iterable[str]) -> str | None:
    """The known word most like another, if any is."""
    import difflib  # noqa: PLC0415 -- only for errors

    return next(iter(difflib.get_close_matches(word, itertools.islice(known, _SIMILAR_LIMIT), n=1)), None)


def format_file() -> bytes:
    """The bytes of the file that says how what is stored is cut and hashed."""
    return _checksummed(codec.encode_json(_FORMAT))


def check_format(raw: bytes, path: str) -> None:
    """Whether a format file is that of this version.

    Args:
        raw: its bytes.
        path: for the message.

    Raises:
        UnsupportedFormat: a newer artvc wrote it.
        Damaged: nobody did.
    """
    body, _, _ = raw.partition(b"\n")
    if _checksummed(body) != raw:
        raise Damaged(f"{path} is damaged", hint="restore it from another copy of the repository")
    try:
        found = codec.decode_json(body)
    except MalformedObject as exc:
        raise Damaged(f"{path} is damaged: {exc}") from exc
    if found != _FORMAT:
        raise UnsupportedFormat(
            f"{path} says repository format {found.get('version')!r} with {found.get('chunking')!r}",
            hint="a newer artvc reads it",
        )


def _checksummed(body: bytes) -> bytes:
    """A line and its checksum on the next: how small files of the repository are written."""
    return body + b"\n" + transaction_id(body).hex().encode() + b"\n"


def _number(value: JsonObject) -> int:
    found = value.get("version")
    if not isinstance(found, int):
        raise Damaged("an alias in the ref log names no version")
    return found


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _id(value: JsonObject, key: str) -> Id:
    found = value.get(key)
    if not isinstance(found, str):
        raise Damaged(f"a ref in the log has no {key}")
    return Id.parse(found)


def source_of(value: JsonObject) -> tuple[str, str, int] | None:
    """Project, name and number in a version's ref, if that is a link.

    Raises:
        Damaged: it is one, but names no version.
    """
    source = value.get("source")
    if source is None:
        return None
    parts = source.split("/") if isinstance(source, str) else []
    number = names.version_number(parts[2]) if len(parts) == 3 else None
    if number is None:
        raise Damaged("a link in the ref log names no version")
    return parts[0], parts[1], number


def _is_named(version: Version, state: RefState) -> bool:
    """Whether a version is still what it was."""
    project, name, number = version.home
    value = state.get(f"artifacts/{project}/{name}/v{number}")
    return value is not None and value.get("artifact") == version.artifact_id.hex()


def _version(state: RefState, project: str, name: str, number: int, aliases: Sequence[str]) -> Version:
    value = state.refs[f"artifacts/{project}/{name}/v{number}"]
    source = source_of(value)
    owner = source or (project, name, number)
    properties = state.get(f"properties/{owner[0]}/{owner[1]}/v{owner[2]}")
    return Version(
        project=project,
        name=name,
        number=number,
        artifact_id=_id(value, "artifact"),
        commit_id=_id(value, "commit"),
        properties_id=_id(properties, "id") if properties else None,
        aliases=tuple(sorted(aliases)),
        source=source,
        linked=str(value.get("linked", "")),
    )


def _run_ref(project: str, run_id: str, value: JsonObject) -> RunRef:
    return RunRef(
        project=project,
        run_id=run_id,
        name=str(value.get("name", "")),
        commit=_id(value, "commit"),
        started=str(value.get("started", "")),
        ended=str(value.get("ended", "")),
    )


def _version_hint(refs: Iterable[str]) -> str | None:
    numbers = sorted(number for number in map(names.version_number, refs) if number is not None)
    return f"it has v{numbers[0]} to v{numbers[-1]}" if numbers else None
