"""The embedded answerer: picks and orders the sentences of the passages that answer a question."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial

from pipeline.citations import MARKER
from pipeline.context.condenser import split
from pipeline.extractive.compare import each_told, gathered
from pipeline.extractive.composing import TASK, compose, listed
from pipeline.extractive.crossing import Crossed, crossed, pieces_of, tells_how
from pipeline.extractive.double import halves
from pipeline.extractive.evidence import ABSTAIN_BELOW, read, texts_read
from pipeline.extractive.exact import numbered
from pipeline.extractive.headings import pointed
from pipeline.extractive.home import others
from pipeline.extractive.kinds import does, kind
from pipeline.extractive.procedures import step_number
from pipeline.extractive.reading import Reading
from pipeline.extractive.segments import Segment
from pipeline.extractive.wording import flat
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.found import Retrieved
from pipeline.knowledge.weights_file import WeightsError
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from pipeline.talk import not_found, unsure
from pipeline.text.codes import codes
from pipeline.text.sentences import STOP_WORDS, stem, tokens
from pipeline.text.tokens import estimate

log = logging.getLogger(__name__)
PROBABLE = 0.4  # of what is not said yet, for it to answer when the best was said just before
HOW_TITLE = 0.5  # share of the question's words beyond which a page with steps is about the task
SHORT = 2  # sentences of each of two pages when none is sure to be meant
AGREED = 0.8  # share of the words of the shorter of two answers, for both to say the same
REPEATED = 0.4  # share of the answer before from which on a part of it is that answer again
COMPARED = 0.2  # least strength for an answer that tells what is asked of each of several things
WAITING = 4  # answers that are chosen or wait to be, from which on another goes by words alone
CROSSED = "cross-encoder"  # how an answer was chosen, as its turn records it
BUSY = f"{WAITING} answers waited for the cross-encoder"
NEXT = 1.0  # score by which a segment may be worse than the best, when that was said just before


class Extractive:
    """A model without a network: every sentence it says stands in a passage, and is cited.

    With a cross-encoder it chooses among segments read beside the question, in a thread of its own; while
    WAITING others wait for that, or where the weights are missing, it goes by words and vectors alone.
    """

    name = "extractive"

    def __init__(self, encoder: CrossEncoder | None = None, without: str = "no cross-encoder") -> None:
        """Take the cross-encoder, or say in a few words why there is none: turns record it."""
        self._encoder = encoder
        self._without = without
        self._waiting = 0

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield the answer sentence by sentence; abstain when the evidence is weak."""
        input_tokens = estimate(prompt.question)
        input_tokens += sum(estimate(text) for text in texts_read(prompt.retrieved))
        pieces, way = await self._answer(prompt)
        if not pieces:
            silence = not_found(split(prompt.question)[0])
            yield Text(silence)
            tokens = Tokens(input_tokens, estimate(silence), estimated=True)
            yield Stop("stop", tokens, self.name, abstained=True, chosen_by=way)
            return
        spent, reason = 0, "stop"
        for piece in pieces:
            if spent + estimate(piece) > prompt.max_output_tokens and spent:
                reason = "length"
                break
            spent += estimate(piece)
            yield Text(piece)
            await asyncio.sleep(0)
        yield Stop(reason, Tokens(input_tokens, spent, estimated=True), self.name, chosen_by=way)

    async def _answer(self, prompt: Prompt) -> tuple[list[str], str]:
        """Return the answer in pieces, and which way it was chosen."""
        if self._encoder is None:
            return _pieces(prompt, _by_words), _words_alone(self._without)
        if self._waiting >= WAITING:
            return _pieces(prompt, _by_words), _words_alone(BUSY)
        self._waiting += 1
        reader = partial(crossed, encoder=self._encoder)  # another answer may find it broken meanwhile
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(_thread(), _pieces, prompt, reader), CROSSED
        except WeightsError as error:
            log.warning("answers are chosen by words alone: %s", error)
            self._encoder, self._without = None, str(error)
            return _pieces(prompt, _by_words), _words_alone(self._without)
        finally:
            self._waiting -= 1


@cache  # of the process: pairs are read one after the other
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="cross-encoder")


def _words_alone(reason: str) -> str:
    return f"words alone: {reason}"


def _by_words(question: str, retrieved: Retrieved) -> Crossed:
    return Crossed(read(question, retrieved), ())


def _pieces(prompt: Prompt, reader: Callable[[str, Retrieved], Crossed]) -> list[str]:
    """Return the answer in pieces, none when there is no evidence or only what was said just before."""
    own = split(prompt.question)[0]
    both = _two(own, prompt, reader)
    if both:
        return both
    whole = reader(prompt.question, prompt.retrieved)
    reading = whole.reading
    of_each = each_told(own, reading)
    if reading.strength < (COMPARED if of_each else ABSTAIN_BELOW) or not reading.sentences:
        return []
    sides = whole.sides(own)
    several = gathered(own, reading) if not sides else None
    if several and whole.ranked and not of_each:
        several = near if len(near := whole.near(several, own)) > 1 else None
    if several is not None:
        return listed(several, reading) if several else []
    if whole.ranked:
        return _unrepeated(prompt, own, whole, sides)
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


def _unrepeated(prompt: Prompt, own: str, whole: Crossed, sides: Sequence[Segment]) -> list[str]:
    """Return both sides of a comparison, or the best segment, if nearly so, that was not said just before."""
    if sides:
        return list(_paragraphs(sides, whole.reading))
    for ranked in whole.ranked:
        if ranked.score < whole.ranked[0].score - NEXT:
            break
        pieces = _alone(prompt.question, ranked.segment, whole)
        if not _repeats(prompt, own, "".join(pieces)):
            return pieces
    return []


def _alone(question: str, segment: Segment, whole: Crossed) -> list[str]:
    """Return a segment as the answer; to a task, of a page with steps, what it says outside its questions."""
    task = kind(question) == "how" or TASK.search(question)
    if task and not (segment.entry or segment.steps or tells_how(segment, whole.reading.spelt)):
        page = whole.page(segment)
        if any(step_number(sentence) for sentence in page.sentences):
            return compose(question, page)
    return list(_paragraphs(whole.together(question, segment), whole.reading))


def _paragraphs(segments: Sequence[Segment], reading: Reading) -> Iterator[str]:
    for number, segment in enumerate(segments):
        for place, piece in enumerate(pieces_of(segment, reading)):
            yield f"\n\n{piece}" if number and not place else piece


def _two(question: str, prompt: Prompt, reader: Callable[[str, Retrieved], Crossed]) -> list[str]:
    """Return an answer to each part of a question that asks two things, when both have their own."""
    parts = halves(question)
    if parts is None:
        return []
    vectors = dict(prompt.retrieved.halves)
    whole = prompt.retrieved.query_vector
    readings = [
        reader(part, replace(prompt.retrieved, query_vector=vectors.get(part, whole))) for part in parts
    ]
    if any(part.reading.strength < ABSTAIN_BELOW or not part.reading.sentences for part in readings):
        return []
    first, second = (_short(part, each) for part, each in zip(parts, readings, strict=True))
    if _agree(first, second):
        return []
    there = {_bare(piece) for piece in first}
    new = [piece for piece in second if _bare(piece) not in there]
    return [*first, "\n\n", new[0].lstrip(), *new[1:]]


def _short(question: str, whole: Crossed) -> list[str]:
    """Return a short answer to one of two questions."""
    if whole.ranked:
        return list(pieces_of(whole.ranked[0].segment, whole.reading))
    return compose(question, whole.reading, SHORT)


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
