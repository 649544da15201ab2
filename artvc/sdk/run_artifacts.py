"""What a run does with artifacts: logs versions as its outputs and notes others as its inputs."""

import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from artvc import recording
from artvc.errors import InvalidInput, InvalidType
from artvc.model import names
from artvc.model.ids import Id
from artvc.model.objects import Input
from artvc.sdk import environment, workspace
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.workspace import Workspace

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_UNUSABLE = re.compile(r"[^A-Za-z0-9_.\-]+")
_PREFIXES: Final = ("wandb-artifact://", "artvc-artifact://")


class RunArtifacts(ABC):
    """The part of :class:`artvc.Run` that has to do with artifacts."""

    _place: Workspace | None
    _lock: threading.RLock
    _inputs: dict[Id, Input]
    _logged_labels: list[str]

    @property
    @abstractmethod
    def id(self) -> str:
        """Unique within the project."""

    @property
    @abstractmethod
    def project(self) -> str:
        """The project that the run belongs to."""

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
        wanted = tuple(dict.fromkeys([aliases] if isinstance(aliases, str) else aliases or ()))
        for alias in wanted:
            if names.version_number(alias) is None:
                names.check_alias(alias)
        if tags:
            artifact.tags = [*artifact.tags, *([tags] if isinstance(tags, str) else tags)]
        if self._place is None:
            return artifact
        with self._lock:
            self._usable()
            place = self._place
            for taken in artifact.taken_from():
                self._inputs.setdefault(taken.artifact, taken)
            draft = artifact.to_output(place, self.project, [one for one in wanted if one != names.LATEST])
            recorded = self._record("running", None, why=f"log {artifact.source_name}", outputs=[draft])
        (logged,) = recorded.outputs
        artifact.logged_as(logged.version)
        self._logged_labels.append(logged.version.label)
        if logged.properties_changed:
            environment.say(f"{logged.version.label} has this content already; its description or metadata changed")
        return artifact

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
        for prefix in _PREFIXES:
            reference = reference.removeprefix(prefix)
        place = self._place or workspace.find()
        found = place.repo.resolve(reference, project=self.project)
        if found.path:
            raise InvalidInput(
                f"{reference!r} names a file, use_artifact() takes an artifact",
                hint="use it, then get_entry()",
            )
        selector = next((one.selector for one in names.parse_reference(reference) if one.digest is None), None)
        return Artifact.from_version(place, found.version, asked=selector)
