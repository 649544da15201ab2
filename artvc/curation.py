"""Deleting versions and runs, and linking versions into other artifacts.

Each act is one transaction of the ref log, decided on the state that it changes: two processes at once come one
after the other, and a killed one has done all or nothing.  Nothing is erased here: what no name reaches any more is
left for gc.
"""

import datetime

from artvc import provenance
from artvc.errors import Conflict, InvalidInput, NotFound
from artvc.model import codec, names
from artvc.model.ids import Id, Kind, id_of
from artvc.model.names import LATEST
from artvc.model.objects import JsonObject, Properties
from artvc.repo import Repository, Version, source_of
from artvc.store.refs import RefEdit, RefState


def delete_version(repo: Repository, version: Version, *, delete_aliases: bool = False, now: str) -> None:
    """Delete a version; its number is not given again.  ``latest`` moves to the highest version that is left.

    Args:
        repo: the repository.
        version: which; of a link only the link goes.
        delete_aliases: delete it although aliases stand for it or links point to it, and these with it.
        now: the time.

    Raises:
        Conflict: it has aliases or links; nothing was changed.
        NotFound: it is not there any more.
    """

    def build(state: RefState) -> list[RefEdit]:
        gone = [(version.project, version.name, version.number)]
        links = _links(state, version) if version.source is None else []
        aliases = sorted(_aliases(state, gone[0]))
        if not delete_aliases and aliases:
            raise Conflict(
                f"{version.label} has aliases: {', '.join(aliases)}", hint="pass delete_aliases=True to delete them too"
            )
        if not delete_aliases and links:
            shown = ", ".join(f"{project}/{name}:v{number}" for project, name, number in links[:10])
            raise Conflict(
                f"{version.label} is linked as {shown}", hint="unlink it, or pass delete_aliases=True to do that too"
            )
        return [edit for one in [*gone, *links] for edit in _removal(state, one)]

    why = f"{'unlink' if version.source else 'delete'} {version.label}"
    repo.refs.apply(build, time=now, who=_who(repo), why=why)


def delete_collection(repo: Repository, project: str, name: str, *, now: str) -> None:
    """Delete all versions of an artifact, their aliases, and the links to them.  The numbers are not given again.

    Raises:
        NotFound: there is no such artifact.
    """

    def build(state: RefState) -> list[RefEdit]:
        if state.get(f"collections/{project}/{name}") is None:
            raise NotFound(f"no artifact '{project}/{name}'")
        edits: dict[str, RefEdit] = {}
        for version in repo.versions(project, name):
            links = _links(state, version) if version.source is None else []
            for one in [(project, name, version.number), *links]:
                edits |= {edit.name: edit for edit in _removal(state, one)}
        for ref, value in state.below(f"artifacts/{project}/{name}").items():  # latest: no version is left for it
            edits[f"artifacts/{project}/{name}/{ref}"] = RefEdit(f"artifacts/{project}/{name}/{ref}", value, None)
        return list(edits.values())

    repo.refs.apply(build, time=now, who=_who(repo), why=f"delete all versions of {project}/{name}")


def delete_run(repo: Repository, project: str, run_id: str, *, delete_artifacts: bool = False, now: str) -> None:
    """Take a run off the list of runs, and so out of the lineage of what it used and logged.

    Versions that it logged stay, and keep the time at which they were logged, unless they are to go, too.

    Args:
        repo: the repository.
        project, run_id: which; its process must be over, and what it left be recorded.
        delete_artifacts: delete the versions that it logged and no other run did, with aliases and links to them.
        now: the time.

    Raises:
        NotFound: there is no such run.
        Damaged: what it logged can't be read; nothing was changed.
    """
    ref = f"runs/{project}/{run_id}"

    def build(state: RefState) -> list[RefEdit]:
        here = state.get(ref)
        if here is None:
            raise NotFound(f"no run {run_id!r} in project {project!r}", hint="'artvc log' lists the runs")
        edits = {ref: RefEdit(ref, here, None)}
        if delete_artifacts:
            gone = _logged_alone(repo, state, project, run_id)
            gone += [one for version in gone for one in _links(state, repo.version(*version))]
            for version in gone:
                edits |= {edit.name: edit for edit in _removal(state, version, frozenset(gone))}
        return list(edits.values())

    repo.refs.apply(build, time=now, who=_who(repo), why=f"delete run {project}/{run_id}")


