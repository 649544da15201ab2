"""Which version the user's paths came from: notes that spare typing and let status compare."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xxhash import xxh3_128_hexdigest

from artvc.errors import ArtvcError, MalformedObject, NotFound, StorageError, StorageFull
from artvc.model import codec
from artvc.model.ids import Id
from artvc.model.objects import Json, JsonObject
from artvc.repo import Repository, Version

_RECORD_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which version some paths of the user's came from.

    Attributes:
        project, name, number, artifact: the version.
        asked: the reference as typed.
        mounts: path in the artifact and absolute path on disk.
        subpaths: what was restored of it; () is everything.
    """

    project: str
    name: str
    number: int
    artifact: Id
    asked: str
    mounts: tuple[tuple[str, str], ...]
    subpaths: tuple[str, ...]


def _file_of(repo: Repository, mounts: Sequence[tuple[str, str]]) -> str:
    """Where the note about some paths lies: one for each first path."""
    key = os.path.relpath(mounts[0][1], repo.root)
    return str(repo.dir / "checkouts" / (xxh3_128_hexdigest(os.fsencode(key)) + ".json"))


def write_origin(
    repo: Repository,
    version: Version,
    mounts: Sequence[tuple[str, str]],
    *,
    asked: str,
    subpaths: Sequence[str],
) -> None:
    """Note where paths came from; paths are kept relative to the repository, so that both can move together."""
    value: JsonObject = {
        "artifact": version.artifact_id.hex(),
        "asked": asked,
        "mounts": [[_stored_path(name), _stored_path(os.path.relpath(disk, repo.root))] for name, disk in mounts],
        "name": version.name,
        "number": version.number,
        "project": version.project,
        "subpaths": [_stored_path(one) for one in subpaths],
    }
    body = codec.encode_json(value)
    # The note only spares typing and lets status compare: a read-only or full repository must not fail a
    # checkout, nor make a commit that is already visible look as if it had failed.
    with contextlib.suppress(StorageError, StorageFull, FileNotFoundError):
        repo.disk.write_file(_file_of(repo, mounts), body, tmp=str(repo.dir / "tmp"), durable=False)


def _stored_path(path: str) -> Json:
    """A path as JSON; one that is no valid Unicode as the hex digits of its bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return {"hex": os.fsencode(path).hex()}
    return path


def _loaded_path(value: Json) -> str:
    """A path from what :func:`_stored_path` gave.  Raises ValueError, KeyError."""
    return os.fsdecode(bytes.fromhex(str(value["hex"]))) if isinstance(value, dict) else str(value)


def origins(repo: Repository) -> list[Origin]:
    """All notes about checked-out or committed paths; damaged ones are left out (they only cost comfort)."""
    found = []
    directory = str(repo.dir / "checkouts")
    try:
        names_there = sorted(repo.disk.listdir(directory))
    except FileNotFoundError:
        return []
    for name in names_there:
        if name.endswith(".json"):
            with contextlib.suppress(ArtvcError, FileNotFoundError, ValueError, KeyError, TypeError):
                found.append(_read(repo, os.path.join(directory, name)))
    return sorted(found, key=lambda origin: origin.mounts[0][1])


def _read(repo: Repository, path: str) -> Origin:
    value = codec.decode_json(repo.disk.read_file(path, limit=_RECORD_BYTES), limit=_RECORD_BYTES)
    mounts, subpaths = value["mounts"], value["subpaths"]
    if not isinstance(mounts, list) or not isinstance(subpaths, list) or not mounts:
        raise MalformedObject(f"{path} is malformed")
    pairs = [one for one in mounts if isinstance(one, list) and len(one) == 2]
    return Origin(
        project=str(value["project"]),
        name=str(value["name"]),
        number=int(str(value["number"])),
        artifact=Id.parse(str(value["artifact"])),
        asked=str(value["asked"]),
        mounts=tuple(
            (_loaded_path(name), os.path.normpath(os.path.join(repo.root, _loaded_path(disk)))) for name, disk in pairs
        ),
        subpaths=tuple(map(_loaded_path, subpaths)),
    )


def origin_of(repo: Repository, paths: Sequence[Path]) -> Origin | None:
    """Where exactly these paths came from, if that is known."""
    wanted = {os.path.abspath(path) for path in paths}
    for origin in origins(repo):
        if {disk for _, disk in origin.mounts} == wanted:
            return origin
    return None


def version_of(repo: Repository, origin: Origin) -> Version | None:
    """The version that paths came from, by its content: a merge may have given it another number since.

    Returns:
        None: it was deleted.
    """
    with contextlib.suppress(NotFound):
        version = repo.version(origin.project, origin.name, origin.number)
        if version.artifact_id == origin.artifact:
            return version
    same = [one for one in repo.versions(origin.project, origin.name) if one.artifact_id == origin.artifact]
    return same[-1] if same else None
