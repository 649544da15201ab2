"""Pixels of pictures: from tensors, arrays, nested lists, PIL pictures and figures, and as PNG or BMP files.

Nothing is imported for that but, where it is installed, numpy; the files are written here.  JPEG needs Pillow.
"""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from artvc.errors import InvalidInput, InvalidType
from artvc.sdk.media_value import needed

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's colour type
_PICTURE_MODES: Final = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_GRID_COLUMNS: Final = 8
_GRID_GAP: Final = 2
FILE_TYPES: Final = ("png", "jpg", "jpeg", "bmp")


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
    _check(pixels)
    stride = pixels.width * pixels.channels
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


def _check(pixels: Pixels) -> None:
    size = pixels.width * pixels.height * pixels.channels
    if pixels.channels not in _COLOURS or not size or len(pixels.data) != size:
        raise InvalidInput(f"no picture: {pixels.height} x {pixels.width} pixels of {pixels.channels} channels")


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def encode(pixels: "Pixels | bytes", file_type: str) -> bytes:
    """An image file.

    Args:
        pixels: or a finished PNG file.
        file_type: ``png``, ``bmp``, ``jpg`` or ``jpeg``.

    Raises:
        InvalidInput: another file type.
        UsageError: it needs Pillow, which is not installed.
    """
    if file_type not in FILE_TYPES:
        raise InvalidInput(f"images can't be kept as {file_type!r}", hint=f"use one of {', '.join(FILE_TYPES)}")
    if file_type == "png":
        return pixels if isinstance(pixels, bytes) else encode_png(pixels)
    if file_type == "bmp" and isinstance(pixels, Pixels):
        return encode_bmp(pixels)
    picture = open_picture(pixels if isinstance(pixels, bytes) else encode_png(pixels), f"a {file_type} file")
    buffer = io.BytesIO()
    picture.convert("L" if picture.mode in {"L", "LA"} else "RGB").save(buffer, "bmp" if file_type == "bmp" else "jpeg")
    return buffer.getvalue()


