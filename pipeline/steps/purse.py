"""The money of one turn: what it may still cost, what it holds, what it cost in the end."""

from __future__ import annotations

from pipeline import notices
from pipeline.errors import Refused
from pipeline.events import Question
from pipeline.guardrails.budget import Budget, Saving
from pipeline.models.gateway import Gateway
from pipeline.models.model import Prompt
from pipeline.text.tokens import estimate
from traces.records import TRIALS, Trace


class Purse:
    """Follows one turn. Evals and named models are never answered by another model, so they are refused."""

    def __init__(self, budget: Budget, gateway: Gateway, question: Question) -> None:
        self.saving: Saving = "no"
        self.notice = notices.BUDGET
        self._budget = budget
        self._gateway = gateway
        self._question = question
        self._exact = question.model is not None or question.door in TRIALS
        self._wanted = 0.0  # what did not fit
        self._counts = False  # a model that costs something, or nobody knows what, may be called

    def look(self) -> None:
        """See how much the turn must save, before any model is called; raises Refused."""
        if self._gateway.quote(1, 1, self._question.model) == 0.0:
            return
        self._counts = True
        saving = self._budget.saving(self._question.user_id)
        if saving == "stop":
            self._stop()
        self.saving = "no" if saving == "degrade" and self._exact else saving

    def hold(self, turn_id: str, prompt: Prompt, first: str | None) -> bool:
        """Hold what a call with this prompt may cost at most; False when there is no room for it."""
        if not self._counts or self.saving == "stop" or not self._budget.limits.any:
            return True
        tokens = estimate(prompt.render())
        only = first if self.saving == "degrade" else None
        usd = self._gateway.quote(
            tokens, prompt.max_output_tokens, only or self._question.model, None if only else first
        )
        if self._budget.hold(turn_id, self._question.user_id, usd):
            return True
        self.notice = notices.UNPRICED if usd is None else notices.BUDGET
        self._wanted = usd or 0.0
        return False

    def degrade(self) -> bool:
        """Begin to save; False when the turn does already, or when no other model may answer it."""
        if self._exact or self.saving != "no":
            return False
        self.saving = "degrade"
        return True

    def stop(self) -> None:
        """Go on without any model that costs; raises Refused when only one model may answer."""
        if self._counts:
            self._stop()

    def settle(self, trace: Trace) -> None:
        """Record what the turn cost."""
        if self._counts and (trace.usages or self._budget.limits.any):
            usd = sum(usage.cost_usd or 0.0 for usage in trace.usages)
            unpriced = int(any(usage.cost_usd is None for usage in trace.usages))
            self._budget.settle(trace.turn.turn_id, self._question.user_id, usd, unpriced)

    def _stop(self) -> None:
        self.saving = "stop"
        self._budget.stopped(self._question.user_id, self._wanted)
        if self._exact:
            wait = self._budget.seconds_left
            raise Refused("budget", notices.NO_BUDGET, status=429, retry_after=wait)
