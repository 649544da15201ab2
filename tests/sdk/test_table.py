"""Tables: columns and types, cells of all kinds, the file that they are kept in, and what a run makes of them."""

import datetime
import difflib
import io
import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import artvc
from artvc.errors import InvalidInput, InvalidType, LimitExceeded, MalformedObject, UsageError
from artvc.sdk import media, table_types
from artvc.sdk.table import Table


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


def there_and_back(table):
    return media.unpack(Shelf(media.pack(table, "t")), "t")


def of(*rows, **more):
    return Table(columns=[chr(97 + place) for place in range(len(rows[0]))], data=list(rows), **more)


NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)


# -- filling ----------------------------------------------------------------------------------------------


def test_columns_and_rows_in_every_form_that_wandb_takes():
    assert Table().columns == ["Input", "Output", "Expected"]
    assert Table(rows=[[1, 2, 3]]).data == [[1, 2, 3]]
    assert Table(["a", "b"], [[1, 2]]).data == [[1, 2]]
    assert Table(columns=["a", "b"], data=[(1, 2), [3, 4]]).data == [[1, 2], [3, 4]]
    assert Table(columns=[1, "b"], data=[]).columns == [1, "b"]
    assert Table(columns=("a",), rows=[[1]], data=[[2]]).data == [[2]]
    assert Table(rows=[[1, 2, 3, 4]]).columns == ["Input", "Output", "Expected", "Column 3"]


def test_add_data_adds_a_row_and_keeps_nothing_of_a_wrong_one():
    table = of([1, "x"])
    table.add_data(2, "y")
    table.add_row(3, None)
    for bad in ([1], [1, "x", 3]):
        with pytest.raises(InvalidInput, match="expects 2 columns"):
            table.add_data(*bad)
    with pytest.raises(TypeError, match=r"column 'b' holds string or None.*3.*number"):
        table.add_data(1, 3)
    assert table.data == [[1, "x"], [2, "y"], [3, None]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, "a"), (1, True), (True, 1), ("a", 1), ([1, 2], ["a"]), ({"a": 1}, {"b": 2}), (NOON, 3), ([1], 1),
        (artvc.Image([[1]]), 1), (artvc.Image([[1]]), artvc.Html("x")),
    ],
)  # fmt: skip
def test_a_row_that_does_not_match_its_columns_is_a_type_error(first, second):
    with pytest.raises(InvalidType) as caught:
        of([first], [second])
    assert isinstance(caught.value, TypeError)
    assert "allow_mixed_types=True" in caught.value.hint
    mixed = of([first], [second], allow_mixed_types=True)
    assert there_and_back(mixed) == mixed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 2.5), (None, 1), (1, None), ([[1]], [[1, 2]]), ((1, 2), [1]), ({1, 2}, {3}), (math.nan, 1), (NOON, NOON),
        ([], [1]), ([None], [1]), ({"a": None}, {"a": 1}), ([1, "x"], ["y", 2]),
    ],
)  # fmt: skip
def test_a_row_that_matches_is_taken(first, second):
    table = of([first], [second])
    assert there_and_back(table) == table


def test_optional_false_refuses_none():
    with pytest.raises(InvalidType, match="None"):
        of([1], [None], optional=False)
    with pytest.raises(InvalidType):
        of([1, 2], [1, None], optional=[True, False])
    assert of([1, 2], [None, 2], optional=[True, False]).data[1] == [None, 2]
    with pytest.raises(InvalidInput, match="optional"):
        of([1], optional=[True, False])


def test_dtype_says_what_columns_hold():
    assert of(["a", 1], dtype=[str, int]).data == [["a", 1]]
    assert of([1, 2], dtype=int).data == [[1, 2]]
    assert of([NOON], dtype=datetime.datetime).data == [[NOON]]
    assert of([[1]], dtype=[[int]]).data == [[[1]]]
    assert of([{"a": 1}], dtype={"a": int}).data == [[{"a": 1}]]
    assert of([1], ["x"], dtype=object).data == [[1], ["x"]]
    for bad, dtype in (([1], str), (["x"], float), ([[1]], [[str]]), ([1], artvc.Image)):
        with pytest.raises(InvalidType, match="holds"):
            of(bad, dtype=dtype)
    for dtype in (3, "int", complex):
        with pytest.raises(InvalidType, match="no type for a column"):
            of([1], dtype=dtype)


