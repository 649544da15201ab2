"""Sounds: samples become a WAV file of 16 bits, files are kept."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

import artvc
from artvc.errors import InvalidInput, InvalidType
from tests.sdk.test_media_artifact import there_and_back


def samples(sound):
    """Channels, rate and samples, as the standard library reads them."""
    with wave.open(io.BytesIO(sound.data)) as file:
        assert file.getsampwidth() == 2
        raw = file.readframes(file.getnframes())
        return file.getnchannels(), file.getframerate(), list(struct.unpack(f"<{len(raw) // 2}h", raw))


def test_floats_from_minus_one_to_one_are_scaled():
    assert samples(artvc.Audio([0.0, 1.0, -1.0, 0.5, 2.0, float("nan")], 8000)) == (
        1, 8000, [0, 32767, -32767, 16384, 32767, 0],
    )  # fmt: skip
    assert samples(artvc.Audio([[0.0, 1.0], [1.0, 0.0]], sample_rate=44100)) == (2, 44100, [0, 32767, 32767, 0])
    assert samples(artvc.Audio([[0.5], [1.0]], 8)) == (1, 8, [16384, 32767])
    assert samples(artvc.Audio([1, -2, 40000], 8)) == (1, 8, [1, -2, 32767])
    assert samples(artvc.Audio([], 8)) == (1, 8, [])


@given(st.lists(st.integers(-32768, 32767)))
def test_integers_of_16_bits_are_kept(numbers):
    assert samples(artvc.Audio(numbers, 16000)) == (1, 16000, numbers)


def test_arrays_of_numpy():
    numpy = pytest.importorskip("numpy")
    assert samples(artvc.Audio(numpy.array([0, 1], numpy.float32), 8))[2] == [0, 32767]
    assert samples(artvc.Audio(numpy.array([0, 1 << 30, -(1 << 31)], numpy.int32), 8))[2] == [0, 16384, -32768]
    assert samples(artvc.Audio(numpy.array([0, 128, 255], numpy.uint8), 8))[2] == [-32768, 0, 32512]
    assert samples(artvc.Audio(numpy.zeros((5, 2), numpy.int16), numpy.int64(8)))[:2] == (2, 8)


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    assert samples(artvc.Audio(torch.tensor([0.0, 1.0], requires_grad=True), 8))[2] == [0, 32767]


def test_samples_need_a_rate_and_a_shape():
    with pytest.raises(InvalidInput, match="sample_rate"):
        artvc.Audio([1, 2])
    for rate in (0, -1, "x", 1 << 40):
        with pytest.raises(InvalidInput, match="Hz"):
            artvc.Audio([1], rate)
    for bad in ([[1, 2], [1]], [[[1]]], [[0] * 65]):
        with pytest.raises(InvalidInput, match="shape"):
            artvc.Audio(bad, 8)
    for bad in (3, object(), ["x"]):
        with pytest.raises(InvalidType):
            artvc.Audio(bad, 8)
    with pytest.raises(InvalidInput, match=r"none\.wav"):
        artvc.Audio("none.wav")


def test_files_are_kept_as_they_are(desk, logged, run_files):
    (desk / "a.MP3").write_bytes(b"sound")
    with artvc.init(project="p"):
        artvc.log({"a": artvc.Audio(desk / "a.MP3", caption="c"), "b": [artvc.Audio("a.MP3"), artvc.Audio([1], 8)]})
    (row,) = logged()
    assert row["a"]["_type"] == "audio-file" and row["a"]["caption"] == "c"
    assert row["a"]["path"].endswith(".mp3") and run_files()[row["a"]["path"]] == b"sound"
    assert (row["b"]["_type"], len(row["b"]["audio"])) == ("audio", 2)


def test_a_sound_comes_back_from_an_artifact():
    sound = artvc.Audio([1, 2], 8, caption="c")
    assert there_and_back(sound) == sound and "wav" in repr(sound)
