"""The canonical bytes of every object: the only place that knows them.

Nodes of trees and chunk lists are binary, little-endian, of fixed-size fields; artifacts, commits, properties and
ref transactions are canonical JSON (UTF-8, keys sorted by code point, no blanks, no NaN; numbers as Python
prints them).  Decoding validates: whatever is accepted encodes to the same bytes again.  ``docs/format-objects.md``
has the tables; a test decodes its vectors.
"""

import itertools
import json
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from artvc.errors import ArtvcError, MalformedObject
from artvc.model import names
from artvc.model.ids import ID_SIZE, Id
from artvc.model.objects import (
    CHUNK_BYTES,
    JSON_BYTES,
    Artifact,
    Commit,
    Entry,
    EntryKind,
    Input,
    Json,
    JsonObject,
    Output,
    Properties,
    check_json,
    reference_entry,
    symlink_entry,
)

NODE_FORMAT: Final = 1
NODE_ITEMS: Final = 1024
NODE_LEVELS: Final = 7
EXECUTABLE: Final = 0x10

_TREE_HEAD = struct.Struct("<BBH")  # format, level, items
_ENTRY_HEAD = struct.Struct("<BBQ")  # mode, bytes of name, size
_DIRECTORY_TAIL = struct.Struct("<Q32s")  # files, id
_TEXT_TAIL = struct.Struct("<HH")  # bytes of target, bytes of checksum
_CHILD_HEAD = struct.Struct("<BQQ32s")  # bytes of last name, size, files, id
_BLOB_HEAD = struct.Struct("<BBHQ")  # format, level, items, size of all
_BLOB_ITEM = struct.Struct("<Q32s")  # size, id
_SIZE_LIMIT: Final = 1 << 62

T = TypeVar("T")


class Child(NamedTuple):
    """A part of a large directory: a node one level down."""

    last: str
    size: int
    files: int
    id: Id


class Part(NamedTuple):
    """A part of a file: a chunk (level 0) or a node one level down."""

    size: int
    id: Id


class TreeNode(NamedTuple):
    """A node of a directory: entries at level 0, children above."""

    level: int
    entries: tuple[Entry, ...]
    children: tuple[Child, ...]


class BlobNode(NamedTuple):
    """A node of a chunk list."""

    level: int
    size: int
    parts: tuple[Part, ...]


def name_bytes(name: str) -> bytes:
    """A name as stored; entries are sorted by these bytes."""
    return name.encode("utf-8", "surrogateescape")


def encode_tree(level: int, items: Sequence[Entry | Child]) -> bytes:
    """A directory node.

    Args:
        level: 0: ``items`` are entries; above: children.
        items: sorted by name bytes, at most NODE_ITEMS.
    """
    out = [_TREE_HEAD.pack(NODE_FORMAT, level, len(items))]
    for item in items:
        out.append(_encode_entry(item) if isinstance(item, Entry) else _encode_child(item))
    return b"".join(out)


def _encode_entry(entry: Entry) -> bytes:
    name = name_bytes(entry.name)
    head = _ENTRY_HEAD.pack(entry.kind | EXECUTABLE * entry.executable, len(name), entry.size) + name
    if entry.id is None:
        target, checksum = name_bytes(entry.target), entry.checksum.encode()
        return head + _TEXT_TAIL.pack(len(target), len(checksum)) + target + checksum
    if entry.kind == EntryKind.DIRECTORY:
        return head + _DIRECTORY_TAIL.pack(entry.files, entry.id)
    return head + entry.id


def _encode_child(child: Child) -> bytes:
    last = name_bytes(child.last)
    return _CHILD_HEAD.pack(len(last), child.size, child.files, child.id) + last


def encode_blob(level: int, parts: Sequence[Part]) -> bytes:
    """A node of a chunk list.

    Args:
        level: 0: the parts are chunks; above: nodes.
        parts: in the order of the file, at most NODE_ITEMS.
    """
    head = _BLOB_HEAD.pack(NODE_FORMAT, level, len(parts), sum(part.size for part in parts))
    return head + b"".join(_BLOB_ITEM.pack(size, raw) for size, raw in parts)


