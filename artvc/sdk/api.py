"""``artvc.Api``: reading a repository without a run, as ``wandb.Api()`` reads a server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from artvc import curation, recording
from artvc.errors import InvalidInput, InvalidType, NotFound, UsageError
from artvc.history import find_run
from artvc.model import names
from artvc.repo import Collection, Repository, RunRef, Version
from artvc.sdk import leftovers, missing, workspace
from artvc.sdk.artifact import Artifact, PathLike
from artvc.sdk.filters import compile_filter, parse_order, sort_key
from artvc.sdk.listing import Listing
from artvc.sdk.logged_run import LoggedRun, RunFile, logged_run, of_leftover
from artvc.sdk.workspace import Workspace
from artvc.settings import now

_PREFIXES: Final = ("wandb-artifact://", "artvc-artifact://")
# Orders that need nothing but the list of runs.
_LISTED: Final[dict[str, Callable[[RunRef], str]]] = {
    "created_at": lambda run: run.started,
    "createdAt": lambda run: run.started,
    "heartbeat_at": lambda run: run.ended,
    "heartbeatAt": lambda run: run.ended,
    "display_name": lambda run: run.name,
    "displayName": lambda run: run.name,
    "name": lambda run: run.run_id,
    "id": lambda run: run.run_id,
}
_VERSION_ORDERS: Final[dict[str, Callable[[Repository, Version], Any]]] = {
    "version_index": lambda repo, version: version.number,
    "versionIndex": lambda repo, version: version.number,
    "created_at": lambda repo, version: repo.commit(version.commit_id).ended,
    "createdAt": lambda repo, version: repo.commit(version.commit_id).ended,
    "size": lambda repo, version: repo.artifact(version.artifact_id).size,
}


class Api:
    """Reads the repository of the working directory, or of the nearest one above it.

    Names are written ``[project/]NAME[:ALIAS|:vN]``, runs ``[project/]ID``; an entity before the project, as W&B has
    it, is dropped.  What is listed is a :class:`~artvc.sdk.listing.Listing`: read when it is looked at.

    Args:
        overrides: W&B's settings; of these "project" is the default project here.
        timeout, api_key, more: accepted for W&B's sake, without effect.
        path: where to look for the repository; ``ARTVC_DIR``, else the working directory, if not given.

    Raises:
        NotARepository: there is none.
        UnsupportedFormat, Damaged: it can't be used.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any] | None = None,
        timeout: int | None = None,
        api_key: str | None = None,
        *,
        path: PathLike | None = None,
        **more: object,
    ) -> None:
        self._place: Workspace = workspace.find(path, create=False)
        chosen = (overrides or {}).get("project")
        self._default = names.check_project(str(chosen)) if chosen else None

    def __repr__(self) -> str:
        return f"<Api {self._place.repo.root}>"

    @property
    def default_entity(self) -> str:
        """Always "": a repository has no accounts."""
        return ""

    @property
    def default_project(self) -> str:
        """The project of names without one."""
        return self._default or self._place.repo.default_project

    def flush(self) -> None:
        """Nothing is kept that could be old."""

    if not TYPE_CHECKING:  # a checker of types would take any name for one of the class

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                missing.reason(name) or f"artvc's Api has no {name!r}; 'artvc help wandb' says what it has"
            )

    @property
    def settings(self) -> dict[str, str]:
        """The entity and the project of names without one."""
        return {"entity": self.default_entity, "project": self.default_project}

    def from_path(self, path: str) -> Any:
        """What a path names: ``project/ID`` or ``entity/project/ID`` a run, with ``:`` an artifact, else a project.

        Raises:
            NotFound: there is nothing of that name.
            InvalidInput: a path of another form.
        """
        parts = path.strip("/").split("/")
        if ":" in parts[-1]:
            return self.artifact(path)
        try:
            return self.project(path) if len(parts) == 1 else self.run(path)
        except NotFound:
            if len(parts) != 2:
                raise
            return self.project(path)

    # -- artifacts ----------------------------------------------------------------------------------------

    def artifact(self, name: str, type: str | None = None) -> Artifact:
        """A version of an artifact.

        Args:
            name: ``[project/]NAME[:ALIAS|:vN|@HASH]``; without a selector the latest.
            type: what its type must be.

        Raises:
            NotFound: there is none (a CommError and a ValueError); says what is missing.
            InvalidInput: its type is another, or the name is malformed.
        """
        version, asked = self._version(name)
        found = Artifact.from_version(self._place, version, asked=asked)
        if type is not None and found.type != type:
            raise InvalidInput(f"artifact {found.name!r} has type {found.type!r}, not {type!r}")
        return found

    def artifact_exists(self, name: str, type: str | None = None) -> bool:
        """Whether there is such a version (of that type).  Raises InvalidInput for a malformed name."""
        try:
            version, _ = self._version(name)
        except NotFound:
            return False
        return type is None or self._place.repo.artifact(version.artifact_id).type == type

    def _version(self, name: str) -> tuple[Version, str | None]:
        """A version, and the alias or number by which it was asked for."""
        if not isinstance(name, str):
            raise InvalidType(f"the name of an artifact is text, not {name!r:.80}")
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        if ":" not in name and "@" not in name:
            name += f":{names.LATEST}"
        (reading,) = names.parse_reference(name)
        if reading.path:
            raise InvalidInput(f"{name!r} names a file, not an artifact", hint="get_entry() of the artifact has it")
        version = self._place.repo.resolve(name, project=self._default).version
        return version, None if reading.digest else reading.selector

    def artifact_collection_exists(self, name: str, type: str) -> bool:
        """Whether there is an artifact of that name and type.  Raises InvalidInput for a malformed name."""
        try:
            self.artifact_collection(type, name)
        except NotFound:
            return False
        return True

    def artifacts(
        self,
        type_name: str,
        name: str,
        per_page: int = 50,
        tags: str | Sequence[str] | None = None,
        order: str | None = None,
        start: str | None = None,
    ) -> Listing[Artifact]:
        """The versions of an artifact, the newest first.

        Args:
            type_name: its type.
            name: ``[project/]NAME``.
            per_page, start: accepted for W&B's sake.
            tags: only versions that have all of these.
            order: ``+`` or ``-`` and ``version_index``, ``created_at`` or ``size``.

        Raises:
            NotFound: there is no such artifact of that type.
            InvalidInput: no such order.
        """
        return self.artifact_collection(type_name, name).artifacts(per_page, tags=tags, order=order)

    artifact_versions = artifacts

    def artifact_types(self, project: str | None = None) -> "Listing[ArtifactType]":
        """The types of a project's artifacts, sorted.  Raises NotFound for an unknown project."""
        owner = self._project(project)

        def find() -> list[Callable[[], ArtifactType]]:
            kinds = sorted({one.type for one in _present(self._place.repo, owner)})
            return [lambda kind=kind: ArtifactType(self._place, owner, kind) for kind in kinds]  # type: ignore[misc]

        return Listing(find, f"types of artifacts of {owner}")

    def artifact_type(self, type_name: str, project: str | None = None) -> "ArtifactType":
        """One type of a project's artifacts.  Raises NotFound."""
        owner = self._project(project)
        if all(one.type != type_name for one in _present(self._place.repo, owner)):
            raise NotFound(f"project {owner!r} has no artifact of type {type_name!r}")
        return ArtifactType(self._place, owner, type_name)

    def artifact_collections(
        self, project_name: str, type_name: str | None = None, per_page: int = 50, start: str | None = None
    ) -> "Listing[ArtifactCollection]":
        """The artifacts of a project, sorted by name.

        Args:
            project_name: the project.
            type_name: only of this type.
            per_page, start: accepted for W&B's sake.

        Raises:
            NotFound: there is no such project.
        """
        return _collections(self._place, self._project(project_name), type_name)

    def artifact_collection(self, type_name: str | None, name: str) -> "ArtifactCollection":
        """One artifact with all its versions.

        Args:
            type_name: its type; None: whatever it is.
            name: ``[project/]NAME``.

        Raises:
            NotFound: there is no such artifact of that type.
        """
        found = self._collection(name)
        if type_name is not None and found.type != type_name:
            raise NotFound(f"artifact '{found.project}/{found.name}' has type {found.type!r}, not {type_name!r}")
        return ArtifactCollection(self._place, found)

    def _collection(self, name: str) -> Collection:
        """An artifact by ``[entity/][project/]NAME``."""
        parts = name.partition(":")[0].split("/")
        if len(parts) > 3:
            raise InvalidInput(f"not a name of an artifact: {name!r:.200}", hint="write [project/]NAME")
        base = names.check_artifact_name(parts[-1])
        owner = names.check_project(parts[-2]) if len(parts) > 1 else self._default
        repo = self._place.repo
        having = [one for one in _present(repo, owner) if one.name == base]
        if owner is None and len(having) > 1:
            having = [one for one in having if one.project == self.default_project]
        if not having:
            raise NotFound(
                f"project {owner or self.default_project!r} has no artifact {base!r}", hint="'artvc ls' lists them"
            )
        return having[0]

    # -- runs and projects --------------------------------------------------------------------------------

    def run(self, path: str) -> LoggedRun:
        """A run.

        Args:
            path: ``[project/]ID``, also with an entity or with ``/runs/`` before the id; a run's name does, too,
                where only one run has it.

        Raises:
            NotFound: there is none.
            InvalidInput: a path of another form, or a name that several runs have.
        """
        parts = [part for part in str(path).strip("/").split("/") if part and part != "runs"]
        if not 1 <= len(parts) <= 3:
            raise InvalidInput(f"not a path of a run: {path!r:.200}", hint="write [project/]ID")
        repo = self._place.repo
        if len(parts) > 1:
            names.check_project(parts[-2])
        try:
            return logged_run(self._place, parts[-2] if len(parts) > 1 else self.default_project, parts[-1])
        except NotFound:
            return LoggedRun(self._place, find_run(repo, "/".join(parts[-2:])))

    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        include_sweeps: bool = True,
        lazy: bool = True,
        *,
        project: str | None = None,
    ) -> Listing[LoggedRun]:
        """The runs of a project.

        Args:
            path: the project, also with an entity before it; the default one if not given.
            filters: which runs; dotted fields and MongoDB's operators, see :mod:`artvc.sdk.filters`.  Fields are
                ``state``, ``config.KEY``, ``summary_metrics.KEY``, ``tags``, ``job_type``, ``group``,
                ``display_name``, ``name`` (the id or the name), ``created_at``, ``heartbeat_at``, ``notes``,
                ``user``, ``inputs`` and ``outputs`` (labels like ``data:v3``); W&B's spellings (``jobType``) do.
            order: ``+`` (rising) or ``-`` and a field; runs without it come last.
            per_page, include_sweeps, lazy: accepted for W&B's sake.
            project: the same as ``path``.

        Raises:
            NotFound: there is no such project.
            InvalidInput: a malformed filter or order.
        """
        owner = self._project(project or path)
        fits = compile_filter(filters)
        field, falls = parse_order(order)
        place = self._place

        def find() -> list[Callable[[], LoggedRun]]:
            found = [LoggedRun(place, run) for run in place.repo.runs(owner)]
            known = {run.id for run in found}
            left = (one for one in leftovers.everything(place.repo) if one.project == owner and one.id not in known)
            found += [of_leftover(place, one) for one in left]
            if filters:
                found = [run for run in found if fits(run.get)]
            if field in _LISTED:
                found.sort(key=lambda run: (_LISTED[field](run._ref), run.id), reverse=falls)
            else:
                found = _by_field(found, field, falls)
            return [lambda run=run: run for run in found]  # type: ignore[misc]

        return Listing(find, f"runs of {owner}")

    def projects(self, entity: str | None = None, per_page: int = 200) -> "Listing[Project]":
        """All projects that have a run or an artifact, sorted by name."""

        def find() -> list[Callable[[], Project]]:
            return [lambda name=name: Project(self._place, name) for name in self._place.repo.projects()]  # type: ignore[misc]

        return Listing(find, "projects")

    def project(self, name: str, entity: str | None = None) -> "Project":
        """One project.  Raises NotFound."""
        return Project(self._place, self._project(name))

    def _project(self, given: str | None) -> str:
        """A project by ``[entity/]NAME``; the default one for None."""
        if given is None:
            return self.default_project
        parts = given.strip("/").split("/")
        if len(parts) > 2:
            raise InvalidInput(f"not a name of a project: {given!r:.200}")
        owner = names.check_project(parts[-1])
        repo = self._place.repo
        if owner not in repo.projects() and all(one.project != owner for one in leftovers.everything(repo)):
            raise NotFound(f"no project {owner!r}", hint="Api().projects() lists them")
        return owner


