"""Values as text for people, or as JSON for programs.  Pure: takes values, returns strings.

Whatever came from a repository passes :func:`clean` before it goes to a terminal: control and direction characters
become visible escapes, so that a commit message can't move the cursor or spell something else than it says.  JSON
output is exact.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from artvc.model import names
from artvc.model.objects import Artifact, Entry, EntryKind, Json, JsonObject, Properties

if TYPE_CHECKING:  # each command brings only the modules that it needs
    from artvc.history import Edge, LogEntry
    from artvc.lineage import Row
    from artvc.maintenance import FsckReport, GcReport, RepackReport
    from artvc.recording import CommitResult
    from artvc.repo import Collection, Version
    from artvc.sync.joining import RefEdit
    from artvc.sync.merging import Renumbered
    from artvc.worktree import CheckoutResult, WorktreeStatus

_HOSTILE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_COLORS: Final = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "bold": 1, "dim": 2}
_KIND_MARK: Final = {EntryKind.DIRECTORY: "dir", EntryKind.SYMLINK: "link", EntryKind.REFERENCE: "ref"}


def clean(text: object, *, lines: bool = False) -> str:
    """Text that is safe on a terminal; line breaks stay only with ``lines``."""
    shown = _HOSTILE.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), str(text))
    return shown if lines else shown.replace("\n", "\\n").replace("\t", " ")


class Paint:
    """Colours, or none."""

    def __init__(self, *, colored: bool) -> None:
        self._colored = colored

    def __call__(self, text: str, *styles: str) -> str:
        if not self._colored or not styles:
            return text
        codes = ";".join(str(_COLORS[style]) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"


def size(count: int) -> str:
    """Bytes for people, in powers of 1024."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 1000 or unit == "TiB":
            return f"{amount:.1f} {unit}"
    raise AssertionError(count)


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def moment(text: str) -> str:
    """A stored time in the local time zone, to the second."""
    when = datetime.datetime.fromisoformat(text).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S %z")


def to_json(value: Json) -> str:
    """One JSON document, readable."""
    return json.dumps(value, indent=2, ensure_ascii=True, sort_keys=False)


def error_text(message: str, hint: str | None) -> str:
    """A failure as one line: what went wrong and where, then what to do about it."""
    return f"artvc: error: {clean(message)}" + (f"; {clean(hint)}" if hint else "")


def error_json(kind: str, message: str, hint: str | None, code: int) -> str:
    """A failure as one line of JSON."""
    return json.dumps({"error": {"code": code, "hint": hint, "kind": kind, "message": message}})


def progress_text(what: str, done: int, total: int | None, seconds: float, *, new: int | None = None) -> str:
    """How far some work is, in one line.

    Args:
        what: a word for the work.
        done, total: bytes; the total may not be known (yet).
        seconds: since it began.
        new: bytes that had to be stored; the others were known before, or wait to be written.
    """
    rate = done / seconds if seconds else 0.0
    text = f"{what}: {size(done)}"
    if total is not None and total >= done:
        text += f" of {size(total)} ({100 * done // total if total else 100} %)"
    text += f", {size(int(rate))}/s"
    if total is not None and total >= done and rate:
        text += f", {duration((total - done) / rate)} left"
    if new is not None:
        text += f", {size(new)} new"
    return text


def duration(seconds: float) -> str:
    """``42 s``, ``3:07 min``, ``2:15 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def columns(text: str) -> int:
    """How many columns of a terminal some text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def shortened(text: str, width: int | None) -> str:
    """A line cut to a width, with an ellipsis; None leaves it as it is."""
    if width is None or columns(text) <= width:
        return text
    room = max(width - 1, 0)
    kept = []
    for character in text:
        room -= _columns_of(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "\u2026"


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), width: int | None = None) -> str:
    """Columns, aligned; those in ``right`` to the right.

    Args:
        rows: cells without colours, the same number in each.
        right: columns of numbers.
        width: columns of the terminal; longer lines are cut.
    """
    if not rows:
        return ""
    widths = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = set(right)
    lines = []
    for row in rows:
        cells = []
        for i, (cell, room) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (room - columns(cell))
            cells.append(gap + cell if i in right else cell + gap)
        lines.append(shortened("  ".join(cells).rstrip(), width))
    return "\n".join(lines)


