"""Media in artifacts: ``media.pack`` and ``media.unpack``, page 5 rows 49 and 2a (``add``, ``get``)."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import artvc
from artvc.errors import InvalidInput, InvalidType, MalformedObject
from artvc.sdk import media, media_value
from artvc.sdk.image import Classes


class Entry:
    def __init__(self, data):
        self.data = data

    @property
    def size(self):
        return len(self.data)

    def open(self):
        return io.BytesIO(self.data)


class Shelf:
    """What is needed of an artifact."""

    def __init__(self, files):
        self.files = dict(files)

    def get_entry(self, name):
        return Entry(self.files[name])


def there_and_back(value, name="v"):
    return media.unpack(Shelf(media.pack(value, name)), name)


def boxes(**more):
    one = {"position": {"minX": 0, "maxX": 0.5, "minY": 0, "maxY": 1}, "class_id": 2, "scores": {"p": 0.5}, **more}
    return {"truth": {"box_data": [one], "class_labels": {2: "cat"}}}


def test_an_image_comes_back_equal():
    image = artvc.Image([[0, 1], [2, 3]], caption="c", boxes=boxes(), masks={"m": {"mask_data": [[0, 1], [1, 0]]}})
    back = there_and_back(image)
    assert back == image and back is not image
    assert (back.width, back.height, back.format, back.caption) == (2, 2, "png", "c")
    assert back != artvc.Image([[0, 1], [2, 3]], caption="d") and back != 3
    assert hash(back) == hash(image)


def test_the_record_is_beside_the_files_named_by_content():
    (path, record), (picture, data) = media.pack(artvc.Image([[7]]), "a/b")
    assert path == "a/b.image-file.json"
    assert json.loads(record) == {
        "_type": "image-file", "caption": None, "format": "png", "height": 1, "width": 1, "path": picture,
        "sha256": json.loads(record)["sha256"], "size": len(data),
    }  # fmt: skip
    assert picture == f"media/images/{json.loads(record)['sha256'][:20]}.png"
    assert media.pack(artvc.Image([[7]]), "other")[1][0] == picture
    assert media.pack(artvc.Image([[7]]), "a/b.image-file.json")[0][0] == path


def test_what_is_no_media_is_refused():
    for bad in (3, [artvc.Image([[1]])], object()):
        with pytest.raises(InvalidType, match="an artifact takes no"):
            media.pack(bad, "x")
    for bad in ("../x", "/x", ""):
        with pytest.raises(InvalidInput):
            media.pack(artvc.Image([[1]]), bad)


def test_a_name_that_is_not_there_is_none():
    assert media.unpack(Shelf({"v.txt": b"1"}), "v") is None


def test_masks_or_boxes_without_classes_are_refused_in_an_artifact(desk):
    (desk / "mask.png").write_bytes(artvc.Image([[0, 1]]).data)
    for bad in ({"masks": {"m": {"path": "mask.png"}}}, {"boxes": {"b": {"box_data": []}}}):
        image = artvc.Image([[0, 1]], **bad)
        with pytest.raises(InvalidInput, match="needs its classes"):
            media.pack(image, "x")
        assert there_and_back(artvc.Image(image, classes=[{"id": 1, "name": "dog"}])).classes.labels == {1: "dog"}


def test_classes_come_back():
    classes = Classes([{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}])
    assert there_and_back(classes) == classes == Classes({0: "cat", 1: "dog"})
    assert classes.class_set == [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    assert len({classes, Classes({0: "cat", 1: "dog"})}) == 1 and "dog" in repr(classes)
    for bad in ([{"id": 1}], [{"name": "x"}], [{"id": "1", "name": "x"}]):
        with pytest.raises(InvalidInput):
            Classes(bad)
    for bad in ([3], "abc", 3):
        with pytest.raises(InvalidType):
            Classes(bad)


def test_a_record_that_names_a_file_outside_is_refused():
    for path in ("../secret", "/etc/passwd", "media/../v", "v.image-file.json", "media//x", 3, None, "media/none.png"):
        files = dict(media.pack(artvc.Image([[1]]), "v"))
        record = json.loads(files["v.image-file.json"])
        record["path"] = path
        files["v.image-file.json"] = json.dumps(record).encode()
        with pytest.raises(MalformedObject):
            media.unpack(Shelf(files), "v")


def test_an_image_as_wandb_writes_it_is_read():
    box = {"box_caption": "x", "class_id": 2, "position": {"maxX": 1, "maxY": 0.5, "minX": 0, "minY": 0}}
    classes = {"_type": "classes", "class_set": [{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}]}
    record = {
        "_type": "image-file", "boxes": {"pred": [box]}, "caption": "c", "format": "png", "height": 1, "width": 1,
        "classes": {"digest": "gJMCOXeMSMW4yvKHoZWzQg==", "path": "media/classes/ef98_cls.classes.json", "type": "classes-file"},
        "masks": {"gt": {"_type": "mask", "path": "media/images/mask/b363/m.mask.png", "sha256": "b363"}},
        "path": "media/images/bec0/i.png", "sha256": "bec0",
    }  # fmt: skip
    picture = artvc.Image([[1]]).data
    shelf = Shelf({
        "i.image-file.json": json.dumps(record).encode(), "media/classes/ef98_cls.classes.json": json.dumps(classes).encode(),
        "media/images/mask/b363/m.mask.png": picture, "media/images/bec0/i.png": picture,
    })  # fmt: skip
    back = media.unpack(shelf, "i")
    assert (back.data, back.caption, back.boxes["pred"].data) == (picture, "c", [box])
    assert back.masks["gt"].data == picture and back.classes.labels == {1: "dog", 2: "cat"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["../x", "/x", "media/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "m", "0", "position"]), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["image", "classes", "histogram", "html"]), st.data())
def test_a_changed_record_is_read_or_refused(kind, data):
    values = {
        "image": artvc.Image([[0, 1]], caption="c", boxes=boxes(), masks={"m": {"mask_data": [[0, 1]]}}),
        "classes": Classes({1: "x"}), "histogram": artvc.Histogram([1, 2]), "html": artvc.Html("x"),
    }  # fmt: skip
    files = dict(media.pack(values[kind], "v"))
    path = next(iter(files))
    record = json.loads(files[path])
    asked = []

    class Watched(Shelf):
        def get_entry(self, name):
            asked.append(name)
            return super().get_entry(name)

    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(JSON)
    files[path] = json.dumps(record).encode()
    try:
        repr(media.unpack(Watched(files), "v"))
    except MalformedObject:
        pass
    assert all(name.startswith(("v.", "media/")) and ".." not in name for name in asked)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "", "media", "images", "x", "/", "\\", "C:", "\0", ".git"]), max_size=5))
def test_no_path_leads_out_of_media(parts):
    path = "/".join(parts)
    files = dict(media.pack(artvc.Html("x"), "v"))
    record = json.loads(files["v.html-file.json"])
    files["v.html-file.json"] = json.dumps({**record, "path": path}).encode()
    with pytest.raises(MalformedObject):
        media.unpack(Shelf(files), "v")


@pytest.mark.parametrize(
    "bad",
    [b"", b"{", b"[]", b"3", b"\xff", b'{"_type":"table"}', b'{"_type":"image-file"}', b"[" * 100_000],
)
def test_a_malformed_record_is_refused(bad):
    with pytest.raises(MalformedObject):
        media.unpack(Shelf({"v.image-file.json": bad}), "v")


def test_a_huge_record_is_refused_before_it_is_read():
    class Huge(Entry):
        size = 1 << 40

        def open(self):
            raise AssertionError("opened")

    shelf = Shelf({})
    shelf.get_entry = lambda path: Huge(b"")
    with pytest.raises(MalformedObject, match="more than"):
        media.unpack(shelf, "v")


def test_a_file_that_grew_while_it_was_read_is_refused():
    class Growing(Entry):
        size = 1

        def open(self):
            return io.BytesIO(b" " * (media_value.RECORD_BYTES + 2))

    shelf = Shelf({})
    shelf.get_entry = lambda path: Growing(b"")
    with pytest.raises(MalformedObject, match="more than"):
        media.unpack(shelf, "v")


def test_wandb_data_types_is_where_the_classes_are_too():
    assert artvc.data_types.Image is artvc.Image and artvc.data_types.Table is artvc.Table


def test_values_of_a_logged_artifact_are_read_through_its_entries():
    image = artvc.Image([[0, 255]], caption="x")
    with artvc.init(project="p") as run:
        artifact = artvc.Artifact("a", "t")
        for path, data in media.pack(image, "pictures/one"):
            with artifact.new_file(path, "wb") as file:
                file.write(data)
        run.log_artifact(artifact)
    back = media.unpack(artifact, "pictures/one")
    assert back == image
    assert back.source == (artifact, "pictures/one.image-file.json")
