"""How hard a question is, by rules: simple ones go to the cheap model, the others to the strong one.

Measured on evalsets/sets/routing.jsonl by `answerdeck eval routing`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.text.sentences import sentences, tokens
from traces.records import Passage

COMPLEX_FROM = 1.0
LONG_WORDS = 25
WEAK_EVIDENCE = 0.45  # cosine of the best passage
NEAR = 0.9  # of the best cosine: such a passage counts as evidence as well
WEIGHTS = {
    "compares": 1.0,
    "asks why": 1.0,
    "diagnoses": 1.0,
    "several questions": 1.0,
    "asks to weigh": 1.0,
    "tells a case": 0.75,  # more than one sentence
    "condition": 0.5,
    "long": 0.5,
    "many documents": 0.25,
    "weak evidence": 0.25,
    "needs history": 0.25,
}

_PATTERNS = {
    "compares": r"\b(?:differen(?:t|ce|ces)|compare[ds]?|comparison|versus|vs\.?|better|instead of"
    r"|rather than|trade-?offs?|pros and cons|advantages?|which (?:one )?(?:is|of|should)|as opposed to)\b",
    "asks why": r"\bwhy\b|\bhow come\b|\bwhat (?:could|might|would|can) (?:be )?(?:caus\w+|explain)"
    r"|\breasons?\b|\bexplain\b",
    "diagnoses": r"\b(?:keeps? \w+ing|no longer|stopped \w+ing|still (?:not|no|won'?t|doesn'?t|can'?t|cannot)"
    r"|(?:but|and|yet) (?:\w+ ){0,4}(?:not|nothing|never|won'?t|doesn'?t|didn'?t|can'?t|cannot|isn'?t)"
    r"|troubleshoot|diagnose|figure out|what should i (?:check|try)|what else)\b",
    "asks to weigh": r"\b(?:should i|would you recommend|recommend|best way|worth"
    r"|what are (?:all|the options)|options|overview|summari[sz]e|step by step|plan"
    r"|everything|in which cases|when is it)\b",
    "condition": r"\b(?:if|unless|without|while|so that|in case|depending|even though|although)\b",
}
_RULES = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PATTERNS.items()}
_PARTS = re.compile(
    r"\?|;|\b(?:and|or|,) (?:also )?(?:how|what|why|which|when|where|who|can|is|are|do|does|should|will)\b"
    r"|\band then\b|\bas well as\b|\bboth\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RouteModels:
    """Which models the routes are; without `on` only a strained budget takes the cheap one."""

    on: bool = False
    cheap: str | None = None
    strong: str | None = None
    escalate_below: float = 0.0


NO_ROUTES = RouteModels()


@dataclass(frozen=True, slots=True)
class Complexity:
    """The sum of what makes a question hard, and what that was."""

    score: float
    reasons: tuple[str, ...]

    @property
    def complex(self) -> bool:
        return self.score >= COMPLEX_FROM


def complexity(question: str, passages: Sequence[Passage], *, needed_history: bool = False) -> Complexity:
    """Judge a question by its words and by the passages found for it."""
    reasons = [name for name, rule in _RULES.items() if rule.search(question)]
    if _PARTS.search(question.rstrip().rstrip("?")):
        reasons.append("several questions")
    if len(sentences(question)) > 1:
        reasons.append("tells a case")
    if len(tokens(question)) >= LONG_WORDS:
        reasons.append("long")
    cosines = {row.document_id: row.vector_score for row in passages if row.vector_score is not None}
    best = max((score for score in cosines.values()), default=None)
    if best is not None and sum(score >= NEAR * best for score in cosines.values()) >= 3:
        reasons.append("many documents")
    if best is not None and best < WEAK_EVIDENCE:
        reasons.append("weak evidence")
    if needed_history:
        reasons.append("needs history")
    return Complexity(sum(WEIGHTS[reason] for reason in reasons), tuple(reasons))
