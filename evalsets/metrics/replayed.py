"""What can be said of a replayed turn without knowing the right answer."""

from __future__ import annotations

from evalsets.metrics.metric import ABSTAINED, BROKEN, Measured, Metric
from traces.records import Case, Trace


def outage(trace: Trace) -> str | None:
    """Say why a turn shows no answer of its own, but what was broken or refused then; None when it does."""
    turn = trace.turn
    if turn.outcome in BROKEN:
        return f"it was {turn.outcome} when it was asked ({turn.error_class or 'no reason on record'})"
    if turn.error_class is not None and turn.outcome == "refused":
        return f"it was turned away when it was asked ({turn.error_class})"
    return None


def support(trace: Trace) -> tuple[float, str]:
    """Return how well the answer is supported, 0 to 1, and why.

    Nothing for a broken turn, the groundedness of an answer, and a half for an abstention: it
    misleads nobody and helps nobody.
    """
    turn = trace.turn
    if turn.outcome in BROKEN:
        return 0.0, f"the turn was {turn.outcome}"
    if turn.outcome in ABSTAINED:
        return 0.5, "no answer was given"
    scores = [score for score in trace.scores if score.name == "groundedness" and score.value is not None]
    online = next((score for score in scores if score.source == "online"), None)
    if online is None or online.value is None:
        return 0.5, "the answer states nothing that can be checked"
    return online.value, f"grounded {online.value:.2f}"


def _support(case: Case, trace: Trace) -> Measured:
    return Measured(*support(trace))


def _hit(case: Case, trace: Trace) -> Measured:
    hit = trace.turn.hit
    return Measured(None, "no search was made") if hit is None else Measured(float(hit))


METRICS = (
    Metric(
        name="support",
        title="Support",
        what="replay: groundedness of an answer, a half for none, 0 for a broken turn",
        score=_support,
        about="replay",
    ),
    Metric(
        name="hit",
        title="Search hit",
        what="replay: the search found a passage above the floor",
        score=_hit,
        about="replay",
    ),
)
