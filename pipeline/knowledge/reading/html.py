"""The visible text of an HTML page, from the tree a browser builds."""

from __future__ import annotations

import re
from textwrap import indent
from typing import Any

from pipeline.knowledge.reading.charset import decode, labelled
from pipeline.knowledge.reading.grid import statements
from pipeline.knowledge.reading.kinds import HTML_BYTES, Unreadable
from pipeline.knowledge.reading.numbering import figure

DEEPEST = 200  # nested elements; deeper ones are read without their form
SPAN = 60  # columns or rows a table cell may claim
_UNREAD = {
    "script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select", "datalist",
    "head", "title", "textarea", "canvas", "audio", "video", "button", "dialog",
}  # fmt: skip
_AROUND = {"nav", "footer", "aside"}  # left out, unless the page keeps its text there
_BLOCKS = set(
    """address article aside blockquote body dd details div dl dt fieldset figcaption figure form h1 h2 h3 h4
    h5 h6 header hr legend li main ol p pre section summary table tr ul""".split()  # noqa: SIM905
)
_LEVELS = {"h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}  # h1 is the title of the page
_TERM_LEVEL = 5  # of a term that paragraphs explain
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)"
    r"|(?:font-size|opacity)\s*:\s*0(?![.\d]*[1-9])"
)
_NOTICE = re.compile(
    r"cookie|consent|gdpr|newsletter|subscribe|sign-?up-?box|social|share-?(?:bar|buttons)", re.I
)
_CODE_CLASS = re.compile(r"\b(?:code|highlight|hljs|lang(?:uage)?|sourceCode|terminal|console|prism)\b", re.I)
_ITEM = r"(?:-|\w{1,6}\.)"
_FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_LAYOUT = "table table, h1, h2, nav, main, article, header, footer"  # in a table that only lays out
_CONTROLS = "a[href], button, input, form, select"
_SHORT = 200  # characters of an explanation that stands beside its term
_MENU_LINKS = 4
_LONGEST_NOTICE = 600  # characters


def page(data: bytes) -> tuple[str, str]:
    """Return (title, text); what a reader of the page would not see, menus and notices are left out."""
    if len(data) > HTML_BYTES:
        raise Unreadable(f"too large: {len(data):,} bytes, at most {HTML_BYTES:,} are read")
    return seen(_decoded(data))


def seen(source: str) -> tuple[str, str]:
    """Return (title, text) of a decoded page."""
    tree = _tree(source)
    body = tree.body
    reader = _Reader()
    if body is not None:
        reader.read(body)
    return _title(tree), reader.text()


def _tree(source: str) -> Any:
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(source.replace("\x00", "\ufffd"))


def _decoded(data: bytes) -> str:
    """Decode as browsers do: mark, then the first declaration the tree holds, then UTF-8."""
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return decode(data)
    label = _declared(data)
    if label is None:
        return decode(data)
    try:
        return data.decode("utf-8") if not data.isascii() and b"\x00" not in data else labelled(data, label)
    except UnicodeDecodeError:
        return labelled(data, label)


def _declared(data: bytes) -> str | None:
    for meta in _tree(data.decode("latin-1")).css("meta"):
        attributes = meta.attributes
        if attributes.get("charset"):
            return attributes["charset"]
        if (attributes.get("http-equiv") or "").lower() == "content-type":
            match = re.search(r"charset\s*=\s*[\"']?([^\s\"';]+)", attributes.get("content") or "", re.I)
            if match:
                return match.group(1)
    return None


def _title(tree: Any) -> str:
    """Return the title of the head, else the first heading."""
    for element in tree.css("title"):
        if not _inside(element, "svg") and (title := " ".join(element.text().split())):
            return title
    for level in ("h1", "h2"):
        for element in tree.css(level):
            if title := " ".join(element.text().split()):
                return title
    return ""


def _inside(element: Any, tag: str) -> bool:
    parent = element.parent
    while parent is not None:
        if parent.tag == tag:
            return True
        parent = parent.parent
    return False