class Project:
    """A namespace of runs and artifacts."""

    def __init__(self, place: Workspace, name: str) -> None:
        self._place = place
        self.name = name

    def __repr__(self) -> str:
        return f"<Project {self.name}>"

    @property
    def id(self) -> str:
        """Its name, which is unique."""
        return self.name

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts."""
        return ""

    @property
    def path(self) -> list[str]:
        """``["", name]``; W&B has the entity in the first place."""
        return [self.entity, self.name]

    @property
    def url(self) -> str:
        """How to look at it: there is no server, so it is a command."""
        return f"artvc log --project {self.name}"

    @property
    def created_at(self) -> str:
        """When its first run began, ISO 8601, UTC; "" where it has none."""
        return min((run.started for run in self._place.repo.runs(self.name)), default="")

    def artifacts_types(self, per_page: int = 50) -> "Listing[ArtifactType]":
        """The types of its artifacts, sorted."""
        place, owner = self._place, self.name

        def find() -> list[Callable[[], ArtifactType]]:
            kinds = sorted({one.type for one in _present(place.repo, owner)})
            return [lambda kind=kind: ArtifactType(place, owner, kind) for kind in kinds]  # type: ignore[misc]

        return Listing(find, f"types of artifacts of {owner}")

    artifact_types = artifacts_types

    def collections(self, per_page: int = 50) -> "Listing[ArtifactCollection]":
        """Its artifacts, sorted by name."""
        return _collections(self._place, self.name, None)


class ArtifactType:
    """All artifacts of one type in a project."""

    def __init__(self, place: Workspace, project: str, name: str) -> None:
        self._place = place
        self.project = project
        self.name = name

    def __repr__(self) -> str:
        return f"<ArtifactType {self.name}>"

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts."""
        return ""

    def collections(self, per_page: int = 50) -> "Listing[ArtifactCollection]":
        """The artifacts of this type, sorted by name."""
        return _collections(self._place, self.project, self.name)

    def collection(self, name: str) -> "ArtifactCollection":
        """One of them.  Raises NotFound."""
        for found in _present(self._place.repo, self.project):
            if (found.name, found.type) == (name, self.name):
                return ArtifactCollection(self._place, found)
        raise NotFound(f"project {self.project!r} has no artifact {name!r} of type {self.name!r}")

    def versions(self, name: str, per_page: int = 50) -> Listing[Artifact]:
        """The versions of one of them, the newest first.  Raises NotFound."""
        return self.collection(name).artifacts(per_page)


