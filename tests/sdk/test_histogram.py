"""Histograms: counted here or elsewhere, at most 512 bins."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import artvc
from artvc.errors import InvalidInput, InvalidType, MalformedObject
from artvc.sdk import media
from tests.sdk.test_media_artifact import Shelf, there_and_back


def test_a_sequence_is_counted_into_bins_of_equal_width():
    made = artvc.Histogram([1, 2, 3, 4], num_bins=3)
    assert (made.histogram, made.bins) == ([1, 1, 2], [1.0, 2.0, 3.0, 4.0])
    assert len(artvc.Histogram([1, 2]).histogram) == 64
    assert artvc.Histogram([[1, [2]], (2,)], num_bins=1).histogram == [3]
    assert artvc.Histogram([5, 5], num_bins=2).bins == [4.5, 5.0, 5.5]
    assert sum(artvc.Histogram([], num_bins=2).histogram) == 0


def test_counts_and_edges_of_numpy_are_taken():
    made = artvc.Histogram(np_histogram=([1, 2], [0, 0.5, 1]))
    assert (made.histogram, made.bins) == ([1, 2], [0, 0.5, 1])
    for bad in (([1, 2], [1, 2]), ([1],), 3, ([1] * 513, range(514))):
        with pytest.raises(InvalidInput):
            artvc.Histogram(np_histogram=bad)


def test_more_than_512_bins_or_no_numbers_are_refused():
    for bins in (513, 0):
        with pytest.raises(InvalidInput, match="512"):
            artvc.Histogram([1], num_bins=bins)
    for bad in (None, "abc", [object()], [{}], [None]):
        with pytest.raises(InvalidType):
            artvc.Histogram(bad)


def test_numbers_that_are_not_finite_are_left_out_with_a_warning(capsys):
    assert sum(artvc.Histogram([1, math.nan, math.inf]).histogram) == 1
    assert "2 of 3 values" in capsys.readouterr().err


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1), st.integers(1, 20))
def test_every_number_is_counted_in_its_bin(numbers, bins):
    numpy = pytest.importorskip("numpy")
    made = artvc.Histogram(numbers, num_bins=bins)
    assert sum(made.histogram) == len(numbers)
    assert len(made.bins) == bins + 1 and made.bins == sorted(made.bins)
    assert numpy.histogram(numbers, made.bins)[0].tolist() == made.histogram


def test_numpys_own_counts_are_equal():
    numpy = pytest.importorskip("numpy")
    numbers = numpy.random.default_rng(1).normal(size=(10, 100))
    made = artvc.Histogram(numbers, num_bins=32)
    counts, edges = numpy.histogram(numbers, 32)
    assert made.histogram == counts.tolist()
    assert numpy.allclose(made.bins, edges)
    assert artvc.Histogram(np_histogram=(counts, edges)) == artvc.Histogram(np_histogram=(counts, edges.tolist()))


def test_a_large_array_is_counted_as_a_list_is(capsys):
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(3000).reshape(30, 100) / 8
    numbers[0, 0] = math.nan
    assert artvc.Histogram(numbers, num_bins=7) == artvc.Histogram(numbers.tolist(), num_bins=7)
    assert capsys.readouterr().err.count("1 of 3000 values") == 2
    assert sum(artvc.Histogram(numpy.full(2000, math.inf)).histogram) == 0
    assert artvc.Histogram(numpy.array([-1.7e308, 1.7e308] * 1000), num_bins=2).histogram == [1000, 1000]
    with pytest.raises(InvalidType):
        artvc.Histogram(numpy.full(2000, "x"))


def test_a_large_array_is_counted_without_numpy(monkeypatch):
    array = pytest.importorskip("numpy").arange(2000)
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    assert artvc.Histogram(array, num_bins=2).histogram == [1000, 1000]


def test_tensors_are_counted():
    torch = pytest.importorskip("torch")
    assert artvc.Histogram(torch.tensor([[0.0, 1.0], [1.0, 1.0]], requires_grad=True), num_bins=2).histogram == [1, 3]
    assert sum(artvc.Histogram(torch.ones(50, 50, dtype=torch.bfloat16)).histogram) == 2500
    assert artvc.Histogram([torch.tensor(1.0), torch.tensor([2.0])], num_bins=1).histogram == [2]


def test_a_logged_histogram_is_wandbs_record(logged):
    with artvc.init(project="p"):
        artvc.log({"h": artvc.Histogram([1, 2], num_bins=2), "list": [artvc.Histogram([1], num_bins=1)] * 2})
    (row,) = logged()
    assert row["h"] == {"_type": "histogram", "values": [1, 1], "bins": [1.0, 1.5, 2.0]}
    assert row["list"] == [{"_type": "histogram", "values": [1], "bins": [0.5, 1.5]}] * 2


def test_a_histogram_comes_back_from_an_artifact():
    made = artvc.Histogram([1, 2, 2])
    assert there_and_back(made) == made
    assert hash(made) == hash(there_and_back(made)) and "3 values" in repr(made)
    with pytest.raises(MalformedObject):
        media.unpack(Shelf({"h.histogram.json": b'{"_type":"histogram","values":[1],"bins":[1]}'}), "h")