def test_cast_checks_what_is_there():
    table = of([1, "x"], [None, "y"])
    assert table.cast("a", int, optional=True) == "number or None"
    with pytest.raises(InvalidType):
        table.cast("a", int)
    with pytest.raises(InvalidType):
        table.cast("b", int)
    with pytest.raises(InvalidInput, match="no column"):
        table.cast("z", int)
    table.cast("b", object)
    table.add_data(1, 2)


def test_add_column_wants_a_value_for_each_row():
    table = of([1], [2])
    table.add_column("b", ["x", "y"])
    table.add_column("c", (None, 1), optional=True)
    assert table.columns == ["a", "b", "c"] and table.data == [[1, "x", None], [2, "y", 1]]
    for name, cells, error in (
        ("a", [1, 2], InvalidInput), ("d", [1], InvalidInput), ("d", [1, "x"], InvalidType),
        ("d", [1, None], InvalidType), ("d", 3, InvalidType),
    ):  # fmt: skip
        with pytest.raises(error):
            table.add_column(name, cells)
    assert table.columns == ["a", "b", "c"] and [len(row) for row in table.data] == [3, 3]
    empty = Table(columns=[])
    empty.add_column("a", [1, 2])
    assert empty.data == [[1], [2]]


def test_add_computed_columns():
    table = of([1], [2])
    table.add_computed_columns(lambda number, row: {"twice": 2 * row["a"], "n": number})
    assert table.data == [[1, 2, 0], [2, 4, 1]]
    with pytest.raises(InvalidInput, match="same columns"):
        table.add_computed_columns(lambda number, row: {"z": 1} if number else {})


def test_column_index_rows_and_iterrows_are_read_back():
    table = of([1, "x"], [2, "y"])
    assert table.get_column("b") == ["x", "y"]
    assert table.get_index() == [0, 1]
    assert table.get_row(1) == [2, "y"]
    assert list(table.iterrows()) == [(0, [1, "x"]), (1, [2, "y"])]
    with pytest.raises(InvalidInput, match="no column 'z'"):
        table.get_column("z")
    with pytest.raises(InvalidInput, match="converted"):
        table.get_column("a", convert_to="list")
    assert repr(table) == "Table(columns=['a', 'b'], 2 rows)"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"columns": "ab"}, InvalidType),
        ({"columns": 3}, InvalidType),
        ({"columns": ["a", "a"]}, InvalidInput),
        ({"columns": [1, "1"]}, InvalidInput),
        ({"columns": range(10_001)}, LimitExceeded),
        ({"data": 3}, InvalidType),
        ({"columns": ["a"], "data": ["x"]}, InvalidType),
        ({"columns": ["a"], "data": [{"a": 1}]}, InvalidType),
        ({"columns": ["a"], "data": [3]}, InvalidType),
        ({"columns": ["a"], "data": [[1, 2]]}, InvalidInput),
        ({"dataframe": 3}, InvalidType),
        ({"columns": ["a"], "data": [[Table()]]}, InvalidType),
    ],
)
def test_what_makes_no_table_is_refused(arguments, error):
    with pytest.raises(error):
        Table(**arguments)


def test_a_cell_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(InvalidInput, match="nested deeper"):
        of([loop])


def test_equal_tables_are_equal_by_content():
    assert of([1, math.nan]) == of([1, math.nan])
    assert of([1]) != of([2]) and of([1]) != of([1], [1]) and of([1]) != 3
    assert Table(columns=["a"], data=[[1]]) != Table(columns=["b"], data=[[1]])
    assert hash(of([1])) == hash(of([1]))


