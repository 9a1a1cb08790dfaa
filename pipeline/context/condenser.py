"""Makes a follow-up question stand alone before it is searched for: by rules, or by the model.

By rules, what it leaves out is taken from the turns before. A follow-up that stands alone is written
"question  (topic words)", with two spaces, since what a person puts into brackets is a part of the
question: the retriever searches with and without the words in brackets and evidence weighs them less,
since the new question has to lead.
Retrieval with rerank, raw / topic glued to the query as before / as now: mtrag_cloud recall@5 .411 /
.413 / .425, hit@1 .298 / .293 / .309; the demo's 20 turns hit@1 .450 / .400 / .700; 41 more turns over
the same pages .610 / .585 / .732. Tried and worse: counting short questions as follow-ups, whole
questions as topics, adding the topic to every question, full-text search without the topic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing

from pipeline.context.undoing import undone
from pipeline.errors import ModelError
from pipeline.events import Message
from pipeline.knowledge.found import Retrieved
from pipeline.models.gateway import Gateway
from pipeline.models.model import Prompt, Stop, Text
from pipeline.prompts.library import PromptVersion
from pipeline.text.sentences import STOP_WORDS, rarity, sentences, stem, tokens
from traces.recorder import Recorder

LONGEST = 400  # characters of a question rewritten by a model; more is not a question
TOPIC_WORDS = 3  # taken over from the last question that stood by itself
LAST_WORDS = 2  # and from the last question, when that was a follow-up too
LOOK_BACK = 3  # user turns searched for a topic
COMMON = 0.6  # rarity under which a word names no topic ("left", "number")

_OPENING = re.compile(r"\W*(?:and|but|then|or|what about|how about)\b", re.IGNORECASE)
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|these|those|there|the same|the (?:first|second"
    r"|third|last|other|former|latter)|the ones?|which one|another one|one of|this|that(?= |\W*$))\b",
    re.IGNORECASE,
)
_EMPTY_IT = re.compile(
    r"\b(?:is it (?:possible|ok|okay|safe|necessary|normal|true|worth|better|a good idea|bad)"
    r"|does it (?:matter|take)|it is possible|it(?:'s| is) (?:not )?possible|make it possible"
    r"|is there|are there|there (?:is|are)|was there|were there"
    r"|(?:that|which|who) (?:is|are|was|has|have|can|will|does|do|i|we|you|the|my|a|an)"
    r"|(?:so|such|than|all|everything|anything|something|one|those) that"
    r"|this (?:computer|machine|laptop|pc|product|application|program|week|month|year))\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"\W*(?:user|assistant|question|answer)\s*:", re.IGNORECASE)
_ASKS = ("?", "？", "؟")
_TOPIC = re.compile(r"(?P<question>.*\S)  \((?P<topic>[^()]+)\)\s*", re.DOTALL)
_BACK_TO = re.compile(
    r"\b(?:do|did|does|about|with|like|of|for|to|after|before|mean|by) th(?:at|is)\b", re.IGNORECASE
)


class Condenser:
    """Rewrites by rules, or by the model when one is given."""

    def __init__(self, gateway: Gateway | None, seconds: float = 6.0) -> None:
        self._gateway = gateway
        self._seconds = seconds

    async def condense(
        self,
        question: str,
        history: Sequence[Message],
        version: PromptVersion,
        recorder: Recorder,
        *,
        model: str | None = None,
    ) -> str:
        """Return the question as it stands alone; unchanged when it needs no history."""
        if not history or not needs_history(question, tuple(history)):
            return question
        with recorder.span("condense", "memory", prompt=version.label) as span:
            by_rules = rewrite(question, tuple(history))
            if self._gateway is None or model == "extractive":
                span.note(by="rules", query=by_rules)
                return by_rules
            try:
                query = await self._ask(question, history, version, recorder, model)
            except ModelError as error:
                span.note(by="rules", error_class=error.error_class, query=by_rules)
                return by_rules
            if not rewrites(query, question):
                span.note(by="rules", query=by_rules, not_taken=query[:LONGEST])
                return by_rules
            query = beside(query, by_rules)
            span.note(by="model", query=query)
            return query

    async def _ask(
        self,
        question: str,
        history: Sequence[Message],
        version: PromptVersion,
        recorder: Recorder,
        model: str | None,
    ) -> str:
        assert self._gateway is not None
        conversation = "\n".join(f"{message.role}: {message.text}" for message in history)
        system, user = version.fill(conversation=conversation, question=question)
        nothing = Retrieved(question, None, (), "", None, None)
        prompt = Prompt(system, (Message("user", user),), question, nothing, max_output_tokens=200)
        pieces: list[str] = []
        stream = self._gateway.stream(prompt, recorder, self._seconds, purpose="condense", model=model)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Text):
                    pieces.append(event.text)
                elif isinstance(event, Stop) and (event.degraded or event.cut):
                    raise ModelError(event.degraded or event.cut or "cut", "the model could not rewrite")
        return " ".join("".join(pieces).split())


def needs_history(question: str, history: Sequence[Message]) -> bool:
    """Tell whether the question leans on the conversation: a pronoun, an opening "and", no topic."""
    if not any(message.role == "user" for message in history):
        return False
    if _OPENING.match(question) or _BACK_TO.search(question):
        return True
    vague = max(map(rarity, _content(question)), default=0.0) < COMMON
    return vague or bool(_PRONOUN.search(_EMPTY_IT.sub(" ", question)))


def rewrite(question: str, history: Sequence[Message]) -> str:
    """Return the question with the words of the last topic in brackets, or as it is when there is none.

    The topic is the last user question that stood by itself, and the last one; only their rarest
    words are taken, since whole old turns pull the search back to what is answered already. What asks
    how to undo it becomes the question before with the contrary act.
    """
    stems = {stem(word) for word in tokens(question)}
    questions = [message.text for message in history if message.role == "user"][-LOOK_BACK:]
    contrary = undone(question, questions[-1]) if questions else None
    if contrary is not None:
        return contrary
    new = [[word for word in _content(text) if stem(word) not in stems] for text in questions]
    topic = list(dict.fromkeys(_topic(questions, new) + _rarest(new[-1] if new else [], LAST_WORDS)))
    return f"{question.strip()}  ({' '.join(topic)})" if topic else question


def rewrites(text: str, question: str) -> bool:
    """Tell whether a model wrote the question anew, and not an answer to it or a talk about it.

    Of 60 rewrites by people all pass; of 15 by a model of 135 million parameters 3 do.
    """
    if not text or len(text) > min(LONGEST, 3 * len(question) + 120) or _SPEAKER.match(text):
        return False
    asks = text.rstrip().endswith(_ASKS) or not question.rstrip().endswith(_ASKS)
    return asks and len(sentences(text)) <= max(len(sentences(question)), 1)


def beside(rewritten: str, by_rules: str) -> str:
    """Return a model's question with the topic words of `rewrite` that it lacks.

    The model's words lead, and what it left out is searched for still: its question alone loses to the
    rules on one of two sets. Figures: `python -m evalsets.condensing_table`, in the README of `pipeline`.
    """
    stems = {stem(word) for word in tokens(rewritten)}
    topic = [word for word in split(by_rules)[1].split() if stem(word) not in stems]
    return f"{rewritten}  ({' '.join(topic)})" if topic else rewritten


def split(standalone: str) -> tuple[str, str]:
    """Return the question and the topic words that `rewrite` added to it, "" when there are none."""
    match = _TOPIC.fullmatch(standalone)
    return (match["question"], match["topic"]) if match else (standalone, "")


def _topic(questions: Sequence[str], new: Sequence[list[str]]) -> list[str]:
    for position in range(len(questions) - 1, -1, -1):
        before = [Message("user", text) for text in questions[:position]]
        if new[position] and (not position or not needs_history(questions[position], before)):
            return _rarest(new[position], TOPIC_WORDS)
    return _rarest([word for words in new for word in words], TOPIC_WORDS)


def _rarest(words: Sequence[str], count: int) -> list[str]:
    """Return up to `count` of the words, the rarest ones, in their order."""
    distinct = list(dict.fromkeys(words))
    rarest = sorted(distinct, key=rarity, reverse=True)[:count]
    return [word for word in distinct if word in rarest]


def _content(text: str) -> list[str]:
    return [word for word in tokens(text) if word not in STOP_WORDS]
