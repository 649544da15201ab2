"""The values that a repository stores: entries of trees, artifacts, properties, run commits.

All are immutable and check themselves when they are built.  Times are text: ISO 8601, UTC, microseconds
(``2026-11-23T03:00:00.123456Z``), so that they sort as text and read as what they are.
"""

import enum
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from artvc.errors import InvalidInput, LimitExceeded
from artvc.model import names
from artvc.model.ids import Id

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]

JSON_BYTES: Final = 8 * 1024 * 1024
JSON_DEPTH: Final = 32
JSON_INTEGER_BITS: Final = 4096  # Python reads and writes longer ones as text only on request
MESSAGE_BYTES: Final = 64 * 1024
INPUTS: Final = 10_000
SYMLINK_BYTES: Final = 1024
URI_BYTES: Final = 8 * 1024
CHUNK_BYTES: Final = 16 * 1024 * 1024
STATES: Final = ("running", "finished", "failed", "crashed", "killed")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


class EntryKind(enum.IntEnum):
    """What a name in a tree stands for; the number is the low half of the stored mode byte."""

    CHUNK = 0  # a file of one chunk (the empty file too): the id is the chunk's
    BLOB = 1  # a file of several chunks: the id is that of its chunk list
    DIRECTORY = 2
    SYMLINK = 3
    REFERENCE = 4  # something outside: nothing is copied


class Entry(NamedTuple):
    """One name in a directory.  Built and checked by :func:`file_entry` and its sisters.

    Attributes:
        name: one path component; bytes that are no UTF-8 as surrogates (``os.fsdecode``).
        kind: what it is.
        executable: files only: mode 0755 instead of 0644.
        size: bytes; of all files below for a directory, of the target text for a symlink.
        files: how many files, links and references it stands for: 1, or the number below a directory.
        id: of the chunk, chunk list or tree; None for symlinks and references.
        target: where a symlink points, or the URI of a reference; else "".
        checksum: of a reference, as ``algorithm:value``; else "".
    """

    name: str
    kind: EntryKind
    executable: bool
    size: int
    files: int
    id: Id | None
    target: str = ""
    checksum: str = ""

    @property
    def is_file(self) -> bool:
        """A regular file whose bytes are in the store."""
        return self.kind <= EntryKind.BLOB

    @property
    def content(self) -> tuple[object, ...]:
        """What makes two entries of one name equal: all but the name."""
        return self[1:]


def file_entry(name: str, content: "Content", *, executable: bool = False) -> Entry:
    """A regular file.  Raises InvalidInput for a bad name."""
    names.check_file_name(name)
    return Entry(name, content.kind, executable, content.size, 1, content.id)


def directory_entry(name: str, tree: "TreeSummary") -> Entry:
    """A directory.  Raises InvalidInput for a bad name."""
    names.check_file_name(name)
    return Entry(name, EntryKind.DIRECTORY, False, tree.size, tree.files, tree.id)


def symlink_entry(name: str, target: str) -> Entry:
    """A symbolic link.  Raises InvalidInput for a bad name, an absolute target or one with odd characters."""
    names.check_file_name(name)
    raw = target.encode("utf-8", "surrogateescape")
    if not raw or len(raw) > SYMLINK_BYTES or target.startswith("/") or "\0" in target:
        raise InvalidInput(f"symbolic link {name[:200]!r} points to {target[:200]!r}: must be relative")
    return Entry(name, EntryKind.SYMLINK, False, len(raw), 1, None, target)


def reference_entry(name: str, *, uri: str, size: int, checksum: str) -> Entry:
    """A reference to something outside the repository.  Raises InvalidInput.

    Args:
        name: one component.
        uri: with a scheme; stored as given.
        size: bytes, 0 where unknown.
        checksum: ``algorithm:value``, "" where there is none.
    """
    names.check_file_name(name)
    names.check_text("URI", uri, URI_BYTES)
    names.check_text("checksum", checksum, names.FILE_NAME_BYTES)
    if ":" not in uri:
        raise InvalidInput(f"References must be URIs, not {uri[:200]!r}", hint="file:///path for a local file")
    return Entry(name, EntryKind.REFERENCE, False, size, 1, None, uri, checksum)


class Content(NamedTuple):
    """The bytes of a file as the store knows them."""

    kind: EntryKind  # CHUNK or BLOB
    id: Id
    size: int


