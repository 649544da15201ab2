"""What a run does with artifacts: logs versions as its outputs and notes others as its inputs."""

import inspect
import os
import re
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from artvc import recording, uploads
from artvc.errors import Conflict, InvalidInput, InvalidType, NotAModel
from artvc.model import merkle, names
from artvc.model.ids import Id
from artvc.model.objects import Input, Output, Properties
from artvc.repo import Version
from artvc.sdk import environment, references, workspace
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.workspace import Workspace
from artvc.settings import now
from artvc.uploads import Upload

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_UNUSABLE = re.compile(r"[^A-Za-z0-9_.\-]+")
_NO_SOURCES: Final = frozenset({".artvc", ".git", "__pycache__", "artifacts", "wandb"})
_PREFIXES: Final = ("wandb-artifact://", "artvc-artifact://")


class RunArtifacts(ABC):
    """The part of :class:`artvc.Run` that has to do with artifacts."""

    _place: Workspace | None
    _lock: threading.RLock
    _inputs: dict[Id, Input]
    _outputs: tuple[Output, ...]
    _logged_labels: list[str]

    @property
    @abstractmethod
    def id(self) -> str:
        """Unique within the project."""

    @property
    @abstractmethod
    def project(self) -> str:
        """The project that the run belongs to."""

    @property
    @abstractmethod
    def group(self) -> str:
        """The group of runs that it belongs to."""

    @abstractmethod
    def _usable(self) -> None:
        """Raise UsageError where the run is over or another process's."""

    @abstractmethod
    def _record(
        self,
        state: str,
        exit_code: int | None,
        *,
        why: str,
        outputs: Sequence[recording.OutputDraft] = (),
        closing: Upload | None = None,
    ) -> recording.Recorded:
        """Make a run commit of all that the run is by now."""

    def log_artifact(
        self,
        artifact_or_path: Artifact | PathLike,
        name: str | None = None,
        type: str | None = None,
        aliases: str | Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        **more: object,
    ) -> Artifact:
        """Log an artifact as an output of this run: durable and visible when this returns.

        Content that a version of that name has already makes no new version; ``latest`` and the aliases move to it.

        Args:
            artifact_or_path: the artifact; or a file, a directory or a URI to make one of.
            name: of the artifact made of a path; ``run-<id>-<base name>`` if not given.
            type: of the artifact made of a path; ``unspecified`` if not given.
            aliases: names for this version besides ``latest``.
            tags: more words to find it by.

        Returns:
            the artifact, which now is that version.

        Raises:
            Conflict: an artifact of that name has another type.
            InvalidInput: a path that does not exist, or a name, alias or tag that is not allowed.
            StorageFull, StorageError: nothing was logged.
        """
        artifact = self._as_artifact(artifact_or_path, name, type)
        wanted = _aliases(aliases)
        if tags:
            artifact.tags = [*artifact.tags, *([tags] if isinstance(tags, str) else tags)]
        if self._place is None:
            artifact.logged_by_disabled()
            return artifact
        with self._lock:
            self._usable()
            place = self._place
            for taken in artifact.taken_from():
                self._inputs.setdefault(taken.artifact, taken)
            draft = artifact.to_output(place, self.project, wanted)
            recorded = self._record("running", None, why=f"log {artifact.source_name}", outputs=[draft])
        (logged,) = recorded.outputs
        artifact.logged_as(logged.version)
        self._logged_labels.append(logged.version.label)
        if logged.properties_changed:
            environment.say(f"{logged.version.label} has this content already; its description or metadata changed")
        return artifact

    def upsert_artifact(
        self,
        artifact_or_path: Artifact | PathLike,
        name: str | None = None,
        type: str | None = None,
        aliases: str | Sequence[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Contribute files to a version that several runs or processes make together.

        The files are durable when this returns; the version is made by :meth:`finish_artifact`.

        Args:
            artifact_or_path, name, type: as for :meth:`log_artifact`; name and type tell the version.
            aliases: accepted for W&B's sake; those given to :meth:`finish_artifact` count.
            distributed_id: what all contributors call their common version; the run's group if not given.

        Returns:
            the artifact, still a draft.

        Raises:
            InvalidType: neither ``distributed_id`` nor a group (a TypeError).
            Conflict: the artifact has another type; or another run contributed other content for a path.
        """
        upload = self._upload_id("upsert_artifact", distributed_id)
        artifact = self._as_artifact(artifact_or_path, name, type)
        if self._place is not None:
            with self._lock:
                self._usable()
                self._contribute(artifact, upload)
        return artifact

    def _contribute(self, artifact: Artifact, upload: str) -> None:
        place = cast("Workspace", self._place)
        draft = artifact.to_output(place, self.project, [])
        for taken in artifact.taken_from():
            self._inputs.setdefault(taken.artifact, taken)
        with place.intake.use() as ingest:
            uploads.contribute(
                place.repo,
                ingest,
                project=self.project,
                name=draft.name,
                type=draft.type,
                upload=upload,
                run=self.id,
                tree=draft.tree,
                properties=draft.properties or Properties(),
                now=now(),
            )

    def finish_artifact(
        self,
        artifact_or_path: Artifact | PathLike,
        name: str | None = None,
        type: str | None = None,
        aliases: str | Sequence[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Make the version of all files that were contributed by :meth:`upsert_artifact`, and of these.

        Args:
            artifact_or_path, name, type, distributed_id: as for :meth:`upsert_artifact`.
            aliases: names for the version besides ``latest``.

        Returns:
            the artifact, which now is that version.

        Raises:
            InvalidType: neither ``distributed_id`` nor a group (a TypeError).
            Conflict: the artifact has another type; or two runs contributed different content for a path.
        """
        upload = self._upload_id("finish_artifact", distributed_id)
        artifact = self._as_artifact(artifact_or_path, name, type)
        wanted = _aliases(aliases)
        if self._place is None:
            artifact.logged_by_disabled()
            return artifact
        with self._lock:
            self._usable()
            self._contribute(artifact, upload)
            version = self._close_upload(artifact, upload, wanted)
        artifact.logged_as(version)
        return artifact

    def _close_upload(self, artifact: Artifact, upload: str, aliases: tuple[str, ...]) -> Version:
        """Make the version of an upload, again if somebody contributes meanwhile."""
        place = cast("Workspace", self._place)
        while True:
            found = uploads.find(place.repo, self.project, artifact.home_name, upload)
            if found is None:  # another process has just made the version, with what was contributed here
                return place.repo.resolve(f"{self.project}/{artifact.home_name}:latest").version
            with place.intake.use() as ingest:
                tree = merkle.write_tree(uploads.merge(place.repo, found).items(), ingest.put)
            draft = recording.OutputDraft(
                name=found.name,
                type=found.type,
                tree=tree,
                properties=uploads.properties_of(place.repo, found),
                aliases=aliases,
            )
            try:
                recorded = self._record("running", None, why=f"finish {found.name}", outputs=[draft], closing=found)
            except Conflict:
                if uploads.find(place.repo, self.project, found.name, upload) == found:
                    raise
                continue
            self._logged_labels.append(recorded.outputs[0].version.label)
            return recorded.outputs[0].version

    def _upload_id(self, what: str, distributed_id: str | None) -> str:
        found = distributed_id or self.group
        if not found:
            raise InvalidType(f"{what}() needs distributed_id=, or a run that has a group")
        return found

    def log_model(
        self, path: PathLike, name: str | None = None, aliases: str | Sequence[str] | None = None
    ) -> Artifact:
        """Log a file or directory as an artifact of type ``model``; as :meth:`log_artifact`."""
        return self.log_artifact(path, name=name, type="model", aliases=aliases)

    def use_model(self, name: str) -> str:
        """Note a model as an input of this run and restore it.

        Args:
            name: ``[project/]name[:alias|:vN]``.

        Returns:
            the path of its file if it has a single one, else of the directory.

        Raises:
            NotAModel: its type does not say ``model`` (an AssertionError and a ValueError).
            NotFound: there is none.
        """
        found = self._find(name)
        if "model" not in found.type:
            raise NotAModel(f"{found.name!r} has type {found.type!r}: use_model() takes artifacts of type 'model'")
        self.use_artifact(found)
        files = found.files()
        return found.file() if len(files) == 1 else found.download()

    def link_artifact(
        self, artifact: Artifact, target_path: str, aliases: str | Sequence[str] | None = None
    ) -> Artifact | None:
        """Make a version of another artifact that stands for this one, which is logged first if it is a draft.

        As :meth:`Artifact.link`; returns the link, or None for a disabled run.
        """
        if artifact.is_draft():
            self.log_artifact(artifact)
        return artifact.link(target_path, aliases) if self._place is not None else None

    def link_model(
        self,
        path: PathLike,
        registered_model_name: str,
        name: str | None = None,
        aliases: str | Sequence[str] | None = None,
    ) -> Artifact | None:
        """Log a model and link it into ``model-registry/<registered_model_name>``.

        Args:
            path: the file or directory.
            registered_model_name: of the artifact in the project ``model-registry``.
            name: of the artifact that is logged; ``run-<id>-<base name>`` if not given.
            aliases: for the link, besides ``latest``.

        Returns:
            the link; None for a disabled run.

        Raises:
            Conflict: an artifact of that name has another type.
            InvalidInput: no such file, or a name that is not allowed.
        """
        names.check_artifact_name(registered_model_name)
        return self.link_artifact(self.log_model(path, name), f"model-registry/{registered_model_name}", aliases)

    def log_code(
        self,
        root: str | None = ".",
        name: str | None = None,
        include_fn: Callable[..., bool] | None = None,
        exclude_fn: Callable[..., bool] | None = None,
    ) -> Artifact | None:
        """Log source files as an artifact of type ``code``.

        Args:
            root: directory below which to look.
            name: of the artifact; ``source-<project>`` and the name of the program if not given.
            include_fn: takes a path, or a path and the root; True for files to take; ``*.py`` if not given.
            exclude_fn: the same, for files to leave out.

        Returns:
            the version; None where no file fits, and for a disabled run.

        Raises:
            InvalidInput: no such directory.
        """
        top = os.path.abspath(root or ".")
        if not os.path.isdir(top):
            raise InvalidInput(f"no directory {root!r} to log code of")
        program = os.path.basename(sys.argv[0] or "")
        fallback = _UNUSABLE.sub("-", f"source-{self.project}-{program}").strip("-")[: names.NAME_BYTES]
        artifact = Artifact(name or fallback, "code")
        found = [path for path in _sources(top) if _fits(include_fn or _is_python, path, top)]
        found = [path for path in found if exclude_fn is None or not _fits(exclude_fn, path, top)]
        if not found or self._place is None:
            return None
        for path in found:
            artifact.add_file(path, name=os.path.relpath(path, top).replace(os.sep, "/"))
        return self.log_artifact(artifact)

    def used_artifacts(self, per_page: int = 100) -> list[Artifact]:
        """The versions that this run used by now, in order; those that were deleted are left out."""
        return self._versions_of([(one.project, one.artifact) for one in self._inputs.values()])

    def logged_artifacts(self, per_page: int = 100) -> list[Artifact]:
        """The versions that this run logged by now, in order; those that were deleted are left out."""
        return self._versions_of([(self.project, one.artifact) for one in self._outputs])

    def _versions_of(self, wanted: Sequence[tuple[str, Id]]) -> list[Artifact]:
        if self._place is None:
            return []
        repo, found = self._place.repo, []
        for project, artifact in wanted:
            for version in repo.versions(project, repo.artifact(artifact).name):
                if version.artifact_id == artifact and version.source is None:
                    found.append(Artifact.from_version(self._place, version))
        return found

    def use_in_config(self, value: object) -> Artifact | None:
        """The artifact that a value of the config is or names, noted as an input; None for other values.

        Args:
            value: an :class:`Artifact`, or text that starts with ``wandb-artifact://`` or ``artvc-artifact://``.

        Raises:
            NotFound: there is no such version.
            ArtifactNotLoggedError: a draft was given.
        """
        if self._place is None:
            return None
        if isinstance(value, str) and value.startswith(_PREFIXES):
            return self.use_artifact(value)
        if not isinstance(value, Artifact):
            return None
        value._logged("json_encode")
        return self.use_artifact(value)

    def _as_artifact(self, given: Artifact | PathLike, name: str | None, kind: str | None) -> Artifact:
        if isinstance(given, Artifact):
            return given
        if not isinstance(given, str | os.PathLike):
            raise InvalidType(f"log_artifact() takes an Artifact or a path, not {given.__class__.__name__}")
        path = os.fspath(given)
        base = _UNUSABLE.sub("-", os.path.basename(path.rstrip("/")))
        made = Artifact(name or f"run-{self.id}-{base}"[: names.NAME_BYTES], kind or "unspecified")
        if self._place is None:
            return made
        if _URI.match(path):
            made.add_reference(path)
        elif os.path.isdir(path):
            made.add_dir(path)
        elif os.path.isfile(path):
            made.add_file(path)
        else:
            raise InvalidInput(f"no file, directory or URI: {path!r}")
        return made

    def use_artifact(
        self,
        artifact_or_name: Artifact | str,
        type: str | None = None,
        aliases: str | Sequence[str] | None = None,
        use_as: str | None = None,
        **more: object,
    ) -> Artifact:
        """Note an artifact version as an input of this run.

        Args:
            artifact_or_name: ``[project/]name[:alias|:vN]``, without a selector the latest; or an artifact (a
                draft is logged first).
            type: what its type must be.
            aliases: for a draft: names besides ``latest``.
            use_as: accepted for W&B's sake.

        Returns:
            the version.

        Raises:
            NotFound: there is none (a CommError and a ValueError).
            InvalidInput: its type is another, or the reference is malformed.
        """
        if isinstance(artifact_or_name, Artifact):
            found = artifact_or_name
            if found.is_draft() and self._place is not None:
                self.log_artifact(found, aliases=aliases)
        elif isinstance(artifact_or_name, str):
            found = self._find(artifact_or_name)
        else:
            raise InvalidType(f"use_artifact() takes a name or an Artifact, not {artifact_or_name.__class__.__name__}")
        if type is not None and found.type != type:
            raise InvalidInput(f"artifact {found.name!r} has type {found.type!r}, not {type!r}")
        if found._version is not None and self._place is not None:
            version = found._version
            with self._lock:
                self._usable()
                self._inputs.setdefault(
                    version.artifact_id,
                    Input(project=version.home[0], artifact=version.artifact_id, asked=found.name),
                )
        return found

    def _find(self, reference: str) -> Artifact:
        place = self._place or workspace.find()
        for prefix in _PREFIXES:
            if reference.startswith(prefix):
                reference = references.by_id(place.repo, reference.removeprefix(prefix))
        found = place.repo.resolve(reference, project=self.project)
        if found.path:
            raise InvalidInput(
                f"{reference!r} names a file, use_artifact() takes an artifact",
                hint="use it, then get_entry()",
            )
        selector = next((one.selector for one in names.parse_reference(reference) if one.digest is None), None)
        return Artifact.from_version(place, found.version, asked=selector)


def _aliases(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Aliases as asked for, each once and without ``latest``.  Raises InvalidInput."""
    found = dict.fromkeys([given] if isinstance(given, str) else given or ())
    return tuple(names.check_alias(alias) for alias in found if alias != names.LATEST)


def _sources(top: str) -> Iterator[str]:
    """The files below a directory in order, without those of artvc, git, W&B and downloads."""
    for directory, below, files in os.walk(top):
        below[:] = sorted(one for one in below if one not in _NO_SOURCES)
        yield from (os.path.join(directory, file) for file in sorted(files))


def _is_python(path: str, root: str) -> bool:
    return path.endswith(".py")


def _fits(choose: Callable[..., bool], path: str, root: str) -> bool:
    """Ask a function of one or two arguments."""
    try:
        two = len(inspect.signature(choose).parameters) > 1
    except (TypeError, ValueError):  # a builtin
        two = False
    return bool(choose(path, root) if two else choose(path))