# -- versions and runs ------------------------------------------------------------------------------------


def version_json(version: Version) -> JsonObject:
    """What every command says of a version."""
    return {
        "project": version.project,
        "name": version.name,
        "version": f"v{version.number}",
        "artifact": version.artifact_id.hex(),
        "commit": version.commit_id.hex(),
        "aliases": list(version.aliases),
        "source": _source(version),
    }


def _source(version: Version) -> str | None:
    """What a link stands for, as ``project/name:v3``."""
    return None if version.source is None else "{}/{}:v{}".format(*version.source)


def edge_json(edge: Edge) -> JsonObject:
    """An input or output of a run."""
    return {
        "project": edge.project,
        "name": edge.name,
        "type": edge.type,
        "version": None if edge.number is None else f"v{edge.number}",
        "artifact": edge.artifact_id.hex(),
        "aliases": list(edge.aliases),
        "asked": edge.asked or None,
    }


def entry_json(entry: LogEntry) -> JsonObject:
    """A run of the log, all fields."""
    commit = entry.commit
    return {
        "commit": entry.commit_id.hex(),
        "run": commit.run_id,
        "name": commit.run_name,
        "project": commit.project,
        "job_type": commit.job_type,
        "group": commit.group,
        "tags": list(commit.tags),
        "notes": commit.notes,
        "state": commit.state,
        "exit_code": commit.exit_code,
        "started": commit.started,
        "ended": commit.ended,
        "author": commit.author,
        "message": commit.message,
        "config": commit.config,
        "summary": commit.summary,
        "code": commit.code,
        "inputs": [edge_json(edge) for edge in entry.inputs],
        "outputs": [edge_json(edge) for edge in entry.outputs],
    }


def commit_text(result: CommitResult, paint: Paint) -> str:
    """What a commit did."""
    logged, totals = result.logged, result.recorded.totals
    label = paint(clean(logged.version.label), "green", "bold")
    aliases = ", ".join(clean(alias) for alias in logged.version.aliases)
    what = counted(logged.artifact.files, "file") + ", " + size(logged.artifact.size)
    if logged.created:
        first = f"[{label}] {what} ({size(totals.new)} new, {size(totals.stored)} stored)"
    else:
        first = f"[{label}] unchanged: {what}; the run is recorded as one more producer"
        if logged.properties_changed:
            first += ", its properties were updated"
    lines = [first, f"  aliases: {aliases}"]
    lines += [f"  input:   {clean(found.version.label)}" for found in result.inputs]
    lines.append(f"  run:     {result.recorded.commit.run_id} ({result.recorded.commit_id.short})")
    return "\n".join(lines)


def commit_json(result: CommitResult) -> JsonObject:
    """What a commit did."""
    logged, totals = result.logged, result.recorded.totals
    return {
        **version_json(logged.version),
        "created": logged.created,
        "properties_changed": logged.properties_changed,
        "type": logged.artifact.type,
        "files": logged.artifact.files,
        "bytes": logged.artifact.size,
        "new_bytes": totals.new,
        "stored_bytes": totals.stored,
        "run": result.recorded.commit.run_id,
        "run_commit": result.recorded.commit_id.hex(),
        "inputs": [version_json(found.version) for found in result.inputs],
        "warnings": list(result.warnings),
    }


