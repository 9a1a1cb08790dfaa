"""What a chatbot of internet scale needs: a month's busy hour played and held against one machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evalsets.forecast import Assumed, Traffic
from pipeline.errors import AnswerdeckError

SIZES = (1_000_000, 10_000_000, 100_000_000)  # conversations a month
DAYS = 365.25 / 12
BUSIEST_DAY = 1 / 6  # of a week: five working days, and a weekend that counts as one
BUSIEST_HOUR = 0.09  # of a day
HOUR_SECONDS = 3600
PAUSE_SECONDS = 45.0  # mean time between an answer's end and the next question
MOST_TURNS = 20_000_000  # of a busy hour that are played
FULL = 0.7  # of a core or disk that is planned with


@dataclass(frozen=True, slots=True)
class PerTurn:
    """What a turn takes, as measured on two cores; `--per-turn` puts a team's own figures in their place."""

    cpu_seconds: float = 0.036  # `answerdeck bench --only turn`, a provider's model on the stub
    seconds: float = 4.0  # a written answer of 200 tokens
    spread: float = 0.6  # standard deviation of the logarithm of its seconds
    journal_bytes: float = 5500.0  # compressed; 302 turns of the demo evalset
    slim_bytes: float = 4050.0  # of the same once prompts and texts are forgotten
    row_bytes: float = 3900.0  # in the store with its sums; 8,750 turns
    payload_bytes: float = 1800.0  # prompt, response and passages; 286 turns of the demo evalset
    drained_per_second: float = 800.0  # journal to DuckDB, by CPU time; 8,750 turns


@dataclass(frozen=True, slots=True)
class Site:
    """One installation as it comes: what its settings and machine allow."""

    cores: int
    disk_bytes: float  # free where the data lies
    workers: int = 1
    running_turns: int = 200  # of a process
    payload_days: int = 30
    months: int = 12  # that turns are kept
    tokens_per_minute: float | None = None  # of the provider; None when nobody said


