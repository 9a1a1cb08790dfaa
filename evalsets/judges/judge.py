"""A judge: a model that is asked for verdicts, within limits, priced, counted and remembered."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evalsets.judges.cache import Cache, Kept
from pipeline.errors import ErrorClass, ModelError
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.models.structured import Reply, Structured, Unfit, ask, form_of

T = TypeVar("T", bound=BaseModel)
AGAIN: tuple[ErrorClass, ...] = (
    "rate_limited", "overloaded", "provider_5xx", "timeout_connect", "connect", "cut", "empty"
)  # fmt: skip
TRIES = 3
LONGEST_WAIT = 30.0  # seconds between two tries


class BudgetSpent(Exception):
    """The spending cap is reached; nothing more is asked."""


@dataclass(slots=True)
class Bill:
    """What some judging took. `usd` is None as soon as one call has no known price."""

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    asked: Counter[str] = field(default_factory=Counter)  # how often each prompt was asked

    def add(self, tokens: Tokens, usd: float | None) -> None:
        self.calls += 1
        self.input_tokens += tokens.input_tokens or 0
        self.output_tokens += tokens.output_tokens or 0
        self.usd = None if usd is None or self.usd is None else self.usd + usd


_bill: ContextVar[Bill | None] = ContextVar("bill", default=None)


class Judge:
    """Asks one model, `concurrency` calls at a time, each at most `seconds` long.

    A reply that does not fit its schema may be mended once; calls that fail for the provider's own
    reasons are tried three times. With `budget_usd` no call starts once that much is spent, so the cap
    can be passed by what the calls under way cost. Replies are remembered in `cache` under everything
    that shaped them; the same prompt asked twice within one `bill` is two questions.
    """

    def __init__(
        self,
        model: Structured,
        *,
        address: str = "",
        cache: Cache | None = None,
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
        self.bill = Bill()

    @property
    def fingerprint(self) -> str:
        """Return 8 hex digits over the model, its address and its parameters."""
        return hashlib.sha256(self._parameters.encode()).hexdigest()[:8]

    def open(self) -> Bill:
        """Start a bill of its own for what this task asks from now on."""
        bill = Bill()
        _bill.set(bill)
        return bill

    async def ask(self, prompt: str, shape: type[T]) -> T:
        """Return the judge's reply as a `shape`; raises ModelError and BudgetSpent."""
        key = self._key(prompt, shape)
        if self._cache is not None and (kept := self._cache.get(key)) is not None:
            with suppress(ValidationError):
                value = shape.model_validate_json(kept.text)
                for bill in self._bills():
                    bill.cached += 1
                return value
        async with self._room:
            value, reply = await self._patiently(prompt, shape)
        if self._cache is not None:
            tokens = reply.tokens
            text = value.model_dump_json()
            self._cache.put(key, Kept(text, reply.model, tokens.input_tokens, tokens.output_tokens))
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
                    self._charge(error.replies)
                if error.error_class not in AGAIN or attempt == TRIES:
                    raise
                wait = 0.5 * 2**attempt if error.retry_after is None else error.retry_after
                await asyncio.sleep(min(wait, LONGEST_WAIT))
            else:
                self._charge(filled.replies)
                return filled.value, filled.replies[-1]
        raise AssertionError("the last try returns or raises")

    def _charge(self, replies: tuple[Reply, ...]) -> None:
        for reply in replies:
            usd = self._prices.cost(self.name, reply.tokens).usd
            for bill in self._bills():
                bill.add(reply.tokens, usd)

    def _bills(self) -> tuple[Bill, ...]:
        own = _bill.get()
        return (self.bill,) if own is None else (self.bill, own)

    def _key(self, prompt: str, shape: type[BaseModel]) -> str:
        if shape not in self._heads:
            schema = form_of("", shape).schema
            self._heads[shape] = hashlib.sha256(f"{self._parameters}\0{schema}\0".encode())
        parts = self._heads[shape].copy()
        parts.update(prompt.encode("utf-8", "replace"))
        own = _bill.get()
        if own is not None:
            own.asked[key := parts.hexdigest()] += 1
            parts.update(b"\0%d" % own.asked[key])
        return parts.hexdigest()