# -- storing ----------------------------------------------------------------------------------------------


def test_the_file_is_wandbs_table_json_with_a_row_to_a_line():
    ((path, data),) = media.pack(of([1, "x\ny"], [2, None]), "t")
    assert path == "t.table.json"
    head, *rows, tail = data.split(b"\n")[:-1]
    assert rows == [b'[1,"x\\ny"],', b"[2,null]"]
    assert head.endswith(b'"columns":["a","b"],"data":[') and tail == b'],"ncols":2,"nrows":2}'
    whole = json.loads(data)
    assert (whole["_type"], whole["columns"], whole["data"]) == ("table", ["a", "b"], [[1, "x\ny"], [2, None]])
    assert whole["column_types"]["params"]["type_map"]["a"] == {
        "wb_type": "union", "params": {"allowed_types": [{"wb_type": "none"}, {"wb_type": "number"}]},
    }  # fmt: skip


def test_the_page_shows_the_bytes_of_a_table():
    page = (Path(artvc.__file__).parent / "docs" / "format-media.md").read_text()
    shown = page.partition("```json\n")[2].partition("```")[0]
    table = Table(columns=["id", "text"], data=[[1, "one\nline"], [2.5, None]])
    assert media.pack(table, "t")[0][1].decode() == shown
    assert media.unpack(Shelf({"t.table.json": shown.encode()}), "t") == table


def test_two_tables_can_be_compared_line_by_line():
    rows = [[n, f"text {n}"] for n in range(1000)]
    before = media.pack(of(*rows), "t")[0][1].splitlines()
    rows[400] = [400, "changed"]
    del rows[100]
    rows.insert(700, [-1, "new"])
    after = media.pack(of(*rows), "t")[0][1].splitlines()
    lines = difflib.unified_diff([one.decode() for one in before], [one.decode() for one in after], n=0, lineterm="")
    changes = [line for line in lines if line[0] in "+-"][2:]
    assert changes == ['-[100,"text 100"],', '-[400,"text 400"],', '+[400,"changed"],', '+[-1,"new"],']


def test_one_changed_row_of_many_stores_little_new(desk):
    def stored():
        return sum(path.stat().st_size for path in (desk / ".artvc" / "packs").iterdir())

    chance = random.Random(1)
    rows = [[n, chance.random(), f"name {chance.random()}"] for n in range(20_000)]
    sizes = []
    with artvc.init(project="p"):
        for change in (None, 10_000, 3):
            if change is not None:
                rows[change] = [change, 0.5, "changed"]
            artvc.log({"t": Table(columns=["n", "score", "text"], data=rows)})
            sizes.append(stored())
    assert sizes[0] > 300_000
    assert max(sizes[1] - sizes[0], sizes[2] - sizes[1]) < sizes[0] / 3


def test_a_table_as_wandb_writes_it_is_read():
    union = {"wb_type": "union", "params": {"allowed_types": [{"wb_type": "timestamp"}, {"wb_type": "none"}]}}
    types = {"wb_type": "typedDict", "params": {"type_map": {"d": union, "x": {"wb_type": "pythonObject"}}}}
    written = {
        "_type": "table", "column_types": types, "columns": ["d", "x", "new"], "ncols": 3, "nrows": 1,
        "data": [[1795348800000, "text", [1]]], "log_mode": "IMMUTABLE",
    }  # fmt: skip
    back = media.unpack(Shelf({"t.table.json": json.dumps(written).encode()}), "t")
    assert back.data == [[datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC), "text", [1]]]
    del written["column_types"]
    assert media.unpack(Shelf({"t.table.json": json.dumps(written).encode()}), "t").data[0][0] == 1795348800000


