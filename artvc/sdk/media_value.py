"""What media have in common: a JSON record that says what they are, and files that hold their bytes.

A record goes into a run's history or into an artifact; its files go below ``media/``, named by their content, so
that what is logged twice is kept once.  Records read back are other people's: nothing in them is believed before
it was checked.
"""

import hashlib
import importlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import IO, Any, ClassVar, Final, Protocol, Self

from artvc.errors import InvalidInput, MalformedObject, UsageError
from artvc.model import names
from artvc.model.objects import Json, JsonObject

HASH_DIGITS: Final = 20
RECORD_BYTES: Final = 16 * 1024 * 1024
MEDIA_BYTES: Final = 2 * 1024 * 1024 * 1024
_MANY: Final = 16
_KEY_BYTES: Final = 120
_KEY_PARTS: Final = 6
_UNSAFE = re.compile(r"[^\w\-./ ]")


class Media(ABC):
    """A value that is logged as a record and files.

    Attributes:
        TYPE: the ``_type`` of its record, and what stands before ``.json`` in an artifact.
        source: the artifact that it was read from and its name there, else None.
    """

    TYPE: ClassVar[str]
    source: "tuple[Source, str] | None" = None

    @abstractmethod
    def to_record(self, files: "Files") -> JsonObject:
        """Put the bytes into ``files``; returns the record."""

    def pack(self, files: "Files") -> bytes:
        """What an artifact keeps under the value's name; the rest goes into ``files``."""
        return json.dumps(self.to_record(files), sort_keys=True).encode()

    @classmethod
    def unpack(cls, entry: "SourceEntry", path: str, stored: "Stored", media: "Mapping[str, type[Media]]") -> Self:
        """The value that :meth:`pack` kept.

        Args:
            entry: the file; not believed.
            path: of it, for messages.
            stored: where its other files are.
            media: the classes by ``TYPE``.

        Raises:
            MalformedObject: it is not what it claims to be.
        """
        record = parse(read(entry, RECORD_BYTES, path), path)
        if record.get("_type") != cls.TYPE:
            raise MalformedObject(f"{path!r} says that it is {record.get('_type')!r:.80}, not {cls.TYPE!r}")
        return cls.from_record(record, stored)

    @classmethod
    def from_record(cls, record: JsonObject, stored: "Stored") -> Self:
        """The value that a record describes.

        Raises:
            MalformedObject: the record is not what it should be, or names a file that it must not or that is missing;
                or values of this kind are not kept as records.
        """
        raise MalformedObject(f"no {cls.TYPE} can be read from a record")


class Files:
    """The files that media are kept as.

    Args:
        stem: what their names begin with; in a run ``<key>_<step>_``, in an artifact nothing.

    Attributes:
        held: path to bytes, in the order in which they came.
        in_artifact: they belong to an artifact, where records must be complete in themselves.
    """

    def __init__(self, stem: str = "", *, in_artifact: bool = False) -> None:
        self.held: dict[str, bytes] = {}
        self.in_artifact = in_artifact
        self._stem = stem

    @classmethod
    def of_run(cls, key: str, step: int) -> Self:
        """Those of a logged value; a key ``a/b`` makes a directory."""
        parts = [part.encode()[:_KEY_BYTES].decode(errors="ignore").strip(". ") or "_" for part in key.split("/")]
        return cls(f"{_UNSAFE.sub('_', '/'.join(parts[:_KEY_PARTS]))}_{step}_")

    def add(self, kind: str, suffix: str, data: bytes) -> JsonObject:
        """Keep bytes below ``media/<kind>``; returns path, sha256 and size as records have them.

        Args:
            kind: "images", "table", "audio"...
            suffix: with the dot, ``.png``.
            data: the bytes.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = names.logical_path(f"media/{kind}/{self._stem}{digest[:HASH_DIGITS]}{suffix}")
        self.held[path] = data
        return {"path": path, "sha256": digest, "size": len(data)}


class SourceEntry(Protocol):
    """What is needed of a file of an artifact."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def open(self) -> IO[bytes]:
        """The content, to be read once."""
        ...