def _logged_alone(repo: Repository, state: RefState, project: str, run_id: str) -> list[tuple[str, str, int]]:
    """The versions that a run logged and no other did."""
    ours: set[Id] = set()
    others: set[Id] = set()
    for run in repo.runs(project):
        logged = ours if run.run_id == run_id else others
        logged |= {one.artifact for one in repo.commit(run.commit).outputs}
    found = []
    for artifact in ours - others:
        name = repo.artifact(artifact).name
        for ref in state.having(f"artifacts/{project}/{name}", artifact.hex()):
            number = names.version_number(ref)
            if number is not None and source_of(state.refs[f"artifacts/{project}/{name}/{ref}"]) is None:
                found.append((project, name, number))
    return sorted(found)


def expired(repo: Repository, *, now: str) -> list[Version]:
    """The versions whose ttl is over, by when they were logged; one that is linked elsewhere does not expire.

    Args:
        repo: the repository.
        now: the time.

    Raises:
        NotFound, Damaged: what is said about a version can't be read.
    """
    found = []
    for collection in repo.collections():
        for version in repo.versions(collection.project, collection.name):
            if version.source is None and not repo.links_to(version):
                ttl = repo.properties(version.properties_id).ttl
                logged = repo.commit(version.commit_id).ended if ttl is not None else now
                if ttl is not None and _seconds(logged, now) > ttl:
                    found.append(version)
    return found


def delete_expired(repo: Repository, *, now: str) -> list[Version]:
    """Delete the versions whose ttl is over, with their aliases, ``latest`` included, in one transaction.

    Args:
        repo: the repository.
        now: the time.

    Returns:
        what was deleted.

    Raises:
        NotFound, Damaged: what is said about a version can't be read; nothing was changed.
    """
    found: list[Version] = []

    def build(state: RefState) -> list[RefEdit]:
        found[:] = expired(repo, now=now)
        gone = frozenset((one.project, one.name, one.number) for one in found)
        edits: dict[str, RefEdit] = {}
        for one in sorted(gone):
            edits |= {edit.name: edit for edit in _removal(state, one, gone)}
        return list(edits.values())

    repo.refs.apply(build, time=now, who=_who(repo), why="delete expired versions")
    return found


def _seconds(since: str, until: str) -> float:
    moment = datetime.datetime.fromisoformat
    return (moment(until) - moment(since)).total_seconds()


def edit_version(
    repo: Repository,
    version: Version,
    properties: Properties,
    *,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    now: str,
) -> None:
    """Replace what is said about a version, and give and take aliases, all at once.

    Args:
        repo: the repository.
        version: as it was read; of a link, the properties are those of its source.
        properties: what is to be said.
        add: aliases that are to stand for it.
        remove: aliases that are no longer to; one that was moved to another version meanwhile stays there.
        now: the time.

    Raises:
        InvalidInput: an alias that is not allowed, or ``latest`` is to go.
        NotFound: the version was deleted meanwhile.
        Conflict: somebody else changed the properties since it was read.
    """
    if LATEST in remove:
        raise InvalidInput("'latest' can't be removed: it stands for what was logged last")
    for alias in add:
        names.check_alias(alias)
    body = codec.encode_properties(properties)
    properties_id = id_of(Kind.PROPERTIES, body)
    changed = properties_id != version.properties_id
    if changed:
        with repo.ingest() as ingest:
            ingest.put(Kind.PROPERTIES, body)
            ingest.seal()
    project, name, number = version.home
    base = f"artifacts/{version.project}/{version.name}"
    said = f"properties/{project}/{name}/v{number}"
    seen: JsonObject | None = {"id": version.properties_id.hex()} if version.properties_id else None

    def build(state: RefState) -> list[RefEdit]:
        if state.get(f"{base}/v{version.number}") is None:
            raise NotFound(f"{version.label} is not there any more")
        edits = [RefEdit(said, seen, {"id": properties_id.hex()})] if changed else []
        here: JsonObject = {"version": version.number}
        edits += [RefEdit(f"{base}/{alias}", state.get(f"{base}/{alias}"), here) for alias in add]
        edits += [RefEdit(f"{base}/{alias}", here, None) for alias in remove if state.get(f"{base}/{alias}") == here]
        return edits

    repo.refs.apply(build, time=now, who=_who(repo), why=f"edit {version.label}")


