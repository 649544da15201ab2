"""``artvc help`` and ``artvc version``: the pages that travel with the package."""

import difflib
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
@click.argument("words", metavar="[TOPIC]", nargs=-1)
@common
@click.pass_context
def help_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of a command or a page of the manual.

    \b
    Examples:
      artvc help             lists commands and topics
      artvc help commit
      artvc help run ls
      artvc help exit-codes
    """
    face = context.find_object(Face)
    topic = " ".join(words) or None
    assert face is not None and context.parent is not None  # noqa: S101, PT018 -- the group made both
    if topic is None and face.as_json:
        click.echo(to_json({"commands": [*sorted(COMMANDS)], "topics": [*pages()]}))
        return
    if topic is None:
        listed = "\n".join(f"  {name}" for name in pages())
        face.show(f"{group.get_help(context.parent)}\n\nTopics (artvc help TOPIC):\n{listed}")
        return
    if words[0] in COMMANDS:
        command: click.Command = group
        here = context.parent
        for position, word in enumerate(words):
            found_command = command.get_command(here, word) if isinstance(command, click.Group) else None
            if found_command is None:
                raise NotFound(f"no command '{topic}'", hint=f"see 'artvc help {' '.join(words[:position])}'")
            command = found_command
            here = click.Context(command, info_name=word, parent=here)
        _show(face, topic, command.get_help(here))
        return
    found = pages()
    if topic not in found:
        close = difflib.get_close_matches(topic, [*COMMANDS, *found], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "'artvc help' lists them"
        raise NotFound(f"no command or topic '{topic}'", hint=hint)
    _show(face, topic, found[topic].rstrip("\n"))


def _show(face: Face, topic: str, text: str) -> None:
    if face.as_json:
        click.echo(to_json({"topic": topic, "text": text}))
    else:
        face.show(text)


@click.command()
@common
@face_of
def version(face: Face) -> None:
    """Show the version of artvc.

    \b
    Example:
      artvc version --json
    """
    click.echo(to_json({"version": __version__}) if face.as_json else f"artvc {__version__}")