def changes_text(edits: Sequence[RefEdit], paint: Paint, *, default: str) -> list[str]:
    """Lines that say which names a push or pull changed; names in the default project stand without it."""
    from artvc import history  # noqa: PLC0415 -- most commands need it not

    found = _changes(edits, f"{default}/")
    lines = []
    if found.versions:
        spans = history.in_spans([(f"{name}:v{number}", (name, number)) for name, number in found.versions])
        lines.append("  " + paint("new", "green") + "      " + ", ".join(map(clean, spans)))
    if found.deleted:
        spans = history.in_spans([(f"{name}:v{number}", (name, number)) for name, number in found.deleted])
        lines.append("  " + paint("deleted", "red") + "  " + ", ".join(map(clean, spans)))
    moved = [f"{name}:{alias} is {f'v{new}' if new is not None else 'gone'}" for name, alias, _, new in found.aliases]
    lines += ["  aliases  " + ", ".join(map(clean, moved))] if moved else []
    lines += ["  runs     " + str(found.runs)] if found.runs else []
    if not lines:
        lines.append("  properties of " + counted(found.properties, "version"))
    return lines


def changes_json(edits: Sequence[RefEdit]) -> JsonObject:
    """Which names a push or pull changed."""
    found = _changes(edits)
    aliases: list[Json] = [
        {"artifact": name, "alias": alias, "old": old, "new": new} for name, alias, old, new in found.aliases
    ]
    return {
        "aliases": aliases,
        "deleted": [f"{name}:v{number}" for name, number in found.deleted],
        "runs": found.runs,
        "versions": [f"{name}:v{number}" for name, number in found.versions],
    }


class _Changes(NamedTuple):
    """What edits of refs mean: versions as project/artifact and number, aliases with what they stood for."""

    versions: list[tuple[str, int]]
    deleted: list[tuple[str, int]]
    aliases: list[tuple[str, str, Json, Json]]
    runs: int
    properties: int


def _changes(edits: Sequence[RefEdit], prefix: str = "") -> _Changes:
    versions: list[tuple[str, int]] = []
    deleted: list[tuple[str, int]] = []
    aliases: list[tuple[str, str, Json, Json]] = []
    runs = properties = 0
    for name, old, new in edits:
        kind, project, owner, *rest = name.split("/")
        runs += kind == "runs"
        properties += kind == "properties"
        if kind != "artifacts":
            continue
        number = names.version_number(rest[0])
        artifact = f"{project}/{owner}".removeprefix(prefix)
        if number is None:
            before, after = (old or {}).get("version"), (new or {}).get("version")
            aliases.append((artifact, rest[0], before, after))
        elif old is None or new is None:
            (versions if old is None else deleted).append((artifact, number))
    return _Changes(sorted(versions), sorted(deleted), aliases, runs, properties)


def renumbered_text(found: Sequence[Renumbered], paint: Paint) -> list[str]:
    """Lines that say which versions got other numbers."""
    return [
        paint("renumbered", "yellow") + clean(f": {one.name}:v{one.old} is now {one.name}:v{one.new}") for one in found
    ]


def checkout_text(version: Version, result: CheckoutResult, shown: str, paint: Paint) -> str:
    """What a checkout did."""
    parts = [f"{result.written:,} written ({size(result.bytes)})", f"{result.kept:,} kept"]
    if result.removed:
        parts.append(f"{result.removed:,} removed")
    text = f"{paint(clean(version.label), 'green', 'bold')} -> {clean(shown)}: " + ", ".join(parts)
    if result.references:
        text += f"\n  {counted(len(result.references), 'reference')} to outside not fetched"
    return text


def checkout_json(version: Version, result: CheckoutResult) -> JsonObject:
    """What a checkout did."""
    return {
        **version_json(version),
        "path": str(result.dest),
        "files": result.files,
        "written": result.written,
        "kept": result.kept,
        "removed": result.removed,
        "bytes": result.bytes,
        "references": list(result.references),
    }


# -- the log ----------------------------------------------------------------------------------------------


