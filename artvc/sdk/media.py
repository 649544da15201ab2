"""Media in runs and in artifacts: records for the history, and the files that an artifact keeps of a value.

In an artifact a value ``t`` is ``t.<type>.json``, W&B's record of it, beside files below ``media/`` that are named
by their content.  Reading one back believes nothing: see :class:`~artvc.sdk.media_value.Stored`.
"""

import json
from collections.abc import Sequence
from typing import Final

from artvc.errors import InvalidType, MalformedObject
from artvc.model import names
from artvc.model.objects import Json, JsonObject
from artvc.sdk.image import Classes, Image
from artvc.sdk.media_value import RECORD_BYTES, Files, Media, Source, Stored, parse, read

_KINDS: Final[tuple[type[Media], ...]] = (Classes, Image)
_BY_TYPE: Final = {kind.TYPE: kind for kind in _KINDS}
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
    record = value.to_record(files)
    suffix = f".{value.TYPE}.json"
    path = names.logical_path(name)
    path = path if path.endswith(suffix) else path + suffix
    return [(path, json.dumps(record, sort_keys=True).encode()), *files.held.items()]


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
        record = parse(read(entry, RECORD_BYTES, path), path)
        if record.get("_type") != kind.TYPE:
            raise MalformedObject(f"{path!r} says that it is {record.get('_type')!r:.80}, not {kind.TYPE!r}")
        value = kind.from_record(record, Stored(artifact))
        value.source = (artifact, path)
        return value
    return None


# -- records ----------------------------------------------------------------------------------------------


def image_record(key: str, step: int, image: Image) -> tuple[JsonObject, list[tuple[str, bytes]]]:
    """What the history says of one image, and the file to be kept: path below the run's files, bytes."""
    files = Files.of_run(key, step)
    return image.to_record(files), list(files.held.items())


def images_record(key: str, step: int, images: Sequence[Image]) -> tuple[JsonObject, list[tuple[str, bytes]]]:
    """The same of a list of images: one record with all files and captions; sizes are those of the first."""
    files = Files.of_run(key, step)
    records = [image.to_record(files) for image in images]
    captions: list[Json] = [image.caption for image in images]
    record: JsonObject = {
        "_type": "images/separated",
        "captions": captions if any(caption is not None for caption in captions) else False,
        "count": len(images),
        "filenames": [one["path"] for one in records],
        "format": images[0].format,
        "height": images[0].height,
        "width": images[0].width,
    }
    for name in ("boxes", "masks", "classes"):
        if any(name in one for one in records):
            record[f"all_{name}"] = [one.get(name) for one in records]
    return record, list(files.held.items())
