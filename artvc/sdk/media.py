"""Media in runs and in artifacts: records for the history, and the files that an artifact keeps of a value.

In an artifact a value ``t`` is ``t.<type>.json``, W&B's record of it, beside files below ``media/`` that are named
by their content.  Reading one back believes nothing: see :class:`~artvc.sdk.media_value.Stored`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final, cast

from artvc.errors import InvalidType, LimitExceeded, MalformedObject
from artvc.model import names
from artvc.model.objects import JSON_DEPTH, Json, JsonObject
from artvc.sdk import values
from artvc.sdk.image import Classes, Image
from artvc.sdk.media_files import Audio, Histogram, Html, Molecule, Object3D, Plotly, Video
from artvc.sdk.media_value import Files, Media, Source, Stored
from artvc.sdk.table import Table

__all__ = [
    "NAMES",
    "Audio",
    "Classes",
    "Histogram",
    "Html",
    "Image",
    "Media",
    "Molecule",
    "Object3D",
    "Plotly",
    "Table",
    "Video",
    "as_media",
    "holds_media",
    "log",
    "pack",
    "table_artifact",
    "unpack",
]

_KINDS: Final[tuple[type[Media], ...]] = (
    Audio,
    Classes,
    Histogram,
    Html,
    Image,
    Molecule,
    Object3D,
    Plotly,
    Table,
    Video,
)
_BY_TYPE: Final = {kind.TYPE: kind for kind in _KINDS}
_NEVER: Final = frozenset({float, int, bool, str, bytes, type(None)})
_UNUSABLE = re.compile(r"[^A-Za-z0-9_.\-]+")
# What stands behind the name of a value in an artifact.
NAMES: Final = tuple(f".{kind}.json" for kind in _BY_TYPE)


def pack(value: object, name: str) -> list[tuple[str, bytes]]:
    """The files that keep a value in an artifact.

    Args:
        value: an :class:`artvc.Image` or another kind of media.
        name: what it is called in the artifact; ``/`` makes directories.

    Returns:
        paths in the artifact and bytes; the first is ``<name>.<type>.json``, the others are shared by equal content.

    Raises:
        InvalidType: it is no media.
        InvalidInput: it can't be kept in an artifact (an image with boxes or masks without classes), or the name
            is no path.
    """
    if not isinstance(value, Media) or value.TYPE not in _BY_TYPE:
        known = ", ".join(sorted(kind.__name__ for kind in _KINDS))
        raise InvalidType(f"an artifact takes no {type(value).__name__}", hint=f"one of {known}")
    files = Files(in_artifact=True)
    suffix = f".{value.TYPE}.json"
    path = names.logical_path(name)
    path = path if path.endswith(suffix) else path + suffix
    return [(path, value.pack(files)), *files.held.items()]


def unpack(artifact: Source, name: str) -> object | None:
    """A value as it was packed; what is large of it is read when it is needed.

    Args:
        artifact: that has it.
        name: as given to :func:`pack`, with or without ``.<type>.json``.

    Returns:
        None where the artifact has no value of that name.

    Raises:
        MalformedObject: there is one, but it is not what it claims to be.
    """
    for kind in _KINDS:
        suffix = f".{kind.TYPE}.json"
        path = name if name.endswith(suffix) else name + suffix
        try:
            entry = artifact.get_entry(path)
        except KeyError:
            continue
        try:
            value = kind.unpack(entry, path, Stored(artifact), _BY_TYPE)
        except RecursionError as exc:
            raise MalformedObject(f"{path!r} is nested too deep") from exc
        value.source = (artifact, path)
        return value
    return None


# -- in a run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Logged:
    """What becomes of a value that was logged.

    Attributes:
        record: in the history.
        files: path below the run's files to bytes.
        tables: those in the value, with the records that name their files, by the key that each has.
    """

    record: Json
    files: dict[str, bytes]
    tables: list[tuple[str, Table, JsonObject]]


def as_media(value: object) -> Media | None:
    """A value as media; figures and pictures of other libraries become images, dataframes tables.

    Raises:
        InvalidInput, InvalidType: it can't be made one.
    """
    maker = _maker(value)
    return value if isinstance(value, Media) else (maker(value) if maker else None)


def _maker(value: object) -> Callable[[object], Media] | None:
    """What makes media of a value of another library."""
    if type(value) in _NEVER:
        return None
    home = str(getattr(type(value), "__module__", "")).partition(".")[0]
    if home == "pandas" and hasattr(value, "iloc") and hasattr(value, "columns"):
        return lambda frame: Table(dataframe=frame)
    if home == "plotly" and callable(getattr(value, "to_json", None)):
        return Plotly
    if home == "matplotlib" and callable(getattr(value, "get_figure", getattr(value, "savefig", None))):
        return Image
    is_picture = home == "PIL" and callable(getattr(value, "tobytes", None))
    return Image if is_picture or (isinstance(value, ModuleType) and callable(getattr(value, "gcf", None))) else None


def holds_media(value: object, depth: int = 0) -> bool:
    """Whether there is media in a value: itself, or in dicts and lists.

    Args:
        value: that is logged.
        depth: of the value in others.

    Raises:
        LimitExceeded: nested deeper than 32.
    """
    if type(value) in _NEVER:
        return False
    if depth > JSON_DEPTH:
        raise LimitExceeded(f"values nested deeper than {JSON_DEPTH}", hint="or one that contains itself")
    if isinstance(value, Mapping):
        return any(holds_media(item, depth + 1) for item in value.values())
    if isinstance(value, list | tuple):
        return any(holds_media(item, depth + 1) for item in value)
    return isinstance(value, Media) or _maker(value) is not None


def log(key: str, step: int, value: object) -> Logged:
    """What the history says of a value with media in it, and what is kept.

    Args:
        key: under which it is logged; parts of dicts and lists are kept as ``key.part``.
        step: of the history.
        value: media, or dicts and lists with media in them.

    Raises:
        InvalidInput, InvalidType, LimitExceeded: the value can't be kept.
    """
    files: dict[str, bytes] = {}
    tables: list[tuple[str, Table, JsonObject]] = []

    def one(name: str, item: Media) -> JsonObject:
        held = Files.of_run(name, step)
        record = item.to_record(held)
        files.update(held.held)
        if isinstance(item, Table):
            tables.append((name, item, record))
        return record

    def any_of(name: str, item: object) -> Json:
        if not holds_media(item):
            return values.to_json(item)
        if isinstance(item, Mapping):
            return {str(part): any_of(f"{name}.{part}", inner) for part, inner in item.items()}
        if isinstance(item, list | tuple):
            made = [as_media(inner) for inner in item]
            alike = [inner for inner in made if inner is not None and type(inner) is type(made[0])]
            if len(alike) == len(item) and alike[0].TYPE in _TOGETHER:
                return _together(alike, [one(name, inner) for inner in alike])
            return [any_of(f"{name}.{place}", inner) for place, inner in enumerate(item)]
        return one(name, cast("Media", as_media(item)))

    return Logged(any_of(key, value), files, tables)


# What a list of media of one kind is called, and under which name the records are in it; W&B's.
_TOGETHER: Final = {
    Audio.TYPE: ("audio", "audio"),
    Html.TYPE: ("html", "html"),
    Image.TYPE: ("images/separated", ""),
    Molecule.TYPE: ("molecule", "molecules"),
    Object3D.TYPE: ("object3D", "objects"),
    Plotly.TYPE: ("plotly", "plotly"),
    Video.TYPE: ("videos", "videos"),
}


def _together(items: Sequence[Media], records: list[JsonObject]) -> JsonObject:
    """One record of a list of media; of images sizes are those of the first."""
    name, inner = _TOGETHER[items[0].TYPE]
    captions: list[Json] = [record.get("caption") for record in records]
    said: list[Json] | bool = captions if any(caption is not None for caption in captions) else False
    both: JsonObject = {"_type": name, "captions": said, "count": len(items)}
    paths: list[Json] = [record["path"] for record in records]
    if inner:
        return {**both, "filenames": paths, inner: cast("list[Json]", records)}
    first = {part: records[0][part] for part in ("format", "height", "width")}
    layers: JsonObject = {
        f"all_{part}": [record.get(part) for record in records]
        for part in ("boxes", "masks", "classes")
        if any(part in record for record in records)
    }
    return {**both, "filenames": paths, **first, **layers}


def table_artifact(run_id: str, key: str) -> tuple[str, str]:
    """The name of the artifact that holds a logged table, and of the table in it."""
    safe = _UNUSABLE.sub("", key).lstrip(".-") or "table"
    return f"run-{run_id}-{safe}"[: names.NAME_BYTES], safe[: names.NAME_BYTES]
