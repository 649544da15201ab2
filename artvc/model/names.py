"""Names: of artifacts, types, aliases, projects, files; and references such as ``project/name:alias/path``.

Everything that a user or a remote can call something is checked here, once, when the value that bears the name
is built.  The rules for file names follow the incidents in ``docs/promises.md``: what could leave the target
directory, reach a control directory or deceive a reader of a terminal is refused on every platform.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from artvc.errors import InvalidInput

NAME_BYTES: Final = 128
FILE_NAME_BYTES: Final = 255
PATH_BYTES: Final = 1024
PATH_DEPTH: Final = 64
LATEST: Final = "latest"

_NAME = re.compile(r"[a-zA-Z0-9_.\-]+\Z")
_PLAIN = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.\-]{0,200}\Z")
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,17})\Z")
_ANY_VERSION = re.compile(r"v[0-9]+\Z")
_HEX_PREFIX = re.compile(r"[0-9a-f]{4,64}\Z")
_TAG = re.compile(r"[-\w]+( +[-\w]+)*\Z")
_RUN_ID = re.compile(r"[a-zA-Z0-9_\-]{1,64}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RESERVED_TYPES = ("job", "wandb-", "artvc-")

# Code points that HFS+ ignores in names, so that ".g\u200cit" opens ".git" there (CVE-2014-9390).
_IGNORABLE = dict.fromkeys([0x200C, 0x200D, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])
_CONTROL_DIRS = re.compile(r"(\.git|\.artvc|git~[0-9]+|artvc~[0-9]+)\Z")


def _fail(what: str, name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"invalid {what} {name[:200]!r}: {rule}")


def check_artifact_name(name: str) -> str:
    """Return the name of an artifact unchanged, or raise InvalidInput (W&B's rule: letters, digits, _ - .)."""
    if not _NAME.match(name):
        raise _fail("artifact name", name, "use letters, digits, '_', '-' and '.' only")
    if len(name) > NAME_BYTES:
        raise _fail("artifact name", name, f"longer than {NAME_BYTES} characters")
    if name in {".", ".."} or name.startswith("-"):
        raise _fail("artifact name", name, "must not be '.' or '..' or start with '-'")
    return name


def check_project(name: str) -> str:
    """Return the name of a project unchanged, or raise InvalidInput."""
    if not _NAME.match(name) or len(name) > NAME_BYTES or name in {".", ".."} or name[0] == "-":
        raise _fail("project name", name, f"use at most {NAME_BYTES} of letters, digits, '_', '-', '.'")
    return name


def check_type(name: str) -> str:
    """Return the type of an artifact (free text on one line) unchanged, or raise InvalidInput."""
    if not name or len(name) > NAME_BYTES or name.strip() != name or _CONTROL.search(name):
        raise _fail("artifact type", name, f"one line of 1 to {NAME_BYTES} characters, no outer blanks")
    if name == "job" or name.startswith(_RESERVED_TYPES[1:]):
        raise InvalidInput(f"artifact type {name!r} is reserved for internal use, choose another")
    _utf8("artifact type", name)
    return name


def check_alias(name: str) -> str:
    """Return an alias unchanged, or raise InvalidInput: no ``/``, ``:`` or ``@``, and not like ``v3``."""
    if "/" in name or ":" in name:
        raise _fail("alias", name, "must not contain '/' or ':'")
    if not name or len(name) > NAME_BYTES or name.strip() != name or "@" in name or name[0] == "-":
        raise _fail("alias", name, f"1 to {NAME_BYTES} characters, no '@', no outer blanks, no leading '-'")
    if _CONTROL.search(name):
        raise _fail("alias", name, "has a control character")
    if _ANY_VERSION.match(name):
        raise _fail("alias", name, "the form 'v' and a number is kept for versions")
    _utf8("alias", name)
    return name


def check_tag(name: str) -> str:
    """Return a tag unchanged, or raise InvalidInput (W&B's rule: words of letters, digits, _ and -)."""
    if not _TAG.match(name) or len(name) > NAME_BYTES:
        raise _fail("tag", name, "words of letters, digits, '_' and '-', separated by single blanks")
    return name


def check_run_id(name: str) -> str:
    """Return a run id unchanged, or raise InvalidInput."""
    if not _RUN_ID.match(name) or name[0] == "-":
        raise _fail("run id", name, "1 to 64 letters, digits, '_', '-'")
    return name


def check_text(what: str, text: str, limit: int) -> str:
    """Return free text unchanged if its UTF-8 form has at most ``limit`` bytes, or raise InvalidInput."""
    if len(_utf8(what, text)) > limit:
        raise InvalidInput(f"{what} is longer than {limit} bytes")
    return text


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(f"{what} is not valid Unicode: {text[:80]!r}") from exc


def check_file_name(name: str) -> str:
    """Return one component of a path unchanged, or raise InvalidInput.

    Args:
        name: one component; bytes that are not UTF-8 stand in it as surrogates (``os.fsdecode``).
    """
    if _PLAIN.match(name):
        return name  # nearly all names: the tests below can't fail
    if not name or name in {".", ".."} or "/" in name:
        raise _fail("file name", name, "empty, '.', '..' or with '/'")
    if len(name.encode("utf-8", "surrogateescape")) > FILE_NAME_BYTES:
        raise _fail("file name", name, f"longer than {FILE_NAME_BYTES} bytes")
    if _CONTROL.search(name):
        raise _fail("file name", name, "has a control or direction character")
    folded = unicodedata.normalize("NFKC", name.translate(_IGNORABLE)).casefold()
    folded = folded.split(":")[0].rstrip(". ")
    if _CONTROL_DIRS.match(folded) or (
        "\\" in folded and any(_CONTROL_DIRS.match(part.rstrip(". ")) or part == ".." for part in folded.split("\\"))
    ):
        raise _fail("file name", name, "is or aliases a control directory")
    return name


def check_path(path: str) -> str:
    """Return a relative POSIX path unchanged if every component is a valid file name, or raise InvalidInput."""
    parts = path.split("/")
    if len(parts) > PATH_DEPTH:
        raise _fail("path", path, f"deeper than {PATH_DEPTH}")
    if len(path.encode("utf-8", "surrogateescape")) > PATH_BYTES:
        raise _fail("path", path, f"longer than {PATH_BYTES} bytes")
    for part in parts:
        check_file_name(part)
    return path


def logical_path(path: str) -> str:
    """Normalise a path inside an artifact as W&B does: ``a//b/./c`` is ``a/b/c``; raise InvalidInput if it escapes.

    Args:
        path: POSIX separators; absolute paths, ``..``, drive letters, ``""`` and ``"."`` are refused.
    """
    if path.startswith("/") or re.match(r"[A-Za-z]:[\\/]", path):
        raise InvalidInput(f"Invalid artifact path: {path!r} is absolute")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts or ".." in parts:
        raise InvalidInput(f"Invalid artifact path: {path!r}")
    return check_path("/".join(parts))


def version_number(word: str) -> int | None:
    """The number in ``v0``, ``v17``; None where the word is no version."""
    match = _VERSION.match(word)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One way to read ``[project/]NAME[:ALIAS|:vN|@HASHPREFIX][/path]``.

    Attributes:
        project: None means: the default project if it has the artifact, else the only one that has it.
        name: the artifact.
        selector: an alias or ``vN``; ``latest`` where none was given.
        digest: hex digits after ``@``, or None; then the selector does not count.
        path: below the artifact's root; "" is the root.
    """

    project: str | None
    name: str
    selector: str = LATEST
    digest: str | None = None
    path: str = ""

    @property
    def version(self) -> int | None:
        """The number if the selector is a version."""
        return version_number(self.selector)

    def __str__(self) -> str:
        head = f"{self.project}/{self.name}" if self.project else self.name
        chosen = f"@{self.digest}" if self.digest else f":{self.selector}"
        return head + chosen + (f"/{self.path}" if self.path else "")


def parse_reference(text: str) -> tuple[Reference, ...]:
    """All readings of a reference, the likeliest first; the repository decides which one exists.

    ``a/b`` is artifact b of project a, or path b in artifact a; with a selector there is only one reading.
    A W&B entity before the project (``entity/project/name:v0``) is accepted and dropped.

    Raises:
        InvalidInput: no reading is possible.
    """
    match = re.search(r"[:@]", text)
    if match is None:
        parts = text.rstrip("/").split("/")
        readings = []
        if len(parts) == 1:
            readings.append(_reference(None, parts[0]))
        else:
            readings.append(_reference(parts[0], parts[1], path="/".join(parts[2:])))
            readings.append(_reference(None, parts[0], path="/".join(parts[1:])))
        return tuple(readings)
    head, rest = text[: match.start()], text[match.end() :]
    chosen, _, path = rest.partition("/")
    parts = head.split("/")
    if len(parts) > 3 or not parts[-1]:
        raise InvalidInput(f"not a reference: {text[:200]!r}", hint="write [project/]NAME[:ALIAS|:vN|@HASH][/path]")
    project = parts[-2] if len(parts) > 1 else None
    if match[0] == "@":
        if not _HEX_PREFIX.match(chosen.removeprefix("b3:")):
            raise InvalidInput(f"not a hash prefix (4 to 64 hex digits): {chosen[:80]!r}")
        return (_reference(project, parts[-1], digest=chosen.removeprefix("b3:"), path=path),)
    if not _VERSION.match(chosen):
        check_alias(chosen)
    return (_reference(project, parts[-1], selector=chosen, path=path),)


def _reference(
    project: str | None,
    name: str,
    *,
    selector: str = LATEST,
    digest: str | None = None,
    path: str = "",
) -> Reference:
    path = path.rstrip("/")
    return Reference(
        project=check_project(project) if project is not None else None,
        name=check_artifact_name(name),
        selector=selector,
        digest=digest,
        path=check_path(path) if path else "",
    )
