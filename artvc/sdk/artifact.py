"""Artifacts: drafts that a script fills, and the versions that they become when a run logs them.

Content is taken into the repository when it is added, so later edits of the source don't matter and nothing is
staged.  A draft is a dict of paths and entries beside that content; logging makes the tree and the version.
"""

import contextlib
import copy
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Final, Self

from artvc import curation, history, recording, worktree
from artvc.errors import (
    ArtifactFinalizedError,
    InvalidInput,
    InvalidType,
    StorageError,
    UsageError,
)
from artvc.model import merkle, names
from artvc.model.objects import Content, Entry, EntryKind, Input, Properties, file_entry
from artvc.predecessors import Predecessors
from artvc.repo import Version
from artvc.sdk import environment, references
from artvc.sdk.artifact_files import ArtifactFiles
from artvc.sdk.artifact_state import ArtifactTTL
from artvc.sdk.entries import Manifest, ManifestEntry, PathLike, logical
from artvc.sdk.workspace import Workspace
from artvc.settings import now

if TYPE_CHECKING:
    from artvc.sdk.logged_run import LoggedRun

__all__ = ["Artifact", "ArtifactTTL", "Manifest", "ManifestEntry", "PathLike"]

_POLICIES: Final = frozenset({"mutable", "immutable"})


