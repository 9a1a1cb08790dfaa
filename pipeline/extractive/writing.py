"""Writes an answer out of the sentences chosen: in the documents' order, cited, steps as a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import indent

from pipeline.extractive.procedures import Procedure, beginning, step_number
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.wording import CAUTION, POINTER, cited, flat, lead, named
from pipeline.text.code_blocks import parted

STEPS = 12


def written(chosen: Sequence[Sentence], procedure: Procedure | None, reading: Reading) -> Iterator[str]:
    """Yield the pieces: passages by their best sentence, sentences in the order of the document.

    Steps come before the cautions that stand before them on the page.
    """
    numbers = [entry.passage.n or entry.passage.rank for entry in reading.passages]
    weight: dict[int, float] = {}
    for sentence in chosen:
        weight[sentence.passage] = max(weight.get(sentence.passage, 0.0), sentence.probability)
    ordered = sorted(chosen, key=lambda s: (-weight[s.passage], s.passage, s.position))
    before = [s for s in ordered if not procedure or s.position < beginning(procedure).position]
    after = [s for s in ordered if procedure and s.position > beginning(procedure).position]
    leading = procedure.lead if procedure else None
    if procedure and procedure.numbered:
        places = _cautions(reading)
        cautions = [s for s in (*before, leading) if s and (s.passage, s.position) in places]
        before, after = [s for s in before if s not in cautions], cautions + after
        leading = None if leading in cautions else leading
    gap = ""
    for passage, group in groupby(before, key=lambda s: s.passage):
        for sentence in group:
            titled = sentence.text.startswith("#") and len(chosen) > 1
            apart = "\n\n" if titled or parted(sentence.text)[1] else " "
            words = named(sentence.text) if titled else cited(sentence.text, numbers[passage])
            yield max(gap, apart if gap else "", key=len) + words
            gap = apart
        gap = "\n\n"
    if procedure:
        if leading:
            yield gap + lead(leading.text, numbers[leading.passage])
            gap = "\n\n"
        for mark, item in _marked(procedure):
            texts = [s.text for s in item if s is item[0] or not POINTER.match(s.text)]
            text = cited(" ".join(map(flat, texts)), numbers[item[0].passage])
            yield f"{gap}{mark} {indent(text, ' ' * (len(mark) + 1)).lstrip()}"
            gap = "\n"
        gap = "\n\n"
    for sentence in after:
        yield gap + cited(sentence.text, numbers[sentence.passage])
        gap = " "


def _cautions(reading: Reading) -> set[tuple[int, int]]:
    """Return the places of the sentences that warn, and of those after them in their paragraph."""
    places: set[tuple[int, int]] = set()
    warned = False
    for sentence in reading.sentences:
        warned = CAUTION.match(sentence.text) is not None or (warned and sentence.same_line)
        if warned and not sentence.text.rstrip().endswith(":"):
            places.add((sentence.passage, sentence.position))
    return places


def _marked(procedure: Procedure) -> Iterator[tuple[str, tuple[Sentence, ...]]]:
    start = step_number(procedure.items[0][0])
    for index, item in enumerate(procedure.items[:STEPS]):
        yield ("-" if start is None else f"{start + index}."), item
