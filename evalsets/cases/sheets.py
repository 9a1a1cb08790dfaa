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


def _other(data: bytes, asks: Any) -> sheet.Table | None:
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
    """Refuse rows that are wider than the head: their cells would be lost."""
    named = len([head for head in heads if not head.startswith("column ")])
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
    if written:  # so that a column without any cell is known of
        line, first = written[0]
        written[0] = line, {head: first.get(head, "") for head in heads[:named] if head}
    return Sheet(tuple(heads), tuple(written))


def _workbook(path: Path, asks: Any) -> Sheet:
    """Return the first sheet of a workbook with a head that holds questions, else its first table."""
    from openpyxl import load_workbook

    try:
        with path.open("rb") as file:  # by its content: the ending may say anything
            book = load_workbook(file, read_only=True, data_only=True)
            sheets = [_cells(worksheet.iter_rows(values_only=True)) for worksheet in book.worksheets]
    except Exception:  # the library raises whatever a damaged file makes it stumble over
        raise EvalsetError(
            [f"{path.name}: an Excel workbook that cannot be read; save it as CSV and import that"]
        ) from None
    sheets = [rows for rows in sheets if rows]
    if not sheets:
        raise EvalsetError([f"{path.name}: an Excel workbook without any filled cell"])
    for rows in sheets:
        for place, (_, cells) in enumerate(rows[: sheet.SAMPLE_ROWS]):
            if asks(cells):
                return _sheet(path, _filled(cells), rows[place + 1 :])
    return _sheet(path, _filled(sheets[0][0][1]), sheets[0][1:])


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
