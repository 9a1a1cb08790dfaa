"""How an answer agrees with what the case expects: its reference answer and the texts it must contain."""

from __future__ import annotations

import re
import string
from collections import Counter

from evalsets.metrics.agreement import agree
from evalsets.metrics.metric import ABSTAINED, Measured, Metric
from evalsets.metrics.refusal import fold
from pipeline.citations import unmarked
from traces.records import Case, Trace

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _contains(case: Case, trace: Trace) -> Measured:
    answer = fold(trace.turn.answer or "")
    missing = [text for text in case.must_contain or () if fold(text) not in answer]
    reason = f"missing: {', '.join(map(repr, missing))}" if missing else "all there"
    return Measured(float(not missing), reason)


def _overlap(case: Case, trace: Trace) -> Measured:
    if trace.turn.outcome in ABSTAINED:
        return Measured(0.0, "no answer was given")
    return Measured(token_f1(trace.turn.answer or "", case.reference or ""))


def _agreement(case: Case, trace: Trace) -> Measured:
    if trace.turn.outcome in ABSTAINED:
        return Measured(0.0, "no answer was given")
    agreement = agree(
        case.question, (case.reference or "").strip(), unmarked(trace.turn.answer or "").strip()
    )
    reasons = [f"adds {text!r}" for text in agreement.added[:2]]
    if agreement.otherwise > 0.5:
        reasons.append(f"says something else than expected ({agreement.otherwise:.0%} sure)")
    if agreement.whole < 0.8:
        reasons.append("leaves out a part of what was expected")
    return Measured(agreement.score, "; ".join(reasons) or "says what was expected")


def _expects(case: Case) -> bool:
    return bool(case.reference) and case.answerability in (None, "answerable", "partial")


def token_f1(text: str, reference: str) -> float:
    """Return the word-overlap F1 of SQuAD (Rajpurkar et al. 2016), citation markers taken out."""
    words, expected = _squad(unmarked(text)), _squad(reference)
    if not words or not expected:
        return float(words == expected)
    common = sum((Counter(words) & Counter(expected)).values())
    return 2 * common / (len(words) + len(expected))


def _squad(text: str) -> list[str]:
    return _ARTICLE.sub(" ", text.casefold().translate(_PUNCTUATION)).split()


METRICS = (
    Metric(
        name="correctness",
        title="Correctness",
        what="says what the expected answer says: no more, no less, nothing else",
        applies=_expects,
        score=_agreement,
    ),
    Metric(
        name="must_contain",
        title="Must contain",
        what="every required text is in the answer",
        applies=lambda case: bool(case.must_contain),
        score=_contains,
    ),
    Metric(
        name="reference_f1",
        title="Reference F1",
        what="word overlap of the answer with the reference answer",
        applies=_expects,
        score=_overlap,
        headline=False,
    ),
)
