"""What an answer may show: citations that exist, known links, no HTML, no images."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from pipeline.guardrails.window import PatternWindow, Replacement

_TARGET = r"\([^()\n]{0,200}(?:\([^()\n]{0,40}\)[^()\n]{0,40})?\)"
_OPEN_TARGET = r"\([^()\n]{0,200}(?:\([^()\n]{0,40}(?:\)[^()\n]{0,40})?)?"
FOUND = re.compile(
    r"(?P<code>`{1,3}|\n)"
    rf"|(?P<image>!?)\[(?P<text>[^\[\]\n]{{0,120}})\](?P<target>{_TARGET})"
    r"|(?P<space> {0,2})(?:\[(?:(?i:doc(?:ument)?s?|sources?|passages?|ref) ?)?"
    r"(?P<numbers>\^?[0-9]{1,3}(?: ?[,;–—-] ?\^?[0-9]{1,3}){0,9})\]"
    rf"(?!{_TARGET})"
    r"|【(?P<wide>[0-9]{1,3}(?: ?[,;–—-] ?[0-9]{1,3}){0,9})(?::[0-9]{1,3})?(?:†[^\[\]【】\n]{0,60})?】)"
    rf"|\](?P<loose>{_TARGET})"
    r"|(?P<split>\](?=\()|!(?=\[)|<(?=[A-Za-z/!?])(?![^<>]{1,200}>))"
    r"|<(?P<tag>[A-Za-z/!?][^<>]{0,199})>"
)
UNFINISHED = re.compile(
    rf"(?:`{{1,2}}| {{1,2}}|!"
    rf"| {{0,2}}!?\[[^\[\]\n]{{0,120}}(?:\](?:{_OPEN_TARGET})?)?"
    r"| {0,2}【[0-9][^\[\]【】\n]{0,110}| {0,2}【"
    rf"|\](?:{_OPEN_TARGET})?"
    r"|<(?:[A-Za-z/!?][^<>]{0,199}>?)?)\Z"
)
CALM = re.compile(r"([^\[\]<!`\n【]*[^\[\]<!`\n 【])?( {0,2})\Z")
_NUMBERS = re.compile(r"([0-9]+)(?: ?[–—-] ?\^?([0-9]+))?")
_PLACEHOLDER = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{0,40}")
_NAMED_IN_CODE = re.compile(  # neither an address nor an event nor a style can be written so
    r"/?(?P<name>[A-Za-z][\w.:-]{0,40})"
    r"(?: (?!on|style|src|href|action|formaction|data|xlink)[a-z][a-z-]{0,20}=\"[\w .-]{0,40}\"){0,4} ?/?"
)
_WORD = re.compile(r"/?(?P<name>[A-Za-z][A-Za-z0-9]{0,20}) ?/?")
_BEFORE, _AFTER = frozenset(" \n\t(\"'“‘«*|"), frozenset(" \n\t.,;:!?)\"'”’»*|")
_ACTIVE = frozenset(
    [
        "script",
        "style",
        "iframe",
        "frame",
        "frameset",
        "object",
        "embed",
        "applet",
        "svg",
        "math",
        "link",
        "meta",
        "base",
        "form",
    ]
)
_URL = re.compile(r"https?://", re.IGNORECASE)
_AUTOLINK = re.compile(r"https?://[\w.~:/?#@&=%+,;-]+|(?:mailto:)?[\w.%+-]+@[\w.-]+", re.IGNORECASE)
_BLANKS = re.compile(r"[\s\x00-\x1f]+")
_ELEMENTS = frozenset(
    re.findall(
        r"[a-z0-9]+",
        "a abbr acronym address applet area article aside audio b base basefont bdi bdo big blink"
        " blockquote body br button canvas caption center circle cite code col colgroup data datalist dd"
        " defs del details dfn dialog dir div dl dt ellipse em embed fieldset figcaption"
        " figure font footer foreignobject form frame frameset g h1 h2 h3 h4 h5 h6 head header hgroup hr"
        " html i iframe image img input ins isindex kbd keygen label layer legend"
        " li line link listing main map mark marquee math menu menuitem meta meter"
        " noembed noframes noscript object ol optgroup option output p param path picture plaintext polygon"
        " portal pre progress q rect rp rt ruby s samp script search section select slot small source span"
        " strike strong style sub summary sup svg table tbody td template text textarea tfoot th thead time"
        " title tr track tt u ul use var video wbr xml xmp animate set",
    )
)


class Markup:
    """The citations, links and tags of one answer, as it streams.

    `allowed` tells whether an address may be shown. In code spans citations are left alone,
    because `list[0]` is code.
    """

    def __init__(self, numbers: set[int], allowed: Callable[[str], bool], findings: list[str]) -> None:
        self._numbers = numbers
        self._allowed = allowed
        self._findings = findings
        self._code = 0  # backticks that opened the code we are in
        self._begun = False
        self.window = PatternWindow(FOUND, UNFINISHED, self._rewrite, CALM)

    def _rewrite(self, match: re.Match[str]) -> Replacement:
        whole, first = match[0], not self._begun
        self._begun = True
        if match["code"] is not None:
            self._fence(whole)
            return Replacement(whole, len(whole))
        if match["numbers"] is not None or match["wide"] is not None:
            apart = " " if match.string[match.end() : match.end() + 1] == "(" else ""
            return Replacement(self._cite(match) + apart, len(whole))
        if match["target"] is not None:
            return Replacement(self._link(match), len(whole))
        if match["loose"] is not None:
            url = self._url(match["loose"])
            return Replacement("]" if url is None else f"]({url})", len(whole))
        if match["split"] is not None:
            return Replacement(whole + " ", len(whole))
        glued = "" if first else "x"  # what follows a match at once
        before = match.string[: match.start()][-1:] or glued
        alone = _alone(before, match.string[match.end() :][:1])
        return Replacement(self._tag(match["tag"], whole, alone), len(whole))

    def _fence(self, mark: str) -> None:
        if mark == "\n":
            self._code = self._code if self._code == 3 else 0
        elif self._code == 0:
            self._code = len(mark)
        elif self._code == len(mark):
            self._code = 0

    def _cite(self, match: re.Match[str]) -> str:
        numbers: list[int] = []
        written = match["numbers"] or match["wide"]
        if written.strip("0") == "" and match["space"] and not self._code:
            self._findings.append("citation:0")  # passages are counted from one
            return ""
        for first, last in _NUMBERS.findall(written):
            low, high = int(first), int(last or first)
            if self._code or low == 0 or not low <= high <= low + 20:
                return match[0]  # an index, a character class or an interval
            numbers += range(low, high + 1)
        self._findings += [f"citation:{n}" for n in numbers if n not in self._numbers]
        marks = "".join(f"[{n}]" for n in dict.fromkeys(numbers) if n in self._numbers)
        return match["space"] + marks if marks else ""

    def _link(self, match: re.Match[str]) -> str:
        if match["image"]:
            self._findings.append("image")
            return "[image removed]"
        text = Markup(self._numbers, self._allowed, self._findings).window.feed(match["text"], end=True)
        url = self._url(match["target"])
        if text.isdigit():
            numbered = int(text) in self._numbers
            return f"[{text}]" if numbered else ""
        return text if url is None else f"[{text}]({url})"

    def _url(self, target: str) -> str | None:
        """Return the address of a link target when it may be shown."""
        inside = html.unescape(target[1:-1]).strip()
        parts = inside[1:-1].split() if inside.startswith("<") else inside.split()
        url = parts[0] if parts else ""
        if _URL.match(url) and self._allowed(url):
            return url
        self._findings.append("link" if _BLANKS.sub("", url) else "link:empty")
        return None

    def _tag(self, tag: str, whole: str, alone: bool) -> str:
        if _AUTOLINK.fullmatch(tag):
            return tag.removeprefix("mailto:")  # what may be shown of it is decided by the next window
        if _PLACEHOLDER.fullmatch(tag) and tag.split()[0].lower() not in _ELEMENTS:
            return whole
        named = _NAMED_IN_CODE.fullmatch(tag) if self._code else None
        if named is not None and named["name"].lower() not in _ACTIVE:
            return whole
        word = _WORD.fullmatch(tag) if alone and not self._code else None
        if word is not None and word["name"].lower() not in _ACTIVE:
            return f"`{whole}`"
        self._findings.append("html")
        readable = self._code or word  # what code or a sentence says is not lost, and can never be rendered
        return f"‹{tag}›" if readable else ""


def _alone(before: str, after: str) -> bool:
    """Tell whether a tag stands in a sentence as a word does: "Use <kbd> for keys", not "<b>heavy</b>"."""
    line = before in ("", "\n") and after in ("", "\n")
    return not line and (not before or before in _BEFORE) and (not after or after in _AFTER)
