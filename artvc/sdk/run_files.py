"""What lies in a run's own directory, ``.artvc/runs/<id>``, and which of it becomes files of its commit.

``run.json`` says who runs there (written once), ``state.json`` what the run knows (at most a second old),
``metrics.json`` what was defined, ``history.jsonl`` and ``alerts.jsonl`` have a line for each row and alert,
``media/`` the pictures, and ``files/`` is ``run.dir``: what the script puts there itself.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from artvc.errors import ArtvcError
from artvc.model.objects import Content, Entry, file_entry
from artvc.sdk import environment, history

NOTE: Final = "run.json"
STATE: Final = "state.json"
METRICS: Final = "metrics.json"
ALERTS: Final = "alerts.jsonl"
MEDIA: Final = "media"
FILES: Final = "files"
SAVED: Final = "saved"
# Up to this size each run commit holds the history; above it, only the last one does.
HISTORY_IN_EVERY_COMMIT: Final = 4 * 1024 * 1024
# Up to so many pictures each run commit holds all of them; above it, one that finds a quarter of them new does.
MEDIA_IN_EVERY_COMMIT: Final = 128


def media_due(taken: int, fresh: int) -> bool:
    """Whether a run commit looks for pictures, so that n of them cost n and not n times the number of commits.

    Args:
        taken: pictures that an earlier commit of the run holds.
        fresh: those that came since.
    """
    return fresh > 0 and (taken + fresh <= MEDIA_IN_EVERY_COMMIT or 4 * fresh >= taken)


def take_in(
    ingest: Any,
    directory: str,
    known: Mapping[str, Entry],
    *,
    final: bool,
    recorded: Mapping[str, Entry] = MappingProxyType({}),
    look_for_media: bool = True,
) -> dict[str, Entry]:
    """Take a run's files into the store.

    Args:
        ingest: open.
        directory: the run's own.
        known: files of the run that were taken in before; pictures among them are not read again.
        final: this is the last commit, so that a long history and the files of ``run.dir`` belong in it too.
        recorded: those that a commit made by this process holds: they are in the store for sure.
        look_for_media: take in pictures that came since.

    Returns:
        path to entry: what is known and still there, and what lies in the directory.

    Raises:
        StorageFull, StorageError, SourceError: a file could not be taken in.
    """
    files = {
        path: entry
        for path, entry in known.items()
        if recorded.get(path) is entry or (entry.id and ingest.has(Content(entry.kind, entry.id, entry.size)))
    }
    for path in sorted(known.keys() - files.keys()):
        environment.warn(f"{path!r} of the run was lost when the disk failed")
    for path, disk in below(directory, MEDIA) if look_for_media else ():
        if path not in files:
            files[path] = _entry(ingest, path, disk)
    for name in (METRICS, ALERTS):
        disk = os.path.join(directory, name)
        if os.path.exists(disk):
            files[name] = _entry(ingest, name, disk)
    rows = os.path.join(directory, history.NAME)
    if os.path.exists(rows) and (final or os.path.getsize(rows) <= HISTORY_IN_EVERY_COMMIT):
        files[history.NAME] = _entry(ingest, history.NAME, rows)
    for path, disk in below(directory, FILES) if final else ():
        name = f"{SAVED}/{path.partition('/')[2]}"
        try:
            files[name] = _entry(ingest, name, os.path.realpath(disk))
        except ArtvcError as exc:
            if exc.kind != "source":
                raise
            environment.warn(f"not saved: {exc}")
    return files


def _entry(ingest: Any, path: str, disk: str) -> Entry:
    return file_entry(path.rpartition("/")[2], ingest.add_file(disk).content)


def below(root: str, top: str) -> list[tuple[str, str]]:
    """The files below a directory of a root: path from the root, and path on disk."""
    found = []
    for directory, _, files in os.walk(os.path.join(root, top)):
        parent = os.path.relpath(directory, root).replace(os.sep, "/")
        for name in files:
            disk = os.path.join(directory, name)
            if os.path.isfile(disk):
                found.append((f"{parent}/{name}", disk))
    return sorted(found)


def clear(disk: Any, directory: str, *, own_too: bool = False) -> None:
    """Remove a run's own directory when its last commit has all of it.

    Args:
        disk: of the repository.
        directory: the run's own.
        own_too: also what the script itself put into ``run.dir``; else that stays, for it may go on reading there.
    """
    for name in (NOTE, STATE, METRICS, ALERTS, history.NAME):
        disk.discard(os.path.join(directory, name))
    for top in (MEDIA, FILES) if own_too else (MEDIA,):
        for here, inner, files in os.walk(os.path.join(directory, top), topdown=False):
            for name in files:
                disk.discard(os.path.join(here, name))
            for name in inner:
                remove_directory(disk, os.path.join(here, name))
    for name in (MEDIA, FILES):
        remove_directory(disk, os.path.join(directory, name))
    remove_directory(disk, directory)


def remove_directory(disk: Any, path: str) -> None:
    """Remove a directory if it is there and empty."""
    try:
        disk.rmdir(path)
    except (ArtvcError, OSError):
        return
