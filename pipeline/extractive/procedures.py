"""Finds the procedures of the passages read: runs of list items, each with the sentence that leads to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.wording import LABEL, links
from pipeline.text.sentences import list_marker

_NUMBER = re.compile(r"\(?(\d{1,3})[.)]$")
DANGLING = re.compile(
    r"(?:this|that|these|those|it|its|they|their|them|he|his|she|her|such|however|but|and|also|so|then"
    r"|therefore|thus|moreover|furthermore|in addition|instead|otherwise|additionally|as a result|for example"
    r"|similarly|in (?:this|that|these|those) cases?|(?:some|one|many|most) of (?:these|those|them)|as such"
    r"|if (?:not|so)|in (?:practice|fact))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Procedure:
    """A run of list items and the sentence that leads to it."""

    lead: Sentence | None
    items: tuple[tuple[Sentence, ...], ...]

    @property
    def probability(self) -> float:
        """How likely it answers: its lead counts as much as its best step."""
        best = max(sentence.probability for item in self.items for sentence in item)
        return max(best, self.lead.probability if self.lead else 0.0)

    @property
    def numbered(self) -> bool:
        return step_number(self.items[0][0]) is not None


def runs_of(reading: Reading) -> Iterator[Procedure]:
    """Yield each run of list items with its lead; a run cut by a chunk's end is joined again."""
    runs: list[Procedure] = []
    documents = [candidate.passage.document_id for candidate in reading.passages]
    for _, group in groupby(reading.sentences, key=lambda s: s.passage):
        for run in _runs(list(group)):
            if runs and _continues(runs[-1], run, documents):
                runs[-1] = replace(runs[-1], items=runs[-1].items + run.items)
            else:
                runs.append(run)
    yield from (run for run in runs if sum(not links(item[0].text) for item in run.items) >= 2)


def _runs(passage: list[Sentence]) -> Iterator[Procedure]:
    lead: Sentence | None = None
    items: list[list[Sentence]] = []
    aside = False
    for sentence in passage:
        aside = bool(items) and (bool(LABEL.match(sentence.text)) or (aside and sentence.same_line))
        if aside:
            continue
        if list_marker(sentence.text):
            if items and not _follows(items[-1][0], sentence):
                yield Procedure(lead, tuple(map(tuple, items)))
                lead, items = None, []
            items.append([sentence])
        elif items and sentence.same_line:
            items[-1].append(sentence)
        else:
            if items:
                yield Procedure(lead, tuple(map(tuple, items)))
                items = []
            lead = None if DANGLING.match(sentence.text) and not sentence.text.endswith(":") else sentence
    if items:
        yield Procedure(lead, tuple(map(tuple, items)))


def _follows(before: Sentence, sentence: Sentence) -> bool:
    """Tell whether a list item goes on with the list of another: 2 after 1, a bullet after a bullet."""
    last, number = step_number(before), step_number(sentence)
    return last is None and number is None if last is None or number is None else number == last + 1


def _continues(run: Procedure, other: Procedure, documents: Sequence[str]) -> bool:
    last, first = run.items[-1][0], other.items[0][0]
    same = documents[last.passage] == documents[first.passage]
    return same and other.lead is None and other.numbered and _follows(last, first)


def step_number(sentence: Sentence) -> int | None:
    match = _NUMBER.match(list_marker(sentence.text) or "")
    return int(match.group(1)) if match else None


def beginning(procedure: Procedure) -> Sentence:
    return procedure.items[0][0]
