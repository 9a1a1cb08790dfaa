"""Code in an answer: what a page is for goes with the code that does it; other code needs its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from pipeline.extractive.kinds import kind
from pipeline.extractive.reading import Sentence
from pipeline.extractive.wording import empty, heading
from pipeline.text.code_blocks import parted

LINES = 25  # of code that is quoted


def usages(sentences: Sequence[Sentence]) -> dict[int, Sentence]:
    """Return the code under the first sentence of a page, headings alone between, by the sentence's id."""
    usage: dict[int, Sentence] = {}
    for _, group in groupby(sentences, key=lambda s: s.passage):
        purpose, *others = group
        code = next((s for s in others if not heading(s.text)), None)
        if purpose.position == 0 and not empty(purpose.text) and code and wordless(code):
            usage[id(purpose)] = code
    return usage


def with_code(
    chosen: Sequence[Sentence], purposes: Sequence[Sentence], usage: Mapping[int, Sentence]
) -> list[Sentence]:
    """Return what was chosen with the purposes and their code, without code that none of it leads to."""
    led = [usage[id(purpose)] for purpose in purposes]
    there = {(s.passage, s.position) for s in (*chosen, *purposes)}
    shown = [s for s in chosen if not wordless(s) or (s.passage, s.position - 1) in there]
    return [*shown, *purposes, *(s for s in led if s not in shown)]


def spoken(question: str, prose: Sequence[Sentence]) -> list[Sentence]:
    """Return the prose without code, when no way is asked for and words are likelier; long code stays out."""
    short = [s for s in prose if parted(s.text)[1].count("\n") <= LINES]
    if kind(question) == "how" or not short:
        return short or list(prose)
    words = [s for s in short if not parted(s.text)[1]]
    likeliest = max(s.probability for s in short)
    return words if any(s.probability == likeliest for s in words) else short


def wordless(sentence: Sentence) -> bool:
    """Tell code that no words lead to."""
    words, code = parted(sentence.text)
    return bool(code) and not words.strip()
