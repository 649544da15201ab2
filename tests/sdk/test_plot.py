"""``artvc.plot``: charts as W&B makes them, with the numbers computed here."""

import json

import pytest

import artvc
from artvc.errors import InvalidInput, InvalidType

TRUE = [0, 0, 1, 1]
PROBABILITIES = [[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]]


def table(**columns):
    return artvc.Table(columns=list(columns), data=list(zip(*columns.values(), strict=True)))


@pytest.mark.parametrize(
    ("make", "name", "fields"),
    [
        (lambda t: artvc.plot.line(t, "x", "y", stroke="k", title="T"), "wandb/line/v0", {"x": "x", "y": "y", "stroke": "k"}),
        (lambda t: artvc.plot.scatter(t, "x", "y", title="T"), "wandb/scatter/v0", {"x": "x", "y": "y"}),
        (lambda t: artvc.plot.bar(t, "k", "y", title="T"), "wandb/bar/v0", {"label": "k", "value": "y"}),
        (lambda t: artvc.plot.histogram(t, "y", title="T"), "wandb/histogram/v0", {"value": "y"}),
        (lambda t: artvc.plot.plot_table("me/own", t, {"x": "x"}, {"title": "T"}), "me/own", {"x": "x"}),
    ],
)  # fmt: skip
def test_charts_of_a_table(make, name, fields):
    chart = make(table(x=[1, 2], y=[3, 4], k=["a", "b"]))
    assert chart.spec == {"panelDefId": name, "fieldSettings": fields, "stringSettings": {"title": "T"}}
    assert chart.table.data == [[1, 3, "a"], [2, 4, "b"]]
    assert name in repr(chart)


def test_a_chart_of_no_table_or_of_a_column_that_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="no column 'z'"):
        artvc.plot.line(table(x=[1], y=[2]), "x", "z")
    with pytest.raises(InvalidType, match="made of a Table"):
        artvc.plot.bar([[1]], "x", "y")


def test_a_logged_chart_keeps_its_table_and_its_spec(logged, run_files):
    with artvc.init(project="p"):
        artvc.log({"c": artvc.plot.line(table(x=[1], y=[2]), "x", "y", title="T")})
    (row,) = logged()
    assert row["c"]["_type"] == "custom-chart" and row["c"]["spec"]["panelDefId"] == "wandb/line/v0"
    assert json.loads(run_files()[row["c"]["table"]["path"]])["data"] == [[1, 2]]


def test_line_series():
    chart = artvc.plot.line_series(xs=[0, 1], ys=[[5, 6], [7, 8]], keys=["a", "b"], title="T", xname="n")
    assert chart.table.data == [[0, "a", 5], [1, "a", 6], [0, "b", 7], [1, "b", 8]]
    assert chart.spec["stringSettings"] == {"title": "T", "xname": "n"}
    assert artvc.plot.line_series([[0], [1, 2]], [[5], [6, 7]]).table.get_column("lineKey") == [
        "line_0",
        "line_1",
        "line_1",
    ]
    for bad in (([0], [[1]], ["a", "b"]), ([[0], [1]], [[1]]), ([0, 1], [[1]])):
        with pytest.raises(InvalidInput):
            artvc.plot.line_series(*bad)
    with pytest.raises(InvalidType):
        artvc.plot.line_series(3, [[1]])


def test_confusion_matrix():
    chart = artvc.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 0, 1], class_names=["cat", "dog"])
    expected = [["cat", "cat", 1], ["cat", "dog", 0], ["dog", "cat", 1], ["dog", "dog", 1]]
    assert chart.table.data == expected
    probs = [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]
    assert artvc.plot.confusion_matrix(probs=probs, y_true=[0, 1, 1], class_names=["cat", "dog"]).table == chart.table
    words = artvc.plot.confusion_matrix(
        y_true=["cat", "dog", "dog"], preds=["cat", "cat", "dog"], class_names=["cat", "dog"]
    )
    assert words.table == chart.table
    plain = artvc.plot.confusion_matrix(y_true=[3, 7], preds=[7, 7])
    assert plain.table.data == [
        ["Class_1", "Class_1", 0],
        ["Class_1", "Class_2", 1],
        ["Class_2", "Class_1", 0],
        ["Class_2", "Class_2", 1],
    ]
    assert len(artvc.plot.confusion_matrix(probs=[[0, 1, 0]], y_true=[1]).table.data) == 9
    assert artvc.plot.confusion_matrix(y_true=[10, 20], preds=[20, 20], class_names=["x", "y"]).table.data[1] == [
        "x",
        "y",
        1,
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"y_true": [1]},
        {"y_true": [1], "preds": [1], "probs": [[1]]},
        {"y_true": [1, 2], "preds": [1]},
        {"y_true": [1, 2, 3], "preds": [1, 2, 9], "class_names": ["a", "b"]},
        {"y_true": [1], "probs": [[]]},
    ],
)
def test_a_confusion_matrix_of_nothing_that_fits_is_refused(bad):
    with pytest.raises(InvalidInput):
        artvc.plot.confusion_matrix(**bad)


