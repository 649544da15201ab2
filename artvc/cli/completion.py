"""Completion for bash, zsh and fish, fast enough for every key: it reads names and nothing else.

The scripts call ``artvc __complete WORD...`` with the words of the line up to the cursor; each line of its output is
a candidate.  Failures print nothing: completion must never get in the way.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from artvc.repo import Repository

# Commands whose first argument is a reference, and options whose value is one.
REFERENCE_COMMANDS: Final = frozenset({"alias", "cat", "checkout", "log", "ls", "show"})
# Commands that have subcommands, and those whose argument is a run.
NESTED: Final = frozenset({"remote", "run"})
RUN_COMMANDS: Final = frozenset({"run recover", "run show"})
# Commands whose argument is a remote; the first of pull may be a reference as well.
REMOTE_COMMANDS: Final = frozenset({"fetch", "pull", "push"})
REMOTE_SUBCOMMANDS: Final = frozenset({"remote remove", "remote set-url"})
REFERENCE_OPTIONS: Final = frozenset({"--input", "--ours", "--theirs"})
# The options, written down so that completion need not import click; a test compares them with the commands'.
COMMON: Final = "--help --json --quiet"
OPTIONS: Final = {
    "": "--color --help --json --no-pager --quiet --verbose --version",
    "alias": f"--delete {COMMON}",
    "cat": COMMON,
    "checkout": f"--force --path {COMMON}",
    "clone": f"--all --jobs {COMMON}",
    "commit": "--alias --description --executor --input --job-type --message --metadata --name --paranoid --project "
    f"--remote --tag --type {COMMON}",
    "completion": "--help",
    "config": f"--list --show-origin --unset {COMMON}",
    "fetch": COMMON,
    "fsck": f"--quick {COMMON}",
    "gc": f"--dry-run --expired --grace --keep --local {COMMON}",
    "help": COMMON,
    "init": f"--project {COMMON}",
    "log": f"--graph --max-count --oneline --project {COMMON}",
    "ls": f"--long --project --recursive {COMMON}",
    "pull": f"--all --dry-run --jobs --ours --path --remote --theirs {COMMON}",
    "push": f"--dry-run --jobs --ours --theirs {COMMON}",
    "remote": "--help",
    "remote add": f"--no-check --single-writer {COMMON}",
    "remote list": COMMON,
    "remote remove": COMMON,
    "remote set-url": COMMON,
    "repack": f"--all --dry-run --level {COMMON}",
    "run": "--help",
    "run ls": f"--max-count --project --state {COMMON}",
    "run recover": f"--force {COMMON}",
    "run show": COMMON,
    "show": f"--patch {COMMON}",
    "status": f"--exit-code {COMMON}",
    "version": COMMON,
}
# Options that are followed by a value, in whichever command.
VALUED: Final = frozenset(
    {
        *("-C", "--color", "--path", "--input", "--metadata", "--description", "--tag", "--job-type", "--project"),
        "--executor",
        *("-j", "--jobs", "--ours", "-r", "--remote", "--theirs", "--grace", "--keep", "--level"),
        *("-a", "--alias", "-m", "--message", "-n", "--name", "--max-count", "--state", "-t", "--type"),
    }
)
CHOICES: Final = {
    "--color": ("always", "auto", "never"),
    "--state": ("crashed", "failed", "finished", "killed", "running"),
}

BASH: Final = """\
_artvc() {
    local IFS=$'\\n' typed="${COMP_LINE:0:COMP_POINT}" one word
    local -a line=() found=()
    # COMP_WORDS is broken at colons, which references have: take the line apart anew
    while read -r one; do line+=("$one"); done < <(printf '%s' "$typed" | xargs printf '%s\\n' 2>/dev/null)
    [[ "$typed" == *[[:space:]] ]] && line+=("")
    word="${line[${#line[@]}-1]}"
    while read -r one; do found+=("$one"); done < <(artvc __complete "${line[@]:1}" 2>/dev/null)
    # bash replaces what follows the last break only
    if [[ "$word" == *[:=@]* ]]; then
        one="${word%[:=@]*}"; one="${word:0:${#one}+1}"
        found=("${found[@]#"$one"}")
    fi
    COMPREPLY=("${found[@]}")
    # a name may go on with a colon; everything else is complete
    [[ ${#line[@]} -le 2 || "$word" == [-]* || "$word" == *:* ]] && compopt +o nospace 2>/dev/null
    return 0
}
complete -o default -o nospace -F _artvc artvc
"""
ZSH: Final = """\
#compdef artvc
_artvc() {
    local -a found
    found=("${(@f)$(artvc __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ! ${#found} )) || [[ -z "${found[1]}" ]]; then
        _files
    elif (( CURRENT == 2 )) || [[ "$PREFIX" == -* || "$PREFIX" == *:* ]]; then
        compadd -- "${found[@]}"
    else
        compadd -S '' -- "${found[@]}"
    fi
}
if [[ "${funcstack[1]}" == _artvc ]]; then _artvc "$@"; else compdef _artvc artvc; fi
"""
FISH: Final = """\
function __artvc_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found (artvc __complete $words[2..-1] "$last" 2>/dev/null)
    if test (count $found) -eq 0
        __fish_complete_path "$last"
        return
    end
    # fish ends a single candidate with a blank, but a name may go on with a colon
    if test (count $found) -eq 1 -a (count $words) -gt 1; and not contains -- help $words
        string match -qr '^-|:' -- $found; or contains -- completion $words; or set -a found "$found:"
    end
    printf '%s\\n' $found
end
complete -c artvc -f -a '(__artvc_complete)'
"""
SCRIPTS: Final = {"bash": BASH, "fish": FISH, "zsh": ZSH}


def complete(words: list[str]) -> None:
    """Print the candidates for the last of some words."""
    try:
        found = candidates(words)
    except Exception:  # noqa: BLE001 -- a broken repository must not print into somebody's prompt
        return
    sys.stdout.write("".join(f"{one}\n" for one in found))


def candidates(words: list[str]) -> list[str]:
    """What the last word may become.

    Args:
        words: those after ``artvc``, the last one unfinished or empty.
    """
    from artvc.cli.main import COMMANDS  # noqa: PLC0415 -- a cycle otherwise

    *before, word = words or [""]
    line = _Line(before)
    option, equals, value = word.partition("=")
    if equals and option in REFERENCE_OPTIONS:
        return [f"{option}={one}" for one in references(line.directory, value)]
    if line.open in REFERENCE_OPTIONS:
        return references(line.directory, word)
    if line.open is not None:
        return [one for one in CHOICES.get(line.open, ()) if one.startswith(word)]
    if word.startswith("-"):
        return [one for one in OPTIONS.get(line.path, "").split() if one.startswith(word)]
    known: list[str] = []
    if line.command in {None, "help"} and not line.arguments:
        known = sorted(COMMANDS)
    elif line.command in NESTED and not line.arguments:
        known = sorted(name.partition(" ")[2] for name in OPTIONS if name.startswith(f"{line.command} "))
    elif line.path in RUN_COMMANDS and len(line.arguments) == 1:
        return runs(line.directory, word)
    elif line.path in REMOTE_SUBCOMMANDS and len(line.arguments) == 1:
        known = remotes(line.directory)
    elif line.command in REMOTE_COMMANDS and not line.arguments:
        known = remotes(line.directory)
        if line.command == "pull":
            return [one for one in known if one.startswith(word)] + references(line.directory, word)
    elif line.command == "pull":
        return references(line.directory, word)
    elif line.command == "completion" and not line.arguments:
        known = sorted(SCRIPTS)
    elif line.command in REFERENCE_COMMANDS and not line.arguments:
        return references(line.directory, word)
    return [one for one in known if one.startswith(word)]


def runs(directory: Path, word: str) -> list[str]:
    """The ids of the runs that begin with a word."""
    from artvc.cli.place import repository_at  # noqa: PLC0415 -- not for completing commands

    with repository_at(directory, os.environ) as repo:  # reads refs and the names of directories only
        recorded = {run.run_id for run in repo.runs()}
        below = repo.dir / "runs"
        left = set(os.listdir(below)) if below.is_dir() else set()
    return sorted(one for one in recorded | left if one.startswith(word))


def remotes(directory: Path) -> list[str]:
    """The names of the remotes."""
    from artvc.cli.place import repository_at  # noqa: PLC0415 -- not for completing commands

    with repository_at(directory, os.environ) as repo:
        section = repo.config.get("remote")
    return sorted(section) if isinstance(section, dict) else []


class _Line:
    """The finished words of a line, told apart.

    Attributes:
        directory: where the command would run.
        command: None where there is none yet.
        arguments: those of the command.
        open: the option that waits for its value, if the last word is one.
    """

    def __init__(self, words: list[str]) -> None:
        self.directory = Path.cwd()
        self.command: str | None = None
        self.arguments: list[str] = []
        self.open: str | None = None
        self._read(words)

    @property
    def path(self) -> str:
        """The command, with its subcommand where it has some; "" where there is none."""
        if self.command in NESTED and self.arguments:
            return f"{self.command} {self.arguments[0]}"
        return self.command or ""

    def _read(self, words: list[str]) -> None:
        for word in words:
            if self.open is not None:
                if self.open == "-C":
                    self.directory /= os.path.expanduser(word)
                self.open = None
            elif word in VALUED:
                self.open = word
            elif not word.startswith("-"):
                if self.command is None:
                    self.command = word
                else:
                    self.arguments.append(word)


def references(directory: Path, word: str) -> list[str]:
    """The artifact names that begin with a word, or after a colon the aliases and versions."""
    from artvc.cli.place import repository_at  # noqa: PLC0415 -- not for completing commands

    with repository_at(directory, os.environ) as repo:  # reads refs only
        return _references(repo, word)


def _references(repo: "Repository", word: str) -> list[str]:
    head, colon, chosen = word.partition(":")
    state = repo.state()
    found = []
    for prefix in state.prefixes("collections/"):
        project = prefix.split("/")[1]
        for name in state.below(prefix):
            shown = name if project == repo.default_project else f"{project}/{name}"
            if colon and head in {shown, f"{project}/{name}"}:
                refs = state.below(f"artifacts/{project}/{name}")
                return sorted(f"{head}:{ref}" for ref in refs if ref.startswith(chosen))
            if shown.startswith(word):
                found.append(shown)
    return sorted(found)


def __getattr__(name: str) -> object:
    """The command itself, made when asked for: the fast path above must not import click."""
    if name != "completion":
        raise AttributeError(name)
    import click  # noqa: PLC0415

    @click.command(name="completion")
    @click.argument("shell", type=click.Choice(sorted(SCRIPTS)))
    def completion(shell: str) -> None:
        """Print a completion script for a shell.

        It completes commands, options, artifacts, and after a colon aliases and versions.

        \b
        Examples:
          echo 'eval "$(artvc completion bash)"' >>~/.bashrc
          echo 'eval "$(artvc completion zsh)"' >>~/.zshrc     after compinit
          artvc completion fish >~/.config/fish/completions/artvc.fish
        """
        click.echo(SCRIPTS[shell], nl=False)

    return completion
