"""Boxes and masks on images: W&B's dicts, checked and kept, page 5 rows 14 and 49."""

import json

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType
from tests.sdk.test_media import decode
from tests.sdk.test_media_artifact import there_and_back

SQUARE = [[0, 1], [2, 3]]
CORNERS = {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}
MIDDLE = {"middle": [1, 2], "width": 3, "height": 4}


def image(**more):
    return artvc.Image(SQUARE, **more)


def boxed(*boxes, labels=None):
    return image(boxes={"predictions": {"box_data": list(boxes), "class_labels": labels}})


def test_boxes_are_kept_with_all_that_is_said_of_them(logged, run_files):
    box = {"position": CORNERS, "class_id": 2, "scores": {"acc": 0.5}, "box_caption": "a cat", "domain": "pixel"}
    other = {"position": MIDDLE, "class_id": 3}
    with artvc.init(project="p"):
        artvc.log({"i": boxed(box, other, labels={2: "cat"}), "list": [boxed(box), image()]})
    (row,) = logged()
    record = row["i"]["boxes"]["predictions"]
    assert record["_type"] == "boxes2D"
    assert json.loads(run_files()[record["path"]]) == {"box_data": [box, other], "class_labels": {"2": "cat"}}
    assert record["path"].startswith("media/metadata/boxes2D/i_0_")
    assert row["i"]["classes"]["class_set"] == [{"id": 2, "name": "cat"}, {"id": 3, "name": "class_3"}]
    assert row["list"]["all_boxes"][1] is None and row["list"]["all_boxes"][0]["predictions"]["path"] in run_files()


@pytest.mark.parametrize(
    "box",
    [
        {"class_id": 1}, {"position": {"minX": 0}, "class_id": 1}, {"position": CORNERS}, 3,
        {"position": CORNERS, "class_id": "1"}, {"position": CORNERS, "class_id": True},
        {"position": {**CORNERS, "minX": "0"}, "class_id": 1}, {"position": {**MIDDLE, "middle": [1]}, "class_id": 1},
        {"position": {**MIDDLE, "middle": 1}, "class_id": 1}, {"position": CORNERS, "class_id": 1, "scores": [1]},
        {"position": CORNERS, "class_id": 1, "scores": {"a": "b"}},
        {"position": CORNERS, "class_id": 1, "box_caption": 3},
    ],
)  # fmt: skip
def test_a_box_that_is_none_is_a_type_error(box):
    with pytest.raises(TypeError) as caught:
        boxed(box)
    assert isinstance(caught.value, InvalidType)


def test_boxes_and_masks_are_dicts_of_dicts():
    for what in ("boxes", "masks"):
        for bad in ([1], 3, {"a": 3}, {"a": [1]}):
            with pytest.raises(ValueError, match=f"{what} of an image must be a dict of dicts"):
                image(**{what: bad})
    for bad in ({"box_data": 3}, {}, {"box_data": "abc"}):
        with pytest.raises(InvalidType, match="list of boxes"):
            image(boxes={"p": bad})


def test_numbers_of_numpy_are_taken_for_boxes():
    numpy = pytest.importorskip("numpy")
    box = {
        "position": {"middle": numpy.array([1, 2]), "width": numpy.float32(3), "height": 4},
        "class_id": numpy.int64(1),
    }
    assert boxed(box) == boxed({"position": MIDDLE, "class_id": 1})


def test_masks_are_kept_as_grey_pictures(logged, run_files):
    masks = {"truth": {"mask_data": [[0, 255], [7, 0]], "class_labels": {7: "cat"}}}
    with artvc.init(project="p"):
        artvc.log({"i": image(masks=masks), "list": [image(), image(masks=masks)]})
    (row,) = logged()
    record = row["i"]["masks"]["truth"]
    assert record["_type"] == "mask" and record["class_labels"] == {"7": "cat"}
    assert record["path"].startswith("media/images/mask/i_0_") and record["path"].endswith(".mask.png")
    assert decode(run_files()[record["path"]]) == ((2, 2, 1), bytes([0, 255, 7, 0]))
    assert row["list"]["all_masks"][0] is None
    names = {one["id"]: one["name"] for one in row["i"]["classes"]["class_set"]}
    assert names == {0: "class_0", 7: "cat", 255: "class_255"}


def test_masks_of_files_are_kept_as_they_are(desk, logged, run_files):
    data = artvc.Image([[3]]).data
    (desk / "mask.png").write_bytes(data)
    (desk / "mask.txt").write_bytes(b"text")
    with artvc.init(project="p"):
        artvc.log({"i": image(masks={"m": {"path": desk / "mask.png"}})})
    (row,) = logged()
    assert run_files()[row["i"]["masks"]["m"]["path"]] == data
    for bad in ("mask.txt", "none.png"):
        with pytest.raises(InvalidInput):
            image(masks={"m": {"path": bad}})


@pytest.mark.parametrize("bad", [[[[1]]], [1], [[1, 2], [3]], [[256]], [[-1]], [[0.5]], [["x"]], [], [[]]])
def test_mask_data_that_is_no_picture_of_classes_is_a_type_error(bad):
    with pytest.raises(TypeError, match="mask_data must be"):
        image(masks={"m": {"mask_data": bad}})


def test_a_mask_without_data_is_refused():
    with pytest.raises(InvalidInput, match="no mask_data"):
        image(masks={"m": {}})
    for bad in (["cat"], {"x": "cat"}):
        with pytest.raises(InvalidType, match="class_labels"):
            image(masks={"m": {"mask_data": [[0]], "class_labels": bad}})


def test_masks_of_numpy_and_torch():
    numpy = pytest.importorskip("numpy")
    expected = image(masks={"m": {"mask_data": [[0, 1], [2, 3]]}})
    assert image(masks={"m": {"mask_data": numpy.arange(4, dtype=numpy.uint8).reshape(2, 2)}}) == expected
    assert image(masks={"m": {"mask_data": numpy.arange(4.0).reshape(2, 2)}}) == expected
    torch = pytest.importorskip("torch")
    assert image(masks={"m": {"mask_data": torch.arange(4).reshape(2, 2)}}) == expected


def test_boxes_masks_and_classes_come_back_from_an_artifact():
    given = image(
        caption="c",
        boxes={"b": {"box_data": [{"position": MIDDLE, "class_id": 1}], "class_labels": {1: "cat"}}},
        masks={"m": {"mask_data": SQUARE, "class_labels": {2: "dog"}}},
        classes=[{"id": 3, "name": "cow"}],
    )
    back = there_and_back(given)
    assert back == given
    assert back.classes.labels == {0: "class_0", 1: "cat", 2: "dog", 3: "cow"}
    assert back.boxes["b"].data == given.boxes["b"].data and back.masks["m"].data == given.masks["m"].data
    assert back != image(caption="c") and artvc.Image(back, caption="d").masks == back.masks
