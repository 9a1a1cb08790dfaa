"""The one way to a model: breaker, one retry, fallback, and an answer without any provider."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from pipeline.breaker import Breaker, BreakerReport, Policy, Transition
from pipeline.errors import AnswerdeckError, ErrorClass, ModelError
from pipeline.models.attempt import LONGEST_WAIT, Attempt, AttemptContext
from pipeline.models.broken import SoFar
from pipeline.models.model import AnswerEvent, Model, Prompt, Stop, Tokens, disconnect
from pipeline.models.pace import Pace
from pipeline.models.prices import Prices
from pipeline.models.usage import estimate_tokens
from traces.recorder import Recorder

MOST_CALLS = 3  # of providers, per request
MOST_BREAKS = 2  # within one answer; then no provider is asked to go on
BACK_OFF_SECONDS = 0.25
TIME_TO_ANSWER = 1.0  # a retry that leaves less than this is not worth its wait
LAST_RESORT_SECONDS = 2.0  # it works from what is in memory, also when the turn's time is over

# Worth asking the same model again, before its first token.
AGAIN: frozenset[ErrorClass] = frozenset(
    {"rate_limited", "overloaded", "provider_5xx", "protocol", "cut", "empty"}
)


class Retries:
    """A budget: each call earns a part of a retry, so that retries stay a small share of the calls."""

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._saved = most / 2  # a process that just started may retry too

    def earn(self) -> None:
        self._saved = min(self._most, self._saved + self._share)

    def take(self) -> bool:
        """Spend one retry, if there is one."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Time:
    """What a gateway knows of time; `jitter` gives a share of a wait, from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


class Gateway:
    """Streams answers from the first of `models` that can, else from `last_resort`.

    `make` builds a model that is asked for by name but not configured.
    """

    def __init__(
        self,
        models: Sequence[Model],
        last_resort: Model,
        *,
        prices: Prices,
        policy: Policy | None = None,
        make: Callable[[str], Model] | None = None,
        on_change: Callable[[Transition], None] | None = None,
        paces: Mapping[str, Pace] | None = None,  # by provider
        timing: Time = Time(),
    ) -> None:
        self.breakers: dict[str, Breaker] = {}
        self._chain = tuple(model for model in models if model.name != last_resort.name)
        self._last_resort = last_resort
        self._models = {model.name: model for model in (*models, last_resort)}
        self._prices = prices
        self._policy = policy
        self._make = make
        self._on_change = on_change
        self._paces = paces or {}
        self._clock, self._sleep, self._jitter = timing.clock, timing.sleep, timing.jitter
        self._retries = Retries()
        for model in self._chain:
            self._breaker(model)

    async def stream(
        self,
        prompt: Prompt,
        recorder: Recorder,
        seconds: float,
        purpose: str = "answer",
        model: str | None = None,
        first: str | None = None,
        alone: bool = False,
    ) -> AsyncGenerator[AnswerEvent]:
        """Yield Text… then exactly one Stop; record every call on the recorder.

        With `model`, that model answers or ModelError is raised: it is never replaced. Without,
        `first` is asked before the others (or `alone`), and the last resort answers when no other can and
        `Stop.degraded` says why (for the purpose "answer" only). When an answer's stream breaks after its
        first token, Broken follows and one more call goes on, else the last resort; `Stop.broken` says why.
        What nobody goes on with ends with `Stop.cut`. context_overflow is raised, so that the caller can
        trim its prompt and ask once more.
        Close the iterator (`aclosing`) before closing the recorder: closing records the call.
        """
        ask = AttemptContext(prompt, recorder, purpose, self._prices, self._clock)
        deadline = self._clock() + seconds
        chain = self._chosen(model, first)[: 1 if alone else None]
        error: ModelError | None = None
        calls, so_far = 0, SoFar(prompt)
        for candidate in chain:
            for number in (1, 2):
                ask = replace(ask, prompt=so_far.prompt, goes_on=so_far.breaks > 0)
                attempt = await self._ready(ask, candidate, number, deadline)
                if not isinstance(attempt, Attempt):
                    error = attempt or error
                    break
                async with aclosing(_heard(attempt, deadline - self._clock(), so_far)) as events:
                    async for event in events:
                        yield event
                self._correct(ask, candidate, attempt)
                if (stop := _ended(attempt, candidate, so_far, answer=purpose == "answer")) is not None:
                    yield stop
                    return
                calls = calls + 1 if so_far.breaks < MOST_BREAKS else MOST_CALLS
                error = _final(attempt)
                wait = self._wait(error, number, calls, deadline)
                if wait is None:
                    break
                await self._sleep(wait)
            if calls >= MOST_CALLS or deadline - self._clock() <= 0:
                break
        async with aclosing(self._last(ask, error, so_far, replaced=model is None)) as events:
            async for event in events:
                yield event

    async def _ready(
        self, ask: AttemptContext, candidate: Model, number: int, deadline: float
    ) -> Attempt | ModelError | None:
        """Return the attempt to make, or why there is none; None when the breaker shuts out a retry."""
        late = await self._pace(ask, candidate, deadline)
        if late is not None:
            return late
        attempt = self._admit(ask, candidate, number)
        if attempt is not None:
            return attempt
        skipped = self._skip(ask, candidate)
        return skipped if number == 1 else None

    async def _last(
        self, ask: AttemptContext, error: ModelError | None, so_far: SoFar, *, replaced: bool
    ) -> AsyncGenerator[AnswerEvent]:
        """End what no model of the chain could end; raises the error where nothing may take its place."""
        if so_far.cut is not None:
            async with aclosing(self._completed(ask, error, so_far, replaced=replaced)) as events:
                async for event in events:
                    yield event
            return
        if error is not None and (not replaced or ask.purpose != "answer"):
            raise error
        async with aclosing(self._resort(ask, error)) as events:
            async for event in events:
                yield event

    async def _completed(
        self, ask: AttemptContext, error: ModelError | None, so_far: SoFar, *, replaced: bool
    ) -> AsyncGenerator[AnswerEvent]:
        """Let the last resort go on after a half sentence, if it has something to say; else end there."""
        assert so_far.cut is not None
        events: list[AnswerEvent] = []
        if replaced and so_far.resorts(error):
            with suppress(ModelError):
                events = [
                    event
                    async for event in self._resort(replace(ask, prompt=so_far.first, goes_on=True), error)
                ]
        stop = events[-1] if events else None
        if not isinstance(stop, Stop) or stop.abstained:
            yield so_far.cut
            return
        for event in (*so_far.mark(resort=True), *events[:-1], replace(stop, broken=so_far.cut.cut)):
            yield event

    async def _resort(self, ask: AttemptContext, error: ModelError | None) -> AsyncGenerator[AnswerEvent]:
        """Answer with the last resort, marked by what led here; unmarked when it is the choice."""
        attempt = Attempt(ask, self._last_resort, 1, None, None)
        async with aclosing(attempt.stream(LAST_RESORT_SECONDS)) as texts:
            async for text in texts:
                yield text
        stop = _ended(attempt, self._last_resort, SoFar(ask.prompt), answer=False)
        if stop is None:
            raise _final(attempt)
        yield replace(stop, degraded=error.error_class if error else None)

    def doubt(self, name: str, reason: str) -> None:
        """Look anew whether a model answers: another machine met failures of it."""
        if name in self.breakers:
            self.breakers[name].doubt(reason)

    def report(self) -> list[BreakerReport]:
        """Return the state of each model's breaker."""
        return [breaker.report() for breaker in self.breakers.values()]

    async def warm(self, *names: str) -> None:
        """Import SDKs and prices now, for these models too; the first turn is then as fast as the next."""
        for model in (*self._chain, *(self._named(name) for name in names)):
            if warm := getattr(model, "warm", None):
                await warm()
            await asyncio.to_thread(self._prices.rates, model.name)

    async def close(self) -> None:
        """Close the models' connections."""
        for model in self._models.values():
            await disconnect(model)

    def quote(
        self, input_tokens: int, output_tokens: int, model: str | None = None, first: str | None = None
    ) -> float | None:
        """Return what one call of the dearest model that may answer would cost; None if one is unpriced."""
        tokens = Tokens(input_tokens, output_tokens)
        costs = [self._prices.cost(candidate.name, tokens).usd for candidate in self._chosen(model, first)]
        prices = [cost for cost in costs if cost is not None]
        return max(prices, default=0.0) if len(prices) == len(costs) else None

    def room(self, model: str | None = None, *others: str) -> int | None:
        """Return the tokens that every provider's model which may answer can read; None if unknown."""
        named = {candidate.name for candidate in self._chosen(model, None)} | set(others)
        windows = [self._prices.window(name) for name in named if name != self._last_resort.name]
        sizes = [window for window in windows if window is not None]
        return min(sizes) if sizes and len(sizes) == len(windows) else None

    def _chosen(self, model: str | None, first: str | None) -> tuple[Model, ...]:
        if model is not None:
            return (self._named(model),)
        if first is None:
            return self._chain
        head = self._named(first)
        return (head, *(other for other in self._chain if other is not head))

    async def _pace(self, ask: AttemptContext, model: Model, deadline: float) -> ModelError | None:
        """Wait until the provider's limits allow a call; an error when that takes too long."""
        pace = self._paces.get(model.name.partition(":")[0])
        if pace is None:
            return None
        tokens = _most_tokens(ask.prompt)
        wait = pace.wait(tokens)
        if wait + TIME_TO_ANSWER > deadline - self._clock():
            return ModelError("rate_limited", f"{model.name}: our own pace would wait {wait:.1f} s")
        pace.take(tokens)
        if wait > 0:
            with ask.recorder.span(f"pace · {model.name}", "model", model=model.name, waited_seconds=wait):
                await self._sleep(wait)
        return None

    def wrap(self, wrapped: Callable[[Model], Model]) -> None:
        """Put a wrapping around every model, those made later included; for evals that remember answers."""
        self._models = {name: wrapped(model) for name, model in self._models.items()}
        self._chain = tuple(wrapped(model) for model in self._chain)
        if (make := self._make) is not None:
            self._make = lambda name: wrapped(make(name))

    def _correct(self, ask: AttemptContext, model: Model, attempt: Attempt) -> None:
        """Give back to the pace what was counted for the call and not used."""
        if (pace := self._paces.get(model.name.partition(":")[0])) is not None:
            used = attempt.tokens()
            pace.correct(_most_tokens(ask.prompt) - (used.input_tokens or 0) - (used.output_tokens or 0))

    def _named(self, name: str) -> Model:
        if name not in self._models:
            if self._make is None:
                raise ModelError("config", f"{name!r} is not configured; use {', '.join(self._models)}")
            try:
                self._models[name] = self._make(name)
            except (AnswerdeckError, ValueError) as error:
                raise ModelError("config", f"{name!r} cannot be used: {error}") from None
        return self._models[name]

    def _breaker(self, model: Model) -> Breaker | None:
        if model is self._last_resort:
            return None
        if model.name not in self.breakers:
            self.breakers[model.name] = Breaker(
                model.name, self._policy, clock=self._clock, jitter=self._jitter, on_change=self._on_change
            )
        return self.breakers[model.name]

    def _admit(self, ask: AttemptContext, model: Model, number: int) -> Attempt | None:
        """Return an attempt that the breaker lets through, or None."""
        breaker = self._breaker(model)
        permit = breaker.admit() if breaker else None
        if breaker is not None and permit is None:
            return None
        if number == 1:
            self._retries.earn()
        return Attempt(ask, model, number, breaker, permit)

    def _skip(self, ask: AttemptContext, model: Model) -> ModelError:
        state = self.breakers[model.name].state
        with ask.recorder.span(f"model · {model.name}", "model", model=model.name, breaker=state) as span:
            span.error = "breaker_open"
            span.note(error_class="breaker_open", purpose=ask.purpose)
        return ModelError("breaker_open", f"{model.name}: resting after failures, {state}")

    def _wait(self, error: ModelError, number: int, calls: int, deadline: float) -> float | None:
        """Return the seconds to wait before asking the same model again, or None to go on."""
        if number > 1 or calls >= MOST_CALLS or error.error_class not in AGAIN:
            return None
        wait = BACK_OFF_SECONDS if error.retry_after is None else error.retry_after
        wait += self._jitter() * BACK_OFF_SECONDS
        left = deadline - self._clock()
        if (error.retry_after or 0.0) > LONGEST_WAIT or wait + TIME_TO_ANSWER > left:
            return None
        return wait if self._retries.take() else None


