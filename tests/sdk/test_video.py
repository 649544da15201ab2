"""Videos: files are kept, frames become a GIF with Pillow, or a film with imageio."""

import io
import sys

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType, UsageError
from tests.sdk.test_media_artifact import there_and_back


def frames_of(video):
    pictures = pytest.importorskip("PIL.Image")
    picture = pictures.open(io.BytesIO(video.data))
    found = []
    for number in range(picture.n_frames):
        picture.seek(number)
        found.append((picture.size, picture.convert("RGB").getpixel((0, 0)), picture.info["duration"]))
    return found


def test_frames_become_a_gif():
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    frames = numpy.zeros((3, 3, 4, 6), numpy.uint8)
    frames[1, 0] = 255
    video = artvc.Video(frames, fps=10, caption="c", format="gif")
    assert video.suffix == ".gif"
    assert frames_of(video) == [((6, 4), (0, 0, 0), 100), ((6, 4), (255, 0, 0), 100), ((6, 4), (0, 0, 0), 100)]
    grey = artvc.Video(numpy.array([0.0, 1.0]).reshape(2, 1, 1, 1) * numpy.ones((2, 1, 3, 5)))
    assert [pixel for _, pixel, _ in frames_of(grey)] == [(0, 0, 0), (255, 255, 255)]


def test_several_videos_lie_beside_each_other():
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    video = artvc.Video(numpy.zeros((3, 2, 3, 4, 6), numpy.uint8) + numpy.array([0, 255]).reshape(1, 2, 1, 1, 1))
    assert [size for size, _, _ in frames_of(video)] == [(12, 8)] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio leaves pipes open
def test_frames_become_a_film_where_imageio_is_installed():
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("imageio_ffmpeg")
    reader = pytest.importorskip("imageio.v3")
    video = artvc.Video(numpy.zeros((4, 3, 33, 35), numpy.uint8), format="mp4")
    assert video.suffix == ".mp4" and video.data[4:8] == b"ftyp"
    assert reader.imread(video.data, extension=".mp4", plugin="FFMPEG").shape == (4, 34, 36, 3)


def test_tensors_of_torch_become_a_gif():
    torch = pytest.importorskip("torch")
    pytest.importorskip("PIL")
    assert (
        len(frames_of(artvc.Video(torch.zeros(2, 3, 4, 4, dtype=torch.uint8) + torch.arange(2).reshape(2, 1, 1, 1))))
        == 2
    )


def test_what_is_missing_is_named(monkeypatch):
    numpy = pytest.importorskip("numpy")
    for missing, package, form in (
        ("PIL.Image", "pillow", "gif"), ("imageio.v3", "imageio", "mp4"), ("numpy", "numpy", "gif"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(UsageError, match=f"needs {package}") as caught:
                artvc.Video(numpy.zeros((1, 3, 2, 2), numpy.uint8), format=form)
            assert caught.value.hint == f"pip install {package}"


def test_files_are_kept_as_they_are(desk, logged, run_files):
    (desk / "a.mp4").write_bytes(b"film")
    with artvc.init(project="p"):
        film = artvc.Video("a.mp4", caption="c")
        artvc.log({"a": film, "b": [film, artvc.Video(io.BytesIO(b"x"), format="webm")]})
    (row,) = logged()
    assert row["a"]["_type"] == "video-file" and run_files()[row["a"]["path"]] == b"film"
    assert row["a"]["path"].startswith("media/videos/a_0_") and row["a"]["path"].endswith(".mp4")
    assert (row["b"]["_type"], row["b"]["captions"], row["b"]["count"]) == ("videos", ["c", None], 2)
    assert there_and_back(film) == film


def test_what_is_no_video_is_refused(desk):
    numpy = pytest.importorskip("numpy")
    (desk / "a.zip").write_bytes(b"")
    for bad in ("a.zip", "none.mp4", numpy.zeros((3, 2, 2)), numpy.zeros((1, 2, 2, 2)), numpy.zeros((0, 3, 2, 2))):
        with pytest.raises(InvalidInput):
            artvc.Video(bad)
    for form in ("avi", "ogg"):
        with pytest.raises(InvalidInput):
            artvc.Video(numpy.zeros((1, 3, 2, 2)), format=form)
    with pytest.raises(InvalidInput, match="complex"):
        artvc.Video(numpy.zeros((1, 3, 2, 2), complex))
    with pytest.raises(InvalidType):
        artvc.Video(3)


def test_without_libraries_files_are_still_kept(desk, script):
    (desk / "a.gif").write_bytes(b"GIF89a")
    code = "import sys\nfor m in ('numpy', 'PIL', 'torch'): sys.modules[m] = None\n"
    made = script(code + "import artvc\nprint(artvc.Video('a.gif').data)")
    assert (made.stdout, made.stderr) == ("b'GIF89a'\n", "")
