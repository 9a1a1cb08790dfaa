"""Reads a PDF as its viewers show it: reading order, form values, and pages that cannot be read by number."""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.knowledge.reading.grid import Heads
from pipeline.knowledge.reading.kinds import Unreadable
from pipeline.knowledge.reading.layout import Piece, turned
from pipeline.knowledge.reading.ruled import MOST_RULES, Rule, arranged

PAGES = 2_000
CHARACTERS = 10_000_000
OCR = "run it through OCR first"
WORST_LETTERS = 0.05  # share of characters without a meaning that makes a page unreadable
SAMPLED = 400  # characters of a page asked for their place in Unicode
RUNNING_PAGES = 4  # pages from which a line on most of them counts as a running head
_JUNK_TITLE = re.compile(
    r"(?i)^(?:untitled|anonymous|unknown|document\d*|microsoft word\b.*|.*\.(?:docx?|odt|tex|indd|pdf))$"
)
_GLYPHS = re.compile(r"(?:/[A-Za-z]{0,3}\d{1,4}){3,}|\(cid:\d+\)|(?:uni[0-9A-F]{4}){3}")


@dataclass(frozen=True, slots=True)
class Pages:
    """A PDF's title, its text, and why pages are missing from it: (reason, page numbers)."""

    title: str
    text: str
    missing: tuple[tuple[str, tuple[int, ...]], ...]
    count: int


def read(path: Path) -> Pages:
    """Return what the file shows; raises Unreadable when that is nothing."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise Unreadable("protected by a password" if locked else "not a PDF file that can be read") from None
    try:
        return _read(document)
    finally:
        document.close()


def _read(document: Any) -> Pages:
    if len(document) > PAGES:
        raise Unreadable(f"more than {PAGES:,} pages")
    if not len(document):
        raise Unreadable("not a PDF file that can be read")
    forms, heads = _Forms(document), Heads()
    texts: list[list[str]] = []
    missing: dict[str, list[int]] = {}
    size = 0
    for number in range(len(document)):
        lines, reason = _page(document, number, forms, heads)
        texts.append(lines)
        size += sum(map(len, lines))
        if reason:
            missing.setdefault(reason, []).append(number + 1)
        if size > CHARACTERS:
            raise Unreadable(f"more than {CHARACTERS:,} characters of text")
    if not size:
        raise Unreadable(_nothing(missing))
    title = " ".join(str(document.get_metadata_value("Title") or "").split())
    text = _whole(_without_running(texts))
    gaps = tuple((reason, tuple(numbers)) for reason, numbers in missing.items())
    return Pages("" if _JUNK_TITLE.match(title) else title, text, gaps, len(document))


def _nothing(missing: dict[str, list[int]]) -> str:
    if "its letters cannot be read" in missing:
        return f"its letters cannot be read, the fonts do not say which they are; {OCR}"
    return f"no text in it, only images; {OCR}"


def _page(document: Any, number: int, forms: _Forms, heads: Heads) -> tuple[list[str], str | None]:
    """Return a page's lines, and why it has none."""
    import pypdfium2

    try:
        page = document[number]
        letters = page.get_textpage()
    except pypdfium2.PdfiumError:
        return [], "it is damaged"
    try:
        lines = _upright(letters, page, forms, heads)
        text = "\n".join(lines)
        if text.strip() and (_unmapped(letters) > WORST_LETTERS or garbled(text)):
            return [], "its letters cannot be read"
        if not text.strip():
            return [], "no text on it" if _blank(page) else "no text on it, only a picture"
        return lines, None
    finally:
        letters.close()
        page.close()


def _blank(page: Any) -> bool:
    return next(iter(page.get_objects(max_depth=1)), None) is None


def _pieces(letters: Any) -> Iterator[Piece]:
    for place in range(letters.count_rects()):
        left, bottom, right, top = letters.get_rect(place)
        text = letters.get_text_bounded(left, bottom, right, top)
        yield Piece(re.sub(r"[\r\n]+", " ", text), left, bottom, right, top)


def _upright(letters: Any, page: Any, forms: _Forms, heads: Heads) -> list[str]:
    """Return the lines of a page, those that run another way than most after the others."""
    ways: dict[int, list[Piece]] = {}
    for piece in _pieces(letters):
        ways.setdefault(_way(letters, piece), []).append(piece)
    ways.setdefault(page.get_rotation(), []).extend(forms.values(page))
    usual = sorted(ways, key=lambda way: -sum(len(piece.text) for piece in ways[way]))
    lines: list[str] = []
    for place, way in enumerate(usual):
        rules = [] if place else [turned(rule, way) for rule in _rules(page)]
        lines += ["", *arranged([piece.turned(way) for piece in ways[way]], rules, heads)]
    return lines


