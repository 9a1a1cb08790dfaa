"""Parts the passages read into segments that answer alone: paragraphs, steps, rows, answered questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from pipeline.extractive.procedures import Procedure, runs_of
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import ROW
from pipeline.extractive.wording import empty, flat
from pipeline.text.questions import asks, under
from pipeline.text.sentences import list_marker

ENTRY = 5  # sentences of prose under a question of the page that are its answer as a whole
LONGEST = 4  # sentences of a paragraph that are read together


@dataclass(frozen=True, slots=True)
class Segment:
    """Sentences that stand together in a passage, under a heading or a question of the page."""

    passage: int
    head: Sentence | None
    sentences: tuple[Sentence, ...]
    steps: Procedure | None = None

    @property
    def probability(self) -> float:
        """How likely its best sentence, or its heading, belongs to the answer."""
        every = (*self.sentences, self.head) if self.head else self.sentences
        return max(sentence.probability for sentence in every)

    @property
    def within(self) -> float:
        """The same if its page is the one that answers."""
        every = (*self.sentences, self.head) if self.head else self.sentences
        return max(sentence.within for sentence in every)

    @property
    def entry(self) -> bool:
        """Whether it answers a question that the page asks."""
        return self.head is not None and asks(self.head.text)

    @property
    def contrary(self) -> bool:
        """Whether it says the contrary of what is asked."""
        return all(sentence.contrary for sentence in self.sentences) or bool(self.head and self.head.contrary)

    @property
    def prose(self) -> bool:
        """Whether it has neither steps nor a row of a table."""
        return self.steps is None and not any(ROW.match(sentence.text) for sentence in self.sentences)

    def precedes(self, other: Segment) -> bool:
        """Tell whether the other begins where this one ends, with no heading between them."""
        last, first = self.sentences[-1], other.sentences[0]
        return self.passage == other.passage and last.position + 1 == first.position

    def text(self, title: str) -> str:
        """Return what is read beside the question: heading, or title where none stands, and sentences."""
        head = f"{self.head.text.lstrip('# ')} " if self.head else f"{title}. "
        lead = f"{flat(self.steps.lead.text)} " if self.steps and self.steps.lead else ""
        return f"{head}{lead}{' '.join(flat(sentence.text) for sentence in self.sentences)}"


def segments(reading: Reading) -> list[Segment]:
    """Return the segments of all passages, in their order."""
    steps = {id(run.items[0][0]): run for run in runs_of(reading) if run.numbered}
    inside = {id(s) for run in steps.values() for item in run.items for s in item}
    return [
        segment
        for number, group in groupby(reading.sentences, key=lambda s: s.passage)
        for segment in _passage(number, list(group), steps, inside)
    ]


def _passage(
    number: int, sentences: Sequence[Sentence], steps: dict[int, Procedure], inside: set[int]
) -> Iterator[Segment]:
    head: Sentence | None = None
    room = 0
    together: list[Sentence] = []
    for place, sentence in enumerate(sentences):
        alone = not any(s.same_line for s in sentences[place : place + 2])
        heading = sentence.text.startswith("#") or (alone and asks(sentence.text))
        entry = head is not None and asks(head.text) and room <= ENTRY
        whole = entry or (sentence.same_line and len(together) < LONGEST and not list_marker(sentence.text))
        if together and (heading or not whole):
            yield from _segment(number, head, together, steps)
            together = []
        if heading:
            head, room = sentence, _prose(sentences, place)
        elif entry or id(sentence) not in inside or id(sentence) in steps:
            together.append(sentence)
    if together:
        yield from _segment(number, head, together, steps)


def _prose(sentences: Sequence[Sentence], head: int) -> int:
    """Return how many sentences that are no items of a list stand under a heading."""
    texts = [sentence.text for sentence in sentences]
    return sum(not list_marker(texts[place]) for place in under(texts, head))


def _segment(
    number: int, head: Sentence | None, together: Sequence[Sentence], steps: dict[int, Procedure]
) -> Iterator[Segment]:
    run = next((steps[id(s)] for s in together if id(s) in steps), None)
    if run is not None and not (head and asks(head.text)):
        yield Segment(number, head, tuple(s for item in run.items for s in item), run)
    elif not all(empty(sentence.text) for sentence in together):
        yield Segment(number, head, tuple(together))
