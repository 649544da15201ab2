"""Images for the history: made from arrays, pictures, figures or files, and kept as PNG.

Nothing is imported for that but, where it is installed, numpy; the PNG is written here.
"""

import hashlib
import io
import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from artvc.errors import InvalidInput, InvalidType
from artvc.model import names
from artvc.model.objects import Json, JsonObject
from artvc.sdk import environment

HASH_DIGITS: Final = 20
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's colour type
_PICTURE_MODES: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_KEY_BYTES: Final = 120
_KEY_PARTS: Final = 6
_GRID_COLUMNS: Final = 8
_GRID_GAP: Final = 2
_UNSAFE = re.compile(r"[^\w\-./ ]")


class Image:
    """A picture to be logged: ``run.log({"examples": [Image(tensor, caption="a seven"), ...]})``.

    Args:
        data_or_path: one of

            * a tensor or array of 2 to 5 axes.  Axes of length 1 in front are dropped.  Of the three axes that
              remain, torch tensors have the channels first (C, H, W), arrays last (H, W, C); 1 to 4 channels
              (grey, grey+alpha, RGB, RGBA).  A batch (N, C, H, W) becomes one picture, eight to a row.
              Integers are taken as 0 to 255.  Floats within 0 to 1 are scaled by 255; with negative ones among
              them, from their least to their greatest; others are taken as 0 to 255.
            * a PIL picture, a matplotlib figure or pyplot itself,
            * the path of an image file, which is kept as it is.
        mode: PIL's name for the channels ("L", "RGB"...); understood for PIL pictures.
        caption: shown below it.
        normalize: False takes floats as 0 to 255 whatever their range.
        more: W&B's other arguments; those without a meaning here are left out with a warning.

    Raises:
        InvalidInput: a shape that is no picture, or no such file.
        InvalidType: nothing that a picture can be made of.
    """

    def __init__(
        self,
        data_or_path: object,
        mode: str | None = None,
        caption: str | None = None,
        *,
        normalize: bool = True,
        **more: object,
    ) -> None:
        self.caption = caption
        given = sorted(name for name, value in more.items() if value is not None)
        if given:
            environment.warn(f"Image: {', '.join(given)} left out")
        if isinstance(data_or_path, str | os.PathLike):
            self.data, self.format = _read_file(os.fspath(data_or_path))
            self.width, self.height = _size_of(self.data)
            return
        self.format = "png"
        pixels = _pixels(data_or_path, mode, normalize)
        if isinstance(pixels, bytes):
            self.data = pixels
            self.width, self.height = _size_of(pixels)
        else:
            self.data = encode_png(pixels)
            self.width, self.height = pixels.width, pixels.height

    def __repr__(self) -> str:
        return f"Image({self.width}x{self.height} {self.format}, caption={self.caption!r})"


@dataclass(frozen=True, slots=True)
class Pixels:
    """8-bit samples, row by row, channels interleaved: ``width * height * channels`` bytes."""

    width: int
    height: int
    channels: int
    data: bytes


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of 8 bits a sample.

    Raises:
        InvalidInput: not 1 to 4 channels, no pixels, or too few bytes.
    """
    stride = pixels.width * pixels.channels
    if pixels.channels not in _COLOURS or not stride or len(pixels.data) != stride * pixels.height:
        raise InvalidInput(f"no picture: {pixels.height} x {pixels.width} pixels of {pixels.channels} channels")
    view = memoryview(pixels.data)
    rows = b"".join(b"\0" + view[at : at + stride] for at in range(0, len(view), stride))
    head = struct.pack(">IIBBBBB", pixels.width, pixels.height, 8, _COLOURS[pixels.channels], 0, 0, 0)
    return b"".join(
        [
            _PNG,
            _png_chunk(b"IHDR", head),
            _png_chunk(b"IDAT", zlib.compress(rows, 6)),
            _png_chunk(b"IEND", b""),
        ]
    )


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _read_file(path: str) -> tuple[bytes, str]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as exc:
        raise InvalidInput(f"cannot read image {path!r}: {exc.strerror}") from exc
    return data, os.path.splitext(path)[1].lstrip(".").lower() or "png"


def _size_of(data: bytes) -> tuple[int | None, int | None]:
    """Width and height of a PNG, GIF or JPEG file; None where they can't be told."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in {b"GIF87a", b"GIF89a"} and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None, None


