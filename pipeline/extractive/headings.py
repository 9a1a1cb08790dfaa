"""Reads a page by its headings: what stands under one answers what the heading asks; a pointer leads on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.context.widen import REACH
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import ROW
from pipeline.extractive.wording import flat
from pipeline.knowledge.found import RetrievedChunk
from pipeline.text.definitions import titled
from pipeline.text.questions import asks
from pipeline.text.sentences import STOP_WORDS, list_marker, stem, tokens

Numbers = NDArray[np.float64]
INHERITED = 0.9  # share of a heading's probability that the sentence under it has
CLEARLY = 1.5  # how much likelier than any sentence a heading must be to hand its probability on
AHEAD = 1.02  # factor on the likeliest sentence of a page for the beginning of one that the question names
SUREST = 0.99
EXPLAINS = 6  # sentences under an option's heading that explain it
_SEE = re.compile(r"\b(?:see|as described (?:under|in|on)|read|refer to) +(?P<title>[^.;()]+)", re.IGNORECASE)


_TERM = re.compile(r"#+[ \t]+(?:`[^\s`]+`|`?--?[A-Za-z]|`?[A-Za-z][\w-]*[._=<]\w)")
_FIELD = re.compile(r"^\W+\w+:\s")


class Opened(Protocol):
    """The sentences of the passages read in order, as evidence.Page has them, and whose each is."""

    texts: list[str]
    owner: list[int]
    passages: tuple[RetrievedChunk, ...]


def inherited(page: Opened, probabilities: Numbers) -> Numbers:
    """Return the probabilities with those of a heading handed on to the sentence under it.

    That is when nothing else answers nearly so well: "Ask last week's questions again" is not said twice.
    "Type: …" and "Default: …" may stand between.
    """
    heads = np.array([text.startswith("#") or asks(text) for text in page.texts])
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


def termed(chosen: Sequence[Sentence], everything: Sequence[Sentence]) -> list[Sentence]:
    """Return the sentences, each that explains an option or a key after the heading that names it."""
    named: dict[tuple[int, int], Sentence] = {}
    term: Sentence | None = None
    there = {(s.passage, s.position): s for s in chosen}
    for sentence in everything:
        if sentence.text.startswith("#"):
            term = sentence if _TERM.match(sentence.text) else None
        elif term and (sentence.passage, sentence.position) in there:
            near = term.passage == sentence.passage and sentence.position - term.position <= EXPLAINS
            if near and flat(term.text) not in sentence.text:
                named[term.passage, term.position] = term
    return list((there | named).values())


def introduced(page: Opened, question: str, probabilities: Numbers) -> Numbers:
    """Return the probabilities; the beginning of a page named after what is asked for is its likeliest."""
    raised = probabilities.copy()
    for number, candidate in enumerate(page.passages):
        passage = candidate.passage
        if not (_begins(passage.chunk_id, number) and titled(question, passage.title)):
            continue
        first = next((i for i, n in enumerate(page.owner) if n == number and prose(page.texts[i])), None)
        if first is not None:
            documents = [page.passages[n].passage.document_id for n in page.owner]
            best = max(p for p, d in zip(probabilities, documents, strict=True) if d == passage.document_id)
            raised[first] = min(AHEAD * best, SUREST)
    return raised


def _begins(chunk_id: str, number: int) -> bool:
    """Tell whether a passage begins its page; the first has what stands around it as well."""
    position = chunk_id.rpartition("#")[2]
    return position.isdecimal() and int(position) <= (0 if number else REACH)


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
