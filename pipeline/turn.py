"""One turn, in order: the table of contents of the product."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline import say
from pipeline.admission import Admission
from pipeline.alarm import Alarm, Alarms, Over, Reason
from pipeline.breaker import Breaker, Policy
from pipeline.breakers import Breakers, reports
from pipeline.context.assemble import assemble
from pipeline.context.condenser import Condenser
from pipeline.context.found import Retrieved
from pipeline.context.memory import Memory
from pipeline.context.retrieval import Retriever
from pipeline.errors import ConversationsError, ErrorClass, KnowledgeError, ModelError, Refused
from pipeline.events import (
    Answer,
    Citation,
    Delta,
    Event,
    Failed,
    Message,
    Question,
    Retract,
    Sources,
    Started,
)
from pipeline.guardrails.budget import Budget
from pipeline.guardrails.grounding import ground
from pipeline.guardrails.inbound import Inbound, clean
from pipeline.guardrails.outbound import Outbound, OutboundStream
from pipeline.guardrails.quota import Quota
from pipeline.knowledge.index import Knowledge
from pipeline.models.gateway import Gateway
from pipeline.models.merged import merged
from pipeline.models.model import Prompt, Stop
from pipeline.prompts.choice import choose
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library, PromptVersion
from pipeline.purse import Purse
from pipeline.recording import Recording
from pipeline.routing import NO_ROUTES, Routes, complexity
from traces.errors import JournalError
from traces.ids import uuid7
from traces.journal import Journal
from traces.recorder import Recorder
from traces.records import Outcome, Passage, Score, Trace, Turn
from traces.store import Store

log = logging.getLogger(__name__)
SPARE_SECONDS = 4.0  # after its deadline a turn may still give the passages it has
JOURNAL = Policy(minimum_calls=3, slow_seconds=1.0, open_seconds=2.0, longest_open_seconds=15.0)
_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_MARKER = re.compile(r"\[(\d{1,3})\]")
_REFUSALS: dict[str, ErrorClass] = {"budget": "budget", "shed": "shed", "busy": "shed"}


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
    routes: Routes = NO_ROUTES
    saving_share: float = 0.5  # of the context, when a budget nears its end


class Running:
    """A turn under way: what is known of it so far."""

    def __init__(self, question: Question, recorder: Recorder, seconds: float, purse: Purse) -> None:
        self.question = question
        self.purse = purse
        self.recorder = recorder
        self.turn_id = recorder.turn.turn_id
        self.conversation_id = recorder.turn.conversation_id
        self.text = recorder.turn.question
        self.said: list[str] = []
        self.passages: tuple[Passage, ...] = ()
        self.outcome: Outcome = "failed"
        self.notice: str | None = None
        self.failed: Failed | None = None
        self.first: str | None = None  # the model to ask before the others
        self.groundedness: float | None = None
        self._seconds = seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline of the turn."""
        return max(self._seconds - self.recorder.elapsed, 0.0)

    @property
    def answer(self) -> str:
        return "".join(self.said).strip()

    def end(self, outcome: Outcome, error_class: ErrorClass | None = None) -> None:
        self.outcome = outcome
        if error_class is not None:
            self.recorder.note(error_class=error_class)

    def over(self, reason: Reason) -> None:
        """End a turn whose time is over, by the clock or because the server stops."""
        self.notice = say.STOPPING if reason == "stopping" else say.CUT
        self.end("cut", "shed" if reason == "stopping" else "deadline")

    def say(self, text: str) -> Delta:
        """Add to the answer and return the delta to send."""
        if not self.said:
            self.recorder.note(first_token_seconds=self.recorder.elapsed)
        self.said.append(text)
        return Delta(text)


