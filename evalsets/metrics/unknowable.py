"""What nobody can know of another chatbot's turn: such scores are not applicable, never 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from evalsets.metrics import retrieval
from evalsets.metrics.metric import Measured, skipped
from pipeline.citations import cited_numbers
from traces.records import Trace

ASKED = "ask target"  # the span of such a turn
SEARCH = tuple(name for name, _, _ in retrieval.TABLE)
CITATIONS = ("citation_precision", "citation_recall")
REFUSALS = ("refusal", "guard_refusal", "over_refusal")


@dataclass(frozen=True, slots=True)
class TargetView:
    """What a target let us see, kept in the attributes of its span; texts say why something is not."""

    search: str | None = None
    texts: str | None = None
    broken: str | None = None  # the reply lacks what the template promised
    refusals: bool = False  # it is known in which words it refuses
    waited: bool = False  # its rate limit was waited for


def never_known(*, passages: bool, refusals: bool) -> frozenset[str]:
    """Return the metrics that no turn of a target can be scored on, by what its template tells."""
    names = {"first_token_seconds", "cost_usd"}
    if not passages:
        names |= {*SEARCH, *CITATIONS, "groundedness"}
    return frozenset(names if refusals else names | set(REFUSALS))


def without_unknown(scores: Iterable[Measured], trace: Trace) -> list[Measured]:
    """Return the scores of a turn; of a target's turn, what cannot be known replaced by the reason."""
    target_span = next((span for span in trace.spans if span.name == ASKED), None)
    if target_span is None:
        return list(scores)
    unknown = _unknown(TargetView(**target_span.attributes["seen"]), trace.turn.answer or "")
    return [
        replace(unknown[score.name], name=score.name) if score.name in unknown and _meant(score) else score
        for score in scores
    ]


def _meant(score: Measured) -> bool:
    """Say whether the case was to be scored: one that is none of the metric's keeps its own reason."""
    return not (score.reason or "").startswith("not applicable")


def _unknown(seen: TargetView, answer: str) -> dict[str, Measured]:
    reasons = {
        "first_token_seconds": "a target is not asked for a stream",
        "cost_usd": "what the target costs is not known",
    }
    if seen.search:
        reasons |= dict.fromkeys(SEARCH, seen.search)
    if not cited_numbers(answer):
        reasons |= dict.fromkeys(CITATIONS, "the answer cites nothing as [n]")
    if seen.texts:
        reasons |= dict.fromkeys((*CITATIONS, "groundedness"), seen.texts)
    if not seen.refusals:
        reasons |= dict.fromkeys(REFUSALS, "the target's words of refusal are not known")
    if seen.waited:
        reasons["seconds"] = "the target's rate limit was waited for"
    unknown = {name: skipped(reason) for name, reason in reasons.items()}
    if seen.broken:
        lost = Measured(None, seen.broken, failed=True)
        unknown |= dict.fromkeys((*SEARCH, *CITATIONS, "groundedness"), lost)
    return unknown
