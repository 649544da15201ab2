"""Commands that look: log, show, ls, cat, status."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from artvc import history
from artvc.cli.group import Face, common, face_of
from artvc.cli.render import (
    Listed,
    Paint,
    Shown,
    collections_json,
    collections_text,
    entries_text,
    entry_entries_json,
    entry_json,
    log_text,
    run_json,
    run_text,
    shown_json,
    status_json,
    status_text,
    to_json,
    version_json,
    version_text,
)
from artvc.errors import Damaged, InvalidInput, NotFound
from artvc.model.objects import Entry, EntryKind
from artvc.repo import Collection, Found, Repository


@click.command()
@click.argument("reference", metavar="[REF]", required=False)
@click.option("-n", "--max-count", "limit", type=click.IntRange(min=0), metavar="N", help="At most N runs.")
@click.option("--oneline", is_flag=True, help="One line a run.")
@click.option("--graph", is_flag=True, help="Draw the lineage at the left.")
@click.option("--project", metavar="P", help="Only runs of this project.")
@common
@face_of
def log(face: Face, reference: str | None, limit: int | None, oneline: bool, graph: bool, project: str | None) -> None:
    """Show runs, newest first, with the versions they used and made.

    With REF: only the run that made that version, and everything that led to it.

    \b
    Examples:
      artvc log --graph
      artvc log trained-model:best --oneline
    """
    with face.repository() as repo:
        entries = list(history.log(repo, reference, project=project, limit=limit))
    if face.as_json:
        click.echo(to_json({"commits": [entry_json(entry) for entry in entries]}))
    else:
        face.show(log_text(entries, Paint(colored=face.colored), oneline=oneline, graph=graph))


@click.command()
@click.argument("reference", metavar="REF|RUN")
@click.option("--patch", is_flag=True, help="Of a run: only how its code differed from its git commit, for git apply.")
@common
@face_of
def show(face: Face, reference: str, patch: bool) -> None:
    """Show a version or a run.

    Of a version: content, runs that made or used it, description, metadata.  Of a run, named by its id, its name or
    4 or more digits of its commit: config, summary, inputs, outputs, code, environment.

    \b
    Examples:
      artvc show trained-model:best
      artvc show 3f9a1c02
      artvc show 3f9a1c02 --patch | git apply
    """
    with face.repository() as repo:
        if patch:
            _show_patch(history.entry_of(repo, history.find_run(repo, reference)))
            return
        try:
            found = repo.resolve(reference)
        except (NotFound, InvalidInput) as missing:
            _show_run(face, repo, reference, missing)
            return
        _show_version(face, repo, found)


def _show_run(face: Face, repo: Repository, word: str, missing: NotFound | InvalidInput) -> None:
    """Show a run of that name; if there is none either, what was wrong with the reference is the better answer."""
    try:
        run = history.find_run(repo, word)
    except NotFound:
        raise missing from None
    entry = history.entry_of(repo, run)
    if face.as_json:
        click.echo(to_json(run_json(entry)))
    else:
        face.show(run_text(entry, Paint(colored=face.colored)))


def _show_patch(entry: history.LogEntry) -> None:
    """Write the patch of a run's code as it is, for a program to read."""
    git = entry.commit.code.get("git")
    if not isinstance(git, dict) or "commit" not in git:
        raise NotFound(f"run {entry.commit.run_id} was not started in a git repository with a commit")
    click.echo(str(git.get("patch", "")), nl=False)


def _show_version(face: Face, repo: Repository, found: Found) -> None:
    version = found.version
    shown = Shown(
        version=version,
        artifact=repo.artifact(version.artifact_id),
        properties=repo.properties(version.properties_id),
        created=repo.commit(version.commit_id).ended,
        made=history.producers(repo, version.home[0], version.artifact_id),
        used=history.consumers(repo, version.home[0], version.artifact_id),
    )
    if face.as_json:
        click.echo(to_json(shown_json(shown)))
    else:
        face.show(version_text(shown, Paint(colored=face.colored)))


@click.command()
@click.argument("reference", metavar="[REF[/PATH]]", required=False)
@click.option("-l", "--long", is_flag=True, help="Kind, size and hash too.")
@click.option("-R", "--recursive", is_flag=True, help="All files below, with their paths.")
@click.option("--project", metavar="P", help="Only artifacts of this project.")
@common
@face_of
def ls(face: Face, reference: str | None, long: bool, recursive: bool, project: str | None) -> None:
    """List artifacts, or the files of a version.

    \b
    Examples:
      artvc ls                     all artifacts
      artvc ls -l mnist-raw/test   a directory of the latest version, with sizes and hashes
    """
    paint = Paint(colored=face.colored)
    with face.repository() as repo:
        if reference is None:
            listed = [_listed(repo, one) for one in repo.collections(project)]
            if face.as_json:
                click.echo(to_json(collections_json(listed)))
            else:
                face.show(collections_text(listed, paint, default=repo.default_project, width=face.width))
            return
        found = repo.resolve(reference)
        entries = list(_entries(repo, found, recursive=recursive))
        if face.as_json:
            click.echo(to_json({**version_json(found.version), "entries": entry_entries_json(entries)}))
        else:
            face.show(entries_text(entries, paint, long=long, width=face.width))


def _listed(repo: Repository, collection: Collection) -> Listed:
    aliases = repo.aliases(collection.project, collection.name)
    newest = None
    if collection.latest is not None:
        version = repo.version(collection.project, collection.name, collection.latest)
        with contextlib.suppress(Damaged, NotFound):  # a damaged artifact must not hide the others
            newest = repo.artifact(version.artifact_id)
    return Listed(collection, aliases, newest)


def _entries(repo: Repository, found: Found, *, recursive: bool) -> Iterator[tuple[str, Entry]]:
    if recursive:
        yield from repo.walk(found.version, found.path)
        return
    for entry in repo.listdir(found.version, found.path):
        yield entry.name, entry


@click.command()
@click.argument("reference", metavar="REF/PATH")
@common
@face_of
def cat(face: Face, reference: str) -> None:
    """Print the bytes of a file of a version, verified.

    \b
    Example:
      artvc cat trained-model:best/metrics.json | jq .accuracy
    """
    with face.repository() as repo:
        found = repo.resolve(reference)
        entry = repo.entry(found.version, found.path)
        if entry.kind == EntryKind.DIRECTORY:
            hint = f"'artvc ls {reference}' lists its files"
            raise InvalidInput(f"'{reference}' is a directory", hint=hint)
        out = sys.stdout.buffer
        for piece in repo.read(entry):
            out.write(piece)
        out.flush()


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@common
@face_of
def status(face: Face, paths: tuple[Path, ...], exit_code: bool) -> int:
    """Show what differs from the versions checked out.

    PATHS: only these; default: everything that was checked out or committed from.

    \b
    Example:
      artvc status --exit-code data || artvc commit data -m "cleaned"
    """
    with face.repository() as repo:
        from artvc import worktree  # noqa: PLC0415 -- threads and hashing that the others need not load

        found = worktree.status(repo, paths=paths)
    for one in found:
        for warning in one.warnings:
            face.note(f"warning: {warning}")
    if face.as_json:
        click.echo(to_json(status_json(found)))
    elif not face.quiet:
        shown = [os.path.relpath(one.path) for one in found]
        face.show(status_text(found, shown, Paint(colored=face.colored)))
    return int(exit_code and any(not one.clean for one in found))
