"""Rewrites a stream by patterns, so that cutting it into other pieces changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_SEAM = re.compile(r"\]\(|!\[|<[A-Za-z/!?]")
_TAIL = 64  # the longest mark that ends a dropped stretch


@dataclass(frozen=True, slots=True)
class Replacement:
    """What becomes of a match: `text` instead of its first `covered` characters.

    The rest of the match is looked at again. `until` ends a stretch that is dropped after it.
    """

    text: str
    covered: int
    until: re.Pattern[str] | None = None


class PatternWindow:
    """Applies one set of patterns to a text that arrives in pieces.

    `found` matches what is rewritten; `unfinished` matches a suffix (it ends in `\\Z`) that more
    text could turn into such a match, or make longer. Everything before an unfinished suffix is
    decided and comes out at once; the suffix waits. Both look back one character at most, and an
    unfinished suffix has a bounded length, so what waits is bounded too.

    `calm` is a quick way out for plain words, most of a text: it matches a whole text that holds
    nothing to rewrite, with what is decided in group 1 and what must wait in group 2. A text
    with one of the `risky` words, in lower case, is not calm.
    """

    __slots__ = (
        "_calm",
        "_context",
        "_found",
        "_last",
        "_rewrite",
        "_risky",
        "_seam",
        "_unfinished",
        "_until",
        "_waiting",
    )

    def __init__(
        self,
        pattern: re.Pattern[str],
        unfinished: re.Pattern[str],
        rewrite: Callable[[re.Match[str]], Replacement],
        calm: re.Pattern[str],
        risky: Sequence[str] = (),
    ) -> None:
        self._calm = calm
        self._risky = risky
        self._found = pattern
        self._unfinished = unfinished
        self._rewrite = rewrite
        self._waiting = ""
        self._context = ""  # the character before what waits
        self._last = ""  # the last character that came out
        self._seam = False  # something was changed just here
        self._until: re.Pattern[str] | None = None

    @property
    def waiting(self) -> int:
        """Characters held back."""
        return len(self._waiting)

    def feed(self, text: str, end: bool = False) -> str:
        """Take a piece and return what is decided; `end` decides all that waits."""
        if self._until is None and not self._seam and not end:
            calm = self._calm.match(self._waiting + text)
            if calm is not None and not (self._risky and self._is_risky(calm[0].lower())):
                decided, self._waiting = calm.groups("")
                if decided:
                    self._last = self._context = decided[-1]
                return decided
        at = len(self._context)
        text = self._context + self._waiting + text
        out: list[str] = []
        waits, look = 0, not end  # characters of the unfinished suffix, and whether it must be looked for
        while at < len(text):
            if self._until is not None:
                ending = self._until.search(text, at)
                if ending is None:
                    at = len(text) if end else max(at, len(text) - _TAIL)
                    break
                self._until, text, at, look = None, text[ending.end() :], 0, not end
                continue
            match = self._found.search(text, at)
            if look:
                suffix, look = self._unfinished.search(text, at), False
                waits = len(text) - suffix.start() if suffix else 0
            if waits and (match is None or len(text) - waits <= match.start()):
                self._keep(out, text[at : len(text) - waits])
                at = len(text) - waits
                break
            if match is None:
                self._keep(out, text[at:])
                at = len(text)
                break
            self._keep(out, text[at : match.start()])
            change = self._rewrite(match)
            stop = match.start() + change.covered
            self._change(out, change, text[match.start() : stop])
            text, at = text[stop:], 0  # what follows a match begins afresh
            look = not end and (waits > len(text) or self._unfinished.match(text) is not None)
        self._context, self._waiting = text[at - 1 : at] if at else "", text[at:]
        return out[0] if len(out) == 1 else "".join(out)

    def _is_risky(self, lower: str) -> bool:
        return any(word in lower for word in self._risky)

    def _keep(self, out: list[str], text: str) -> None:
        if text:
            if self._seam:
                self._join(out, text)
                self._seam = False
            out.append(text)
            self._last = text[-1]

    def _change(self, out: list[str], change: Replacement, source: str) -> None:
        self._until = change.until
        if change.text == source and change.until is None:
            self._keep(out, source)
            return
        if change.text:
            self._join(out, change.text)
            out.append(change.text)
            self._last = change.text[-1]
        self._seam = True

    def _join(self, out: list[str], text: str) -> None:
        """Put a space where the ends of two pieces would together mean something new."""
        if self._last and _SEAM.match(self._last + text[0]):
            out.append(" ")