class TreeSummary(NamedTuple):
    """A stored tree: its root node and what it holds."""

    id: Id
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A named tree.  Its id covers name, type and content, not the properties.

    Attributes:
        name: within a project.
        type: free text, the same for all versions of a name.
        root: the tree.
        files: number of files, links and references.
        size: bytes of them all, references included.
    """

    name: str
    type: str
    root: Id
    files: int
    size: int

    def __post_init__(self) -> None:
        names.check_artifact_name(self.name)
        names.check_type(self.type)
        _not_negative("files", self.files)
        _not_negative("size", self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What is said about a version, not part of its identity.

    Attributes:
        description: Markdown, or "".
        metadata: JSON object.
        tags: sorted, each once.
        ttl: seconds after which ``gc`` may drop the version; None: never.
        origins: of files taken over from other artifacts: path to the URI of the first that had it.
    """

    description: str = ""
    metadata: JsonObject = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    ttl: int | None = None
    origins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names.check_text("description", self.description, MESSAGE_BYTES)
        check_json(self.metadata)
        for tag in self.tags:
            names.check_tag(tag)
        if list(self.tags) != sorted(set(self.tags)):
            raise InvalidInput("tags must be sorted and unique")
        if self.ttl is not None:
            _not_negative("ttl", self.ttl)
        for path, uri in self.origins.items():
            names.check_path(path)
            names.check_text("URI", uri, URI_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An artifact version that a run consumed, and the words by which it was asked for."""

    project: str
    artifact: Id
    asked: str

    def __post_init__(self) -> None:
        names.check_project(self.project)
        names.check_text("reference", self.asked, names.PATH_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An artifact version that a run produced, with the properties that it had when it was logged."""

    artifact: Id
    properties: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A run commit: the immutable record of a run, or of a run so far.

    Each commit of a run holds everything of the run up to then, so the last one is the record.

    Attributes:
        run_id: unique within the project.
        run_name: for people, e.g. ``sunny-smoke-1``.
        project, job_type, group, notes: as given; "" where not.
        tags: as given, sorted.
        previous: the commit before it of the same run.
        inputs, outputs: in the order of first use; each artifact once.
        config, summary: JSON objects.
        files: tree of what the run logged beside artifacts (``history.jsonl``, ``media/``, ``saved/``), or None.
        code: git commit, remote, dirty flag, program and arguments; JSON.
        environment: interpreter, platform, packages; JSON.
        author: ``{"name", "email"}``.
        started, ended: times; ``ended`` is that of this commit.
        state: one of STATES.
        exit_code: of the process where known.
        message: first line is the title.
    """

    run_id: str
    run_name: str
    project: str
    job_type: str = ""
    group: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    previous: Id | None = None
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    config: JsonObject = field(default_factory=dict)
    summary: JsonObject = field(default_factory=dict)
    files: Id | None = None
    code: JsonObject = field(default_factory=dict)
    environment: JsonObject = field(default_factory=dict)
    author: JsonObject = field(default_factory=dict)
    started: str
    ended: str
    state: str = "finished"
    exit_code: int | None = None
    message: str = ""

    def __post_init__(self) -> None:
        names.check_run_id(self.run_id)
        names.check_project(self.project)
        for what in ("run_name", "job_type", "group"):
            names.check_text(what, getattr(self, what), names.FILE_NAME_BYTES)
        for what in ("notes", "message"):
            names.check_text(what, getattr(self, what), MESSAGE_BYTES)
        for value in (self.config, self.summary, self.code, self.environment, self.author):
            check_json(value)
        for tag in self.tags:
            names.check_text("tag", tag, names.FILE_NAME_BYTES)
        if len(self.inputs) > INPUTS or len(self.outputs) > INPUTS:
            raise LimitExceeded(f"a run commit may have at most {INPUTS} inputs and outputs")
        if self.state not in STATES:
            raise InvalidInput(f"not a state of a run: {self.state[:40]!r}")
        for when in (self.started, self.ended):
            check_time(when)


def check_time(text: str) -> str:
    """Return a time unchanged if it has the one stored form, or raise InvalidInput."""
    if not _TIME.match(text):
        raise InvalidInput(f"not a time (YYYY-MM-DDTHH:MM:SS.ffffffZ): {text[:40]!r}")
    return text


def check_json(value: Json) -> None:
    """Raise InvalidInput where a value is no plain JSON or is nested deeper than JSON_DEPTH."""
    level: list[Json] = [value]
    for _ in range(JSON_DEPTH + 1):
        below: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    if not isinstance(key, str):
                        raise InvalidInput("keys of JSON objects must be text")
                    _check_unicode(key)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):
                raise InvalidInput("NaN and infinities have no place in JSON")
            elif isinstance(item, str):
                _check_unicode(item)
            elif isinstance(item, int) and item.bit_length() > JSON_INTEGER_BITS:
                raise LimitExceeded(f"a number of more than {JSON_INTEGER_BITS} bits in JSON")
            elif item is not None and not isinstance(item, bool | int | float):
                raise InvalidInput(f"not JSON: a value of type {type(item).__name__}")
        if not below:
            return
        level = below
    raise LimitExceeded(f"JSON nested deeper than {JSON_DEPTH}")


def _check_unicode(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput("text in JSON is not valid Unicode") from exc


def _not_negative(what: str, number: int) -> None:
    if number < 0 or number >= 1 << 63:
        raise InvalidInput(f"{what} out of range: {number}")
