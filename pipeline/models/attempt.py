"""One call of one model: streamed, timed, priced and judged, whatever becomes of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from pipeline.breaker import Breaker, Permit
from pipeline.errors import ErrorClass, ModelError
from pipeline.models.model import Model, ModelEvent, Prompt, Stop, Text, Tokens, Unsaid
from pipeline.models.prices import Cost, Prices
from pipeline.models.usage import estimate_tokens
from pipeline.models.waiting import lateness
from traces.recorder import OpenSpan, Recorder
from traces.records import Usage

logger = logging.getLogger(__name__)

LONGEST_WAIT = 5.0  # seconds; a provider that asks for more is left alone

# Turned away before any work was done: nothing to pay.
UNBILLED: frozenset[ErrorClass] = frozenset(
    {
        "connect",
        "dns",
        "tls",
        "timeout_connect",
        "rate_limited",
        "overloaded",
        "provider_5xx",
        "auth",
        "bad_request",
        "context_overflow",
        "config",
    }
)
# These say nothing about the provider's health.
NEUTRAL: frozenset[ErrorClass] = frozenset(
    {"context_overflow", "refused", "bad_request", "deadline", "cancelled", "internal", "config", "truncated"}
)


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What all attempts of one request share."""

    prompt: Prompt
    recorder: Recorder
    purpose: str
    prices: Prices
    clock: Callable[[], float]
    goes_on: bool = False  # with an answer that broke off


class Attempt:
    """Ask `model` once. After `stream` ended, either `stop` or `error` is set."""

    def __init__(
        self, ask: AttemptContext, model: Model, number: int, breaker: Breaker | None, permit: Permit | None
    ) -> None:
        self.stop: Stop | None = None
        self.error: ModelError | None = None
        self.characters = 0
        self._ask = ask
        self._model = model
        self._number = number
        self._breaker = breaker
        self._permit = permit
        self._began = 0.0
        self._first_token_seconds: float | None = None
        self._lateness = lateness()
        self._late = 0.0  # how late our own loop had been when the model was asked

    async def stream(self, seconds: float) -> AsyncGenerator[Text]:
        """Yield the texts as they come; leave the model's Stop in `stop`, its failure in `error`."""
        name, state = self._model.name, self._breaker.state if self._breaker else None
        with self._ask.recorder.span(
            f"model · {name}",
            "model",
            model=name,
            attempt=self._number,
            breaker=state,
            purpose=self._ask.purpose,
            goes_on=self._ask.goes_on or None,
        ) as span:
            self._began = self._ask.clock()
            try:
                async with aclosing(self._events(seconds)) as events:
                    async for event in events:
                        if isinstance(event, Stop):
                            self.stop = event
                            break
                        self._heard(event)
                        yield event
                if self.stop is None:
                    self.error = ModelError("protocol", f"{name}: ended without a Stop")
            except Unsaid as error:
                self.error, self.stop = error, error.stop
            except ModelError as error:
                self.error = error
            except Exception as error:  # a model's own fault must not break the turn
                logger.exception("turn %s: %s failed", self._ask.recorder.turn.turn_id, name)
                self.error = ModelError("internal", f"{name}: {type(error).__name__}")
            finally:
                self._settle()
                self._record(span)

    async def _events(self, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield what the model says; its clock starts when it is really asked."""
        if (warm := getattr(self._model, "warm", None)) is not None:
            await warm()  # importing an SDK is our time, not the provider's
        self._began = self._ask.clock()
        events = self._model.stream(self._ask.prompt, seconds)
        with self._lateness.watched():
            self._late = self._lateness.seconds
            async with aclosing(events):
                async for event in events:
                    yield event

    @property
    def error_class(self) -> ErrorClass | None:
        """What went wrong; "cancelled" when nobody waited for the end."""
        if self.error is not None:
            return self.error.error_class
        return None if self.stop is not None else "cancelled"

    def tokens(self) -> Tokens:
        """Return the counts of a whole answer, or an estimate of a broken one."""
        if self.stop is not None:
            return self.stop.tokens
        return estimate_tokens(self._ask.prompt, self.characters)

    def _heard(self, text: Text) -> None:
        if self._first_token_seconds is None:
            self._first_token_seconds = self._ask.clock() - self._began
            if self._permit is not None:
                self._permit.started(self._providers(self._first_token_seconds))
        self.characters += len(text.text)

    def _providers(self, seconds: float) -> float:
        """Return what the provider took of some seconds: without those in which our own loop stood still."""
        return max(seconds - (self._lateness.seconds - self._late), 0.0)

    def _settle(self) -> None:
        """Tell the breaker how it went."""
        if self._breaker is None or self._permit is None:
            return
        error = self.error
        if error is None:
            if self.stop is not None and self._first_token_seconds is None:
                self._permit.started(self._providers(self._ask.clock() - self._began))
        elif error.error_class == "auth" or error.status == 404:
            self._breaker.trip(str(error))
        elif error.error_class not in NEUTRAL and not asks_to_wait(error):
            self._permit.failed(error.error_class)
        self._permit.left()

    def _record(self, span: OpenSpan) -> None:
        error_class = self.error_class
        unpaid = error_class in UNBILLED and not self.characters
        tokens = Tokens() if unpaid else self.tokens()
        cost = Cost(0.0, "not billed") if unpaid else self._ask.prices.cost(self._model.name, tokens)
        if self.stop is not None and self.stop.cache is not None:
            cost = Cost(0.0, self.stop.cache)
        reported = self.stop or self.error
        span.error = error_class
        span.note(
            error_class=error_class,
            status=self.error.status if self.error else None,
            detail=str(self.error) if self.error else None,
            request_id=reported.request_id if reported else None,
            reported_model=self.stop.model if self.stop else None,
            thought_characters=len(self.stop.thought) if self.stop and self.stop.thought else None,
            first_token_seconds=self._first_token_seconds,
        )
        if self.stop is not None and self.stop.chosen_by is not None:
            span.note(chosen_by=self.stop.chosen_by)
        self._ask.recorder.used(
            Usage(
                turn_id="",  # the recorder fills in both
                call=0,
                purpose=self._ask.purpose,
                model=self._model.name,
                input_tokens=tokens.input_tokens,
                output_tokens=tokens.output_tokens,
                cache_read_tokens=tokens.cache_read_tokens,
                cache_write_tokens=tokens.cache_write_tokens,
                estimated=tokens.estimated,
                cost_usd=cost.usd,
                price_version=cost.version,
                first_token_seconds=self._first_token_seconds,
                seconds=self._ask.clock() - self._began,
                stop_reason=self.stop.reason if self.stop else None,
                error_class=error_class,
            )
        )


def asks_to_wait(error: ModelError) -> bool:
    """Say whether this is back-pressure that a short wait satisfies."""
    waits = error.error_class == "rate_limited" and error.retry_after is not None
    return waits and (error.retry_after or 0.0) <= LONGEST_WAIT
