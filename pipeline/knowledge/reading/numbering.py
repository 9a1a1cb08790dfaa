"""The numbers Word gives paragraphs by itself: "1.2.", "(b)", "iv."."""

from __future__ import annotations

import re
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = 9
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


class Numbering:
    """Counts the numbered paragraphs of one document, as they come."""

    def __init__(self, numbering: Any, styles: Any) -> None:
        self._levels: dict[str, dict[int, Any]] = {}
        self._overrides: dict[tuple[str, int], int] = {}
        self._abstract: dict[str, str] = {}
        self._counts: dict[str, list[int | None]] = {}
        self._started: set[tuple[str, int]] = set()
        self._styles = _style_numbers(styles)
        if numbering is not None:
            self._learn(numbering)

    def next(self, paragraph: Any) -> str:
        """Return the number of the next paragraph as Word shows it; "" for one without."""
        number_id, level = self._of(paragraph)
        abstract = self._abstract.get(number_id or "")
        if abstract is None or level not in self._levels.get(abstract, {}):
            return ""
        counts = self._counts.setdefault(abstract, [None] * LEVELS)
        override = self._overrides.get((number_id or "", level))
        if override is not None and (number_id or "", level) not in self._started:
            counts[level] = None
        self._started.add((number_id or "", level))
        start = override if override is not None else self._start(abstract, level)
        current = counts[level]
        counts[level] = start if current is None else current + 1
        counts[level + 1 :] = [None] * (LEVELS - level - 1)
        return self._shown(abstract, level, counts)

    def _learn(self, numbering: Any) -> None:
        for abstract in numbering.iter(f"{W}abstractNum"):
            levels = {int(item.get(f"{W}ilvl", "0")): item for item in abstract.iter(f"{W}lvl")}
            self._levels[abstract.get(f"{W}abstractNumId", "")] = levels
        for num in numbering.iter(f"{W}num"):
            number_id, abstract = num.get(f"{W}numId", ""), num.find(f"{W}abstractNumId")
            if abstract is not None:
                self._abstract[number_id] = abstract.get(f"{W}val", "")
            for override in num.iter(f"{W}lvlOverride"):
                start = override.find(f"{W}startOverride")
                if start is not None:
                    level = int(override.get(f"{W}ilvl", "0"))
                    self._overrides[number_id, level] = int(start.get(f"{W}val", "1"))

    def _of(self, paragraph: Any) -> tuple[str | None, int]:
        """Return the paragraph's list and level, its own or its style's."""
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        number_id, level = self._styles.get("" if style is None else style.get(f"{W}val", ""), (None, 0))
        own = paragraph.find(f"{W}pPr/{W}numPr")
        if own is not None:
            number_id = _value(own, "numId") or number_id
            level = int(_value(own, "ilvl") or level)
        return number_id, min(level, LEVELS - 1)

    def _start(self, abstract: str, level: int) -> int:
        return int(_value(self._levels[abstract][level], "start") or 1)

    def _shown(self, abstract: str, level: int, counts: list[int | None]) -> str:
        form = _value(self._levels[abstract][level], "numFmt") or "decimal"
        text = _value(self._levels[abstract][level], "lvlText") or ""
        if form == "bullet":
            return "-"
        if form == "none":
            return ""
        legal = self._levels[abstract][level].find(f"{W}isLgl") is not None

        def put(match: re.Match[str]) -> str:
            place = int(match.group(1)) - 1
            definition = self._levels[abstract].get(place)
            if definition is None:
                return ""
            count = counts[place]
            shown = self._start(abstract, place) if count is None else count
            return figure(shown, "decimal" if legal else _value(definition, "numFmt") or "decimal")

        return re.sub(r"%([1-9])", put, text).strip()


def figure(number: int, form: str) -> str:
    """Return a number in Word's form of it."""
    if form in ("lowerLetter", "upperLetter") and number > 0:
        letters = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letters.upper() if form == "upperLetter" else letters
    if form in ("lowerRoman", "upperRoman") and number > 0:
        roman, left = "", number
        for value, sign in _ROMAN:
            roman += sign * (left // value)
            left %= value
        return roman.upper() if form == "upperRoman" else roman
    return f"{number:02}" if form == "decimalZero" else str(number)


def _style_numbers(styles: Any) -> dict[str, tuple[str | None, int]]:
    """Return list and level of each style that has one, its own or that of the style it is based on."""
    own: dict[str, tuple[str | None, int]] = {}
    based: dict[str, str] = {}
    for style in styles.iter(f"{W}style") if styles is not None else ():
        key = style.get(f"{W}styleId", "")
        based[key] = _value(style, "basedOn") or ""
        number = style.find(f"{W}pPr/{W}numPr")
        if number is not None:
            own[key] = (_value(number, "numId"), int(_value(number, "ilvl") or 0))
    for key in based:
        parent, steps = based[key], 0
        while key not in own and parent and steps < LEVELS:
            if parent in own:
                own[key] = own[parent]
            parent, steps = based.get(parent, ""), steps + 1
    return own


def _value(element: Any, name: str) -> str | None:
    child = element.find(f"{W}{name}")
    return None if child is None else child.get(f"{W}val")
