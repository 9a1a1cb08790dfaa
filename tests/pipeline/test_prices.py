"""Prices against the public table, and what must stay unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.model import Tokens
from pipeline.models.prices import Cost, Prices

PRICED = [
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-opus-5-5",
    "openai:gpt-6-luna",
    "openai:gpt-6.1-sol",
]
PRICED += ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"]


def test_a_known_call() -> None:
    cost = Prices().cost("anthropic:claude-haiku-5-5", Tokens(2627, 97, 2000, 123))
    assert cost.usd == pytest.approx(0.000134275)
    assert cost.version == "genai-prices 0.2.3"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PRICED), *[st.integers(0, 400_000) for _ in range(4)])
def test_equals_the_public_calculator(model: str, fresh: int, read: int, write: int, answered: int) -> None:
    import genai_prices

    provider, _, name = model.partition(":")
    usage = {"input_tokens": fresh + read + write, "output_tokens": answered, "cache_read_tokens": read}
    tokens = Tokens(fresh + read + write, answered, read, write)
    if provider == "openai" and write:  # not every OpenAI model has a write rate; theirs counts as input
        tokens = Tokens(fresh + read + write, answered, read, None)
    else:
        usage["cache_write_tokens"] = write
    theirs = genai_prices.calc_price(
        genai_prices.Usage(**usage), name, provider_id=provider, genai_request_timestamp=datetime.now(UTC)
    )
    assert Prices().cost(model, tokens).usd == pytest.approx(float(theirs.total_price), rel=1e-9)


@pytest.mark.parametrize(
    "model", ["local:smollm2", "openai:nobody-knows-me", "anthropic:gpt-6-luna", "scripted"]
)
def test_an_unknown_model_is_unpriced(model: str) -> None:
    assert Prices().cost(model, Tokens(10, 10)) == Cost(None, None)


def test_the_built_in_model_is_free_whatever_it_counts() -> None:
    assert Prices().cost("extractive", Tokens()) == Cost(0.0, "built-in")
    assert Prices().cost("extractive", Tokens(5, 5)) == Cost(0.0, "built-in")


def test_overrides_win() -> None:
    own = {"input_per_million": 2.0, "output_per_million": 8.0, "cache_read_per_million": 0.5}
    prices = Prices({"local:mine": own, "openai:gpt-6-luna": own})
    for model in ("local:mine", "openai:gpt-6-luna"):
        cost = prices.cost(model, Tokens(1_000_000, 1_000_000, 400_000, 100_000))
        assert cost.usd == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 8.0)
        assert cost.version == "config"


def test_missing_counts_are_an_unknown_cost() -> None:
    assert Prices().cost("openai:gpt-6-luna", Tokens(input_tokens=5)).usd is None


def test_rates_are_those_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.models import prices as module

    asked: list[date] = []
    day = date(2026, 11, 23)
    monkeypatch.setattr(module, "_look_up", lambda model, on: asked.append(on))
    prices = Prices(today=lambda: day)
    prices.cost("openai:m", Tokens(1, 1))
    prices.cost("openai:m", Tokens(1, 1))
    day = date(2026, 11, 24)
    prices.cost("openai:m", Tokens(1, 1))
    assert asked == [date(2026, 11, 23), date(2026, 11, 24)]
