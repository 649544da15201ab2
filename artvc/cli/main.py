"""The ``artvc`` command: which subcommands there are, what all of them accept, and how every failure ends.

Commands are imported when they are called, so that start-up costs what is used.  ``--version`` and completion are
answered before click is imported.  This is the one place where an exception becomes a line and an exit code.
"""

import atexit
import contextlib
import errno
import gc
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from artvc._version import __version__

# Command -> module and attribute; the modules are imported on use.
COMMANDS: Final = {
    "alias": ("artvc.cli.record", "alias"),
    "cat": ("artvc.cli.inspect", "cat"),
    "checkout": ("artvc.cli.record", "checkout"),
    "clone": ("artvc.cli.share", "clone"),
    "commit": ("artvc.cli.record", "commit"),
    "completion": ("artvc.cli.completion", "completion"),
    "config": ("artvc.cli.record", "config"),
    "fetch": ("artvc.cli.share", "fetch"),
    "fsck": ("artvc.cli.maintain", "fsck"),
    "gc": ("artvc.cli.maintain", "gc"),
    "help": ("artvc.cli.topics", "help_command"),
    "init": ("artvc.cli.record", "init"),
    "log": ("artvc.cli.inspect", "log"),
    "ls": ("artvc.cli.inspect", "ls"),
    "pull": ("artvc.cli.share", "pull"),
    "push": ("artvc.cli.share", "push"),
    "remote": ("artvc.cli.share", "remote_group"),
    "repack": ("artvc.cli.maintain", "repack"),
    "run": ("artvc.cli.runs", "run_group"),
    "show": ("artvc.cli.inspect", "show"),
    "status": ("artvc.cli.inspect", "status"),
    "version": ("artvc.cli.topics", "version"),
}
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
INTERNAL: Final = 70
NO_SPACE: Final = 6
DISK_FAILED: Final = 7


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    # A process of one command: looking for reference cycles finds none and costs a tenth of the time of start-up,
    # and as much again where many files are listed.
    gc.disable()
    # numpy only shifts and adds here; the threads that its linear algebra starts would spin beside the workers.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    argv = sys.argv[1:]
    work: Callable[[list[str]], object] = _run_group
    if argv in (["--version"], ["-V"]):
        work = _print_version
    elif argv[:1] == ["__complete"]:
        work = _complete
    sys.exit(guarded(lambda: work(argv), argv))


def command() -> NoReturn:
    """What the shell's ``artvc`` runs: :func:`main`, and then the end without taking the interpreter apart.

    That takes 10 ms and frees memory that the kernel frees anyway.  What was registered with ``atexit`` is run; where
    threads are left, the end is the usual one, which waits for them.
    """
    try:
        main()
    except SystemExit as exc:
        if threading.active_count() > 1 or not isinstance(exc.code, int):
            raise
        code = exc.code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()
    os._exit(code)


def run(argv: list[str]) -> int:
    """Run one command line; returns its exit code.  Failures are printed to stderr."""
    return guarded(lambda: _run_group(argv), argv)


def _print_version(argv: list[str]) -> None:  # noqa: ARG001 -- one shape for all three
    print(f"artvc {__version__}")


def _complete(argv: list[str]) -> None:
    from artvc.cli.completion import complete  # noqa: PLC0415 -- the path that must be fast

    complete(argv[1:])


def _run_group(argv: list[str]) -> object:
    from artvc.cli.group import group  # noqa: PLC0415 -- click costs 30 ms

    # A byte that the terminal's encoding lacks is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Not group.main(): that turns a closed pipe into exit code 1 and an interrupt into a blank line.
    with group.make_context("artvc", list(argv)) as context:
        return group.invoke(context)


def guarded(work: Callable[[], object], argv: Sequence[str]) -> int:
    """Do some work and turn whatever it raises into an exit code and one clear line.

    Args:
        work: to be done; an integer that it returns is the exit code.
        argv: words of the command line: ``--json`` and ``-v`` shape how a failure is shown.
    """
    try:
        result = work()
        sys.stdout.flush()
    except BaseException as exc:  # noqa: BLE001 -- the boundary: each way to fail is told apart below
        return _failed(exc, argv)
    return result if isinstance(result, int) else 0


def _failed(exc: BaseException, argv: Sequence[str]) -> int:
    """Say what went wrong; returns the exit code."""
    failure = _failure(exc)
    if failure is None:  # nothing to say: the exit was asked for, or nobody listens
        return _silent_code(exc)
    kind, message, hint, code = failure
    if os.environ.get("ARTVC_TRACE") or {"-v", "--verbose"} & set(argv):
        import traceback  # noqa: PLC0415 -- for developers

        traceback.print_exception(exc)
    from artvc.cli.render import error_json, error_text  # noqa: PLC0415

    text = error_json(kind, message, hint, code) if "--json" in argv else error_text(message, hint)
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    return code


def _silent_code(exc: BaseException) -> int:
    """The exit code of what is no failure, or of one that nobody is left to hear about."""
    if isinstance(exc, BrokenPipeError):
        _forget_stdout()
        return PIPE_CLOSED
    if isinstance(exc, SystemExit):
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    code = getattr(exc, "exit_code", 0)
    return code if isinstance(code, int) else 0


def _failure(exc: BaseException) -> tuple[str, str, str | None, int] | None:
    """Kind, message, hint and exit code; None where there is nothing to say."""
    from artvc.errors import ArtvcError  # noqa: PLC0415 -- not for --version

    click = sys.modules.get("click")
    if isinstance(exc, ArtvcError):
        return exc.kind, exc.message, exc.hint, exc.exit_code
    if isinstance(exc, BrokenPipeError | SystemExit):
        return None
    if isinstance(exc, KeyboardInterrupt):
        return "interrupted", "interrupted", "the command can safely be repeated", INTERRUPTED
    if click is not None and isinstance(exc, click.exceptions.Exit):
        return None
    if click is not None and isinstance(exc, click.ClickException):
        return "usage", _usage_message(exc.format_message()), _usage_hint(exc), 2
    if isinstance(exc, MemoryError):
        return "memory", "out of memory", "give the machine more, or set ARTVC_JOBS=1", INTERNAL
    if isinstance(exc, OSError) and exc.errno is not None:
        what = f"'{os.fsdecode(exc.filename)}'" if isinstance(exc.filename, str | bytes) else "the output"
        full = exc.errno in {errno.ENOSPC, errno.EDQUOT}
        kind, code = ("no-space", NO_SPACE) if full else ("storage", DISK_FAILED)
        return kind, f"cannot read or write {what}: {os.strerror(exc.errno)}", None, code
    what = f"internal error: {type(exc).__name__}: {exc}"
    return "internal", what, "run again with ARTVC_TRACE=1 and report what it shows", INTERNAL


def _usage_message(text: str) -> str:
    """Click's words, which may stand in several lines, as one without a full stop."""
    return " ".join(text.split()).rstrip(".")


def _usage_hint(exc: object) -> str | None:
    """Where a mistyped command's help is."""
    context = getattr(exc, "ctx", None)
    return f"see '{context.command_path} --help'" if context is not None else None


def _forget_stdout() -> None:
    """Keep the interpreter from complaining at exit about output that can't be delivered."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
