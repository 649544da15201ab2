"""Histograms, and the media that are one file: web pages, sounds, videos, 3D objects, molecules, plotly figures."""

import array
import bisect
import io
import json
import math
import os
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self, cast

from artvc.errors import InvalidInput, InvalidType, MalformedObject
from artvc.model.objects import Json, JsonObject
from artvc.sdk import environment, values
from artvc.sdk.media_value import Files, Media, Stored, file_bytes, listed, needed

BINS: Final = 512
FRAMES_A_SECOND: Final = 4
_VIDEO_SUFFIXES: Final = ("gif", "mp4", "webm", "ogg")
_OBJECT_SUFFIXES: Final = ("babylon", "glb", "gltf", "obj", "pts.json", "stl")
_MOLECULE_SUFFIXES: Final = ("cif", "gro", "mcif", "mmcif", "mmtf", "mol2", "pdb", "pqr", "sd", "sdf")
_SAMPLE_BITS: Final = 16
_MANY: Final = 1000
Path = str | os.PathLike[str]


class Histogram(Media):
    """How often values occur: ``Histogram(losses)``, or counts that are there already.

    Numbers that are not finite are left out, with a warning.

    Args:
        sequence: numbers; an array or a tensor of any shape, or nested lists.
        np_histogram: counts and the edges between them, as ``numpy.histogram`` returns.
        num_bins: into how many bins of equal width ``sequence`` goes, at most 512.

    Attributes:
        histogram: the counts.
        bins: the edges, one more.

    Raises:
        InvalidInput: too many bins, or not one edge more than counts.
        InvalidType: neither is given, or no numbers.
    """

    TYPE: ClassVar[str] = "histogram"

    def __init__(
        self,
        sequence: object = None,
        np_histogram: Any = None,
        num_bins: int = 64,
    ) -> None:
        if np_histogram is not None:
            if not isinstance(np_histogram, list | tuple) or len(np_histogram) < 2:
                raise InvalidInput(
                    "np_histogram is a pair of counts and edges", hint="pass what numpy.histogram returns"
                )
            self.histogram = _numbers(np_histogram[0])
            self.bins = _numbers(np_histogram[1])
        elif sequence is None:
            raise InvalidType("a histogram needs numbers", hint="Histogram(sequence) or np_histogram=")
        else:
            if not 1 <= num_bins <= BINS:
                raise InvalidInput(f"a histogram has 1 to {BINS} bins, not {num_bins}", hint="pass num_bins=")
            counted = _counted_array(sequence, num_bins)
            self.histogram, self.bins = counted or _counted(_numbers(sequence), num_bins)
        if len(self.histogram) > BINS:
            raise InvalidInput(f"a histogram has at most {BINS} bins, not {len(self.histogram)}")
        if len(self.bins) != len(self.histogram) + 1:
            raise InvalidInput(
                f"{len(self.histogram)} counts need {len(self.histogram) + 1} edges, not {len(self.bins)}"
            )

    def __repr__(self) -> str:
        return f"Histogram({sum(self.histogram)} values in {len(self.histogram)} bins)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and (self.histogram, self.bins) == (other.histogram, other.bins)

    def __hash__(self) -> int:
        return hash((tuple(self.histogram), tuple(self.bins)))

    def to_record(self, files: Files) -> JsonObject:
        """The record, which is all there is."""
        return {
            "_type": self.TYPE,
            "bins": cast("list[Json]", list(self.bins)),
            "values": cast("list[Json]", list(self.histogram)),
        }

    @classmethod
    def from_record(cls, record: JsonObject, stored: Stored) -> Self:
        """From the record of an artifact."""
        try:
            return cls(np_histogram=(cast("Any", record.get("values")), cast("Any", record.get("bins"))))
        except (InvalidInput, InvalidType) as exc:
            raise MalformedObject(f"malformed histogram: {exc}") from exc


