"""Commands that look after a repository: fsck."""

import click

from artvc import maintenance
from artvc.cli.group import Face, common, face_of
from artvc.cli.progress import Progress
from artvc.cli.render import Paint, fsck_json, fsck_text, to_json


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
        report = maintenance.fsck(repo, full=not quick, advance=progress.advance)
    if face.as_json:
        click.echo(to_json(fsck_json(report)))
    else:
        face.say(fsck_text(report, Paint(colored=face.colored)))
    return 0 if report.clean else 13
