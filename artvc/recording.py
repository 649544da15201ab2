"""The verbs that record: run commits with their outputs, aliases, properties.

Order of writing: objects go into packs, packs are sealed and synced, then one ref transaction makes everything
visible.  Killed anywhere before that transaction, the repository is as it was, plus garbage for gc.
"""

import os
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from artvc import provenance, worktree
from artvc.errors import Conflict, InvalidInput, NotFound
from artvc.model import codec, names
from artvc.model.ids import Id, Kind, id_of
from artvc.model.names import LATEST
from artvc.model.objects import (
    Artifact,
    Commit,
    Input,
    JsonObject,
    Output,
    Properties,
    TreeSummary,
)
from artvc.predecessors import Earlier, Predecessors
from artvc.repo import Found, Repository, Version
from artvc.store.ingest import Ingest, IngestTotals
from artvc.store.refs import RefEdit, RefState, Transaction
from artvc.uploads import Upload

RUN_ID_LENGTH: Final = 8
_RUN_ALPHABET: Final = string.digits + string.ascii_lowercase


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDraft:
    """An artifact version that is to be logged.

    Attributes:
        name, type: of the artifact.
        tree: its content, already taken in.
        properties: description, metadata, tags, ttl; None leaves those of an equal version as they are.
        aliases: to be moved to it; ``latest`` always is.
    """

    name: str
    type: str
    tree: TreeSummary
    properties: Properties | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for alias in self.aliases:
            names.check_alias(alias)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What became of an output.

    Attributes:
        version: the version, new or the one that already had this content.
        artifact: its value.
        created: whether the version is new.
        properties_changed: whether an existing version's properties were replaced.
        moved: the aliases that now point at it.
    """

    version: Version
    artifact: Artifact
    created: bool
    properties_changed: bool
    moved: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run commit that is durable and visible."""

    commit_id: Id
    commit: Commit
    outputs: tuple[Logged, ...]
    totals: IngestTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """What ``artvc commit`` is asked to do.

    Attributes:
        paths: files or directories; one directory stands for its contents.
        name, type: of the artifact; None where the paths were checked out or committed before.
        message: first line is the title.
        aliases, tags, metadata, description: of the version; metadata and description None: keep or empty.
        inputs: references that the work used.
        job_type, project: of the run; project None: the default one.
        paranoid: check stored copies before relying on them.
        argv: the command line, for the record.
    """

    paths: tuple[Path, ...]
    name: str | None = None
    type: str | None = None
    message: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: JsonObject | None = None
    description: str | None = None
    inputs: tuple[str, ...] = ()
    job_type: str = ""
    project: str | None = None
    paranoid: bool = False
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitResult:
    """What ``artvc commit`` did."""

    recorded: Recorded
    logged: Logged
    inputs: tuple[Found, ...]
    warnings: tuple[str, ...]


Take = Callable[[Ingest, Sequence[tuple[str, str]], Earlier], worktree.Snapshot]


@dataclass(slots=True)
class _Plan:
    """The edits of one transaction and what they mean; made anew when another writer was first."""

    edits: list[RefEdit] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    created: list[bool] = field(default_factory=list)
    properties_changed: list[bool] = field(default_factory=list)


