"""Lets a model answer: which one, what may be shown of it, and how the turn ends by it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from pipeline import notices
from pipeline.citations import cited_numbers
from pipeline.errors import ModelError
from pipeline.events import Event, Retract
from pipeline.guardrails.grounding import ground
from pipeline.guardrails.marking import Marking, answer_checks, plain
from pipeline.guardrails.outbound import Outbound, OutboundStream
from pipeline.models.broken import finished, whole
from pipeline.models.gateway import Gateway
from pipeline.models.merged import merged
from pipeline.models.model import AnswerEvent, Broken, Prompt, Stop, Text
from pipeline.steps.live_turn import LiveTurn, Rules
from pipeline.steps.routing import complexity
from pipeline.talk import abstains


class Answering:
    """The last part of a turn: route, stream past the outbound guard, ground, conclude."""

    def __init__(self, rules: Rules, gateway: Gateway, outbound: Outbound) -> None:
        self._rules = rules
        self._gateway = gateway
        self._outbound = outbound

    def route(self, turn: LiveTurn, *, needed_history: bool) -> None:
        """Choose the model to ask first."""
        routes = self._rules.routes
        if turn.purse.saving == "stop" or turn.question.model is not None:
            return
        if turn.purse.saving == "degrade" and routes.cheap is not None:
            route, reasons = "cheap", ("budget",)
        elif routes.on:
            kind = complexity(turn.text, turn.passages, needed_history=needed_history)
            route, reasons = ("strong" if kind.complex else "cheap"), kind.reasons
        else:
            return
        turn.first = routes.cheap if route == "cheap" else routes.strong
        turn.recorder.note(route=route, model_wanted=turn.first)
        with turn.recorder.span("route", "model", route=route, reasons=list(reasons)):
            pass

    async def answer(self, turn: LiveTurn, prompt: Prompt) -> AsyncGenerator[Event]:
        """Answer within the budget; let the strong model answer when the cheap one's is not grounded.

        The cheap answer streams and is taken back when it fails, so that the many good ones are not
        slowed down. The OpenAI protocol cannot take words back: there it is held until it is checked.
        """
        if not turn.purse.hold(turn.turn_id, prompt, turn.first) and not self._cheaper(turn, prompt):
            turn.purse.stop()
        held: list[Event] = []
        may = self._may_escalate(turn)
        async with aclosing(self.respond(turn, prompt)) as events:
            async for event in events:
                if may and turn.question.door == "openai":
                    held.append(event)
                else:
                    yield event
        if not may or not self._escalates(turn, prompt):
            for event in held:
                yield event
            return
        if not held:
            yield Retract("", "ungrounded")
        turn.texts = []
        async with aclosing(self.respond(turn, prompt)) as events:
            async for event in events:
                yield event

    def _cheaper(self, turn: LiveTurn, prompt: Prompt) -> bool:
        """Say whether the cheap model still fits the budget, and take it if it does."""
        if self._rules.routes.cheap is None or not turn.purse.degrade():
            return False
        self.route(turn, needed_history=False)
        return turn.purse.hold(turn.turn_id, prompt, turn.first)

    def _may_escalate(self, turn: LiveTurn) -> bool:
        routes = self._rules.routes
        return (
            routes.on
            and routes.escalate_below > 0
            and turn.purse.saving == "no"
            and turn.first is not None
            and turn.first == routes.cheap
        )

    def _escalates(self, turn: LiveTurn, prompt: Prompt) -> bool:
        """Say whether the strong model must answer again, and hold what that costs."""
        score, cheap = turn.groundedness, turn.first
        if (
            turn.outcome not in ("answered", "no_context")
            or score is None
            or score >= self._rules.routes.escalate_below
        ):
            return False
        turn.first = self._rules.routes.strong
        if not turn.purse.hold(turn.turn_id, prompt, turn.first):
            turn.first = cheap
            return False
        turn.recorder.note(route="strong")
        with turn.recorder.span("escalate", "model", groundedness=score, after=cheap):
            pass
        return True

    async def respond(
        self, turn: LiveTurn, prompt: Prompt, stream: AsyncGenerator[AnswerEvent] | None = None
    ) -> AsyncGenerator[Event]:
        """Stream one model's answer, or the `stream` given, as far as the outbound guard lets it pass."""
        numbers = {passage.n for passage in turn.passages if passage.n is not None}
        shown = (part for row in turn.passages for part in (row.title, row.url, row.text or ""))
        allowed = "\n".join([turn.text, *shown])
        guard = self._outbound.open(numbers, allowed_text=allowed, canary=prompt.system)
        marking = Marking(self._rules.ungrounded, turn.passages)
        raw: list[str] = []
        stop: Stop | None = None
        model = "extractive" if turn.purse.saving == "stop" else turn.question.model
        alone = turn.purse.saving == "degrade" and turn.first is not None
        stream = stream or self._gateway.stream(
            prompt, turn.recorder, turn.left, model=model, first=turn.first, alone=alone
        )
        try:
            async with aclosing(merged(stream)) as events:
                async for event in events:
                    if isinstance(event, Stop):
                        stop = event
                        raw[:0] = [f"<think>\n{stop.thought}\n</think>\n\n"] if stop.thought else []
                        continue
                    text = _text(event, turn.tongue)
                    raw.append(text if isinstance(event, Broken) else event.text)
                    if safe := marking.feed(guard.feed(text)):
                        yield turn.say(safe)
            if rest := marking.feed(guard.finish()) + marking.finish():
                yield turn.say(rest)
        finally:
            turn.recorder.keep(raw_response="".join(raw))
        if marking.removed and not turn.answer:
            yield turn.tell(notices.NOT_FOUND)
        if stop is not None and stop.cut is not None and turn.question.door != "openai":
            for event in _trim(turn):
                yield event
        self._conclude(turn, stop, guard, marking)
        if guard.blocked is not None:
            turn.texts = [notices.spoken(notices.WITHHELD, turn.tongue)]
            turn.end("refused", "guard_out")
            yield Retract(turn.answer, guard.blocked)
        elif turn.outcome == "refused" and not turn.texts:
            yield turn.tell(notices.DECLINED)

    def _conclude(self, turn: LiveTurn, stop: Stop | None, guard: OutboundStream, marking: Marking) -> None:
        """Set the outcome from how the model stopped and what the guard found."""
        if stop is None:
            raise ModelError("protocol", "the gateway ended without a stop")
        with turn.recorder.span("outbound guard", "guard") as span:
            span.note(findings=guard.findings)
            grounding = ground(plain(turn.answer), turn.passages)
        if self._rules.ungrounded != "off":
            with turn.recorder.span("check answer", "guard") as span:
                turn.checks = answer_checks(turn.answer, turn.passages, marking.checked)
                removed = [{"text": piece.text, "reasons": list(piece.reasons)} for piece in marking.removed]
                span.note(policy=self._rules.ungrounded, sentences=list(turn.checks), removed=removed)
        turn.groundedness = None if stop.abstained else grounding.score
        turn.recorder.note(model=stop.model, stop_reason=stop.reason)
        _judge(turn, stop)
        _qualify(turn, stop)