class Artifact(ArtifactFiles):
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
        path = logical(name)
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
        path = logical(name if name is not None else os.path.basename(disk))
        with self._lock:
            self._changeable()
            return self._listed(path, self._take(path, disk, overwrite=overwrite))

    def _take(self, path: str, disk: str, *, overwrite: bool) -> Entry:
        place = self._place()
        with place.intake.use() as ingest:
            _, content, status = ingest.add_file(
                os.path.realpath(disk), lambda size: self._predecessors(place).find(path, size)
            )
        executable = bool(status.st_mode & 0o100)
        return self._put(path, file_entry(path.rpartition("/")[2], content, executable=executable), overwrite)

    def _predecessors(self, place: Workspace) -> Predecessors:
        """What files of this draft may have grown out of; looked up once."""
        if self._grown_from is None:
            self._grown_from = place.predecessors(self._name)
        return self._grown_from

    def _put(self, path: str, entry: Entry, overwrite: bool) -> Entry:
        old = self._entries.get(path)
        if old is not None and old != entry and not overwrite:
            raise InvalidInput(f"Cannot add the same path twice: {path!r}; pass overwrite=True to replace it")
        self._entries[path] = entry
        if entry != old:
            self._origins.pop(path, None)
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
        prefix = f"{logical(name)}/" if name is not None and os.fspath(name) not in {"", ".", "./"} else ""
        with self._lock:
            self._changeable()
            place = self._place()
            with place.intake.use() as ingest:
                grown_from = self._predecessors(place)
                taken = worktree.take_in(
                    place.repo, ingest, [("", disk)], earlier=lambda path, size: grown_from.find(prefix + path, size)
                )
            found = {names.check_path(prefix + path) if prefix else path: entry for path, entry in taken.entries}
            if not merge:
                for path, entry in found.items():
                    if self._entries.get(path, entry) != entry:
                        raise InvalidInput(f"Cannot add the same path twice: {path!r}; pass merge=True to replace it")
            self._entries.update(found)
            for path in found:
                self._origins.pop(path, None)
            self._caches.append(taken.caches)
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

        A directory or prefix gives one entry for each file below it.  What tells a later change is asked for now:
        the bytes of files are read, servers are asked for size and ETag.

        Args:
            uri: ``file://``, ``http(s)://``; with fsspec and its driver ``s3://``, ``gs://``, ``az://``; another
                scheme, of which nothing but the URI is known; an entry of another artifact or its URI
                (``artvc-artifact://`` or ``wandb-artifact://``).
            name: path in the artifact; the last part of the URI if not given, needed for other schemes; of a
                directory, its root.
            checksum: False notes the URI alone: other content later is no other version.
            max_objects: most files that a directory may have; 10,000,000 if not given.

        Returns:
            the entries, sorted by path.

        Raises:
            InvalidInput: no URI, no name, credentials in the URI, or the path has another content already.
            NotFound: there is no such artifact.
            CommError: the server can't be reached, or has no such thing (then a FileNotFoundError too).
            LimitExceeded: more objects than allowed; nothing was added.
            ArtifactFinalizedError: it was logged already.
        """
        self._changeable()
        if isinstance(uri, ManifestEntry):
            return [self._take_over(uri, logical(name if name is not None else uri.path))]
        if not isinstance(uri, str | os.PathLike):
            raise InvalidType(f"add_reference() takes a URI or an entry, not {uri.__class__.__name__}")
        uri = os.fspath(uri)
        if references.scheme_of(uri) in references.ARTIFACT_SCHEMES:
            entry = self._named_by(uri)
            return [self._take_over(entry, logical(name if name is not None else entry.path))]
        path = logical(name) if name is not None else None
        found = references.look(uri, path, checksum=checksum, max_objects=max_objects)
        with self._lock:
            for one in found:
                if self._entries.get(one.name, _named(one)) != _named(one):
                    raise InvalidInput(f"Cannot add the same path twice: {one.name!r}")
            return [self._listed(one.name, self._put(one.name, _named(one), False)) for one in found]

    def _named_by(self, uri: str) -> ManifestEntry:
        """The file of another artifact that a URI names."""
        place = self._place()
        qualified, path = references.parse_artifact_uri(place.repo, uri, None)
        return Artifact.from_version(place, place.repo.resolve(qualified).version).get_entry(path)

    def _take_over(self, given: ManifestEntry, path: str, *, overwrite: bool = False) -> ManifestEntry:
        """Put a file of another artifact into this one; where it came from first is noted."""
        entry = given._entry._replace(name=path.rpartition("/")[2])
        owner = given.parent_artifact()
        if owner._place() is not self._place():
            raise UsageError(f"{given.path!r} is of an artifact in another repository", hint="download and add it")
        with self._lock:
            self._changeable()
            self._put(path, entry, overwrite)
            version = owner._version
            if version is not None and entry.kind != EntryKind.REFERENCE and path.isprintable():
                self._origins[path] = given.ref or references.artifact_uri(version.artifact_id, given.path)
                self._taken_from[version.artifact_id] = Input(
                    project=version.home[0], artifact=version.artifact_id, asked=owner.name
                )
            return self._listed(path, entry)

    # -- media --------------------------------------------------------------------------------------------

    def add(self, obj: Any, name: PathLike, overwrite: bool = False) -> ManifestEntry:
        """Add an image, a table or other media, to be had back by :meth:`get`.

        Content that the artifact has already is not stored again; media that were read from a logged artifact stand
        for its files.

        Args:
            obj: the media.
            name: path in the artifact, without ending.
            overwrite: replace another value of that name.

        Returns:
            the entry of ``<name>.<type>.json``.

        Raises:
            InvalidType: no media.
            InvalidInput: the name is not allowed or has another value already.
            ArtifactFinalizedError: it was logged already.
        """
        media = importlib.import_module("artvc.sdk.media")  # much that other artifacts don't need
        self._changeable()
        files = media.pack(obj, logical(name))
        source, source_path = getattr(obj, "source", None) or (None, "")
        first = files[0][0]
        with self._lock:
            for path, data in files:
                here = source_path if path == first else path
                known = source._entry_at(here, "get") if isinstance(source, Artifact) and source._version else None
                if known is not None and known._entry.is_file and known.size == len(data) and _has(known, data):
                    self._take_over(known, path, overwrite=overwrite)
                else:
                    self._put(path, self._store(path, data), overwrite)
            return self._listed(first, self._entries[first])

    def _store(self, path: str, data: bytes) -> Entry:
        with self._place().intake.use() as ingest:
            return file_entry(path.rpartition("/")[2], ingest.add_bytes(data))

    def get(self, name: PathLike) -> Any:
        """What :meth:`add` put in under a name, or None.

        Raises:
            ArtifactNotLoggedError: it is a draft.
            MalformedObject: there is something, but it is not what it claims to be.
        """
        self._logged("get")
        return importlib.import_module("artvc.sdk.media").unpack(self, logical(name))

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __setitem__(self, name: str, obj: Any) -> None:
        self.add(obj, name)

    def remove(self, item: "PathLike | ManifestEntry") -> None:
        """Take a file, or a directory with all files, out of a draft.

        Raises:
            FileNotFoundError: there is none.
            ArtifactFinalizedError: it was logged already.
        """
        self._changeable()
        path = logical(item.path if isinstance(item, ManifestEntry) else item)
        with self._lock:
            gone = [one for one in self._entries if one == path or one.startswith(f"{path}/")]
            if not gone:
                raise FileNotFoundError(f"No such file or directory in artifact {self._name!r}: {path!r}")
            for one in gone:
                del self._entries[one]
                self._origins.pop(one, None)

    def finalize(self) -> None:
        """Forbid further changes of the content."""
        self._finalized = True

    def _changeable(self) -> None:
        if self._finalized:
            raise ArtifactFinalizedError(
                f"Can't modify finalized artifact {self.source_name!r}",
                hint="change a new_draft() and log that",
            )

    def taken_from(self) -> list[Input]:
        """The artifacts that files were taken over from, as inputs of the run that logs it."""
        return list(self._taken_from.values())

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
            name=self.home_name, type=self._type, tree=tree, properties=given, aliases=tuple(aliases)
        )

    @property
    def home_name(self) -> str:
        """The name under which it is logged: of a link, its source's."""
        return self._version.home[1] if self._version else self._name

    def _inherited(self, place: Workspace, project: str) -> dict[str, Entry]:
        """The files of the latest version, if this one is incremental."""
        if self._incremental and place.repo.state().get(f"collections/{project}/{self._name}"):
            return dict(place.repo.walk(place.repo.resolve(f"{project}/{self._name}:latest").version))
        return {}

    def logged_by_disabled(self) -> None:
        """Stay a draft that scripts may :meth:`wait` for.  Called by the disabled run that was to log it."""
        self._unrecorded = True

    def logged_as(self, version: Version) -> None:
        """Become the version that it was logged as.  Called by the run that logged it."""
        caches = self._caches
        self._become(version)
        for cache in caches:
            cache.save(keep_others=True)

    def new_draft(self) -> "Artifact":
        """A draft with the same files, description and metadata, which logs to the source of a link.

        Raises:
            ArtifactNotLoggedError: it is a draft.
        """
        version = self._logged("new_draft")
        draft = Artifact(version.home[1], self._type, self._description, copy.deepcopy(self._metadata))
        draft._workspace = self._place()
        draft._entries = dict(self._files())
        draft._origins = dict(self._origins)
        return draft

    def save(self, project: str | None = None, settings: object = None) -> None:
        """Log a draft, or persist changed aliases, tags, description, metadata and ttl of a version.

        Args:
            project: of the run that is made for a draft where there is none; its job type is ``auto``.
            settings: accepted for W&B's sake.

        Raises:
            InvalidInput: one of them is not allowed; nothing was changed.
            Conflict: somebody else changed the properties meanwhile; nothing was changed.
            NotFound: the version was deleted meanwhile.
        """
        if self._version is None:
            self._log_by_itself(project)
            return
        version, repo = self._version, self._place().repo
        added = set(self._aliases) - set(version.aliases)
        for alias in added:
            names.check_alias(alias)
        curation.edit_version(
            repo,
            version,
            self._said(),
            add=tuple(sorted(added)),
            remove=tuple(sorted(set(version.aliases) - set(self._aliases))),
            now=now(),
        )
        self._become(repo.version(version.project, version.name, version.number), self._asked)

    def _log_by_itself(self, project: str | None) -> None:
        """Log a draft in the current run, or in one that is made for it."""
        from artvc.sdk import current  # noqa: PLC0415 -- it needs artifacts itself

        run = current.current_run()
        if run is not None:
            run.log_artifact(self)
            return
        with current.init(project=project, job_type="auto") as automatic:
            automatic.log_artifact(self)

    def wait(self, timeout: int | None = None) -> Self:
        """Return at once: logging is durable when it returns, and a disabled run logs nothing.

        Raises:
            ArtifactNotLoggedError: it is a draft that no run was asked to log.
        """
        if not self._unrecorded:
            self._logged("wait")
        return self

    # -- deleting and linking -----------------------------------------------------------------------------

    def delete(self, delete_aliases: bool = False) -> None:
        """Delete the version; of a link, only the link and its aliases.  Its number is not given again.

        Args:
            delete_aliases: delete it although aliases stand for it or links point to it, and these with it.

        Raises:
            Conflict: it has aliases or links (a ValueError); nothing was changed.
            NotFound: it is not there any more.
            ArtifactNotLoggedError: it is a draft.
        """
        version = self._logged("delete")
        all_of_it = delete_aliases or version.source is not None
        curation.delete_version(self._place().repo, version, delete_aliases=all_of_it, now=now())
        self._deleted = True

    def link(self, target_path: str, aliases: str | Sequence[str] | None = None) -> "Artifact":
        """Make a version of another artifact that stands for this one; a draft is logged first.

        Args:
            target_path: ``[[entity/]project/]name`` of that artifact, made if it is not there.
            aliases: for the link, besides ``latest``.

        Returns:
            the link: with a number and aliases of its own, and the content and properties of its source.

        Raises:
            InvalidInput: no such path, an alias that is not allowed, or the version's own artifact.
            Conflict: that artifact is of another type.
        """
        if self._version is None:
            self.save()
        version = self._logged("link")
        project, name = _target(target_path)
        wanted = tuple(dict.fromkeys([aliases] if isinstance(aliases, str) else aliases or ()))
        repo = self._place().repo
        linked = curation.link(
            repo,
            version,
            project or version.home[0],
            name,
            aliases=tuple(a for a in wanted if a != "latest"),
            now=now(),
        )
        return Artifact.from_version(self._place(), linked)

    def unlink(self) -> None:
        """Delete this link; its source stays.

        Raises:
            InvalidInput: it is no link.
            ArtifactNotLoggedError: it is a draft.
        """
        version = self._logged("unlink")
        if version.source is None:
            raise InvalidInput(f"{version.label} is no link; delete() deletes a version")
        self.delete()

    @property
    def source_artifact(self) -> "Artifact":
        """The version that was logged: the source of a link, else itself.  Raises ArtifactNotLoggedError."""
        version = self._logged("source_artifact")
        if version.source is None:
            return self
        return Artifact.from_version(self._place(), self._place().repo.version(*version.source))

    @property
    def linked_artifacts(self) -> list["Artifact"]:
        """All links to the version, sorted by name.  Raises ArtifactNotLoggedError."""
        version = self._logged("linked_artifacts")
        return [Artifact.from_version(self._place(), one) for one in self._place().repo.links_to(version)]

    # -- lineage ------------------------------------------------------------------------------------------

    def logged_by(self) -> "LoggedRun | None":
        """The run that logged this content first.  Raises ArtifactNotLoggedError."""
        self._logged("logged_by")
        made = self.producers()
        return made[0] if made else None

    def producers(self) -> "list[LoggedRun]":
        """All runs that logged this content, in order of time.  Raises ArtifactNotLoggedError."""
        return self._runs(self._logged("producers"), history.producers)

    def used_by(self) -> "list[LoggedRun]":
        """The runs that used this version, in order of time.  Raises ArtifactNotLoggedError."""
        return self._runs(self._logged("used_by"), history.consumers)

    def _runs(self, version: Version, look: Callable[..., list[history.LogEntry]]) -> "list[LoggedRun]":
        found = look(self._place().repo, version.home[0], version.artifact_id)
        logged_run = importlib.import_module("artvc.sdk.logged_run")  # it needs artifacts itself
        return [logged_run.of_entry(self._place(), entry) for entry in reversed(found)]


def _named(entry: Entry) -> Entry:
    """An entry whose name is a path, with the last part of that as its name."""
    return entry._replace(name=entry.name.rpartition("/")[2])


def _has(entry: ManifestEntry, data: bytes) -> bool:
    with entry.open() as file:
        return file.read(len(data) + 1) == data


def _target(path: str) -> tuple[str, str]:
    """Project ("" where not given) and name of what a link goes to."""
    parts = path.split("/")
    if not 1 <= len(parts) <= 3 or ":" in path:
        raise InvalidInput(f"not the path of an artifact: {path!r:.200}", hint="write [project/]name")
    if len(parts) > 1:
        names.check_project(parts[-2])
    return (parts[-2] if len(parts) > 1 else ""), names.check_artifact_name(parts[-1])


def _check_policy(policy: str | None) -> None:
    if policy is not None and policy not in _POLICIES:
        raise InvalidInput(f"unknown policy {policy!r}", hint="use 'mutable' or 'immutable'")