class FileMedia(Media):
    """Media that are one file and a caption.

    Two are equal if their files and captions are.

    Attributes:
        KIND: the directory below ``media``.
        caption: shown below it, or None.
        suffix: of the file, with the dot.
    """

    KIND: ClassVar[str]
    caption: str | None
    suffix: str
    _load: Callable[[], bytes]

    def _set(self, data: bytes, suffix: str, caption: object = None) -> None:
        self._load = lambda: data
        self.suffix = f".{suffix}"
        self.caption = None if caption is None else str(caption)

    @property
    def data(self) -> bytes:
        """The file.  Raises NotFound or Damaged where it comes from an artifact that is not whole."""
        return self._load()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.suffix[1:]}, caption={self.caption!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FileMedia) or type(other) is not type(self):
            return NotImplemented
        return (self.suffix, self.caption) == (other.suffix, other.caption) and self.data == other.data

    def __hash__(self) -> int:
        return hash((type(self), self.suffix, self.caption))

    def to_record(self, files: Files) -> JsonObject:
        """Keep the file; returns the record."""
        record = {"_type": self.TYPE, **files.add(self.KIND, self.suffix, self.data)}
        return record if self.caption is None else {**record, "caption": self.caption}

    @classmethod
    def from_record(cls, record: JsonObject, stored: Stored) -> Self:
        """From the record of an artifact; the file is read when it is needed."""
        path, caption = record.get("path"), record.get("caption")
        load = stored.content(path)
        made = cls.__new__(cls)
        made._load = load
        made.suffix = "." + str(path).rpartition("/")[2].partition(".")[2]
        made.caption = caption if isinstance(caption, str) else None
        return made


class Html(FileMedia):
    """A web page, kept as it is.

    Args:
        data: HTML text, the path of a file with it, or an open file.
        inject: accepted for W&B's sake, which adds its own style then.
        data_is_not_path: ``data`` is text even if there is a file of that name.

    Raises:
        InvalidType: none of these.
        InvalidInput: the file can't be read or is no UTF-8.
    """

    TYPE: ClassVar[str] = "html-file"
    KIND: ClassVar[str] = "html"

    def __init__(self, data: object, inject: bool = True, data_is_not_path: bool = False) -> None:
        if isinstance(data, os.PathLike) or (isinstance(data, str) and not data_is_not_path and os.path.isfile(data)):
            text = _utf8(file_bytes(cast("Path", data), "web page"), f"web page {os.fspath(cast('Path', data))!r}")
        elif isinstance(data, str):
            text = data
        elif callable(getattr(data, "read", None)):
            text = _utf8(_read(data), "web page")
        else:
            raise InvalidType(f"a web page is text, a path or a file, not {type(data).__name__}")
        self._set(text.encode("utf-8", "backslashreplace"), "html")

    @property
    def html(self) -> str:
        """The text."""
        return self.data.decode("utf-8", "replace")


class Audio(FileMedia):
    """A sound.

    Args:
        data_or_path: the path of a file, which is kept as it is; or samples of shape (N,) or (N, channels), which
            become a WAV file of 16 bits: floats from -1 to 1, integers of 16 bits as they are, of 32 or 8 bits
            scaled.
        sample_rate: samples a second, Hz; needed for samples.
        caption: shown below it.

    Raises:
        InvalidInput: no sample rate, another shape, or no such file.
        InvalidType: no samples.
    """

    TYPE: ClassVar[str] = "audio-file"
    KIND: ClassVar[str] = "audio"

    def __init__(self, data_or_path: object, sample_rate: int | None = None, caption: str | None = None) -> None:
        if isinstance(data_or_path, str | os.PathLike):
            suffix = os.path.splitext(os.fspath(data_or_path))[1].lstrip(".").lower()
            self._set(file_bytes(data_or_path, "sound"), _clean(suffix) or "wav", caption)
            return
        if sample_rate is None:
            raise InvalidInput('Argument "sample_rate" is required for samples', hint="Audio(samples, sample_rate=...)")
        rate = values.to_json(sample_rate)
        if not isinstance(rate, int | float) or not 1 <= rate < 1 << 32:
            raise InvalidInput(f"a sample rate is a number of Hz, not {sample_rate!r:.80}")
        self._set(_wav(data_or_path, int(rate)), "wav", caption)


