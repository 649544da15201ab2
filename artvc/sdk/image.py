"""Images, with the boxes and masks that lie on them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, cast

from artvc.errors import InvalidInput, InvalidType, MalformedObject
from artvc.model.objects import Json, JsonObject
from artvc.sdk import environment, pixels, values
from artvc.sdk.media_value import RECORD_BYTES, Files, Media, Stored, file_bytes, parse, read, suffix_of

Labels = dict[int, str]
_POSITIONS: Final = (("minX", "maxX", "minY", "maxY"), ("middle", "width", "height"))
_UNKNOWN_CLASSES: Final = "give class_labels= with the boxes and masks, or classes= to the image"


class Classes(Media):
    """The classes that boxes and masks name by number.

    Args:
        class_set: ``[{"id": 0, "name": "cat"}, ...]``; or a dict of ids and names.

    Raises:
        InvalidInput: an item without whole-numbered ``id`` or without ``name``.
        InvalidType: no list of dicts.
    """

    TYPE: ClassVar[str] = "classes"

    def __init__(self, class_set: "Sequence[Mapping[str, object]] | Mapping[int, str]") -> None:
        self.labels: Labels = {}
        if isinstance(class_set, Mapping):
            self.labels = _labels(class_set)
            return
        for one in class_set if _is_list(class_set) else [class_set]:
            if not isinstance(one, Mapping):
                raise InvalidType(f"a class is a dict with id and name, not {one!r:.80}")
            number = values.to_json(one.get("id"))
            if not isinstance(number, int) or isinstance(number, bool) or "name" not in one:
                raise InvalidInput(f"a class needs a whole-numbered id and a name: {dict(one)!r:.120}")
            self.labels[number] = str(one["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classes) and self.labels == other.labels

    def __hash__(self) -> int:
        return hash(frozenset(self.labels.items()))

    def __repr__(self) -> str:
        return f"Classes({self.labels!r})"

    @property
    def class_set(self) -> list[dict[str, Any]]:
        """``[{"id": 0, "name": "cat"}, ...]``, by number."""
        return [{"id": number, "name": name} for number, name in sorted(self.labels.items())]

    def to_record(self, files: Files) -> JsonObject:
        """The record, which is all there is."""
        return {"_type": self.TYPE, "class_set": cast("list[Json]", self.class_set)}

    @classmethod
    def from_record(cls, record: JsonObject, stored: Stored) -> Self:
        """From the record of an artifact."""
        try:
            return cls(cast("Any", record.get("class_set")))
        except (InvalidInput, InvalidType) as exc:
            raise MalformedObject(f"malformed classes: {exc}") from exc


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one kind on an image.

    Attributes:
        data: as W&B's ``box_data``: position, domain, class_id, scores, box_caption of each.
        labels: class number to name, as far as given.
    """

    data: list[JsonObject]
    labels: Labels

    def numbers(self) -> set[int]:
        """The classes that occur."""
        return {cast("int", one["class_id"]) for one in self.data}


@dataclass(frozen=True, slots=True)
class Mask:
    """The class of each pixel of an image.

    Attributes:
        data: an image file, grey values being class numbers.
        labels: class number to name, as far as given.
        found: the classes that occur; empty where the mask came as a file.
    """

    data: bytes
    labels: Labels
    found: frozenset[int]

    def numbers(self) -> frozenset[int]:
        """The classes that are known to occur."""
        return self.found


