"""The ``artvc`` command: which subcommands there are, what all of them accept, and how every failure ends.

Commands are imported when they are called, so that start-up costs what is used.  ``--version`` and completion are
answered before click is imported.  This is the one place where an exception becomes a line and an exit code.
"""

import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from artvc._version import __version__

# Command -> module and attribute; the modules are imported on use.
COMMANDS: Final = {
    "alias": ("artvc.cli.record", "alias"),
    "cat": ("artvc.cli.inspect", "cat"),
    "checkout": ("artvc.cli.record", "checkout"),
    "commit": ("artvc.cli.record", "commit"),
    "completion": ("artvc.cli.completion", "completion"),
    "config": ("artvc.cli.record", "config"),
    "fsck": ("artvc.cli.maintain", "fsck"),
    "help": ("artvc.cli.topics", "help_command"),
    "init": ("artvc.cli.record", "init"),
    "log": ("artvc.cli.inspect", "log"),
    "ls": ("artvc.cli.inspect", "ls"),
    "show": ("artvc.cli.inspect", "show"),
    "status": ("artvc.cli.inspect", "status"),
    "version": ("artvc.cli.topics", "version"),
}
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
INTERNAL: Final = 70


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    argv = sys.argv[1:]
    if argv in (["--version"], ["-V"]):
        print(f"artvc {__version__}")
        sys.exit(0)
    if argv[:1] == ["__complete"]:
        from artvc.cli.completion import complete  # noqa: PLC0415 -- the path that must be fast

        complete(argv[1:])
        sys.exit(0)
    sys.exit(run(argv))


def run(argv: list[str]) -> int:
    """Run one command line; returns its exit code.  Failures are printed to stderr."""
    from artvc.cli.group import group  # noqa: PLC0415 -- click costs 30 ms

    def work() -> object:
        # Not group.main(): that turns a closed pipe into exit code 1 and an interrupt into a blank line.
        with group.make_context("artvc", list(argv)) as context:
            return group.invoke(context)

    return guarded(work, as_json="--json" in argv)


def guarded(work: Callable[[], object], *, as_json: bool) -> int:
    """Do some work and turn whatever it raises into an exit code and one clear line."""
    import click  # noqa: PLC0415

    from artvc.errors import ArtvcError  # noqa: PLC0415

    try:
        result = work()
        sys.stdout.flush()
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.ClickException as exc:
        return _fail("usage", exc.format_message(), _usage_hint(exc), 2, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", "interrupted; nothing half-done remains", None, INTERRUPTED, as_json=as_json)
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    except ArtvcError as exc:
        if os.environ.get("ARTVC_TRACE"):
            raise
        return _fail(exc.kind, exc.message, exc.hint, exc.exit_code, as_json=as_json)
    except Exception as exc:  # the boundary: a user gets a line, a developer sets ARTVC_TRACE
        if os.environ.get("ARTVC_TRACE"):
            raise
        what = f"internal error: {type(exc).__name__}: {exc}"
        return _fail("internal", what, "run again with ARTVC_TRACE=1 and report it", INTERNAL, as_json=as_json)
    return result if isinstance(result, int) else 0


def _usage_hint(exc: object) -> str | None:
    """Where a mistyped command's help is."""
    context = getattr(exc, "ctx", None)
    return f"see '{context.command_path} --help'" if context is not None else None


def _fail(kind: str, message: str, hint: str | None, code: int, *, as_json: bool) -> int:
    from artvc.cli.render import error_json, error_text  # noqa: PLC0415

    text = error_json(kind, message, hint, code) if as_json else error_text(message, hint)
    try:
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
    except BrokenPipeError:
        _forget_stdout()
    return code


def _forget_stdout() -> None:
    """Keep the interpreter from complaining at exit about a pipe whose reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
