"""Commands that look after a repository: fsck, gc, repack."""

import re

import click

from artvc import curation, maintenance, settings
from artvc.cli.group import Face, common, face_of
from artvc.cli.progress import Progress
from artvc.cli.render import (
    Paint,
    fsck_json,
    fsck_text,
    gc_json,
    gc_text,
    repack_json,
    repack_text,
    to_json,
)
from artvc.cli.share import work_of
from artvc.sync import sharing

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A time span such as ``2w``, ``14d``, ``36h`` or ``0`` in seconds."""
    if value is None:
        return None
    match = _SPAN.fullmatch(value)
    if match is None and value != "0":
        raise click.BadParameter(f"'{value}' is no time span such as 2w, 14d, 36h or 0", context, parameter)
    return int(match[1]) * _UNITS[match[2]] if match else 0


_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,15})\s*([kmgt]i?)?b?", re.IGNORECASE)


def _bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A size such as ``20GB``, ``500MiB`` or ``0`` in bytes."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    unit = (match[2] or "").lower() if match else "?"
    if match is None or unit not in _SIZES:
        raise click.BadParameter(f"'{value}' is no size such as 20GB or 500MiB", context, parameter)
    return int(match[1]) * _SIZES[unit]


@click.command()
@click.option("--quick", is_flag=True, help="Check that everything is there, without reading every byte.")
@common
@face_of
def fsck(face: Face, quick: bool) -> int:
    """Check every byte and every name.

    Changes nothing; exits with 13 if anything is damaged, and says which versions suffer.

    \b
    Example:
      artvc fsck --quick
    """
    with face.repository() as repo, Progress("checking", shown=face.progress) as progress:
        absent = sharing.on_a_remote(repo)
        report = maintenance.fsck(repo, full=not quick, absent=absent, advance=progress.advance)
    if face.as_json:
        click.echo(to_json(fsck_json(report)))
    else:
        face.say(fsck_text(report, Paint(colored=face.colored)))
    return 0 if report.clean else 13


@click.command()
@click.option("--expired", is_flag=True, help="First delete the versions whose ttl is over.")
@click.option(
    "--grace",
    callback=_seconds,
    metavar="SPAN",
    help="Delete only what was found dead so long ago; 0: now.  [default: 2w, with --local 0]",
)
@click.option("--local", is_flag=True, help="Also drop data that a remote has for sure; it comes again when needed.")
@click.option("--keep", callback=_bytes, metavar="SIZE", help="With --local: let so much stay, e.g. 20GB.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@common
@face_of
def gc(face: Face, expired: bool, grace: int | None, local: bool, keep: int | None, dry_run: bool) -> None:
    """Delete what no version and no run needs any more.

    It goes in two steps: what is found dead is condemned, and deleted by a later gc when the grace period is over.
    Safe at any time beside commits, checkouts and itself.  Nothing is deleted if anything needed can't be read.

    \b
    Examples:
      artvc gc --dry-run
      artvc gc --expired
      artvc gc --grace 0     all at once; what was deleted can't be brought back
      artvc gc --local --keep 20GB
    """
    if keep is not None and not local:
        raise click.UsageError("--keep goes with --local")
    now = settings.now()
    with face.repository() as repo, Progress("looking", shown=face.progress) as progress:
        gone = []
        if expired:
            gone = curation.expired(repo, now=now) if dry_run else curation.delete_expired(repo, now=now)
        drop = None
        if local:
            drop = sharing.droppable(repo, work_of(face, progress), keep=keep or 0)
        absent = sharing.on_a_remote(repo)
        if grace is None:
            grace = 0 if local else maintenance.GRACE
        request = maintenance.GcRequest(grace=grace, dry_run=dry_run, drop=drop, absent=absent)
        report = maintenance.gc(repo, request, now=now, advance=progress.advance)
    if face.as_json:
        click.echo(to_json(gc_json(report, gone, dry_run=dry_run)))
    else:
        face.say(gc_text(report, gone, dry_run=dry_run))


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Look at large packs too, for what can be stored in less.")
@click.option("--level", type=click.IntRange(1, 19), metavar="N", help="Level of zstd for --all.  [default: 9]")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@common
@face_of
def repack(face: Face, every: bool, level: int | None, dry_run: bool) -> None:
    """Store the same in fewer and smaller packs.

    Small packs are joined and duplicates dropped; with --all, data is compressed harder, and arrays become differences
    to a better base.  The old packs are condemned and go with a later gc.

    \b
    Examples:
      artvc repack
      artvc repack --all --level 19
    """
    if level is not None and not every:
        raise click.UsageError("--level goes with --all")
    with face.repository() as repo, Progress("repacking", shown=face.progress) as progress:
        request = maintenance.RepackRequest(every=every, level=level or maintenance.LEVEL, dry_run=dry_run)
        report = maintenance.repack(repo, request, now=settings.now(), advance=progress.advance)
    if face.as_json:
        click.echo(to_json(repack_json(report, dry_run=dry_run)))
    else:
        face.say(repack_text(report, dry_run=dry_run))
