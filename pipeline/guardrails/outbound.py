"""What may leave: every piece of an answer is checked before anybody sees it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from pipeline.errors import ConfigurationError
from pipeline.guardrails import markup, private
from pipeline.guardrails.folding import fold
from pipeline.guardrails.markup import Markup
from pipeline.guardrails.private import REGIONS, Pii, Private
from traces.records import Passage

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_JOINERS = re.compile("(?<![^\x00-\x7f])[\u200c\u200d\ufe00-\ufe0f]+")
_WORD = re.compile(r"[^\W_](?:[^\W_]|['’])*+")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = str.maketrans("013457", "oieast")
_TURNED = str.maketrans(_LETTERS, _LETTERS[13:] + _LETTERS[:13])
_QUOTED = re.compile(r"[\"“][^\"”\n]{1,300}[\"”]")
_GRAM = 4  # words that tie an answer to the instructions
_HELD = 5  # so many words in a row wait
_LEAK = 9  # so many are a leak
_CODED = 40  # characters of a word that may be text in another coding


class Outbound:
    """Opens one filter per answer; the policy comes from the configuration."""

    def __init__(
        self,
        *,
        pii: Pii = "mask",
        links: Literal["keep", "strip"] = "keep",
        regions: Sequence[str] = REGIONS,
    ) -> None:
        if unknown := private.unknown_regions(regions):
            raise ConfigurationError([f"guardrails.regions: unknown {unknown}; use codes such as US or DE"])
        self._pii: Pii = pii
        self._links = links
        self._regions = tuple(regions)
        patterns = [markup.FOUND, markup.UNFINISHED, private.FOUND, private.UNFINISHED]
        rules = "\n".join([pii, links, *regions, *(pattern.pattern for pattern in patterns)])
        self.fingerprint = hashlib.sha256(rules.encode()).hexdigest()[:8]

    def open(self, numbers: set[int], allowed_text: str = "", canary: str | None = None) -> OutboundStream:
        """Begin an answer that may cite `numbers`.

        `allowed_text` is what the answer may quote: the question, and the passages with their
        addresses; links, e-mail addresses and phone numbers in it may be shown. `canary` is the
        system prompt, which may not.
        """
        return OutboundStream(
            numbers,
            allowed_text,
            canary or "",
            pii=self._pii,
            links=self._links == "keep",
            regions=self._regions,
        )

    def shown(self, passage: Passage) -> Passage:
        """Return a passage as its reader may see it: what an answer must not show, it does not either."""
        text = _shown(passage.text or "", self._pii, self._regions)
        return passage if text == (passage.text or "") else replace(passage, text=text)


class OutboundStream:
    """One answer on its way out. `findings` names what was removed; `blocked` ends the answer."""

    def __init__(
        self,
        numbers: set[int],
        allowed: str,
        canary: str,
        *,
        pii: Pii,
        links: bool,
        regions: tuple[str, ...],
    ) -> None:
        self.findings: list[str] = []
        self._quoted = allowed
        self._lower: str | None = None
        self._markup = Markup(numbers, self._may_link if links else _never, self.findings).window
        self._private = Private(
            pii, self._may_show if links else self._may_show_strictly, self.findings, regions
        ).window
        self._leak = Leak(canary, allowed)
        self._context = ""

    @property
    def blocked(self) -> str | None:
        """Why the answer must be withdrawn, or None."""
        return "prompt_leak" if self._leak.leaked else None

    @property
    def waiting(self) -> int:
        """Characters held back, not shown yet."""
        return self._markup.waiting + self._private.waiting + self._leak.waiting

    def feed(self, text: str) -> str:
        """Take a piece of the model's answer and return what may be shown now."""
        if not text.isascii() or not text.isprintable():
            text = self._plain(text)
        elif text:
            self._context = "a"
        return self._leak.feed(self._private.feed(self._markup.feed(text)))

    def finish(self) -> str:
        """Return the rest that may be shown."""
        rest = self._leak.feed(self._private.feed(self._markup.feed("", end=True), end=True), end=True)
        if self._leak.leaked:
            self.findings.append("leak:prompt")
        return rest

    def _plain(self, text: str) -> str:
        """Drop controls and invisible characters; joiners stay after letters that are not ASCII."""
        before = self._context
        text = _JOINERS.sub("", before + _CONTROLS.sub("", text))
        if len(text) > len(before):
            self._context = "a" if text[-1].isascii() else "é"
        return text[len(before) :]

    def _may_link(self, url: str) -> bool:
        return url in self._quoted

    def _may_show(self, text: str) -> bool:
        if self._lower is None:
            self._lower = self._quoted.lower()
        return text in self._quoted or ("://" not in text and text.lower() in self._lower)

    def _may_show_strictly(self, text: str) -> bool:
        return not re.match(r"(?i)(?:[a-z]+://|www\.)", text) and self._may_show(text)


