"""``artvc help`` and ``artvc version``: the pages that travel with the package."""

import importlib.resources

import click

from artvc._version import __version__
from artvc.cli.group import Face, common, face_of, group
from artvc.cli.main import COMMANDS
from artvc.cli.render import to_json
from artvc.errors import NotFound


def pages() -> dict[str, str]:
    """Topic -> text of every page of the manual."""
    docs = importlib.resources.files("artvc") / "docs"
    found = {}
    for page in docs.iterdir():
        if page.name.endswith(".md"):
            found[page.name.removesuffix(".md")] = page.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


@click.command(name="help")
@click.argument("topic", required=False)
@common
@click.pass_context
def help_command(context: click.Context, topic: str | None) -> None:
    """Show the help of a command or a page of the manual."""
    face = context.find_object(Face)
    assert face is not None and context.parent is not None  # noqa: S101, PT018 -- the group made both
    if topic is None:
        listed = "\n".join(f"  {name}" for name in pages())
        face.show(f"{group.get_help(context.parent)}\n\nTopics (artvc help TOPIC):\n{listed}")
        return
    if topic in COMMANDS:
        command = group.get_command(context.parent, topic)
        assert command is not None  # noqa: S101 -- the table has it
        face.show(command.get_help(click.Context(command, info_name=topic, parent=context.parent)))
        return
    found = pages()
    if topic not in found:
        raise NotFound(f"no command or topic '{topic}'", hint="'artvc help' lists them")
    face.show(found[topic].rstrip("\n"))


@click.command()
@common
@face_of
def version(face: Face) -> None:
    """Show the version of artvc."""
    click.echo(to_json({"version": __version__}) if face.as_json else f"artvc {__version__}")
