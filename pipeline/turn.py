"""One turn, in order: the table of contents of the product."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace

from pipeline import notices
from pipeline.context.assemble import assemble
from pipeline.context.cache import CacheScope
from pipeline.context.whole import assemble_whole, fits
from pipeline.errors import ConversationsError, KnowledgeError, ModelError, Refused
from pipeline.events import Event, Message, Question, Sources, repeat
from pipeline.guardrails.inbound import GuardVerdict
from pipeline.knowledge.beside import OWN
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.models.model import Prompt
from pipeline.prompts.library import PromptVersion
from pipeline.steps.acquaintance import met
from pipeline.steps.answering import Answering
from pipeline.steps.both import retrieve
from pipeline.steps.errand import errand
from pipeline.steps.frame import UNMETERED, Frame, malformed, refused
from pipeline.steps.keeping import Lookup
from pipeline.steps.live_turn import LiveTurn
from pipeline.talk import asked, asking, heard, not_found, reply, unserved
from pipeline.text.codes import codes, forms, written
from pipeline.text.sentences import words
from pipeline.text.tokens import estimate
from traces.records import TRIALS, Trace

log = logging.getLogger(__name__)


class Pipeline(Frame):
    """Answers questions. `pipeline.build` chooses its parts."""

    async def answer(self, question: Question) -> AsyncGenerator[Event]:
        """Yield Started, then Sources, Delta and Retract as they come, then Answer or Failed.

        Every accepted turn leaves exactly one trace, written before the last event is yielded.
        A request that is not accepted (bad id, too many at once) yields one Failed and no trace.
        """
        refusal = malformed(question) or self._stopped()
        if refusal is not None:
            yield refused(refusal, question)
            return
        done = await self._twin(question)
        if done is not None:
            for event in repeat(done):
                yield event
            return
        with self._place(question) as full:
            if full is not None:
                yield refused(full, question)
                return
            async with aclosing(self._admitted(question)) as events:
                async for event in events:
                    yield event

    async def _admitted(self, question: Question) -> AsyncGenerator[Event]:
        """Run one turn when there is a place for it."""
        refusal = await self.admission.enter(question.user_id)
        if refusal is not None:
            yield refused(refusal, question)
            return
        turn = self._open(question)
        steps = self._search if question.door == "search" else self._steps
        self.backlog.begin(turn.row)
        with self._counted(turn) as alarm:
            try:
                async with aclosing(steps(turn)) as events:
                    while (event := await alarm.wait(anext(events, None))) is not None:
                        yield event
            except (GeneratorExit, asyncio.CancelledError):
                turn.end("abandoned", "cancelled")
                raise
            except Exception as error:  # the boundary of a turn: it ends with a sentence and a trace
                for event in turn.failing(error):
                    yield event
            finally:
                trace = self._close(turn)
        yield turn.failed or await self._remember(turn, trace)

    def _indexing(self, turn: LiveTurn) -> None:
        """Tell the user of documents that are not indexed yet, when nothing else is to be told."""
        if turn.notice is None and turn.outcome in ("answered", "no_context"):
            kb = turn.row.kb
            if kb is not None and kb != OWN:
                turn.notice = notices.indexing(turn.text, self.knowledge.lags.of(kb))

    async def _steps(self, turn: LiveTurn) -> AsyncGenerator[Event]:
        """Limits, guards, memory, talk, the question rewritten, retrieval; then the answer."""
        await self._meter(turn)
        yield turn.start()
        if turn.question.task is not None:
            for event in turn.aside("task", await errand(turn, self._base, self.retriever, self.planted)):
                yield event
            return
        verdict = await self._guard(turn)
        if verdict.action == "refuse":
            yield turn.refuse(verdict.rule, verdict.message)
            return
        turn.purse.look()
        history = await self._recall(turn)
        quoting = (turn.question.model or self.rules.model) == "extractive"
        talk = heard(turn.text, quoting=quoting)
        sentence = met(turn, history, quoting=quoting) if talk is None else reply(talk, history)
        if sentence is not None:
            for event in turn.aside("talk", sentence):
                yield event
            return
        standalone = await self._condense(turn, history)
        try:
            retrieved = await self._retrieve(turn, standalone)
        except KnowledgeError as error:
            yield turn.unsearched(error)
            return
        silence = self._silence(turn, retrieved, quoting=quoting)
        if silence is not None:
            turn.end("no_context")
            yield Sources(())
            yield turn.tell(silence)
            self._indexing(turn)
            return
        async with aclosing(self._answer(turn, standalone, history, retrieved)) as events:
            async for event in events:
                yield event

    async def _search(self, turn: LiveTurn) -> AsyncGenerator[Event]:
        """Limits, guards and retrieval: the passages are all that is asked for."""
        await self._meter(turn)
        yield turn.start()
        verdict = await self._guard(turn)
        if verdict.action == "refuse":
            yield turn.refuse(verdict.rule, verdict.message)
            return
        try:
            retrieved = await self._retrieve(turn, turn.text)
        except KnowledgeError as error:
            yield turn.unsearched(error)
            return
        turn.recorder.note(route="search")
        silence = self._silence(turn, retrieved, quoting=False)
        turn.end("answered" if silence is None else "no_context")
        if silence is None:
            rows = [replace(candidate.passage, n=n) for n, candidate in enumerate(retrieved.candidates, 1)]
            rows[self.rules.passages :] = [replace(row, n=None) for row in rows[self.rules.passages :]]
            turn.recorder.retrieved(rows)
            turn.passages = tuple(map(self.outbound.shown, rows[: self.rules.passages]))
        yield Sources(turn.passages)
        if silence is not None:
            yield turn.tell(silence)
        self._indexing(turn)

    async def _meter(self, turn: LiveTurn) -> None:
        """Count the request against its user's limits; raises Refused with the seconds to wait."""
        if turn.question.door in UNMETERED:
            return
        wait = await self.quota.take(turn.question.user_id, turn.turn_id)
        if self.quota.alone:
            with turn.recorder.span("limits", "guard") as span:
                span.note(alone=True)  # this process counted by itself: the others could not be asked
        if wait is not None:
            turn.recorder.note(refusal="limit:requests")
            raise Refused("rate_limited", notices.slow_down(wait), status=429, retry_after=wait)

    async def _answer(
        self, turn: LiveTurn, standalone: str, history: tuple[Message, ...], retrieved: Retrieved
    ) -> AsyncGenerator[Event]:
        """Assemble the prompt, stream the answer; once more with fewer passages when it was too long."""
        share = 1.0 if turn.purse.saving == "no" else self.rules.saving_share
        whole = await self._whole(turn, retrieved)
        prompt = self._assemble(turn, standalone, history, retrieved, share=share, whole=whole)
        answering = Answering(self.rules, self.gateway, self.outbound)
        answering.route(turn, needed_history=standalone != asked(turn.text))
        yield Sources(turn.passages)
        lookup = self._kept(turn, prompt)
        try:
            async with aclosing(self._said(turn, prompt, answering, lookup)) as events:
                async for event in events:
                    yield event
            if lookup is not None and self.keeping is not None:
                self.keeping.keep(turn, lookup)
            self._indexing(turn)
        except ModelError as error:
            if error.error_class != "context_overflow" or turn.texts:
                raise
            shorter = self._assemble(turn, standalone, (), retrieved, share=0.4)
            async with aclosing(self._shorter(turn, shorter, answering)) as events:
                async for event in events:
                    yield event

    async def _shorter(self, turn: LiveTurn, prompt: Prompt, answering: Answering) -> AsyncGenerator[Event]:
        """Answer from a shorter prompt; from the passages alone when that is too long as well."""
        try:
            async with aclosing(answering.respond(turn, prompt)) as events:
                async for event in events:
                    yield event
        except ModelError as error:
            named = turn.question.model is not None  # it is never replaced
            if error.error_class != "context_overflow" or turn.texts or named:
                raise
            passages = self.gateway.stream(prompt, turn.recorder, turn.left, model="extractive")
            async with aclosing(answering.respond(turn, prompt, passages)) as events:
                async for event in events:
                    yield event
            if turn.outcome == "answered":
                turn.notice = notices.TOO_LONG
                turn.end("degraded", "context_overflow")

    def _kept(self, turn: LiveTurn, prompt: Prompt) -> Lookup | None:
        """Look for an answer kept for the same question, where that is configured."""
        if self.keeping is None:
            return None
        return self.keeping.look(turn, self._scope(turn), self._prompt("answer", turn), prompt)

    def _said(
        self, turn: LiveTurn, prompt: Prompt, answering: Answering, lookup: Lookup | None
    ) -> AsyncGenerator[Event]:
        """Answer by the kept answer or by a model."""
        if lookup is None or lookup.served is None or self.keeping is None:
            return answering.answer(turn, prompt)
        return answering.respond(turn, prompt, self.keeping.answer(turn, lookup.served))

    async def _guard(self, turn: LiveTurn) -> GuardVerdict:
        """Look at the question, and at what its client says was said before."""
        claimed, system = turn.question.history or (), turn.question.system or ""
        with turn.recorder.span("inbound guard", "guard") as span:
            history, verdict = await self.inbound.conversation(turn.text, claimed, system)
            span.note(action=verdict.action, rule=verdict.rule)
            if verdict.signs or len(history) < len(claimed):
                span.note(signs=list(verdict.signs), left_out=len(claimed) - len(history))
            if verdict.scores:
                span.note(scores=dict(verdict.scores))
        turn.history = None if turn.question.history is None else history
        return replace(verdict, message=self.inbound.worded(verdict.message, turn.tongue))

    async def _recall(self, turn: LiveTurn) -> tuple[Message, ...]:
        if turn.history is not None or turn.question.door in TRIALS:
            turn.hear(turn.history or ())
            return turn.history or ()
        whose = (turn.question.user_id, turn.conversation_id)
        continued = turn.question.conversation_id is not None
        memory, history = self.memory.within(turn.question.workspace), tuple[Message, ...]()
        with turn.recorder.span("recall", "memory") as span:
            try:
                if continued:
                    history = await memory.ask(memory.recall, *whose)
                turn.recollection = await memory.ask(memory.recollect, *whose, turn.text)
                if history:
                    turn.chosen = await memory.ask(memory.chosen, *whose)
            except ConversationsError as error:
                log.warning("turn %s: %s", turn.turn_id, error)
                span.error, turn.notice = "ConversationsError", notices.FORGOTTEN if continued else None
                return ()
            span.note(messages=len(history), **(turn.recollection.to_dict() or {}))
        turn.hear(history)
        turn.full = len(history) >= 2 * self.memory.turns
        return history

    async def _condense(self, turn: LiveTurn, history: tuple[Message, ...]) -> str:
        text, history = asked(turn.text), asking(history)
        if not history:
            return text
        version = self._prompt("condense", turn)
        model = turn.question.model if turn.purse.saving == "no" else "extractive"
        standalone = await self.condenser.condense(text, history, version, turn.recorder, model=model)
        if standalone != turn.text:
            turn.recorder.note(standalone=standalone)
        return standalone

    async def _retrieve(self, turn: LiveTurn, query: str) -> Retrieved:
        turn.own = self._own(turn)
        if (chosen := turn.question.kb or turn.chosen) is not None:
            await self.knowledge.look(chosen)
        kb = self._base(turn)
        turn.recorder.note(kb=kb)
        with turn.recorder.span("retrieve", "retrieval", query=query) as span:
            retrieved = await retrieve(self.retriever, query, kb, turn.recorder, self._scope(turn), turn.own)
            span.note(own=turn.own is not None, found=len(retrieved.candidates), degraded=retrieved.degraded)
        top = retrieved.top_score
        turn.recorder.note(
            index_version=retrieved.index_version,
            embedder=retrieved.embedder,
            top_score=top,
            hit=bool(retrieved.candidates) and (top is None or top >= self.rules.floor),
        )
        with turn.recorder.span("passage guard", "guard") as span:
            retrieved, suspects = self.planted.look(retrieved, self.rules.passages)
            if suspects:
                span.note(policy=self.planted.policy, suspects=[asdict(suspect) for suspect in suspects])
        if retrieved.degraded is not None:
            turn.notice = notices.PARTIAL_SEARCH
        turn.recorder.retrieved(candidate.passage for candidate in retrieved.candidates)
        return retrieved

    async def _whole(self, turn: LiveTurn, retrieved: Retrieved) -> Sequence[RetrievedChunk] | None:
        """Return the whole knowledge base when it is small and all models that may answer have room."""
        if turn.purse.saving != "no" or turn.own is not None:
            return None
        routes = self.rules.routes
        others = [name for name in (routes.cheap, routes.strong) if routes.on and name]
        room = self.gateway.room(turn.question.model, *others)
        needed = self.wholes.budget + self.rules.context_tokens + self.rules.max_output_tokens
        return await self.wholes.of(retrieved) if room is not None and room >= needed else None

    def _silence(self, turn: LiveTurn, retrieved: Retrieved, *, quoting: bool) -> str | None:
        """Return what to say without asking a model, or None when one is to answer."""
        if not retrieved.candidates:
            return notices.EMPTY
        texts = [candidate.passage.text or "" for candidate in retrieved.candidates[: self.rules.passages]]
        outside = self._out_of_scope(retrieved) and not _worded(turn.text, texts)
        if not outside and not quoting:
            return None
        absent = not_found(turn.text, turn.tongue) if outside else None
        return unserved(turn.text, texts, self.rules.languages) or absent

    def _scope(self, turn: LiveTurn) -> CacheScope | None:
        """Return who may share retrieved passages with this turn; our own trials take no part."""
        if turn.question.door in TRIALS or turn.own is not None:  # what is one person's is nobody else's
            return None
        prompt, row = self._prompt("answer", turn).label, turn.row
        who = (turn.question.user_id, prompt, row.model_wanted or "", row.guardrails or "")
        return CacheScope(*who, workspace=turn.question.workspace)

    def _out_of_scope(self, retrieved: Retrieved) -> bool:
        top = retrieved.top_score
        return self.rules.scope and top is not None and top < self.rules.floor

    def _prompt(self, name: str, turn: LiveTurn) -> PromptVersion:
        """Return the version that this turn uses; it stays the same when another is promoted meanwhile."""
        version = turn.prompts.get(name)
        if version is None:
            shelf = self.shelves.of(self._side(turn.question))
            version = shelf.version(name, turn.conversation_id, turn.question.prompts.get(name))
            turn.prompts[name] = version
        return version

    def _assemble(
        self,
        turn: LiveTurn,
        standalone: str,
        history: tuple[Message, ...],
        retrieved: Retrieved,
        share: float = 1.0,
        whole: Sequence[RetrievedChunk] | None = None,
    ) -> Prompt:
        version = self._prompt("answer", turn)
        with turn.recorder.span("assemble", "memory", prompt=version.label) as span:
            recollected = turn.recollection.messages()
            reserved = sum(estimate(message.text) for message in recollected)
            span.note(whole=whole is not None)
            room = {
                "context_tokens": int(self.rules.context_tokens * share) - reserved,
                "max_output_tokens": turn.most_output_tokens(self.rules.max_output_tokens),
            }
            if whole is not None and fits(version):
                remembered, best = (*recollected, *history), retrieved.best(self.rules.passages)
                prompt, rows = assemble_whole(version, turn.text, standalone, remembered, best, whole, **room)
            else:
                room["passages"] = self.rules.passages
                prompt = assemble(version, turn.text, standalone, history, retrieved, **room)
                prompt = replace(prompt, messages=(*recollected, *prompt.messages))
                rows = [candidate.passage for candidate in prompt.retrieved.candidates]
            turn.passages = tuple(self.outbound.shown(row) for row in rows if row.n is not None)
            span.note(passages=len(turn.passages), turns=len(prompt.messages) - 1)
        turn.recorder.retrieved(rows)
        turn.recorder.note(
            prompt=version.label, prompt_fingerprint=version.fingerprint, passages=len(turn.passages)
        )
        turn.recorder.keep(prompt=prompt.render())
        return prompt

    async def retrieve(self, question: Question) -> Trace:
        """Run a turn up to its passages, without a model (follow-ups are rewritten by rules)."""
        turn = self._open(replace(question, model="extractive"))
        try:
            await self._retrieve(turn, await self._condense(turn, question.history or ()))
        except KnowledgeError as error:
            turn.end("failed", error.error_class)
        else:
            turn.end("answered" if turn.row.hit else "no_context")
        return self._close(turn)


def _worded(question: str, texts: Sequence[str]) -> bool:
    """Tell whether a passage has every word asked for, or a code: their vectors are far from any question."""
    question_words = set(words(question))
    if len(question_words) > 1 and any(question_words <= set(words(text)) for text in texts):
        return True
    question_codes = codes(written(question, forms(texts)))
    return bool(question_codes) and any(question_codes & codes(text) for text in texts)