def test_cells_without_a_form_in_json_come_back():
    naive = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    table = of(
        [math.nan, naive, datetime.date(2026, 1, 2), [math.inf], {"a": [-math.inf]}, "\ud800", b"x"],
        [1, NOON, None, [1], {"a": [2.5]}, "é\u2028", b"\xff"],
    )
    back = there_and_back(table)
    assert back == table
    assert math.isnan(back.data[0][0]) and back.data[0][3:6] == [[math.inf], {"a": [-math.inf]}, "\ud800"]
    assert back.data[0][1] == naive.replace(tzinfo=datetime.UTC)
    assert back.data[0][2] == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert back.data[1][6] == "\\xff"
    late = datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=datetime.UTC)
    assert there_and_back(of([late])).data == [[late]]


def test_nan_counts_as_none_in_columns_that_are_not_of_numbers():
    assert of(["x"], [math.nan]).data == [["x"], [None]]
    assert of([math.nan], ["x"]).data[1] == ["x"]
    back = there_and_back(of([math.nan], [None]))
    assert math.isnan(back.data[0][0]) and back.data[1][0] is None
    assert there_and_back(of([math.nan], ["x"])).data == [[None], ["x"]]
    with pytest.raises(InvalidType):
        of(["x"], [math.nan], optional=False)


def test_mixed_columns_say_of_each_cell_what_it_is():
    cells = [
        1,
        "x",
        True,
        None,
        NOON,
        math.inf,
        [NOON, math.nan],
        {"_type": "timestamp", "value": 3},
        {"b": {"_type": 1}},
    ]
    table = of(*([cell] for cell in cells), allow_mixed_types=True)
    back = there_and_back(table)
    assert back == table
    assert [back.data[place][0] for place in (4, 7, 8)] == [cells[4], cells[7], cells[8]]


def test_media_cells_come_back():
    images = [artvc.Image([[n]], caption=str(n)) for n in range(3)]
    table = Table(columns=["image", "h", "n"])
    for n, image in enumerate(images):
        table.add_data(image, artvc.Histogram([n, 1]), n)
    packed = media.pack(table, "dir/t")
    assert [path for path, _ in packed][0] == "dir/t.table.json" and len(packed) == 4
    back = media.unpack(Shelf(packed), "dir/t")
    assert back == table and back.get_column("image") == images
    assert back.get_column("h") == table.get_column("h")


def test_data_changed_by_hand_is_kept_or_refused():
    table = of([1])
    table.data.append(["x"])
    table.data.append([math.nan])
    back = there_and_back(table)
    assert back.data[:2] == [[1], ["x"]] and math.isnan(back.data[2][0])
    fresh = Table(columns=["a"])
    fresh.data.append(["x"])
    assert there_and_back(fresh).data == [["x"]]
    table.data.append([1, 2])
    with pytest.raises(InvalidInput, match="row 3 has 2 cells"):
        media.pack(table, "t")


def test_integers_too_long_for_json_are_refused():
    with pytest.raises(InvalidInput, match="row 0"):
        media.pack(of([10**5000]), "t")


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.datetimes(timezones=st.just(datetime.UTC)),
)  # fmt: skip
NESTED = st.recursive(
    CELLS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.just("_type")), inner, max_size=3),
        st.lists(st.lists(st.integers(0, 255), min_size=3, max_size=3), min_size=1, max_size=3).map(artvc.Image),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NESTED, NESTED, CELLS), max_size=6))
def test_any_table_of_mixed_types_comes_back_equal(rows):
    table = Table(columns=["a", "b", "c"], data=rows, allow_mixed_types=True)
    back = there_and_back(table)
    assert back == table
    assert repr(back.data) == repr(table.data)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers() | st.floats() | st.none(),
            st.text(max_size=9) | st.none(),
            st.datetimes() | st.none(),
            st.lists(st.floats() | st.none(), max_size=3),
            st.fixed_dictionaries({"_type": st.text(max_size=3), "n": st.integers()}),
        ),
        max_size=6,
    )
)
def test_any_table_of_typed_columns_comes_back_equal(rows):
    table = Table(columns=[1, "b", "ü", "", "_type"], data=rows)
    back = there_and_back(table)
    assert back == table
    assert repr(back.data) == repr(table.data) and back.columns == table.columns