@dataclass(frozen=True, slots=True)
class Peak:
    """The busy hour: turns begun a second (mean, and the busiest second), in flight, tokens a minute."""

    mean: float
    second: float
    in_flight: int
    tokens_minute: float


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What ends first: the share of it that the peak takes, and the switch that removes it."""

    name: str
    load: float  # of what is there; above 1 it is too little
    switch: str


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """What so many conversations a month take, and what gives way first."""

    conversations: int
    turns: float  # a month
    peak: Peak
    tokens: float  # a month
    processes: int
    machines: int
    journal_bytes: float  # when all months that are kept are in it, as the store's
    store_bytes: float
    limits: tuple[Bottleneck, ...] = field(default=())  # the tightest first

    @property
    def first(self) -> Bottleneck | None:
        """Return the first bottleneck; None when one machine as it comes carries it."""
        return self.limits[0] if self.limits and self.limits[0].load > 1 else None


class TooMany(AnswerdeckError):
    """So many conversations cannot be played."""


def plan(
    basis: Traffic | Assumed, conversations: int, per_turn: PerTurn, site: Site, seed: int = 0
) -> CapacityPlan:
    """Return what a month of conversations takes on such a site. Raises TooMany."""
    turns, tokens = shape(basis)
    peak = busy_hour(conversations, turns, tokens, per_turn, seed)
    monthly = conversations * turns
    cores = peak.second * per_turn.cpu_seconds
    fresh = site.payload_days / DAYS  # months whose texts are kept
    store = monthly * (per_turn.row_bytes * site.months + per_turn.payload_bytes * fresh)
    texts = per_turn.journal_bytes - per_turn.slim_bytes
    journal = monthly * (per_turn.slim_bytes * site.months + texts * fresh)
    processes = max(1, int(np.ceil(max(cores / FULL, peak.in_flight / site.running_turns))))
    machines = max(1, int(np.ceil(cores / (FULL * site.cores))))
    limits = _limits(peak, per_turn, site, cores, store + journal)
    return CapacityPlan(
        conversations,
        monthly,
        peak,
        monthly * tokens,
        processes,
        machines,
        journal,
        store,
        tuple(sorted(limits, key=lambda limit: -limit.load)),
    )


def shape(basis: Traffic | Assumed) -> tuple[float, float]:
    """Return turns of a conversation and tokens of a turn, in and out."""
    means = basis.basis()
    tokens = sum(flow.input + flow.output for flow in means.tokens_per_turn.values())
    return float(means.turns_per_conversation), float(tokens)


def busy_hour(conversations: int, turns: float, tokens: float, per_turn: PerTurn, seed: int = 0) -> Peak:
    """Play the busiest hour of an average month: conversations begin at random, their turns follow.

    Each conversation has a geometric number of turns with the given mean; an answer takes a lognormal
    time, the next question an exponential one after it. Raises TooMany.
    """
    weekly = conversations / DAYS * 7
    started = weekly * BUSIEST_DAY * BUSIEST_HOUR
    if started * turns > MOST_TURNS:
        raise TooMany(
            f"{conversations:,} conversations a month are {started * turns:,.0f} turns in the busy hour;"
            f" at most {MOST_TURNS:,} are played"
        )
    random = np.random.default_rng(seed)
    longest = 8 * max(turns, 1.0) * (per_turn.seconds + PAUSE_SECONDS)  # begun before, still going on
    talks = random.poisson(started * (HOUR_SECONDS + longest) / HOUR_SECONDS)
    counts = random.geometric(1 / max(turns, 1.0), talks)
    owner = np.repeat(np.arange(talks), counts)
    taken = random.lognormal(
        np.log(max(per_turn.seconds, 1e-6)) - per_turn.spread**2 / 2, per_turn.spread, len(owner)
    )
    steps = taken + random.exponential(PAUSE_SECONDS, len(owner))
    passed = np.cumsum(steps) - steps
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    begun = random.uniform(-longest, HOUR_SECONDS, talks)[owner] + passed - passed[first][owner]
    inside = (begun >= 0) & (begun < HOUR_SECONDS)
    if not inside.any():
        return Peak(0.0, 0.0, 0, 0.0)
    seconds = np.bincount(begun[inside].astype(np.int64), minlength=HOUR_SECONDS)
    minutes = seconds.reshape(-1, 60).sum(axis=1)
    return Peak(
        float(seconds.mean()),
        float(np.quantile(seconds, 0.99)),
        _together(begun, begun + taken),
        float(minutes.max() * tokens),
    )


def _together(begun: np.ndarray, ended: np.ndarray) -> int:
    """Return the most turns under way at once within the hour."""
    times = np.concatenate([begun, ended])
    changes = np.concatenate([np.ones(len(begun), np.int64), -np.ones(len(ended), np.int64)])
    order = np.lexsort((changes, times))
    running = np.cumsum(changes[order])
    inside = (times[order] >= 0) & (times[order] < HOUR_SECONDS)
    return int(running[inside].max())


def _limits(
    peak: Peak, per_turn: PerTurn, site: Site, cores: float, stored_bytes: float
) -> Sequence[Bottleneck]:
    """Return how much of each thing the peak takes, with the switch for more of it."""
    workers = min(site.workers, site.cores)
    limits = [
        Bottleneck(
            "CPU of the processes",
            cores / (FULL * workers),
            f"serve --workers {site.cores} --no-chat" if workers < site.cores
            else "more machines: ANSWERDECK_SESSIONS and ANSWERDECK_LEDGER",
        ),
        Bottleneck(
            "turns at once",
            peak.in_flight / (site.running_turns * workers),
            "limits.running_turns, or more workers",
        ),
        Bottleneck("draining into DuckDB", peak.second / per_turn.drained_per_second, "ANSWERDECK_LEDGER=postgresql://…"),
        Bottleneck(
            "disk",
            stored_bytes / (FULL * site.disk_bytes) if site.disk_bytes else float("inf"),
            "a larger disk for ANSWERDECK_DATA_DIR, or ANSWERDECK_LEDGER=postgresql://…",
        ),
    ]  # fmt: skip
    if site.tokens_per_minute:
        limits.append(
            Bottleneck(
                "the provider's tokens a minute",
                peak.tokens_minute / site.tokens_per_minute,
                "a higher limit of the provider, or models.routes",
            )
        )
    return limits
