"""Questions to ask: examples made from the documents, and what may follow an answer; without a model."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from console.chat import markup
from console.chat.exchange import Exchange
from evalsets.cases import synthetic
from pipeline.errors import KnowledgeError
from pipeline.knowledge.index import Knowledge
from pipeline.text.languages import language
from pipeline.text.sentences import words

EXAMPLES = 4
FOLLOWING = 3
SAMPLE = 600  # characters of a text that tell its language
LONGEST = 90  # characters of a suggestion; a longer title is no question
AGAIN_SECONDS = 300.0  # after that the examples are made anew


_MARKUP = re.compile(r"[<>{}|\\]")  # a title with such signs is no words to say


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A passage as the rules read it."""

    document_id: str
    title: str
    text: str


def following(exchange: Exchange, before: Collection[str]) -> list[str]:
    """Return questions that the passages read, but not cited, have answers to; the best passage first.

    Only of passages that share a word with question or answer, and none that was asked already.
    """
    if exchange.outcome != "answered":
        return []
    cited = markup.cited(exchange.answer)
    about = set(words(f"{exchange.question} {exchange.answer}"))
    seen = {" ".join(words(text)) for text in before}
    answered = {p["title"] for p in exchange.passages if p["n"] in cited}
    chosen: list[str] = []
    for passage in exchange.passages:
        if passage["n"] in cited or passage["title"] in answered or not about & set(words(passage["title"])):
            continue
        excerpt = Excerpt(passage["document_id"], passage["title"], passage["text"] or "")
        question = next(_questions(excerpt), None)
        if question and " ".join(words(question)) not in seen:
            seen.add(" ".join(words(question)))
            chosen.append(question)
    return chosen[:FOLLOWING]


class Examples:
    """The examples an empty page shows: those of the configuration, or made from the documents."""

    def __init__(
        self,
        knowledge: Knowledge,
        kb: str,
        configured: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.texts: Sequence[str] = configured
        self._knowledge, self._kb = knowledge, kb
        self._fixed = bool(configured)
        self._clock = clock
        self._due = 0.0

    async def refresh(self) -> None:
        """Make the examples anew when that is due; without documents there are none."""
        if self._fixed or self._clock() < self._due:
            return
        try:
            rows = await synthetic.passages(self._knowledge, self._kb)
        except KnowledgeError:
            return
        self.texts = examples([Excerpt(row.document_id, row.title, row.text) for row in rows])
        self._due = self._clock() + (AGAIN_SECONDS if self.texts else 0.0)


def examples(excerpts: Sequence[Excerpt]) -> list[str]:
    """Return one question each of a few documents; the same documents give the same questions."""
    first: dict[str, Excerpt] = {}
    for excerpt in excerpts:
        first.setdefault(excerpt.document_id, excerpt)
    order = sorted(first)
    random.Random(0).shuffle(order)
    questions: list[str] = []
    for key in order:
        question = next(_questions(first[key]), None)
        if question and question not in questions:
            questions.append(question)
        if len(questions) == EXAMPLES:
            break
    return questions


def _questions(excerpt: Excerpt) -> Iterator[str]:
    """Yield the questions an excerpt answers, best first; the rules know English, else the title stands."""
    if language(f"{excerpt.title} {excerpt.text[:SAMPLE]}") not in (None, "en"):
        if len(excerpt.title.split()) > 1:
            yield excerpt.title
        return
    for question in synthetic.questions_of(excerpt):
        if len(question) <= LONGEST and not _MARKUP.search(question):
            yield question
