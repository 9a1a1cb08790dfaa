"""Knows when a question asks what a thing is, and which sentence says it: "A gate decides whether …"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from pipeline.text.sentences import STOP_WORDS, stem, tokens

LONGEST = 3  # words of a term; more is a question about it
_ASKS = re.compile(
    r"^\W*(?:(?:and|so|ok|hi|hello)\W+)?(?:what(?:['’]s| is| are| exactly is)|what does|define|explain)"
    r" (?:meant by )?(?:(?:a|an|the|this|that|these) )?(?P<term>[^,;:?!.]+?)"
    r"(?: mean| do| good for| for| here| exactly)*\W*$",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"^\W*(?:(?:a|an|the|every|each) )?(?P<subject>(?:\S+ ){1,4}?)"
    r"(?:(?:is|are)(?! \w+ed\b)|means?|[a-z]{3,}s)\b",
    re.IGNORECASE,
)
_SITE = re.compile(r" [-–—|·:»] ")  # "Kites - The Loft"
_BOLD = re.compile(r"\*\*(?P<term>[^*\n]{2,40})\*\*")


@lru_cache(maxsize=256)  # a turn asks it of its question for each candidate
def term(question: str) -> frozenset[str]:
    """Return the stems of the thing of which it is asked what it is, none when something else is asked."""
    match = _ASKS.match(question)
    stems = _content(match["term"]) if match else frozenset[str]()
    return stems if len(stems) <= LONGEST else frozenset()


def defining(question: str, texts: Sequence[str]) -> list[bool]:
    """Tell of each sentence whether it is about the thing asked for and says what it is or does."""
    thing = term(question)
    return [bool(thing) and (_subject(text) == thing or thing in _set_off(text)) for text in texts]


def titled(question: str, title: str) -> bool:
    """Tell whether the thing of which it is asked what it is, is what a title names, a site's name aside."""
    thing = term(question)
    return bool(thing) and thing in (_content(title), _content(_SITE.split(title)[0]))


def _subject(text: str) -> frozenset[str]:
    match = _SAYS.match(text)
    return _content(match["subject"]) if match else frozenset()


def _set_off(text: str) -> list[frozenset[str]]:
    """Return the terms that a sentence sets in bold type, as one does where a term is explained."""
    return [_content(match["term"]) for match in _BOLD.finditer(text)] if not text.startswith("#") else []


def _content(text: str) -> frozenset[str]:
    return frozenset(stem(token) for token in tokens(text) if token not in STOP_WORDS)