class _Reader:
    """Collects the visible text of a tree, in order."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._code: list[str] = []  # blocks whose white space stays
        self._marks: dict[int, str] = {}  # of the items of numbered lists

    def text(self) -> str:
        """Return the text with white space as a browser shows it."""
        text = re.sub(r"[^\S\n]+", " ", "".join(self._pieces))
        text = re.sub(r" ?\n ?", "\n", text)
        text = re.sub(rf"(?m)^{_ITEM} *\n(?={_ITEM} |\Z|\n)", "", text)
        text = re.sub(rf"(?m)^({_ITEM} .*)\n\n(?={_ITEM} )", r"\1\n", text)
        text = re.sub(r"\n{3,}", "\n\n", text).strip()
        return re.sub(r"\x00(\d+)\x00", lambda code: self._code[int(code[1])], text)

    def read(self, element: Any, depth: int = 0, verbatim: bool = False) -> None:
        """Read an element's children."""
        child = element.child
        while child is not None:
            if child.is_text_node:
                text = child.text_content or ""
                self._pieces.append(text if verbatim else re.sub(r"\s+", " ", text))
            elif child.is_element_node:
                self._element(child, depth, verbatim)
            child = child.next

    def _opening(self, element: Any) -> str:
        """Return what stands before an element's text: its number or dash, a colon after a term, breaks."""
        if element.tag == "li":
            return f"\n{self._marks.get(element.mem_id, '-')} "
        if element.tag == "dd" and _explains(element):
            while self._pieces and not self._pieces[-1].strip():
                self._pieces.pop()
            return " " if self._pieces and self._pieces[-1].rstrip()[-1] in ":?.!;" else ": "
        return _before(element.tag)

    def _element(self, element: Any, depth: int, verbatim: bool) -> None:
        tag = element.tag
        if tag in _UNREAD or _unseen(element.attributes) or _furniture(element):
            return
        if depth > DEEPEST:
            self._pieces.append(f"\n{element.text(separator=' ')}\n")
        elif tag == "table" and (grid := _grid(element)):
            heads = _head_count(element)
            self._pieces += ["\n\n", *(f"{line}\n" for line in statements(grid, heads)), "\n"]
        else:
            if tag == "ol":
                self._marks |= _marks(element)
            self._pieces.append(self._opening(element))
            place = len(self._pieces)
            self.read(element, depth + 1, verbatim or tag == "pre")
            if tag == "pre" and _shows_code(element):
                self._fence(place, element)
            elif (level := _level(element)) and not verbatim:
                self._head(place, level)
            if tag in _BLOCKS or tag == "br":
                self._pieces.append(
                    "\n\n" if tag in ("h1", "h2", "h3", "h4", "h5", "h6", "p", "dl") else "\n"
                )

    def _head(self, place: int, level: int) -> None:
        """Mark a heading of one line as Markdown does: what stands under it is read as its section."""
        heading = "".join(self._pieces[place:]).strip()
        if heading and "\n" not in heading and "\x00" not in heading and not heading.startswith("#"):
            self._pieces[place:] = [f"{'#' * level} {heading}"]

    def _fence(self, place: int, element: Any) -> None:
        """Put a block of code between fences, its white space untouched; in an item it is indented."""
        code = "".join(self._pieces[place:]).strip("\n")
        del self._pieces[place:]
        if code.strip():
            block = f"```\n{code}\n```"
            self._code.append(indent(block, "   ") if _inside(element, "li") else block)
            self._pieces.append(f"\n\x00{len(self._code) - 1}\x00\n")


def _shows_code(element: Any) -> bool:
    """Tell code from other text whose white space counts, by the mark-up that generators of pages write."""
    around = element.parent.attributes.get("class") if element.parent is not None else ""
    classes = f"{element.attributes.get('class') or ''} {around or ''}"
    return element.css_first("code, kbd, samp") is not None or bool(_CODE_CLASS.search(classes))


def _explains(element: Any) -> bool:
    """Say whether an element is the short explanation of the term just before it."""
    before = element.prev
    while before is not None and not before.is_element_node:
        before = before.prev
    short = len(element.text()) <= _SHORT and element.css_first("p, ul, ol, table, div, pre") is None
    return short and before is not None and before.tag == "dt" and bool(before.text().strip())


def _level(element: Any) -> int:
    """Return the level of a heading, or of a term that paragraphs explain, else 0."""
    if element.tag != "dt":
        return _LEVELS.get(element.tag, 0)
    after = element.next
    while after is not None and not after.is_element_node:
        after = after.next
    explained = after is not None and after.tag == "dd" and not _explains(after)
    return _TERM_LEVEL if explained else 0


def _marks(numbered: Any) -> dict[int, str]:
    """Return the number a browser shows before each item of a numbered list."""
    items = [child for child in numbered.iter() if child.tag == "li"]
    backwards = "reversed" in numbered.attributes
    number = _whole_number(numbered.attributes.get("start"), len(items) if backwards else 1)
    form = _FORMS.get(numbered.attributes.get("type") or "", "decimal")
    marks: dict[int, str] = {}
    for item in items:
        number = _whole_number(item.attributes.get("value"), number)
        marks[item.mem_id] = f"{figure(number, form)}."
        number += -1 if backwards else 1
    return marks


