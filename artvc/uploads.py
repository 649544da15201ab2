"""Versions that many processes make together: each contributes files, one makes the version of all.

A contribution is a tree whose id stands in the ref log under ``uploads/<project>/<artifact>/<id>`` until the version is
made; so it is durable, seen by all processes and safe from gc the moment that contributing returns.
"""

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

from artvc import provenance
from artvc.errors import Conflict, Damaged, InvalidInput
from artvc.model import codec, merkle
from artvc.model.ids import Id, Kind
from artvc.model.objects import Entry, Json, JsonObject, Properties, TreeSummary
from artvc.repo import Repository
from artvc.store.ingest import Ingest
from artvc.store.refs import RefEdit, RefState

_COMPONENT_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was contributed by now.

    Attributes:
        project, name, type: of the artifact.
        ref: under which it stands.
        value: its present value, by which a later change is noticed.
        parts: root of each tree and its properties, with the run that contributed it, in order.
    """

    project: str
    name: str
    type: str
    ref: str
    value: JsonObject
    parts: tuple[tuple[str, Id, Id], ...]


def contribute(
    repo: Repository,
    ingest: Ingest,
    *,
    project: str,
    name: str,
    type: str,  # noqa: A002 -- what everything calls it
    upload: str,
    run: str,
    tree: TreeSummary,
    properties: Properties,
    now: str,
) -> None:
    """Add files to an upload; durable on return.

    Args:
        repo, ingest: the repository, and what holds the files' content; it is sealed here.
        project, name, type: of the artifact that is to be made.
        upload: what the processes that make it together call it.
        run: id of the run that contributes.
        tree: the files, already taken in.
        properties: what is said about the artifact; the last that says anything counts.
        now: the time.

    Raises:
        Conflict: the artifact has another type; or another run contributed other content for a path.
        InvalidInput: the upload's name is too long.
        StorageFull, StorageError: nothing was contributed.
    """
    ref = _ref(project, name, upload)
    said = ingest.put(Kind.PROPERTIES, codec.encode_properties(properties))
    ingest.seal()
    part: JsonObject = {"properties": said.hex(), "run": run, "tree": tree.id.hex()}

    def build(state: RefState) -> list[RefEdit]:
        old = state.get(ref)
        collection = state.get(f"collections/{project}/{name}") or old
        if collection is not None and collection.get("type") != type:
            raise Conflict(
                f"Artifact {name} already exists with type {collection.get('type')!r}; "
                f"cannot create another with type {type!r}"
            )
        parts = old.get("parts") if old else []
        kept: list[Json] = [one for one in parts if one != part] if isinstance(parts, list) else []
        value: JsonObject = {"parts": [*kept, part], "type": type}
        merge(repo, _read(project, name, ref, value))
        return [RefEdit(ref, old, value)]

    author = provenance.author(repo.settings)
    who = f"{author.get('name', '')} <{author.get('email', '')}>".strip()
    repo.refs.apply(build, time=now, who=who, why=f"contribute to {name}")


def find(repo: Repository, project: str, name: str, upload: str) -> Upload | None:
    """What was contributed to an upload by now; None for nothing.  Raises InvalidInput, Damaged."""
    ref = _ref(project, name, upload)
    value = repo.state().get(ref)
    return _read(project, name, ref, value) if value is not None else None


def all_of(repo: Repository) -> Iterator[Upload]:
    """All uploads of which no version was made yet.  Raises Damaged."""
    state = repo.state()
    for prefix in state.prefixes("uploads/"):
        _, project, name = prefix.split("/")
        for last, value in sorted(state.below(prefix).items()):
            yield _read(project, name, f"{prefix}/{last}", value)


def merge(repo: Repository, upload: Upload) -> dict[str, Entry]:
    """All files of an upload.  What a run contributes later replaces what it contributed before.

    Raises:
        Conflict: two runs contributed different content for one path.
    """
    found: dict[str, tuple[str, Entry]] = {}
    for run, tree, _ in upload.parts:
        for path, entry in merkle.walk(tree, repo.objects.get):
            known = found.get(path)
            if known is not None and known[0] != run and known[1] != entry:
                raise Conflict(
                    f"runs {known[0]} and {run} contributed different content for {path!r} of {upload.name}",
                    hint="let each process use names of its own, such as part-<rank>",
                )
            found[path] = (run, entry)
    return {path: entry for path, (_, entry) in found.items()}


def properties_of(repo: Repository, upload: Upload) -> Properties | None:
    """What the last contribution that said anything said; None where none did."""
    for _, _, said in reversed(upload.parts):
        properties = repo.properties(said)
        if properties != Properties():
            return properties
    return None


def _ref(project: str, name: str, upload: str) -> str:
    last = urllib.parse.quote(upload, safe="")
    if not last or len(last) > _COMPONENT_BYTES:
        raise InvalidInput(f"not an id for an upload: {upload!r:.80}", hint="use a short word")
    return f"uploads/{project}/{name}/{last}"


def _read(project: str, name: str, ref: str, value: JsonObject) -> Upload:
    parts, kind = value.get("parts"), value.get("type")
    if not isinstance(parts, list) or not isinstance(kind, str):
        raise Damaged(f"{ref} in the ref log is no upload")
    return Upload(
        project=project, name=name, type=kind, ref=ref, value=value, parts=tuple(_part(ref, one) for one in parts)
    )


def _part(ref: str, value: Json) -> tuple[str, Id, Id]:
    if isinstance(value, dict):
        run, tree, said = value.get("run"), value.get("tree"), value.get("properties")
        if isinstance(run, str) and isinstance(tree, str) and isinstance(said, str):
            return run, Id.parse(tree), Id.parse(said)
    raise Damaged(f"{ref} in the ref log has a malformed contribution")
