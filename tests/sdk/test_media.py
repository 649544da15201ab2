"""Images: page 5, row 14.  numpy and torch are used where they are installed."""

import hashlib
import re
import struct
import zlib

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType
from artvc.sdk import media
from artvc.sdk.media import Pixels, encode_png


def decode(data):
    """Shape and samples of a PNG as the tests' own few lines read it."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, pieces = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(name + body),)
        pieces[name] = body
        at += 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", pieces[b"IHDR"][:10])
    assert depth == 8
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    raw = zlib.decompress(pieces[b"IDAT"])
    stride = width * channels + 1
    rows = [raw[n * stride : (n + 1) * stride] for n in range(height)]
    assert all(row[0] == 0 for row in rows)
    return (height, width, channels), b"".join(row[1:] for row in rows)


def samples(image):
    return decode(image.data)


@pytest.fixture(params=["with numpy", "without numpy"])
def numpy_or_not(request, monkeypatch):
    """Both ways to make pixels."""
    if request.param == "without numpy":
        monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    else:
        pytest.importorskip("numpy")


def test_png_of_every_number_of_channels():
    for channels in (1, 2, 3, 4):
        data = bytes(range(6 * channels))
        assert decode(encode_png(Pixels(3, 2, channels, data))) == ((2, 3, channels), data)
    for bad in (Pixels(0, 2, 1, b""), Pixels(1, 1, 5, b"12345"), Pixels(2, 2, 1, b"123")):
        with pytest.raises(InvalidInput):
            encode_png(bad)


@pytest.mark.usefixtures("numpy_or_not")
def test_floats_integers_and_bools():
    assert samples(artvc.Image([[0.0, 0.5], [1.0, 0.25]])) == ((2, 2, 1), bytes([0, 128, 255, 64]))
    assert samples(artvc.Image([[-1.0, 0.0], [1.0, 3.0]])) == ((2, 2, 1), bytes([0, 64, 128, 255]))
    assert samples(artvc.Image([[0.0, 100.0], [255.0, 300.0]])) == ((2, 2, 1), bytes([0, 100, 255, 255]))
    assert samples(artvc.Image([[0.0, 0.6]], normalize=False)) == ((1, 2, 1), bytes([0, 1]))
    assert samples(artvc.Image([[0, 7], [255, 999]])) == ((2, 2, 1), bytes([0, 7, 255, 255]))
    assert samples(artvc.Image([[True, False]])) == ((1, 2, 1), bytes([255, 0]))
    assert samples(artvc.Image([[float("nan"), 1.0]])) == ((1, 2, 1), bytes([0, 255]))
    assert samples(artvc.Image([[0.0, 0.0]])) == ((1, 2, 1), bytes([0, 0]))


@pytest.mark.usefixtures("numpy_or_not")
def test_channels_last_and_leading_ones_of_lists():
    pixel = [[[1, 2, 3], [4, 5, 6]]]
    assert samples(artvc.Image(pixel)) == ((1, 2, 3), bytes([1, 2, 3, 4, 5, 6]))
    nested = [[[[9, 8, 7, 6, 5], [4, 3, 2, 1, 0]]]]
    assert samples(artvc.Image(nested)) == ((2, 5, 1), bytes(range(9, -1, -1)))
    first = [[[n * 10 + x for x in range(5)] for _ in range(5)] for n in range(3)]
    shape, data = samples(artvc.Image(first))
    assert (shape, data[:3]) == ((5, 5, 3), bytes([0, 10, 20]))
    for bad in ([1, 2], [[]], [[[1] * 9] * 9] * 9):
        with pytest.raises(InvalidInput, match="no picture"):
            artvc.Image(bad)


def test_nothing_to_make_a_picture_of():
    for bad in (3, None, object()):
        with pytest.raises(InvalidType):
            artvc.Image(bad)
    with pytest.raises(InvalidInput, match=r"missing\.png"):
        artvc.Image("missing.png")


def test_numpy_arrays():
    numpy = pytest.importorskip("numpy")
    grey = numpy.arange(28 * 28, dtype=numpy.uint8).reshape(28, 28)
    for shape in ((28, 28), (28, 28, 1), (1, 28, 28, 1), (1, 1, 28, 28), (1, 28, 28)):
        assert samples(artvc.Image(grey.reshape(shape))) == ((28, 28, 1), grey.tobytes())
    assert samples(artvc.Image(numpy.zeros((4, 5, 4), numpy.float32)))[0] == (4, 5, 4)
    assert samples(artvc.Image(numpy.zeros((10, 4, 5, 3), bool)))[0] == (2 * 6 + 2, 8 * 7 + 2, 3)
    with pytest.raises(InvalidInput):
        artvc.Image(numpy.array([["a"]]))


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    flat = torch.arange(28 * 28, dtype=torch.float32) / (28 * 28 - 1)
    expected = bytes((flat * 255).round().to(torch.uint8).tolist())
    for shape in ((28, 28), (1, 28, 28), (1, 1, 28, 28), (1, 1, 1, 28, 28)):
        assert samples(artvc.Image(flat.reshape(shape))) == ((28, 28, 1), expected)
    colour = torch.zeros(3, 4, 5, requires_grad=True)
    assert samples(artvc.Image(colour))[0] == (4, 5, 3)
    assert samples(artvc.Image(torch.ones(3, 4, 4, dtype=torch.bfloat16))) == ((4, 4, 3), b"\xff" * 48)
    assert samples(artvc.Image(torch.zeros(3, 3, 3, dtype=torch.uint8)))[0] == (3, 3, 3)
    assert samples(artvc.Image(torch.zeros(9, 1, 4, 4)))[0] == (14, 50, 1)


def test_torch_values_in_summary_log_config_and_metadata(logged, last):
    torch = pytest.importorskip("torch")
    with artvc.init(project="p", config={"shape": torch.Size([1, 2]), "t": torch.tensor([1, 2])}) as run:
        run.summary.update({"loss": torch.tensor(0.25), "accuracy": torch.tensor(0.5, requires_grad=True)})
        assert type(run.summary["loss"]) is float
        artvc.log({"n": torch.tensor(3), "v": torch.tensor([[1.5]])})
        artifact = artvc.Artifact("a", "t", metadata={"mean": torch.tensor(0.5), "dtype": str(torch.float32)})
        assert artifact.metadata["mean"] == 0.5
    assert last().config == {"shape": [1, 2], "t": [1, 2]}
    assert last().summary == {"loss": 0.25, "accuracy": 0.5, "n": 3, "v": 1.5}
    assert logged() == [{"_step": 0, "n": 3, "v": 1.5}]


def test_numpy_values():
    numpy = pytest.importorskip("numpy")
    with artvc.init(project="p"):
        artvc.log({"f": numpy.float32(0.5), "i": numpy.int64(3), "b": numpy.bool_(True), "a": numpy.zeros(2)})
        assert dict(artvc.summary) == {"f": 0.5, "i": 3, "b": True, "a": [0.0, 0.0]}
        artvc.summary["big"] = list(range(3))
        with pytest.raises(artvc.Error, match="too large"):
            artvc.log({"a": numpy.zeros(200_000)})


def test_torch_save_into_new_file_and_load_from_download():
    torch = pytest.importorskip("torch")
    given = (torch.arange(10), torch.ones(2, 2))
    with artvc.init(project="p") as run:
        artifact = artvc.Artifact("data", "dataset")
        with artifact.new_file("training.pt", mode="wb") as file:
            torch.save(given, file)
        path = run.log_artifact(artifact).file()
    x, y = torch.load(path)
    assert torch.equal(x, given[0]) and torch.equal(y, given[1])


def test_pillow_pictures():
    pytest.importorskip("PIL")
    from PIL import Image as Picture

    assert samples(artvc.Image(Picture.new("RGB", (3, 2), (1, 2, 3)))) == ((2, 3, 3), bytes([1, 2, 3]) * 6)
    assert samples(artvc.Image(Picture.new("1", (3, 2), 1))) == ((2, 3, 1), b"\xff" * 6)
    assert samples(artvc.Image(Picture.new("P", (3, 2))))[0] == (2, 3, 3)
    assert samples(artvc.Image(Picture.new("RGB", (3, 2)), mode="L"))[0] == (2, 3, 1)


class Figure:
    """What a matplotlib figure looks like."""

    def savefig(self, file, format):
        assert format == "png"
        file.write(encode_png(Pixels(2, 1, 1, b"\x00\x01")))


class Pyplot:
    def gcf(self):
        return Figure()


def test_figures_and_pyplot():
    for thing in (Figure(), Pyplot()):
        image = artvc.Image(thing)
        assert (image.width, image.height, samples(image)) == (2, 1, ((1, 2, 1), b"\x00\x01"))


def test_image_files_are_kept_as_they_are(desk):
    png = encode_png(Pixels(3, 2, 1, bytes(6)))
    gif = b"GIF89a" + struct.pack("<HH", 7, 5) + b"rest"
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 9, 8) + b"rest"
    for name, data, size in (
        ("a.png", png, (3, 2)),
        ("b.gif", gif, (7, 5)),
        ("c.jpg", jpeg, (8, 9)),
        ("d.bmp", b"BM", (None, None)),
    ):
        (desk / name).write_bytes(data)
        image = artvc.Image(desk / name, caption="c")
        assert (image.data, (image.width, image.height), image.format) == (data, size, name[2:])


def test_list_of_images_is_one_record_with_files_and_captions(logged, run_files):
    with artvc.init(project="p"):
        images = [artvc.Image([[0, n]], caption=f"{n}") for n in range(32)]
        artvc.log({"high-loss-examples": images, "loss": 1}, step=4)
    (row,) = logged()
    record = row["high-loss-examples"]
    assert {key: record[key] for key in ("_type", "count", "width", "height", "format")} == {
        "_type": "images/separated", "count": 32, "width": 2, "height": 1, "format": "png",
    }  # fmt: skip
    assert record["captions"] == [str(n) for n in range(32)]
    files = run_files()
    for number, name in enumerate(record["filenames"]):
        assert re.fullmatch(r"media/images/high-loss-examples_4_[0-9a-f]{20}\.png", name)
        assert name.endswith(hashlib.sha256(files[name]).hexdigest()[:20] + ".png")
        assert decode(files[name])[1] == bytes([0, number])


def test_single_image_and_odd_keys(logged, run_files):
    with artvc.init(project="p"):
        artvc.log({"a/b": artvc.Image([[1]]), "../x:y": artvc.Image([[2]]), "é" * 300: [artvc.Image([[3]])]})
        assert artvc.summary["a/b"]["_type"] == "image-file"
    (row,) = logged()
    assert row["a/b"]["path"].startswith("media/images/a/b_0_")
    assert row["a/b"]["caption"] is None
    assert row["é" * 300]["captions"] is False
    files = run_files()
    for record in (row["a/b"], row["../x:y"]):
        assert record["sha256"] == hashlib.sha256(files[record["path"]]).hexdigest()


def test_images_of_a_dropped_step_are_not_kept(run_files):
    with artvc.init(project="p"):
        artvc.log({"a": 1}, step=3)
        artvc.log({"image": artvc.Image([[1]])}, step=1)
    assert list(run_files()) == ["history.jsonl"]


def test_arguments_without_meaning_are_said(capsys):
    artvc.Image([[1]], boxes={"a": 1}, grouping=None)
    assert "boxes" in capsys.readouterr().err
    assert "2x1" in repr(artvc.Image([[1, 2]]))
    assert media.HASH_DIGITS == 20