# -- making pixels ----------------------------------------------------------------------------------------


def _pixels(data: Any, mode: str | None, normalize: bool) -> Pixels | bytes:
    """Pixels, or a finished PNG file."""
    if callable(getattr(data, "gcf", None)):  # pyplot
        data = data.gcf()
    if callable(getattr(data, "savefig", None)):
        buffer = io.BytesIO()
        data.savefig(buffer, format="png")
        return buffer.getvalue()
    if callable(getattr(data, "tobytes", None)) and callable(getattr(data, "convert", None)):
        return _from_picture(data, mode)
    channels_first = callable(getattr(data, "detach", None))
    if channels_first:
        data = data.detach().cpu()
        if getattr(data.dtype, "itemsize", 8) < 4 and data.is_floating_point():
            data = data.float()  # bfloat16 and the 8-bit floats have no numpy type
    if not hasattr(data, "shape") and not isinstance(data, list | tuple):
        raise InvalidType(f"no picture can be made of {type(data).__name__}", hint="give a tensor, array or path")
    try:
        import numpy  # noqa: PLC0415 -- optional
    except ImportError:
        return _from_nested(data, channels_first, normalize)
    return _from_array(numpy, numpy.asarray(data), channels_first, normalize)


def _from_picture(picture: Any, mode: str | None) -> Pixels:
    """A PIL picture; modes that PNG lacks are converted."""
    wanted = mode if mode in _PICTURE_MODES else picture.mode
    if wanted not in _PICTURE_MODES:
        see_through = "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info
        wanted = "RGBA" if see_through else ("L" if picture.mode in {"1", "I", "F", "I;16"} else "RGB")
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    return Pixels(picture.width, picture.height, _PICTURE_MODES[wanted], picture.tobytes())


def _from_array(numpy: Any, array: Any, channels_first: bool, normalize: bool) -> Pixels:
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"no picture: an array of {array.dtype}")
    shape = array.shape
    while _leading_one(array.shape, channels_first):
        array = array[0]
    if array.ndim == 4:
        array = _grid(numpy, array if channels_first else _channels_first(numpy, array))
        channels_first = True
    if array.ndim == 2:
        array = array[:, :, None]
    elif array.ndim == 3 and _has_channels_first(array.shape, channels_first):
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in _COLOURS or not array.size:
        raise _no_picture(shape)
    if array.dtype.kind == "f":
        array = numpy.nan_to_num(array.astype(numpy.float64), nan=0.0, posinf=255.0, neginf=0.0)
        if normalize:
            low, high = float(array.min()), float(array.max())
            shift, factor = _scale(low, high)
            array = (array - shift) * factor
        array = numpy.floor(array + 0.5)
    elif array.dtype.kind == "b":
        array = array.astype(numpy.uint8) * 255
    array = numpy.ascontiguousarray(array.clip(0, 255).astype(numpy.uint8))
    height, width, channels = array.shape
    return Pixels(width, height, channels, array.tobytes())


def _scale(low: float, high: float) -> tuple[float, float]:
    """What to subtract from floats of that range, and what to multiply them with then."""
    if low < 0:
        return low, 255.0 / (high - low) if high > low else 0.0
    return 0.0, 255.0 if high <= 1 else 1.0


def _leading_one(shape: Sequence[int], channels_first: bool) -> bool:
    """Whether the first axis is one too many: of three, it may also be the height of an (H, W, C) picture."""
    if len(shape) < 3 or shape[0] != 1:
        return False
    return len(shape) > 3 or channels_first or shape[2] not in _COLOURS


def _has_channels_first(shape: Sequence[int], expected: bool) -> bool:
    """Where the channels are: where the library has them, unless only the other end can be channels."""
    first, last = shape[0] in _COLOURS, shape[2] in _COLOURS
    return first if expected else first and not last


def _channels_first(numpy: Any, batch: Any) -> Any:
    return batch if _has_channels_first(batch.shape[1:], False) else batch.transpose(0, 3, 1, 2)