class Leak:
    """Finds the system prompt in an answer by runs of words they share."""

    def __init__(self, prompt: str, allowed: str) -> None:
        self._grams = _grams(prompt) if prompt else frozenset()
        self._allowed = allowed
        self._recent: list[str] = []
        self._run = 0  # words in a row that the prompt has, too
        self._waiting = ""
        self._read = 0  # characters of what waits that were looked at
        self.leaked = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def feed(self, text: str, end: bool = False) -> str:
        if not self._grams:
            return text
        if self.leaked:
            return ""
        waiting = self._waiting + text
        matches = list(_WORD.finditer(waiting, self._read))
        begun = bool(matches) and matches[-1].end() == len(waiting) and not end
        whole = matches[:-1] if begun else matches
        words = [word for match in whole if (word := _plainly(match[0]))]
        if not self._run and self._is_new(words):
            self._recent = [*self._recent, *words][-_LEAK:]
            self._read, safe = 0, matches[-1].start() if begun else len(waiting)
            self._waiting = waiting[safe:]
            return waiting[:safe]
        safe, read = (len(waiting), len(waiting)) if self._run < _HELD else (0, len(waiting))
        for match in matches:
            if match.end() == len(waiting) and not end:
                safe, read = min(safe, match.start()), match.start()
                break
            if word := _plainly(match[0]):
                self._count(word)
            if (self._run >= _LEAK and not self._is_quote()) or self._is_coded(match[0]):
                self.leaked, self._waiting = True, ""
                return waiting[: min(safe, match.start())] if safe < match.start() else ""
            safe = min(safe, match.start()) if self._run >= _HELD else len(waiting)
        out, self._waiting = waiting[:safe], waiting[safe:]
        self._read = max(read - safe, 0)
        return out

    def _is_new(self, words: Sequence[str]) -> bool:
        """Say whether no run of words that ends in these stands in the prompt: so it is with most answers."""
        if any(len(word) >= _CODED for word in words):
            return False
        row = [*self._recent[-(_GRAM - 1) :], *words]
        return self._grams.isdisjoint(zip(*(row[shift:] for shift in range(_GRAM)), strict=False))

    def _count(self, word: str) -> None:
        self._recent = [*self._recent[-(_LEAK - 1) :], word]
        leaked = tuple(self._recent[-_GRAM:]) in self._grams
        self._run = (self._run + 1 if self._run else _GRAM) if leaked else 0

    def _is_coded(self, word: str) -> bool:
        """Say whether a long word holds a part of the prompt in base64 or hexadecimal digits."""
        return len(word) >= _CODED and any(not self._grams.isdisjoint(_rows(text)) for text in _decoded(word))

    def _is_quote(self) -> bool:
        words = " ".join(self._recent[-_LEAK:])
        return words in " ".join(map(_plainly, _WORD.findall(self._allowed)))


@lru_cache(maxsize=4_000)
def _shown(text: str, pii: Pii, regions: tuple[str, ...]) -> str:
    """Return a passage's text masked; the same ones come often."""
    return private.masked(text, pii, regions)


def _plainly(word: str) -> str:
    """Return a word without disguise: case, accents, letters that look alike; "" for a number."""
    if word.isascii() and word.isalpha():
        return word.lower()
    return "" if word.isdigit() else fold(word).translate(_DIGITS)


def _rows(text: str) -> list[tuple[str, ...]]:
    """Return the runs of words of a text."""
    words = [word for part in _WORD.findall(text) if (word := _plainly(part))]
    return list(zip(*(words[shift:] for shift in range(_GRAM)), strict=False))


def _decoded(word: str) -> Iterator[str]:
    """Yield what a word may say in hexadecimal digits, or in base64 that was begun before it."""
    with suppress(ValueError):
        yield bytes.fromhex(word).decode("utf-8", "ignore")
    for shift in range(4):
        part = word[shift : shift + (len(word) - shift) // 4 * 4]
        with suppress(ValueError):
            yield base64.b64decode(part).decode("utf-8", "ignore")


@lru_cache(maxsize=32)
def _grams(prompt: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of words of a prompt, without the sentences it tells the model to say.

    Each in the order of the prompt and backwards, as it stands, mirrored and turned by 13 letters.
    """
    rows: list[tuple[str, ...]] = []
    for part in _QUOTED.split(prompt):
        rows += _rows(part)
    turned = [tuple(word.translate(_TURNED) for word in row) for row in rows]
    mirrored = [tuple(word[::-1] for word in reversed(row)) for row in rows]
    return frozenset([*rows, *(row[::-1] for row in rows), *turned, *mirrored])


def _never(url: str) -> bool:
    return False