# -- untrusted files --------------------------------------------------------------------------------------


def broken(**changes):
    whole = json.loads(dict(media.pack(of([1, "x"]), "t"))["t.table.json"])
    return json.dumps({**whole, **changes}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b'{"_type":"table","data":[\n', b'{"_type":"table","columns":["a"],"data":[\n[1]\n[2]\n',
        b'{"_type":"table","columns":["a"],"data":[\n[1]\n],"ncols":1,"nrows":7}\n',
        b'{"_type":"table","columns":["a"],"data":[\n[1]\n],"ncols":1,"nrows":1}\nmore',
        b'{"_type":"table","columns":["a"],"data":[\n[1,2]\n],"ncols":1,"nrows":1}\n',
        b'{"_type":"table","columns":["a"],"data":[\n{}\n],"ncols":1,"nrows":1}\n',
        b'{"_type":"table","columns":["a"],"data":[\nnonsense\n],"ncols":1,"nrows":1}\n',
        b'{"_type":"table","columns":["a"],"data":[\n' + b"[" * 200_000 + b"\n],",
        broken(_type="image-file"), broken(data=None), broken(data=[3]), broken(data=[[1]]), broken(columns=None),
        broken(columns=["a", "a"]), broken(columns=list(range(20_000))), broken(column_types=3),
        broken(data=[["x", "x"]]), broken(data=[[1, 2]]), broken(data=[[True, "x"]]), broken(data=[[{"_type": "x"}, "x"]]),
    ],
)  # fmt: skip
def test_a_malformed_table_is_refused(data):
    with pytest.raises(MalformedObject):
        media.unpack(Shelf({"t.table.json": data}), "t")


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ({"wb_type": "timestamp"}, 1e300), ({"wb_type": "timestamp"}, "yesterday"), ({"wb_type": "timestamp"}, True),
        ({"wb_type": "image-file"}, {"_type": "image-file", "path": "../x"}), ({"wb_type": "image-file"}, 3),
        ({"wb_type": "image-file"}, {"_type": "html-file", "path": "media/x"}),
        ({"wb_type": "ndarray", "params": {"shape": "x"}}, [1]), ({"wb_type": 3}, 1),
        ({"wb_type": "bokeh-file"}, {"_type": "bokeh-file"}), ({"wb_type": "any"}, {"_type": "timestamp"}),
        ({"wb_type": "any"}, {"_type": "number", "value": "x"}), ({"wb_type": "list"}, "x"), ({"wb_type": "typedDict"}, 1),
        ({"wb_type": "any"}, {"_type": "image-file", "path": "/etc/passwd"}),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_what_its_column_says_is_refused(kind, cell):
    types = {"wb_type": "typedDict", "params": {"type_map": {"a": kind}}}
    data = json.dumps({"_type": "table", "columns": ["a"], "column_types": types, "data": [[cell]]}).encode()
    with pytest.raises(MalformedObject):
        media.unpack(Shelf({"t.table.json": data}), "t")


def test_a_type_nested_without_end_is_refused():
    types = b'{"wb_type":"list","params":{"element_type":' * 800 + b'{"wb_type":"number"}' + b"}}" * 800
    data = b'{"_type":"table","columns":["a"],"column_types":{"wb_type":"typedDict","params":{"type_map":{"a":%s}}},"data":[\n[1]\n],"nrows":1}\n'
    with pytest.raises(MalformedObject):
        media.unpack(Shelf({"t.table.json": data % types}), "t")