class _Reader:
    """Takes fields off the front of some bytes; the end of them is MalformedObject."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fields(self, layout: struct.Struct) -> tuple[int, ...]:
        try:
            found = layout.unpack_from(self.data, self.at)
        except struct.error:
            raise MalformedObject("object ends too early") from None
        self.at += layout.size
        return found

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise MalformedObject("object ends too early")
        self.at += count
        return piece

    def done(self) -> None:
        if self.at != len(self.data):
            raise MalformedObject("object has trailing bytes")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _guarded(decode: Callable[[bytes], T], data: bytes) -> T:
    """Turn every complaint about a value into MalformedObject: the bytes came from outside."""
    try:
        return decode(data)
    except MalformedObject:
        raise
    except (ArtvcError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as exc:
        raise MalformedObject(f"malformed object: {str(exc)[:300]}") from exc


def decode_tree(data: bytes) -> TreeNode:
    """Read a directory node.  Raises MalformedObject."""
    return _guarded(_decode_tree, data)


def _decode_tree(data: bytes) -> TreeNode:
    reader = _Reader(data)
    version, level, count = reader.fields(_TREE_HEAD)
    _check_head(version, level, count)
    entries: tuple[Entry, ...] = ()
    children: tuple[Child, ...] = ()
    if level == 0:
        entries = tuple(_decode_entry(reader) for _ in range(count))
        sorted_names = [name_bytes(entry.name) for entry in entries]
    else:
        children = tuple(_decode_child(reader) for _ in range(count))
        sorted_names = [name_bytes(child.last) for child in children]
        if not children:
            raise MalformedObject("inner node without children")
    if any(left >= right for left, right in itertools.pairwise(sorted_names)):
        raise MalformedObject("names in a directory must rise")
    reader.done()
    return TreeNode(level, entries, children)


def _check_head(version: int, level: int, count: int) -> None:
    if version != NODE_FORMAT:
        raise MalformedObject(f"unknown node format {version}")
    if level > NODE_LEVELS or count > NODE_ITEMS:
        raise MalformedObject(f"node of level {level} with {count} items is beyond the limits")


def _decode_entry(reader: _Reader) -> Entry:
    mode, length, size = reader.fields(_ENTRY_HEAD)
    raw_name = reader.take(length)
    name = _text(raw_name)
    if name_bytes(name) != raw_name:
        raise MalformedObject("name does not survive decoding")
    kind = EntryKind(mode & 0x0F)
    executable = mode == kind | EXECUTABLE
    if size >= _SIZE_LIMIT or (mode != kind and not (executable and kind <= EntryKind.BLOB)):
        raise MalformedObject(f"entry with mode {mode} and size {size}")
    if kind in (EntryKind.SYMLINK, EntryKind.REFERENCE):
        return _decode_text_entry(reader, kind, name, size)
    names.check_file_name(name)
    if kind == EntryKind.DIRECTORY:
        files, raw = reader.fields(_DIRECTORY_TAIL)
        if files >= _SIZE_LIMIT:
            raise MalformedObject("directory claims too many files")
        return Entry(name, kind, False, size, files, Id(raw))  # type: ignore[arg-type]  # "32s" is bytes
    if kind == EntryKind.CHUNK and size > CHUNK_BYTES:
        raise MalformedObject(f"chunk of {size} bytes is beyond the limit")
    return Entry(name, kind, executable, size, 1, Id(reader.take(ID_SIZE)))


def _decode_text_entry(reader: _Reader, kind: EntryKind, name: str, size: int) -> Entry:
    target_length, checksum_length = reader.fields(_TEXT_TAIL)
    raw_target, checksum = reader.take(target_length), reader.take(checksum_length).decode()
    target = _text(raw_target)
    if kind == EntryKind.SYMLINK:
        if checksum or size != target_length:
            raise MalformedObject("symbolic link with a checksum or a false size")
        return symlink_entry(name, target)
    return reference_entry(name, uri=raw_target.decode(), size=size, checksum=checksum)


def _decode_child(reader: _Reader) -> Child:
    length, size, files, raw = reader.fields(_CHILD_HEAD)
    last = _text(reader.take(length))
    names.check_file_name(last)
    if size >= _SIZE_LIMIT or files >= _SIZE_LIMIT:
        raise MalformedObject("node claims too much below it")
    return Child(last, size, files, Id(raw))  # type: ignore[arg-type]  # "32s" is bytes


def decode_blob(data: bytes) -> BlobNode:
    """Read a node of a chunk list.  Raises MalformedObject."""
    return _guarded(_decode_blob, data)


def _decode_blob(data: bytes) -> BlobNode:
    reader = _Reader(data)
    version, level, count, size = reader.fields(_BLOB_HEAD)
    _check_head(version, level, count)
    if len(data) != _BLOB_HEAD.size + count * _BLOB_ITEM.size or not count:
        raise MalformedObject("chunk list of a false length")
    parts = tuple(Part(size, Id(raw)) for size, raw in _BLOB_ITEM.iter_unpack(data[_BLOB_HEAD.size :]))
    if sum(part.size for part in parts) != size or size >= _SIZE_LIMIT:
        raise MalformedObject("sizes in a chunk list don't add up")
    if any(part.size == 0 or (level == 0 and part.size > CHUNK_BYTES) for part in parts):
        raise MalformedObject("part of a file is empty or too large")
    return BlobNode(level, size, parts)


def encode_json(value: Json) -> bytes:
    """Canonical JSON.  Raises ValueError for NaN, infinities and lone surrogates."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def decode_json(data: bytes, *, limit: int = JSON_BYTES) -> JsonObject:
    """Read a canonical JSON object.  Raises MalformedObject, also for bytes that are not canonical."""
    if len(data) > limit:
        raise MalformedObject(f"JSON of {len(data)} bytes is beyond the limit of {limit}")

    def read(raw: bytes) -> JsonObject:
        value = json.loads(raw.decode())
        if not isinstance(value, dict):
            raise MalformedObject("not a JSON object")
        check_json(value)
        if encode_json(value) != raw:
            raise MalformedObject("JSON is not in canonical form")
        return value

    return _guarded(read, data)