class Pipeline:
    """Answers questions. Collaborators are chosen in `pipeline.build`."""

    def __init__(
        self,
        *,
        rules: Rules,
        prompts: Library,
        force: Force,
        quota: Quota,
        admission: Admission,
        budget: Budget,
        inbound: Inbound,
        memory: Memory,
        condenser: Condenser,
        retriever: Retriever,
        gateway: Gateway,
        outbound: Outbound,
        journal: Journal,
        knowledge: Knowledge,
        store: Store,
        breakers: Breakers | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.rules = rules
        self.prompts = prompts
        self.force = force
        self.quota = quota
        self.admission = admission
        self.budget = budget
        self.inbound = inbound
        self.memory = memory
        self.condenser = condenser
        self.retriever = retriever
        self.gateway = gateway
        self.outbound = outbound
        self.knowledge = knowledge
        self.store = store
        self.registry = breakers or Breakers()
        self.record_in(journal)
        self.observers: list[Callable[[Trace], None]] = []  # told of each turn's trace, at its end
        self._alarms = Alarms()
        self._clock = clock

    def record_in(self, journal: Journal) -> None:
        """Write all records to this journal from now on."""
        self.journal = journal
        self.recording = Recording(journal, self.registry.get("journal", JOURNAL))

    @property
    def stopping(self) -> bool:
        """Whether no more turns are accepted."""
        return self._alarms.stopping

    @property
    def unrecorded(self) -> int:
        """Records that are not in the journal, a full disk for example: lost or waiting for it."""
        return self.recording.lost + self.recording.held

    @property
    def running(self) -> int:
        """How many turns are under way."""
        return self.admission.running

    async def answer(self, question: Question) -> AsyncGenerator[Event]:
        """Yield Started, then Sources, Delta and Retract as they come, then Answer or Failed.

        Every accepted turn leaves exactly one trace, written before the last event is yielded.
        A request that is not accepted (bad id, too many at once) yields one Failed and no trace.
        """
        refusal = _malformed(question) or self._stopped()
        if refusal is not None:
            yield refusal
            return
        done = self._repeated(question)
        if done is not None:
            for event in say.again(done):
                yield event
            return
        refusal = await self.admission.enter(question.user_id)
        if refusal is not None:
            yield refusal
            return
        turn = self._open(question)
        self.recording.begin(turn.recorder.turn)
        with self._counted(turn) as alarm:
            try:
                yield Started(turn.turn_id, turn.conversation_id)
                async with aclosing(self._steps(turn)) as events:
                    while (event := await alarm.wait(anext(events, None))) is not None:
                        yield event
            except Over as over:
                if not turn.said:
                    yield turn.say(say.STOPPING if over.reason == "stopping" else say.sorry(turn.turn_id))
                turn.over(over.reason)
            except (GeneratorExit, asyncio.CancelledError):
                turn.end("abandoned", "cancelled")
                raise
            except Refused as refused:
                turn.end("refused", _REFUSALS.get(refused.code, "guard_in"))
                turn.failed = Failed(refused.code, str(refused), turn.turn_id, refused.retry_after)
            except Exception:
                log.exception("turn %s failed", turn.turn_id)
                turn.end("cut" if turn.said else "failed", "internal")
                turn.notice = say.CUT
                if not turn.said:
                    yield turn.say(say.sorry(turn.turn_id))
            finally:
                trace = self._close(turn)
        yield turn.failed or self._remember(turn, trace)

    async def retrieve(self, question: Question) -> Trace:
        """Run a turn up to its passages, without a model (follow-ups are rewritten by rules)."""
        turn = self._open(replace(question, model="extractive"))
        try:
            await self._retrieve(turn, await self._condense(turn, question.history or ()))
        except KnowledgeError as error:
            turn.end("failed", error.error_class)
        else:
            turn.end("answered" if turn.recorder.turn.hit else "no_context")
        return self._close(turn)

    async def feedback(
        self,
        turn_id: str,
        user_id: str,
        value: int,
        comment: str | None = None,
        tags: list[str] | None = None,
    ) -> Score:
        """Record a thumb (1 or -1) on one of the user's own turns; raises Refused (404) otherwise."""
        if self.memory.owner(turn_id) != user_id:
            raise Refused("turn_not_found", f"There is no turn {turn_id!r} of yours.", status=404)
        score = Score(
            score_id=uuid7(),
            turn_id=turn_id,
            name="feedback",
            value=float(value),
            source="user",
            created_at=datetime.now(UTC),
            reason=comment or None,
            tags=",".join(tags) if tags else None,
            user_id=user_id,
        )
        try:
            self.journal.write(score)
        except JournalError as error:
            log.error("feedback could not be recorded: %s", error)
            raise Refused("store_unwritable", say.NOT_KEPT, status=503, retry_after=5.0) from None
        return score

    def breakers(self) -> dict[str, Breaker]:
        """Return the breakers of all dependencies by name."""
        return {**self.gateway.breakers, **self.registry.by_name}

    def report(self) -> list[dict[str, Any]]:
        """Return the state of all breakers."""
        return reports(self.breakers())

    async def drain(self, seconds: float) -> int:
        """Accept no more turns, let those under way end within `seconds`, then cut them short.

        Returns how many had to be cut; each of them still tells its user and is recorded.
        """
        return await self._alarms.stop(seconds)

    async def close(self) -> None:
        """Flush and close what the pipeline holds open."""
        self.recording.close()
        await self.gateway.close()
        if close := getattr(self.knowledge.embedder, "close", None):
            close()
        self.budget.spending.close()
        self.memory.close()
        self.journal.close()

    async def _steps(self, turn: Running) -> AsyncGenerator[Event]:
        counted = turn.question.door not in ("eval", "replay")
        wait = await self.quota.take(turn.question.user_id) if counted else None
        if wait is not None:
            raise Refused("rate_limited", say.slow_down(wait), status=429, retry_after=wait)
        with turn.recorder.span("inbound guard", "guard") as span:
            verdict = self.inbound.check(turn.text)
            span.note(action=verdict.action, rule=verdict.rule)
        if verdict.action == "refuse":
            turn.recorder.note(refusal=verdict.rule)
            turn.end("refused", "guard_in")
            yield turn.say(verdict.message)
            return
        turn.purse.look()
        history = self._recall(turn)
        standalone = await self._condense(turn, history)
        try:
            retrieved = await self._retrieve(turn, standalone)
        except KnowledgeError as error:
            log.warning("turn %s: %s", turn.turn_id, error)
            turn.end("degraded", error.error_class)
            yield turn.say(say.NO_KNOWLEDGE)
            return
        if not retrieved.found or self._out_of_scope(retrieved):
            turn.end("no_context")
            yield Sources(())
            yield turn.say(say.NOT_FOUND if retrieved.found else say.EMPTY)
            return
        share = 1.0 if turn.purse.saving == "no" else self.rules.saving_share
        prompt = self._assemble(turn, standalone, history, retrieved, share=share)
        self._route(turn, needed_history=standalone != turn.text)
        yield Sources(turn.passages)
        try:
            async with aclosing(self._routed(turn, prompt)) as events:
                async for event in events:
                    yield event
        except ModelError as error:
            if error.error_class != "context_overflow" or turn.said:
                raise
            shorter = self._assemble(turn, standalone, (), retrieved, share=0.4)
            async with aclosing(self._respond(turn, shorter)) as events:
                async for event in events:
                    yield event

    def _recall(self, turn: Running) -> tuple[Message, ...]:
        if turn.question.history is not None:
            return turn.question.history
        if turn.question.conversation_id is None:
            return ()
        with turn.recorder.span("recall", "memory") as span:
            try:
                history = self.memory.recall(turn.question.user_id, turn.conversation_id)
            except ConversationsError as error:
                log.warning("turn %s: %s", turn.turn_id, error)
                span.error, turn.notice = "ConversationsError", say.FORGOTTEN
                return ()
            span.note(messages=len(history))
        return history

    def _repeated(self, question: Question) -> dict[str, Any] | None:
        """Return the turn this client already got; None too when that cannot be looked up."""
        if question.client_turn_id is None:
            return None
        try:
            return self.memory.repeated(question.user_id, question.client_turn_id)
        except ConversationsError as error:
            log.warning("a client's turn could not be looked up: %s", error)
            return None

    async def _condense(self, turn: Running, history: tuple[Message, ...]) -> str:
        version = self._prompt("condense", turn)
        model = turn.question.model if turn.purse.saving == "no" else "extractive"
        standalone = await self.condenser.condense(turn.text, history, version, turn.recorder, model=model)
        if standalone != turn.text:
            turn.recorder.note(standalone=standalone)
        return standalone

    async def _retrieve(self, turn: Running, query: str) -> Retrieved:
        kb = turn.question.kb or self.rules.kb
        turn.recorder.note(kb=kb)
        with turn.recorder.span("retrieve", "retrieval", query=query) as span:
            retrieved = await self.retriever.retrieve(query, kb, turn.recorder)
            span.note(found=len(retrieved.found), degraded=retrieved.degraded)
        top = retrieved.top_score
        turn.recorder.note(
            index_version=retrieved.index_version,
            embedder=retrieved.embedder,
            top_score=top,
            hit=bool(retrieved.found) and (top is None or top >= self.rules.floor),
        )
        if retrieved.degraded is not None:
            turn.notice = say.PARTIAL_SEARCH
        turn.recorder.retrieved(found.passage for found in retrieved.found)
        return retrieved

    def _out_of_scope(self, retrieved: Retrieved) -> bool:
        top = retrieved.top_score
        return self.rules.scope and top is not None and top < self.rules.floor

    def _prompt(self, name: str, turn: Running) -> PromptVersion:
        return choose(self.prompts, self.force, name, turn.recorder.turn.conversation_id)

    def _assemble(
        self,
        turn: Running,
        standalone: str,
        history: tuple[Message, ...],
        retrieved: Retrieved,
        share: float = 1.0,
    ) -> Prompt:
        wanted = turn.question.prompt
        version = self.prompts.get(wanted) if wanted else self._prompt("answer", turn)
        with turn.recorder.span("assemble", "memory", prompt=version.label) as span:
            prompt = assemble(
                version,
                turn.text,
                standalone,
                history,
                retrieved,
                passages=self.rules.passages,
                context_tokens=int(self.rules.context_tokens * share),
                max_output_tokens=self.rules.max_output_tokens,
            )
            rows = [found.passage for found in prompt.retrieved.found]
            turn.passages = tuple(row for row in rows if row.n is not None)
            span.note(passages=len(turn.passages), turns=len(prompt.messages) - 1)
        turn.recorder.retrieved(rows)
        turn.recorder.note(
            prompt=version.label, prompt_fingerprint=version.fingerprint, passages=len(turn.passages)
        )
        turn.recorder.keep(prompt=prompt.render())
        return prompt

    def _route(self, turn: Running, *, needed_history: bool) -> None:
        """Choose the model to ask first."""
        routes = self.rules.routes
        if turn.purse.saving == "stop" or turn.question.model is not None:
            return
        if turn.purse.saving == "degrade" and routes.cheap is not None:
            route, reasons = "cheap", ("budget",)
        elif routes.on:
            found = complexity(turn.text, turn.passages, needed_history=needed_history)
            route, reasons = ("strong" if found.complex else "cheap"), found.reasons
        else:
            return
        turn.first = routes.cheap if route == "cheap" else routes.strong
        turn.recorder.note(route=route, model_wanted=turn.first)
        with turn.recorder.span("route", "model", route=route, reasons=list(reasons)):
            pass

    async def _routed(self, turn: Running, prompt: Prompt) -> AsyncGenerator[Event]:
        """Answer within the budget; let the strong model answer when the cheap one's is not grounded.

        The cheap answer streams and is taken back when it fails, so that the many good ones are not
        slowed down. The OpenAI protocol cannot take words back: there it is held until it is checked.
        """
        if not turn.purse.hold(turn.turn_id, prompt, turn.first) and not self._cheaper(turn, prompt):
            turn.purse.stop()
        kept: list[Event] = []
        may = self._may_escalate(turn)
        async with aclosing(self._respond(turn, prompt)) as events:
            async for event in events:
                if may and turn.question.door == "openai":
                    kept.append(event)
                else:
                    yield event
        if not may or not self._escalates(turn, prompt):
            for event in kept:
                yield event
            return
        if not kept:
            yield Retract("", "ungrounded")
        turn.said = []
        async with aclosing(self._respond(turn, prompt)) as events:
            async for event in events:
                yield event

    def _cheaper(self, turn: Running, prompt: Prompt) -> bool:
        """Say whether the cheap model still fits the budget, and take it if it does."""
        if self.rules.routes.cheap is None or not turn.purse.degrade():
            return False
        self._route(turn, needed_history=False)
        return turn.purse.hold(turn.turn_id, prompt, turn.first)

    def _may_escalate(self, turn: Running) -> bool:
        routes = self.rules.routes
        return (
            routes.on
            and routes.escalate_below > 0
            and turn.purse.saving == "no"
            and turn.first is not None
            and turn.first == routes.cheap
        )

    def _escalates(self, turn: Running, prompt: Prompt) -> bool:
        """Say whether the strong model must answer again, and hold what that costs."""
        score, cheap = turn.groundedness, turn.first
        if turn.outcome != "answered" or score is None or score >= self.rules.routes.escalate_below:
            return False
        turn.first = self.rules.routes.strong
        if not turn.purse.hold(turn.turn_id, prompt, turn.first):
            turn.first = cheap
            return False
        turn.recorder.note(route="strong")
        with turn.recorder.span("escalate", "model", groundedness=score, after=cheap):
            pass
        return True

    async def _respond(self, turn: Running, prompt: Prompt) -> AsyncGenerator[Event]:
        numbers = {passage.n for passage in turn.passages if passage.n is not None}
        shown = (part for row in turn.passages for part in (row.title, row.url, row.text or ""))
        allowed = "\n".join([turn.text, *shown])
        guard = self.outbound.open(numbers, allowed_text=allowed, canary=prompt.system)
        raw: list[str] = []
        stop: Stop | None = None
        model = "extractive" if turn.purse.saving == "stop" else turn.question.model
        alone = turn.purse.saving == "degrade" and turn.first is not None
        stream = self.gateway.stream(
            prompt, turn.recorder, turn.left, model=model, first=turn.first, alone=alone
        )
        try:
            async with aclosing(merged(stream)) as events:
                async for event in events:
                    if isinstance(event, Stop):
                        stop = event
                        continue
                    raw.append(event.text)
                    if safe := guard.feed(event.text):
                        yield turn.say(safe)
            if rest := guard.finish():
                yield turn.say(rest)
        finally:
            turn.recorder.keep(raw_response="".join(raw))
        self._conclude(turn, stop, guard)
        if guard.blocked is not None:
            turn.said = [say.WITHHELD]
            turn.end("refused", "guard_out")
            yield Retract(say.WITHHELD, guard.blocked)
        elif turn.outcome == "refused" and not turn.said:
            yield turn.say(say.DECLINED)

    def _conclude(self, turn: Running, stop: Stop | None, guard: OutboundStream) -> None:
        """Set the outcome from how the model stopped and what the guard found."""
        if stop is None:
            raise ModelError("protocol", "the gateway ended without a stop")
        with turn.recorder.span("outbound guard", "guard") as span:
            span.note(findings=guard.findings)
            grounding = ground(turn.answer, turn.passages)
        turn.groundedness = None if stop.abstained else grounding.score
        turn.recorder.note(model=stop.model, stop_reason=stop.reason)
        if stop.abstained or say.abstains(turn.answer):
            turn.end("no_context")
        elif stop.reason == "refusal":
            turn.end("refused", "refused")
        else:
            turn.end("answered")
        if stop.cut is not None:
            turn.notice = say.CUT
            turn.end("cut", stop.cut)
        elif turn.purse.saving == "stop":
            turn.notice = turn.purse.notice
            turn.end("degraded", "budget")
        elif stop.degraded is not None:
            turn.notice = say.DEGRADED
            turn.end("degraded", stop.degraded)
        elif stop.reason == "length":
            turn.notice = say.SHORTENED

    def _stopped(self) -> Failed | None:
        return Failed("stopping", say.STOPPING, None, retry_after=10.0) if self.stopping else None

    @contextmanager
    def _counted(self, turn: Running) -> Iterator[Alarm]:
        try:
            with self._alarms.set(self.rules.turn_seconds + SPARE_SECONDS) as alarm:
                yield alarm
        finally:
            self.admission.leave(turn.question.user_id, turn.recorder.elapsed)

    def _open(self, question: Question) -> Running:
        rules = self.rules
        turn = Turn(
            turn_id=uuid7(),
            conversation_id=question.conversation_id or uuid7(),
            user_id=question.user_id,
            door=question.door,
            started_at=datetime.now(UTC),
            question=clean(question.text).strip(),
            outcome="failed",
            client_turn_id=question.client_turn_id,
            model_wanted=question.model or rules.model,
            guardrails=rules.guardrails,
            code_version=rules.code_version,
            run_id=question.run_id,
            case_id=question.case_id,
        )
        recorder = Recorder(turn, self.recording, self._clock)
        return Running(question, recorder, rules.turn_seconds, Purse(self.budget, self.gateway, question))

    def _close(self, turn: Running) -> Trace:
        """Write the turn's one trace."""
        recorder = turn.recorder
        cited = {int(n) for n in _MARKER.findall(turn.answer)}
        rows = tuple(_row(turn.turn_id, passage, cited) for passage in recorder.passages)
        turn.passages = tuple(row for row in rows if row.n is not None)
        recorder.retrieved(rows)
        citations = sum(row.cited for row in rows)
        recorder.note(answer=turn.answer or None, citations=citations, outcome=turn.outcome)
        if turn.groundedness is not None:
            recorder.score("groundedness", turn.groundedness, scorer="lexical")
        trace = recorder.close()
        turn.purse.settle(trace)
        self.quota.spend(trace.turn.user_id, trace.turn.input_tokens, trace.turn.output_tokens)
        for observe in self.observers:
            observe(trace)
        return trace

    def _remember(self, turn: Running, trace: Trace) -> Answer:
        row = trace.turn
        answer = Answer(
            turn_id=row.turn_id,
            conversation_id=row.conversation_id,
            outcome=row.outcome,
            answer=turn.answer,
            citations=tuple(_citation(passage) for passage in turn.passages if passage.cited),
            passages=turn.passages,
            usage={
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "cache_read_tokens": row.cache_read_tokens,
                "cache_write_tokens": row.cache_write_tokens,
            },
            cost_usd=row.cost_usd,
            first_token_seconds=row.first_token_seconds,
            seconds=row.seconds,
            model=row.model,
            notice=turn.notice,
            trace=trace,
        )
        if turn.question.history is None and turn.question.door not in ("eval", "replay"):
            try:
                self.memory.remember(row.user_id, row.client_turn_id, row.question, answer)
            except ConversationsError as error:
                log.error("turn %s is not remembered: %s", turn.turn_id, error)
        return answer


def _malformed(question: Question) -> Failed | None:
    for name in ("conversation_id", "client_turn_id"):
        value = getattr(question, name)
        if value is not None and not _ID.match(value):
            message = f"{name} must be 1 to 64 letters, digits, '-' or '_'."
            return Failed("bad_id", message, None)
    return None


def _row(turn_id: str, passage: Passage, cited: set[int]) -> Passage:
    """Return a passage as it is recorded: without its text when it did not reach the prompt."""
    text = None if passage.n is None else passage.text
    return replace(passage, turn_id=turn_id, text=text, cited=passage.n in cited)


def _citation(passage: Passage) -> Citation:
    assert passage.n is not None
    return Citation(passage.n, passage.chunk_id, passage.document_id, passage.title, passage.url)
