"""Tables: rows and typed columns, kept so that two of them can be compared row by row.

A table is W&B's ``table.json`` with one row to a line.  It is cut where its content says so, like all files, so a
changed row costs one chunk (see ``docs/format-media.md``); and any tool that compares lines shows which rows differ.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO, Any, ClassVar, Final, Literal, Self, cast

from artvc.errors import InvalidInput, InvalidType, LimitExceeded, MalformedObject
from artvc.model.objects import Json, JsonObject
from artvc.sdk import table_types
from artvc.sdk.media_value import RECORD_BYTES, Files, Media, SourceEntry, Stored, needed, parse, parse_json, read
from artvc.sdk.table_types import ANY, UNKNOWN, Kind, kind_of, merged, normal

DEFAULT_COLUMNS: Final = ("Input", "Output", "Expected")
TABLE_BYTES: Final = 1024 * 1024 * 1024
TABLE_VALUES: Final = 50_000_000
COLUMNS: Final = 10_000
ROW_BYTES: Final = 64 * 1024 * 1024
_HEAD_END: Final = b'"data":[\n'
_PLAIN: Final = frozenset({int, str, bool})
ColumnName = str | int
Row = list[Any]


class Table(Media):
    """Rows and named columns: ``Table(columns=["image", "label"], data=[[Image(x), 3]])``.

    A column holds values of one type, which its first cell decides unless ``dtype`` says it: numbers, text, bools,
    times, lists, dicts, arrays of numbers of one shape, or media.  Numbers of numpy and torch become Python's; other
    objects are kept as their ``str()``.  Of a column that is not of numbers, NaN counts as None.

    Args:
        columns: names, no two the same; of ``data`` without names "Input", "Output" and "Expected".
        data: rows; or an array of two axes, or a dataframe.
        rows: W&B's older name for ``data``.
        dataframe: of pandas; its index is left out.
        dtype: the type of all columns, or a list of one for each: ``int``, ``str``, ``Image``, ``[float]``...
        optional: None is allowed in each column; or a list.
        allow_mixed_types: any value goes into any column.
        log_mode: accepted for W&B's sake: each ``log`` keeps the table as it is then.

    Attributes:
        columns: the names.
        data: the rows, lists of cells.

    Raises:
        InvalidInput: a row of another length, or a column name twice.
        InvalidType: a cell that is not of its column's type (a TypeError), or no rows at all.
    """

    TYPE: ClassVar[str] = "table"

    def __init__(
        self,
        columns: Sequence[ColumnName] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: "bool | Sequence[bool]" = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = "IMMUTABLE",
    ) -> None:
        given = rows if rows is not None and data is None else data
        if dataframe is not None or _is_dataframe(given):
            names, given = _from_dataframe(given if dataframe is None else dataframe)
            columns = names if columns is None else columns
        elif given is not None:
            given = _as_rows(given)
        if columns is None:
            width = len(given[0]) if given and rows is not None else len(DEFAULT_COLUMNS)
            columns = [*DEFAULT_COLUMNS[:width], *(f"Column {n}" for n in range(len(DEFAULT_COLUMNS), width))]
        self.columns: list[ColumnName] = _column_names(columns)
        self.data: list[Row] = []
        self.log_mode = log_mode
        self._kinds = self._asked_kinds(ANY if allow_mixed_types else dtype, optional)
        for row in given or ():
            self.add_data(*row)

    def _asked_kinds(self, dtype: Any, optional: "bool | Sequence[bool]") -> list[Kind]:
        count = len(self.columns)
        types = list(dtype) if isinstance(dtype, list | tuple) and len(dtype) == count else [dtype] * count
        allowed = [optional] * count if isinstance(optional, bool) else list(optional)
        if len(allowed) != count:
            raise InvalidInput(f"optional says something of {len(allowed)} columns, there are {count}")
        kinds = [one if isinstance(one, Kind) else table_types.kind_from(one) for one in types]
        return [replace(kind, optional=may or kind.name == "any") for kind, may in zip(kinds, allowed, strict=True)]

    def __repr__(self) -> str:
        return f"Table(columns={self.columns!r}, {len(self.data)} rows)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return self.columns == other.columns and len(self.data) == len(other.data) and _written(self) == _written(other)

    def __hash__(self) -> int:
        return hash(tuple(self.columns))

    # -- filling ------------------------------------------------------------------------------------------

    def add_data(self, *data: Any) -> None:
        """Add a row: one cell for each column.

        Raises:
            InvalidInput: more or fewer cells than columns.
            InvalidType: a cell that is not of its column's type; nothing was added.
        """
        if len(data) != len(self.columns):
            raise InvalidInput(f"This table expects {len(self.columns)} columns: {self.columns}, found {len(data)}")
        kinds = self._kinds
        row: Row = []
        changed: dict[int, Kind] = {}
        for place, given in enumerate(data):
            value = normal(given)
            known = kinds[place]
            if table_types.is_plain_of(value, known):
                row.append(value)
                continue
            value, kind = self._fitted(self.columns[place], value, known)
            if kind is not known:
                changed[place] = kind
            row.append(value)
        for place, kind in changed.items():
            kinds[place] = kind
        self.data.append(row)

    def _fitted(self, column: ColumnName, value: Any, known: Kind) -> tuple[Any, Kind]:
        """A cell and the type that its column has with it."""
        if isinstance(value, float) and value != value and known.name not in {"number", "any"}:
            if known.name == "unknown":
                return value, known
            value = None
        if isinstance(value, Table):
            raise InvalidType(f"column {column!r}: a table can't hold a table", hint="log it under a key of its own")
        kind = merged(known, kind_of(value))
        if kind is None:
            shown = f"{value!r:.80}"
            raise InvalidType(
                f"column {column!r} holds {known}, so it can't take {shown} of type {kind_of(value)}",
                hint="pass allow_mixed_types=True to the table if that is meant",
            )
        return value, kind

    add_row = add_data

    def add_column(self, name: ColumnName, data: Any, optional: bool = False) -> None:
        """Add a column.

        Args:
            name: not there yet.
            data: one value for each row; where there are no columns, of any number.
            optional: None is allowed in it.

        Raises:
            InvalidInput: the name is taken, or there are more or fewer values than rows.
            InvalidType: values of several types; nothing was added.
        """
        if name in self.columns:
            raise InvalidInput(f"the table has a column {name!r} already", hint="choose another name")
        cells = [normal(one) for one in (data if isinstance(data, list | tuple) else _listed(data))]
        if self.columns and len(cells) != len(self.data):
            raise InvalidInput(f"column {name!r} has {len(cells)} values, the table {len(self.data)} rows")
        kind = replace(UNKNOWN, optional=optional)
        for place, cell in enumerate(cells):
            cells[place], kind = self._fitted(name, cell, kind)
        if not self.columns:
            self.data = [[] for _ in cells]
        self.columns.append(name)
        self._kinds.append(kind)
        for row, cell in zip(self.data, cells, strict=True):
            row.append(cell)

    def add_computed_columns(self, fn: Callable[[int, dict[ColumnName, Any]], Mapping[ColumnName, Any]]) -> None:
        """Add columns whose cells a function makes of each row.

        Args:
            fn: gets the row's number and a dict of its cells by column; returns a dict of new columns and cells.

        Raises:
            InvalidInput: the function does not return the same columns for each row, or one that is there.
        """
        made = [fn(place, dict(zip(self.columns, row, strict=True))) for place, row in enumerate(self.data)]
        if any(one.keys() != made[0].keys() for one in made):
            raise InvalidInput("the function must return the same columns for each row")
        for name in made[0] if made else ():
            self.add_column(name, [one[name] for one in made], optional=True)

    def cast(self, col_name: ColumnName, dtype: Any, optional: bool = False) -> str:
        """Say what type a column has.

        Args:
            col_name: of the table.
            dtype: as for the table.
            optional: None is allowed in it.

        Returns:
            the type in words.

        Raises:
            InvalidInput: no such column.
            InvalidType: it holds something else already.
        """
        place = self._place(col_name)
        wanted = replace(table_types.kind_from(dtype), optional=optional)
        for row in self.data:
            row[place], wanted = self._fitted(col_name, row[place], wanted)
        self._kinds[place] = wanted
        return str(wanted)

    # -- reading ------------------------------------------------------------------------------------------

    def _place(self, name: ColumnName) -> int:
        try:
            return self.columns.index(name)
        except ValueError:
            raise InvalidInput(f"the table has no column {name!r}", hint=f"it has {self.columns}") from None

    def get_column(self, name: ColumnName, convert_to: Literal["numpy"] | None = None) -> Any:
        """The cells of a column, as a list or, with ``convert_to="numpy"``, as an array.

        Raises:
            InvalidInput: no such column, or nothing to convert to.
            UsageError: numpy is not installed.
        """
        if convert_to not in {None, "numpy"}:
            raise InvalidInput(f"a column can't be converted to {convert_to!r}", hint="use 'numpy' or None")
        place = self._place(name)
        cells = [row[place] for row in self.data]
        if convert_to is None:
            return cells
        return needed("numpy", "a column as an array").array(cells)

    def get_index(self) -> list[int]:
        """The numbers of the rows."""
        return list(range(len(self.data)))

    def get_row(self, row: int) -> Row:
        """One row.  Raises IndexError."""
        return self.data[row]

    def iterrows(self) -> Iterator[tuple[int, Row]]:
        """The rows with their numbers."""
        return iter(enumerate(self.data))

    def get_dataframe(self) -> Any:
        """A dataframe of pandas.  Raises UsageError where that is not installed."""
        return needed("pandas", "a dataframe").DataFrame.from_records(self.data, columns=self.columns)

    # -- storing ------------------------------------------------------------------------------------------

    def to_record(self, files: Files) -> JsonObject:
        """Keep the rows as a file; returns what a run's history says of it.

        Raises:
            InvalidInput, LimitExceeded: as :meth:`pack`.
        """
        kept = files.add("table", ".table.json", self.pack(files))
        return {"_type": "table-file", "ncols": len(self.columns), "nrows": len(self.data), **kept}

    def pack(self, files: Files) -> bytes:
        """The table as bytes, one row to a line.

        Args:
            files: that take what media in cells consist of.

        Raises:
            InvalidInput: ``data`` was changed by hand, and now a row is too short or too long.
            LimitExceeded: more cells or bytes, of all or of a row, than can be read back.
        """
        width = len(self.columns)
        for place, row in enumerate(self.data):
            if len(row) != width:
                raise InvalidInput(f"row {place} has {len(row)} cells, the table {width} columns")
        kinds = [self._final_kind(place) for place in range(width)]
        lines = [_line(row, kinds, files, place) for place, row in enumerate(self.data)]
        head: JsonObject = {
            "_type": self.TYPE,
            "column_types": {
                "wb_type": "typedDict",
                "params": {
                    "type_map": {
                        str(name): table_types.kind_to_json(kind)
                        for name, kind in zip(self.columns, kinds, strict=True)
                    }
                },
            },
            "columns": cast("list[Json]", self.columns),
        }
        start = _dumps(head)[:-1] + b"," + _HEAD_END
        end = f'],"ncols":{len(self.columns)},"nrows":{len(self.data)}}}\n'.encode()
        data = b"".join([start, b",\n".join(lines), b"\n" if lines else b"", end])
        if len(data) > TABLE_BYTES or len(start) > RECORD_BYTES or _values(data) > TABLE_VALUES:
            raise LimitExceeded(
                f"a table of {len(data)} bytes and about {_values(data)} values is too large",
                hint=f"at most {TABLE_BYTES} bytes and {TABLE_VALUES} values; log it in parts, or as a file",
            )
        return data

    def _final_kind(self, place: int) -> Kind:
        """The type of a column as it is written; ``data`` may have been changed by hand."""
        kind = self._kinds[place]
        present = {type(row[place]) for row in self.data if len(row) > place}
        if kind.name == "any" or present <= table_types.plain_types(kind):
            return kind
        for row in self.data:
            try:
                _, kind = self._fitted(self.columns[place], normal(row[place]), kind)
            except InvalidType:
                return ANY
        # Nothing but NaN and None leaves it unknown.
        return Kind("number", optional=True) if kind.name == "unknown" and float in present else kind

    @classmethod
    def unpack(cls, entry: SourceEntry, path: str, stored: Stored, media: Mapping[str, type[Media]]) -> Self:
        """A table from its file, or from W&B's.

        Args:
            entry: the file; not believed.
            path: of it, for messages.
            stored: where the files of media are.
            media: their classes by ``_type``.

        Raises:
            MalformedObject: it is no table, or too large.
        """
        if entry.size > TABLE_BYTES:
            raise MalformedObject(f"{path!r} has {entry.size} bytes, more than the {TABLE_BYTES} of a table")
        with entry.open() as file:
            start = file.readline(RECORD_BYTES)
            if start.endswith(_HEAD_END):
                head, rows = parse(start[: -len(_HEAD_END)] + b'"data":[]}', path), _rows(file, path)
                return cls._filled(head, rows, path, stored, media)
        whole = read(entry, RECORD_BYTES * 4, path)
        if _values(whole) > TABLE_VALUES:
            raise MalformedObject(f"{path!r} has more than {TABLE_VALUES} values")
        head = parse(whole, path)
        data = head.get("data")
        if not isinstance(data, list):
            raise MalformedObject(f"{path!r} is a table without rows")
        return cls._filled(head, data, path, stored, media)

    @classmethod
    def _filled(
        cls, head: JsonObject, rows: Iterable[Json], path: str, stored: Stored, media: Mapping[str, type[Media]]
    ) -> Self:
        names = head.get("columns")
        if head.get("_type") != cls.TYPE or not isinstance(names, list):
            raise MalformedObject(f"{path!r} is no table")
        try:
            made = cls(columns=cast("Any", names))
        except (InvalidInput, InvalidType) as exc:
            raise MalformedObject(f"{path!r}: {exc}") from exc
        made._kinds = _read_kinds(head.get("column_types"), made.columns)
        for row in rows:
            if not isinstance(row, list) or len(row) != len(made.columns):
                raise MalformedObject(f"row {len(made.data)} of {path!r} is no list of {len(made.columns)} cells")
            made.data.append(
                [
                    cell if table_types.is_plain_of(cell, kind) else table_types.decode(cell, kind, stored, media)
                    for cell, kind in zip(row, made._kinds, strict=True)
                ]
            )
        return made


# -- what tables are made of ------------------------------------------------------------------------------


def _column_names(given: Any) -> list[ColumnName]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidType(f"columns are a list of names, not {given!r:.80}")
    names: list[ColumnName] = [one if type(one) in {str, int} else str(one) for one in given]
    if len(names) > COLUMNS:
        raise LimitExceeded(f"a table of {len(names)} columns is too wide", hint=f"at most {COLUMNS}")
    seen: set[str] = set()
    for name in names:
        if str(name) in seen:
            raise InvalidInput(f"column {name!r} is there twice", hint="give each column a name of its own")
        seen.add(str(name))
    return names


def _is_dataframe(given: object) -> bool:
    return hasattr(given, "iloc") and hasattr(given, "columns")


def _from_dataframe(frame: Any) -> tuple[list[ColumnName], list[tuple[Any, ...]]]:
    if not _is_dataframe(frame):
        raise InvalidType(f"dataframe is one of pandas, not {type(frame).__name__}")
    cells = [frame.iloc[:, place].tolist() for place in range(len(frame.columns))]
    return list(frame.columns), list(zip(*cells, strict=True))


def _as_rows(given: Any) -> list[Sequence[Any]]:
    rows = given if isinstance(given, list | tuple) else _listed(given)
    for place, row in enumerate(rows):
        if isinstance(row, str | Mapping) or (not isinstance(row, Sequence) and not hasattr(row, "tolist")):
            raise InvalidType(f"row {place} of a table is a list of cells, not {type(row).__name__}")
    return [row if isinstance(row, Sequence) else list(row) for row in rows]


def _listed(given: Any) -> list[Any]:
    if not hasattr(given, "tolist"):
        raise InvalidType(f"the data of a table is a list, an array or a dataframe, not {type(given).__name__}")
    return list(given)


def _line(row: Row, kinds: list[Kind], files: Files, place: int) -> bytes:
    """A row as a line without its end."""
    cells = [
        cell if type(cell) in _PLAIN else table_types.encode(normal(cell), kind, files)
        for cell, kind in zip(row, kinds, strict=True)
    ]
    try:
        line = _dumps(cells)
    except (ValueError, TypeError) as exc:
        raise InvalidInput(f"row {place} of a table can't be written as JSON: {exc}") from exc
    if len(line) > ROW_BYTES - 2:
        raise LimitExceeded(
            f"row {place} of a table has {len(line)} bytes", hint=f"at most {ROW_BYTES}; log it as a file"
        )
    return line


def _dumps(value: Json) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _values(data: bytes) -> int:
    """At least as many as there are JSON values in some bytes."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _rows(file: IO[bytes], path: str) -> Iterator[Json]:
    """The rows behind the head of a table that was written here."""
    number, total = 0, 0
    while True:
        line = file.readline(ROW_BYTES)
        if line.startswith(b"]"):
            break
        total += _values(line)
        if not line.endswith(b"\n") or total > TABLE_VALUES:
            raise MalformedObject(f"row {number} of {path!r} is cut off, or the table is too large")
        yield parse_json(line.rstrip(b",\n"), f"row {number} of {path}")
        number += 1
    tail = parse(b"{" + line.removeprefix(b"]").lstrip(b","), path)
    if tail.get("nrows") != number or file.read(1):
        raise MalformedObject(f"{path!r} has {number} rows, and says {tail.get('nrows')!r:.40}")


def _read_kinds(value: Json, columns: list[ColumnName]) -> list[Kind]:
    given = table_types.kind_from_json(value) if value is not None else ANY
    known = dict(given.fields)
    return [known.get(str(name), ANY) for name in columns]


def _written(table: Table) -> bytes:
    return table.pack(Files(in_artifact=True))