def encode_artifact(artifact: Artifact) -> bytes:
    """The canonical bytes of an artifact."""
    return encode_json(
        {
            "files": artifact.files,
            "name": artifact.name,
            "root": artifact.root.hex(),
            "size": artifact.size,
            "type": artifact.type,
        }
    )


def decode_artifact(data: bytes) -> Artifact:
    """Read an artifact.  Raises MalformedObject."""

    def read(raw: bytes) -> Artifact:
        fields = _Fields(decode_json(raw))
        found = Artifact(
            name=fields.text("name"),
            type=fields.text("type"),
            root=Id.parse(fields.text("root")),
            files=fields.integer("files"),
            size=fields.integer("size"),
        )
        fields.done()
        return found

    return _guarded(read, data)


def _origins(found: JsonObject) -> dict[str, str]:
    if not all(isinstance(uri, str) for uri in found.values()):
        raise MalformedObject("an origin is the text of a URI")
    return {path: str(uri) for path, uri in found.items()}


def encode_properties(properties: Properties) -> bytes:
    """The canonical bytes of properties."""
    return encode_json(
        {
            "description": properties.description,
            "metadata": properties.metadata,
            "origins": {**properties.origins},
            "tags": list(properties.tags),
            "ttl": properties.ttl,
        }
    )


def decode_properties(data: bytes) -> Properties:
    """Read properties.  Raises MalformedObject."""

    def read(raw: bytes) -> Properties:
        fields = _Fields(decode_json(raw))
        found = Properties(
            description=fields.text("description"),
            metadata=fields.object("metadata"),
            tags=fields.texts("tags"),
            ttl=fields.optional_integer("ttl"),
            origins=_origins(fields.object("origins")),
        )
        fields.done()
        return found

    return _guarded(read, data)


