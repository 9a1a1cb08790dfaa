"""Tables of delimited text: the delimiter and head row as their owner means them, every cell kept."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.reading.charset import decode
from pipeline.knowledge.reading.grid import like_its_columns
from pipeline.knowledge.reading.kinds import HTML_BYTES, Unreadable, stem
from pipeline.knowledge.reading.lines import PAIRS
from pipeline.knowledge.reading.rowids import Named, named

DELIMITERS = ",;\t|:^~\x1f"
SAMPLE_ROWS = 60
OWN = ("id", "_id", "title", "text", "url")


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row's cells and the line of the file it begins on."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SheetTable:
    """What a delimited text holds: `above` its head row, heads, the rows below, torn quotes by line."""

    above: list[SheetRow]
    heads: list[str]
    rows: list[SheetRow]
    problems: list[tuple[int, str]]


def read(data: bytes, name: str) -> Iterator[Document | Skipped]:
    """Yield a document per row; what stands above the head row is a document of its own."""
    sheet = table(data)
    for line, reason in sheet.problems:
        yield Skipped(f"{name}:{line}", reason)
    if above := ["; ".join(cell.strip() for cell in row.cells if cell.strip()) for row in sheet.above]:
        yield Document(name, stem(name), "\n".join(above), where=f"{name}:{sheet.above[0].line}")
    if not sheet.rows:
        raise Unreadable(f"a head without rows: {', '.join(sheet.heads)}")
    yield from named(_documents(sheet.rows, sheet.heads, name))


def table(data: bytes, delimiter: str | None = None, *, strict: bool = False) -> SheetTable:
    """Return the table in the bytes of a delimited text; raises Unreadable when it holds none.

    Without a `delimiter` it is the one of its `sep=` line, else the one most rows agree with. With
    `strict`, a quotation mark that does not close where its cell ends is refused with its line.
    """
    csv.field_size_limit(HTML_BYTES)
    text = decode(data)
    separator, text, skipped = _sep_line(text)
    rows, problems = _rows(text, separator or delimiter or _delimiter(text), skipped, strict=strict)
    rows = [row for row in rows if any(cell.strip() for cell in row.cells)]
    if not rows:
        raise Unreadable("no text in it")
    place = _head(rows)
    if place is None:
        raise Unreadable("its head row is unclear: put the names of the columns into the first line")
    width = max((len(row.cells) for row in rows[place:]), default=0)
    if _headless(rows[place : place + SAMPLE_ROWS]):
        return SheetTable(rows[:place], _heads((), width), rows[place:], problems)
    return SheetTable(rows[:place], _heads(rows[place].cells, width), rows[place + 1 :], problems)


def _sep_line(text: str) -> tuple[str | None, str, int]:
    """Take the line `sep=;` off, by which spreadsheets name the delimiter."""
    first, _, rest = text.partition("\n")
    first = first.strip("\r \"'")
    if first.lower().startswith("sep=") and len(first) in (4, 5):
        return (first[4:] or "\t"), rest, 1
    return None, text, 0


def _delimiter(text: str) -> str:
    """Return the delimiter that gives most rows the same number of cells, more than one."""
    head = text[:200_000]
    best, score = ",", 0.0
    for order, delimiter in enumerate(DELIMITERS):
        widths = [len(row) for row in _sampled(head, delimiter)]
        wide = Counter(width for width in widths if width > 1)
        if not wide:
            continue
        width, rows = max(wide.items(), key=lambda item: (item[1], item[0]))
        fit = rows / len(widths) + min(width, 30) / 1000 - order / 10_000
        if fit > score:
            best, score = delimiter, fit
    return best


def _sampled(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) >= SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return rows


def _rows(
    text: str, delimiter: str, skipped: int, *, strict: bool = False
) -> tuple[list[SheetRow], list[tuple[int, str]]]:
    """Return all rows, and the line of a quotation mark that is never closed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    rows: list[SheetRow] = []
    line = 0
    try:
        for cells in reader:
            rows.append(SheetRow(line + 1 + skipped, tuple(cells)))
            line = reader.line_num
    except csv.Error as error:
        why = "a quotation mark is not closed where its cell ends" if strict else f"not valid CSV: {error}"
        raise Unreadable(f"line {line + 1 + skipped}: {why}") from None
    if not rows or not _open(rows[-1], text, delimiter, skipped):
        return rows, []
    last = rows.pop()
    lines = text.splitlines()[last.line - 1 - skipped :]
    plain = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    rows += [SheetRow(last.line + number, tuple(cells)) for number, cells in enumerate(plain)]
    return rows, [(last.line, "a quotation mark is never closed; from here on marks are read as text")]