class Image(Media):
    """A picture to be logged: ``run.log({"examples": [Image(tensor, caption="a seven"), ...]})``.

    Two images are equal if their files, captions, boxes, masks and classes are.

    Args:
        data_or_path: one of

            * a tensor or array of 2 to 5 axes.  Axes of length 1 in front are dropped.  Of the three axes that
              remain, torch tensors have the channels first (C, H, W), arrays last (H, W, C); 1 to 4 channels
              (grey, grey+alpha, RGB, RGBA).  A batch (N, C, H, W) or (M, N, C, H, W) becomes one picture, eight to
              a row.  Integers are taken as 0 to 255.  Floats within 0 to 1 are scaled by 255; with negative ones
              among them, from their least to their greatest; others are taken as 0 to 255.
            * a PIL picture, a matplotlib figure, its axes or pyplot itself,
            * the path of an image file, which is kept as it is,
            * another Image, whose caption, boxes, masks and classes stay unless others are given.
        mode: PIL's name for the channels ("L", "RGB"...); understood for PIL pictures.
        caption: shown below it.
        grouping: accepted for W&B's sake.
        classes: :class:`Classes`, or what makes one.
        boxes: ``{"predictions": {"box_data": [...], "class_labels": {0: "cat"}}}``.  Each box is a dict with
            ``position`` (minX, maxX, minY, maxY, or middle, width, height; fractions of the picture, or pixels
            with ``"domain": "pixel"``), ``class_id``, and, if wanted, ``scores`` and ``box_caption``.
        masks: ``{"truth": {"mask_data": array, "class_labels": {0: "cat"}}}`` with integers 0 to 255 of shape
            (H, W), or ``path`` of an image file in place of ``mask_data``.
        file_type: ``png``, ``jpg`` (needs Pillow) or ``bmp``; files are kept as they are.
        normalize: False takes floats as 0 to 255 whatever their range.
        more: W&B's other arguments; those without a meaning here are left out with a warning.

    Raises:
        InvalidInput: a shape that is no picture, no such file, an unknown file type.
        InvalidType: nothing that a picture can be made of; a box or a mask that is not as above.
    """

    TYPE: ClassVar[str] = "image-file"
    width: int | None
    height: int | None

    def __init__(
        self,
        data_or_path: object,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: "Classes | Sequence[Mapping[str, object]] | Mapping[int, str] | None" = None,
        boxes: Mapping[str, Mapping[str, Any]] | None = None,
        masks: Mapping[str, Mapping[str, Any]] | None = None,
        file_type: str | None = None,
        normalize: bool = True,
        **more: object,
    ) -> None:
        given = sorted(name for name, value in more.items() if value is not None)
        if given:
            environment.warn(f"Image: {', '.join(given)} left out")
        self.caption = None if caption is None else str(caption)
        self.boxes = _all_boxes(boxes)
        self.masks = _all_masks(masks)
        self.classes = classes if isinstance(classes, Classes) or classes is None else Classes(classes)
        if isinstance(data_or_path, Image):
            self._copy(data_or_path)
        elif isinstance(data_or_path, str | os.PathLike):
            self._set(file_bytes(data_or_path, "image"), suffix_of(data_or_path, "png"))
        else:
            made = pixels.pixels_of(data_or_path, mode, normalize)
            kind = (file_type or "png").lower()
            self._set(pixels.encode(made, kind), "jpg" if kind == "jpeg" else kind)
            if isinstance(made, pixels.Pixels):
                self.width, self.height = made.width, made.height

    def _set(self, data: bytes, kind: str) -> None:
        self._load: Callable[[], bytes] = lambda: data
        self.format = kind
        self.width, self.height = pixels.size_of(data)

    def _copy(self, other: "Image") -> None:
        self._load, self.format, self.width, self.height = other._load, other.format, other.width, other.height
        self.caption = other.caption if self.caption is None else self.caption
        self.boxes = self.boxes or other.boxes
        self.masks = self.masks or other.masks
        self.classes = self.classes or other.classes

    def __repr__(self) -> str:
        return f"Image({self.width}x{self.height} {self.format}, caption={self.caption!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image):
            return NotImplemented
        return self._said() == other._said() and (self._load is other._load or self.data == other.data)

    def __hash__(self) -> int:
        return hash((self.caption, self.format, self.width, self.height))

    def _said(self) -> tuple[object, ...]:
        """All but the picture itself, in a form that can be compared; names of classes count wherever they stand."""
        boxes = {key: one.data for key, one in self.boxes.items()}
        masks = {key: one.data for key, one in self.masks.items()}
        return self.caption, self.format, boxes, masks, self.all_labels()

    @property
    def data(self) -> bytes:
        """The image file.  Raises NotFound or Damaged where it comes from an artifact that is not whole."""
        return self._load()

    @property
    def image(self) -> Any:
        """As a PIL picture.

        Raises:
            UsageError: Pillow is not installed.
            InvalidInput: it is a file that Pillow can't read.
        """
        return pixels.open_picture(self.data, "Image.image")

    def all_labels(self) -> Labels:
        """The names of all classes: those of boxes and masks, ``class_3`` for one without a name, then ``classes``."""
        layers: list[Boxes | Mask] = [*self.boxes.values(), *self.masks.values()]
        found = {number: f"class_{number}" for one in layers for number in one.numbers()}
        for one in layers:
            found.update(one.labels)
        found.update(self.classes.labels if self.classes is not None else {})
        return found

    def to_record(self, files: Files) -> JsonObject:
        """Keep the image, the masks and, in a run, the boxes; returns the record.

        Raises:
            InvalidInput: boxes or masks of which no class is known are to go into an artifact.
        """
        labels = self.all_labels()
        if files.in_artifact and (self.boxes or self.masks) and not labels:
            raise InvalidInput("an image with boxes or masks needs its classes in an artifact", hint=_UNKNOWN_CLASSES)
        record: JsonObject = {
            "_type": self.TYPE,
            "caption": self.caption,
            "format": self.format,
            "height": self.height,
            "width": self.width,
            **files.add("images", f".{self.format}", self.data),
        }
        if self.masks:
            record["masks"] = {key: _mask_record(mask, files) for key, mask in self.masks.items()}
        if self.boxes:
            record["boxes"] = {key: _boxes_record(boxes, files) for key, boxes in self.boxes.items()}
        if labels:
            record["classes"] = _classes_record(labels, files)
        return record

    @classmethod
    def from_record(cls, record: JsonObject, stored: Stored) -> Self:
        """From the record of an artifact; the files are read when they are needed."""
        made = cls.__new__(cls)
        made._load = stored.content(record.get("path"))
        made.format = _word(record.get("format"), "png")
        made.width, made.height = _length(record.get("width")), _length(record.get("height"))
        caption = record.get("caption")
        made.caption = caption if isinstance(caption, str) else None
        made.classes = _read_classes(record.get("classes"), stored)
        try:
            made.boxes = {key: _read_boxes(value) for key, value in _object(record.get("boxes")).items()}
            made.masks = {key: _read_mask(value, stored) for key, value in _object(record.get("masks")).items()}
        except (InvalidInput, InvalidType) as exc:
            raise MalformedObject(f"malformed boxes or masks of an image: {exc}") from exc
        return made


