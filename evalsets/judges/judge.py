"""A judge: a model that is asked for verdicts, within limits, priced, counted and remembered."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evalsets.judges.cache import JudgeCache, KeptReply
from evalsets.judges.task import JudgeJob
from pipeline import build, providers
from pipeline.errors import ErrorClass, ModelError
from pipeline.models.prices import Prices
from pipeline.models.structured import Reply, Structured, Unfit, ask, form_of
from pipeline.settings import Settings
from traces.records import Bill

T = TypeVar("T", bound=BaseModel)
AGAIN: tuple[ErrorClass, ...] = (
    "rate_limited", "overloaded", "provider_5xx", "timeout_connect", "connect", "cut", "empty"
)  # fmt: skip
TRIES = 3
LONGEST_WAIT = 30.0  # seconds between two tries


class BudgetSpent(Exception):
    """The spending cap is reached; nothing more is asked."""


@dataclass(slots=True)
class JudgingCost:
    """What some judging took so far."""

    bill: Bill = field(default_factory=Bill)
    prompts: Counter[str] = field(default_factory=Counter)  # how often each was asked


_account: ContextVar[JudgingCost | None] = ContextVar("account", default=None)


class Judge:
    """Asks one model, `concurrency` calls at a time, each at most `seconds` long.

    A reply that does not fit its schema may be mended once; calls that fail for the provider's own
    reasons are tried three times. With `budget_usd` no call starts once that much is spent, so the cap
    can be passed by what the calls under way cost. Replies are remembered in `cache` under everything
    that shaped them; the same prompt asked twice within one account is two questions.
    """

    def __init__(
        self,
        model: Structured,
        *,
        address: str = "",
        cache: JudgeCache | None = None,
        prices: Prices | None = None,
        budget_usd: float | None = None,
        concurrency: int = 16,
        seconds: float = 60.0,
        max_output_tokens: int = 2048,
    ) -> None:
        self.name = model.name
        self._model = model
        self._parameters = f"{model.name}\0{address}\0{max_output_tokens}"
        self._cache = cache
        self._prices = prices or Prices()
        self._budget = budget_usd
        self._room = asyncio.Semaphore(concurrency)
        self._seconds = seconds
        self._most = max_output_tokens
        self._heads: dict[type[BaseModel], Any] = {}  # hashes begun with the model and the schema
        self._account = JudgingCost()

    @property
    def fingerprint(self) -> str:
        """Return 8 hex digits over the model, its address and its parameters."""
        return hashlib.sha256(self._parameters.encode()).hexdigest()[:8]

    @property
    def bill(self) -> Bill:
        """What all that was asked took."""
        return self._account.bill

    async def close(self) -> None:
        """Close the connections and the file of remembered replies."""
        await self._model.close()
        if self._cache is not None:
            self._cache.close()

    def open(self) -> JudgingCost:
        """Start an account of its own for what this task asks from now on."""
        account = JudgingCost()
        _account.set(account)
        return account

    async def ask(self, prompt: str, shape: type[T]) -> T:
        """Return the judge's reply as a `shape`; raises ModelError and BudgetSpent."""
        key = self._key(prompt, shape)
        if self._cache is not None and (cached := self._cache.get(key)) is not None:
            with suppress(ValidationError):
                value = shape.model_validate_json(cached.text)
                self._charge(Bill(cached=1))
                return value
        async with self._room:
            value, reply = await self._patiently(prompt, shape)
        if self._cache is not None:
            tokens = reply.tokens
            text = value.model_dump_json()
            self._cache.put(key, KeptReply(text, reply.model, tokens.input_tokens, tokens.output_tokens))
        return value

    async def _patiently(self, prompt: str, shape: type[T]) -> tuple[T, Reply]:
        """Ask, and ask again when the provider fails; every call that was answered is billed."""
        for attempt in range(1, TRIES + 1):
            if self._budget is not None and (self.bill.usd or 0.0) >= self._budget:
                raise BudgetSpent
            try:
                filled = await ask(self._model, prompt, shape, self._seconds, max_output_tokens=self._most)
            except ModelError as error:
                if isinstance(error, Unfit):
                    self._charge(*map(self._price, error.replies))
                if error.error_class not in AGAIN or attempt == TRIES:
                    raise
                wait = 0.5 * 2**attempt if error.retry_after is None else error.retry_after
                await asyncio.sleep(min(wait, LONGEST_WAIT))
            else:
                self._charge(*map(self._price, filled.replies))
                return filled.value, filled.replies[-1]
        raise AssertionError("the last try returns or raises")

    def _price(self, reply: Reply) -> Bill:
        tokens = reply.tokens
        usd = self._prices.cost(self.name, tokens).usd
        return Bill(1, 0, tokens.input_tokens or 0, tokens.output_tokens or 0, usd)

    def _charge(self, *bills: Bill) -> None:
        for account in filter(None, (self._account, _account.get())):
            account.bill = sum(bills, account.bill)

    def _key(self, prompt: str, shape: type[BaseModel]) -> str:
        if shape not in self._heads:
            schema = form_of("", shape).schema
            self._heads[shape] = hashlib.sha256(f"{self._parameters}\0{schema}\0".encode())
        parts = self._heads[shape].copy()
        parts.update(prompt.encode("utf-8", "replace"))
        account = _account.get()
        if account is not None:
            account.prompts[key := parts.hexdigest()] += 1
            parts.update(b"\0%d" % account.prompts[key])
        return parts.hexdigest()


async def engage(job: JudgeJob, settings: Settings) -> Judge:
    """Return the judge of a job, ready to be asked."""
    # the caller let only models pass that can be asked for data
    engine: Any = providers.model(job.judge, settings)
    await engine.warm()  # importing its SDK takes seconds that no call should pay for
    return Judge(
        engine,
        address=job.address,
        cache=JudgeCache(Path(job.cache)) if job.cache else None,
        prices=build.prices(settings),
        budget_usd=job.budget_usd,
        concurrency=job.calls,
        seconds=job.seconds,
    )