def _open(row: SheetRow, text: str, delimiter: str, skipped: int) -> bool:
    """Say whether the last row ends inside quotation marks."""
    if "\n" not in "".join(row.cells) and '"' not in text[-HTML_BYTES:]:
        return False
    raw = "".join(text.splitlines(keepends=True)[row.line - 1 - skipped :])
    try:
        list(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _head(rows: Sequence[SheetRow]) -> int | None:
    """Return the place of the head row: the first that fills most columns of the table."""
    filled = [sum(bool(cell.strip()) for cell in row.cells) for row in rows[:SAMPLE_ROWS]]
    widths = Counter(len(row.cells) for row in rows[:SAMPLE_ROWS])
    width = max(widths.items(), key=lambda item: (item[1], item[0]))[0]
    if width == 1:
        return 0 if max(filled) == 1 else _fullest(filled)
    for place, count in enumerate(filled):
        if count >= 2 and count > 0.6 * min(width, max(filled)):
            return place
    return None


def _headless(rows: Sequence[SheetRow]) -> bool:
    """Say whether the table begins with a row like all others: its columns have no names."""
    cells = [row.cells for row in rows]
    return len(rows) > 2 and len(cells[0]) > 1 and like_its_columns(cells)


def _fullest(filled: Sequence[int]) -> int:
    return max(range(len(filled)), key=lambda place: (filled[place], -place))


def _heads(cells: Sequence[str], width: int) -> list[str]:
    """Name every column once: an empty head by its place, a repeated one by a number."""
    heads: list[str] = []
    seen: Counter[str] = Counter()
    for place in range(max(width, len(cells))):
        head = " ".join(cells[place].split()) if place < len(cells) else ""
        head = head or f"column {place + 1}"
        seen[head] += 1
        heads.append(head if seen[head] == 1 else f"{head} ({seen[head]})")
    return heads


def _documents(rows: Sequence[SheetRow], heads: Sequence[str], name: str) -> Iterator[Named]:
    own = {head.lower(): place for place, head in reversed(list(enumerate(heads))) if head.lower() in OWN}
    for row in rows:
        cells = dict(zip(heads, row.cells, strict=False))
        where = f"{name}:{row.line}"
        if "text" not in own and (pair := _pair(heads)):
            yield _answered(row, heads, pair, name)
            continue
        if "text" not in own:
            lines = [f"{head}: {cell.strip()}" for head, cell in cells.items() if cell.strip()]
            first = next((cell.strip() for cell in row.cells if cell.strip()), "")
            yield Named(Document(name, first, "\n".join(lines), where=where), first, row.cells)
            continue
        values = {key: row.cells[place].strip() for key, place in own.items() if place < len(row.cells)}
        others = [
            f"{head}: {cell.strip()}"
            for place, (head, cell) in enumerate(zip(heads, row.cells, strict=False))
            if cell.strip() and place not in own.values()
        ]
        text = "\n".join([values.get("text", ""), *others]).strip()
        given = values.get("id") or values.get("_id") or ""
        document = Document(given or name, values.get("title", ""), text, values.get("url", ""), where=where)
        yield Named(document, values.get("title", ""), row.cells, given=bool(given))


def _pair(heads: Sequence[str]) -> tuple[int, int] | None:
    """Return the columns of the questions and of their answers; None when the table has none."""
    places = {head.lower(): place for place, head in reversed(list(enumerate(heads)))}
    pairs = ((places.get(question), places.get(answer)) for question, answer in PAIRS)
    return next(
        ((asks, answers) for asks, answers in pairs if asks is not None and answers is not None), None
    )


def _answered(row: SheetRow, heads: Sequence[str], pair: tuple[int, int], name: str) -> Named:
    """Return a question and its answer as a document; the other columns follow."""
    cells = [*row.cells, *[""] * (max(pair) + 1 - len(row.cells))]
    question, answer = (" ".join(cells[place].split()) for place in pair)
    others = [
        f"{head}: {cell.strip()}"
        for place, (head, cell) in enumerate(zip(heads, row.cells, strict=False))
        if cell.strip() and place not in pair
    ]
    text = "\n".join(filter(None, [question, answer, *others]))
    return Named(Document(name, question, text, where=f"{name}:{row.line}"), question, row.cells)
