"""How long retrieval waits for what it depends on, and the breakers of a knowledge base."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.breaker import Policy
from pipeline.breakers import Breakers, Guarded
from pipeline.errors import AnswerdeckError, KnowledgeError

LOCAL = Policy(slow_seconds=2.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each dependency is waited for, in seconds."""

    embed: float = 5.0
    search: float = 5.0
    rerank: float = 0.8  # of any but the embedded one; then the embedded order stands
    open: float = 20.0  # the first turn after a start loads the whole table


LEISURE = Patience(embed=120.0, search=120.0, rerank=120.0, open=300.0)  # by hand one waits


class SearchBreakers:
    """The guarded calls to one knowledge base; its full-text index fails by itself."""

    def __init__(self, kb: str, breakers: Breakers, patience: Patience) -> None:
        knowledge, texts = f"knowledge {kb}", f"full-text {kb}"
        self.open = Guarded(breakers.get(knowledge, LOCAL), patience.open, _unanswered, _is_wrong)
        self.rows = Guarded(breakers.get(knowledge, LOCAL), patience.search, _unanswered)
        self.texts = Guarded(breakers.get(texts, LOCAL), patience.search, _unanswered)


def _unanswered(message: str) -> KnowledgeError:
    """Return the error of a knowledge base that was too slow, or rests: its files may be sound."""
    return KnowledgeError(message, "store_refused")


def _is_wrong(error: AnswerdeckError) -> bool:
    """Say whether the question names what is not there, which is no failure of the store."""
    return isinstance(error, KnowledgeError) and error.error_class in ("store_missing", "config")
