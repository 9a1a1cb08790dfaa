"""The table of metrics: every one that is known, in the order people read them.

A new metric is one object in the file of its family (or a family added to FAMILIES below).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evalsets.cases.evalset import Evalset
from evalsets.cases.rubric import Criterion
from evalsets.metrics import abstention, citations, judged, reference, refusal, replayed, retrieval, timing
from evalsets.metrics.judged import MARKED, Judged, marked
from evalsets.metrics.metric import About, Measured, Metric
from traces.records import Case, Trace

FAMILIES = (
    retrieval.metrics(),
    citations.METRICS,
    judged.METRICS,
    abstention.METRICS,
    reference.METRICS,
    refusal.METRICS,
    (refusal.injection({}),),
    replayed.METRICS,
    timing.METRICS,
)
METRICS = {metric.name: metric for family in FAMILIES for metric in family}
JUDGED = {name: metric for name, metric in METRICS.items() if isinstance(metric, Judged)}
_PLACE = {name: place for place, name in enumerate(METRICS)}


def find_metric(name: str) -> Metric:
    """Return a metric by its name; one that is not known reads as a share, higher is better."""
    if name.startswith(MARKED) and name not in METRICS:
        return marked(Criterion(name.removeprefix(MARKED), ""))
    return METRICS.get(name) or Metric(name=name, title=name.replace("_", " ").capitalize(), what="")


def is_judged(name: str) -> bool:
    """Say whether a judge scores the metric of this name: one of RAGAS's, or a criterion of the team's."""
    return isinstance(find_metric(name), Judged)


def judged_of(evalset: Evalset) -> dict[str, Judged]:
    """Return the metrics that a judge can score on an evalset: RAGAS's and those of its rubric."""
    return JUDGED | {criterion.metric: marked(criterion) for criterion in evalset.rubric}


def ordered(names: Iterable[str]) -> list[str]:
    """Sort metric names as people read them: ours first, in their order, then the others."""
    return sorted(names, key=lambda name: (_PLACE.get(name, len(_PLACE)), name))


def metrics_of(evalset: Evalset, *about: About) -> list[Metric]:
    """Return the metrics about these things, set up for an evalset's labels and planted attacks."""
    own = {metric.name: metric for metric in retrieval.metrics(chunks=evalset.chunks)}
    own["injection_held"] = refusal.injection(evalset.planted)
    every = (own.get(name, metric) for name, metric in METRICS.items())
    return [metric for metric in every if metric.about in about]


def measure(metrics: Iterable[Metric], case: Case, trace: Trace) -> Iterator[Measured]:
    """Yield the score of a turn by each metric that has something to say of the case."""
    for metric in metrics:
        score = metric.measure(case, trace)
        if score is not None:
            yield score