def test_roc_curve_is_that_of_the_books():
    chart = artvc.plot.roc_curve(TRUE, PROBABILITIES, labels=["no", "yes"])
    yes = [row[1:] for row in chart.table.data if row[0] == "yes"]
    assert yes == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    no = [row[1:] for row in chart.table.data if row[0] == "no"]
    assert no == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    only = artvc.plot.roc_curve(TRUE, PROBABILITIES, classes_to_plot=[1])
    assert set(only.table.get_column("class")) == {"1"}


def test_points_on_a_straight_line_are_left_out_of_a_roc_curve():
    many = artvc.plot.roc_curve([0] * 50 + [1] * 50, [[1 - n / 100, n / 100] for n in range(100)], classes_to_plot=[1])
    assert [row[1:] for row in many.table.data] == [[0, 0], [0, 1], [1, 1]]
    ties = artvc.plot.roc_curve([0, 1], [[0.5, 0.5]] * 2, classes_to_plot=[1])
    assert [row[1:] for row in ties.table.data] == [[0, 0], [1, 1]]


def test_pr_curve_takes_the_best_precision_at_each_recall():
    chart = artvc.plot.pr_curve(TRUE, PROBABILITIES, classes_to_plot=[1], interp_size=3)
    assert chart.table.data == [["1", pytest.approx(2 / 3), 1.0], ["1", 1.0, 0.5], ["1", 1.0, 0.0]]
    assert len(artvc.plot.pr_curve(TRUE, PROBABILITIES).table.data) == 42
    with pytest.raises(InvalidInput, match="at least 2"):
        artvc.plot.pr_curve(TRUE, PROBABILITIES, interp_size=1)


def test_classes_without_examples_have_no_curve():
    chart = artvc.plot.roc_curve([0, 2], [[0.5, 0.1, 0.4], [0.1, 0.2, 0.7]])
    assert set(chart.table.get_column("class")) == {"0", "2"}
    words = artvc.plot.roc_curve(["b", "a"], [[0.1, 0.9], [0.8, 0.2]])
    assert set(words.table.get_column("class")) == {"a", "b"}
    assert [row[1:] for row in words.table.data[:3]] == [[0, 0], [0, 1], [1, 1]]


def test_curves_of_lists_that_do_not_fit_are_refused():
    for bad in (([0, 1], [[1, 0]]), ([0, 1, 2], [[0.5, 0.5]] * 3)):
        with pytest.raises(InvalidInput):
            artvc.plot.roc_curve(*bad)
    with pytest.raises(InvalidType):
        artvc.plot.pr_curve([0, 1])


def test_arrays_of_numpy_make_the_same_charts():
    numpy = pytest.importorskip("numpy")
    arrays = numpy.array(TRUE), numpy.array(PROBABILITIES)
    assert artvc.plot.roc_curve(*arrays).table == artvc.plot.roc_curve(TRUE, PROBABILITIES).table
    assert artvc.plot.pr_curve(*arrays).table == artvc.plot.pr_curve(TRUE, PROBABILITIES).table
    matrix = artvc.plot.confusion_matrix(probs=arrays[1], y_true=arrays[0])
    assert matrix.table == artvc.plot.confusion_matrix(probs=PROBABILITIES, y_true=TRUE).table
    assert artvc.plot.line_series(numpy.arange(2), numpy.eye(2)).table.get_column("lineVal") == [1.0, 0.0, 0.0, 1.0]


def test_dataframes_of_pandas_are_tables():
    pandas = pytest.importorskip("pandas")
    assert artvc.plot.scatter(pandas.DataFrame({"x": [1], "y": [2]}), "x", "y").table.data == [[1, 2]]