class Video(FileMedia):
    """A video.

    Args:
        data_or_path: the path of a gif, mp4, webm or ogg file, which is kept as it is; an open file of one; or
            frames, an array of shape (T, C, H, W), or (B, T, C, H, W) for several beside each other, with 1 or 3
            channels of uint8, or floats from 0 to 1.
        caption: shown below it.
        fps: frames a second, for frames; 4 if not given.
        format: ``gif`` (needs Pillow), ``mp4`` or ``webm`` (need imageio with ffmpeg); of frames gif if not given.

    Raises:
        InvalidInput: another format or shape, or no such file.
        InvalidType: nothing that a video can be made of.
        UsageError: what it needs is not installed; the message names it.
    """

    TYPE: ClassVar[str] = "video-file"
    KIND: ClassVar[str] = "videos"

    def __init__(
        self,
        data_or_path: object,
        caption: str | None = None,
        fps: int | None = None,
        format: str | None = None,
    ) -> None:
        if isinstance(data_or_path, str | os.PathLike):
            suffix = os.path.splitext(os.fspath(data_or_path))[1].lstrip(".").lower()
            data = file_bytes(data_or_path, "video") if suffix in _VIDEO_SUFFIXES else b""
        else:
            suffix = (format or "gif").lower().lstrip(".")
            data = b""
        if suffix not in _VIDEO_SUFFIXES:
            raise InvalidInput(f"no video format: {suffix!r}", hint=f"use one of {', '.join(_VIDEO_SUFFIXES)}")
        if not isinstance(data_or_path, str | os.PathLike):
            if callable(getattr(data_or_path, "read", None)):
                data = _read(data_or_path)
            elif suffix == "ogg":
                raise InvalidInput("frames can't be made an ogg file", hint="use format='gif', 'mp4' or 'webm'")
            else:
                data = _encode_video(data_or_path, fps or FRAMES_A_SECOND, suffix)
        self._set(data, suffix, caption)


class Object3D(FileMedia):
    """A point cloud or a 3D object.

    Args:
        data_or_path: points, an array of shape (N, 3) for x, y, z, (N, 4) with a category of 1 to 14, or (N, 6) with
            red, green, blue; a dict ``{"type": "lidar/beta", "points": ..., "boxes": ..., "vectors": ...}``; the
            path of a glb, gltf, obj, stl, babylon or pts.json file; or an open file.
        caption: shown below it.
        more: ``file_type`` of an open file.

    Raises:
        InvalidInput: another shape or file type, or no such file.
        InvalidType: nothing that it can be made of.
    """

    TYPE: ClassVar[str] = "object3D-file"
    KIND: ClassVar[str] = "object3D"

    def __init__(self, data_or_path: object, caption: str | None = None, **more: object) -> None:
        if isinstance(data_or_path, Mapping):
            if data_or_path.get("type") != "lidar/beta":
                raise InvalidInput("a 3D scene has the type 'lidar/beta'", hint='{"type": "lidar/beta", "points": ...}')
            scene = {str(key): listed(part) for key, part in data_or_path.items()}
            self._set(_dumped(scene), "pts.json", caption)
        elif isinstance(data_or_path, str | os.PathLike) or callable(getattr(data_or_path, "read", None)):
            data, suffix = _known_file(data_or_path, more.get("file_type"), "3D object", _OBJECT_SUFFIXES)
            self._set(data, suffix, caption)
        else:
            self._set(_dumped(_points(data_or_path)), "pts.json", caption)

    @classmethod
    def from_numpy(cls, data: object) -> Self:
        """From an array of points."""
        return cls(data)

    @classmethod
    def from_file(cls, data_or_path: object, file_type: str | None = None) -> Self:
        """From a path or an open file."""
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_point_cloud(
        cls,
        points: object,
        boxes: Sequence[object],
        vectors: Sequence[object] | None = None,
        point_cloud_type: str = "lidar/beta",
    ) -> Self:
        """From points, boxes (``corners``, ``label``, ``color``) and vectors (``start``, ``end``)."""
        scene = {"type": point_cloud_type, "points": points, "boxes": list(boxes), "vectors": list(vectors or [])}
        return cls(scene)


