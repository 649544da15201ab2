"""Commands that change things: init, commit, checkout, alias, config."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from artvc import recording, settings, worktree
from artvc.cli.group import Face, common, face_of
from artvc.cli.progress import Progress
from artvc.cli.render import (
    Paint,
    checkout_json,
    checkout_text,
    clean,
    commit_json,
    commit_text,
    to_json,
    version_json,
)
from artvc.errors import InvalidInput
from artvc.model import names
from artvc.model.objects import JSON_BYTES, Json, JsonObject
from artvc.repo import Repository
from artvc.settings import lookup, read_toml, user_config_path


@click.command()
@click.argument("directory", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--project", metavar="P", help="Default project of the new repository.")
@common
@face_of
def init(face: Face, directory: Path, project: str | None) -> None:
    """Make a repository in DIRECTORY (default: here).

    Harmless where there is one.

    \b
    Example:
      artvc init --project mnist
    """
    if not directory.exists():
        raise InvalidInput(f"no such directory: '{directory}'", hint="make it first")
    repo, created = Repository.create(directory, project=project, settings=face.settings)
    with repo:
        if face.as_json:
            click.echo(to_json({"path": str(repo.dir), "created": created, "project": repo.default_project}))
        else:
            what = "made an empty repository in" if created else "there is a repository already in"
            face.say(f"{what} {clean(repo.dir)}")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-n", "--name", metavar="NAME", help="Name of the artifact.")
@click.option("-t", "--type", "kind", metavar="TYPE", help="Its type, e.g. dataset or model.")
@click.option("-m", "--message", default="", metavar="MSG", help="What was done; the first line is the title.")
@click.option("-a", "--alias", "aliases", multiple=True, metavar="ALIAS", help="Alias to move to the version.")
@click.option("--input", "inputs", multiple=True, metavar="REF", help="A version that the work used; repeatable.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE|FILE.json", help="Facts about the version.")
@click.option("--description", metavar="TEXT", help="What the artifact is, in Markdown.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A word to find the version by.")
@click.option("--job-type", default="", metavar="J", help="Kind of work, e.g. train.")
@click.option("--project", metavar="P", help="Project of the artifact.")
@click.option("--paranoid", is_flag=True, help="Check stored copies before relying on them; heals damage.")
@click.option("--executor", metavar="SPEC", help="Workers that read the files and send their data to a remote.")
@click.option("-r", "--remote", metavar="REMOTE", help="With --executor: where the data goes.")
@common
@face_of
def commit(
    face: Face,
    paths: tuple[Path, ...],
    name: str | None,
    kind: str | None,
    message: str,
    aliases: tuple[str, ...],
    inputs: tuple[str, ...],
    metadata: tuple[str, ...],
    description: str | None,
    tags: tuple[str, ...],
    job_type: str,
    project: str | None,
    paranoid: bool,
    executor: str | None,
    remote: str | None,
) -> None:
    """Record files as a new version of an artifact.

    One directory stands for its contents; several paths, or files, keep their names.  Where PATHS were checked out
    or committed before, name and type are known.

    With --executor the files are read by others, which send their data straight to a remote, and the version is pushed:
    threads:N and processes:N on this machine, dask://HOST:PORT on all of a cluster.

    \b
    Examples:
      artvc commit data/ -n mnist-raw -t dataset -m "as downloaded"
      artvc commit model.pt -n net -t model -a best --input mnist-raw --metadata lr=0.01
      artvc commit /nfs/scans -n scans -t dataset --executor dask://10.0.0.5:8786
    """
    request = recording.CommitRequest(
        paths=paths,
        name=name,
        type=kind,
        message=message,
        aliases=aliases,
        tags=tags,
        metadata=_metadata(metadata) if metadata else None,
        description=description,
        inputs=inputs,
        job_type=job_type,
        project=project,
        paranoid=paranoid,
        argv=tuple(sys.argv),
    )

    def sizes() -> Iterator[int]:
        return (found.status.st_size for found in worktree.Walk().files(worktree.mounts_of(paths)))

    if remote and not executor:
        raise InvalidInput("--remote goes with --executor", hint="'artvc push REMOTE' sends what is committed here")
    paint = Paint(colored=face.colored)

    def tell(result: recording.CommitResult) -> None:
        for warning in result.warnings:
            face.note(f"warning: {warning}")
        if not face.as_json:
            face.say(commit_text(result, paint))

    if executor:
        _commit_with(face, request, executor, remote, sizes, tell)
        return
    with face.repository() as repo, Progress("committing", sizes=sizes, shown=face.progress) as progress:
        result = recording.commit_paths(repo, request, now=settings.now, advance=progress.advance, watch=progress.watch)
    tell(result)
    if face.as_json:
        click.echo(to_json(commit_json(result)))


def _commit_with(
    face: Face,
    request: recording.CommitRequest,
    executor: str,
    remote: str | None,
    sizes: Callable[[], Iterator[int]],
    tell: Callable[[recording.CommitResult], None],
) -> None:
    """Commit with workers and push."""
    from artvc.cli import share, worker  # noqa: PLC0415 -- few commits are made so
    from artvc.sync import sharing  # noqa: PLC0415
    from artvc.workers import commit_with, publish  # noqa: PLC0415

    with face.repository() as repo:
        name = remote or sharing.default_remote(repo)
        with Progress("committing", sizes=sizes, shown=face.progress) as progress:
            work = replace(share.work_of(face, progress), planned=lambda _: None, advance=lambda _: None)
            result = commit_with(
                repo,
                request,
                executor,
                remote=name,
                work=work,
                run=worker.run,
                advance=progress.advance,
                tell=face.note,
            )
        tell(result)
        with Progress("pushing", shown=face.progress) as progress:
            pushed = publish(repo, result, name, share.work_of(face, progress))
        default = repo.default_project
    if face.as_json:
        click.echo(to_json({**commit_json(result), "push": share.pushed_json(name, pushed, dry_run=False)}))
    else:
        face.say(share.pushed_text(name, pushed, False, Paint(colored=face.colored), default))


def _metadata(words: tuple[str, ...]) -> JsonObject:
    """The object that KEY=VALUE pairs and JSON files make, the last word about a key counts.  Raises InvalidInput."""
    found: JsonObject = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            found.update(_json_file(Path(word)))
        elif key:
            found[key] = _json_or_text(value)
        else:
            raise InvalidInput(f"metadata without a key: {word!r}", hint="write KEY=VALUE or name a JSON file")
    return found


def _json_or_text(value: str) -> Json:
    """What a VALUE is: JSON where it is JSON (``NaN`` is not), else the text itself."""
    try:
        return json.loads(value, parse_constant=_no_constant)  # type: ignore[no-any-return]  # checked when stored
    except (ValueError, RecursionError):
        return value


def _no_constant(word: str) -> Json:
    raise ValueError(word)


def _json_file(path: Path) -> JsonObject:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(JSON_BYTES + 1))
    except OSError as exc:
        raise InvalidInput(
            f"cannot read metadata from '{path}': {exc.strerror}", hint="write KEY=VALUE or name a JSON file"
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"'{path}' is not valid JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise InvalidInput(f"'{path}' does not hold a JSON object")
    return found


@click.command()
@click.argument("reference", metavar="REF")
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option("--path", "subpaths", multiple=True, metavar="SUBPATH", help="Restore only this file or directory.")
@click.option("-f", "--force", is_flag=True, help="Overwrite changes that were not committed.")
@common
@face_of
def checkout(face: Face, reference: str, dest: Path | None, subpaths: tuple[str, ...], force: bool) -> None:
    """Restore a version into DEST (default: artifacts/NAME:vN).

    Files that are right already are left alone, so an interrupted checkout is simply repeated.  A file that you
    changed is never overwritten without --force.

    \b
    Examples:
      artvc checkout mnist-raw                     the latest, to artifacts/mnist-raw:vN
      artvc checkout net:best model --force        over what lies there
      artvc checkout mnist-raw:v3 --path test.pt   one file of it
    """
    with face.repository() as repo:
        found = repo.resolve(reference)
        version = found.version
        target = dest or Path("artifacts") / version.label
        chosen = tuple(subpaths) + ((found.path,) if found.path else ())
        total = None if chosen else repo.artifact(version.artifact_id).size
        with Progress("restoring", total=total, shown=face.progress) as progress:
            result = worktree.checkout(
                repo, version, target, asked=reference, subpaths=chosen, force=force, advance=progress.advance
            )
    if face.as_json:
        click.echo(to_json(checkout_json(version, result)))
    else:
        face.say(checkout_text(version, result, str(target), Paint(colored=face.colored)))


@click.command()
@click.argument("reference", metavar="[REF]", required=False)
@click.argument("name", metavar="[ALIAS]", required=False)
@click.option("-d", "--delete", is_flag=True, help="Remove the alias NAME:ALIAS given as REF.")
@common
@face_of
def alias(face: Face, reference: str | None, name: str | None, delete: bool) -> None:
    """List, set or remove aliases.

    Without ALIAS: list all, or those of the artifact REF.  With it: let ALIAS stand for the version REF; what it
    stood for before is said.

    \b
    Examples:
      artvc alias net:v3 best    net:best is now v3
      artvc alias net            list them
      artvc alias -d net:best    remove it
    """
    with face.repository() as repo:
        if delete:
            _delete_alias(face, repo, reference, name)
        elif reference is not None and name is not None:
            _move_alias(face, repo, reference, name)
        else:
            _list_aliases(face, repo, reference)


def _delete_alias(face: Face, repo: Repository, reference: str | None, name: str | None) -> None:
    if reference is None or name is not None:
        raise InvalidInput("say which alias to remove", hint="artvc alias -d NAME:ALIAS")
    found = repo.resolve(reference)
    word = names.parse_reference(reference)[0].selector
    recording.remove_alias(repo, found.version.project, found.version.name, word, now=settings.now())
    if face.as_json:
        click.echo(to_json({**version_json(found.version), "removed": word}))
    else:
        face.say(f"removed {clean(found.version.name)}:{clean(word)} (was v{found.version.number})")


def _move_alias(face: Face, repo: Repository, reference: str, name: str) -> None:
    version = repo.resolve(reference).version
    before = recording.set_alias(repo, version, name, now=settings.now())
    if face.as_json:
        previous = None if before is None else f"v{before}"
        click.echo(to_json({**version_json(version), "alias": name, "previous": previous}))
        return
    moved = "" if before is None or before == version.number else f" (was v{before})"
    face.say(f"{clean(version.name)}:{clean(name)} -> v{version.number}{moved}")


def _list_aliases(face: Face, repo: Repository, reference: str | None) -> None:
    pairs = [(one.project, one.name) for one in repo.collections()]
    if reference is not None:
        version = repo.resolve(reference).version
        pairs = [(version.project, version.name)]
    found = {pair: repo.aliases(*pair) for pair in pairs}
    if face.as_json:
        listed: list[JsonObject] = [
            {"project": project, "name": name, "aliases": {alias: f"v{n}" for alias, n in aliases.items()}}
            for (project, name), aliases in found.items()
        ]
        click.echo(to_json({"artifacts": [*listed]}))
        return
    lines = [f"{name}:{alias} -> v{n}" for (_, name), aliases in found.items() for alias, n in aliases.items()]
    face.show("\n".join(clean(line) for line in lines))


@click.command()
@click.argument("key", required=False)
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Remove KEY.")
@click.option("-l", "--list", "listed", is_flag=True, help="List all that is set.")
@click.option("--show-origin", is_flag=True, help="Say which file a value comes from.")
@common
@face_of
def config(face: Face, key: str | None, value: str | None, unset: bool, listed: bool, show_origin: bool) -> None:
    """Read or set configuration.

    Values are set in the repository's own file, which never travels; the user's file is read too.  Exits with 1 if
    KEY is not set.

    \b
    Examples:
      artvc config project.default mnist
      artvc config --list --show-origin
    """
    with face.repository() as repo:
        user = user_config_path(face.environ)
        layers = [(str(repo.dir / "config"), repo.config), (str(user), read_toml(user))]
        if listed or key is None:
            values = {k: (v, origin) for origin, layer in reversed(layers) for k, v in _flat(layer).items()}
            _show_config(face, values, show_origin=show_origin)
        elif value is not None or unset:
            repo.set_config(key, None if unset else value)
            if face.as_json:
                click.echo(to_json({key: {"value": None if unset else value, "origin": str(repo.dir / "config")}}))
        else:
            for origin, layer in layers:
                found = lookup(layer, key)
                if found is not None:
                    _show_config(face, {key: (found, origin)}, show_origin=show_origin, bare=True)
                    return
            raise click.exceptions.Exit(1)


def _flat(layer: JsonObject, prefix: str = "") -> dict[str, str]:
    """Dotted keys and their values as text."""
    found: dict[str, str] = {}
    for key, value in layer.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = lookup(layer, key) or ""
    return found


def _show_config(face: Face, values: dict[str, tuple[str, str]], *, show_origin: bool, bare: bool = False) -> None:
    if face.as_json:
        shown: JsonObject = {key: {"value": value, "origin": origin} for key, (value, origin) in values.items()}
        click.echo(to_json(shown))
        return
    for key, (value, origin) in sorted(values.items()):
        text = clean(value) if bare else f"{clean(key)}={clean(value)}"
        click.echo(f"{clean(origin)}\t{text}" if show_origin else text)
