"""What stands around the steps of every turn: who may begin, its row, its one trace, what is remembered."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline import notices
from pipeline.access.accounts import AccessError
from pipeline.auth import DEFAULT
from pipeline.context.statements import personal
from pipeline.errors import ConversationsError, KnowledgeError
from pipeline.events import Answer, Failed, Question
from pipeline.guardrails.inbound import clean
from pipeline.knowledge.beside import OWN
from pipeline.steps.alarm import Alarm
from pipeline.steps.closing import answer_of, record
from pipeline.steps.live_turn import LiveTurn
from pipeline.steps.operations import Operations
from pipeline.steps.purse import Purse
from pipeline.text.languages import language
from traces.ids import uuid7
from traces.recorder import Recorder
from traces.records import TRIALS, Trace, Turn

log = logging.getLogger(__name__)
SPARE_SECONDS = 4.0  # after its deadline a turn may still give the passages it has
UNMETERED = (*TRIALS, "task")  # doors that are no load of a user's own: their turns count against no limit
TWIN_SECONDS = 0.1  # between two looks at whether the same turn of a client has ended
OWNERS = (*TRIALS, "cli")  # doors of who owns the machine: every knowledge base is theirs to ask
_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


class Frame(Operations):
    """Begins and ends turns; what happens between is `pipeline.turn.Pipeline`'s."""

    async def _twin(self, question: Question) -> dict[str, Any] | None:
        """Return the turn this client already got, or gets just now from another call; None without one.

        The caller has taken the turn on when this returns None, and gives it back at its end.
        """
        name, seconds = question.client_turn_id, self.rules.turn_seconds + 2 * SPARE_SECONDS
        while (done := await self._repeated(question)) is None:
            if name is None or self.quota.claim(question.user_id, name, seconds):
                return None
            await asyncio.sleep(TWIN_SECONDS)
        return done

    async def _repeated(self, question: Question) -> dict[str, Any] | None:
        """Return the turn this client already got; None too when that cannot be looked up."""
        if question.client_turn_id is None:
            return None
        try:
            memory = self.memory.within(question.workspace)
            return await memory.ask(memory.repeated, question.user_id, question.client_turn_id)
        except ConversationsError as error:
            log.warning("a client's turn could not be looked up: %s", error)
            return None

    def _stopped(self) -> Failed | None:
        return Failed("stopping", notices.STOPPING, None, retry_after=10.0) if self.stopping else None

    @contextmanager
    def _place(self, question: Question) -> Iterator[Failed | None]:
        """Hold one of its user's places over all processes; yield why not when all are taken.

        At the end the client's turn is given back.
        """
        seconds = self.admission.seconds + self.rules.turn_seconds + 2 * SPARE_SECONDS
        counted = question.door not in UNMETERED
        with self.quota.place(question.user_id, seconds, question.client_turn_id, counted=counted) as fits:
            yield None if fits else self.admission.too_many()

    @contextmanager
    def _counted(self, turn: LiveTurn) -> Iterator[Alarm]:
        try:
            with self._alarms.set(self.rules.turn_seconds + SPARE_SECONDS) as alarm:
                yield alarm
        finally:
            self.admission.leave(turn.question.user_id, turn.recorder.elapsed)

    def _open(self, question: Question) -> LiveTurn:
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
            workspace=self._workspace(question),
        )
        recorder = Recorder(turn, self.backlog, self._clock)
        budget = self.trials if question.door in TRIALS else self.budget
        return LiveTurn(question, recorder, rules.turn_seconds, Purse(budget, self.gateway, question))

    def _side(self, question: Question) -> str:
        """Return whose prompts answer; who works on the machine itself asks with those of its settings."""
        return self.rules.workspace if question.door in OWNERS else question.workspace

    def _workspace(self, question: Question) -> str:
        """Return whose turn it is; who works on the machine itself asks for whom the documents are."""
        if question.door in OWNERS and self.rules.workspace != DEFAULT:
            return self.rules.workspace
        if question.door in OWNERS and question.kb is not None:
            with suppress(AccessError):
                return self.workspaces.of(question.kb)
        return question.workspace

    def _own(self, turn: LiveTurn) -> str | None:
        """Return where the documents lie that its user brought, when there are any."""
        question = turn.question
        if self.spaces is None or question.door in OWNERS:
            return None
        return self.spaces.ready(question.user_id, question.workspace)

    def _base(self, turn: LiveTurn) -> str:
        """Return the knowledge base to search: the one asked for, the conversation's, else the workspace's.

        Raises KnowledgeError when there is none, or it is another workspace's, which sounds the same.
        """
        question = turn.question
        if question.door in OWNERS:
            return question.kb or self.rules.kb
        for kb in (question.kb, turn.chosen):
            if kb is not None and self.readable(question.workspace, kb):
                return kb
            if kb is not None and kb == question.kb:
                raise KnowledgeError(f"there is no knowledge base {kb!r}", "store_missing")
        kb = self.workspaces.main(question.workspace, self.rules.kb)
        if turn.own is not None and (kb is None or not self.knowledge.exists(kb)):
            return OWN
        if kb is None:
            raise KnowledgeError(f"workspace {question.workspace!r} has no knowledge base", "store_missing")
        return kb

    def _close(self, turn: LiveTurn) -> Trace:
        """Write the turn's one trace and tell who watches."""
        trace = record(turn)
        if turn.question.door not in UNMETERED:
            self.quota.settle(turn.turn_id, trace.turn.input_tokens, trace.turn.output_tokens)
        for observe in self.observers:
            observe(trace)
        return trace

    async def _remember(self, turn: LiveTurn, trace: Trace) -> Answer:
        row, answer = trace.turn, answer_of(turn, trace)
        if turn.question.history is None and turn.question.door not in TRIALS:
            try:
                memory = self.memory.within(turn.question.workspace)
                await memory.ask(memory.remember, row.user_id, row.client_turn_id, row.question, answer)
            except ConversationsError as error:
                log.error("turn %s is not remembered: %s", turn.turn_id, error)
            else:
                self._digest(turn, answer)
        return answer

    def _digest(self, turn: LiveTurn, answer: Answer) -> None:
        """Keep facts and summary beside the turn, when it may have any; its user does not wait."""
        if turn.outcome == "refused" or not (turn.full or personal(turn.text)):
            return
        memory = self.memory.within(turn.question.workspace)
        work = memory.digest_later(turn.question.user_id, turn.text, answer)
        chore = asyncio.get_running_loop().create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._digested)

    def _digested(self, chore: asyncio.Task[None]) -> None:
        self._chores.discard(chore)
        if not chore.cancelled() and (error := chore.exception()) is not None:
            log.error("facts or summary of a turn are not kept: %s", error)


def refused(refusal: Failed, question: Question) -> Failed:
    """Return a refusal of a turn that was never begun, in the language of its user."""
    code = language(question.text) or question.tongue
    return replace(refusal, message=notices.spoken(refusal.message, code))


def malformed(question: Question) -> Failed | None:
    for name in ("conversation_id", "client_turn_id"):
        value = getattr(question, name)
        if value is not None and not _ID.match(value):
            message = f"{name} must be 1 to 64 letters, digits, '-' or '_'."
            return Failed("bad_id", message, None)
    return None
