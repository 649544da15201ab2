"""Commands about runs: ``artvc run ls``, ``artvc run show``, ``artvc run recover``."""

import os
from collections.abc import Iterator
from dataclasses import replace

import click

from artvc import history as log_history
from artvc.cli.group import HELP_NAMES, Face, Nested, common, face_of
from artvc.cli.render import Paint, clean, counted, moment, run_json, run_text, size, table, to_json
from artvc.errors import Conflict, NotFound
from artvc.model import merkle
from artvc.model.objects import STATES, Commit, Entry, Json, JsonObject
from artvc.repo import Repository
from artvc.sdk import footer, history, leftovers, run_files
from artvc.sdk.leftovers import RunLine

_COLORS = {"running": "cyan", "finished": "green", "failed": "red", "crashed": "red", "killed": "yellow"}


@click.group(name="run", cls=Nested, context_settings=HELP_NAMES, invoke_without_command=True, no_args_is_help=False)
@click.pass_context
def run_group(context: click.Context) -> int:
    """List runs, look at one, record what a killed one left."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return 2
    return 0


@run_group.command(name="ls", short_help="List runs, the last begun first.")
@click.option("-n", "--max-count", "limit", type=click.IntRange(min=0), metavar="N", help="At most N runs.")
@click.option("--project", metavar="P", help="Only runs of this project.")
@click.option("--state", type=click.Choice(STATES), help="Only runs of this state.")
@common
@face_of
def list_runs(face: Face, limit: int | None, project: str | None, state: str | None) -> None:
    """List runs, the last begun first: recorded ones, those under way, and killed ones.

    A run whose process is gone without having recorded its end is crashed; 'artvc run recover' records what it left.

    \b
    Examples:
      artvc run ls --state crashed
      artvc run ls --project mnist -n 10 --json
    """
    with face.repository() as repo:
        lines = [one for one in leftovers.listed(repo, project) if state in {None, one.state}][:limit]
    if face.as_json:
        click.echo(to_json({"runs": [_line_json(one) for one in lines]}))
    else:
        face.show(_lines_text(lines, Paint(colored=face.colored), face.width))


@run_group.command(name="show", short_help="Show a run, its history and its files.")
@click.argument("run", metavar="RUN")
@common
@face_of
def show_run(face: Face, run: str) -> None:
    """Show a run: config, summary, inputs, outputs, history as curves, files.

    RUN is an id, a name, or 4 or more digits of a run commit; [project/] in front says whose.

    \b
    Examples:
      artvc run show sunny-smoke-1
      artvc run show mnist/3f9a1c02 --json
    """
    with face.repository() as repo:
        line = leftovers.line_of(repo, run)
        rows = _rows(repo, line)
        files = dict(_files(repo, line))
        entry = _entry(repo, line)
        if face.as_json:
            listed: list[Json] = [{"path": path, "size": bytes_} for path, bytes_ in files.items()]
            document: JsonObject = {
                **run_json(entry),
                "state": line.state,
                "recoverable": line.recoverable,
                "entries": listed,
            }
            if line.commit is None:
                document["commit"] = None
            click.echo(to_json(document))
            return
        text = run_text(entry, Paint(colored=face.colored))
    drawn = footer.curves(rows, encoding="utf-8")
    if drawn:
        width = max(len(clean(key)) for key, _ in drawn)
        text += "\n\nHistory:\n" + "\n".join(f"  {clean(key):>{width}} {line}" for key, line in drawn)
    if files:
        text += "\n\nFiles:\n" + "\n".join(f"  {size(bytes_):>10}  {clean(path)}" for path, bytes_ in files.items())
    if line.recoverable:
        text += f"\n\nIts process is gone: 'artvc run recover {line.id}' records what it left."
    face.show(text)


@run_group.command(name="recover", short_help="Record what killed runs left.")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--force", is_flag=True, help="Also a run of another machine, whose process can't be looked for.")
@common
@face_of
def recover_runs(face: Face, run: str | None, force: bool) -> None:
    """Record what killed runs left, with the state crashed: history, media, config, summary, files.

    Without RUN: all whose process is gone.  Nothing is lost meanwhile; a script that goes on with such a run
    (resume="allow") does the same.

    \b
    Example:
      artvc run recover
    """
    with face.repository() as repo:
        chosen = [one for one in leftovers.listed(repo) if one.recoverable] if run is None else [_one(repo, run, force)]
        found = [(one, leftovers.recover(repo, one.leftover)) for one in chosen if one.leftover is not None]
    if face.as_json:
        done: list[Json] = [
            {"run": one.id, "name": one.name, "project": one.project, "commit": made.commit_id.hex()}
            for one, made in found
        ]
        click.echo(to_json({"recovered": done}))
        return
    for one, made in found:
        face.say(f"recovered {clean(one.project)}/{one.id} {clean(one.name)}: commit {made.commit_id.short}")
    if not found:
        face.say("no killed run to recover")


def _one(repo: Repository, word: str, force: bool) -> RunLine:
    """The killed run of that name."""
    line = leftovers.line_of(repo, word)
    left = line.leftover
    if left is None:
        raise NotFound(f"run {word!r} left nothing to recover", hint=f"its record is complete: {line.state}")
    if left.is_here and not left.is_dead:
        raise Conflict(f"run {word!r} is under way in process {left.pid}", hint="end it first")
    if not left.is_here and not force:
        raise Conflict(f"run {word!r} may be under way on {left.host}", hint="recover it there, or pass --force")
    return line


def _line_json(line: RunLine) -> JsonObject:
    left = line.leftover
    return {
        "run": line.id,
        "name": line.name,
        "project": line.project,
        "job_type": line.job_type,
        "group": line.group,
        "tags": list(line.tags),
        "state": line.state,
        "started": line.started,
        "ended": line.ended or None,
        "commit": line.commit.hex() if line.commit else None,
        "recoverable": line.recoverable,
        "host": left.host if left else None,
        "pid": left.pid if left else None,
    }


def _lines_text(lines: list[RunLine], paint: Paint, width: int | None) -> str:
    if not lines:
        return "no runs"
    rows = [
        (one.id, one.state, moment(one.started), clean(one.project), clean(one.job_type) or "-", clean(one.name))
        for one in lines
    ]
    text = table(rows, width=width).splitlines()
    shown = []
    for one, row in zip(lines, text, strict=True):
        head, state, rest = row.partition(one.state)
        shown.append(head + paint(state, _COLORS[one.state]) + rest)
    killed = sum(one.recoverable for one in lines)
    if killed:
        shown.append(f"{counted(killed, 'run')} killed: 'artvc run recover' records what is left of them")
    return "\n".join(shown)


def _entry(repo: Repository, line: RunLine) -> log_history.LogEntry:
    """The run as the log shows it; of one that never recorded anything, what it noted."""
    if line.commit is not None:
        entry = log_history.entry_of(repo, repo.run(line.project, line.id))
        return replace(entry, commit=replace(entry.commit, state=line.state))
    assert line.leftover is not None  # noqa: S101 -- a run is known by its commit or by its note
    return log_history.LogEntry(
        commit_id=leftovers.NO_COMMIT, commit=leftovers.told(line.leftover), inputs=(), outputs=()
    )


def _tree(repo: Repository, line: RunLine) -> Iterator[tuple[str, Entry]]:
    commit: Commit | None = repo.commit(line.commit) if line.commit else None
    if commit is not None and commit.files is not None:
        yield from merkle.walk(commit.files, repo.objects.get)


def _files(repo: Repository, line: RunLine) -> Iterator[tuple[str, int]]:
    """The run's files and their sizes: recorded ones, then those that are still in its directory."""
    seen = {path: entry.size for path, entry in _tree(repo, line)}
    if line.leftover is not None:
        for path, disk in run_files.below(line.leftover.directory, ""):
            if path not in {run_files.NOTE, run_files.STATE}:
                seen[path.replace(f"{run_files.FILES}/", f"{run_files.SAVED}/", 1)] = os.path.getsize(disk)
    yield from sorted(seen.items())


def _rows(repo: Repository, line: RunLine) -> list[JsonObject]:
    """Rows of its history, enough to draw it."""
    if line.leftover is not None:
        return history.sample(repo.disk, os.path.join(line.leftover.directory, history.NAME))
    entry = dict(_tree(repo, line)).get(history.NAME)
    if entry is None:
        return []

    def read_at(count: int, offset: int) -> bytes:
        return b"".join(repo.read(entry, start=offset, stop=min(offset + count, entry.size)))

    return history.sample_of(read_at, entry.size)
