"""Writes ``artvc/docs/commands.md`` from the commands themselves: ``python tests/docs/make_commands.py``."""

from pathlib import Path

import click

from artvc.cli.group import group
from artvc.cli.main import COMMANDS

PAGE = Path(__file__).parents[2] / "artvc" / "docs" / "commands.md"
INTRODUCTION = """\
# Commands

References are `[project/]NAME[:ALIAS|:vN|@HASH][/path]`; without `:` or `@`, `latest` is meant. Every command takes
`--json` and `--quiet`, before or after its name. Exit codes: [exit-codes](exit-codes.md).

Environment: `ARTVC_DIR` (the directory that holds `.artvc`), `ARTVC_PROJECT`, `ARTVC_JOBS` (threads), `ARTVC_AUTHOR_NAME`,
`ARTVC_AUTHOR_EMAIL`, `ARTVC_PAGER` (else `PAGER`), `ARTVC_FSYNC=0` (for tests: gives up safety at power loss),
`ARTVC_TRACE=1` (show where a failure comes from); `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR`. The user's configuration is
`~/.config/artvc/config.toml` (`user.name`, `user.email`, `core.jobs`, `project.default`).
"""


def page() -> str:
    context = click.Context(group, info_name="artvc", max_content_width=100, terminal_width=100)
    parts = [INTRODUCTION, f"```text\n{group.get_help(context)}\n```\n"]
    for name in sorted(COMMANDS):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        parts.append(f"## artvc {name}\n\n```text\n{command.get_help(inner)}\n```\n")
        for below, one in sorted(command.commands.items()) if isinstance(command, click.Group) else ():
            deeper = click.Context(one, info_name=below, parent=inner, max_content_width=100, terminal_width=100)
            parts.append(f"## artvc {name} {below}\n\n```text\n{one.get_help(deeper)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