def encode_commit(commit: Commit) -> bytes:
    """The canonical bytes of a run commit."""
    return encode_json(
        {
            "author": commit.author,
            "code": commit.code,
            "config": commit.config,
            "ended": commit.ended,
            "environment": commit.environment,
            "exit_code": commit.exit_code,
            "files": commit.files.hex() if commit.files else None,
            "group": commit.group,
            "inputs": [
                {"artifact": one.artifact.hex(), "asked": one.asked, "project": one.project} for one in commit.inputs
            ],
            "job_type": commit.job_type,
            "message": commit.message,
            "notes": commit.notes,
            "outputs": [{"artifact": one.artifact.hex(), "properties": one.properties.hex()} for one in commit.outputs],
            "previous": commit.previous.hex() if commit.previous else None,
            "project": commit.project,
            "run_id": commit.run_id,
            "run_name": commit.run_name,
            "started": commit.started,
            "state": commit.state,
            "summary": commit.summary,
            "tags": list(commit.tags),
        }
    )


def decode_commit(data: bytes) -> Commit:
    """Read a run commit.  Raises MalformedObject."""

    def read(raw: bytes) -> Commit:
        fields = _Fields(decode_json(raw))
        found = Commit(
            author=fields.object("author"),
            code=fields.object("code"),
            config=fields.object("config"),
            ended=fields.text("ended"),
            environment=fields.object("environment"),
            exit_code=fields.optional_integer("exit_code"),
            files=fields.optional_id("files"),
            group=fields.text("group"),
            inputs=tuple(_decode_input(one) for one in fields.objects("inputs")),
            job_type=fields.text("job_type"),
            message=fields.text("message"),
            notes=fields.text("notes"),
            outputs=tuple(_decode_output(one) for one in fields.objects("outputs")),
            previous=fields.optional_id("previous"),
            project=fields.text("project"),
            run_id=fields.text("run_id"),
            run_name=fields.text("run_name"),
            started=fields.text("started"),
            state=fields.text("state"),
            summary=fields.object("summary"),
            tags=fields.texts("tags"),
        )
        fields.done()
        return found

    return _guarded(read, data)


def _decode_input(fields: "_Fields") -> Input:
    found = Input(
        artifact=Id.parse(fields.text("artifact")), asked=fields.text("asked"), project=fields.text("project")
    )
    fields.done()
    return found


def _decode_output(fields: "_Fields") -> Output:
    found = Output(artifact=Id.parse(fields.text("artifact")), properties=Id.parse(fields.text("properties")))
    fields.done()
    return found


class _Fields:
    """Takes the fields of a JSON object one by one, each of its type; none may be left over."""

    __slots__ = ("left",)

    def __init__(self, value: JsonObject) -> None:
        self.left = dict(value)

    def _take(self, name: str) -> Json:
        if name not in self.left:
            raise MalformedObject(f"field {name!r} is missing")
        return self.left.pop(name)

    def _typed(self, name: str, kind: type[T]) -> T:
        value = self._take(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise MalformedObject(f"field {name!r} is not {kind.__name__}")
        return value

    def text(self, name: str) -> str:
        return self._typed(name, str)

    def integer(self, name: str) -> int:
        return self._typed(name, int)

    def object(self, name: str) -> JsonObject:
        return self._typed(name, dict)

    def optional_integer(self, name: str) -> int | None:
        return self._optional(name, int)

    def optional_id(self, name: str) -> Id | None:
        text = self._optional(name, str)
        return None if text is None else Id.parse(text)

    def _optional(self, name: str, kind: type[T]) -> T | None:
        if name in self.left and self.left[name] is None:
            del self.left[name]
            return None
        return self._typed(name, kind)

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._typed(name, list)
        if not all(isinstance(one, str) for one in found):
            raise MalformedObject(f"field {name!r} is not a list of text")
        return tuple(found)

    def objects(self, name: str) -> tuple["_Fields", ...]:
        found = self._typed(name, list)
        if not all(isinstance(one, dict) for one in found):
            raise MalformedObject(f"field {name!r} is not a list of objects")
        return tuple(_Fields(one) for one in found)

    def done(self) -> None:
        if self.left:
            raise MalformedObject(f"unknown field {min(self.left)[:80]!r}")