def log_text(entries: Sequence[LogEntry], paint: Paint, *, oneline: bool, graph: bool) -> str:
    """The log, with lanes at the left if asked for."""
    if not graph:
        shown = ["\n".join(_entry_lines(entry, paint, oneline=oneline)) for entry in entries]
        return ("\n" if oneline else "\n\n").join(shown)
    from artvc import lineage  # noqa: PLC0415

    rows = lineage.draw(entries)
    width = max((len(row.lanes) for row in rows), default=0)
    lines: list[str] = []
    for number, row in enumerate(rows):
        if row.entry is None:
            lines.append(paint(row.lanes, "red"))
            continue
        first, *more = _entry_lines(row.entry, paint, oneline=oneline, compact=True)
        lines.append(paint(row.lanes, "red") + " " * (width - len(row.lanes) + 1) + first)
        passing = _passing(rows, number)
        lines += [paint(passing, "red") + " " * (width - len(passing) + 1) + line for line in more]
    return "\n".join(lines)


def _passing(rows: Sequence[Row], number: int) -> str:
    """The lanes beside the further lines of a run: those of the row, the run's own only if it has parents here."""
    lanes = rows[number].lanes
    column = lanes.index("*")
    below = rows[number + 1].lanes if number + 1 < len(rows) else ""
    goes_on = (column < len(below) and below[column] in "|*X") or "\\" in below[column : column + 2]
    goes_on = goes_on or (column > 0 and below[column - 1 : column] == "/")
    return lanes.replace("*", "|" if goes_on else " ").rstrip()


def _entry_lines(entry: LogEntry, paint: Paint, *, oneline: bool, compact: bool = False) -> list[str]:
    """A run as lines."""
    commit = entry.commit
    title = clean(commit.message.split("\n", 1)[0]) or clean(commit.run_name)
    outputs, inputs = _edges(entry.outputs, paint), _edges(entry.inputs, paint)
    short = paint(entry.commit_id.short, "yellow")
    job = f"{clean(commit.job_type)}: " if commit.job_type else ""
    state = "" if commit.state == "finished" else " " + paint(f"[{commit.state}]", "red")
    if oneline:
        made = f" -> {outputs}" if outputs else ""
        used = f" <- {inputs}" if inputs else ""
        return [f"{short} {job}{title}{state}{made}{used}"]
    if compact:
        lines = [f"{short} {job}{title}{state}  {paint(moment(commit.ended), 'dim')}"]
        lines += [f"  in:  {inputs}"] if inputs else []
        return lines + ([f"  out: {outputs}"] if outputs else [])
    lines = [f"{paint('run', 'yellow')} {paint(commit.run_id, 'yellow')} {short}{state}"]
    lines.append(f"Author:  {clean(commit.author.get('name', ''))} <{clean(commit.author.get('email', ''))}>")
    lines.append(f"Date:    {moment(commit.ended)}")
    lines.append(f"Run:     {clean(commit.project)}/{clean(commit.run_name)}")
    lines += [f"Job:     {clean(commit.job_type)}"] if commit.job_type else []
    lines += [f"Inputs:  {inputs}"] if inputs else []
    lines += [f"Outputs: {outputs}"] if outputs else []
    if commit.message:
        lines += ["", *("    " + line for line in clean(commit.message, lines=True).splitlines())]
    return lines


def _edges(edges: Sequence[Edge], paint: Paint) -> str:
    """Versions in one line; of many in a row that have no alias only the first and the last."""
    from artvc.history import in_spans  # noqa: PLC0415 -- whoever shows runs has it loaded

    return ", ".join(
        in_spans(
            (
                _edge(edge, paint),
                None if edge.aliases or edge.number is None else (f"{edge.project}/{edge.name}", edge.number),
            )
            for edge in edges
        )
    )


def _edge(edge: Edge, paint: Paint) -> str:
    aliases = [clean(alias) for alias in edge.aliases]
    shown = f" ({', '.join(aliases)})" if aliases else ("" if edge.number is not None else " (deleted)")
    return paint(clean(edge.label), "cyan") + paint(shown, "dim")


# -- listings ---------------------------------------------------------------------------------------------


class Listed(NamedTuple):
    """A line of ``artvc ls``: an artifact, its aliases, and its newest version's content (None if unreadable)."""

    collection: Collection
    aliases: Mapping[str, int]
    newest: Artifact | None


