"""The sentences the product itself says: calm, one thought each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.events import Answer, Citation, Delta, Event, Sources, Started
from pipeline.knowledge.standing import Lag
from pipeline.talk import abstention
from pipeline.text import words
from traces.records import Passage

NOT_FOUND = "I could not find this in the documents."
EMPTY = "There are no documents to answer from yet. Add some with `answerdeck ingest PATH`."
NO_KNOWLEDGE = "I cannot search the documents right now. Please try again in a moment."
PARTIAL_SEARCH = "Only a part of the search worked for this answer."
DEGRADED = "The language model is not reachable; these are the best matching passages."
FORGOTTEN = "I could not look up our earlier conversation for this answer."
NOT_KEPT = "Your feedback cannot be kept right now. Please try again in a moment."
STOPPING = "The server is being restarted. Please ask again in a moment."
CUT = "The answer was cut short. Please ask again for the rest."
THOUGHT_ALONE = "The model reached its length limit before its answer. Please ask a narrower question."
SHORTENED = "The answer reached its length limit."
UNCITED = "This answer names no source. Please check it before you rely on it."
DECLINED = "The language model declined to answer this question."
WITHHELD = "I cannot show this answer."
BUSY = "Too many questions are being answered right now. Please try again in a few seconds."
ONE_BY_ONE = "Several of your questions are still being answered. Please wait for them."
BUDGET = "The budget for answers is used up for now; these are the best matching passages."
NO_BUDGET = "The budget is used up for now."
UNPRICED = "The model has no known price, so only the best matching passages are shown."

_ABSTENTION = re.compile(
    r"^\W*(i (could|can|did)( ?not|n[’']t) find (this|that|it|the answer|any|an answer|information)"
    r"|this is not in the documents|the (documents|passages) do not)",
    re.IGNORECASE,
)


def slow_down(seconds: float) -> str:
    return f"You are asking faster than allowed. Please wait {max(round(seconds), 1)} s and try again."


def sorry(turn_id: str) -> str:
    return f"Something went wrong on our side. Please try again; if it stays, name turn {turn_id}."


def indexing(question: str, lag: Lag) -> str | None:
    """Say that documents still wait to be indexed, naming the one that the question seems to need."""
    if not lag.pending:
        return None
    asked = set(words(question))
    shared = {title: len(asked & set(words(title))) for title in lag.waiting}
    title = max(shared, key=lambda title: shared[title], default=None)
    if title is not None and shared[title]:
        return f"{title!r} is still being indexed; please ask again in a moment for what it says."
    plural = "documents are" if lag.pending > 1 else "document is"
    return f"{lag.pending} {plural} still being indexed; this answer does not know them yet."


def abstains(answer: str) -> bool:
    """Tell whether an answer says that the documents do not have it, and cites nothing."""
    return (bool(_ABSTENTION.match(answer)) or abstention(answer)) and "[" not in answer


def again(done: dict[str, Any]) -> Iterator[Event]:
    """Repeat the events of a turn this client already got."""
    passages = tuple(Passage(turn_id=done["turn_id"], rank=p["n"], **p) for p in done["passages"])
    yield Started(done["turn_id"], done["conversation_id"])
    yield Sources(passages)
    yield Delta(done["answer"])
    yield Answer(
        **{
            **done,
            "citations": tuple(Citation(**citation) for citation in done["citations"]),
            "passages": passages,
        }
    )