class ArtifactCollection:
    """An artifact with all its versions.

    ``description`` and ``tags`` may be set; :meth:`save` records that.  Name and type can't be changed: every
    version's id covers them.
    """

    def __init__(self, place: Workspace, found: Collection) -> None:
        self._place = place
        self._name = found.name
        self._project = found.project
        self._type = found.type
        self._description = found.description
        self._tags = list(found.tags)

    def __repr__(self) -> str:
        return f"<ArtifactCollection {self._name} ({self._type})>"

    @property
    def id(self) -> str:
        """``project/name``."""
        return f"{self._project}/{self._name}"

    @property
    def name(self) -> str:
        """Of the artifact.  Setting another one raises UsageError."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if name != self._name:
            raise UsageError(
                f"artifact {self._name!r} can't be renamed: the ids of its versions cover the name",
                hint="log its versions under the new name",
            )

    @property
    def type(self) -> str:
        """Of all its versions.  Setting another one raises UsageError."""
        return self._type

    @type.setter  # noqa: A003 -- the property above
    def type(self, wanted: str) -> None:
        if wanted != self._type:
            raise UsageError(
                f"artifact {self._name!r} keeps its type {self._type!r}: the ids of its versions cover it",
                hint="log its versions under another name",
            )

    @property
    def project(self) -> str:
        """The project that it belongs to."""
        return self._project

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts."""
        return ""

    @property
    def description(self) -> str:
        """What it is, Markdown."""
        return self._description

    @description.setter
    def description(self, text: str | None) -> None:
        self._description = text or ""

    @property
    def tags(self) -> list[str]:
        """Words to find it by; the list may be changed in place or replaced."""
        return self._tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        self._tags = [names.check_tag(tag) for tag in ([tags] if isinstance(tags, str) else tags)]

    @property
    def aliases(self) -> list[str]:
        """The aliases of its versions, sorted."""
        return sorted(self._place.repo.aliases(self._project, self._name))

    @property
    def created_at(self) -> str:
        """When its oldest version was logged, ISO 8601, UTC; "" where it has none."""
        versions = self._place.repo.versions(self._project, self._name)
        return self._place.repo.commit(versions[0].commit_id).ended if versions else ""

    def is_sequence(self) -> bool:
        """True: its versions are its own, not links to others'."""
        return True

    def artifacts(
        self, per_page: int = 50, *, tags: str | Sequence[str] | None = None, order: str | None = None
    ) -> Listing[Artifact]:
        """Its versions, the newest first; ``tags`` and ``order`` as for :meth:`Api.artifacts`."""
        repo, place = self._place.repo, self._place
        wanted = {tags} if isinstance(tags, str) else set(tags or ())
        field, falls = parse_order(order or "-version_index")
        by = _VERSION_ORDERS.get(field)
        if by is None:
            raise InvalidInput(f"versions have no order {field!r}", hint=f"use one of {', '.join(_VERSION_ORDERS)}")

        def make(version: Version) -> Callable[[], Artifact]:
            return lambda: Artifact.from_version(place, version, asked=f"v{version.number}")

        def find() -> list[Callable[[], Artifact]]:
            found = repo.versions(self._project, self._name)
            if wanted:
                found = [one for one in found if wanted <= set(repo.properties(one.properties_id).tags)]
            found.sort(key=lambda one: (by(repo, one), one.number), reverse=falls)
            return [make(one) for one in found]

        return Listing(find, f"versions of {self._name}")

    versions = artifacts

    def save(self) -> None:
        """Record a changed description and tags.

        Raises:
            InvalidInput: one of them is not allowed; nothing was changed.
            NotFound: the artifact was deleted meanwhile.
        """
        recording.describe_collection(
            self._place.repo,
            self._project,
            self._name,
            description=self._description,
            tags=tuple(sorted(set(self._tags))),
            now=now(),
        )

    def delete(self) -> None:
        """Delete all its versions, their aliases, and the links to them; their numbers are not given again.

        Raises:
            NotFound: it has none any more.
        """
        if not self._place.repo.versions(self._project, self._name):
            raise NotFound(f"artifact '{self._project}/{self._name}' has no versions any more")
        curation.delete_collection(self._place.repo, self._project, self._name, now=now())


def _present(repo: Repository, project: str | None) -> list[Collection]:
    """The artifacts of a project, or of all, that have a version; the others were deleted."""
    return [one for one in repo.collections(project) if one.versions]


def _collections(place: Workspace, project: str, kind: str | None) -> Listing[ArtifactCollection]:
    def find() -> list[Callable[[], ArtifactCollection]]:
        return [
            lambda found=found: ArtifactCollection(place, found)  # type: ignore[misc]
            for found in _present(place.repo, project)
            if kind is None or found.type == kind
        ]

    return Listing(find, f"artifacts of {project}")


def _by_field(runs: list[LoggedRun], field: str, falls: bool) -> list[LoggedRun]:
    """Runs by a field that has to be read; those without it last."""
    keyed = [(sort_key(run.get(field)), run) for run in runs]
    having = [pair for pair in keyed if pair[0][0] < 2]
    having.sort(key=lambda pair: (*pair[0], pair[1].created_at), reverse=falls)
    return [run for _, run in having] + [run for key, run in keyed if key[0] == 2]


# W&B's names for these, which type hints have: ``wandb.apis.public.Run``.
Run = LoggedRun
File = RunFile
