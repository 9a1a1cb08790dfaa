"""Whether two runs can show the loss that matters, and whether the runs themselves went well enough."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from evalsets.metrics import stats
from evalsets.metrics.columns import Column
from evalsets.metrics.table import find_metric
from evalsets.release import power
from evalsets.reports.compare import Difference
from evalsets.runs.work import FAILED, too_many_failed
from traces.records import Run

STALLED_SECONDS = 5.0  # a process that stood still for so long measured itself
WHOLE = 0.5  # a metric of at least this share of the cases speaks for the set
_normal = NormalDist()


@dataclass(frozen=True, slots=True)
class Loss:
    """What the cases say of a loss on one metric: beyond chance, and how many more cases are needed."""

    mean: float  # positive is worse
    p: float  # exact, one side
    n: int
    needed: int  # cases that would show the loss that matters

    @property
    def blind(self) -> bool:
        """Whether these cases are too few, or differ too much, to show the loss that matters."""
        return self.n < self.needed

    def shown(self, matters: float) -> bool:
        """Say whether a loss is beyond chance and large enough to matter."""
        return self.p <= power.ALPHA and self.mean >= matters / 2


def losses(
    differences: Sequence[Difference],
    before: Mapping[str, Column],
    after: Mapping[str, Column],
    matters: float,
) -> dict[str, Loss]:
    """Return what each share metric says of a loss; `matters` is a share of the whole, 0 to 1."""
    return {
        difference.metric: _loss(difference, before[difference.metric], after[difference.metric], matters)
        for difference in differences
        if difference.n and find_metric(difference.metric).unit == "share"
    }


def _loss(difference: Difference, before: Column, after: Column, matters: float) -> Loss:
    keys = sorted(before.values.keys() & after.values.keys())
    sign = -1.0 if find_metric(difference.metric).better == "higher" else 1.0
    lost = sign * stats.subtract([before.values[key] for key in keys], [after.values[key] for key in keys])
    spread = float(lost.std(ddof=1)) if lost.size > 1 else 0.0
    z = _normal.inv_cdf(1 - power.ALPHA) + _normal.inv_cdf(power.POWER)
    by_spread = math.ceil((z * spread / matters) ** 2) if matters > 0 else 0
    needed = max(power.cases_needed(matters), by_spread)
    return Loss(float(lost.mean()), stats.one_sided(lost), lost.size, needed)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why a set cannot tell, and how many more cases could; 0 when it is not a matter of number."""

    text: str
    more: int = 0


def unseen(seen_losses: Mapping[str, Loss], cases: int, matters: float) -> Unseen | None:
    """Say why the set cannot tell, and how many cases could; None when it can.

    Metrics that are meant for the smaller part of the cases do not speak for the set.
    """
    whole = {name: loss for name, loss in seen_losses.items() if loss.n >= WHOLE * cases}
    blind = {name: loss for name, loss in whole.items() if loss.blind}
    if whole and not blind:
        return None
    if not whole:
        return Unseen(f"no score of the answers covers half of the {cases} cases")
    name, loss = max(blind.items(), key=lambda pair: pair[1].needed)
    return Unseen(
        f"cannot tell: {loss.n} cases cannot show a loss of {matters:g} on {find_metric(name).title};"
        f" at least {loss.needed} cases could",
        loss.needed - loss.n,
    )


def broken(side: str, run: Run) -> Iterator[str]:
    """Say why a run may not decide: too many of its cases failed, or its own process stood still."""
    if too_many_failed(run.failed, run.cases):
        yield f"{run.failed} of the {side}'s {run.cases} cases failed, {FAILED:.0%} may"
    load = run.settings.load
    if load is not None and load.stalled_seconds > STALLED_SECONDS:
        yield f"the {side}'s process stood still for {load.stalled_seconds:.1f} s; quieter machines do better"