def new_run_id() -> str:
    """Eight random characters of base 36."""
    number = int.from_bytes(os.urandom(2 * RUN_ID_LENGTH))  # so long that no character is likelier than another
    base = len(_RUN_ALPHABET)
    return "".join(_RUN_ALPHABET[number // base**place % base] for place in range(RUN_ID_LENGTH))


def record(
    repo: Repository,
    ingest: Ingest,
    commit: Commit,
    outputs: Sequence[OutputDraft],
    *,
    why: str,
    closing: Upload | None = None,
) -> Recorded:
    """Make a run commit with new outputs durable and visible, in one transaction.

    Args:
        repo: the repository.
        ingest: holds the outputs' content; it is sealed here.
        commit: everything but the new outputs; those of earlier commits of the run stand in it.
        outputs: the new ones, each name once.
        why: for the ref log.
        closing: the upload that becomes one of the outputs, and is over with that.

    Raises:
        Conflict: an artifact of that name exists with another type, a name is given twice, or something was
            contributed to the upload meanwhile.
        StorageFull, StorageError: nothing changed.
    """
    if len({output.name for output in outputs}) != len(outputs):
        raise Conflict("one commit can't log two versions of one artifact", hint="log them one after the other")
    _check_types(repo.state(), commit.project, outputs)
    artifacts = [
        Artifact(name=one.name, type=one.type, root=one.tree.id, files=one.tree.files, size=one.tree.size)
        for one in outputs
    ]
    artifact_ids = [ingest.put(Kind.ARTIFACT, codec.encode_artifact(one)) for one in artifacts]
    given = [one.properties for one in outputs]
    property_ids = [ingest.put(Kind.PROPERTIES, codec.encode_properties(one or Properties())) for one in given]
    fresh = tuple(
        Output(artifact=artifact, properties=properties)
        for artifact, properties in zip(artifact_ids, property_ids, strict=True)
    )
    kept = tuple(one for one in commit.outputs if one.artifact not in set(artifact_ids))
    commit = replace(commit, outputs=kept + fresh)
    commit_id = ingest.put(Kind.COMMIT, codec.encode_commit(commit))
    totals = ingest.seal()

    plan = _Plan()

    def build(state: RefState) -> list[RefEdit]:
        nonlocal plan
        _check_types(state, commit.project, outputs)
        plan = _plan(state, commit, commit_id, outputs, artifact_ids, property_ids)
        return [*plan.edits, *([RefEdit(closing.ref, closing.value, None)] if closing else [])]

    repo.refs.apply(build, time=commit.ended, who=provenance.signed(commit.author), why=why)
    logged = tuple(
        Logged(
            version=repo.version(commit.project, draft.name, plan.numbers[i]),
            artifact=artifacts[i],
            created=plan.created[i],
            properties_changed=plan.properties_changed[i],
            moved=tuple(sorted({LATEST, *draft.aliases})),
        )
        for i, draft in enumerate(outputs)
    )
    return Recorded(commit_id=commit_id, commit=commit, outputs=logged, totals=totals)


def _check_types(state: RefState, project: str, outputs: Sequence[OutputDraft]) -> None:
    for output in outputs:
        collection = state.get(f"collections/{project}/{output.name}")
        if collection is not None and collection.get("type") != output.type:
            raise Conflict(
                f"Artifact {output.name} already exists with type {collection.get('type')!r}; "
                f"cannot create another with type {output.type!r}",
                hint="use that type, or another name",
            )


def _plan(
    state: RefState,
    commit: Commit,
    commit_id: Id,
    outputs: Sequence[OutputDraft],
    artifact_ids: Sequence[Id],
    property_ids: Sequence[Id],
) -> _Plan:
    """The edits that log some outputs and the run commit, on top of a state."""
    plan = _Plan()
    run = f"runs/{commit.project}/{commit.run_id}"
    value: JsonObject = {
        "commit": commit_id.hex(),
        "ended": commit.ended,
        "name": commit.run_name,
        "started": commit.started,
    }
    plan.edits.append(RefEdit(run, state.get(run), value))
    for draft, artifact, properties in zip(outputs, artifact_ids, property_ids, strict=True):
        base = f"artifacts/{commit.project}/{draft.name}"
        collection_ref = f"collections/{commit.project}/{draft.name}"
        collection = state.get(collection_ref)
        number = _number_of(state, base, artifact)
        created = number is None
        if number is None:
            found = collection.get("next", 0) if collection else 0
            number = found if isinstance(found, int) else 0
            fresh: JsonObject = {**(collection or {}), "next": number + 1, "type": draft.type}
            plan.edits.append(RefEdit(collection_ref, collection, fresh))
            version: JsonObject = {"artifact": artifact.hex(), "commit": commit_id.hex()}
            plan.edits.append(RefEdit(f"{base}/v{number}", None, version))
        said = f"properties/{commit.project}/{draft.name}/v{number}"
        old = state.get(said)
        new: JsonObject = {"id": properties.hex()}
        replaced = (created or draft.properties is not None) and old != new
        if replaced:
            plan.edits.append(RefEdit(said, old, new))
        for alias in sorted({LATEST, *draft.aliases}):
            plan.edits.append(RefEdit(f"{base}/{alias}", state.get(f"{base}/{alias}"), {"version": number}))
        plan.numbers.append(number)
        plan.created.append(created)
        plan.properties_changed.append(replaced and not created)
    return plan


def _number_of(state: RefState, base: str, artifact: Id) -> int | None:
    """The version that has this content already (the newest, should there be several)."""
    refs = [ref for ref in state.having(base, artifact.hex()) if "source" not in state.refs[f"{base}/{ref}"]]
    found = map(names.version_number, refs)  # a link is not a version of this artifact's own
    numbers = [number for number in found if number is not None]
    return max(numbers, default=None)


def commit_paths(
    repo: Repository,
    request: CommitRequest,
    *,
    now: Callable[[], str],
    advance: Callable[[int], None] | None = None,
    watch: Callable[[IngestTotals], None] | None = None,
    take: Take | None = None,
) -> CommitResult:
    """Record files as a version of an artifact, made by a run commit of its own.

    Args:
        repo: the repository.
        request: what to record.
        now: the clock.
        advance: called with bytes read or skipped as known, for progress.
        watch: called once with the totals that rise while the work goes on, for progress.
        take: takes the files in, in place of this process: gets the ingest, the mounts of the paths, and what finds
            the earlier version of a file.

    Raises:
        InvalidInput: a path is missing or outside reason, or name and type are not known.
        NotFound: an input does not exist.
        SourceError: a file can't be read or changes meanwhile.
        Conflict: the artifact exists with another type.
    """
    started = now()
    if not request.paths:
        raise InvalidInput("nothing to commit", hint="name the files or directories")
    origin = worktree.origin_of(repo, request.paths)
    project = request.project or (origin.project if origin and not request.name else None) or repo.default_project
    name = request.name or (origin.name if origin else None)
    if name is None:
        raise InvalidInput(f"no name for {_listed(request.paths)}", hint="give it with --name NAME --type TYPE")
    names.check_artifact_name(name)
    names.check_project(project)
    kind = _type_of(repo, project, name, request.type)
    inputs = tuple(repo.resolve(one, project=None) for one in request.inputs)
    mounts = worktree.mounts_of(request.paths)
    with repo.ingest(paranoid=request.paranoid, advance=advance) as ingest:
        if watch:
            watch(ingest.totals)
        earlier = Predecessors(repo, project, name, [one.version.artifact_id for one in inputs]).find
        if take:
            snapshot = take(ingest, mounts, earlier)
        else:
            base = _tree_that_counts(repo, origin) if origin and not request.paranoid else None
            snapshot = worktree.snapshot(repo, ingest, mounts, earlier=earlier, advance=advance, base=base)
        captured = provenance.capture(Path.cwd(), request.argv, environment=False)
        commit = Commit(
            run_id=new_run_id(),
            run_name=f"commit-{name}",
            project=project,
            job_type=request.job_type,
            inputs=_inputs(inputs),
            code=captured.code,
            environment=captured.environment,
            author=provenance.author(repo.settings),
            started=started,
            ended=now(),
            state="finished",
            exit_code=0,
            message=request.message,
        )
        draft = OutputDraft(
            name=name,
            type=kind,
            tree=snapshot.tree,
            properties=_properties(request),
            aliases=request.aliases,
        )
        recorded = record(repo, ingest, commit, [draft], why=f"commit {name}")
    (logged,) = recorded.outputs
    snapshot.remember(logged.version)
    return CommitResult(recorded=recorded, logged=logged, inputs=inputs, warnings=snapshot.warnings)


def _tree_that_counts(repo: Repository, origin: worktree.Origin) -> Id | None:
    """The tree of the version that paths came from, if a ref names it at this moment."""
    version = worktree.version_of(repo, origin)
    if version is None:
        return None
    repo.rely_on(version)
    return repo.artifact(version.artifact_id).root


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(repr(str(path)) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")


def _inputs(found: Sequence[Found]) -> tuple[Input, ...]:
    """Each version once, with the words by which it was first asked for."""
    inputs: dict[Id, Input] = {}
    for one in found:
        version = one.version
        if version.artifact_id not in inputs:
            inputs[version.artifact_id] = Input(project=version.project, artifact=version.artifact_id, asked=one.asked)
    return tuple(inputs.values())


def _type_of(repo: Repository, project: str, name: str, given: str | None) -> str:
    if given is not None:
        return names.check_type(given)
    collection = repo.state().get(f"collections/{project}/{name}")
    if collection is None:
        raise InvalidInput(f"no type for the new artifact {name!r}", hint="give it with --type, e.g. dataset, model")
    return str(collection.get("type"))


def _properties(request: CommitRequest) -> Properties | None:
    """The properties asked for; None where nothing was said, so that an equal version keeps its own."""
    if request.metadata is None and request.description is None and not request.tags:
        return None
    return Properties(
        description=request.description or "",
        metadata=request.metadata or {},
        tags=tuple(sorted(set(request.tags))),
    )


def set_alias(repo: Repository, version: Version, alias: str, *, now: str) -> int | None:
    """Let an alias stand for a version.

    Returns:
        the number of the version that it stood for before, or None.

    Raises:
        InvalidInput: no valid alias.
        NotFound: the version was deleted meanwhile.
    """
    names.check_alias(alias)
    ref = f"artifacts/{version.project}/{version.name}/{alias}"
    before: list[int | None] = [None]

    def build(state: RefState) -> list[RefEdit]:
        if state.get(f"artifacts/{version.project}/{version.name}/v{version.number}") is None:
            raise NotFound(f"{version.label} is not there any more")
        old = state.get(ref)
        number = old.get("version") if old else None
        before[0] = number if isinstance(number, int) else None
        return [RefEdit(ref, old, {"version": version.number})]

    repo.refs.apply(build, time=now, who=provenance.signature(repo.settings), why=f"alias {version.label} {alias}")
    return before[0]


def remove_alias(repo: Repository, project: str, name: str, alias: str, *, now: str) -> None:
    """Remove an alias.

    Raises:
        InvalidInput: it is a version, or ``latest``, which always stands for what was logged last.
        NotFound: there is no such alias.
    """
    names.check_alias(alias)
    if alias == LATEST:
        raise InvalidInput("'latest' can't be removed: it stands for what was logged last")
    ref = f"artifacts/{project}/{name}/{alias}"

    def build(state: RefState) -> list[RefEdit]:
        old = state.get(ref)
        if old is None:
            raise NotFound(f"artifact '{project}/{name}' has no alias {alias!r}")
        return [RefEdit(ref, old, None)]

    who = provenance.signature(repo.settings)
    repo.refs.apply(build, time=now, who=who, why=f"remove alias {name}:{alias}")


def set_properties(repo: Repository, version: Version, properties: Properties, *, now: str) -> Transaction | None:
    """Replace what is said about a version; the history keeps what was said before.

    Raises:
        NotFound: the version was deleted meanwhile.
        Conflict: somebody else changed the properties since ``version`` was read.
    """
    properties_id = id_of(Kind.PROPERTIES, codec.encode_properties(properties))
    project, name, number = version.home
    ref = f"properties/{project}/{name}/v{number}"
    old: JsonObject | None = {"id": version.properties_id.hex()} if version.properties_id else None

    def build(state: RefState) -> list[RefEdit]:
        if state.get(f"artifacts/{project}/{name}/v{number}") is None:
            raise NotFound(f"{version.label} is not there any more")
        return [RefEdit(ref, old, {"id": properties_id.hex()})]

    who = provenance.signature(repo.settings)
    with repo.ingest() as ingest:
        ingest.put(Kind.PROPERTIES, codec.encode_properties(properties))
        ingest.seal()
        return repo.refs.apply(build, time=now, who=who, why=f"properties of {version.label}")


def describe_collection(
    repo: Repository, project: str, name: str, *, description: str, tags: tuple[str, ...], now: str
) -> None:
    """Replace what is said about all versions of an artifact together.

    Args:
        repo: the repository.
        project, name: of the artifact.
        description: Markdown, or "".
        tags: sorted, each once.
        now: the time.

    Raises:
        InvalidInput: a description or tag that is not allowed.
        NotFound: there is no such artifact.
    """
    said = Properties(description=description, tags=tags)  # the same rules as for one version
    ref = f"collections/{project}/{name}"

    def build(state: RefState) -> list[RefEdit]:
        old = state.get(ref)
        if old is None:
            raise NotFound(f"no artifact '{project}/{name}'")
        new = {key: value for key, value in old.items() if key not in {"description", "tags"}}
        if said.description:
            new["description"] = said.description
        if said.tags:
            new["tags"] = list(said.tags)
        return [RefEdit(ref, old, new)]

    who = provenance.signature(repo.settings)
    repo.refs.apply(build, time=now, who=who, why=f"describe {project}/{name}")