class Molecule(FileMedia):
    """A molecule.

    Args:
        data_or_path: the path of a pdb, pqr, mmcif, mcif, cif, sdf, sd, gro, mol2 or mmtf file; or an open file.
        caption: shown below it.
        more: ``file_type`` of an open file.

    Raises:
        InvalidInput: another file type, or no such file.
        InvalidType: neither.
    """

    TYPE: ClassVar[str] = "molecule-file"
    KIND: ClassVar[str] = "molecule"

    def __init__(self, data_or_path: object, caption: str | None = None, **more: object) -> None:
        data, suffix = _known_file(data_or_path, more.get("file_type"), "molecule", _MOLECULE_SUFFIXES)
        self._set(data, suffix, caption)

    @classmethod
    def from_rdkit(
        cls,
        data_or_path: Any,
        caption: str | None = None,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Self:
        """From a molecule of rdkit.

        Args:
            data_or_path: the molecule, or the path of a mol or sdf file.
            caption: shown below it.
            convert_to_3d_and_optimize: give it hydrogens and places in space, the same each time.
            mmff_optimize_molecule_max_iterations: how long to improve these.

        Raises:
            UsageError: rdkit is not installed.
            InvalidInput: rdkit can't read it.
        """
        chem = needed("rdkit.Chem", "a molecule of rdkit")
        molecule = data_or_path
        if isinstance(data_or_path, str | os.PathLike):
            data, _ = _known_file(data_or_path, None, "molecule", ("mol", "sdf"))
            molecule = chem.MolFromMolBlock(data.decode("utf-8", "replace"))
        if not isinstance(molecule, chem.Mol):
            raise InvalidInput(f"no molecule that rdkit can read: {data_or_path!r:.80}")
        if convert_to_3d_and_optimize:
            space = needed("rdkit.Chem.AllChem", "a molecule in space")
            molecule = chem.AddHs(molecule)
            if space.EmbedMolecule(molecule, randomSeed=1) == 0:
                space.MMFFOptimizeMolecule(molecule, maxIters=mmff_optimize_molecule_max_iterations)
        return cls(io.StringIO(chem.MolToPDBBlock(molecule)), caption, file_type="pdb")

    @classmethod
    def from_smiles(
        cls,
        data: str,
        caption: str | None = None,
        sanitize: bool = True,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Self:
        """From a SMILES text; the arguments, and what is raised, as for :meth:`from_rdkit`."""
        molecule = needed("rdkit.Chem", "a molecule of a SMILES text").MolFromSmiles(data, sanitize=sanitize)
        if molecule is None:
            raise InvalidInput(f"no SMILES text: {data!r:.80}")
        return cls.from_rdkit(molecule, caption, convert_to_3d_and_optimize, mmff_optimize_molecule_max_iterations)


class Plotly(FileMedia):
    """A figure of plotly, as JSON.

    Args:
        val: the figure; or the dict or JSON text of one.

    Raises:
        InvalidType: none of these.
        InvalidInput: the text is no JSON object.
    """

    TYPE: ClassVar[str] = "plotly-file"
    KIND: ClassVar[str] = "plotly"

    def __init__(self, val: Any) -> None:
        if callable(getattr(val, "to_json", None)):
            text = val.to_json()
        elif isinstance(val, Mapping):
            text = _dumped(val).decode()
        elif isinstance(val, str):
            text = val
        else:
            raise InvalidType(f"no figure of plotly: {type(val).__name__}", hint="log a matplotlib figure as an Image")
        try:
            is_object = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError, TypeError):
            is_object = False
        if not is_object:
            raise InvalidInput(f"no figure of plotly: {text!r:.80}")
        self._set(text.encode(), "plotly.json")


# -- numbers ----------------------------------------------------------------------------------------------


def _numbers(given: object) -> list[float]:
    """All numbers of nested lists, flat; integers stay what they are."""
    found: list[float] = []
    level: list[Any] = [listed(given)]
    while level:
        value = level.pop()
        value = value if isinstance(value, int | float) else listed(value)
        if isinstance(value, int | float):
            found.append(value)
        elif isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            level.extend(reversed(list(value)))
        else:
            raise InvalidType(f"numbers were expected, not {type(value).__name__}: {value!r:.80}")
    return found


def _counted(numbers: list[float], count: int) -> tuple[list[float], list[float]]:
    """Counts and edges of bins of equal width; the last bin has its upper edge in it."""
    finite = [one for one in numbers if math.isfinite(one)]
    low, high = _range(float(min(finite)), float(max(finite))) if finite else (0.0, 1.0)
    _say_left_out(len(numbers) - len(finite), len(numbers))
    width = high / count - low / count  # the difference alone may be infinite
    edges = [min(high, low + place * width) for place in range(count)] + [high]
    counts = [0] * count
    for one in finite:
        counts[min(count, bisect.bisect_right(edges, one)) - 1] += 1
    return list(counts), edges


def _counted_array(array: Any, count: int) -> tuple[list[float], list[float]] | None:
    """The same of a large array or tensor, by numpy; None where that does not help."""
    if not hasattr(array, "shape") or math.prod(array.shape) < _MANY:
        return None
    try:
        import numpy  # noqa: PLC0415 -- optional
    except ImportError:
        return None
    if callable(getattr(array, "detach", None)):
        array = array.detach().cpu().double()
    numbers = numpy.asarray(array)
    if numbers.dtype.kind not in "biuf":
        return None
    finite = numbers[numpy.isfinite(numbers)].astype(numpy.float64)
    low, high = _range(float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not math.isfinite(high - low):
        return None
    _say_left_out(numbers.size - finite.size, numbers.size)
    counts, edges = numpy.histogram(finite, count, (low, high))
    return counts.tolist(), edges.tolist()


def _range(low: float, high: float) -> tuple[float, float]:
    """What the bins span: at least something."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _say_left_out(count: int, of: int) -> None:
    if count:
        environment.warn(f"Histogram: {count} of {of} values are not finite, left out")


# -- files ------------------------------------------------------------------------------------------------


def _clean(suffix: str) -> str:
    return "".join(letter for letter in suffix if letter.isascii() and letter.isalnum())[:8]


def _read(file: Any) -> bytes:
    """What is in an open file, from its beginning where it can go there."""
    if callable(getattr(file, "seek", None)):
        file.seek(0)
    data = file.read()
    return data.encode("utf-8", "backslashreplace") if isinstance(data, str) else bytes(data)


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{what} is no UTF-8 text: {exc}") from exc


def _dumped(value: object) -> bytes:
    return json.dumps(values.to_json(value, non_finite="null"), separators=(",", ":")).encode()


def _known_file(given: object, file_type: object, what: str, suffixes: Sequence[str]) -> tuple[bytes, str]:
    """Content and suffix of a path or an open file of certain types."""
    if isinstance(given, str | os.PathLike):
        name = os.path.basename(os.fspath(given)).lower()
    elif not callable(getattr(given, "read", None)):
        raise InvalidType(f"a {what} is a path or an open file, not {type(given).__name__}")
    elif not isinstance(file_type, str):
        raise InvalidInput(f"an open file of a {what} needs file_type=", hint=f"one of {', '.join(suffixes)}")
    else:
        name = f"_.{file_type.lower().lstrip('.')}"
    suffix = next((one for one in suffixes if name.endswith(f".{one}")), None)
    if suffix is None:
        raise InvalidInput(f"no file type of a {what}: {name!r}", hint=f"use one of {', '.join(suffixes)}")
    return file_bytes(given, what) if isinstance(given, str | os.PathLike) else _read(given), suffix


def _points(given: object) -> list[Any]:
    points = listed(given)
    if not isinstance(points, list) or (not hasattr(given, "tolist") and not isinstance(given, list)):
        raise InvalidType(f"no 3D object: {type(given).__name__}", hint="give points, a dict, a path or an open file")
    widths = {len(point) if isinstance(point, list | tuple) else 0 for point in points}
    if len(widths) > 1 or not widths <= {3, 4, 6}:
        raise InvalidInput(
            f"points have {sorted(widths)} numbers each", hint="all 3 (x, y, z), 4 (and a category) or 6 (and r, g, b)"
        )
    return points


# -- sound ------------------------------------------------------------------------------------------------


def _wav(data: Any, rate: int) -> bytes:
    """A WAV file of 16 bits a sample."""
    itemsize = getattr(getattr(data, "dtype", None), "itemsize", 2)
    unsigned = (
        getattr(getattr(data, "dtype", None), "kind", "") == "u" or str(getattr(data, "dtype", "")) == "torch.uint8"
    )
    rows = listed(data)
    if not isinstance(rows, list | tuple):
        raise InvalidType(f"no sound: {type(data).__name__}", hint="give samples, or the path of a file")
    channels = len(rows[0]) if rows and isinstance(rows[0], list | tuple) else 1
    flat = [sample for row in rows for sample in row] if channels > 1 or _is_nested(rows) else rows
    if not 1 <= channels <= 64 or len(flat) != channels * len(rows) or _is_nested(flat):
        raise InvalidInput("samples have the shape (N,) or (N, channels), with at most 64 channels")
    if not all(isinstance(one, int | float) for one in flat):
        raise InvalidType("samples are numbers")
    samples = array.array("h", map(_sample(flat, itemsize, unsigned), flat))
    if sys.byteorder == "big":
        samples.byteswap()
    body = samples.tobytes()
    width = _SAMPLE_BITS // 8 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, min(rate * width, (1 << 32) - 1), width, _SAMPLE_BITS)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body))
    return b"RIFF" + struct.pack("<I", len(head) + len(body)) + head + body


def _is_nested(rows: Sequence[object]) -> bool:
    return any(isinstance(row, list | tuple) for row in rows)


def _sample(flat: Sequence[float], itemsize: int, unsigned: bool) -> Callable[[float], int]:
    """How one sample becomes 16 bits."""
    top = (1 << (_SAMPLE_BITS - 1)) - 1
    if any(isinstance(one, float) for one in flat):
        return lambda one: round(min(1.0, max(-1.0, one)) * top) if one == one else 0
    if itemsize == 1:
        return lambda one: (int(one) - 128) * 256 if unsigned else int(one) * 256
    shift = 16 if itemsize == 4 else 0
    return lambda one: min(top, max(-top - 1, int(one) >> shift))


# -- video ------------------------------------------------------------------------------------------------


def _encode_video(data: Any, fps: float, suffix: str) -> bytes:
    if callable(getattr(data, "detach", None)):
        data = data.detach().cpu()
    if not hasattr(data, "shape"):
        raise InvalidType(f"no video: {type(data).__name__}", hint="give an array (T, C, H, W) of frames, or a path")
    frames = _frames(needed("numpy", "a video of frames"), data)
    return _gif(frames, fps) if suffix == "gif" else _film(frames, fps, suffix)


def _frames(numpy: Any, data: Any) -> Any:
    """Frames (T, H, W, 3) of uint8; several videos lie beside each other."""
    frames = numpy.asarray(data)
    shape = frames.shape
    if frames.ndim == 5:
        count, times, channels, height, width = shape
        columns = math.ceil(math.sqrt(count)) or 1
        lines = -(-count // columns)
        full = numpy.zeros((lines * columns, *shape[1:]), frames.dtype)
        full[:count] = frames
        full = full.reshape(lines, columns, times, channels, height, width).transpose(2, 3, 0, 4, 1, 5)
        frames = full.reshape(times, channels, lines * height, columns * width)
    if frames.ndim != 4 or frames.shape[1] not in {1, 3} or not frames.size:
        raise InvalidInput(f"no video: frames of shape {shape}", hint="(T, C, H, W) or (B, T, C, H, W), C being 1 or 3")
    if frames.dtype.kind == "f":
        frames = numpy.nan_to_num(frames)
        frames = numpy.floor(frames * (255.0 if frames.max() <= 1 else 1.0) + 0.5)
    elif frames.dtype.kind not in "biu":
        raise InvalidInput(f"no video: frames of {frames.dtype}")
    frames = frames.clip(0, 255).astype(numpy.uint8).transpose(0, 2, 3, 1)
    return numpy.ascontiguousarray(numpy.broadcast_to(frames, (*frames.shape[:3], 3)))


def _gif(frames: Any, fps: float) -> bytes:
    pictures = needed("PIL.Image", "a gif")
    images = [pictures.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, "gif", save_all=True, append_images=images[1:], duration=max(1, round(1000 / fps)), loop=0)
    return buffer.getvalue()


def _film(frames: Any, fps: float, suffix: str) -> bytes:
    imageio = needed("imageio.v3", f"a {suffix} of frames")
    needed("imageio_ffmpeg", f"a {suffix} of frames")
    numpy = needed("numpy", f"a {suffix} of frames")
    # The encoders want even sides.
    frames = numpy.pad(frames, [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)])
    made: bytes = imageio.imwrite(
        "<bytes>", frames, extension=f".{suffix}", plugin="FFMPEG", fps=fps, macro_block_size=1
    )
    return made
