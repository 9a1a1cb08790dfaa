"""Word documents as Word shows them: tables with heads, numbers, notes, boxes once, changes accepted."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

from pipeline.knowledge.reading.grid import statements
from pipeline.knowledge.reading.kinds import Unreadable
from pipeline.knowledge.reading.numbering import Numbering

UNPACKED_BYTES = 50_000_000
RATIO = 200  # unpacked bytes per packed byte
ENTRIES = 5_000
SPAN = 60
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_GONE = {
    f"{W}del",
    f"{W}moveFrom",
    f"{W}rPr",
    f"{W}pPr",
    f"{W}delText",
    f"{W}instrText",
    f"{W}sectPr",
    _FALLBACK,
}
_SIGNS = {
    f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}softHyphen": "",
    f"{W}ptab": "\t",
}  # fmt: skip
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_NOTES = {f"{W}footnoteReference": "footnotes", f"{W}endnoteReference": "endnotes"}


def read(path: Path) -> tuple[str, str]:
    """Return (title, text) of a Word document."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError

    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > ENTRIES:
                raise Unreadable(f"more than {ENTRIES:,} parts in it")
            return _Word(archive).read()
    except DefusedXmlException:
        raise Unreadable("its XML declares entities, which are refused") from None
    except (
        zipfile.BadZipFile,
        KeyError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ParseError,
        ValueError,
    ):
        raise Unreadable("not a Word document that can be read") from None


def part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a part of an archive, never more than is allowed whatever its header claims."""
    info = archive.getinfo(name)
    most = min(UNPACKED_BYTES, RATIO * max(info.compress_size, 10_000))
    with archive.open(info) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Unreadable("unpacks to far more than its size; refused")
    return data


class _Word:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._styles = self._style_names()
        self._numbering = Numbering(self._tree("word/numbering.xml"), self._tree("word/styles.xml"))
        self._notes: dict[str, dict[str, str]] = {"footnotes": {}, "endnotes": {}}
        self._notes = {kind: self._note_texts(kind) for kind in self._notes}

    def read(self) -> tuple[str, str]:
        """Return (title, text)."""
        tree = self._tree("word/document.xml", needed=True)
        body = tree.find(f"{W}body")
        if body is None:
            raise Unreadable("not a Word document that can be read")
        lines = list(self._blocks(body))
        around = self._around()
        text = "\n".join([*around[0], *lines, *around[1]])
        return self._title(), text

    def _tree(self, name: str, needed: bool = False) -> Any:
        from defusedxml.ElementTree import fromstring

        if not needed and name not in self._archive.namelist():
            return None
        data = part(self._archive, name)
        return fromstring(data.replace(_STRICT[1:-1].encode(), W[1:-1].encode()))

    def _title(self) -> str:
        core = self._tree("docProps/core.xml")
        element = None if core is None else core.find(_TITLE)
        return " ".join((element.text or "").split()) if element is not None else ""

    def _style_names(self) -> dict[str, str]:
        styles = self._tree("word/styles.xml")
        names: dict[str, str] = {}
        for style in styles.iter(f"{W}style") if styles is not None else ():
            name = style.find(f"{W}name")
            names[style.get(f"{W}styleId", "")] = (
                name.get(f"{W}val", "") if name is not None else ""
            ).lower()
        return names

    def _note_texts(self, kind: str) -> dict[str, str]:
        tree = self._tree(f"word/{kind}.xml")
        texts: dict[str, str] = {}
        for note in tree if tree is not None else ():
            if note.get(f"{W}type") in (None, "normal"):
                lines = [" ".join(self._runs(paragraph)[0].split()) for paragraph in note.iter(f"{W}p")]
                texts[note.get(f"{W}id", "")] = " ".join(filter(None, lines))
        return texts

    def _around(self) -> tuple[list[str], list[str]]:
        """Return the lines of headers and of footers, each once; page numbers alone are none."""
        sides: tuple[list[str], list[str]] = ([], [])
        for name in sorted(self._archive.namelist()):
            for side, kind in enumerate(("word/header", "word/footer")):
                if name.startswith(kind) and name.endswith(".xml"):
                    for line in self._blocks(self._tree(name)):
                        line = line.strip()
                        words = [
                            word for word in line.split() if word.lower() not in ("page", "of", "|", "-")
                        ]
                        if any(not word.isdigit() for word in words) and line not in sides[side]:
                            sides[side].append(line)
        return sides

    def _blocks(self, parent: Any) -> Iterator[str]:
        """Yield the paragraphs and table rows under an element, in order."""
        torn: list[Any] = []
        for child in parent:
            if child.tag == f"{W}p":
                torn.append(child)
                if not _mark_gone(child):
                    yield from self._paragraph(_joined(torn))
                    torn = []
                continue
            if torn:
                yield from self._paragraph(_joined(torn))
                torn = []
            if child.tag == f"{W}tbl":
                yield from ("", *self._table(child), "")
            elif child.tag not in _GONE and child.tag != f"{W}tblPr" and not _prompts(child):
                yield from self._blocks(child)
        if torn:
            yield from self._paragraph(_joined(torn))

    def _paragraph(self, paragraph: Any) -> Iterator[str]:
        style, number = self._style(paragraph), self._numbering.next(paragraph)
        text, boxes, notes = self._runs(paragraph)
        text = text.strip("\n") if text.strip() else ""
        if text:
            text = f"{number} {text}" if number else text
            heading = "heading" in style or style in ("title", "subtitle") or _outlined(paragraph)
            yield f"\n{text}\n" if heading else text
        yield from (f"Note: {note}" for note in notes)
        for box in boxes:
            yield from self._blocks(box)

    def _style(self, paragraph: Any) -> str:
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        key = "" if style is None else style.get(f"{W}val", "")
        return self._styles.get(key) or key.lower()

    def _runs(self, element: Any) -> tuple[str, list[Any], list[str]]:
        """Return a paragraph's own text, the boxes anchored in it and the notes it refers to."""
        pieces: list[str] = []
        boxes: list[Any] = []
        notes: list[str] = []
        waiting = list(reversed(list(element)))
        while waiting:
            node = waiting.pop()
            if node.tag in _GONE or _hidden(node) or _prompts(node):
                continue
            if node.tag in (f"{W}t", _MATH):
                pieces.append(node.text or "")
            elif node.tag in _SIGNS:
                pieces.append(_SIGNS[node.tag])
            elif node.tag == f"{W}sym":
                pieces.append(" ")
            elif node.tag == f"{W}txbxContent":
                boxes.append(node)
            elif node.tag in _NOTES:
                note = self._notes[_NOTES[node.tag]].get(node.get(f"{W}id", ""))
                notes += [note] if note else []
            else:
                waiting.extend(reversed(list(node)))
        return "".join(pieces), boxes, notes

    def _table(self, table: Any) -> list[str]:
        """Return the table's rows as statements; merged cells count for all their rows and columns."""
        rows: list[list[str]] = []
        heads = 0
        for tr in _own(table, f"{W}tr"):
            if tr.find(f"{W}trPr/{W}del") is not None:
                continue
            row: list[str] = []
            before = tr.find(f"{W}trPr/{W}gridBefore")
            row += [""] * (int(before.get(f"{W}val", "0")) if before is not None else 0)
            for cell in _own(tr, f"{W}tc"):
                text = self._cell(cell)
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                if (
                    merge is not None
                    and merge.get(f"{W}val") != "restart"
                    and rows
                    and len(row) < len(rows[-1])
                ):
                    text = rows[-1][len(row)]
                span = cell.find(f"{W}tcPr/{W}gridSpan")
                row += [text] * min(int(span.get(f"{W}val", "1")) if span is not None else 1, SPAN)
            if tr.find(f"{W}trPr/{W}tblHeader") is not None and heads == len(rows):
                heads += 1
            rows.append(row)
        return statements(rows, heads or None)

    def _cell(self, cell: Any) -> str:
        """Return a cell's text; the rows of a table inside it stand in brackets."""
        texts: list[str] = []
        for block in cell:
            if block.tag == f"{W}tbl":
                texts += [f"({', '.join(line.split('; '))})" for line in self._table(block)]
            else:
                texts += self._blocks([block])
        return " ".join(" ".join(texts).split())


