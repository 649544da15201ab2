"""Completion for bash, zsh and fish, fast enough for every key: it reads names and nothing else.

The scripts call ``artvc __complete WORD...`` with the words of the line up to the cursor; each line of its output is
a candidate.  Failures print nothing: completion must never get in the way.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from artvc.repo import Repository

# Which arguments are references; options whose value is one.
REFERENCE_COMMANDS: Final = frozenset({"alias", "cat", "checkout", "log", "ls", "show"})
REFERENCE_OPTIONS: Final = frozenset({"--input"})

BASH: Final = """\
_artvc() {
    local IFS=$'\\n' line=("${COMP_WORDS[@]:1:COMP_CWORD}") cur prefix
    _get_comp_words_by_ref -n : cur 2>/dev/null || cur="${COMP_WORDS[COMP_CWORD]}"
    mapfile -t line < <(printf '%s' "${COMP_LINE:0:COMP_POINT}" | xargs -n1 2>/dev/null)
    [[ "${COMP_LINE:0:COMP_POINT}" == *" " ]] && line+=("")
    COMPREPLY=($(artvc __complete "${line[@]:1}" 2>/dev/null))
    # bash breaks words at colons: give back only what comes after the last one typed
    if [[ "$cur" == *:* || "${COMP_WORDS[COMP_CWORD]}" == ":" || "${COMP_WORDS[COMP_CWORD-1]}" == ":" ]]; then
        prefix="${line[${#line[@]}-1]}"; prefix="${prefix%:*}:"
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
}
complete -o default -o nospace -F _artvc artvc
"""
ZSH: Final = """\
#compdef artvc
_artvc() {
    local -a found
    found=("${(@f)$(artvc __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ${#found} )) && [[ -n "${found[1]}" ]]; then
        compadd -S '' -- "${found[@]}"
    else
        _files
    fi
}
compdef _artvc artvc
"""
FISH: Final = """\
function __artvc_complete
    set -l words (commandline -opc) (commandline -ct)
    artvc __complete $words[2..-1] 2>/dev/null
end
complete -c artvc -a '(__artvc_complete)'
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
    directory = Path.cwd()
    command = None
    skip = False
    for place, one in enumerate(before):
        if skip:
            skip = False
        elif one == "-C" and command is None and place + 1 < len(before):
            directory, skip = directory / before[place + 1], True
        elif not one.startswith("-") and command is None:
            command = one
    if command is None:
        return [name for name in sorted(COMMANDS) if name.startswith(word)]
    if command == "completion":
        return [name for name in sorted(SCRIPTS) if name.startswith(word)]
    if before[-1] in REFERENCE_OPTIONS or (command in REFERENCE_COMMANDS and not word.startswith("-")):
        return references(directory, word)
    return []


def references(directory: Path, word: str) -> list[str]:
    """The artifact names that begin with a word, or after a colon the aliases and versions."""
    from artvc.repo import Repository  # noqa: PLC0415 -- reads refs only
    from artvc.settings import Settings  # noqa: PLC0415

    settings = Settings(project=os.environ.get("ARTVC_PROJECT"))
    with Repository.discover(directory, settings) as repo:
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


def complete_reference(context: Any, parameter: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The same for click's own completion."""
    try:
        return references(Path.cwd(), incomplete)
    except Exception:  # noqa: BLE001 -- as above
        return []


def __getattr__(name: str) -> object:
    """The command itself, made when asked for: the fast path above must not import click."""
    if name != "completion":
        raise AttributeError(name)
    import click  # noqa: PLC0415

    @click.command(name="completion")
    @click.argument("shell", type=click.Choice(sorted(SCRIPTS)))
    def completion(shell: str) -> None:
        """Print a completion script; e.g. add 'eval "$(artvc completion bash)"' to ~/.bashrc."""
        click.echo(SCRIPTS[shell], nl=False)

    return completion