async def _heard(attempt: Attempt, seconds: float, so_far: SoFar) -> AsyncGenerator[AnswerEvent]:
    """Yield the texts of an attempt, after a mark where it goes on with what broke off."""
    async with aclosing(attempt.stream(seconds)) as texts:
        async for text in texts:
            for mark in so_far.hear(text.text):
                yield mark
            yield text


def _ended(attempt: Attempt, model: Model, so_far: SoFar, *, answer: bool) -> Stop | None:
    """Return the Stop of an attempt whose texts stand, or None when another may be made or go on."""
    before = so_far.cut.cut if so_far.cut is not None else None
    if attempt.stop is not None and attempt.error is None:
        return replace(attempt.stop, model=model.name, broken=before)
    error = _final(attempt)
    if attempt.characters:
        so_far.broke(error.error_class, attempt.tokens(), model.name)
        return None if answer else so_far.cut
    if before is not None:
        return None
    if error.error_class == "refused":
        return Stop("refusal", estimate_tokens(so_far.first, 0), model.name, request_id=error.request_id)
    if error.error_class == "context_overflow":
        raise error
    return None


def _most_tokens(prompt: Prompt) -> int:
    return (estimate_tokens(prompt, 0).input_tokens or 0) + prompt.max_output_tokens


def _final(attempt: Attempt) -> ModelError:
    return attempt.error or ModelError("internal", "the attempt ended with neither a stop nor an error")
