"""Ranks the segments read by a cross-encoder beside what their words say; the best of them answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from pipeline.context.condenser import split
from pipeline.extractive.answerability import odds, strength
from pipeline.extractive.compare import aspects_of, named_in, sides_of, tells
from pipeline.extractive.composing import is_task
from pipeline.extractive.evidence import WEIGHTS, read
from pipeline.extractive.kinds import NARROW, kind
from pipeline.extractive.procedures import DANGLING, runs_of
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.segments import Segment, segments
from pipeline.extractive.wording import flat
from pipeline.extractive.writing import written
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.found import Retrieved
from pipeline.text.sentences import stem, tokens, words

BOTH = 1.0  # how much worse than the best a segment may be that has both of two things compared
NEAR = 1.0  # and one that belongs to a list of things
BESIDE = 2.0  # and one that stands beside it and is told with it
LONG = 60  # words of a segment from which on it is told alone
READ = 32  # segments that are read beside the question, the likeliest by their words
_TASK = re.compile(r"\W*To (?P<verb>[a-z]+)\b[^.]*,")  # how a sentence begins that says how something is done
_SIDES = frozenset({"before", "after"})
YES_NO = re.compile(r"(?:yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A segment, the score that orders the segments of one reading, and what the cross-encoder said."""

    segment: Segment
    score: float
    crossed: float


@dataclass(frozen=True, slots=True)
class Crossed:
    """A reading, its strength by cross-encoder and words together, and its segments, the best first."""

    reading: Reading
    ranked: tuple[Ranked, ...]

    def sides(self, question: str) -> tuple[Segment, ...]:
        """Return the segment that has both of two things compared, or the best of each; () for none."""
        two = sides_of(question)
        if two is None or not self.ranked:
            return ()
        least = self.ranked[0].score - BOTH
        aspects = aspects_of(question, two)
        stems = [(ranked, self._stems(ranked.segment)) for ranked in self.ranked]
        # what is asked about them is told of one and the other, where it is told at all
        telling = [(ranked, own) for ranked, own in stems if own & aspects]
        both = two[0] | two[1]
        for ranked, own in telling or stems:
            if ranked.score >= least and both <= own and both <= named_in(ranked.segment.text("")):
                return (ranked.segment,)
        for among in (telling, stems):
            best = [next((r.segment for r, own in among if side <= own), None) for side in two]
            if all(best):
                return tuple(dict.fromkeys(segment for segment in best if segment))
        return ()

    def near(self, sentences: Sequence[Sentence], question: str) -> list[Sentence]:
        """Return those that tell all that is asked, or whose segments are nearly as good as the best.

        None when the best segment has none of them.
        """
        if not self.ranked:
            return list(sentences)
        least = self.ranked[0].score - NEAR
        good = {id(s) for ranked in self.ranked if ranked.score >= least for s in ranked.segment.sentences}
        best = {id(s) for s in self.ranked[0].segment.sentences}
        if not any(id(s) in best for s in sentences):
            return []
        return [s for s in sentences if id(s) in good or tells(s, question)]

    def together(self, question: str, segment: Segment) -> tuple[Segment, ...]:
        """Return the segment and the better one of those beside it, in the order of the passage.

        It stays alone when it is long or a row, when its document answers questions of its own, and, but for
        the rest of its paragraph, when one fact answers.
        """
        document = self._document(segment)
        questions = any(r.segment.entry for r in self.ranked if self._document(r.segment) == document)
        if not segment.prose or questions or len(words(segment.text(""))) > LONG:
            return (segment,)
        least = next(ranked.score for ranked in self.ranked if ranked.segment is segment) - BESIDE
        good = (ranked.segment for ranked in self.ranked if ranked.score >= least)
        for beside in good:
            if beside.precedes(segment) or segment.precedes(beside):
                first, last = (beside, segment) if beside.precedes(segment) else (segment, beside)
                fits = last.sentences[0].same_line or kind(question) not in NARROW
                return (first, last) if fits and beside.prose and not beside.contrary else (segment,)
        return (segment,)

    def _document(self, segment: Segment) -> str:
        return self.reading.passages[segment.passage].passage.document_id

    def page(self, segment: Segment) -> Reading:
        """Return the reading of a segment's page without the questions that the page answers itself."""
        entries = {
            (s.passage, s.position)
            for ranked in self.ranked
            if ranked.segment.entry and ranked.segment.head
            for s in (ranked.segment.head, *ranked.segment.sentences)
        }
        page = self.reading.on(self._document(segment))
        return replace(
            page, sentences=tuple(s for s in page.sentences if (s.passage, s.position) not in entries)
        )

    def _stems(self, segment: Segment) -> set[str]:
        title = self.reading.passages[segment.passage].passage.title
        return named_in(f"{title}. {segment.text('')}")


