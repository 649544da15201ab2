"""Commands that share a repository: remote, push, pull, fetch, clone."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from artvc import settings
from artvc.cli.group import HELP_NAMES, Face, Nested, common, face_of
from artvc.cli.progress import Progress
from artvc.cli.render import Paint, changes_json, changes_text, clean, counted, renumbered_text, size, table, to_json
from artvc.errors import InvalidInput
from artvc.model.objects import Json, JsonObject
from artvc.repo import Repository
from artvc.sync import sharing
from artvc.sync.merging import Renumbered
from artvc.sync.pushing import Pushed
from artvc.sync.sharing import Pulled, Work

F = TypeVar("F", bound=Callable[..., object])


def _jobs(command: F) -> F:
    return click.option(
        "-j", "--jobs", type=click.IntRange(1, 64), default=sharing.JOBS, show_default=True, help="Transfers at once."
    )(command)


def _settling(command: F) -> F:
    """Options that say what becomes of an alias that both sides moved."""
    ours = click.option("--ours", multiple=True, metavar="NAME:ALIAS", help="Keep the alias as it is here.")
    theirs = click.option("--theirs", multiple=True, metavar="NAME:ALIAS", help="Take the alias as it is there.")
    return ours(theirs(command))


def _settled(ours: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    both = set(ours) & set(theirs)
    if both:
        raise InvalidInput(f"both --ours and --theirs for {min(both)}")
    return {**dict.fromkeys(ours, "ours"), **dict.fromkeys(theirs, "theirs")}


def work_of(face: Face, progress: Progress, jobs: int = sharing.JOBS) -> Work:
    """How sharing works in this invocation."""
    return Work(
        environ=face.environ,
        now=settings.now,
        jobs=jobs,
        planned=progress.expect,
        advance=progress.advance,
    )


# -- remote ------------------------------------------------------------------------------------------------


@click.group(name="remote", cls=Nested, context_settings=HELP_NAMES, invoke_without_command=True)
@click.option("-v", "--verbose", is_flag=True, hidden=True)
@click.pass_context
@face_of
def remote_group(face: Face, context: click.Context, verbose: bool) -> None:  # noqa: ARG001 -- as in git, -v is no more
    """List, add and remove the places that the repository is shared through."""
    if context.invoked_subcommand is None:
        _list(face)


@remote_group.command(name="list", short_help="List the remotes.")
@common
@face_of
def list_command(face: Face) -> None:
    """List the remotes and their addresses."""
    _list(face)


def _list(face: Face) -> None:
    with face.repository() as repo:
        found = sharing.list_remotes(repo)
    if face.as_json:
        rows: list[Json] = [{"name": one.name, "url": one.url, "transactions": one.transactions} for one in found]
        click.echo(to_json({"remotes": rows}))
    else:
        face.show(table([[clean(one.name), clean(one.url)] for one in found], width=face.width))


@remote_group.command(name="add", short_help="Add a remote.")
@click.argument("name")
@click.argument("url")
@click.option("--single-writer", is_flag=True, help="Accept a store on which two writers may overwrite each other.")
@click.option("--no-check", is_flag=True, help="Don't look at it now.")
@common
@face_of
def add_command(face: Face, name: str, url: str, single_writer: bool, no_check: bool) -> None:
    """Add a remote: a git host, a bucket or a directory.

    It is looked at, whether it can be written and lets many push at once.  Credentials come from 'git credential', the
    ssh agent or the environment, and are never stored.

    \b
    Examples:
      artvc remote add origin git@github.com:team/models.git
      artvc remote add origin s3://team-models/artvc
      artvc remote add usb /media/usb/models
    """
    with face.repository() as repo, Progress("asking", shown=face.progress) as progress:
        abilities = sharing.add_remote(
            repo,
            name,
            url,
            work_of(face, progress),
            base=Path.cwd(),
            single_writer=single_writer,
            check=not no_check,
        )
        stored = next(one.url for one in sharing.list_remotes(repo) if one.name == name)
    for warning in abilities.warnings:
        face.note(f"warning: {warning}")
    if face.as_json:
        facts: JsonObject = {"many_writers": abilities.many_writers, "writable": abilities.writable}
        click.echo(to_json({"name": name, "url": stored, **facts, "warnings": list(abilities.warnings)}))
    else:
        face.say(f"added {clean(name)}: {clean(stored)}")


@remote_group.command(name="remove", short_help="Forget a remote.")
@click.argument("name")
@common
@face_of
def remove_command(face: Face, name: str) -> None:
    """Forget a remote.  What is there stays there, and so does what came from it."""
    with face.repository() as repo:
        sharing.remove_remote(repo, name)
    if face.as_json:
        click.echo(to_json({"removed": name}))
    else:
        face.say(f"removed {clean(name)}")


@remote_group.command(name="set-url", short_help="Change the address of a remote.")
@click.argument("name")
@click.argument("url")
@common
@face_of
def set_url_command(face: Face, name: str, url: str) -> None:
    """Change the address of a remote that has moved."""
    with face.repository() as repo:
        stored = sharing.set_url(repo, name, url, base=Path.cwd())
    if face.as_json:
        click.echo(to_json({"name": name, "url": stored}))
    else:
        face.say(f"{clean(name)} is now {clean(stored)}")


# -- verbs -------------------------------------------------------------------------------------------------


@click.command()
@click.argument("remote", required=False)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be sent.")
@_jobs
@_settling
@common
@face_of
def push(
    face: Face, remote: str | None, dry_run: bool, jobs: int, ours: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    """Bring REMOTE (default: origin) up to what is here.

    What others pushed meanwhile is merged first: nothing is overwritten.  Versions of yours whose numbers others have
    given away get the next ones, and the command says so.  Cut off, it is simply repeated.

    \b
    Examples:
      artvc push
      artvc push usb --dry-run
    """
    settled = _settled(ours, theirs)
    with face.repository() as repo, Progress("pushing", shown=face.progress) as progress:
        name = remote or sharing.default_remote(repo)
        done = sharing.push_to(repo, name, work_of(face, progress, jobs), settled=settled, dry_run=dry_run)
        default = repo.default_project
    if face.as_json:
        click.echo(to_json(pushed_json(name, done, dry_run)))
    else:
        face.say(pushed_text(name, done, dry_run, Paint(colored=face.colored), default))


def pushed_text(name: str, done: Pushed, dry_run: bool, paint: Paint, default: str) -> str:
    """What a push did, or would do."""
    lines = renumbered_text(done.renumbered, paint)
    if done.pulled:
        lines += [f"from {clean(name)}:", *changes_text(done.pulled, paint, default=default)]
    if not done.edits:
        return "\n".join([*lines, f"{clean(name)} has everything"])
    verb = "would send" if dry_run else "sent"
    lines += [f"to {clean(name)}:", *changes_text(done.edits, paint, default=default)]
    lines.append(f"{verb} {size(done.bytes)} in {counted(done.packs, 'pack')} of data{_saved(done)}")
    return "\n".join(lines)


def _saved(done: Pushed) -> str:
    """What storing everything once, and packing it, spared."""
    return f", for {size(done.versions_bytes)} of files" if done.versions_bytes else ""


def pushed_json(name: str, done: Pushed, dry_run: bool) -> JsonObject:
    """What a push did, or would do."""
    return {
        "bytes": done.bytes,
        "dry_run": dry_run,
        "packs": done.packs,
        "pulled": changes_json(done.pulled),
        "pushed": changes_json(done.edits),
        "remote": name,
        "renumbered": _renumbered_json(done.renumbered),
        "version_bytes": done.versions_bytes,
    }


def _renumbered_json(found: Iterable[Renumbered]) -> list[Json]:
    return [{"artifact": f"{one.project}/{one.name}", "old": one.old, "new": one.new} for one in found]


@click.command()
@click.argument("words", nargs=-1, metavar="[REMOTE] [REF]...")
@click.option("-r", "--remote", metavar="NAME", help="The remote, where it is not the first word.")
@click.option("--path", "paths", multiple=True, metavar="PATH", help="Only this file or directory of REF; repeatable.")
@click.option("-a", "--all", "everything", is_flag=True, help="Bring all data, of all versions.")
@click.option("-n", "--dry-run", is_flag=True, help="Fetch, and only say what would change here.")
@_jobs
@_settling
@common
@face_of
def pull(
    face: Face,
    words: tuple[str, ...],
    remote: str | None,
    paths: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    jobs: int,
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
) -> None:
    """Take over what REMOTE (default: origin) has: names, history, and the data of REFs.

    Other data comes when it is needed, by 'checkout', 'cat' or a program.

    \b
    Examples:
      artvc pull                                  names and history
      artvc pull trained-model:best               and the data of that version
      artvc pull origin mnist-raw --path test.pt  only a file of it
      artvc pull --all                            everything
    """
    settled = _settled(ours, theirs)
    with face.repository() as repo, Progress("pulling", shown=face.progress) as progress:
        name, references = _remote_and_references(repo, remote, words)
        if paths and not references:
            raise InvalidInput("--path needs a REF", hint="artvc pull NAME:ALIAS --path PATH")
        done = sharing.pull_from(
            repo,
            name,
            work_of(face, progress, jobs),
            references=references,
            paths=paths,
            everything=everything,
            settled=settled,
            dry_run=dry_run,
        )
        default = repo.default_project
    if face.as_json:
        click.echo(to_json({"remote": name, "dry_run": dry_run, **_pulled_json(done)}))
    else:
        face.say(_pulled_text(name, done, dry_run, Paint(colored=face.colored), default))


def _remote_and_references(repo: Repository, remote: str | None, words: Sequence[str]) -> tuple[str, list[str]]:
    """Which of the words is the remote: the first one, if there is a remote of that name."""
    known = [one.name for one in sharing.list_remotes(repo)]
    if remote is None and words and words[0] in known:
        return words[0], list(words[1:])
    return remote or sharing.default_remote(repo), list(words)


def _pulled_text(name: str, done: Pulled, dry_run: bool, paint: Paint, default: str) -> str:
    lines = renumbered_text(done.renumbered, paint)
    if done.edits:
        lines += [
            f"from {clean(name)}:" if not dry_run else f"{clean(name)} has:",
            *changes_text(done.edits, paint, default=default),
        ]
    else:
        lines.append(f"nothing new on {clean(name)}")
    if done.brought.chunks:
        lines.append(f"brought {size(done.brought.bytes)} of data, for {size(done.brought.files_bytes)} of files")
    elif done.brought.files_bytes:
        lines.append(f"all data is here, {size(done.brought.files_bytes)} of files")
    return "\n".join(lines)


def _pulled_json(done: Pulled) -> JsonObject:
    return {
        "bytes": done.brought.bytes,
        "chunks": done.brought.chunks,
        "file_bytes": done.brought.files_bytes,
        "history_bytes": done.fetched.bytes,
        "pulled": changes_json(done.edits),
        "renumbered": _renumbered_json(done.renumbered),
    }


@click.command()
@click.argument("remote", required=False)
@common
@face_of
def fetch(face: Face, remote: str | None) -> None:
    """Look what REMOTE (default: origin) has, and change nothing here.

    'artvc pull --dry-run' shows what a pull would change.
    """
    with face.repository() as repo, Progress("fetching", shown=face.progress) as progress:
        name = remote or sharing.default_remote(repo)
        done = sharing.fetch_from(repo, name, work_of(face, progress))
    if face.as_json:
        facts: JsonObject = {"transactions": done.transactions, "packs": done.packs, "bytes": done.bytes}
        click.echo(to_json({"remote": name, **facts}))
    elif done.transactions or done.packs:
        face.say(f"{clean(name)}: {counted(done.transactions, 'new transaction')}, {size(done.bytes)} of history")
    else:
        face.say(f"nothing new on {clean(name)}")


@click.command()
@click.argument("url")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("-a", "--all", "everything", is_flag=True, help="Bring all data, too.")
@_jobs
@common
@face_of
def clone(face: Face, url: str, directory: Path | None, everything: bool, jobs: int) -> None:
    """Make a repository with the names and history of another one.

    Data comes when it is needed, or with --all.  Cut off, it is simply repeated.

    \b
    Examples:
      artvc clone git@github.com:team/models.git
      artvc clone s3://team-models/artvc models
    """
    target = directory or Path(sharing.directory_of(url))
    with Progress("cloning", shown=face.progress) as progress:
        repo, done = sharing.clone(
            url,
            target,
            work_of(face, progress, jobs),
            base=Path.cwd(),
            settings=face.settings,
            everything=everything,
        )
    with repo:
        versions = sum(one.versions for one in repo.collections())
        runs = len(repo.runs())
    if face.as_json:
        facts: JsonObject = {"path": str(repo.dir), "versions": versions, "runs": runs}
        click.echo(to_json({**facts, **_pulled_json(done)}))
    else:
        data = f", {size(done.brought.bytes)} of data" if done.brought.chunks else "; data comes when it is needed"
        face.say(f"cloned into {clean(target)}: {counted(versions, 'version')}, {counted(runs, 'run')}{data}")