def _way(letters: Any, piece: Piece) -> int:
    """Return by how many degrees, clockwise, a piece has to be turned to be read."""
    import pypdfium2.raw as raw

    place = raw.FPDFText_GetCharIndexAtPos(letters, (piece.left + piece.right) / 2, piece.middle, 3.0, 3.0)
    angle = math.degrees(raw.FPDFText_GetCharAngle(letters, place)) if place >= 0 else 0.0
    return -round(angle / 90) * 90 % 360


def _rules(page: Any) -> list[Rule]:
    """Return the straight lines drawn on a page along its sides; thin boxes are lines."""
    import pypdfium2.raw as raw

    rules: list[Rule] = []
    for drawing in page.get_objects([raw.FPDF_PAGEOBJ_PATH], max_depth=1):
        a, b, c, d, e, f = drawing.get_matrix().get()
        corners: list[tuple[float, float]] = []
        start = (e, f)
        for place in range(min(raw.FPDFPath_CountSegments(drawing), MOST_RULES)):
            segment = raw.FPDFPath_GetPathSegment(drawing, place)
            x, y = ctypes.c_float(), ctypes.c_float()
            raw.FPDFPathSegment_GetPoint(segment, x, y)
            corner = (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
            if raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_MOVETO:
                start = corner
            elif corners and raw.FPDFPathSegment_GetType(segment) == raw.FPDF_SEGMENT_LINETO:
                rules += _straight(corners[-1], corner)
            if corners and raw.FPDFPathSegment_GetClose(segment):
                rules += _straight(corner, start)
            corners.append(corner)
        if len(rules) > MOST_RULES:
            return []
    return rules


def _straight(corner: tuple[float, float], other: tuple[float, float]) -> list[Rule]:
    left, right = sorted((corner[0], other[0]))
    bottom, top = sorted((corner[1], other[1]))
    return [(left, bottom, right, top)] if min(right - left, top - bottom) < 1.0 else []


def _unmapped(letters: Any) -> float:
    """Return the share of characters whose font does not say which letters they are."""
    import pypdfium2.raw as raw

    count = letters.count_chars()
    step = max(1, count // SAMPLED)
    places = range(0, count, step)
    wrong = sum(raw.FPDFText_HasUnicodeMapError(letters, place) == 1 for place in places)
    return wrong / max(len(places), 1)


def garbled(text: str) -> bool:
    """Say whether a text is no text: private or unassigned characters, glyph names, shifted letters."""
    shown = [character for character in text if not character.isspace()]
    if not shown:
        return False
    wrong = sum(
        unicodedata.category(character) in ("Co", "Cn", "Cs", "Cc") or character == "\ufffd"
        for character in shown
    )
    glyphs = sum(len(match.group()) for match in _GLYPHS.finditer(text))
    return (wrong + glyphs) / len(shown) > WORST_LETTERS or _shifted(text) or _mixed(text)


def _shifted(text: str) -> bool:
    """Say whether Latin letters stand for others: in every language written with them a few are common."""
    plain = unicodedata.normalize("NFD", text.lower())
    letters = [letter for word in re.findall(r"[a-z]{3,}", plain) for letter in word]
    return len(letters) >= 80 and sum(letter in "aeinorst" for letter in letters) < 0.36 * len(letters)


def _mixed(text: str) -> bool:
    """Say whether rare scripts stand side by side, as when codes of one are read as another's."""
    scripts = {
        "HANGUL": 0,
        "YI": 0,
        "CJK": 0,
        "ETHIOPIC": 0,
        "VAI": 0,
        "BAMUM": 0,
        "CANADIAN": 0,
        "CHEROKEE": 0,
    }
    for character in text[:4000]:
        if character > "\u1200":
            first = unicodedata.name(character, "").split(" ")[0]
            if first in scripts:
                scripts[first] += 1
    total = sum(scripts.values())
    odd = total - scripts["HANGUL"] - scripts["CJK"]
    return total >= 20 and (0.05 * total < odd < total - 5)


class _Forms:
    """The values of a document's form fields, which lie beside the text of its pages."""

    def __init__(self, document: Any) -> None:
        self._form = None
        if document.get_formtype():
            document.init_forms()
            self._form = document.formenv

    def values(self, page: Any) -> Iterator[Piece]:
        """Yield a page's values where its fields stand."""
        if self._form is None:
            return
        import pypdfium2.raw as raw

        for place in range(raw.FPDFPage_GetAnnotCount(page)):
            note = raw.FPDFPage_GetAnnot(page, place)
            if not note:
                continue
            try:
                if raw.FPDFAnnot_GetSubtype(note) == raw.FPDF_ANNOT_WIDGET and not self._hidden(note):
                    yield from self._field(note)
            finally:
                raw.FPDFPage_CloseAnnot(note)

    def _hidden(self, note: Any) -> bool:
        import pypdfium2.raw as raw

        return bool(raw.FPDFAnnot_GetFlags(note) & (raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW))

    def _field(self, note: Any) -> Iterator[Piece]:
        import pypdfium2.raw as raw

        kind = raw.FPDFAnnot_GetFormFieldType(self._form, note)
        if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
            text = "[x]" if raw.FPDFAnnot_IsChecked(self._form, note) else "[ ]"
        elif kind in (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
            if raw.FPDFAnnot_GetFormFieldFlags(self._form, note) & raw.FPDF_FORMFLAG_TEXT_PASSWORD:
                return
            text = self._chosen(note, kind) or self._text(note)
        else:
            return
        box = raw.FS_RECTF()
        if not text.strip() or not raw.FPDFAnnot_GetRect(note, box):
            return
        yield from _spread(text, box.left, min(box.bottom, box.top), box.right, max(box.bottom, box.top))

    def _text(self, note: Any) -> str:
        import pypdfium2.raw as raw

        size = raw.FPDFAnnot_GetFormFieldValue(self._form, note, None, 0)
        buffer = (ctypes.c_ushort * (size // 2 + 1))()
        raw.FPDFAnnot_GetFormFieldValue(self._form, note, buffer, size)
        return bytes(buffer)[: max(size - 2, 0)].decode("utf-16-le", "replace")

    def _chosen(self, note: Any, kind: int) -> str:
        """Return the shown words of the choices made, which differ from the value stored."""
        import pypdfium2.raw as raw

        if kind == raw.FPDF_FORMFIELD_TEXTFIELD:
            return ""
        chosen: list[str] = []
        for place in range(max(raw.FPDFAnnot_GetOptionCount(self._form, note), 0)):
            if raw.FPDFAnnot_IsOptionSelected(self._form, note, place):
                size = raw.FPDFAnnot_GetOptionLabel(self._form, note, place, None, 0)
                buffer = (ctypes.c_ushort * (size // 2 + 1))()
                raw.FPDFAnnot_GetOptionLabel(self._form, note, place, buffer, size)
                chosen.append(bytes(buffer)[: max(size - 2, 0)].decode("utf-16-le", "replace"))
        return ", ".join(chosen)


def _spread(text: str, left: float, bottom: float, right: float, top: float) -> Iterator[Piece]:
    """Lay the lines of a value over its box, so that the first stands beside its label."""
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    step = (top - bottom) / max(len(lines), 1)
    for place, line in enumerate(lines):
        high = top - place * step
        yield Piece(line, left, high - step, right, high, value=True)


def _without_running(pages: Sequence[list[str]]) -> list[list[str]]:
    """Drop heads and feet that run over most pages, but for their first appearance."""
    if len(pages) < RUNNING_PAGES:
        return list(pages)
    counts = Counter(
        key
        for number, lines in enumerate(pages)
        for key in {key for line in _edges(lines) for key in _running(line, number)}
    )
    running = {key for key, count in counts.items() if count > 0.6 * len(pages)}
    seen: set[tuple[str, int]] = set()
    remaining: list[list[str]] = []
    for number, lines in enumerate(pages):
        keys = {line: running & _running(line, number) for line in _edges(lines)}
        remaining.append([line for line in lines if not keys.get(line, set()) & seen])
        seen |= {key for some in keys.values() for key in some}
    return remaining


def _edges(lines: Sequence[str]) -> list[str]:
    shown = [line for line in lines if line.strip()]
    return [*shown[:1], *shown[-1:]] if len(shown) > 2 else []


def _running(line: str, page: int) -> set[tuple[str, int]]:
    """Return what a line may have in common with that of another page: all of it, or all but its number.

    Figures that do not count the pages are content: rows of a table are not running heads.
    """
    keys = {(line, 0)}
    for match in re.finditer(r"\d{1,5}", line):
        keys.add((f"{line[: match.start()]}#{line[match.end() :]}", int(match.group()) - page))
    return keys


def _whole(pages: Sequence[Sequence[str]]) -> str:
    """Join the pages; a sentence that goes on over the page's end stays one."""
    text = ""
    for lines in pages:
        page = "\n".join(lines).strip()
        if text and page:
            text += "\n" if re.search(r"[\w,;\-]\Z", text) and page[0].islower() else "\n\n"
        text += page
    return text
