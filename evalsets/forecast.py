"""What a month will cost: from the conversations that were had, at today's prices of any model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal

import numpy as np

from evalsets.metrics.stats import bootstrap
from pipeline.errors import AnswerdeckError
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices, Rates
from traces.queries.costs import Calls

LEAST_TURNS = 30  # under which traffic says too little
LEAST_DAYS = 3
ROUNDS = 4000
MOST_UNPRICED = 0.2  # of the turns; with more, nobody can say
Caching = Literal["observed", "on", "off"]


class TooLittle(AnswerdeckError):
    """There is not enough traffic to forecast from, or something it cannot know."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Tokens in and out of a model for one purpose, a turn, in means."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Basis:
    """What a forecast rests on, in means."""

    turns: int
    conversations: int
    turns_per_conversation: float
    tokens_per_turn: dict[str, Flow]  # by purpose
    cached_share: float
    estimated_calls: int | None  # None where all of it is assumed

    @property
    def assumed(self) -> bool:
        """Whether somebody imagined it."""
        return self.estimated_calls is None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the basis."""
        fields = asdict(self)
        return {**fields, "assumed": True} if fields.pop("estimated_calls") is None else asdict(self)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The calls of some conversations."""

    rows: Sequence[Calls]

    @property
    def conversations(self) -> int:
        return len({row.conversation_id for row in self.rows})

    @property
    def turns(self) -> int:
        return len({row.turn_id for row in self.rows})

    @property
    def cached_share(self) -> float:
        """The share of the input tokens that were read from a cache."""
        input_tokens = sum(row.input_tokens or 0 for row in self.rows)
        return sum(row.cache_read_tokens or 0 for row in self.rows) / input_tokens if input_tokens else 0.0

    def basis(self) -> Basis:
        """Return what the forecast rests on."""
        turns, talks = max(self.turns, 1), max(self.conversations, 1)
        flows: dict[str, Flow] = defaultdict(lambda: Flow(0.0, 0.0))
        for row in self.rows:
            if row.purpose is not None:
                flow, tokens = flows[row.purpose], (row.input_tokens or 0, row.output_tokens or 0)
                flows[row.purpose] = Flow(flow.input + tokens[0] / turns, flow.output + tokens[1] / turns)
        estimated = sum(row.estimated or 0 for row in self.rows)
        return Basis(
            self.turns, self.conversations, self.turns / talks, dict(flows), self.cached_share, estimated
        )


@dataclass(frozen=True, slots=True)
class Assumed:
    """A conversation as somebody imagines it, where there is no traffic."""

    turns: float = 3.0
    input: float = 2000.0
    output: float = 200.0
    cached_share: float = 0.0

    def basis(self) -> Basis:
        """Return what the forecast rests on."""
        flows = {"answer": Flow(self.input, self.output)}
        return Basis(0, 0, self.turns, flows, self.cached_share, None)

    def cost(self, rates: Rates, scale: float, caching: Caching) -> float:
        share = 0.0 if caching == "off" else self.cached_share
        input_tokens = round(self.input * scale)
        tokens = Tokens(input_tokens, round(self.output), round(input_tokens * share))
        return (rates.cost(tokens) or 0.0) * self.turns


@dataclass(frozen=True, slots=True)
class Forecast:
    """Dollars a month with one model; None where its price is not known, no interval where assumed."""

    model: str
    usd: float | None
    low: float | None
    high: float | None
    per_conversation: float | None
    prices: str | None  # which table
    unpriced: int = 0  # turns without a price: taken as the mean, the interval from nothing to the dearest


def forecast_costs(
    basis: Traffic | Assumed,
    models: Sequence[str],
    prices: Prices,
    *,
    conversations: int,
    scale: float = 1.0,
    caching: Caching = "observed",
    seed: int = 0,
) -> list[Forecast]:
    """Return what `conversations` a month would cost with each model, and as it was ("as answered").

    `scale` multiplies the prompts. The interval is a 95 % bootstrap over conversations: it says how
    well the mean is known if traffic stays alike, not how traffic will change. Raises TooLittle.
    """
    _enough(basis, caching)
    forecasts: list[Forecast] = []
    if isinstance(basis, Traffic) and scale == 1.0 and caching == "observed":
        forecasts.append(_as_answered(basis, conversations, seed))
    for name in models:
        rates = prices.rates(name)
        if rates is None:
            forecasts.append(Forecast(name, None, None, None, None, None))
        elif isinstance(basis, Assumed):
            each = basis.cost(rates, scale, caching)
            forecasts.append(Forecast(name, each * conversations, None, None, each, rates.version))
        else:
            costs = _costs(basis, rates, scale, caching)
            forecasts.append(_summed(name, costs, conversations, seed, rates.version))
    return forecasts