def _judge(turn: LiveTurn, stop: Stop) -> None:
    """Set the outcome by what the whole answer says."""
    if stop.abstained or abstains(turn.answer):
        turn.end("no_context")
    elif stop.reason == "refusal":
        turn.end("refused", "refused")
    elif not cited_numbers(turn.answer):
        turn.notice = notices.UNCITED
        turn.end("no_context")
    else:
        turn.end("answered")


def _qualify(turn: LiveTurn, stop: Stop) -> None:
    """Say what is wrong with an answer: that it was cut, broke off, or is another's than the model's."""
    if stop.cut is not None:
        turn.notice = notices.CUT
        turn.end("cut", stop.cut)
    elif turn.purse.saving == "stop":
        turn.notice = turn.purse.notice
        turn.end("degraded", "budget")
    elif stop.broken is not None:
        turn.notice = notices.RESUMED
        turn.end("degraded", stop.broken)
    elif stop.degraded is not None:
        turn.notice = notices.DEGRADED
        turn.end("degraded", stop.degraded)
    elif stop.reason == "length":
        turn.notice = notices.SHORTENED


def _text(event: Text | Broken, tongue: str | None) -> str:
    """Return what is shown for an event; our own sentences in the user's language."""
    if isinstance(event, Broken):
        mark = notices.spoken(notices.RESORTS if event.resort else notices.GOES_ON, tongue)
        return f"{'' if event.finished else '…'}\n\n{mark}\n\n"
    return notices.spoken(event.text, tongue) if event.text == notices.NOT_FOUND else event.text


def _trim(turn: LiveTurn) -> Iterator[Retract]:
    """Take back the half sentence in which an answer broke off, when a whole one stands before it."""
    rest = turn.answer if finished(plain(turn.answer)) else whole(turn.answer)
    if rest and rest != turn.answer:
        turn.texts = [rest]
        yield Retract(rest, "cut")