def encode_bmp(pixels: Pixels) -> bytes:
    """A BMP file of 24 bits a pixel; what shines through is left out.

    Raises:
        InvalidInput: as :func:`encode_png`.
    """
    _check(pixels)
    channels = pixels.channels
    red, green, blue = (0, 1, 2) if channels > 2 else (0, 0, 0)
    packed = bytearray(3 * pixels.width * pixels.height)
    for place, channel in enumerate((blue, green, red)):
        packed[place::3] = pixels.data[channel::channels]
    stride = 3 * pixels.width
    rows = [bytes(packed[at : at + stride]).ljust(-(-stride // 4) * 4, b"\0") for at in range(0, len(packed), stride)]
    body = b"".join(reversed(rows))
    head = struct.pack("<IiiHHIIiiII", 40, pixels.width, pixels.height, 1, 24, 0, len(body), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body


def open_picture(data: bytes, what: str) -> Any:
    """An image file as a PIL picture.

    Args:
        data: the file.
        what: it is needed for, for the message.

    Raises:
        UsageError: Pillow is not installed.
        InvalidInput: it is no image that Pillow can read.
    """
    pictures = needed("PIL.Image", what)
    try:
        return pictures.open(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError, pictures.DecompressionBombError) as exc:
        raise InvalidInput(f"no picture that Pillow can read: {exc}") from exc


def size_of(data: bytes) -> tuple[int | None, int | None]:
    """Width and height of a PNG, GIF, BMP or JPEG file; None where they can't be told."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in {b"GIF87a", b"GIF89a"} and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    if data[:2] == b"BM" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return width, abs(height)
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None, None


# -- making pixels ----------------------------------------------------------------------------------------


def pixels_of(data: Any, mode: str | None, normalize: bool) -> Pixels | bytes:
    """Pixels, or the finished PNG file of a figure.

    Args:
        data: see :class:`artvc.Image`.
        mode: PIL's name for the channels wanted of a PIL picture; None for its own.
        normalize: False takes floats as 0 to 255 whatever their range.

    Raises:
        InvalidInput: a shape that is no picture.
        InvalidType: nothing that a picture can be made of.
    """
    if callable(getattr(data, "gcf", None)):  # pyplot
        data = data.gcf()
    if callable(getattr(data, "get_figure", None)) and not callable(getattr(data, "savefig", None)):  # axes
        data = data.get_figure()
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
        return _from_samples(data, channels_first, normalize)
    except (IndexError, TypeError, ValueError) as exc:  # rows of different length
        if isinstance(exc, InvalidInput | InvalidType):
            raise
        raise _no_picture(shape_of(data)) from exc


def _from_picture(picture: Any, mode: str | None) -> Pixels:
    """A PIL picture; modes that PNG lacks are converted."""
    wanted = mode if mode in _PICTURE_MODES else picture.mode
    if wanted not in _PICTURE_MODES:
        see_through = "A" in picture.mode or "a" in picture.mode or "transparency" in picture.info
        wanted = "RGBA" if see_through else ("L" if picture.mode in {"1", "I", "F", "I;16"} else "RGB")
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    return Pixels(picture.width, picture.height, _PICTURE_MODES[wanted], picture.tobytes())


def _from_samples(data: Any, channels_first: bool, normalize: bool) -> Pixels:
    try:
        import numpy  # noqa: PLC0415 -- optional
    except ImportError:
        return _from_nested(data, channels_first, normalize)
    return _from_array(numpy, numpy.asarray(data), channels_first, normalize)


def _from_array(numpy: Any, array: Any, channels_first: bool, normalize: bool) -> Pixels:
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"no picture: an array of {array.dtype}")
    shape = array.shape
    while _leading_one(array.shape, channels_first):
        array = array[0]
    if array.ndim == 5:
        array = array.reshape(-1, *array.shape[2:])
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
    """The same without numpy, for nested lists and arrays that can become some."""
    nested = data.tolist() if hasattr(data, "tolist") else data
    shape = shape_of(nested)
    axes = list(shape)
    while _leading_one(axes, channels_first):
        nested, axes = nested[0], axes[1:]
    if len(axes) == 5:
        nested, axes = [one for group in nested for one in group], [axes[0] * axes[1], *axes[2:]]
    if len(axes) == 4:
        nested = _nested_grid([_interleaved(one, axes[1:], channels_first) for one in nested])
    elif len(axes) == 2:
        nested = [[[item] for item in row] for row in nested]
    elif len(axes) == 3:
        nested = _interleaved(nested, axes, channels_first)
    height, width, channels, *more = (*shape_of(nested), 0, 0, 0)[: max(3, len(shape_of(nested)))]
    if more or channels not in _COLOURS or not height * width or len(axes) > 4:
        raise _no_picture(shape)
    samples = [item for row in nested for pixel in row for item in pixel]
    if len(samples) != height * width * channels or not all(isinstance(one, int | float) for one in samples):
        raise _no_picture(shape)
    return Pixels(width, height, channels, bytes(map(_rounding(samples, normalize), samples)))


def _interleaved(nested: Any, axes: Sequence[int], channels_first: bool) -> Any:
    """A picture of three axes with the channels last."""
    if not _has_channels_first(axes, channels_first):
        return nested
    return [[[plane[y][x] for plane in nested] for x in range(axes[2])] for y in range(axes[1])]


def _nested_grid(pictures: list[Any]) -> Any:
    """What :func:`_grid` makes, of pictures (H, W, C)."""
    height, wide, channels = (*shape_of(pictures[0]), 0, 0, 0)[:3] if pictures else (0, 0, 0)
    columns = min(_GRID_COLUMNS, len(pictures))
    empty = [0] * channels
    gap = [empty] * _GRID_GAP
    blank = [empty] * ((wide + _GRID_GAP) * columns + _GRID_GAP)
    grid = [blank] * _GRID_GAP
    for start in range(0, len(pictures), columns or 1):
        line = pictures[start : start + columns]
        for y in range(height):
            row = [*gap, *(pixel for one in line for pixel in [*one[y], *gap])]
            grid += [row + blank[len(row) :]]
        grid += [blank] * _GRID_GAP
    return grid


def _rounding(samples: Sequence[float], normalize: bool) -> Callable[[float], int]:
    """How one sample becomes a byte."""
    if all(isinstance(one, bool) for one in samples):
        return lambda one: 255 if one else 0
    shift, factor = 0.0, 1.0
    if normalize and any(isinstance(one, float) for one in samples):
        finite = [one for one in samples if one == one and abs(one) != float("inf")]
        shift, factor = _scale(min(finite, default=0.0), max(finite, default=0.0))
    return lambda one: int(min(255.0, max(0.0, (one - shift) * factor)) + 0.5) if one == one else 0


def shape_of(nested: Any) -> tuple[int, ...]:
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