# -- boxes and masks --------------------------------------------------------------------------------------


def _all_boxes(given: object) -> dict[str, Boxes]:
    return {str(key): _boxes(str(key), value) for key, value in _layers(given, "boxes").items()}


def _all_masks(given: object) -> dict[str, Mask]:
    return {str(key): _mask(str(key), value) for key, value in _layers(given, "masks").items()}


def _layers(given: object, what: str) -> Mapping[Any, Mapping[str, Any]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(one, Mapping | Boxes | Mask) for one in given.values()):
        raise InvalidInput(f"{what} of an image must be a dict of dicts", hint='{"predictions": {...}}')
    return given


def _boxes(key: str, given: Mapping[str, Any]) -> Boxes:
    data = given.get("box_data")
    if not isinstance(data, list | tuple):
        raise InvalidType(f"the box_data of boxes {key!r} must be a list of boxes, not {type(data).__name__}")
    return Boxes([_box(one) for one in data], _labels(given.get("class_labels")))


def _box(given: object) -> JsonObject:
    """One box as JSON types, checked."""
    if not isinstance(given, Mapping):
        raise InvalidType(f"a box is a dict, not {type(given).__name__}")
    box = cast("JsonObject", values.to_json(given))
    position = box.get("position")
    if not isinstance(position, dict) or not any(set(keys) <= position.keys() for keys in _POSITIONS):
        raise InvalidType("a box needs a position of minX, maxX, minY and maxY, or of middle, width and height")
    middle = position.get("middle", [0, 0])
    if not isinstance(middle, list) or len(middle) != 2:
        raise InvalidType(f"the middle of a box is [x, y], not {middle!r:.80}")
    for number in [*middle, *(value for name, value in position.items() if name != "middle")]:
        if not _is_number(number):
            raise InvalidType(f"the position of a box is made of numbers, not {number!r:.80}")
    if type(box.get("class_id")) is not int:
        raise InvalidType(f"the class_id of a box must be an integer, not {box.get('class_id')!r:.80}")
    scores = box.get("scores", {})
    if scores is not None and not (isinstance(scores, dict) and all(map(_is_number, scores.values()))):
        raise InvalidType(f"the scores of a box are a dict of numbers, not {scores!r:.80}")
    if not isinstance(box.get("box_caption", ""), str | None):
        raise InvalidType(f"the box_caption of a box is text, not {box['box_caption']!r:.80}")
    return box