def collections_text(listed: Sequence[Listed], paint: Paint, *, default: str, width: int | None) -> str:
    """All artifacts: name, type, newest version, its size, how many there are, aliases.

    Args:
        listed: what to show.
        paint: colours.
        default: the project whose artifacts are shown without it.
        width: of the terminal, None for no limit.
    """
    rows = []
    for one, aliases, newest in listed:
        name = one.name if one.project == default else f"{one.project}/{one.name}"
        latest = "-" if one.latest is None else f"v{one.latest}"
        bytes_ = "-" if newest is None else size(newest.size)
        others = ", ".join(alias for alias in aliases if alias != "latest")
        rows.append([clean(name), clean(one.type), latest, bytes_, counted(one.versions, "version"), clean(others)])
    return table(rows, right=[3], width=width) if rows else paint("no artifacts yet", "dim")


def collections_json(listed: Sequence[Listed]) -> JsonObject:
    """All artifacts."""
    return {
        "artifacts": [
            {
                "project": one.project,
                "name": one.name,
                "type": one.type,
                "latest": None if one.latest is None else f"v{one.latest}",
                "versions": one.versions,
                "files": None if newest is None else newest.files,
                "bytes": None if newest is None else newest.size,
                "aliases": {alias: f"v{n}" for alias, n in aliases.items()},
            }
            for one, aliases, newest in listed
        ]
    }


def entries_text(entries: Sequence[tuple[str, Entry]], paint: Paint, *, long: bool, width: int | None) -> str:
    """Names in a version, with size and id if ``long``."""
    if not long:
        return "\n".join(
            paint(clean(path) + "/", "blue") if entry.kind == EntryKind.DIRECTORY else clean(path)
            for path, entry in entries
        )
    rows = []
    for path, entry in entries:
        mark = _KIND_MARK.get(entry.kind, "exec" if entry.executable else "file")
        target = f" -> {clean(entry.target)}" if entry.target else ""
        rows.append([mark, size(entry.size), entry.id.short if entry.id else "-", clean(path) + target])
    return table(rows, right=[1], width=width)


def entry_entries_json(entries: Sequence[tuple[str, Entry]]) -> list[Json]:
    """Names in a version."""
    return [
        {
            "path": path,
            "kind": _KIND_MARK.get(entry.kind, "file"),
            "size": entry.size,
            "files": entry.files,
            "executable": entry.executable,
            "id": entry.id.hex() if entry.id else None,
            "target": entry.target or None,
            "checksum": entry.checksum or None,
        }
        for path, entry in entries
    ]


class Shown(NamedTuple):
    """Everything that ``artvc show`` says about a version."""

    version: Version
    artifact: Artifact
    properties: Properties
    created: str
    made: Sequence[LogEntry]
    used: Sequence[LogEntry]


def version_text(shown: Shown, paint: Paint) -> str:
    """Everything about a version."""
    version, artifact, properties, created, made, used = shown
    lines = [
        f"{paint('artifact', 'yellow')} {paint(clean(version.qualified), 'yellow')}",
        f"Type:     {clean(artifact.type)}",
        *([f"Link to:  {clean(_source(version) or '')} (since {moment(version.linked)})"] if version.source else []),
        f"Aliases:  {clean(', '.join(version.aliases)) or '-'}",
        f"Date:     {moment(created)}",
        f"Content:  {counted(artifact.files, 'file')}, {size(artifact.size)}",
        f"Hash:     {version.artifact_id.short} (tree {artifact.root.short})",
    ]
    for label, entries in (("Made by", made), ("Used by", used)):
        for entry in entries:
            run = f"{entry.commit.run_id} {clean(entry.commit.run_name)} {entry.commit_id.short}"
            lines.append(f"{label}:  {run}")
    if properties.tags:
        lines.append(f"Tags:     {clean(', '.join(properties.tags))}")
    if properties.description:
        lines += ["", *("    " + line for line in clean(properties.description, lines=True).splitlines())]
    if properties.metadata:
        lines += ["", "Metadata:", _json_lines(properties.metadata)]
    return "\n".join(lines)