def link(
    repo: Repository, version: Version, project: str, name: str, *, aliases: tuple[str, ...] = (), now: str
) -> Version:
    """Make a version of another artifact that stands for this one.

    The link has a number and aliases of its own; content, description and the rest are those of its source.  A
    version that is linked there already keeps its number, and the aliases move to it.

    Args:
        repo: the repository.
        version: what to link; of a link, its source is meant.
        project, name: the artifact that is to have the link; made if it is not there.
        aliases: for the link; ``latest`` always is one.
        now: the time.

    Returns:
        the link.

    Raises:
        InvalidInput: a name or alias that is not allowed, or the version's own artifact.
        Conflict: that artifact is of another type.
        NotFound: the version was deleted meanwhile.
    """
    names.check_project(project)
    names.check_artifact_name(name)
    for alias in aliases:
        names.check_alias(alias)
    owner = version.home
    if owner[:2] == (project, name):
        raise InvalidInput(f"{version.label} can't be linked to its own artifact", hint="give it an alias instead")
    kind = repo.artifact(version.artifact_id).type
    source = f"{owner[0]}/{owner[1]}/v{owner[2]}"
    base = f"artifacts/{project}/{name}"
    numbers: list[int] = []

    def build(state: RefState) -> list[RefEdit]:
        if state.get(f"artifacts/{source}") is None:
            raise NotFound(f"{version.label} is not there any more")
        ref = f"collections/{project}/{name}"
        collection = state.get(ref)
        if collection is not None and collection.get("type") != kind:
            raise Conflict(
                f"Artifact {name} already exists with type {collection.get('type')!r}; cannot link one of type {kind!r}"
            )
        edits = []
        number = _linked(state, base, version, owner)
        if number is None:
            following = collection.get("next") if collection else 0
            number = following if isinstance(following, int) else 0
            fresh: JsonObject = {**(collection or {}), "next": number + 1, "type": kind}
            edits.append(RefEdit(ref, collection, fresh))
            value: JsonObject = {
                "artifact": version.artifact_id.hex(),
                "commit": version.commit_id.hex(),
                "linked": now,
                "source": source,
            }
            edits.append(RefEdit(f"{base}/v{number}", None, value))
        for alias in sorted({LATEST, *aliases}):
            edits.append(RefEdit(f"{base}/{alias}", state.get(f"{base}/{alias}"), {"version": number}))
        numbers.append(number)
        return edits

    repo.refs.apply(build, time=now, who=_who(repo), why=f"link {version.label} as {project}/{name}")
    return repo.version(project, name, numbers[-1])


def _linked(state: RefState, base: str, version: Version, owner: tuple[str, str, int]) -> int | None:
    """The number of the link to a version that an artifact has already."""
    for ref in state.having(base, version.artifact_id.hex()):
        if source_of(state.refs[f"{base}/{ref}"]) == owner:
            return names.version_number(ref)
    return None


def _links(state: RefState, version: Version) -> list[tuple[str, str, int]]:
    """The links to a version in a state."""
    found = []
    for prefix in state.prefixes("artifacts/"):
        _, project, name = prefix.split("/")
        for ref in state.having(prefix, version.artifact_id.hex()):
            number = names.version_number(ref)
            if number is not None and source_of(state.refs[f"{prefix}/{ref}"]) == version.home:
                found.append((project, name, number))
    return sorted(found)


def _aliases(state: RefState, one: tuple[str, str, int]) -> list[str]:
    refs = state.below(f"artifacts/{one[0]}/{one[1]}")
    return [ref for ref, value in refs.items() if names.version_number(ref) is None and value.get("version") == one[2]]


def _removal(
    state: RefState, one: tuple[str, str, int], gone: frozenset[tuple[str, str, int]] = frozenset()
) -> list[RefEdit]:
    """The edits that take one version away, with its aliases; ``latest`` goes to the highest that is left.

    Args:
        state: before the edits.
        one: the version.
        gone: all versions that the same transaction takes away.
    """
    project, name, number = one
    base = f"artifacts/{project}/{name}"
    here = state.get(f"{base}/v{number}")
    if here is None:
        raise NotFound(f"{name}:v{number} is not there any more")
    edits = [RefEdit(f"{base}/v{number}", here, None)]
    said = f"properties/{project}/{name}/v{number}"
    edits.append(RefEdit(said, state.get(said), None))
    others = (names.version_number(ref) for ref in state.below(base))
    left = (other for other in others if other is not None and (project, name, other) not in {one, *gone})
    highest = max(left, default=None)
    for alias in _aliases(state, one):
        heir: JsonObject | None = {"version": highest} if alias == LATEST and highest is not None else None
        edits.append(RefEdit(f"{base}/{alias}", state.get(f"{base}/{alias}"), heir))
    return edits


def _who(repo: Repository) -> str:
    author = provenance.author(repo.settings)
    return f"{author.get('name', '')} <{author.get('email', '')}>".strip()
