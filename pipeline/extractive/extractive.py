"""The embedded answerer: picks and orders the sentences of the passages that answer a question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from textwrap import indent

from pipeline.citations import MARKER
from pipeline.context.condenser import split
from pipeline.extractive.compare import both_told, gathered
from pipeline.extractive.double import halves
from pipeline.extractive.evidence import ABSTAIN_BELOW, choose, read
from pipeline.extractive.exact import numbered
from pipeline.extractive.headings import pointed, termed
from pipeline.extractive.home import others
from pipeline.extractive.kinds import does, kind
from pipeline.extractive.procedures import DANGLING, Procedure, beginning, runs_of, step_number
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import ROW
from pipeline.extractive.usage import spoken, usages, with_code, wordless
from pipeline.extractive.wording import POINTER, SUMMARY, cited, empty, flat, lead, named
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.talk import not_found, unsure
from pipeline.text.code_blocks import parted
from pipeline.text.codes import codes
from pipeline.text.definitions import term
from pipeline.text.sentences import STOP_WORDS, stem, tokens
from pipeline.text.tokens import estimate

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
STEPS = 12
HOW_TITLE = 0.5  # share of the question's words beyond which a page with steps is about the task
LISTED = 4  # items from which on a list is shortened to those that are asked for
SHORT = 2  # sentences of each of two pages when none is sure to be meant
AGREED = 0.8  # share of the words of the shorter of two answers, for both to say the same
ALONE = 3.0  # how much likelier than all other sentences a page's purpose must be to be told
REPEATED = 0.4  # share of the answer before from which on a part of it is that answer again
COMPARED = 0.2  # least strength for an answer that has both of two things compared
ALIKE = 0.85  # share of a sentence's words that another one has, for it to say nothing new

_TASK = re.compile(
    r"\W*(?:how (?:do|can|to|should|would|could|might)|(?:what|which) (?:steps|settings?|do i)"
    r"|where (?:do|can|is)|(?:can|could|may) (?:i|we|you)|i (?:want|need|would like|'d like)|help me"
    r"|is (?:there|it possible))\b",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\W*(?:what|why|when|who|whose|which|is|are|does|do|did|was|were)\b", re.IGNORECASE)


class Extractive:
    """A model without a network: every sentence it says stands in a passage, and is cited."""

    name = "extractive"

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield the answer sentence by sentence; abstain when the evidence is weak."""
        reading = read(prompt.question, prompt.retrieved)
        input_tokens = estimate(prompt.question)
        input_tokens += sum(estimate(candidate.passage.text or "") for candidate in reading.passages)
        pieces = _pieces(prompt, reading)
        if not pieces:
            silence = not_found(split(prompt.question)[0])
            yield Text(silence)
            tokens = Tokens(input_tokens, estimate(silence), estimated=True)
            yield Stop("stop", tokens, self.name, abstained=True)
            return
        spent, reason = 0, "stop"
        for piece in pieces:
            if spent + estimate(piece) > prompt.max_output_tokens and spent:
                reason = "length"
                break
            spent += estimate(piece)
            yield Text(piece)
            await asyncio.sleep(0)
        yield Stop(reason, Tokens(input_tokens, spent, estimated=True), self.name)


def _pieces(prompt: Prompt, reading: Reading) -> list[str]:
    """Return the answer in pieces, none when there is no evidence or only what was said just before."""
    own = split(prompt.question)[0]
    both = _two(own, prompt)
    if both:
        return both
    weak = reading.strength < ABSTAIN_BELOW and not (reading.strength >= COMPARED and both_told(own, reading))
    if weak or not reading.sentences:
        return []
    several = gathered(own, reading)
    if several is not None:
        return listed(several, reading) if several else []
    leads = pointed(reading)
    if leads is not None:
        reading = reading.on(leads)
    pieces = _doubtful(prompt.question, reading) or compose(prompt.question, _how(own, reading))
    if not _repeats(prompt, own, "".join(pieces)):
        return pieces
    answer = _bare(prompt.messages[-2].text)
    fresh = tuple(s for s in reading.sentences if _bare(flat(s.text)) not in answer)
    if max((s.probability for s in fresh), default=0.0) < PROBABLE:
        return []
    return compose(prompt.question, replace(reading, sentences=fresh))


