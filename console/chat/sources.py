"""The side panel: the passages an answer was made from, the cited ones first and open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from console.chat import markup
from console.chat.exchange import Exchange
from console.chat.words import say
from pipeline.auth import DEFAULT
from pipeline.citations import MARKER
from pipeline.text.sentences import sentences, words

SNIPPET = 320  # characters shown of a passage before it is unfolded
Span = tuple[int, int]
_MARK = Markup('<mark data-k="{}">{}</mark>')


@dataclass(frozen=True, slots=True)
class Card:
    """A passage as the panel shows it; `whole` is None when the snippet is all of it."""

    n: int
    title: str
    place: str
    kb: str | None  # where it is from, when that is not the only place there can be
    snippet: Markup
    whole: Markup | None
    url: str | None
    cited: bool
    unfolded: bool


def panel(exchange: Exchange | None, tongue: str = "en", why: Markup = Markup()) -> Markup:
    """Return the panel for one turn; None when there is no turn yet. `why` says what it rests on."""
    if exchange is None or not exchange.passages:
        return _without(exchange, tongue, why)
    if exchange.under_way:  # in the order read, folded: nothing jumps while the answer comes
        cards = [_card(passage, [], unfolded=False) for passage in exchange.passages]
        count = say(tongue, "{n} read", n=len(cards))
        return _panel(exchange.turn_id, "reading", count, cards, tongue=tongue)
    claims = _claims(exchange.answer)
    cited = [_card(p, claims[p["n"]], unfolded=True) for p in exchange.passages if p["n"] in claims]
    rest = [_card(p, [], unfolded=False) for p in exchange.passages if p["n"] not in claims]
    if not cited:
        return _panel(exchange.turn_id, "absent", "", [], rest, tongue=tongue, why=why)
    count = say(tongue, "1 cited") if len(cited) == 1 else say(tongue, "{n} cited", n=len(cited))
    return _panel(exchange.turn_id, "cited", count, cited, rest, tongue=tongue, why=why)


def evidence(text: str, claim: str) -> Span | None:
    """Return the offsets of the sentence of `text` that shares most words with `claim`, or None."""
    claim_words = set(words(claim))
    best, span = 0.0, None
    for sentence, sentence_words in _said(text):
        shared = len(claim_words & sentence_words)
        overlap = 2 * shared / (len(claim_words) + len(sentence_words)) if shared else 0.0
        if overlap > best:
            best, span = overlap, sentence
    return span


@lru_cache(maxsize=256)
def _said(text: str) -> tuple[tuple[Span, frozenset[str]], ...]:
    """Return the sentences of a text with their content words."""
    return tuple(((start, end), frozenset(words(text[start:end]))) for start, end in sentences(text))


def _without(exchange: Exchange | None, tongue: str, why: Markup) -> Markup:
    if exchange is not None and exchange.state == "searching":
        return _panel("", "searching", tongue=tongue)
    absent = exchange is not None and exchange.outcome == "no_context"
    turn_id = exchange.turn_id if exchange is not None else ""
    return _panel(turn_id, "absent" if absent else "empty", tongue=tongue, why=why)


def _panel(
    turn_id: str,
    state: str,
    count: str = "",
    cards: list[Card] | None = None,
    rest: list[Card] | None = None,
    *,
    tongue: str = "en",
    why: Markup = Markup(),
) -> Markup:
    shown = {"turn_id": turn_id, "state": state, "count": count, "cards": cards or [], "rest": rest or []}
    return markup.render("sources.html", **shown, why=why, tongue=tongue)


def _card(passage: Mapping[str, Any], claims: list[list[str]], *, unfolded: bool) -> Card:
    text = passage["text"] or ""
    marks = _marks(text, claims)
    left, right = _window(text, min(marks, key=lambda span: min(marks[span]), default=None))
    return Card(
        n=passage["n"],
        title=passage["title"],
        place=markup.place(passage["url"], passage["document_id"]),
        kb=passage.get("kb") if passage.get("kb") != DEFAULT else None,
        snippet=_marked(text, marks, left, right),
        whole=_marked(text, marks, 0, len(text)) if (left, right) != (0, len(text)) else None,
        url=markup.web_address(passage["url"]),
        cited=bool(claims),
        unfolded=unfolded,
    )


def _marks(text: str, claims: list[list[str]]) -> dict[Span, list[int]]:
    """Return the sentences of the text that say the claims, each with the numbers of its claims."""
    marks: dict[Span, list[int]] = {}
    for k, claim in enumerate(claims):
        for span in {span for sentence in claim if (span := evidence(text, sentence))}:
            marks.setdefault(span, []).append(k)
    return marks


def _window(text: str, span: Span | None) -> Span:
    """Return the offsets of the part of the text to show first: the span and what is around it."""
    if len(text) <= SNIPPET:
        return 0, len(text)
    start, end = span or (0, 0)
    left = max(0, min(start - SNIPPET // 4, len(text) - SNIPPET))
    if left:
        line = text.rfind("\n", max(0, left - 120), start)
        left = line + 1 if line >= 0 else text.rfind(" ", 0, left) + 1
    right = max(left + SNIPPET, end)
    if right >= len(text):
        return left, len(text)
    whole = max(text.rfind("\n", end, right), text.rfind(". ", end, right) + 1)
    return left, whole if whole > left + SNIPPET // 2 else max(end, text.rfind(" ", left, right))


def _marked(text: str, marks: Mapping[Span, list[int]], left: int, right: int) -> Markup:
    """Return the text from left to right with its marks, and dots where something is left out."""
    parts: list[str] = ["… " if left else ""]
    position = left
    for (start, end), claims in sorted(marks.items()):
        if left <= start and end <= right:
            parts.append(_tight(text[position:start]))
            parts.append(_MARK.format(" ".join(map(str, claims)), _tight(text[start:end])))
            position = end
    parts.append(_tight(text[position:right]).rstrip())
    parts.append(" …" if right < len(text) else "")
    return Markup().join(parts)


def _tight(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", text)


def _claims(answer: str) -> dict[int, list[list[str]]]:
    """Return the sentences each mark of each number stands for, in the order of the marks.

    A mark stands for its sentence and those before it on the same line that carry no mark.
    """
    claims: dict[int, list[list[str]]] = {}
    run: list[str] = []
    statements: list[str] = []
    position = 0
    for start, end in sentences(answer):
        if "\n" in answer[position:start]:
            run = []
        position = end
        text = MARKER.sub("", answer[start:end])
        run = [*run, text] if words(text) else run
        if numbers := MARKER.findall(answer[start:end]):
            statements, run = run or statements, []  # a mark after the full stop belongs to what it follows
            for n in numbers:
                claims.setdefault(int(n), []).append(statements)
    return claims