def crossed(question: str, retrieved: Retrieved, encoder: CrossEncoder) -> Crossed:
    """Read the passages, then the likeliest segments beside the question; raises WeightsError."""
    reading = read(question, retrieved)
    likely = sorted(segments(reading), key=lambda segment: -segment.within)[:READ]
    if not likely or not reading.strength:
        return Crossed(reading, ())
    titles = [candidate.passage.title for candidate in reading.passages]
    scores = encoder.scores(reading.spelt, [segment.text(titles[segment.passage]) for segment in likely])
    task = is_task(split(question)[0])
    ranked = [
        Ranked(segment, _score(segment, height, task), height)
        for segment, height in zip(likely, scores.tolist(), strict=True)
    ]
    best = max(ranked, key=lambda r: r.crossed)
    whole = strength(reading, best.segment, best.crossed, encoder)
    ranked.sort(key=lambda r: (r.segment.contrary, -r.score))
    return Crossed(replace(reading, strength=whole), tuple(ranked))


def _score(segment: Segment, height: float, task: bool) -> float:
    """Return what orders a segment: the cross-encoder's score, its words, and steps when a task is asked."""
    weights = _weights()
    score = weights["crossed"] * height + weights["probability"] * odds(segment.probability)
    return score + weights["steps"] * stepped(segment, task=task)


def stepped(segment: Segment, *, task: bool) -> float:
    """Return 1 for steps when a task is asked, 0 otherwise."""
    return float(task and segment.steps is not None)


def pieces_of(segment: Segment, reading: Reading) -> Iterator[str]:
    """Yield a segment as an answer in pieces, its steps or list last."""
    run, sentences = segment.steps, segment.sentences
    if run is None:
        sentences = _fitting(segment, reading.spelt)
        mine = replace(reading, sentences=sentences)
        run = max(runs_of(mine), key=lambda r: len(r.items), default=None)
    inside = {id(s) for item in run.items for s in item} if run else set[int]()
    if run and run.lead:
        inside.add(id(run.lead))
    prose = [s for s in sentences if id(s) not in inside]
    if segment.entry and segment.head and prose and YES_NO.match(prose[0].text):
        yield f"**{flat(segment.head.text)}** "
    yield from written(_begun(prose), run, reading)


def _fitting(segment: Segment, question: str) -> tuple[Sentence, ...]:
    """Return a paragraph without what says the contrary or is about another code, and what leans on that.

    Nor does another task stay ("To order a menu, …") where the one asked for is told. What answers a
    question of the page stays whole.
    """
    if segment.entry:
        return segment.sentences
    acts = _acts(segment)
    stems = set(words(question))
    others = {place for place, verb in acts.items() if verb not in stems}
    others = others if len(others) < len(acts) else set[int]()
    others |= _other_side(question, segment.sentences)
    fitting: list[Sentence] = []
    left = False
    for sentence in segment.sentences:
        leans = left and DANGLING.match(sentence.text) is not None
        left = sentence.contrary or id(sentence) in others or leans
        if not left:
            fitting.append(sentence)
    return tuple(fitting) or segment.sentences


def _acts(segment: Segment) -> dict[int, str]:
    """Return what the sentences that say how something is done ("To order a menu, …") do, by their ids."""
    acts = ((s, _TASK.match(s.text)) for s in segment.sentences)
    return {id(s): stem(act["verb"].lower()) for s, act in acts if act}


def tells_how(segment: Segment, question: str) -> bool:
    """Tell whether a paragraph says by itself how the task asked for is done, or what before or after it."""
    acts = _acts(segment).values()
    return not set(words(question)).isdisjoint(acts) or bool(_other_side(question, segment.sentences))


def _other_side(question: str, sentences: Sequence[Sentence]) -> set[int]:
    """Return the ids of the sentences about after when before is asked for, or the other way, if one fits."""
    sought, *sides = (set(tokens(text)) & _SIDES for text in (question, *(s.text for s in sentences)))
    if len(sought) != 1 or sought not in sides:
        return set()
    return {id(s) for s, side in zip(sentences, sides, strict=True) if len(side) == 1 and side != sought}


def _begun(prose: Sequence[Sentence]) -> list[Sentence]:
    """Return the sentences, a "Yes." or "No." as the beginning of the next."""
    if len(prose) < 2 or len(prose[0].text.split()) > 1:
        return list(prose)
    second = replace(prose[1], text=f"{prose[0].text} {prose[1].text}")
    return [second, *prose[2:]]


@cache
def _weights() -> dict[str, float]:
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))["segment"]