def shown_json(shown: Shown) -> JsonObject:
    """Everything about a version."""
    return {
        **version_json(shown.version),
        "type": shown.artifact.type,
        "created": shown.created,
        "files": shown.artifact.files,
        "bytes": shown.artifact.size,
        "tree": shown.artifact.root.hex(),
        "description": shown.properties.description,
        "metadata": shown.properties.metadata,
        "tags": list(shown.properties.tags),
        "made_by": [entry.commit.run_id for entry in shown.made],
        "used_by": [entry.commit.run_id for entry in shown.used],
    }


def run_text(entry: LogEntry, paint: Paint) -> str:
    """Everything about a run."""
    commit = entry.commit
    lines = _entry_lines(entry, paint, oneline=False)
    # A list of a hundred packages hides the rest; --json has it.
    environment = {key: value for key, value in commit.environment.items() if key != "packages"}
    for title, value in (
        ("Config", commit.config),
        ("Summary", commit.summary),
        ("Code", _code(commit.code)),
        ("Environment", environment),
    ):
        if value:
            lines += ["", f"{title}:", _json_lines(value)]
    return "\n".join(lines)


def _code(code: JsonObject) -> JsonObject:
    """What is known of the code, with the lines of the patch counted."""
    git = code.get("git")
    if not isinstance(git, dict) or not isinstance(git.get("patch"), str):
        return code
    lines = str(git["patch"]).count("\n")
    return {**code, "git": {**git, "patch": f"{lines} lines, see 'artvc show --patch'"}}


def run_json(entry: LogEntry) -> JsonObject:
    """Everything about a run."""
    commit = entry.commit
    return {
        **entry_json(entry),
        "environment": commit.environment,
        "previous": commit.previous.hex() if commit.previous else None,
        "files": commit.files.hex() if commit.files else None,
    }


def _json_lines(value: JsonObject) -> str:
    return clean(json.dumps(value, indent=2, ensure_ascii=False), lines=True)


def status_text(found: Sequence[WorktreeStatus], shown: Sequence[str], paint: Paint) -> str:
    """What differs, directory by directory."""
    if not found:
        return "nothing is checked out or committed from here yet"
    blocks = []
    for one, path in zip(found, shown, strict=True):
        label = clean(one.version.label if one.version else one.asked)
        head = f"{clean(path)}: {paint(label, 'cyan')}"
        if one.newer is not None:
            head += f" (latest is {clean(one.newer.label)})"
        if one.missing:
            blocks.append(f"{head}, {paint('missing', 'red')}")
            continue
        if one.clean:
            blocks.append(f"{head}, clean")
            continue
        lines = [head]
        for word, paths, color in (
            ("modified", one.modified, "red"),
            ("deleted", one.deleted, "red"),
            ("added", one.added, "green"),
        ):
            lines += [paint(f"  {word + ':':10}{clean(name)}", color) for name in paths]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def status_json(found: Sequence[WorktreeStatus]) -> JsonObject:
    """What differs."""
    return {
        "paths": [
            {
                "path": str(one.path),
                "version": version_json(one.version) if one.version else None,
                "asked": one.asked,
                "clean": one.clean,
                "missing": one.missing,
                "modified": list(one.modified),
                "added": list(one.added),
                "deleted": list(one.deleted),
                "newer": one.newer.label if one.newer else None,
                "warnings": list(one.warnings),
            }
            for one in found
        ]
    }


