"""A turn under way: what is known of it so far, and the values that shape it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import notices
from pipeline.auth import DEFAULT
from pipeline.context.facts import NOTHING
from pipeline.errors import ErrorClass, KnowledgeError, ModelError, Refused
from pipeline.events import Delta, Event, Failed, Message, Question, Sources, Started
from pipeline.prompts.library import PromptVersion
from pipeline.steps.alarm import Over, Reason
from pipeline.steps.purse import Purse
from pipeline.steps.routing import NO_ROUTES, RouteModels
from pipeline.text.languages import language
from traces.recorder import Recorder
from traces.records import Outcome, Passage, Turn

log = logging.getLogger(__name__)
_REFUSALS: dict[str, ErrorClass] = {
    "budget": "budget",
    "shed": "shed",
    "busy": "shed",
    "rate_limited": "rate_limited",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The values that shape a turn, taken from the configuration once."""

    kb: str
    passages: int
    floor: float
    scope: bool
    context_tokens: int
    max_output_tokens: int
    turn_seconds: float
    model: str
    guardrails: str
    code_version: str
    routes: RouteModels = NO_ROUTES
    languages: frozenset[str] | None = None  # that the embedder serves; None when they are not few
    retrieval: Mapping[str, Any] | None = None  # all its settings, for who must know what answered
    workspace: str = DEFAULT  # of who works on the machine itself
    ungrounded: Literal["mark", "retract", "off"] = "mark"
    saving_share: float = 0.5  # of the context, when a budget nears its end


class LiveTurn:
    """A turn under way: what is known of it so far."""

    def __init__(self, question: Question, recorder: Recorder, seconds: float, purse: Purse) -> None:
        self.question = question
        self.purse = purse
        self.recorder = recorder
        self.turn_id = recorder.turn.turn_id
        self.conversation_id = recorder.turn.conversation_id
        self.text = recorder.turn.question
        self.tongue = language(self.text) or question.tongue  # the language its user reads
        self.texts: list[str] = []
        self.checks: tuple[dict[str, Any], ...] = ()  # what the passages say to each sentence
        self.started = False
        self.history: tuple[Message, ...] | None = None  # as its client tells it, past the guard
        self.passages: tuple[Passage, ...] = ()
        self.outcome: Outcome = "failed"
        self.notice: str | None = None
        self.failed: Failed | None = None
        self.first: str | None = None  # the model to ask before the others
        self.groundedness: float | None = None
        self.prompts: dict[str, PromptVersion] = {}  # the versions in force when it needed them
        self.chosen: str | None = None  # the knowledge base that its conversation was asked from
        self.own: str | None = None  # where its user's own documents lie
        self.recollection = NOTHING  # what was remembered beside the last turns
        self.full = False  # whether older turns than those recalled exist
        self._seconds = seconds

    @property
    def row(self) -> Turn:
        """What is recorded of it so far."""
        return self.recorder.turn

    @property
    def left(self) -> float:
        """Seconds until the deadline of the turn."""
        return max(self._seconds - self.recorder.elapsed, 0.0)

    @property
    def answer(self) -> str:
        return "".join(self.texts).strip()

    def most_output_tokens(self, most: int) -> int:
        """Return how many tokens the answer may have: `most`, or fewer when the client says so."""
        return min(most, self.question.max_output_tokens or most)

    def end(self, outcome: Outcome, error_class: ErrorClass | None = None) -> None:
        self.outcome = outcome
        if error_class is not None:
            self.recorder.note(error_class=error_class)

    def over(self, reason: Reason) -> None:
        """End a turn whose time is over, by the clock or because the server stops."""
        self.notice = notices.STOPPING if reason == "stopping" else notices.CUT
        self.end("cut", "shed" if reason == "stopping" else "deadline")

    def start(self) -> Started:
        """Return the event that says the turn is accepted."""
        self.started = True
        return Started(self.turn_id, self.conversation_id)

    def refuse(self, rule: str | None, message: str) -> Delta:
        """End a turn that the guard of questions refuses; return what its user reads."""
        self.recorder.note(refusal=rule)
        self.end("refused", "guard_in")
        return self.say(message)

    def unsearched(self, error: KnowledgeError) -> Delta:
        """End a turn whose documents cannot be searched; return what its user reads."""
        log.warning("turn %s: %s", self.turn_id, error)
        self.end("degraded", error.error_class)
        nothing_there = error.error_class == "store_missing" and self.question.kb is None
        return self.tell(notices.EMPTY if nothing_there else notices.NO_KNOWLEDGE)

    def aside(self, route: str, text: str) -> Iterator[Event]:
        """End a turn that needs no documents and yield what its user reads."""
        self.recorder.note(route=route)
        self.end("answered")
        yield Sources(())
        yield self.say(text)

    def failing(self, error: Exception) -> Iterator[Event]:
        """End a turn that can go no further; yield what its user still reads."""
        match error:
            case Over():
                stopping = error.reason == "stopping"
                yield from self.apologise(notices.STOPPING if stopping else notices.sorry(self.turn_id))
                self.over(error.reason)
            case Refused():
                self.end("refused", _REFUSALS.get(error.code, "guard_in"))
                sentence = notices.spoken(str(error), self.tongue)
                self.failed = Failed(error.code, sentence, self.turn_id, error.retry_after)
            case ModelError():
                log.error("turn %s: %s", self.turn_id, error)
                yield from self.unanswered(error.error_class)
            case _:
                log.error("turn %s failed", self.turn_id, exc_info=error)
                self.end("cut" if self.texts else "failed", "internal")
                self.notice = notices.CUT if self.texts else None
                yield from self.apologise(notices.sorry(self.turn_id))

    def apologise(self, text: str) -> Iterator[Event]:
        """Yield what a turn still says when it can go no further: nothing when it said something."""
        if not self.started:
            yield self.start()
        if not self.texts:
            yield self.tell(text)

    def unanswered(self, error_class: ErrorClass) -> Iterator[Event]:
        """End a turn whose model gave no answer and may not be replaced; yield what its user reads."""
        thought_alone = error_class == "truncated" and not self.texts
        self.end("cut" if self.texts or thought_alone else "failed", error_class)
        self.notice = notices.CUT if self.texts else None
        yield from self.apologise(notices.THOUGHT_ALONE if thought_alone else notices.sorry(self.turn_id))

    def tell(self, notice: str) -> Delta:
        """Say one of our own sentences, in the language of its user."""
        return self.say(notices.spoken(notice, self.tongue))

    def hear(self, history: Sequence[Message]) -> None:
        """Take the language from what was asked before, when the question itself does not show it."""
        if language(self.text) is None:
            earlier = (language(message.text) for message in reversed(history) if message.role == "user")
            self.tongue = next(filter(None, earlier), self.tongue)

    def say(self, text: str) -> Delta:
        """Add to the answer and return the delta to send."""
        if not self.texts:
            self.recorder.note(first_token_seconds=self.recorder.elapsed)
        self.texts.append(text)
        return Delta(text)