def _mark_gone(paragraph: Any) -> bool:
    """Say whether a paragraph's end was deleted or moved, so that it goes on in the next."""
    return any(paragraph.find(f"{W}pPr/{W}rPr/{W}{change}") is not None for change in ("del", "moveFrom"))


def _joined(torn: list[Any]) -> Any:
    """Return paragraphs whose ends were deleted as one, formed as the last."""
    if len(torn) == 1:
        return torn[0]
    whole = copy(torn[-1])
    form = [node for node in torn[-1] if node.tag == f"{W}pPr"]
    whole[:] = [*form, *(node for piece in torn for node in piece if node.tag != f"{W}pPr")]
    return whole


def _own(parent: Any, tag: str) -> Iterator[Any]:
    """Yield the children of one kind, also those wrapped in content controls or accepted changes."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag in (f"{W}sdt", f"{W}sdtContent", f"{W}ins", f"{W}moveTo", f"{W}customXml"):
            yield from _own(child, tag)


def _outlined(paragraph: Any) -> bool:
    return paragraph.find(f"{W}pPr/{W}outlineLvl") is not None


def _prompts(node: Any) -> bool:
    """Say whether a content control still shows the words that ask for its content."""
    return node.tag == f"{W}sdt" and node.find(f"{W}sdtPr/{W}showingPlcHdr") is not None


def _hidden(node: Any) -> bool:
    """Say whether a run is hidden text."""
    if node.tag != f"{W}r":
        return False
    mark = node.find(f"{W}rPr/{W}vanish")
    return mark is not None and mark.get(f"{W}val", "1") not in ("0", "false", "off")