@dataclass(frozen=True, slots=True)
class Projection:
    """Dollars at the month's end, with a 95 % interval; None where too few days are known."""

    spent: float
    usd: float | None
    low: float | None
    high: float | None
    days: int  # that it rests on


def project(by_day: Mapping[date, float], today: date, days_left: int, seed: int = 0) -> Projection:
    """Return the month's cost if the days left are like the last 28 whole ones (resampled days)."""
    spent = sum(usd for day, usd in by_day.items() if (day.year, day.month) == (today.year, today.month))
    daily = [usd for day, usd in sorted(by_day.items()) if day < today][-28:]
    if len(daily) < LEAST_DAYS:
        return Projection(spent, None, None, None, len(daily))
    random = np.random.default_rng(seed)
    sums = random.choice(np.array(daily), size=(ROUNDS, max(days_left, 0))).sum(axis=1)
    low, high = np.quantile(sums, (0.025, 0.975))
    return Projection(
        spent,
        spent + float(np.mean(daily)) * days_left,
        spent + float(low),
        spent + float(high),
        len(daily),
    )


def _enough(basis: Traffic | Assumed, caching: Caching) -> None:
    if isinstance(basis, Traffic) and basis.turns < LEAST_TURNS:
        raise TooLittle(
            f"{basis.turns} turns are recorded, a forecast needs {LEAST_TURNS};"
            " give --assume turns=3,input=2000,output=200 to calculate without traffic"
        )
    share = basis.cached_share
    if caching == "on" and not share:
        raise TooLittle(
            "no cached token was seen, so nobody knows how many there would be;"
            " give --assume turns=3,input=2000,output=200,cached_share=0.5"
        )


def _as_answered(traffic: Traffic, conversations: int, seed: int) -> Forecast:
    """Return what it cost as it was; turns without a price are bounded by nothing and the dearest turn."""
    priced: dict[tuple[str, str], float] = defaultdict(float)
    for row in traffic.rows:
        priced[row.conversation_id, row.turn_id] += row.cost_usd or 0.0
    unknown = {(row.conversation_id, row.turn_id) for row in traffic.rows if row.unpriced}
    prices = [usd for key, usd in priced.items() if key not in unknown]
    if not prices or len(unknown) > MOST_UNPRICED * len(priced):
        return Forecast("as answered", None, None, None, None, None, len(unknown))

    def talks(each: float) -> list[float]:
        costs: dict[str, float] = defaultdict(float)
        for key, usd in priced.items():
            costs[key[0]] += usd + (each if key in unknown else 0.0)
        return list(costs.values())

    total = _summed("as answered", talks(float(np.mean(prices))), conversations, seed, "as recorded")
    if not unknown:
        return total
    least, most = bootstrap(talks(0.0), seed)[0], bootstrap(talks(max(prices)), seed)[1]
    return replace(total, low=least * conversations, high=most * conversations, unpriced=len(unknown))


def _costs(traffic: Traffic, rates: Rates, scale: float, caching: Caching) -> list[float]:
    """Return what each conversation would have cost at these rates."""
    costs: dict[str, float] = defaultdict(float)
    for row in traffic.rows:
        read, write = row.cache_read_tokens or 0, row.cache_write_tokens or 0
        if caching == "off":
            read = write = 0
        size, answer = (row.input_tokens or 0) * scale, row.output_tokens or 0
        tokens = Tokens(round(size), answer, round(read * scale), round(write * scale))
        costs[row.conversation_id] += rates.cost(tokens) or 0.0
    return list(costs.values())


def _summed(name: str, costs: list[float], conversations: int, seed: int, version: str) -> Forecast:
    mean = float(np.mean(costs))
    low, high = bootstrap(costs, seed)
    return Forecast(name, mean * conversations, low * conversations, high * conversations, mean, version)
