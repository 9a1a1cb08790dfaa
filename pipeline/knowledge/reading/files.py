"""Reads files by their kind, the risky kinds in a child process; each gives documents or says why not."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.reading import html, lines, markdown, pdf, sheet, word
from pipeline.knowledge.reading.charset import decode
from pipeline.knowledge.reading.kinds import FILE_BYTES, TABLE_BYTES, Unreadable, printable, stem

Found = Document | Skipped
FILE_KINDS = ".md .markdown .txt .html .htm .pdf .docx .csv .tsv .jsonl .ndjson .json"
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
Outside = Callable[[Path, str, str], list[Found]]  # path, name, kind: read in another process


def read(path: Path, name: str, outside: Outside) -> Iterator[Found]:
    """Yield what the file holds under the given name."""
    kind = path.suffix.lower()
    source = printable(str(path.absolute()))
    try:
        for candidate in _read(path, name, kind, outside):
            if isinstance(candidate, Document):
                yield replace(candidate, source=source, where=candidate.where or name)
            else:
                yield replace(candidate, source=source)
    except Unreadable as error:
        yield Skipped(name, str(error), source)
    except OSError as error:
        yield Skipped(name, f"cannot be read: {error.strerror or error}", source)


def _read(path: Path, name: str, kind: str, outside: Outside) -> Iterator[Found]:
    information = path.stat()
    if not stat.S_ISREG(information.st_mode):
        raise Unreadable("not a regular file")
    if kind not in FILE_KINDS.split():
        raise Unreadable(f"files of kind {kind or 'without suffix'!r} are not read")
    most = TABLE_BYTES if kind in _TABLES else FILE_BYTES
    if information.st_size > most:
        raise Unreadable(f"too large: {information.st_size:,} bytes, at most {most:,} are read")
    with path.open("rb") as file:
        head = file.read(1024)
    if b"%PDF-" in head:
        kind = ".pdf"
    if kind in (".pdf", ".docx", ".html", ".htm"):
        yield from outside(path, name, kind)
    elif kind in (".csv", ".tsv"):
        yield from sheet.read(path.read_bytes(), name)
    elif kind in (".jsonl", ".ndjson", ".json"):
        yield from lines.read(path.read_bytes(), name)
    elif kind == ".txt":
        yield _text(path.read_bytes(), name)
    else:
        title, text = markdown.read(path.read_bytes(), name)
        yield Document(name, title, text)


def _text(data: bytes, name: str) -> Document:
    text = decode(data)
    controls = sum(character < " " and character not in "\t\n\r\f" for character in text[:20_000])
    if controls > 0.02 * len(text[:20_000]):
        raise Unreadable("not a text file")
    return Document(name, stem(name), markdown.without_data(text))


def inside(path: Path, name: str, kind: str) -> Iterator[Found]:
    """Read one of the risky kinds in this process, which the caller keeps within limits."""
    try:
        if kind == ".pdf":
            yield from _pdf(path, name)
        elif kind == ".docx":
            title, text = word.read(path)
            yield Document(name, title or stem(name), text)
        else:
            title, text = html.page(path.read_bytes())
            yield Document(name, title or stem(name), text)
    except Unreadable as error:
        yield Skipped(name, str(error))
    except OSError as error:
        yield Skipped(name, f"cannot be read: {error.strerror or error}")


def _pdf(path: Path, name: str) -> Iterator[Found]:
    pages = pdf.read(path)
    yield Document(name, pages.title or stem(name), pages.text)
    for reason, numbers in pages.missing:
        if reason == "no text on it":
            continue  # an empty page
        hint = "" if reason == "it is damaged" else f"; {pdf.OCR}"
        which = _numbers(numbers)
        yield Skipped(f"{name}, page {which} of {pages.count}", f"{reason}{hint}")


def _numbers(numbers: tuple[int, ...]) -> str:
    """Return page numbers, runs of them shortened: "2, 5-7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