def _mask(key: str, given: Mapping[str, Any]) -> Mask:
    labels = _labels(given.get("class_labels"))
    if given.get("mask_data") is None:
        if not isinstance(given.get("path"), str | os.PathLike):
            raise InvalidInput(f"mask {key!r} has no mask_data", hint="give an array of shape (H, W), or path=")
        data = file_bytes(given["path"], "mask")
        if pixels.size_of(data) == (None, None):
            raise InvalidInput(f"mask {key!r}: {os.fspath(given['path'])!r} is no PNG, GIF, BMP or JPEG file")
        return Mask(data, labels, frozenset())
    width, height, flat = _grey(key, given["mask_data"])
    return Mask(pixels.encode_png(pixels.Pixels(width, height, 1, flat)), labels, frozenset(flat))


def _grey(key: str, data: Any) -> tuple[int, int, bytes]:
    """Width, height and samples of a mask."""
    if callable(getattr(data, "detach", None)):
        data = data.detach().cpu()
    nested = data.tolist() if hasattr(data, "tolist") else data
    shape = pixels.shape_of(nested)
    if len(shape) != 2 or not all(shape) or any(len(row) != shape[1] for row in nested):
        raise InvalidType(f"mask {key!r}: mask_data must be a 2D array, not one of shape {shape}")
    flat = [sample for row in nested for sample in row]
    if not all(isinstance(one, int | float) and 0 <= one <= 255 and one == int(one) for one in flat):
        raise InvalidType(f"mask {key!r}: mask_data must be integers between 0 and 255")
    return shape[1], shape[0], bytes(map(int, flat))


def _labels(given: object) -> Labels:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidType(f"class_labels are a dict of numbers and names, not {type(given).__name__}")
    try:
        return {int(number): str(name) for number, name in given.items()}
    except (TypeError, ValueError) as exc:
        raise InvalidType(f"class_labels are a dict of numbers and names: {given!r:.120}") from exc


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- their records ----------------------------------------------------------------------------------------


def _mask_record(mask: Mask, files: Files) -> JsonObject:
    record: JsonObject = {"_type": "mask", **files.add("images/mask", ".mask.png", mask.data)}
    if mask.labels:
        record["class_labels"] = _named(mask.labels)
    return record


def _boxes_record(boxes: Boxes, files: Files) -> Json:
    data = cast("list[Json]", boxes.data)
    if files.in_artifact:
        return data
    text = json.dumps({"box_data": data, "class_labels": _named(boxes.labels)}, separators=(",", ":"), sort_keys=True)
    return {"_type": "boxes2D", **files.add("metadata/boxes2D", ".boxes2D.json", text.encode())}


def _classes_record(labels: Labels, files: Files) -> JsonObject:
    """The classes in the record of a run; of an artifact a file, which its images share."""
    if not files.in_artifact:
        return {"_type": Classes.TYPE, "class_set": cast("list[Json]", Classes(labels).class_set)}
    text = json.dumps(Classes(labels).to_record(files), sort_keys=True).encode()
    kept = files.add("classes", "_cls.classes.json", text)
    return {"type": "classes-file", "path": kept["path"], "digest": hashlib.sha256(text).hexdigest()}


def _named(labels: Labels) -> JsonObject:
    return {str(number): name for number, name in sorted(labels.items())}


def _read_classes(record: Json, stored: Stored) -> Classes | None:
    if record is None:
        return None
    path = _object(record).get("path")
    entry = stored.entry(path)
    return Classes.from_record(parse(read(entry, RECORD_BYTES, str(path)), str(path)), stored)


def _read_boxes(record: Json) -> Boxes:
    if not isinstance(record, list):
        raise MalformedObject(f"boxes of an image are a list, not {type(record).__name__}")
    return Boxes([_box(one) for one in record], {})


def _read_mask(record: Json, stored: Stored) -> Mask:
    fields = _object(record)
    path = fields.get("path")
    data = read(stored.entry(path), RECORD_BYTES, str(path))
    return Mask(data, _labels(fields.get("class_labels")), frozenset())


def _object(value: Json) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedObject(f"an object was expected in a media record, not {type(value).__name__}")
    return value


def _word(value: Json, default: str) -> str:
    return suffix_of(f"_.{value}", default) if isinstance(value, str) else default


def _length(value: Json) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None