def test_a_table_larger_than_the_limits_is_neither_written_nor_read(monkeypatch):
    packed = media.pack(of(*([n, n] for n in range(100))), "t")
    from artvc.sdk import table as module

    monkeypatch.setattr(module, "TABLE_VALUES", 100)
    with pytest.raises(LimitExceeded, match="too large"):
        media.pack(of(*([n, n] for n in range(100))), "t")
    with pytest.raises(MalformedObject, match="too large"):
        media.unpack(Shelf(packed), "t")
    with pytest.raises(MalformedObject, match="more than 100"):
        media.unpack(Shelf({"t.table.json": broken(data=[[1, "x"]] * 100)}), "t")
    monkeypatch.setattr(module, "ROW_BYTES", 10)
    with pytest.raises(LimitExceeded, match="row 0"):
        media.pack(of(["a long text"]), "t")
    monkeypatch.setattr(module, "TABLE_BYTES", 100)
    with pytest.raises(MalformedObject, match="bytes"):
        media.unpack(Shelf(packed), "t")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_table_is_read_as_a_table_or_refused(data):
    whole = bytearray(media.pack(of([1, "x", NOON, [1.5], {"a": 1}], [2, "y", NOON, [], {"a": None}]), "t")[0][1])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        action = data.draw(st.sampled_from(["cut", "change", "drop", "insert"]))
        if action == "cut":
            del whole[at:]
        elif action == "change":
            whole[at] = data.draw(st.integers(0, 255))
        elif action == "drop":
            del whole[at]
        else:
            whole[at:at] = data.draw(st.sampled_from([b"[", b"]", b"{", b'"', b",", b"\n", b"null", b"1e999", b"NaN"]))
        if not whole:
            break
    try:
        back = media.unpack(Shelf({"t.table.json": bytes(whole)}), "t")
    except MalformedObject:
        return
    assert all(len(row) == len(back.columns) for row in back.data)


# -- with other libraries ---------------------------------------------------------------------------------


def test_arrays_and_numbers_of_numpy():
    numpy = pytest.importorskip("numpy")
    assert Table(columns=list("abc"), data=numpy.zeros((2, 3))).data == [[0.0] * 3] * 2
    assert of([numpy.float32(0.5)], [numpy.int64(2)]).data == [[0.5], [2]]
    assert of([numpy.datetime64("2026-11-23T12:00")]).data == [[NOON]]
    assert of([numpy.array(["a", "b"])]).data == [[["a", "b"]]]
    table = of([numpy.arange(6, dtype=numpy.uint8).reshape(2, 3)], [numpy.ones((2, 3), numpy.uint8)], [None])
    back = there_and_back(table)
    assert back == table
    assert back.data[0][0].dtype == numpy.uint8 and back.data[0][0].tolist() == [[0, 1, 2], [3, 4, 5]]
    for other in (numpy.zeros((3, 2)), 3):
        with pytest.raises(InvalidType, match="ndarray of shape"):
            of([numpy.zeros((2, 3))], [other])
    odd = of([numpy.array([1.5, math.nan, math.inf], numpy.float32)], ["x"], allow_mixed_types=True)
    assert there_and_back(odd) == odd and there_and_back(odd).data[0][0].dtype == numpy.float32
    assert there_and_back(of([numpy.zeros(2)], [numpy.zeros(2, int)])).data[1][0].tolist() == [0, 0]
    column = of([1], [2]).get_column("a", convert_to="numpy")
    assert isinstance(column, numpy.ndarray) and column.tolist() == [1, 2]


def test_an_array_that_is_not_what_it_claims_is_refused():
    pytest.importorskip("numpy")
    kind = {"wb_type": "ndarray", "params": {"shape": [2], "dtype": "uint8"}}
    for cell in ([1], [1, 300], [[1], [2, 3]], ["x", "y"], [1, {}], 3):
        types = {"wb_type": "typedDict", "params": {"type_map": {"a": kind}}}
        data = json.dumps({"_type": "table", "columns": ["a"], "column_types": types, "data": [[cell]]}).encode()
        with pytest.raises(MalformedObject):
            media.unpack(Shelf({"t.table.json": data}), "t")


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    table = of([torch.tensor(0.5), torch.arange(3)], [torch.tensor(2), torch.arange(3, requires_grad=False)])
    assert table.get_column("a") == [0.5, 2]
    assert there_and_back(table).data[0][1].tolist() == [0, 1, 2]
    assert there_and_back(of([torch.ones(2, dtype=torch.bfloat16)])).data[0][0].tolist() == [1, 1]
    assert Table(columns=["a", "b"], data=torch.zeros(2, 2)).data == [[0.0, 0.0]] * 2