def fsck_text(report: FsckReport, paint: Paint) -> str:
    """What a check found."""
    lines = []
    for problem in report.problems:
        lines.append(paint("damaged: ", "red") + clean(problem.message))
        lines += [f"  affects {clean(label)}" for label in problem.affected]
    lines += [f"ignored: {clean(name)} is no file of artvc's" for name in report.strangers]
    if report.leftovers:
        lines.append(f"{counted(report.leftovers, 'unfinished file')} of interrupted commands; harmless")
    if report.condemned:
        lines.append(f"{counted(report.condemned, 'pack')} condemned; 'artvc gc' deletes what stays unneeded")
    if report.absent:
        lines.append(f"{counted(report.absent, 'chunk')} not here but on a remote; 'artvc pull --all' brings them")
    lines.append(
        f"checked {counted(report.packs, 'pack')}, {counted(report.objects, 'object')}, "
        f"{counted(report.versions, 'version')}, {counted(report.runs, 'run')}: "
        + (paint("all sound", "green") if report.clean else paint(counted(len(report.problems), "problem"), "red"))
    )
    return "\n".join(lines)


def fsck_json(report: FsckReport) -> JsonObject:
    """What a check found."""
    return {
        "clean": report.clean,
        "packs": report.packs,
        "objects": report.objects,
        "versions": report.versions,
        "runs": report.runs,
        "transactions": report.transactions,
        "absent": report.absent,
        "condemned": report.condemned,
        "leftovers": report.leftovers,
        "strangers": list(report.strangers),
        "problems": [{"message": one.message, "affected": list(one.affected)} for one in report.problems],
    }


def gc_text(report: GcReport, expired: Sequence[Version], *, dry_run: bool) -> str:
    """What gc did, or would do."""
    would = "would have " if dry_run else ""
    lines = [f"{would}deleted {version.qualified}, whose ttl is over" for version in expired]
    if report.writers:
        busy = counted(report.writers, "commit")
        lines.append(f"{busy} in flight: what was condemned since it began waits for it, or for the next gc")
    if report.full:
        lines.append("no room to write packs anew; what is partly dead stays as it is")
    if report.rewritten:
        into = f" into {size(report.copied)}" if report.copied else ""
        lines.append(f"{would}rewritten {counted(report.rewritten, 'pack')} that were partly dead{into}")
    if report.leftovers:
        lines.append(f"removed {counted(report.leftovers, 'unfinished file')} of interrupted commands")
    summary = f"{would}freed {size(report.freed)} ({counted(report.deleted, 'pack')})"
    if report.waiting:
        summary += f", {size(report.waiting)} condemned until {moment(report.due)}"
    lines.append(f"{summary}, {size(report.bytes)} kept")
    return "\n".join(lines)


def gc_json(report: GcReport, expired: Sequence[Version], *, dry_run: bool) -> JsonObject:
    """What gc did, or would do."""
    return {
        "dry_run": dry_run,
        "expired": [version.qualified for version in expired],
        "deleted_packs": report.deleted,
        "freed_bytes": report.freed,
        "condemned_packs": report.condemned,
        "condemned_bytes": report.waiting,
        "due": report.due or None,
        "pardoned_packs": report.pardoned,
        "rewritten_packs": report.rewritten,
        "rewritten_bytes": report.copied,
        "writers": report.writers,
        "leftovers": report.leftovers,
        "cache_bytes": report.cached,
        "packs": report.kept,
        "bytes": report.bytes,
        "full": report.full,
    }


def repack_text(report: RepackReport, *, dry_run: bool) -> str:
    """What repack did, or would do."""
    if not report.rewritten:
        return f"nothing to do: {counted(report.packs, 'pack')}"
    old = f"{counted(report.rewritten, 'pack')} ({size(report.old)})"
    if dry_run:
        return f"would repack {old} of {counted(report.packs, 'pack')}"
    rebased = f", {counted(report.rebased, 'chunk')} with another base" if report.rebased else ""
    into = f"{counted(report.written, 'pack')} ({size(report.new)})"
    return f"repacked {old} into {into}{rebased}; 'artvc gc' deletes the old"


def repack_json(report: RepackReport, *, dry_run: bool) -> JsonObject:
    """What repack did, or would do."""
    return {
        "dry_run": dry_run,
        "packs": report.packs,
        "rewritten_packs": report.rewritten,
        "old_bytes": report.old,
        "written_packs": report.written,
        "new_bytes": report.new,
        "rebased": report.rebased,
    }
