"""Config files: JSON, and YAML; also where PyYAML is not installed, for the YAML that config files are written in.

Of YAML that is mappings and lists by indentation, lists and mappings in brackets, plain and quoted scalars, blocks of
text after ``|`` and ``>``, and comments.  Scalars are read as PyYAML does (``1e-3`` without a dot is text to it).
"""

import json
import os
import re
from typing import Final

from artvc.errors import ConfigError
from artvc.model.objects import JsonObject
from artvc.sdk import values

CONFIG_BYTES: Final = 8 * 1024 * 1024
DEPTH: Final = 32
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_HEXADECIMAL = re.compile(r"[-+]?0x[0-9a-fA-F_]+\Z")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9_]+)([eE][-+][0-9]+)?\Z")
_WORDS: Final[dict[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#\[\]{},"'&*!|>%@`-][^#]*?|-[^\s#][^#]*?)\s*:(?=\s|\Z)""")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/", " ": " "}


def read(path: str) -> JsonObject:
    """A config file as a JSON object.

    Args:
        path: of JSON or YAML.  A key whose value is ``{value: ..}`` or ``{desc: .., value: ..}``, W&B's form, has
            that value; ``wandb_version`` and ``_wandb`` are left out.

    Raises:
        ConfigError: it can't be read, is no mapping, or larger than 8 MiB.
    """
    try:
        if os.path.getsize(path) > CONFIG_BYTES:
            raise ConfigError(f"config file {path!r} is larger than {CONFIG_BYTES} bytes")
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as exc:
        raise ConfigError(f"cannot read config file {path!r}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"config file {path!r} is not UTF-8") from exc
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = _read_yaml(path, text)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"config file {path!r} holds no mapping")
    plain = {str(key): _unwrapped(value) for key, value in found.items() if key not in {"wandb_version", "_wandb"}}
    return values.to_object(plain, what=f"config file {path!r}")


def _unwrapped(value: object) -> object:
    if isinstance(value, dict) and "value" in value and set(value) <= {"value", "desc"}:
        return value["value"]
    return value


def _read_yaml(path: str, text: str) -> object:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 -- optional
    except ImportError:
        try:
            return parse(text)
        except ValueError as exc:
            raise ConfigError(f"cannot read {path!r}: {exc}", hint="install pyyaml, which reads all of YAML") from exc
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path!r} is no valid YAML: {exc}") from exc


def parse(text: str) -> object:
    """The value that a YAML text of the supported kind stands for.  Raises ValueError for any other."""
    reader = _Reader(text)
    found = reader.block(0, 0)
    if reader.peek() is not None:
        raise reader.error("what follows is not indented like what is above it")
    return found


class _Reader:
    """Goes through the lines of a text.

    Attributes:
        lines: number, indentation and text of those that say something.
    """

    def __init__(self, text: str) -> None:
        self.raw = text.splitlines()
        self.lines: list[tuple[int, int, str]] = []
        self.at = 0
        for number, line in enumerate(self.raw):
            plain = _without_comment(line).rstrip()
            if plain.lstrip().startswith("\t") or "\t" in plain[: len(plain) - len(plain.lstrip())]:
                raise ValueError(f"line {number + 1}: a tab as indentation")
            if plain.strip() and not (plain == "---" and not self.lines):
                self.lines.append((number, len(plain) - len(plain.lstrip()), plain.lstrip()))

    def error(self, what: str) -> ValueError:
        line = self.lines[self.at][0] + 1 if self.at < len(self.lines) else len(self.raw)
        return ValueError(f"line {line}: {what}")

    def peek(self) -> tuple[int, int, str] | None:
        return self.lines[self.at] if self.at < len(self.lines) else None

    def block(self, least: int, depth: int) -> object:
        """The value that begins here, if it is indented by ``least`` or more; else None."""
        if depth > DEPTH:
            raise self.error(f"nested deeper than {DEPTH}")
        here = self.peek()
        if here is None or here[1] < least:
            return None
        _, indent, text = here
        if text == "-" or text.startswith("- "):
            return self._list(indent, depth)
        if _KEY.match(text):
            return self._mapping(indent, depth)
        self.at += 1
        return self._scalar(text)

    def _list(self, indent: int, depth: int) -> list[object]:
        found: list[object] = []
        while (here := self.peek()) is not None and here[1] == indent and (here[2] == "-" or here[2][:2] == "- "):
            number, _, text = here
            rest = text[1:].lstrip()
            if not rest:
                self.at += 1
                found.append(self.block(indent + 1, depth + 1))
            elif rest.startswith("- ") or _KEY.match(rest):  # a list or mapping that begins behind the dash
                self.lines[self.at] = (number, indent + len(text) - len(rest), rest)
                found.append(self.block(indent + 1, depth + 1))
            else:
                self.at += 1
                found.append(self._value(rest, number, indent))
        return found

    def _mapping(self, indent: int, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while (here := self.peek()) is not None and here[1] == indent:
            number, _, text = here
            match = _KEY.match(text)
            if match is None:
                raise self.error("a key and a colon are missing")
            key = str(self._scalar(match[1])) if match[1][0] in "\"'" else match[1]
            rest = text[match.end() :].strip()
            self.at += 1
            if rest:
                found[key] = self._value(rest, number, indent)
                continue
            below = self.peek()
            is_list = below is not None and below[1] == indent and (below[2] == "-" or below[2][:2] == "- ")
            found[key] = self.block(indent if is_list else indent + 1, depth + 1)
        return found

    def _value(self, text: str, number: int, indent: int) -> object:
        """What stands behind a key or a dash."""
        if text[0] in "|>":
            return self._text(text, number, indent)
        if text[0] in "[{":
            while text.count("[") + text.count("{") > text.count("]") + text.count("}"):
                below = self.peek()
                if below is None:
                    raise self.error("a bracket is not closed")
                text += " " + below[2]
                self.at += 1
        return self._scalar(text)

    def _text(self, mark: str, number: int, indent: int) -> str:
        """A block of text, as it stands there or (``>``) with its lines joined."""
        taken: list[str] = []
        for line in self.raw[number + 1 :]:
            if line.strip() and len(line) - len(line.lstrip()) <= indent:
                break
            taken.append(line)
        last = number + len(taken)
        while self.at < len(self.lines) and self.lines[self.at][0] <= last:
            self.at += 1
        while taken and not taken[-1].strip():
            taken.pop()
        margin = min((len(line) - len(line.lstrip()) for line in taken if line.strip()), default=0)
        joined = ("\n" if mark[0] == "|" else " ").join(line[margin:] for line in taken)
        return joined if mark[1:2] == "-" or not joined else joined + "\n"

    def _scalar(self, text: str) -> object:
        value, rest = self._flow(text, 0, inside=False)
        if rest < len(text):
            raise self.error(f"not understood: {text[rest : rest + 40]!r}")
        return value

    def _flow(self, text: str, at: int, *, inside: bool, depth: int = 0) -> tuple[object, int]:
        """The value that begins at a position, and where it ends; ``inside`` brackets commas end it."""
        if depth > DEPTH:
            raise self.error(f"nested deeper than {DEPTH}")
        at = _skip(text, at)
        first = text[at : at + 1]
        if first == "[":
            return self._items(text, at + 1, depth)
        if first == "{":
            return self._pairs(text, at + 1, depth)
        if first and first in "\"'":
            return self._quoted(text, at)
        if first and first in "&*!%@`":
            raise self.error(f"{first!r} at the start of a value")
        end = len(text)
        if inside:
            end = next((i for i in range(at, len(text)) if text[i] in ",]}" or text[i : i + 2] == ": "), end)
        return _plain(text[at:end].strip()), end

    def _items(self, text: str, at: int, depth: int) -> tuple[object, int]:
        found: list[object] = []
        while (at := _skip(text, at)) < len(text):
            if text[at] == "]":
                return found, at + 1
            value, at = self._flow(text, at, inside=True, depth=depth + 1)
            found.append(value)
            at = self._comma(text, at, "]")
        raise self.error("a bracket is not closed")

    def _pairs(self, text: str, at: int, depth: int) -> tuple[object, int]:
        found: dict[str, object] = {}
        while (at := _skip(text, at)) < len(text):
            if text[at] == "}":
                return found, at + 1
            key, at = self._flow(text, at, inside=True, depth=depth + 1)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise self.error("a colon is missing in a mapping")
            found[str(key)], at = self._flow(text, at + 1, inside=True, depth=depth + 1)
            at = self._comma(text, at, "}")
        raise self.error("a bracket is not closed")

    def _comma(self, text: str, at: int, closing: str) -> int:
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            return at + 1
        if text[at : at + 1] != closing:
            raise self.error(f"a comma or {closing!r} is missing")
        return at

    def _quoted(self, text: str, at: int) -> tuple[object, int]:
        quote, found, i = text[at], "", at + 1
        while i < len(text):
            if text[i] == quote:
                if quote == "'" and text[i + 1 : i + 2] == "'":
                    found, i = found + "'", i + 2
                    continue
                return found, i + 1
            if quote == '"' and text[i] == "\\":
                escape = text[i + 1 : i + 2]
                if escape not in _ESCAPES:
                    raise self.error(f"the escape \\{escape} is not known")
                found, i = found + _ESCAPES[escape], i + 2
                continue
            found, i = found + text[i], i + 1
        raise self.error("a quote is not closed")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _plain(text: str) -> object:
    """A scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text.replace("_", ""))
    if _HEXADECIMAL.match(text):
        return int(text.replace("_", ""), 16)
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    return text


def _without_comment(line: str) -> str:
    """A line up to its comment, which begins with ``#`` at the start or behind a blank, outside of quotes."""
    quote = ""
    for i, one in enumerate(line):
        if quote:
            quote = "" if one == quote and line[i - 1] != "\\" else quote
        elif one in "\"'" and (i == 0 or line[i - 1] in " [{,:"):
            quote = one
        elif one == "#" and (i == 0 or line[i - 1].isspace()):
            return line[:i]
    return line
