"""Composes an answer of the likeliest sentences: prose of some, and the steps when it takes some."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.context.condenser import split
from pipeline.extractive.headings import termed
from pipeline.extractive.kinds import kind
from pipeline.extractive.procedures import DANGLING, Procedure, beginning, runs_of
from pipeline.extractive.reading import Reading, Sentence, choose
from pipeline.extractive.rows import ROW
from pipeline.extractive.usage import spoken, usages, with_code, wordless
from pipeline.extractive.wording import SUMMARY, cited, empty
from pipeline.extractive.writing import written
from pipeline.text.definitions import term
from pipeline.text.sentences import STOP_WORDS, stem, tokens

SENTENCES = 5  # of prose in an answer
MOST_SENTENCES = 7  # when those beyond are at least so probable; evidence F1 of the answers on
PROBABLE = 0.4  # clapnq_dev: .651, with 5 for all .638, with 8 for all .645
BESIDE = 0.5  # share of the best probability under which a sentence stays out; evidence F1 .59 for .605
ROW_BESIDE = 0.75  # the same for a row of a table
BESIDE_STEPS = 2  # sentences of prose beside a procedure
AFTER_STEPS = 1  # of them after it, and only as good as this share of the procedure
AFTER_SHARE = 0.75
STEPS_FIRST = 1.3  # how much likelier numbered steps are meant than a list, when a task is asked
MORE = 1.01  # share of the best probability that nothing reaches: steps are no reason why
LISTED = 4  # items from which on a list is shortened to those that are asked for
ALONE = 3.0  # how much likelier than all other sentences a page's purpose must be to be told
ALIKE = 0.85  # share of a sentence's words that another one has, for it to say nothing new

TASK = re.compile(
    r"\W*(?:how (?:do|can|to|should|would|could|might)|(?:what|which) (?:steps|settings?|do i)"
    r"|where (?:do|can|is)|(?:can|could|may) (?:i|we|you)|i (?:want|need|would like|'d like)|help me"
    r"|is (?:there|it possible))\b",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\W*(?:what|why|when|who|whose|which|is|are|does|do|did|was|were|can|could|may|will|would|should|must|has|have)\b",
    re.IGNORECASE,
)


def compose(question: str, reading: Reading, most: int = SENTENCES) -> list[str]:
    """Return the answer in pieces of a sentence each: prose of `most`, then the steps when it takes some."""
    runs = list(runs_of(reading))
    procedures = [run for run in runs if not any(s.contrary for item in run.items for s in item)]
    best = _best_procedure(question, reading, procedures)
    best = best and _asked_for(question, best)
    inside = {id(s) for p in runs for item in p.items for s in item}
    if best and best.lead:
        inside.add(id(best.lead))
    prose = [s for s in reading.sentences if id(s) not in inside and not empty(s.text)]
    usage = usages(reading.sentences) if best is None else {}
    summaries = set() if term(split(question)[0]) else _summaries(reading.sentences) - usage.keys()
    prose = spoken(question, _substance(prose, summaries, bare=best is None))
    room = min(most, BESIDE_STEPS) if best else most
    picked = _pick(prose, reading.sentences, room)
    purposes = [s for s in picked if id(s) in usage]
    chosen = with_code(_distinct([s for s in picked if id(s) not in usage]), purposes, usage)
    if best:
        home = beginning(best).passage
        last = beginning(best).position
        steps = [s for item in best.items for s in item]
        chosen = [s for s in chosen if s.passage == home and s.probability >= best.probability * 0.5]
        chosen = [s for s in chosen if not any(_within(s, step) for step in steps)]
        leans = {s.position - 1 for s in reading.sentences if s.passage == home and DANGLING.match(s.text)}
        least = best.probability * AFTER_SHARE
        after = [
            s
            for s in chosen
            if s.position > last and s.probability >= least and not (best.numbered and s.position in leans)
        ]
        chosen = [s for s in chosen if s.position < last] + after[:AFTER_STEPS]
    elif not chosen:
        chosen = sorted(prose or reading.sentences, key=lambda s: -s.probability)[:1]
    chosen = termed(_grounded_starts(chosen, [s for s in prose if not wordless(s)]), reading.sentences)
    return list(written(chosen, best, reading))


def listed(sentences: Sequence[Sentence], reading: Reading) -> list[str]:
    """Return the sentences about several things as the items of a list, each cited.

    One that does not name its thing ("It seats 48 people") stands under its page's title.
    """
    numbers = [candidate.passage.n or candidate.passage.rank for candidate in reading.passages]
    titles = [candidate.passage.title for candidate in reading.passages]
    texts = [
        f"- **{titles[s.passage]}**: {cited(s.text, numbers[s.passage])}"
        if DANGLING.match(s.text) and titles[s.passage]
        else f"- {cited(s.text, numbers[s.passage])}"
        for s in sentences
    ]
    return [text if place == 0 else f"\n{text}" for place, text in enumerate(texts)]


def _pick(prose: Sequence[Sentence], everything: Sequence[Sentence], room: int) -> list[Sentence]:
    """Return the sentences of the best expected F1, at most `room`, the likeliest first."""
    chosen_texts = {everything[i].text for i in choose([s.probability for s in everything])}
    likely = sorted((s for s in prose if s.text in chosen_texts), key=lambda s: -s.probability)
    likely = [s for s in likely if s.probability >= _beside(s) * likely[0].probability]
    more = [s for s in likely[room:MOST_SENTENCES] if s.probability >= PROBABLE] if room == SENTENCES else []
    return likely[:room] + more


def _beside(sentence: Sentence) -> float:
    """Return the share of the best probability a sentence must have: a row says less to another question."""
    return ROW_BESIDE if ROW.match(sentence.text) else BESIDE


def _best_procedure(question: str, reading: Reading, procedures: list[Procedure]) -> Procedure | None:
    """Return the procedure to give whole: the likeliest, when a task is asked or it outranks prose."""
    if not procedures:
        return None
    task = is_task(question)
    best = max(procedures, key=lambda p: (_weight(p, task), -beginning(p).passage))
    top = max(s.probability for s in reading.sentences)
    needed = 0.5 if task else 0.85
    if best.numbered and kind(question) == "why":
        needed = MORE
    return best if best.probability >= needed * top else None


def _asked_for(question: str, procedure: Procedure) -> Procedure:
    """Leave out the items of a list that have none of the words by which its items answer the question.

    Steps stay whole, and so does a list of which no item, or each, is asked for.
    """
    if procedure.numbered or len(procedure.items) < LISTED:
        return procedure
    sought = {stem(token) for token in tokens(split(question)[0]) if token not in STOP_WORDS}
    if procedure.lead:
        sought -= procedure.lead.stems
    counts = [len(sought & frozenset().union(*(s.stems for s in item))) for item in procedure.items]
    fitting = [item for item, count in zip(procedure.items, counts, strict=True) if 2 * count > max(counts)]
    return replace(procedure, items=tuple(fitting)) if max(counts) else procedure


def _weight(procedure: Procedure, task: bool) -> float:
    """Return how much a procedure deserves to be given: for a task, steps before mere lists."""
    return procedure.probability * (STEPS_FIRST if task and procedure.numbered else 1.0)


def is_task(question: str) -> bool:
    """Tell whether a question asks how something is done or is an order ("switch to my headset")."""
    return TASK.search(question) is not None or _ASKING.match(question) is None


def _summaries(sentences: Sequence[Sentence]) -> set[int]:
    """Return the ids of the lines that say what a page is for ("Change how long to wait.")."""
    pairs = zip(sentences, [*sentences[1:], None], strict=True)
    return {
        id(s)
        for s, after in pairs
        if s.position == 0 and (after is None or not after.same_line) and SUMMARY.match(s.text)
    }


def _substance(prose: Sequence[Sentence], summaries: set[int], *, bare: bool) -> list[Sentence]:
    """Leave out what a page is for, unless no steps follow (`bare`) and it alone is likely to answer."""
    others = [s for s in prose if id(s) not in summaries]
    if others and not bare:
        return others
    likely = max((s.probability for s in others), default=0.0)
    return others + [s for s in prose if id(s) in summaries and s.probability > ALONE * likely]


def _distinct(sentences: Sequence[Sentence]) -> list[Sentence]:
    """Leave out what an earlier sentence says already."""
    distinct: list[Sentence] = []
    for sentence in sorted(sentences, key=lambda s: -len(s.stems)):
        if not any(_within(sentence, other) for other in distinct):
            distinct.append(sentence)
    return distinct


def _within(sentence: Sentence, other: Sentence) -> bool:
    """Tell whether the other sentence says what this one says, and perhaps more."""
    return sentence.text == other.text or len(sentence.stems & other.stems) >= ALIKE * max(
        len(sentence.stems), 1
    )


def _grounded_starts(chosen: list[Sentence], prose: Sequence[Sentence]) -> list[Sentence]:
    """Put the sentence before one that leans on it ("This …", "However …"), where there is one."""
    place = {(s.passage, s.position): s for s in prose}
    places = {(s.passage, s.position): s for s in chosen}
    for key, sentence in sorted(places.items()):
        before = (key[0], key[1] - 1)
        if not DANGLING.match(sentence.text) or before in places:
            continue
        if before in place and len(places) < SENTENCES:
            places[before] = place[before]
        elif len(places) > 1:
            del places[key]
    return list(places.values())