def _whole_number(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"\s*-?\d{1,6}\s*", text) else otherwise


def _before(tag: str) -> str:
    if tag in ("td", "th"):
        return " \t"
    if tag in ("br", "hr"):
        return "\n"
    if tag in _BLOCKS:
        return "\n\n" if (tag[0] == "h" and tag[1:].isdigit()) or tag == "p" else "\n"
    return ""


def _unseen(attributes: dict[str, str | None]) -> bool:
    style = (attributes.get("style") or "").lower()
    return (
        ("hidden" in attributes and attributes["hidden"] != "until-found")
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(style))
    )


def _furniture(element: Any) -> bool:
    """Say whether an element is a menu, a footer or a notice about cookies or letters."""
    tag, attributes = element.tag, element.attributes
    if tag not in _BLOCKS and tag not in _AROUND and tag not in ("span", "td"):
        return False
    if tag in ("body", "main", "article", "html") or element.css_first("main, article, h1") is not None:
        return False
    if tag in ("nav", "footer"):
        return True
    text = " ".join(element.text(separator=" ").split())
    if _is_contents(element, text):
        return True
    named = " ".join(filter(None, (attributes.get("class"), attributes.get("id"), attributes.get("role"))))
    if _NOTICE.search(named) and len(text) <= _LONGEST_NOTICE and _asks(element):
        return True
    return tag not in ("li", "p", "dl", "dt", "dd") and _is_menu(element, text)


def _asks(element: Any) -> bool:
    """Say whether an element asks something of its reader, as a notice does; outside the content any does."""
    if element.css_first(_CONTROLS) is not None:
        return True
    return not (_inside(element, "main") or _inside(element, "article"))


def _is_menu(element: Any, text: str) -> bool:
    """Say whether nearly all the words are short links."""
    if _inside(element, "main") or _inside(element, "article"):
        return False
    links = [" ".join(link.text().split()) for link in element.css("a[href]")]
    links = [link for link in links if link]
    least = 1 if _inside(element, "nav") or _inside(element, "footer") else _MENU_LINKS
    if len(links) < least or not text:
        return False
    return sum(map(len, links)) >= 0.8 * (len(text) - text.count(" ")) and sum(
        len(link.split()) <= 4 for link in links
    ) >= 0.8 * len(links)


def _is_contents(element: Any, text: str) -> bool:
    """Say whether nearly all the words are links to places within pages: a table of contents."""
    links = element.css("a[href*='#']")
    if len(links) < _MENU_LINKS:
        return False
    words = sum(len("".join(link.text().split())) for link in links)
    return words >= 0.8 * (len(text) - text.count(" "))


def _grid(table: Any) -> list[list[str]] | None:
    """Return the cells of a table of data, merged cells repeated; None for one that only lays out."""
    if table.attributes.get("role") in ("presentation", "none") or table.css_first(_LAYOUT) is not None:
        return None
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}
    for tr in table.css("tr"):
        if _unseen(tr.attributes):
            continue
        row: list[str] = []
        cells = [cell for cell in tr.iter() if cell.tag in ("td", "th") and not _unseen(cell.attributes)]
        for cell in cells:
            while len(row) in below:
                row.append(_carried(below, len(row)))
            reader = _Reader()
            reader.read(cell)
            text = " ".join(reader.text().split())
            for _ in range(_span(cell, "colspan")):
                if (more := _span(cell, "rowspan") - 1) > 0:
                    below[len(row)] = (more, text)
                row.append(text)
        while len(row) in below:
            row.append(_carried(below, len(row)))
        rows.append(row)
    long = sum(len(cell) > 400 for row in rows for cell in row)
    return None if long or max(map(len, rows), default=0) < 2 else rows


def _carried(below: dict[int, tuple[int, str]], column: int) -> str:
    left, text = below.pop(column)
    if left > 1:
        below[column] = (left - 1, text)
    return text


def _span(cell: Any, name: str) -> int:
    value = (cell.attributes.get(name) or "1").strip()
    return min(max(int(value), 1), SPAN) if value.isdigit() else 1


def _head_count(table: Any) -> int | None:
    """Return the number of head rows as the page marks them; None when it marks none."""
    count = 0
    for tr in table.css("tr"):
        tags = [cell.tag for cell in tr.iter() if cell.tag in ("td", "th")]
        if tags and (tr.parent.tag == "thead" or all(tag == "th" for tag in tags)):
            count += 1
        else:
            break
    return count or None
