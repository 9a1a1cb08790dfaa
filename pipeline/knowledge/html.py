"""The visible text of an HTML page, by one pass of the standard parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_UNREAD = {"script", "style", "template", "noscript", "svg", "nav", "footer", "iframe", "object", "select"}
_VOID = {"br", "hr", "img", "input", "link", "meta", "area", "base", "col", "embed", "source", "track", "wbr"}
_BLOCKS = set(
    """address article aside blockquote body dd details div dl dt figcaption figure form h1 h2 h3 h4 h5 h6
    header hr li main ol p pre section summary table tr ul""".split()  # noqa: SIM905
)
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])"
)


def page(source: str) -> tuple[str, str]:
    """Return (title, text); what a reader of the page would not see is left out."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    text = re.sub(r"[^\S\n]+", " ", "".join(reader.pieces))
    text = re.sub(r" ?\n ?", "\n", text)
    return " ".join("".join(reader.title).split()), re.sub(r"\n{3,}", "\n\n", text).strip()


class _Reader(HTMLParser):
    """Collects text; `_hidden` counts the open elements since one that is not shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._open: list[str] = []
        self._hidden_from: int | None = None
        self._titled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br" or tag in _BLOCKS:
            self._write("\n\n" if tag[0] == "h" and tag[1:].isdigit() else "\n")
        if tag == "li":
            self._write("- ")
        if tag in ("td", "th"):
            self._write(" \t")
        if tag in _VOID:
            return
        self._open.append(tag)
        if self._hidden_from is None and (tag in _UNREAD or _unseen(dict(attrs))):
            self._hidden_from = len(self._open)

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._write("\n")
        if tag not in self._open[-50:]:
            return
        while self._open.pop() != tag:
            pass
        if self._hidden_from is not None and len(self._open) < self._hidden_from:
            self._hidden_from = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title.append(data)
        else:
            self._write(data if "pre" in self._open[-10:] else re.sub(r"\s+", " ", data))

    def _write(self, text: str) -> None:
        if self._hidden_from is None:
            self.pieces.append(text)


def _unseen(attributes: dict[str, str | None]) -> bool:
    style = (attributes.get("style") or "").lower()
    return (
        "hidden" in attributes or attributes.get("aria-hidden") == "true" or bool(_HIDDEN_STYLE.search(style))
    )
