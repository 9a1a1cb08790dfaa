"""Figures that need no test: somebody measured them, and over the limit is over the limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from statistics import fmean, stdev

from traces.queries import watch
from traces.queries.watch import Finished
from traces.queries.window import Rows, Window
from traces.store import StoreHealth

FEW = 12  # cases up to which every pattern of signs is counted
SURE = 0.01
SURE_OF_FEW = 0.0625  # with five cases 1/32 is the least there is
LOOK_BACK = timedelta(days=60)
LOWER_IS_BETTER = frozenset(
    {"false_abstention", "false_answer", "off_topic", "over_refusal", "noise_sensitivity"}
)
NO_QUALITY = frozenset(
    {"seconds", "first_token_seconds", "cost_usd", "input_tokens", "output_tokens", "characters"}
)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure of one subject (a budget, a model, an evalset's metric), and what to say of it."""

    rule: str
    subject: str
    value: float
    text: str

    @property
    def key(self) -> str:
        return f"{self.rule} {self.subject}" if self.subject else self.rule


@dataclass(frozen=True, slots=True)
class Readings:
    """What was measured elsewhere. Of the rules in `unread` nothing is known: they neither fire nor end."""

    gauges: tuple[Gauge, ...] = ()
    unread: frozenset[str] = frozenset()


def unpriced(ledger: Rows, window: Window) -> Iterator[Gauge]:
    """Yield each model without a price that answered in a window."""
    for row in watch.unpriced(ledger, window):
        number, (turns, have) = row.turns, ("turn", "has") if row.turns == 1 else ("turns", "have")
        text = f"{number} {turns} of {row.model} in 24 h {have} no known price; set models.prices for it."
        yield Gauge("unpriced", row.model, number, text)


def drain(health: StoreHealth) -> Gauge:
    """Return for how long turns have waited to be moved into the store, and why."""
    why = health.trouble or (
        "nobody drains; start `answerdeck up`" if health.drainer is None else "it is late"
    )
    minutes = health.lag_seconds / 60
    text = f"Turns have waited for {minutes:.0f} min to be moved into the trace store: {why}."
    return Gauge("drain_lag", "", health.lag_seconds, text)


def falls(ledger: Rows, window: Window, prompts: Sequence[str], model: str | None) -> Iterator[Gauge]:
    """Yield each metric that fell between the run of what was in force before and of what is now.

    `prompts` are the versions that ever were in force, the present one last: runs of others are trials,
    and no deployment.
    """
    seen: set[str] = set()
    runs = watch.finished(ledger, window.until - LOOK_BACK)
    for place, run in enumerate(runs):
        now = run.prompt == prompts[-1] and model in (None, run.model) if prompts else True
        if run.evalset in seen or not now:
            continue
        seen.add(run.evalset)
        before = next((earlier for earlier in runs[place + 1 :] if _went_before(earlier, run, prompts)), None)
        if before is not None:
            yield from _fallen(ledger, before, run)


def _went_before(earlier: Finished, run: Finished, prompts: Sequence[str]) -> bool:
    same_cases = (earlier.evalset, earlier.evalset_fingerprint) == (run.evalset, run.evalset_fingerprint)
    differs = any(_moved(earlier, run, (*watch.PARTS, "prompt_fingerprint")))
    return same_cases and differs and (not prompts or earlier.prompt in prompts)


def _moved(before: Finished, run: Finished, parts: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (part, what it was, what it is) of the parts that are known in both runs and differ."""
    for part in parts:
        was, now = getattr(before, part), getattr(run, part)
        if was and now and was != now:
            yield part, was, now


def _fallen(ledger: Rows, before: Finished, run: Finished) -> Iterator[Gauge]:
    by_metric: dict[str, list[tuple[float, float]]] = {}
    for row in watch.paired(ledger, before.run_id, run.run_id):
        by_metric.setdefault(row.name, []).append((row.before, row.after))
    what = ", ".join(
        f"{watch.PARTS[part]} {was} → {now}" for part, was, now in _moved(before, run, watch.PARTS)
    )
    for name, pairs in by_metric.items():
        if name in NO_QUALITY:
            continue
        way = -1 if name in LOWER_IS_BETTER else 1
        losses = [way * (a - b) for a, b in pairs]
        loss = fmean(losses)
        if loss > 0 and chance(losses) < (SURE if len(losses) > FEW else SURE_OF_FEW):
            a, b = fmean(a for a, _ in pairs), fmean(b for _, b in pairs)
            text = f"Evalset {run.evalset}: {name} went from {a:.3f} to {b:.3f} on {len(pairs)} cases"
            yield Gauge("evalset_fall", f"{run.evalset} {name}", loss, f"{text} ({what or 'same settings'}).")


def chance(losses: Sequence[float]) -> float:
    """Return how likely so high a mean loss is by chance, one-sided: signs flipped, all of them for few."""
    moved = [loss for loss in losses if loss]
    if not moved:
        return 1.0
    if len(moved) <= FEW:
        total = sum(moved) - 1e-12
        patterns = product((1, -1), repeat=len(moved))
        sums = (sum(sign * loss for sign, loss in zip(signs, moved, strict=True)) for signs in patterns)
        return sum(total_move >= total for total_move in sums) / 2 ** len(moved)
    spread = stdev(losses) / math.sqrt(len(losses))
    return 0.5 * math.erfc(fmean(losses) / spread / math.sqrt(2)) if spread else 0.0
