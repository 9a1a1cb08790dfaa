"""Where a turn lost a passage that it should have used, stage by stage and in one sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pipeline.context.retrieval import Retriever, Trail
from traces.recorder import Nowhere, Recorder
from traces.records import Passage, Trace, Turn

Stage = Literal["not indexed", "search", "rerank", "budget", "silent", "unused", "cited"]


@dataclass(frozen=True, slots=True)
class Blame:
    """The 1-based ranks of a passage at each stage, None where it was not reached, and the verdict."""

    name: str
    stage: Stage  # where it was lost; "cited" when it was not
    sentence: str
    text_rank: int | None = None
    vector_rank: int | None = None
    fused_rank: int | None = None
    reranked: int | None = None
    packed: int | None = None  # its number in the prompt
    cited: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of the blame."""
        columns = asdict(self)
        return {"wanted": columns.pop("name"), **columns}


async def blame_passage(retriever: Retriever, trace: Trace, name: str, passages: int) -> Blame:
    """Say where a turn lost a chunk, or a document's best chunk; `passages` are those a prompt takes.

    What the turn recorded comes first. A passage that was no candidate is searched again in the
    knowledge base as it is now. Raises KnowledgeError.
    """
    rows = [row for row in trace.passages if name in (row.chunk_id, row.document_id)]
    turn = trace.turn
    if rows:
        return _recorded(name, min(rows, key=lambda row: (row.n is None, row.rank)), passages, turn)
    if turn.kb is None:
        return Blame(name, "search", "The turn ended before it searched any document.")
    recorder = Recorder(turn, Nowhere())
    trail = await retriever.trail(turn.standalone or turn.question, turn.kb, name, recorder)
    if trail is None:
        return Blame(name, "not indexed", f"It is not indexed in knowledge base {turn.kb!r}.")
    return _searched(name, trail, turn)


def _recorded(name: str, row: Passage, passages: int, turn: Turn) -> Blame:
    stage, sentence = _verdict(row, passages, turn.outcome)
    return Blame(
        name,
        stage,
        sentence,
        row.text_rank,
        row.vector_rank,
        row.fused_rank,
        row.rank,
        row.n,
        row.cited,
    )


def _verdict(row: Passage, passages: int, outcome: str | None) -> tuple[Stage, str]:
    if row.cited:
        return "cited", f"It was cited, as passage {row.n}."
    if outcome == "no_context" and row.n is not None:
        return (
            "silent",
            f"It was in the prompt as passage {row.n}, and the answer was that nothing was found.",
        )
    if outcome == "no_context" and row.rank <= passages:
        return "silent", f"It came {_th(row.rank)}, and the turn found nothing near enough to ask a model."
    if row.n is not None:
        return "unused", f"It was in the prompt as passage {row.n} and not used."
    if row.rank <= passages:
        cut = "was cut by the token budget, or says what another passage says"
        return "budget", f"It came {_th(row.rank)} and {cut}."
    if row.fused_rank is not None and row.fused_rank < row.rank:
        return "rerank", f"The reranker dropped it from {row.fused_rank} to {row.rank}."
    return "rerank", f"The reranker left it at {row.rank}, and a prompt takes {passages}."


def _searched(name: str, trail: Trail, turn: Turn) -> Blame:
    vector = "no vector rank" if trail.vector_rank is None else f"vector rank {trail.vector_rank}"
    text = "no word in common" if trail.text_rank is None else f"full-text rank {trail.text_rank}"
    ranks = (trail.text_rank, trail.vector_rank, trail.fused_rank)
    if trail.fused_rank is None:
        fused = "neither search reached it"
    elif trail.fused_rank > trail.candidates:
        fused = f"fused rank {trail.fused_rank}, beyond the {trail.candidates} candidates"
    elif trail.version != turn.index_version:
        fused = f"fused rank {trail.fused_rank} in {trail.version}, which is there now"
        then = f"The turn searched {turn.index_version}, where it was not there or not as it is now."
        return Blame(name, "not indexed", f"{vector.capitalize()}, {text}: {fused}. {then}", *ranks)
    else:
        fused = f"fused rank {trail.fused_rank}, behind the best chunks of {trail.candidates} pages"
    return Blame(name, "search", f"{vector.capitalize()}, {text}: {fused}.", *ranks)


def _th(rank: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(rank, f"{rank}th")
