"""Tables as spreadsheets save them: delimited text of any dialect, and Excel workbooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from evalsets.cases.evalset import EvalsetError
from pipeline.knowledge.reading import sheet
from pipeline.knowledge.reading.kinds import Unreadable

TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # a zip file, and the container of Excel 97
FILE_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Sheet:
    """The heads of a table, and its rows as (line, cells by head); only the first has empty cells too."""

    heads: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    left: tuple[str, ...] = ()  # tables of the workbook under other heads


def read(path: Path, asks: Any) -> Sheet:
    """Return the table of a file; `asks(heads)` says whether one of the heads holds questions.

    Raises EvalsetError in one sentence: no table, a quotation mark that is not closed with its line.
    """
    try:
        if path.stat().st_size > FILE_BYTES:
            raise EvalsetError([f"{path.name}: larger than {FILE_BYTES // 1_000_000} MB"])
        data = path.read_bytes()
    except OSError as error:
        raise EvalsetError([f"{path.name}: cannot be read ({error.strerror})"]) from None
    if data.startswith(_WORKBOOKS):
        return _workbook(path, asks)
    try:
        table = sheet.table(data, strict=True)
        if not asks(table.heads):
            table = _other(data, asks) or table
    except Unreadable as error:
        raise EvalsetError([f"{path.name}: {error}"]) from None
    return _sheet(path, table.heads, [(row.line, row.cells) for row in table.rows])


def _other(data: bytes, asks: Any) -> sheet.SheetTable | None:
    """Return the table by the first delimiter under which a head holds questions."""
    for delimiter in sheet.DELIMITERS:
        try:
            table = sheet.table(data, delimiter, strict=True)
        except Unreadable:
            continue
        if asks(table.heads):
            return table
    return None


def _sheet(path: Path, heads: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> Sheet:
    """Refuse rows that are wider than the head: their cells would be lost. One without names is none."""
    unnamed = {f"column {place}" for place in range(1, len(heads) + 1)}
    named = max((place for place, head in enumerate(heads, 1) if head not in unnamed), default=len(heads))
    wide = [
        f"{path.name} line {line}: {len(cells)} cells under {named} heads; put texts that hold the "
        "delimiter between quotation marks"
        for line, cells in rows
        if any(cell.strip() for cell in cells[named:]) and len(heads) > named
    ]
    if wide:
        raise EvalsetError(wide)
    written = [
        (line, {head: cell.strip() for head, cell in zip(heads, cells, strict=False) if cell.strip()})
        for line, cells in rows
    ]
    if written:  # so that a column without any cell is known of, if it has a name
        line, first = written[0]
        filled = {head for _, cells in written for head in cells}
        named_ones = [head for head in heads[:named] if head not in unnamed or head in filled]
        written[0] = line, {head: first.get(head, "") for head in named_ones}
    return Sheet(tuple(heads), tuple(written))


def _workbook(path: Path, asks: Any) -> Sheet:
    """Return the sheets of a workbook under the same head that holds questions, else its first table."""
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file:  # by its content: the ending may say anything
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = [
                (str(worksheet.title), _cells(worksheet.iter_rows(values_only=True)))
                for worksheet in book.worksheets
            ]
    except Exception:  # the library raises whatever a damaged file makes it stumble over
        raise EvalsetError(
            [f"{path.name}: an Excel workbook that cannot be read; save it as CSV and import that"]
        ) from None
    sheets = [(name, rows) for name, rows in sheets if rows]
    if not sheets:
        raise EvalsetError([f"{path.name}: an Excel workbook without any filled cell"])
    tables = {name: table for name, rows in sheets if (table := _asking(path, rows, asks)) is not None}
    if not tables:
        _, rows = sheets[0]
        return _sheet(path, _filled(rows[0][1]), rows[1:])
    first = next(iter(tables.values()))
    same = {name: table for name, table in tables.items() if table.heads == first.heads}
    left = [name for name, rows in sheets if name not in same and len(rows) > 1 and _wide(rows)]
    return Sheet(first.heads, tuple(row for table in same.values() for row in table.rows), tuple(left))


Cells = list[tuple[int, list[str]]]  # of the rows of a sheet, with their lines


def _wide(rows: Cells) -> bool:
    return sum(map(bool, rows[0][1])) > 1 and sum(map(bool, rows[1][1])) > 1


def _asking(path: Path, rows: Cells, asks: Any) -> Sheet | None:
    """Return the table under the row whose heads hold questions; None when no row does."""
    for place, (_, cells) in enumerate(rows[: sheet.SAMPLE_ROWS]):
        if asks(cells):
            heads, below = _double(cells, rows[place + 1 :], asks)
            return _sheet(path, _filled(heads), below)
    return None


def _double(heads: list[str], below: Cells, asks: Any) -> tuple[list[str], Cells]:
    """Join heads that lie over several columns with those under them, where the next row asks nothing."""
    place = next(place for place, head in enumerate(heads) if asks([head]))
    under = below[0][1] if below else []
    pairs = list(zip(heads, under, strict=False))
    if len(under) <= place or under[place] or not any(low and not head for head, low in pairs):
        return heads, below
    joined: list[str] = []
    over = ""
    for head, low in pairs:
        over = head or over
        joined.append(f"{over} {low}" if low else head)
    return joined, below[1:]


def _cells(rows: Iterator[Sequence[Any]]) -> list[tuple[int, list[str]]]:
    written = [(line, [_text(value) for value in row]) for line, row in enumerate(rows, 1)]
    return [(line, cells) for line, cells in written if any(cells)]


def _filled(cells: Sequence[str]) -> list[str]:
    return [cell or f"column {place}" for place, cell in enumerate(cells, 1)]


def _text(value: Any) -> str:
    """Return a cell as a person sees it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return str(value).strip()