def _grid(numpy: Any, batch: Any) -> Any:
    """A batch (N, C, H, W) as one picture (C, rows, columns), black between the parts."""
    count, channels, height, width = batch.shape
    columns = min(_GRID_COLUMNS, count)
    lines = -(-count // columns) if count else 0
    high, wide = height + _GRID_GAP, width + _GRID_GAP
    grid = numpy.zeros((channels, lines * high + _GRID_GAP, columns * wide + _GRID_GAP), batch.dtype)
    for i in range(count):
        top, left = i // columns * high + _GRID_GAP, i % columns * wide + _GRID_GAP
        grid[:, top : top + height, left : left + width] = batch[i]
    return grid


def _from_nested(data: Any, channels_first: bool, normalize: bool) -> Pixels:
    """The same without numpy, for nested lists and arrays that can become some; no batches."""
    nested = data.tolist() if hasattr(data, "tolist") else data
    shape = _shape(nested)
    axes = list(shape)
    while _leading_one(axes, channels_first):
        nested, axes = nested[0], axes[1:]
    if len(axes) == 2:
        nested, axes = [[[item] for item in row] for row in nested], [*axes, 1]
    elif len(axes) == 3 and _has_channels_first(axes, channels_first):
        channels, height, width = axes
        nested = [[[nested[c][y][x] for c in range(channels)] for x in range(width)] for y in range(height)]
        axes = [height, width, channels]
    if len(axes) != 3 or axes[2] not in _COLOURS or not all(axes):
        raise _no_picture(shape)
    samples = [item for row in nested for pixel in row for item in pixel]
    return Pixels(axes[1], axes[0], axes[2], bytes(map(_rounding(samples, normalize), samples)))


def _rounding(samples: Sequence[float], normalize: bool) -> Callable[[float], int]:
    """How one sample becomes a byte."""
    if all(isinstance(one, bool) for one in samples):
        return lambda one: 255 if one else 0
    shift, factor = 0.0, 1.0
    if normalize and any(isinstance(one, float) for one in samples):
        finite = [one for one in samples if one == one and abs(one) != float("inf")]
        shift, factor = _scale(min(finite, default=0.0), max(finite, default=0.0))
    return lambda one: int(min(255.0, max(0.0, (one - shift) * factor)) + 0.5) if one == one else 0


def _shape(nested: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(nested, list | tuple):
        shape.append(len(nested))
        nested = nested[0] if nested else None
    return tuple(shape)


def _no_picture(shape: Sequence[int]) -> InvalidInput:
    return InvalidInput(
        f"no picture: an array of shape {tuple(shape)}",
        hint="(H, W), (C, H, W) for tensors, (H, W, C) for arrays, with 1 to 4 channels; 1s in front are dropped",
    )


# -- records ----------------------------------------------------------------------------------------------


def image_record(key: str, step: int, image: Image) -> tuple[JsonObject, list[tuple[str, bytes]]]:
    """What the history says of one image, and the file to be kept: path below the run's files, bytes."""
    path = _path(key, step, image)
    record: JsonObject = {
        "_type": "image-file",
        "caption": image.caption,
        "format": image.format,
        "height": image.height,
        "path": path,
        "sha256": hashlib.sha256(image.data).hexdigest(),
        "size": len(image.data),
        "width": image.width,
    }
    return record, [(path, image.data)]


def images_record(key: str, step: int, images: Sequence[Image]) -> tuple[JsonObject, list[tuple[str, bytes]]]:
    """The same of a list of images: one record with all files and captions; sizes are those of the first."""
    files = [(_path(key, step, image), image.data) for image in images]
    captions: list[Json] = [image.caption for image in images]
    record: JsonObject = {
        "_type": "images/separated",
        "captions": captions if any(caption is not None for caption in captions) else False,
        "count": len(images),
        "filenames": [path for path, _ in files],
        "format": images[0].format,
        "height": images[0].height,
        "width": images[0].width,
    }
    return record, files


def _path(key: str, step: int, image: Image) -> str:
    """``media/images/<key>_<step>_<hash>.png``; a key ``a/b`` makes a directory."""
    parts = [part.encode()[:_KEY_BYTES].decode(errors="ignore").strip(". ") or "_" for part in key.split("/")]
    safe = _UNSAFE.sub("_", "/".join(parts[:_KEY_PARTS]))
    digest = hashlib.sha256(image.data).hexdigest()[:HASH_DIGITS]
    suffix = _UNSAFE.sub("_", image.format)[:8]
    return names.logical_path(f"media/images/{safe}_{step}_{digest}.{suffix}")