def _two(question: str, prompt: Prompt) -> list[str]:
    """Return an answer to each part of a question that asks two things, when both have their own."""
    parts = halves(question)
    if parts is None:
        return []
    vectors = dict(prompt.retrieved.halves)
    whole = prompt.retrieved.query_vector
    readings = [
        read(part, replace(prompt.retrieved, query_vector=vectors.get(part, whole))) for part in parts
    ]
    if any(part.strength < ABSTAIN_BELOW or not part.sentences for part in readings):
        return []
    first, second = (compose(part, each, SHORT) for part, each in zip(parts, readings, strict=True))
    if _agree(first, second):
        return []
    there = {_bare(piece) for piece in first}
    new = [piece for piece in second if _bare(piece) not in there]
    return [*first, "\n\n", new[0].lstrip(), *new[1:]]


def _doubtful(question: str, reading: Reading) -> list[str]:
    """Return what each of the two likeliest pages says, under its title, when neither is sure to be meant."""
    own, pages = split(question)[0], reading.rivals()
    if not pages or codes(own) or numbered(own):
        return []
    parts = [reading.on(document) for document in pages]
    answers = [compose(question, part, SHORT) for part in parts]
    if _agree(*answers):
        return []
    pieces = [unsure(own)]
    for part, answer in zip(parts, answers, strict=True):
        title = part.passages[part.sentences[0].passage].passage.title
        head = f"**{title}**"
        gap = f"\n\n{head}\n\n" if title and answer[0] != head else "\n\n"
        pieces += [gap, *answer]
    return pieces


def _agree(answer: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether one of two answers says most of what the other says."""
    mine, theirs = (set(tokens(MARKER.sub(" ", "".join(pieces)))) - STOP_WORDS for pieces in (answer, other))
    return len(mine & theirs) >= AGREED * min(len(mine), len(theirs))


def _how(question: str, reading: Reading) -> Reading:
    """Return the page that says how, when a task is asked and the likeliest sentence says nothing to do.

    It is the first of those read whose title has most of the question's words and which has steps.
    """
    best = max(reading.sentences, key=lambda s: s.probability)
    if kind(question) != "how" or does(best.text):
        return reading
    sought = {stem(token) for token in tokens(question) if token not in STOP_WORDS}
    another = others(question, [candidate.passage.title for candidate in reading.passages])
    for number, candidate in enumerate(reading.passages):
        if another[number]:
            continue
        title = {stem(token) for token in tokens(candidate.passage.title)}
        mine = tuple(s for s in reading.sentences if s.passage == number)
        if len(sought & title) > HOW_TITLE * len(sought) and sum(bool(step_number(s)) for s in mine) > 1:
            return replace(reading, sentences=mine)
    return reading


def _repeats(prompt: Prompt, own: str, answer: str) -> bool:
    """Tell whether the answer has the one given just before, or is most of it, to another question."""
    before = prompt.messages[-3:-1]
    if len(before) < 2 or before[1].role != "assistant" or before[0].role != "user":
        return False
    earlier, now = _bare(before[1].text), _bare(answer)
    most = now in earlier and len(now) >= REPEATED * len(earlier)
    return (earlier in now or most) and _bare(before[0].text) != _bare(own)


def _bare(text: str) -> str:
    """Return the words of a text alone, without citations."""
    return " ".join(tokens(MARKER.sub(" ", text)))


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
    return list(_written(chosen, best, reading))


def listed(sentences: Sequence[Sentence], reading: Reading) -> list[str]:
    """Return the sentences about several things as the items of a list, each cited."""
    numbers = [candidate.passage.n or candidate.passage.rank for candidate in reading.passages]
    texts = [f"- {cited(sentence.text, numbers[sentence.passage])}" for sentence in sentences]
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
    task = bool(_TASK.search(question)) or not _asks(question)
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


def _asks(question: str) -> bool:
    """Tell a question from an order ("switch the audio to my headset")."""
    return _ASKING.match(question) is not None


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


def _written(chosen: Sequence[Sentence], procedure: Procedure | None, reading: Reading) -> Iterator[str]:
    """Yield the pieces: passages by their best sentence, sentences in the order of the document."""
    numbers = [entry.passage.n or entry.passage.rank for entry in reading.passages]
    weight: dict[int, float] = {}
    for sentence in chosen:
        weight[sentence.passage] = max(weight.get(sentence.passage, 0.0), sentence.probability)
    ordered = sorted(chosen, key=lambda s: (-weight[s.passage], s.passage, s.position))
    before = [s for s in ordered if not procedure or s.position < beginning(procedure).position]
    after = [s for s in ordered if procedure and s.position > beginning(procedure).position]
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
        if procedure.lead:
            yield gap + lead(procedure.lead.text, numbers[procedure.lead.passage])
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


def _marked(procedure: Procedure) -> Iterator[tuple[str, tuple[Sentence, ...]]]:
    start = step_number(procedure.items[0][0])
    for index, item in enumerate(procedure.items[:STEPS]):
        yield ("-" if start is None else f"{start + index}."), item
