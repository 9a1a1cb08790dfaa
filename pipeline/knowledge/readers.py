"""One reader per kind of file; each gives documents or says why not. Nothing is unpacked to disk."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.knowledge.documents import Document, Skipped

FILE_BYTES = 50_000_000
TABLE_BYTES = 500_000_000  # csv and jsonl
HTML_BYTES = 10_000_000
UNPACKED_BYTES = 50_000_000
RATIO = 200  # unpacked bytes per packed byte
ENTRIES = 5_000
PDF_SECONDS = 60
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,2}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


class Unreadable(Exception):
    """A file cannot be used; the message says why, for people."""


def read(path: Path, name: str) -> Iterator[Document | Skipped]:
    """Yield what the file holds under the given name."""
    suffix = path.suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        yield Skipped(name, f"files of kind {suffix or 'without suffix'!r} are not read")
        return
    most = TABLE_BYTES if suffix in (".csv", ".tsv", ".jsonl") else FILE_BYTES
    try:
        size = path.stat().st_size
        if size > most:
            raise Unreadable(f"too large: {size:,} bytes, at most {most:,} are read")
        yield from reader(path, name)
    except Unreadable as error:
        yield Skipped(name, str(error))
    except OSError as error:
        yield Skipped(name, f"cannot be read: {error.strerror}")


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the text of the bytes, or raise Unreadable rather than guess wrongly.

    By rule: byte order mark, UTF-8, the declared encoding, UTF-16 by its zero bytes, and
    Windows-1252 when its special characters are few and look like Western text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], encoding)
    if b"\x00" not in data:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return _western(data) if declared is None else _strictly(data, declared)
    even, odd = data[0:4000:2].count(0), data[1:4000:2].count(0)
    half = max(1, len(data[:4000]) // 2)
    if odd > 0.4 * half and even < 0.05 * half:
        return _strictly(data, "utf-16-le")
    if even > 0.4 * half and odd < 0.05 * half:
        return _strictly(data, "utf-16-be")
    raise Unreadable("not a text file")


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise Unreadable(f"not valid {encoding}; save it as UTF-8") from None


def _western(data: bytes) -> str:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise Unreadable("unknown encoding; save it as UTF-8") from None
    special = [character for character in text if ord(character) > 127]
    odd = [one for one in special if not (one.isalpha() or one in "‘’“”–—…•€£©®°§«»¿¡½¼¾²³\xa0·´×")]
    if (
        len(special) > 0.2 * len(text)
        or len(odd) > 0.1 * len(special) + 1
        or re.search(r"[\xc0-\xff]{4}", text)
    ):
        raise Unreadable("unknown encoding; save it as UTF-8")
    return text


def _text(path: Path, name: str) -> Iterator[Document]:
    data = path.read_bytes()
    if data.startswith(b"%PDF-"):
        yield from _pdf(path, name)
        return
    text = decode(data)
    controls = sum(character < " " and character not in "\t\n\r\f" for character in text[:20_000])
    if controls > 0.02 * len(text[:20_000]):
        raise Unreadable("not a text file")
    yield Document(name, _stem(name), text)


def _markdown(path: Path, name: str) -> Iterator[Document]:
    text = _COMMENT.sub("", decode(path.read_bytes()).replace("\r\n", "\n"))
    title = None
    if front := _FRONT_MATTER.match(text):
        title = _FRONT_TITLE.search(front.group(1))
        text = text[front.end() :]
    title = title or _HEADING.search(text)
    yield Document(name, title.group(1) if title else _stem(name), text)


def _html(path: Path, name: str) -> Iterator[Document]:
    from pipeline.knowledge.html import page

    data = path.read_bytes()
    if len(data) > HTML_BYTES:
        raise Unreadable(f"too large: {len(data):,} bytes, at most {HTML_BYTES:,} are read")
    declared = re.search(rb"charset=[\"']?([\w-]+)", data[:2048])
    title, text = page(decode(data, declared.group(1).decode() if declared else None))
    yield Document(name, title or _stem(name), text)


def _pdf(path: Path, name: str) -> Iterator[Document]:
    """Read a PDF in a process of its own, which can neither hang nor eat the memory."""
    command = [sys.executable, "-m", "pipeline.knowledge.pdf", str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PDF_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unreadable(f"took more than {PDF_SECONDS} seconds to read") from None
    if done.returncode != 0:
        raise Unreadable("not a PDF file that can be read")
    page = json.loads(done.stdout)
    if page["reason"]:
        raise Unreadable(page["reason"])
    yield Document(name, page["title"] or _stem(name), page["text"])


def _docx(path: Path, name: str) -> Iterator[Document]:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > ENTRIES:
                raise Unreadable(f"more than {ENTRIES:,} parts in it")
            body = fromstring(_part(archive, "word/document.xml"))
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, ParseError):
        raise Unreadable("not a Word document that can be read") from None
    except DefusedXmlException:
        raise Unreadable("its XML declares entities, which are refused") from None
    paragraphs = [_paragraph(paragraph) for paragraph in body.iter(f"{_WORD}p")]
    yield Document(name, _stem(name), "\n".join(paragraphs))


def _part(archive: zipfile.ZipFile, part: str) -> bytes:
    """Read a part of an archive, never more than is allowed whatever its header claims."""
    info = archive.getinfo(part)
    most = min(UNPACKED_BYTES, RATIO * max(info.compress_size, 10_000))
    with archive.open(info) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable("unpacks to far more than its size; refused")
    return data


def _paragraph(paragraph: Any) -> str:
    pieces = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n"}
    text = "".join(
        (node.text or "") if node.tag == f"{_WORD}t" else pieces.get(node.tag, "")
        for node in paragraph.iter()
    )
    style = paragraph.find(f"{_WORD}pPr/{_WORD}pStyle")
    heading = style is not None and "heading" in style.get(f"{_WORD}val", "").lower()
    return f"\n{text}\n" if heading else text


def _jsonl(path: Path, name: str) -> Iterator[Document | Skipped]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{name}:{number}"
            if not line.strip():
                continue
            try:
                yield _row(json.loads(decode(line)), where)
            except (ValueError, RecursionError):
                yield Skipped(where, "not valid JSON")
            except Unreadable as error:
                yield Skipped(where, str(error))


def _row(row: Any, where: str) -> Document:
    """Build a document from {id, title, text, url}; `_id` is taken for `id`, as BEIR has it."""
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise Unreadable("has no field 'text' with a string in it")
    fields = {name: row.get(name) or "" for name in ("title", "text", "url")}
    wrong = [name for name, value in fields.items() if not isinstance(value, str)]
    if wrong:
        raise Unreadable(f"field {wrong[0]!r} is not a string")
    return Document(str(row.get("id") or row.get("_id") or where), **fields)


def _csv(path: Path, name: str) -> Iterator[Document | Skipped]:
    text = decode(path.read_bytes())
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(HTML_BYTES)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    named = "text" in (rows.fieldnames or ())
    try:
        for row in rows:
            where = f"{name}:{rows.line_num}"
            cells = {
                key: value for key, value in row.items() if isinstance(key, str) and isinstance(value, str)
            }
            if named:
                yield _row(cells, where)
            else:
                lines = [f"{key}: {value}" for key, value in cells.items() if value.strip()]
                yield Document(where, next(iter(cells.values()), ""), "\n".join(lines))
    except csv.Error as error:
        raise Unreadable(f"not valid CSV: {error}") from None


def _stem(name: str) -> str:
    return re.sub(r"[-_\s]+", " ", Path(name).stem).strip() or name


READERS: dict[str, Callable[[Path, str], Iterator[Document | Skipped]]] = {
    ".txt": _text,
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _docx,
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
}
