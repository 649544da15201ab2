"""Artifacts: drafts that a script fills, and the versions that they become when a run logs them.

Content is taken into the repository when it is added, so later edits of the source don't matter and nothing is
staged.  A draft is a dict of paths and entries beside that content; logging makes the tree and the version.
"""

import contextlib
import copy
import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import IO, Any, Final, Self

from artvc import history, recording, worktree
from artvc.errors import (
    ArtifactFinalizedError,
    ArtifactNotLoggedError,
    InvalidInput,
    InvalidType,
    NotFound,
    StorageError,
    UsageError,
)
from artvc.model import merkle, names
from artvc.model.ids import id_of
from artvc.model.objects import (
    Content,
    Entry,
    EntryKind,
    Properties,
    TreeSummary,
    file_entry,
    reference_entry,
)
from artvc.repo import Version
from artvc.sdk import environment, values, workspace
from artvc.sdk.record import RunRecord, record_of
from artvc.sdk.workspace import Workspace
from artvc.settings import now

PathLike = str | os.PathLike[str]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_KNOWN_SCHEMES: Final = frozenset({"file", "http", "https"})
_POLICIES: Final = frozenset({"mutable", "immutable"})
_LARGE_BYTES: Final = 50 * 1000 * 1000
_LARGE_FILES: Final = 5000


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of an artifact.

    Attributes:
        path: in the artifact.
        digest: of its content, hex; of a reference, its checksum or URI.
        size: bytes; 0 for references of unknown size.
        ref: the URI of a reference, else None.
    """

    path: str
    digest: str
    size: int
    ref: str | None
    _artifact: "Artifact"
    _entry: Entry

    @property
    def name(self) -> str:
        """Its path, as the files of W&B call it."""
        return self.path

    def parent_artifact(self) -> "Artifact":
        """The artifact that it belongs to."""
        return self._artifact

    def ref_target(self) -> str:
        """The URI of a reference.  Raises InvalidInput for a file."""
        if self.ref is None:
            raise InvalidInput(f"{self.path!r} is a file, not a reference")
        return self.ref

    def open(self) -> io.BufferedReader:
        """The content as a stream that can seek.  Raises InvalidInput for a reference."""
        return self._artifact._place().repo.open_file(self._entry)

    def download(self, root: PathLike | None = None, skip_cache: bool | None = None) -> str:
        """Restore this file alone; returns its absolute path.  Raises as :meth:`Artifact.download`."""
        return os.path.join(self._artifact._restore(root, [self.path]), *self.path.split("/"))


class Manifest:
    """The files of an artifact by path."""

    def __init__(self, entries: dict[str, ManifestEntry]) -> None:
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, path: object) -> bool:
        return path in self.entries

    def __getitem__(self, path: str) -> ManifestEntry:
        return self.entries[path]


class Artifact:
    """A named set of files.

    Args:
        name: letters, digits, ``_``, ``-`` and ``.``, at most 128.
        type: free text; all versions of a name have the same.
        description: Markdown.
        metadata: JSON-like dict, copied.
        incremental: start from the files of the latest version.
        more: W&B's further arguments, accepted without effect.

    Raises:
        InvalidInput: a name or type that is not allowed, or an infinity in the metadata.
        InvalidType: the metadata is no dict, or holds something that has no JSON form.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        incremental: bool = False,
        **more: object,
    ) -> None:
        for what, given in (("name", name), ("type", type)):
            if not isinstance(given, str):
                raise InvalidType(f"the {what} of an artifact is text, not {given!r:.80}")
        self._name = names.check_artifact_name(name)
        self._type = names.check_type(type)
        self._description = description
        self._metadata = _normal(metadata)
        self._incremental = incremental
        self._tags: list[str] = []
        self._aliases: list[str] = []
        self._entries: dict[str, Entry] = {}
        self._caches: list[Any] = []
        self._workspace: Workspace | None = None
        self._finalized = False
        self._version: Version | None = None
        self._asked: str | None = None
        self._lock = threading.RLock()

    @classmethod
    def from_version(cls, place: Workspace, version: Version, *, asked: str | None = None) -> Self:
        """A logged artifact.

        Args:
            place: the workspace that has it.
            version: which one.
            asked: the alias or version by which it was asked for.
        """
        value = place.repo.artifact(version.artifact_id)
        made = cls(value.name, value.type)
        made._workspace = place
        made._become(version, asked)
        return made

    def _become(self, version: Version, asked: str | None = None) -> None:
        """Turn from a draft into a version."""
        said = self._place().repo.properties(version.properties_id)
        self._version = version
        self._asked = asked
        self._description = said.description or None
        self._metadata = copy.deepcopy(said.metadata)
        self._tags = list(said.tags)
        self._aliases = list(version.aliases)
        self._finalized = True
        self._entries = {}
        self._caches = []

    def __repr__(self) -> str:
        state = self._version.qualified if self._version else f"draft of {self._name}"
        return f"<Artifact {state} ({self._type})>"

    # -- what it is ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``name``; of a logged one ``name:alias`` as it was asked for, else ``name:v3``."""
        if self._version is None:
            return self._name
        return f"{self._name}:{self._asked}" if self._asked else self._version.label

    @property
    def source_name(self) -> str:
        """``name:v3``, however it was asked for; of a draft the name."""
        return self._version.label if self._version else self._name

    @property
    def qualified_name(self) -> str:
        """``project/name:v3``.  Raises ArtifactNotLoggedError."""
        return self._logged("qualified_name").qualified

    @property
    def type(self) -> str:
        """What kind of thing it is."""
        return self._type

    @property
    def version(self) -> str:
        """``v3``.  Raises ArtifactNotLoggedError."""
        return f"v{self._logged('version').number}"

    @property
    def project(self) -> str:
        """The project that it belongs to.  Raises ArtifactNotLoggedError."""
        return self._logged("project").project

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts.  Raises ArtifactNotLoggedError."""
        self._logged("entity")
        return ""

    @property
    def id(self) -> str | None:
        """The id of name, type and content, hex; None for a draft."""
        return self._version.artifact_id.hex() if self._version else None

    @property
    def state(self) -> str:
        """``PENDING`` for a draft, ``COMMITTED`` for a version."""
        return "COMMITTED" if self._version else "PENDING"

    @property
    def created_at(self) -> str:
        """When the version was first logged, ISO 8601, UTC.  Raises ArtifactNotLoggedError."""
        return self._place().repo.commit(self._logged("created_at").commit_id).ended

    @property
    def digest(self) -> str:
        """The root of the tree of files, 64 hex digits: equal content, equal digest."""
        return self._tree().id.hex()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._tree().size if self._version else sum(entry.size for entry in self._entries.values())

    @property
    def file_count(self) -> int:
        """How many files.  Raises ArtifactNotLoggedError."""
        self._logged("file_count")
        return self._tree().files

    @property
    def description(self) -> str | None:
        """Markdown; of a logged one, :meth:`save` persists a change."""
        return self._description

    @description.setter
    def description(self, text: str | None) -> None:
        self._description = text

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict of JSON types that may be changed in place; checked when it is logged or saved."""
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: dict[str, Any]) -> None:
        self._metadata = _normal(metadata)

    @property
    def aliases(self) -> list[str]:
        """The aliases of a version; change the list and :meth:`save`.  Raises ArtifactNotLoggedError."""
        self._logged("aliases")
        return self._aliases

    @aliases.setter
    def aliases(self, aliases: Sequence[str]) -> None:
        self._logged("aliases")
        self._aliases = [names.check_alias(alias) for alias in aliases]

    @property
    def tags(self) -> list[str]:
        """Words to find it by; of a logged one, :meth:`save` persists a change."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._tags = [names.check_tag(tag) for tag in tags]

    @property
    def manifest(self) -> Manifest:
        """All files by path."""
        return Manifest({path: self._listed(path, entry) for path, entry in self._files()})

    def is_draft(self) -> bool:
        """Whether it was not logged yet."""
        return self._version is None

    def _logged(self, member: str) -> Version:
        if self._version is None:
            raise ArtifactNotLoggedError(
                f"'Artifact.{member}' needs a logged artifact, and {self._name!r} is a draft",
                hint="log it with run.log_artifact() first",
            )
        return self._version

    def _place(self) -> Workspace:
        """The workspace; a draft that was made before any run finds one as ``init`` would."""
        if self._workspace is None:
            self._workspace = workspace.find()
        if self._workspace.pid != os.getpid():
            raise UsageError(f"artifact {self._name!r} was made in another process", hint="make it in this one")
        return self._workspace

    def _tree(self) -> TreeSummary:
        if self._version is not None:
            value = self._place().repo.artifact(self._version.artifact_id)
            return TreeSummary(value.root, value.files, value.size)
        return merkle.write_tree(self._entries.items(), id_of)

    def _files(self) -> Iterator[tuple[str, Entry]]:
        if self._version is not None:
            return self._place().repo.walk(self._version)
        return iter(sorted(self._entries.items()))

    def _listed(self, path: str, entry: Entry) -> ManifestEntry:
        reference = entry.kind == EntryKind.REFERENCE
        digest = entry.id.hex() if entry.id else (entry.checksum or entry.target)
        return ManifestEntry(path, digest, entry.size, entry.target if reference else None, self, entry)

    # -- adding -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def new_file(
        self, name: PathLike, mode: str = "x", encoding: str | None = None, policy: str = "mutable"
    ) -> Iterator[IO[Any]]:
        """Write a file of the artifact: ``with artifact.new_file("a.txt", "w") as file: ...``.

        If the block raises, nothing is added.

        Args:
            name: path in the artifact.
            mode: as for ``open``: "x" and "w" for text, "xb" and "wb" for bytes; "x" wants a new path.
            encoding: of text; UTF-8 if not given.
            policy: accepted for W&B's sake.

        Yields:
            a real file that can seek.

        Raises:
            InvalidInput: the path is not allowed or, with "x", taken; or the mode writes nothing.
            ArtifactFinalizedError: it was logged already.
        """
        path = _logical(name)
        self._changeable()
        _check_policy(policy)
        if set(mode) - set("xwbt+") or not set(mode) & set("xw"):
            raise InvalidInput(f"new_file can't open with mode {mode!r}", hint="use 'w', 'wb', 'x' or 'xb'")
        if "x" in mode and path in self._entries:
            raise InvalidInput(f"File with name {path!r} already exists", hint="use mode 'w' to replace it")
        place = self._place()
        temporary, fd = place.repo.disk.open_temporary(str(place.repo.dir / "tmp"))
        try:
            text = None if "b" in mode else (encoding or "utf-8")
            with open(temporary, mode.replace("x", "w"), encoding=text, opener=lambda *_: fd) as file:
                yield file
            with self._lock:
                self._changeable()
                self._take(path, temporary, overwrite=True)
        except UnicodeEncodeError as exc:
            environment.say(f"{path!r} was not added: {exc}")
            raise
        finally:
            place.repo.disk.discard(temporary)

    def add_file(
        self,
        local_path: PathLike,
        name: PathLike | None = None,
        is_tmp: bool | None = False,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        overwrite: bool = False,
    ) -> ManifestEntry:
        """Add a file as it is now; what becomes of it later does not matter.

        Args:
            local_path: the file.
            name: path in the artifact; its base name if not given.
            is_tmp, skip_cache, policy: accepted for W&B's sake.
            overwrite: replace another content of that path.

        Returns:
            its entry.

        Raises:
            InvalidInput: no file, a path that is not allowed, or one that has another content already.
            ArtifactFinalizedError: it was logged already.
            SourceError: the file can't be read or changes meanwhile.
        """
        disk = os.fspath(local_path)
        _check_policy(policy)
        self._changeable()
        if not os.path.isfile(disk):
            raise InvalidInput(f"Path is not a file: {disk!r}", hint="add_dir() takes a directory")
        path = _logical(name if name is not None else os.path.basename(disk))
        with self._lock:
            self._changeable()
            return self._listed(path, self._take(path, disk, overwrite=overwrite))

    def _take(self, path: str, disk: str, *, overwrite: bool) -> Entry:
        with self._place().intake.use() as ingest:
            _, content, status = ingest.add_file(os.path.realpath(disk))
        executable = bool(status.st_mode & 0o100)
        return self._put(path, file_entry(path.rpartition("/")[2], content, executable=executable), overwrite)

    def _put(self, path: str, entry: Entry, overwrite: bool) -> Entry:
        old = self._entries.get(path)
        if old is not None and old != entry and not overwrite:
            raise InvalidInput(f"Cannot add the same path twice: {path!r}; pass overwrite=True to replace it")
        self._entries[path] = entry
        return entry

    def add_dir(
        self,
        local_path: PathLike,
        name: PathLike | None = None,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        merge: bool = False,
    ) -> None:
        """Add all files below a directory as they are now.

        ``.artvcignore`` files are obeyed; hidden files are taken; links that stay inside are kept as links, others
        stand for the file that they point to; empty directories are left out.

        Args:
            local_path: the directory.
            name: directory in the artifact; its root if not given.
            skip_cache, policy: accepted for W&B's sake.
            merge: replace paths that have another content already.

        Raises:
            InvalidInput: no directory, or a path that has another content already; nothing was added.
            ArtifactFinalizedError: it was logged already.
            SourceError: a file can't be read or changes meanwhile.
        """
        disk = os.path.abspath(local_path)
        _check_policy(policy)
        self._changeable()
        if not os.path.isdir(disk):
            raise InvalidInput(f"Path is not a directory: {os.fspath(local_path)!r}", hint="add_file() takes a file")
        prefix = f"{_logical(name)}/" if name is not None and os.fspath(name) not in {"", ".", "./"} else ""
        with self._lock:
            self._changeable()
            place = self._place()
            with place.intake.use() as ingest:
                taken = worktree.take_in(place.repo, ingest, [("", disk)])
            found = {names.check_path(prefix + path) if prefix else path: entry for path, entry in taken.entries}
            if not merge:
                for path, entry in found.items():
                    if self._entries.get(path, entry) != entry:
                        raise InvalidInput(f"Cannot add the same path twice: {path!r}; pass merge=True to replace it")
            self._entries.update(found)
            self._caches += taken.caches
        for warning in taken.warnings:
            environment.warn(warning)

    def add_reference(
        self,
        uri: "ManifestEntry | str",
        name: PathLike | None = None,
        checksum: bool = True,
        max_objects: int | None = None,
    ) -> list[ManifestEntry]:
        """Note something outside by its URI, or take over a file of another artifact (which copies nothing).

        Args:
            uri: ``http://``, ``https://``, ``file://`` or another scheme; or an entry of another artifact.
            name: path in the artifact; the last part of the URI if not given, needed for other schemes.
            checksum, max_objects: accepted for W&B's sake.

        Raises:
            InvalidInput: no URI, or the path has another content already.
            ArtifactFinalizedError: it was logged already.
        """
        self._changeable()
        if isinstance(uri, ManifestEntry):
            path = _logical(name if name is not None else uri.path)
            entry = uri._entry._replace(name=path.rpartition("/")[2])
        else:
            path, entry = _reference(uri, name)
        with self._lock:
            return [self._listed(path, self._put(path, entry, False))]

    def remove(self, item: "PathLike | ManifestEntry") -> None:
        """Take a file, or a directory with all files, out of a draft.

        Raises:
            FileNotFoundError: there is none.
            ArtifactFinalizedError: it was logged already.
        """
        self._changeable()
        path = _logical(item.path if isinstance(item, ManifestEntry) else item)
        with self._lock:
            gone = [one for one in self._entries if one == path or one.startswith(f"{path}/")]
            if not gone:
                raise FileNotFoundError(f"No such file or directory in artifact {self._name!r}: {path!r}")
            for one in gone:
                del self._entries[one]

    def finalize(self) -> None:
        """Forbid further changes of the content."""
        self._finalized = True

    def _changeable(self) -> None:
        if self._finalized:
            raise ArtifactFinalizedError(
                f"Can't modify finalized artifact {self.source_name!r}",
                hint="change a new_draft() and log that",
            )

    # -- logging ------------------------------------------------------------------------------------------

    def to_output(self, place: Workspace, project: str, aliases: Sequence[str]) -> recording.OutputDraft:
        """What ``recording.record`` needs; stores the tree.  Called by the run that logs it.

        Args:
            place: the run's workspace.
            project: the run's.
            aliases: besides ``latest``.

        Raises:
            UsageError: its content is in another repository.
            InvalidInput: metadata, tags or aliases are not allowed.
            Conflict: a path is both a file and a directory.
        """
        if self._workspace is not None and self._workspace is not place and (self._entries or self._version):
            raise UsageError(
                f"artifact {self._name!r} has its files in {self._place().repo.root}, the run is in {place.repo.root}",
                hint="add the files after artvc.init()",
            )
        self._workspace = place
        said = self._said()
        given = said if said != Properties() and self._version is None else None
        with self._lock, place.intake.use() as ingest:
            if self._version is not None:
                tree = self._tree()
            else:
                entries = {**self._inherited(place, project), **self._entries}
                for path, entry in entries.items() if place.had_trouble else ():
                    if entry.id and not ingest.has(Content(entry.kind, entry.id, entry.size)):
                        raise StorageError(f"{path!r} of artifact {self._name!r} was lost", hint="add it again")
                tree = merkle.write_tree(entries.items(), ingest.put)
        return recording.OutputDraft(
            name=self._name, type=self._type, tree=tree, properties=given, aliases=tuple(aliases)
        )

    def _said(self) -> Properties:
        self._metadata = _normal(self._metadata)
        return Properties(
            description=self._description or "", metadata=self._metadata, tags=tuple(sorted(set(self._tags)))
        )

    def _inherited(self, place: Workspace, project: str) -> dict[str, Entry]:
        """The files of the latest version, if this one is incremental."""
        if self._incremental and place.repo.state().get(f"collections/{project}/{self._name}"):
            return dict(place.repo.walk(place.repo.resolve(f"{project}/{self._name}:latest").version))
        return {}

    def logged_as(self, version: Version) -> None:
        """Become the version that it was logged as.  Called by the run that logged it."""
        caches = self._caches
        self._become(version)
        for cache in caches:
            cache.save(keep_others=True)

    def new_draft(self) -> "Artifact":
        """A draft with the same files, description and metadata.  Raises ArtifactNotLoggedError."""
        self._logged("new_draft")
        draft = Artifact(self._name, self._type, self._description, copy.deepcopy(self._metadata))
        draft._workspace = self._place()
        draft._entries = dict(self._files())
        return draft

    def save(self, project: str | None = None, settings: object = None) -> None:
        """Persist changed aliases, tags, description and metadata of a version.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            InvalidInput: one of them is not allowed; nothing was changed.
            Conflict: somebody else changed the properties meanwhile.
        """
        version = self._logged("save")
        repo = self._place().repo
        said = self._said()
        for alias in self._aliases:
            names.check_alias(alias)
        if said != repo.properties(version.properties_id):
            recording.set_properties(repo, version, said, now=now())
        for alias in sorted(set(self._aliases) - set(version.aliases)):
            recording.set_alias(repo, version, alias, now=now())
        for alias in sorted(set(version.aliases) - set(self._aliases)):
            with contextlib.suppress(NotFound):
                recording.remove_alias(repo, version.project, version.name, alias, now=now())
        self._become(repo.version(version.project, version.name, version.number), self._asked)

    def wait(self, timeout: int | None = None) -> Self:
        """Return at once: logging is durable when it returns.  Raises ArtifactNotLoggedError for a draft."""
        self._logged("wait")
        return self

    # -- restoring ----------------------------------------------------------------------------------------

    def download(
        self,
        root: PathLike | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: PathLike | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Restore the files.  Right files are kept, changed ones restored, others left alone.

        Args:
            root: where; ``artifacts/<name>:v<N>`` in the working directory (or ``ARTVC_ARTIFACT_DIR``) if not given.
            path_prefix: only paths that start with this text.
            allow_missing_references, skip_cache, multipart: accepted for W&B's sake.

        Returns:
            the directory, absolute.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            Damaged: stored bytes are not what they were; none of them were written.
            StorageFull, StorageError: the destination's disk.
        """
        version = self._logged("download")
        if path_prefix is None or not os.fspath(path_prefix):
            return self._restore(root, None)
        prefix = os.fspath(path_prefix)
        return self._restore(root, [path for path, _ in self._place().repo.walk(version) if path.startswith(prefix)])

    def _restore(self, root: PathLike | None, paths: list[str] | None) -> str:
        """Restore all files (None) or some of them; returns the directory."""
        version = self._logged("download")
        target = self._default_root(versioned=True) if root is None else os.path.abspath(root)
        if paths is not None and not paths:
            os.makedirs(target, exist_ok=True)
            return target
        repo, tree = self._place().repo, self._tree()
        if tree.size > _LARGE_BYTES or tree.files > _LARGE_FILES:
            environment.say(
                f"downloading large artifact '{self.name}', {tree.size / 1e6:.2f} MB, {tree.files} files to {target}"
            )
        result = worktree.checkout(
            repo, version, Path(target), asked=self.name, subpaths=paths or (), force=True, merge=True
        )
        if result.references:
            environment.warn(f"{len(result.references)} references of {version.label} were not fetched")
        return target

    def _default_root(self, *, versioned: bool) -> str:
        version = self._logged("download")
        base = os.path.abspath(environment.variable("ARTIFACT_DIR") or "artifacts")
        return os.path.join(base, version.label if versioned else version.name)

    def checkout(self, root: PathLike | None = None) -> str:
        """Make a directory equal to the version: other files in it are deleted.

        Args:
            root: where; ``artifacts/<name>`` if not given.

        Returns:
            the directory, absolute.

        Raises:
            ArtifactNotLoggedError: it is a draft.
        """
        version = self._logged("checkout")
        target = self._default_root(versioned=False) if root is None else os.path.abspath(root)
        worktree.checkout(self._place().repo, version, Path(target), asked=self.name, force=True, exact=True)
        return target

    def verify(self, root: PathLike | None = None) -> None:
        """Check that a directory holds exactly this version's files.

        Args:
            root: where; the directory of :meth:`download` if not given.

        Raises:
            InvalidInput: a file is missing, changed, or not of this version; the message names it.
            ArtifactNotLoggedError: it is a draft.
        """
        self._logged("verify")
        base = self._default_root(versioned=True) if root is None else os.path.abspath(root)
        expected = dict(self._files())
        for path in _paths_below(base):
            entry = expected.pop(path, None)
            if entry is None:
                raise InvalidInput(f"{base} has a file that {self.source_name} does not have: {path!r}")
            if not self._is_right(os.path.join(base, path), entry):
                raise InvalidInput(f"{path!r} in {base} is not as in {self.source_name}", hint="download() restores it")
        missing = [path for path, entry in expected.items() if entry.kind != EntryKind.REFERENCE]
        if missing:
            raise InvalidInput(f"{missing[0]!r} of {self.source_name} is missing in {base}")
        if expected:
            environment.warn(f"{len(expected)} references of {self.source_name} were not verified")

    def _is_right(self, disk: str, entry: Entry) -> bool:
        """Whether a file on disk is what an entry says, byte for byte."""
        if entry.kind == EntryKind.SYMLINK:
            return os.path.islink(disk) and os.readlink(disk) == entry.target
        if not entry.is_file:
            return True
        with open(disk, "rb") as file:
            if os.path.islink(disk) or os.fstat(file.fileno()).st_size != entry.size:
                return False
            return all(file.read(len(piece)) == piece for piece in self._place().repo.read(entry))

    def file(self, root: PathLike | None = None) -> str:
        """Restore an artifact of a single file; returns the file's path.

        Raises:
            InvalidInput: it has none or several.
            ArtifactNotLoggedError: it is a draft.
        """
        self._logged("file")
        paths = [path for path, _ in self._files()]
        if len(paths) != 1:
            raise InvalidInput(f"{self.source_name} has {len(paths)} files, not one", hint="use download()")
        return os.path.join(self._restore(root, None), *paths[0].split("/"))

    def files(
        self, names: Sequence[str] | None = None, per_page: int = 50, start: object = None
    ) -> list[ManifestEntry]:
        """All files of a version, or those of some paths.  Raises ArtifactNotLoggedError."""
        self._logged("files")
        return [self._listed(path, entry) for path, entry in self._files() if names is None or path in names]

    def get_entry(self, name: PathLike) -> ManifestEntry:
        """One file.

        Raises:
            KeyError: there is none of that path.
            ArtifactNotLoggedError: it is a draft.
        """
        version = self._logged("get_entry")
        path = _logical(name)
        try:
            entry = self._place().repo.entry(version, path)
        except NotFound:
            entry = None
        if entry is None or entry.kind == EntryKind.DIRECTORY:
            raise KeyError(f"{self.source_name} has no file {path!r}")
        return self._listed(path, entry)

    get_path = get_entry

    # -- lineage ------------------------------------------------------------------------------------------

    def logged_by(self) -> RunRecord | None:
        """The run that logged this content first.  Raises ArtifactNotLoggedError."""
        made = self.producers()
        return made[0] if made else None

    def producers(self) -> list[RunRecord]:
        """All runs that logged this content, in order of time.  Raises ArtifactNotLoggedError."""
        return self._runs(self._logged("logged_by"), history.producers)

    def used_by(self) -> list[RunRecord]:
        """The runs that used this version, in order of time.  Raises ArtifactNotLoggedError."""
        return self._runs(self._logged("used_by"), history.consumers)

    def _runs(self, version: Version, look: Callable[..., list[history.LogEntry]]) -> list[RunRecord]:
        found = look(self._place().repo, version.project, version.artifact_id)
        return [record_of(entry) for entry in reversed(found)]


