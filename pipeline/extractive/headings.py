"""Reads a page by its headings: what stands under one answers what the heading asks; a pointer leads on."""

from __future__ import annotations

import re
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import ROW
from pipeline.text.sentences import STOP_WORDS, list_marker, stem, tokens

Numbers = NDArray[np.float64]
INHERITED = 0.9  # share of a heading's probability that the sentence under it has
CLEARLY = 1.5  # how much likelier than any sentence a heading must be to hand its probability on
_SEE = re.compile(r"\b(?:see|as described (?:under|in|on)|read|refer to) +(?P<title>[^.;()]+)", re.IGNORECASE)


_FIELD = re.compile(r"^\W+\w+:\s")


class Opened(Protocol):
    """The sentences of the passages read in order, as evidence.Page has them, and whose each is."""

    texts: list[str]
    owner: list[int]


def inherited(page: Opened, probabilities: Numbers) -> Numbers:
    """Return the probabilities with those of a heading handed on to the sentence under it.

    That is when nothing else answers nearly so well: "Ask last week's questions again" is not said twice.
    "Type: …" and "Default: …" may stand between.
    """
    heads = np.array([text.startswith("#") for text in page.texts])
    place = int((probabilities * heads).argmax())
    under = place + 1
    while under < len(page.texts) and list_marker(page.texts[under]) and _FIELD.search(page.texts[under]):
        under += 1
    if CLEARLY * (probabilities * ~heads).max() > probabilities[place] or under == len(page.texts):
        return probabilities
    if page.owner[under] != page.owner[place] or not prose(page.texts[under]):
        return probabilities
    raised = probabilities.copy()
    raised[under] = max(raised[under], INHERITED * raised[place])
    return raised


def prose(text: str) -> bool:
    """Tell a sentence from a heading, a list's item and the row of a table."""
    return not text.startswith(("#", "|")) and not list_marker(text) and not ROW.match(text)


def pointed(reading: Reading) -> str | None:
    """Return the document that the likeliest sentence refers to by its title, when it was read too."""
    best = max(reading.sentences, key=_likely)
    match = _SEE.search(best.text)
    if match is None:
        return None
    words = {stem(token) for token in tokens(match["title"])}
    own = reading.passages[best.passage].passage.document_id
    for candidate in reading.passages:
        title = {stem(token) for token in tokens(candidate.passage.title)}
        named = len(title - STOP_WORDS) > 1 and title <= words
        if named and candidate.passage.document_id != own:
            return candidate.passage.document_id
    return None


def _likely(sentence: Sentence) -> float:
    return sentence.probability
