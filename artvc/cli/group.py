"""The click group: global options, lazy commands, and what each command can ask about them."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click

from artvc import settings as settings_module
from artvc._version import __version__
from artvc.cli.main import COMMANDS
from artvc.cli.place import repository_at
from artvc.cli.render import clean
from artvc.repo import Repository
from artvc.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
HELP_NAMES: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(slots=True)
class Face:
    """How this invocation talks: what every command may ask.

    Attributes:
        environ: the environment.
        as_json: print one JSON document instead of text.
        quiet: print only what was asked for, no progress.
        verbose: say on stderr what is used; failures come with their traceback.
        color: ``auto``, ``always`` or ``never``.
        paging: whether a pager may be used.
    """

    environ: Mapping[str, str]
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"
    paging: bool = True

    @property
    def settings(self) -> Settings:
        """The settings that the environment asks for."""
        return settings_module.from_environment(self.environ)

    def repository(self) -> Repository:
        """The repository of the working directory, or that of ARTVC_DIR.  Raises NotARepository."""
        repo = repository_at(Path.cwd(), self.environ)
        if repo.config.get("remote"):
            from artvc.sync.sharing import Work, attach  # noqa: PLC0415 -- only where there are remotes

            attach(repo, Work(environ=self.environ, now=settings_module.now))
        if self.verbose:
            self.note(f"repository {repo.dir}, project {repo.default_project}, {repo.settings.workers} threads")
        return repo

    @property
    def width(self) -> int | None:
        """Columns of the terminal that stdout is; None where it is none and nothing needs to fit."""
        try:
            return os.get_terminal_size(sys.stdout.fileno()).columns
        except (OSError, ValueError):
            return None

    @property
    def colored(self) -> bool:
        """Whether stdout gets colours (NO_COLOR, CLICOLOR, FORCE_COLOR, TERM as is customary)."""
        if self.as_json or self.color == "never":
            return False
        if self.color == "always" or self.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
            return True
        wanted = not self.environ.get("NO_COLOR") and self.environ.get("CLICOLOR", "1") != "0"
        return wanted and self.environ.get("TERM") != "dumb" and sys.stdout.isatty()

    @property
    def progress(self) -> bool:
        """Whether progress is wanted; whether stderr is a terminal is asked where it is drawn."""
        return not self.quiet and self.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """Print text for people, unless told to be quiet."""
        if text and not self.quiet:
            click.echo(text, color=self.colored)

    def note(self, text: str) -> None:
        """Print a remark on stderr."""
        click.echo(f"artvc: {clean(text)}", err=True)

    def show(self, text: str) -> None:
        """Print what was asked for, through the pager where it is longer than the terminal."""
        if self.paging and sys.stdout.isatty() and text.count("\n") + 1 >= _terminal_lines():
            from artvc.cli.pager import page  # noqa: PLC0415 -- subprocess, only for long output

            page(text, self.environ)
        elif text:
            click.echo(text, color=self.colored)


def _terminal_lines() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines
    except (OSError, ValueError):
        return 24


def _set(context: click.Context, parameter: click.Parameter, value: object) -> object:
    """Note a global option wherever it stood."""
    face = context.find_object(Face)
    if face is not None and value and parameter.name == "as_json":
        face.as_json = True
    if face is not None and value and parameter.name == "quiet":
        face.quiet = True
    if face is not None and value and parameter.name == "verbose":
        face.verbose = True
    return value


def common(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command accept ``--json``, ``--quiet`` and ``--verbose`` after its name too."""
    verbose = click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_set, hidden=True)
    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_set, help="Print less, no progress."
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, expose_value=False, callback=_set, help="Print one JSON document."
    )
    return quiet(as_json(verbose(command)))


face_of = click.make_pass_decorator(Face)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 -- the table above says so
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        check_command(ctx, args, COMMANDS, "artvc")
        return super().resolve_command(ctx, args)


class Nested(click.Group):
    """A command with subcommands of its own."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        check_command(ctx, args, self.commands, f"artvc {self.name}")
        return super().resolve_command(ctx, args)


def check_command(context: click.Context, args: list[str], known: Iterable[str], owner: str) -> None:
    """Raise click.UsageError, with the nearest one, where the first word is none of the commands.

    Args:
        context: of the group.
        args: the words behind it.
        known: its commands.
        owner: the words for the group.
    """
    name = args[0] if args else ""
    if name and name not in known and not name.startswith("-"):
        import difflib  # noqa: PLC0415 -- only for a mistyped command

        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise click.UsageError(f"'{name}' is no {owner} command{hint}", context)


@click.group(cls=LazyGroup, context_settings=HELP_NAMES, invoke_without_command=True, no_args_is_help=False)
@click.option("-C", "directory", multiple=True, metavar="DIR", help="Run as if started in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print less, no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is used; show the traceback of a failure.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Use colours.")
@click.option("--no-pager", is_flag=True, help="Never use a pager.")
@click.version_option(__version__, "-V", "--version", prog_name="artvc", message="%(prog)s %(version)s")
@click.pass_context
def group(
    context: click.Context,
    directory: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: bool,
    color: str,
    no_pager: bool,
) -> int:
    """Version datasets, models and runs like code: commit, checkout, log."""
    for one in directory:
        try:
            os.chdir(one)
        except OSError as exc:
            raise click.UsageError(f"cannot change to '{one}': {exc.strerror}", context) from exc
    context.obj = Face(os.environ, as_json=as_json, quiet=quiet, verbose=verbose, color=color, paging=not no_pager)
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return 2
    return 0
