"""What a model call costs: dated public rates, our own overrides, and None for what nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from pipeline.models.model import Tokens

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

FREE = "extractive"


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one call, and which table it came from. None is unknown, not free."""

    usd: float | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars per million tokens, higher for every token once the prompt passes a threshold."""

    base: float
    steps: tuple[tuple[int, float], ...] = ()  # (prompt tokens above which, dollars), rising

    def at(self, input_tokens: int) -> float:
        price = self.base
        for start, above in self.steps:
            if input_tokens > start:
                price = above
        return price


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's rates. Without a cache rate, cached tokens cost what others cost."""

    input: Rate
    output: Rate
    cache_read: Rate | None
    cache_write: Rate | None
    version: str

    def cost(self, tokens: Tokens) -> float | None:
        """Return the dollars for these tokens, or None when a count is missing."""
        input_tokens, answered = tokens.input_tokens, tokens.output_tokens
        if input_tokens is None or answered is None:
            return None
        read, write = tokens.cache_read_tokens or 0, tokens.cache_write_tokens or 0
        dollars = (
            (input_tokens - read - write) * self.input.at(input_tokens)
            + read * (self.cache_read or self.input).at(input_tokens)
            + write * (self.cache_write or self.input).at(input_tokens)
            + answered * self.output.at(input_tokens)
        )
        return dollars / 1_000_000


BUILT_IN = Rates(Rate(0.0), Rate(0.0), None, None, "built-in")


class Prices:
    """Prices calls by model name, for example "anthropic:claude-haiku-5-5".

    `overrides` are for negotiated or self-hosted models: {name: {input_per_million,
    output_per_million, cache_read_per_million?, cache_write_per_million?}}. Other names are looked
    up in genai-prices, once a day each, because its rates carry dates.
    """

    def __init__(
        self,
        overrides: Mapping[str, Mapping[str, float]] | None = None,
        *,
        windows: Mapping[str, int] | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._today = today
        self._windows = dict(windows or {})
        self._own = {name: _override(values) for name, values in (overrides or {}).items()}
        self._own.setdefault(FREE, BUILT_IN)
        self._seen: dict[str, int | None] = {}
        self._found: dict[tuple[str, date], Rates | None] = {}

    def cost(self, model: str, tokens: Tokens) -> Cost:
        """Return what a call cost; `Cost(None, None)` for an unpriced model."""
        rates = self.rates(model)
        if rates is None:
            return Cost(None, None)
        if rates is BUILT_IN:
            return Cost(0.0, rates.version)  # whatever it counted
        return Cost(rates.cost(tokens), rates.version)

    def window(self, model: str) -> int | None:
        """Return how many tokens a model reads at most, as configured or published; None if unknown."""
        provider = model.partition(":")[0]
        if provider in self._windows:
            return self._windows[provider]
        if model not in self._seen:
            self._seen[model] = _window(model)
        return self._seen[model]

    def rates(self, model: str) -> Rates | None:
        """Return today's rates of a model, or None when it is unpriced."""
        if own := self._own.get(model):
            return own
        key = (model, self._today())
        if key not in self._found:
            self._found[key] = _look_up(*key)
        return self._found[key]


def _window(model: str) -> int | None:
    """Return the context of a model in the public table."""
    provider, _, name = model.partition(":")
    if provider not in ("openai", "anthropic"):
        return None
    from genai_prices import data_snapshot

    try:
        return data_snapshot.get_snapshot().find_provider_model(name, None, provider, None)[1].context_window
    except LookupError:
        return None


def _override(values: Mapping[str, float]) -> Rates:
    read, write = values.get("cache_read_per_million"), values.get("cache_write_per_million")
    return Rates(
        Rate(values["input_per_million"]),
        Rate(values["output_per_million"]),
        None if read is None else Rate(read),
        None if write is None else Rate(write),
        "config",
    )


def _look_up(model: str, day: date) -> Rates | None:
    """Return the public rates of a day; importing the table takes some tenths of a second, once."""
    provider, _, name = model.partition(":")
    if provider not in ("openai", "anthropic"):
        return None
    import genai_prices
    from genai_prices import data_snapshot

    try:
        _, info = data_snapshot.get_snapshot().find_provider_model(name, None, provider, None)
    except LookupError:
        return None
    return _rates(
        info.get_prices(datetime.combine(day, time(12), UTC)), f"genai-prices {genai_prices.__version__}"
    )


def _rates(price: ModelPrice, version: str) -> Rates | None:
    input_rate, answered = _rate(price.input_mtok), _rate(price.output_mtok)
    if input_rate is None or answered is None:
        return None
    return Rates(input_rate, answered, _rate(price.cache_read_mtok), _rate(price.cache_write_mtok), version)


def _rate(price: object) -> Rate | None:
    if price is None:
        return None
    if not hasattr(price, "tiers"):
        return Rate(float(str(price)))
    tiered: TieredPrices = price  # type: ignore[assignment]  # the table holds decimals and these only
    steps = sorted((tier.start, float(tier.price)) for tier in tiered.tiers)
    return Rate(float(tiered.base), tuple(steps))
