"""What an artifact is called and said to be, as a draft and as a version."""

import copy
import datetime
import enum
import json
import os
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

from artvc.errors import ArtifactNotLoggedError, InvalidInput, InvalidType, NotFound, UsageError
from artvc.model import merkle, names
from artvc.model.ids import Id, id_of
from artvc.model.objects import Entry, EntryKind, Input, Properties, TreeSummary
from artvc.predecessors import Predecessors
from artvc.repo import Repository, Version
from artvc.sdk import digest, references, values, workspace
from artvc.sdk.entries import Manifest, ManifestEntry, PathLike, logical
from artvc.sdk.workspace import Workspace

if TYPE_CHECKING:
    from artvc.sdk.artifact import Artifact


class ArtifactTTL(enum.Enum):
    """What may stand in the place of a time to live."""

    INHERIT = 0  # no time of its own; as nothing gives it one here, it is kept for ever


class _Unset(enum.Enum):
    UNSET = 0


_ROW_BYTES: Final = 1024 * 1024
_SECOND: Final = datetime.timedelta(seconds=1)


class ArtifactState:
    """The names and properties of an artifact; see :class:`artvc.Artifact`, which adds what can be done with it."""

    _name: str
    _type: str
    _description: str | None
    _metadata: dict[str, Any]
    _incremental: bool

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
        self._metadata = normal_metadata(metadata)
        self._incremental = incremental
        self._tags: list[str] = []
        self._aliases: list[str] = []
        self._ttl: datetime.timedelta | _Unset | None = _Unset.UNSET
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}
        self._taken_from: dict[Id, Input] = {}
        self._caches: list[Any] = []
        self._grown_from: Predecessors | None = None
        self._workspace: Workspace | None = None
        self._finalized = False
        self._unrecorded = False
        self._deleted = False
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
        made = cls(version.name, value.type)
        made._workspace = place
        made._become(version, asked)
        return made

    def _become(self, version: Version, asked: str | None = None) -> None:
        """Turn from a draft into a version."""
        said = self._place().repo.properties(version.properties_id)
        self._version = version
        self._asked = asked
        self._name = version.name
        self._description = said.description or None
        self._metadata = copy.deepcopy(said.metadata)
        self._tags = list(said.tags)
        self._ttl = None if said.ttl is None else said.ttl * _SECOND
        self._aliases = list(version.aliases)
        self._origins = dict(said.origins)
        self._finalized = True
        self._entries = {}
        self._caches = []

    def __repr__(self) -> str:
        state = self._version.qualified if self._version else f"draft of {self._name}"
        return f"<Artifact {state} ({self._type})>"

    # -- names --------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``name``; of a logged one ``name:alias`` as it was asked for, else ``name:v3``."""
        if self._version is None:
            return self._name
        return f"{self._name}:{self._asked}" if self._asked else self._version.label

    @property
    def source_name(self) -> str:
        """``name:v3`` of what was logged, however it was asked for; of a draft the name."""
        if self._version is None:
            return self._name
        _, name, number = self._version.home
        return f"{name}:v{number}"

    @property
    def qualified_name(self) -> str:
        """``project/name:v3``.  Raises ArtifactNotLoggedError."""
        return self._logged("qualified_name").qualified

    @property
    def source_qualified_name(self) -> str:
        """The same of the source, if this is a link.  Raises ArtifactNotLoggedError."""
        return f"{self._logged('source_qualified_name').home[0]}/{self.source_name}"

    @property
    def type(self) -> str:
        """What kind of thing it is."""
        return self._type

    @property
    def version(self) -> str:
        """``v3``.  Raises ArtifactNotLoggedError."""
        return f"v{self._logged('version').number}"

    @property
    def source_version(self) -> str:
        """The version of the source, if this is a link.  Raises ArtifactNotLoggedError."""
        return f"v{self._logged('source_version').home[2]}"

    @property
    def project(self) -> str:
        """The project that it belongs to.  Raises ArtifactNotLoggedError."""
        return self._logged("project").project

    @property
    def source_project(self) -> str:
        """The project of the source, if this is a link.  Raises ArtifactNotLoggedError."""
        return self._logged("source_project").home[0]

    @property
    def entity(self) -> str:
        """Always "": a repository has no accounts.  Raises ArtifactNotLoggedError."""
        self._logged("entity")
        return ""

    @property
    def source_entity(self) -> str:
        """Always "".  Raises ArtifactNotLoggedError."""
        self._logged("source_entity")
        return ""

    @property
    def collection(self) -> str:
        """The name without the version.  Raises ArtifactNotLoggedError."""
        return self._logged("collection").name

    @property
    def source_collection(self) -> str:
        """The name of the source without the version.  Raises ArtifactNotLoggedError."""
        return self._logged("source_collection").home[1]

    @property
    def is_link(self) -> bool:
        """Whether it stands for a version of another artifact.  Raises ArtifactNotLoggedError."""
        return self._logged("is_link").source is not None

    @property
    def linked_at(self) -> str | None:
        """When the link was made, ISO 8601, UTC; None for what is no link.  Raises ArtifactNotLoggedError."""
        return self._logged("linked_at").linked or None

    @property
    def id(self) -> str | None:
        """The id of name, type and content, hex; None for a draft."""
        return self._version.artifact_id.hex() if self._version else None

    @property
    def state(self) -> str:
        """``PENDING`` for a draft, ``COMMITTED`` for a version, ``DELETED`` once this object deleted it."""
        if self._deleted:
            return "DELETED"
        return "COMMITTED" if self._version else "PENDING"

    @property
    def url(self) -> str:
        """How to look at it: there is no server, so it is a command.  Raises ArtifactNotLoggedError."""
        return f"artvc show {self._logged('url').qualified}"

    @property
    def commit_hash(self) -> str:
        """The id of the run commit that logged it first, hex.  Raises ArtifactNotLoggedError."""
        return self._logged("commit_hash").commit_id.hex()

    # -- when ---------------------------------------------------------------------------------------------

    @property
    def created_at(self) -> str:
        """When the version was first logged, ISO 8601, UTC.  Raises ArtifactNotLoggedError."""
        return self._place().repo.commit(self._logged("created_at").commit_id).ended

    @property
    def updated_at(self) -> str:
        """When the version, an alias of it or what is said about it changed last.  Raises ArtifactNotLoggedError."""
        project, name, number = self._logged("updated_at").home
        fixed = {f"artifacts/{project}/{name}/v{number}", f"properties/{project}/{name}/v{number}"}
        above, here = f"artifacts/{project}/{name}/", {"version": number}
        for transaction in self._place().repo.refs.history():
            for edit in transaction.edits:
                if edit.name in fixed or (edit.name.startswith(above) and here in (edit.old, edit.new)):
                    return transaction.time
        return self.created_at

    @property
    def history_step(self) -> int | None:
        """The step that the run's history had reached when it was logged; None where it had none.

        Raises:
            ArtifactNotLoggedError: it is a draft.
        """
        repo = self._place().repo
        tree = repo.commit(self._logged("history_step").commit_id).files
        entry = merkle.find(tree, "history.jsonl", repo.objects.get) if tree else None
        if entry is None:
            return None
        tail = b"".join(repo.read(entry, start=max(0, entry.size - _ROW_BYTES)))
        try:
            row = json.loads(tail.splitlines()[-1])
        except (IndexError, ValueError):  # a row longer than what was read
            return None
        step = row.get("_step") if isinstance(row, dict) else None
        return step if isinstance(step, int) else None

    # -- content ------------------------------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """The root of the tree of files, 64 hex digits: equal content, equal digest."""
        return self._tree().id.hex()

    @property
    def wandb_digest(self) -> str:
        """The digest that W&B gives an artifact of these files, 32 hex digits; all content is read for it.

        Raises:
            Damaged: stored bytes are not what they were.
        """
        return digest.of_files((path, self._listed(path, entry).wandb_digest) for path, entry in self._files())

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
    def manifest(self) -> Manifest:
        """All files by path."""
        return Manifest({path: self._listed(path, entry) for path, entry in self._files()})

    # -- what is said about it ----------------------------------------------------------------------------

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
        self._metadata = normal_metadata(metadata)

    @property
    def aliases(self) -> list[str]:
        """The aliases of a version; change the list and :meth:`save`.  Raises ArtifactNotLoggedError."""
        self._logged("aliases")
        return self._aliases

    @aliases.setter
    def aliases(self, aliases: Sequence[str]) -> None:
        self._logged("aliases")
        self._aliases = [names.check_alias(alias) for alias in ([aliases] if isinstance(aliases, str) else aliases)]

    @property
    def tags(self) -> list[str]:
        """Words to find it by; of a logged one, :meth:`save` persists a change."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._tags = [names.check_tag(tag) for tag in ([tags] if isinstance(tags, str) else tags)]

    @property
    def ttl(self) -> datetime.timedelta | None:
        """How long it is kept after it was logged; None: for ever.  Only ``gc --expired`` acts on it.

        Raises:
            ArtifactNotLoggedError: it is a draft and none was set.
        """
        if isinstance(self._ttl, _Unset):
            self._logged("ttl")
            return None
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: datetime.timedelta | ArtifactTTL | None) -> None:
        """Set it.

        Raises:
            InvalidType: neither a timedelta nor None nor ArtifactTTL.INHERIT.
            InvalidInput: not above zero.
        """
        if isinstance(ttl, ArtifactTTL):
            self._ttl = _Unset.UNSET
        elif ttl is None:
            self._ttl = None
        elif not isinstance(ttl, datetime.timedelta):
            raise InvalidType(f"a ttl is a timedelta, None or ArtifactTTL.INHERIT, not {type(ttl).__name__}")
        elif ttl < _SECOND:
            raise InvalidInput(f"a ttl is at least one second, not {ttl}", hint="None keeps the version for ever")
        else:
            self._ttl = ttl

    @property
    def expires_at(self) -> str | None:
        """When its ttl ends, ISO 8601, UTC; None for never.  Raises ArtifactNotLoggedError."""
        self._logged("expires_at")
        ttl = self.ttl
        if ttl is None:
            return None
        end = datetime.datetime.fromisoformat(self.created_at) + ttl
        return end.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _said(self) -> Properties:
        """What is said about it, checked."""
        self._metadata = normal_metadata(self._metadata)
        ttl = None if isinstance(self._ttl, _Unset) or self._ttl is None else self._ttl // _SECOND
        return Properties(
            description=self._description or "",
            metadata=self._metadata,
            tags=tuple(sorted(set(self._tags))),
            ttl=ttl,
            origins=self._origins,
        )

    def json_encode(self) -> dict[str, Any]:
        """How it stands in a run's config.  Raises ArtifactNotLoggedError."""
        version = self._logged("json_encode")
        return {
            "_type": "artifactVersion",
            "_version": "v0",
            "id": version.artifact_id.hex(),
            "version": f"v{version.home[2]}",
            "sequenceName": version.home[1],
            "usedAs": None,
        }

    # -- for the parts of the artifact --------------------------------------------------------------------

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

    def _readable(self) -> Repository:
        """The repository, with the content of a draft written so far that it can be read."""
        place = self._place()
        if self._version is None:
            place.intake.rest()
        return place.repo

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
        found = entry.id.hex() if entry.id else entry.target
        if reference and entry.checksum:
            found = references.wandb_digest(entry) if "etag" in references.known(entry) else entry.checksum
        ref = entry.target if reference else self._origins.get(path)
        return ManifestEntry(path, found, entry.size, ref, cast("Artifact", self), entry)

    def _entry_at(self, name: PathLike, member: str) -> ManifestEntry | None:
        """The file of a path of a version, or None."""
        version = self._logged(member)
        path = logical(name)
        try:
            entry = self._place().repo.entry(version, path)
        except NotFound:
            return None
        return None if entry.kind == EntryKind.DIRECTORY else self._listed(path, entry)


def normal_metadata(metadata: object) -> dict[str, Any]:
    """Metadata as a dict of JSON types of its own.  Raises InvalidType, InvalidInput."""
    if metadata is not None and not isinstance(metadata, dict) and not hasattr(metadata, "keys"):
        raise InvalidType(f"metadata must be a dict, not {type(metadata).__name__}")
    return values.to_object(metadata, what="metadata", non_finite="null", strict=True)