def test_dataframes_of_pandas():
    pandas = pytest.importorskip("pandas")
    times = pandas.to_datetime(["2026-11-23T12:00", None])
    frame = pandas.DataFrame({"x": [1, 2], "y": ["a", None], "z": times, "c": pandas.Categorical(["u", "v"])})
    for table in (Table(dataframe=frame), Table(data=frame)):
        assert table.columns == ["x", "y", "z", "c"]
        assert table.data == [[1, "a", NOON, "u"], [2, None, None, "v"]]
    assert list(table.get_dataframe().columns) == ["x", "y", "z", "c"]
    assert table.get_dataframe()["x"].tolist() == [1, 2]
    assert Table(dataframe=pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64")})).data == [[1], [None]]
    with artvc.init(project="p"):
        artvc.log({"frame": frame})
        assert artvc.summary["frame"]["_type"] == "table-file"


def test_without_libraries_a_table_works_and_says_what_it_misses(monkeypatch):
    array = pytest.importorskip("numpy").arange(2)
    for name in ("numpy", "pandas", "torch"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    table = of([1, [[1.5, 2]], artvc.Image([[1]])])
    assert there_and_back(table) == table
    with pytest.raises(UsageError, match="needs numpy"):
        table.get_column("a", convert_to="numpy")
    with pytest.raises(UsageError, match="needs pandas"):
        table.get_dataframe()
    assert of([array]).data == [[[0, 1]]]
    kind = table_types.Kind("ndarray", shape=(2,))
    assert table_types.decode([1, "NaN"], kind, None, {})[0] == 1


# -- in a run ---------------------------------------------------------------------------------------------


def test_a_logged_table_is_a_record_a_file_and_an_artifact(logged, run_files):
    table = Table(columns=["image", "n"], data=[[artvc.Image([[7]]), 1]])
    with artvc.init(project="p") as run:
        artvc.log({"predictions/first": table, "loss": 1})
        found = run.use_artifact(f"run-{run.id}-predictionsfirst:latest")
        assert found.type == "run_table"
        assert media.unpack(found, "predictionsfirst") == table
        label = found.source_name
    (row,) = logged()
    record = row["predictions/first"]
    assert (record["_type"], record["ncols"], record["nrows"]) == ("table-file", 2, 1)
    assert record["artifact_path"] == f"artvc-artifact://p/{label}/predictionsfirst.table.json"
    files = run_files()
    assert record["path"].startswith("media/table/predictions/first_0_")
    kept = json.loads(files[record["path"]])
    assert kept["data"][0][1] == 1 and kept["data"][0][0]["path"] in files
    assert record["size"] == len(files[record["path"]])


def test_a_table_of_many_images_comes_back_from_its_artifact():
    table = Table(columns=["i"], data=[[artvc.Image([[n]])] for n in range(100)])
    with artvc.init(project="p") as run:
        artvc.log({"t": table})
        assert media.unpack(run.use_artifact(f"run-{run.id}-t"), "t") == table


def test_a_table_logged_twice_makes_two_versions_and_equal_content_one():
    with artvc.init(project="p") as run:
        for rows in ([[1]], [[1], [2]], [[1], [2]]):
            artvc.log({"t": Table(columns=["a"], data=rows)})
        name = f"run-{run.id}-t"
        assert run.use_artifact(name).version == "v1"
        assert media.unpack(run.use_artifact(f"{name}:v0"), "t").data == [[1]]


def test_a_table_that_is_filled_after_it_was_logged_is_kept_as_it_was():
    table = Table(columns=["a"], data=[[1]])
    with artvc.init(project="p") as run:
        artvc.log({"t": table})
        table.add_data(2)
        assert media.unpack(run.use_artifact(f"run-{run.id}-t"), "t").data == [[1]]