def _normal(metadata: object) -> dict[str, Any]:
    """Metadata as a dict of JSON types of its own."""
    if metadata is not None and not isinstance(metadata, dict) and not hasattr(metadata, "keys"):
        raise InvalidType(f"metadata must be a dict, not {type(metadata).__name__}")
    return values.to_object(metadata, what="metadata", non_finite="null", strict=True)


def _logical(name: PathLike) -> str:
    """A path in an artifact.  Raises InvalidInput if it leads out."""
    path = name.as_posix() if isinstance(name, PureWindowsPath) else os.fspath(name)
    if isinstance(name, PurePath) and path == ".":
        path = ""
    return names.logical_path(path)


def _check_policy(policy: str | None) -> None:
    if policy is not None and policy not in _POLICIES:
        raise InvalidInput(f"unknown policy {policy!r}", hint="use 'mutable' or 'immutable'")


def _reference(uri: str, name: PathLike | None) -> tuple[str, Entry]:
    """The path and entry of a reference."""
    scheme = _SCHEME.match(uri)
    if scheme is None:
        raise InvalidInput(f"References must be URIs, not {uri!r}", hint="write file:///path for a local file")
    if name is None:
        base = uri.split("?")[0].split("#")[0].rstrip("/").rpartition("/")[2]
        if scheme[1].lower() not in _KNOWN_SCHEMES or not base or "://" not in uri:
            raise InvalidInput(f"a reference to {uri!r} needs a name", hint="pass name=")
        name = base
    path = _logical(name)
    size = 0
    if scheme[1].lower() == "file":
        local = uri.partition("//")[2]
        size = os.path.getsize(local) if os.path.isfile(local) else 0
    return path, reference_entry(path.rpartition("/")[2], uri=uri, size=size, checksum="")


def _paths_below(base: str) -> Iterator[str]:
    """The paths of all files and links below a directory, in order."""
    if not os.path.isdir(base):
        raise InvalidInput(f"no directory {base!r} to verify", hint="download() makes it")
    for directory, below, files in os.walk(base):
        below.sort()
        links = [one for one in below if os.path.islink(os.path.join(directory, one))]
        for file in sorted(files + links):
            yield os.path.relpath(os.path.join(directory, file), base).replace(os.sep, "/")
