"""Charts as W&B's ``wandb.plot`` makes them: a table of what is drawn, and the name of how it is drawn.

``run.log({"roc": artvc.plot.roc_curve(y_true, probabilities)})`` keeps both; nothing else is needed to compute them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from artvc.errors import InvalidInput, InvalidType
from artvc.model.objects import Json, JsonObject
from artvc.sdk.media_value import Files, Media, listed
from artvc.sdk.table import Table

_INTERPOLATED: Final = 21


class CustomChart(Media):
    """A chart: what it shows and how.

    Attributes:
        table: what is drawn.
        spec: W&B's name of the chart, which column is what, and texts such as the title.
    """

    TYPE: ClassVar[str] = "custom-chart"

    def __init__(self, name: str, table: Table, fields: Mapping[str, str | None], strings: Mapping[str, str]) -> None:
        for column in fields.values():
            if column is not None and column not in table.columns:
                raise InvalidInput(f"the table has no column {column!r}", hint=f"it has {table.columns}")
        self.table = table
        self.spec: JsonObject = {
            "panelDefId": name,
            "fieldSettings": dict[str, Json](fields),
            "stringSettings": dict[str, Json](strings),
        }

    def __repr__(self) -> str:
        return f"CustomChart({self.spec['panelDefId']!r}, {len(self.table.data)} rows)"

    def to_record(self, files: Files) -> JsonObject:
        """Keep the table; returns the record with its record and the spec."""
        return {"_type": self.TYPE, "spec": self.spec, "table": self.table.to_record(files)}


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, str | None],
    string_fields: Mapping[str, str] | None = None,
    split_table: bool = False,
) -> CustomChart:
    """A chart of W&B's, or one of your own that was made there.

    Args:
        vega_spec_name: ``wandb/line/v0`` or another.
        data_table: what is drawn; a dataframe will do.
        fields: the chart's fields to columns.
        string_fields: texts such as the title.
        split_table: accepted for W&B's sake.

    Raises:
        InvalidInput: the table lacks a column.
        InvalidType: no table.
    """
    return CustomChart(vega_spec_name, _table(data_table), fields, string_fields or {})


def line(
    table: Table, x: str, y: str, stroke: str | None = None, title: str = "", split_table: bool = False
) -> CustomChart:
    """Lines of column ``y`` over column ``x``, one for each value of column ``stroke``.  Raises as plot_table."""
    return CustomChart("wandb/line/v0", _table(table), {"x": x, "y": y, "stroke": stroke}, {"title": title})


def scatter(table: Table, x: str, y: str, title: str = "", split_table: bool = False) -> CustomChart:
    """A point for each row, at columns ``x`` and ``y``.  Raises as plot_table."""
    return CustomChart("wandb/scatter/v0", _table(table), {"x": x, "y": y}, {"title": title})


def bar(table: Table, label: str, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """A bar for each row: its name in column ``label``, its length in column ``value``.  Raises as plot_table."""
    return CustomChart("wandb/bar/v0", _table(table), {"label": label, "value": value}, {"title": title})


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """How often the values of a column occur.  Raises as plot_table."""
    return CustomChart("wandb/histogram/v0", _table(table), {"value": value}, {"title": title})


def line_series(
    xs: Iterable[Any],
    ys: Iterable[Iterable[Any]],
    keys: Iterable[str] | None = None,
    title: str = "",
    xname: str = "x",
    split_table: bool = False,
) -> CustomChart:
    """Several lines.

    Args:
        xs: the positions of all lines, or a list of positions for each.
        ys: the values of each line.
        keys: the names of the lines; ``line_0``... if not given.
        title, xname: of the chart and of its axis.
        split_table: accepted for W&B's sake.

    Raises:
        InvalidInput: not as many lists of positions or names as lines, or a line with more values than positions.
        InvalidType: ``xs`` or ``ys`` are no lists.
    """
    lines = [_row(one, "ys") for one in _row(ys, "ys")]
    places = _row(xs, "xs")
    of_each = [_row(one, "xs") for one in places] if places and _is_row(places[0]) else [places] * len(lines)
    names = [f"line_{number}" for number in range(len(lines))] if keys is None else [str(key) for key in keys]
    if len(names) != len(lines) or len(of_each) != len(lines):
        raise InvalidInput(f"{len(lines)} lines have {len(names)} names and {len(of_each)} lists of positions")
    table = Table(columns=["step", "lineKey", "lineVal"])
    for name, at, values in zip(names, of_each, lines, strict=True):
        if len(at) != len(values):
            raise InvalidInput(f"line {name!r} has {len(values)} values and {len(at)} positions")
        for place, value in zip(at, values, strict=True):
            table.add_data(place, name, value)
    fields = {"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"}
    return CustomChart("wandb/lineseries/v0", table, fields, {"title": title, "xname": xname})


def confusion_matrix(
    probs: Sequence[Sequence[float]] | None = None,
    y_true: Sequence[Any] | None = None,
    preds: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion Matrix Curve",
    split_table: bool = False,
) -> CustomChart:
    """How often each class was taken for each.

    Args:
        probs: of each example the probabilities of all classes, the largest being the prediction; or
        preds: the predicted classes.
        y_true: the right classes: numbers from 0, or names.
        class_names: in the order of the numbers; without them ``Class_1``... for the classes that occur, in order.
        title: of the chart.
        split_table: accepted for W&B's sake.

    Raises:
        InvalidInput: both or none of ``probs`` and ``preds``, lists of different length, or a class without a name.
        InvalidType: no lists.
    """
    if (probs is None) == (preds is None):
        raise InvalidInput("a confusion matrix needs probs or preds, not both or none", hint="pass one of them")
    right = _row(y_true, "y_true")
    if probs is not None:
        guessed: list[Any] = [_best(_row(one, "probs")) for one in _row(probs, "probs")]
    else:
        guessed = _row(preds, "preds")
    if len(right) != len(guessed):
        raise InvalidInput(f"y_true has {len(right)} classes, the predictions {len(guessed)}")
    found = _sorted({*right, *guessed})
    if class_names is None:
        if probs is not None:
            found = list(range(max([len(_row(one, "probs")) for one in _row(probs, "probs")], default=0)))
        names = [f"Class_{number + 1}" for number in range(len(found))]
        number_of = {one: number for number, one in enumerate(found)}
    else:
        names = [str(one) for one in class_names]
        number_of = _numbered(found, names)
    for one in {*right, *guessed}:
        if one not in number_of:
            raise InvalidInput(f"class {one!r:.80} has no name", hint=f"there are {len(names)} class_names")
    counts = [[0] * len(names) for _ in names]
    for truth, guess in zip(right, guessed, strict=True):
        counts[number_of[truth]][number_of[guess]] += 1
    table = Table(columns=["Actual", "Predicted", "nPredictions"])
    for row, actual in zip(counts, names, strict=True):
        for count, predicted in zip(row, names, strict=True):
            table.add_data(actual, predicted, count)
    fields = {one: one for one in ("Actual", "Predicted", "nPredictions")}
    return CustomChart("wandb/confusion_matrix/v1", table, fields, {"title": title})


def roc_curve(
    y_true: Sequence[Any],
    y_probas: Sequence[Sequence[float]] | None = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str = "ROC Curve",
    split_table: bool = False,
) -> CustomChart:
    """True over false positive rate of each class against all others.

    Args:
        y_true: the right classes.
        y_probas: of each example the probabilities of all classes, in the order of the sorted classes.
        labels: names of the classes, in that order.
        classes_to_plot: some of the classes; all if not given.
        title: of the chart.
        split_table: accepted for W&B's sake.

    Raises:
        InvalidInput: lists of different length, or fewer probabilities than classes.
        InvalidType: no lists.
    """
    table = Table(columns=["class", "fpr", "tpr"])
    for name, positives in _ranked(y_true, y_probas, labels, classes_to_plot):
        for false_rate, true_rate in _roc(positives):
            table.add_data(name, false_rate, true_rate)
    strings = {"title": title, "x-axis-title": "False positive rate", "y-axis-title": "True positive rate"}
    return CustomChart("wandb/area-under-curve/v0", table, {"x": "fpr", "y": "tpr", "class": "class"}, strings)


def pr_curve(
    y_true: Sequence[Any],
    y_probas: Sequence[Sequence[float]] | None = None,
    labels: Sequence[str] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = _INTERPOLATED,
    title: str = "Precision-Recall Curve",
    split_table: bool = False,
) -> CustomChart:
    """Precision over recall of each class against all others: the best precision at that recall or a higher one.

    Args:
        y_true, y_probas, labels, classes_to_plot, title, split_table: as for :func:`roc_curve`.
        interp_size: at how many recalls, evenly from 1 to 0; at least 2.

    Raises:
        InvalidInput: as :func:`roc_curve`, or ``interp_size`` too small.
        InvalidType: no lists.
    """
    if interp_size < 2:
        raise InvalidInput(f"a curve needs at least 2 points, not {interp_size}", hint="pass a larger interp_size")
    table = Table(columns=["class", "precision", "recall"])
    for name, positives in _ranked(y_true, y_probas, labels, classes_to_plot):
        reached = _precisions(positives)
        for place in range(interp_size - 1, -1, -1):
            recall = place / (interp_size - 1)
            best = max((precision for at, precision in reached if at >= recall), default=0.0)
            table.add_data(name, best, recall)
    strings = {"title": title, "x-axis-title": "Recall", "y-axis-title": "Precision"}
    return CustomChart("wandb/area-under-curve/v0", table, {"x": "recall", "y": "precision", "class": "class"}, strings)


# -- what they are made of --------------------------------------------------------------------------------


def _table(given: Any) -> Table:
    if isinstance(given, Table):
        return given
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return Table(dataframe=given)
    raise InvalidType(f"a chart is made of a Table, not of {type(given).__name__}", hint="artvc.Table(columns, data)")


def _is_row(value: object) -> bool:
    return isinstance(listed(value), Iterable) and not isinstance(value, str | bytes)


def _row(value: object, what: str) -> list[Any]:
    """A list of plain values."""
    if not _is_row(value):
        raise InvalidType(f"{what} is a list, not {type(value).__name__}")
    return [listed(one) for one in listed(value)]


def _best(probabilities: list[float]) -> int:
    if not probabilities:
        raise InvalidInput("an example without probabilities")
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def _sorted(classes: Iterable[Any]) -> list[Any]:
    return sorted(classes, key=lambda one: (isinstance(one, str), one if isinstance(one, int | float) else str(one)))


def _numbered(found: list[Any], names: list[str]) -> dict[Any, int]:
    """The number of each class: itself, that of its name, or its place among the classes that occur."""
    if all(isinstance(one, int) and 0 <= one < len(names) for one in found):
        return {one: int(one) for one in found}
    if all(str(one) in names for one in found):
        return {one: names.index(str(one)) for one in found}
    return {one: number for number, one in enumerate(found) if number < len(names)}


def _ranked(
    y_true: Any, y_probas: Any, labels: Sequence[str] | None, wanted: Sequence[Any] | None
) -> list[tuple[str, list[tuple[float, bool]]]]:
    """For each class its name, and of each example how likely it was held to be of that class and whether it is."""
    right = _row(y_true, "y_true")
    probabilities = [_row(one, "y_probas") for one in _row(y_probas, "y_probas")]
    if len(right) != len(probabilities):
        raise InvalidInput(f"y_true has {len(right)} classes, y_probas {len(probabilities)} rows")
    classes = _sorted(set(right))
    width = min((len(one) for one in probabilities), default=len(classes))
    if width > len(classes) and all(isinstance(one, int) and 0 <= one < width for one in classes):
        classes = list(range(width))  # not every class occurs among the examples
    if width < len(classes):
        raise InvalidInput(f"y_true has {len(classes)} classes, y_probas {width} probabilities of an example")
    chosen = classes if wanted is None else [one for one in classes if one in _row(wanted, "classes_to_plot")]
    found = []
    for place, one in enumerate(classes):
        positives = sum(truth == one for truth in right)
        if one in chosen and 0 < positives < len(right):  # without both there is no rate
            name = str(labels[place]) if labels is not None and place < len(labels) else str(one)
            scored = [(float(row[place]), truth == one) for row, truth in zip(probabilities, right, strict=True)]
            found.append((name, scored))
    return found


def _counted(scored: list[tuple[float, bool]]) -> list[tuple[int, int]]:
    """False and true positives at each threshold that occurs, from the highest; (0, 0) first."""
    points = [(0, 0)]
    false = true = 0
    ordered = sorted(scored, key=lambda one: -one[0])
    for place, (score, positive) in enumerate(ordered):
        true += positive
        false += not positive
        if place + 1 == len(ordered) or ordered[place + 1][0] != score:
            points.append((false, true))
    return points


def _roc(scored: list[tuple[float, bool]]) -> list[tuple[float, float]]:
    points = _counted(scored)
    negatives, positives = points[-1]
    bends = [
        point
        for place, point in enumerate(points)
        if place in {0, len(points) - 1} or not _on_a_line(points[place - 1], point, points[place + 1])
    ]
    return [(false / negatives, true / positives) for false, true in bends]


def _on_a_line(before: tuple[int, int], at: tuple[int, int], after: tuple[int, int]) -> bool:
    return (at[0] - before[0]) * (after[1] - at[1]) == (after[0] - at[0]) * (at[1] - before[1])


def _precisions(scored: list[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Recall and precision at each threshold."""
    points = _counted(scored)[1:]
    positives = points[-1][1]
    return [(true / positives, true / (true + false)) for false, true in points]