class Source(Protocol):
    """What is needed of an artifact that media are read from."""

    def get_entry(self, name: str) -> SourceEntry:
        """The file of that path.  Raises KeyError."""
        ...


class Stored:
    """The files of an artifact, read with care: only what a record may name, and never more than a limit."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._asked = 0
        self._all: Mapping[str, SourceEntry] | None = None

    def _get(self, path: str) -> SourceEntry:
        """One look-up costs a walk down a tree; many are better answered by a list of all files."""
        self._asked += 1
        if self._asked == _MANY:
            self._all = getattr(getattr(self.source, "manifest", None), "entries", None)
        return self.source.get_entry(path) if self._all is None else self._all[path]

    def entry(self, path: object, *, below: str = "media/") -> SourceEntry:
        """The file of a path that a record names.

        Args:
            path: as it stands in the record.
            below: where it must be.

        Raises:
            MalformedObject: it is no path, leads elsewhere, or there is no such file.
        """
        try:
            clean = names.logical_path(path) if isinstance(path, str) else None
        except InvalidInput as exc:
            raise MalformedObject(f"a media record names a file that it must not: {path!r:.200}") from exc
        if clean is None or clean != path or not clean.startswith(below):
            raise MalformedObject(f"a media record names a file that it must not: {path!r:.200}")
        try:
            return self._get(clean)
        except KeyError:
            raise MalformedObject(f"a media record names {clean!r}, which the artifact does not have") from None

    def content(self, path: object, *, below: str = "media/") -> Callable[[], bytes]:
        """The same, to be read when it is needed.  Raises as :meth:`entry`, and at once."""
        entry = self.entry(path, below=below)
        return lambda: read(entry, MEDIA_BYTES, str(path))


def read(entry: SourceEntry, limit: int, path: str) -> bytes:
    """All bytes of a file.

    Raises:
        MalformedObject: it has more than ``limit``.
    """
    if entry.size > limit:
        raise MalformedObject(f"{path!r} has {entry.size} bytes, more than the {limit} that are read into memory")
    with entry.open() as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise MalformedObject(f"{path!r} has more than the {limit} bytes that are read into memory")
    return data


def parse(data: bytes, path: str) -> JsonObject:
    """A record from its JSON bytes.

    Raises:
        MalformedObject: no JSON object.
    """
    value = parse_json(data, path)
    if not isinstance(value, dict):
        raise MalformedObject(f"{path!r} is no JSON object")
    return value


def parse_json(data: bytes, path: str) -> Json:
    """JSON from its bytes, NaN and infinities too as W&B writes them.

    Raises:
        MalformedObject: it is none, or too deep.
    """
    try:
        value: Json = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise MalformedObject(f"{path!r} is no JSON: {exc}") from exc
    return value


def file_bytes(path: "str | os.PathLike[str]", what: str) -> bytes:
    """The content of the user's file.

    Args:
        path: of the file.
        what: it should be, for the message.

    Raises:
        InvalidInput: it can't be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise InvalidInput(f"cannot read {what} {os.fspath(path)!r}: {exc.strerror}") from exc


def suffix_of(path: "str | os.PathLike[str]", default: str) -> str:
    """The extension of a file name in lower case and without the dot, cleaned, at most 8 letters."""
    found = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    return re.sub(r"[^a-z0-9]", "", found)[:8] or default


def listed(value: Any) -> Any:
    """Arrays and tensors as nested lists; everything else as it is."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
    return value.tolist() if hasattr(value, "tolist") else value


def needed(module: str, what: str) -> Any:
    """A module of others that is only there where somebody installed it.

    Args:
        module: its name.
        what: needs it, for the message.

    Raises:
        UsageError: it is not there.
    """
    top = module.split(".")[0]
    package = {"PIL": "pillow", "imageio_ffmpeg": "imageio-ffmpeg"}.get(top, top)
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise UsageError(f"{what} needs {package}, which is not installed", hint=f"pip install {package}") from exc
