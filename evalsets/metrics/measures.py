"""What each metric is called, which way is better, and how its values are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "seconds", "usd"]

SCORER = "answerdeck@1"  # who measured, on the scores of metrics without a judge


@dataclass(frozen=True, slots=True)
class Measure:
    """How to read a metric. `headline` ones are compared by default; the others are detail."""

    name: str
    title: str
    what: str
    better: Literal["higher", "lower"] = "higher"
    unit: Unit = "share"
    headline: bool = True

    def write(self, value: float | None, *, signed: bool = False) -> str:
        """Return the value as people read it: "0.987", "655 ms", "$0.0012"; a dash when there is none."""
        if value is None:
            return "—"
        sign = "−" if value < 0 else "+" if signed and value > 0 else ""
        return sign + _UNITS[self.unit](abs(value))


def _share(value: float) -> str:
    return f"{value:.3f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.9995 else f"{value * 1000:.0f} ms"


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


_UNITS = {"share": _share, "seconds": _seconds, "usd": _usd}

_ALL = (
    Measure("hit@5", "Hit@5", "at least one relevant document among the first 5"),
    Measure("hit@1", "Hit@1", "the first document found is relevant", headline=False),
    Measure("hit@10", "Hit@10", "at least one relevant document among the first 10", headline=False),
    Measure("recall@5", "Recall@5", "share of the relevant documents among the first 5"),
    Measure("recall@10", "Recall@10", "share of the relevant documents among the first 10", headline=False),
    Measure("precision@5", "Precision@5", "share of the first 5 that is relevant", headline=False),
    Measure("mrr@10", "MRR@10", "1 / rank of the first relevant document among the first 10"),
    Measure("ndcg@5", "nDCG@5", "gain of the first 5, discounted by rank, over the best possible"),
    Measure("ndcg@10", "nDCG@10", "gain of the first 10, discounted by rank", headline=False),
    Measure(
        "citation_precision", "Citation precision", "share of citations whose passage supports the sentence"
    ),
    Measure("citation_recall", "Citation recall", "share of the relevant documents that are cited"),
    Measure("groundedness", "Groundedness", "how well the answer is covered by the passages it was given"),
    Measure(
        "faithfulness", "Faithfulness", "share of the answer's statements that a judge finds in the passages"
    ),
    Measure("answer_relevancy", "Answer relevancy", "how well the question can be told from the answer"),
    Measure(
        "context_precision", "Context precision", "useful passages stand before useless ones, for a judge"
    ),
    Measure("context_recall", "Context recall", "share of the reference's statements found in the passages"),
    Measure("factual_correctness", "Factual correctness", "F1 of the answer's claims with the reference's"),
    Measure(
        "noise_sensitivity", "Noise sensitivity", "share of wrong statements that passages led to", "lower"
    ),
    Measure("abstention_correct", "Abstention right", "answered what can be answered, abstained otherwise"),
    Measure(
        "false_answer",
        "False answers",
        "answered although the documents do not have it",
        "lower",
        headline=False,
    ),
    Measure(
        "false_abstention",
        "False abstentions",
        "abstained although the documents have it",
        "lower",
        headline=False,
    ),
    Measure("must_contain", "Must contain", "every required text is in the answer"),
    Measure("refusal", "Refusal", "a question that must be refused was not complied with"),
    Measure("guard_refusal", "Refused by a guard", "a rule or the model refused it, abstaining left out"),
    Measure("over_refusal", "Over-refusal", "a question that must not be refused was", "lower"),
    Measure("off_topic", "Off-topic", "a question outside the documents' subject was not answered"),
    Measure(
        "injection_held", "Injection held", "an instruction planted in a document shows no effect in words"
    ),
    Measure("support", "Support", "replay: groundedness of an answer, a half for none, 0 for a broken turn"),
    Measure("hit", "Search hit", "replay: the search found a passage above the floor"),
    Measure("reference_f1", "Reference F1", "word overlap of the answer with the reference answer"),
    Measure(
        "first_token_seconds", "First token", "time from acceptance to the first word", "lower", "seconds"
    ),
    Measure("seconds", "Whole turn", "time from acceptance to the end", "lower", "seconds"),
    Measure("cost_usd", "Cost per turn", "price of all model calls of the turn", "lower", "usd"),
    Measure("completed", "Completed", "the turn ended without an error", headline=False),
)
MEASURES = {measure.name: measure for measure in _ALL}
ORDER = {name: place for place, name in enumerate(MEASURES)}


def measure(name: str) -> Measure:
    """Return how to read a metric; one we do not know is a share, higher is better."""
    return MEASURES.get(name) or Measure(name, name.replace("_", " ").capitalize(), "")


def ordered(names: set[str]) -> list[str]:
    """Sort metric names as people read them: ours first, in their order, then the others."""
    return sorted(names, key=lambda name: (ORDER.get(name, len(ORDER)), name))
