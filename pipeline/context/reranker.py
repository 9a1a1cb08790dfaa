"""Who orders the candidates: the embedded reranker, or a cross-encoder behind an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.context.rerank import rerank
from pipeline.errors import AnswerdeckError
from pipeline.knowledge.embedding import sendable
from pipeline.knowledge.found import Vector
from pipeline.knowledge.shelf import StoredChunk
from pipeline.models.connection import PerLoop, network_errors

if TYPE_CHECKING:
    import httpx2

Numbers = NDArray[np.float64]
CONNECT_SECONDS = 1.0
TEXT_CHARACTERS = 4_000  # of a candidate; cross-encoders read about 512 word pieces
ADDRESSES = {
    "cohere": "https://api.cohere.com/v2/rerank",
    "jina": "https://api.jina.ai/v1/rerank",
    "voyage": "https://api.voyageai.com/v1/rerank",
}


class RerankError(AnswerdeckError):
    """A reranker failed or gave scores that cannot be used; the embedded order stands."""


class CrowdError(RerankError):
    """Other questions are read already, which says nothing about the reranker's health."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a reranker may look at; all arrays run along `rows`.

    `seconds` holds the fused score of the second-best chunk of each candidate's page, NaN when it
    has none; `mean` and `deviation` are those of the query's cosines over the whole table.
    """

    query: str
    vector: Vector | None
    rows: Sequence[StoredChunk]
    fused: Numbers
    seconds: Numbers
    mean: float
    deviation: float


class Reranker(Protocol):
    """Scores candidates, the higher the better; raises RerankError."""

    @property
    def name(self) -> str: ...

    async def score(self, candidates: Candidates) -> Numbers: ...

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


class EmbeddedReranker:
    """Orders by fused score, neighbours and the best sentence's cosine: no model, no network."""

    name = "embedded"

    async def score(self, candidates: Candidates) -> Numbers:
        """Return a score per candidate."""
        return rerank(
            candidates.fused,
            candidates.seconds,
            candidates.rows,
            candidates.vector,
            candidates.mean,
            candidates.deviation,
        )

    async def warm(self) -> None:
        """Nothing is to be loaded."""

    async def close(self) -> None:
        """Nothing is held open."""


class Remote:
    """A cross-encoder behind `POST address`, in Cohere's, Jina's, Voyage's or TEI's protocol.

    Jina's is also that of vLLM, llama.cpp and Infinity; TEI is Hugging Face's server. All take a
    query and texts and give an index and a score for each.
    """

    def __init__(self, protocol: str, model: str, *, address: str | None = None, api_key: str = "") -> None:
        self.name = f"{protocol}:{model}"
        self._protocol = protocol
        self._model = model
        self._address = address or ADDRESSES[protocol]
        self._key = api_key
        self._clients = PerLoop(self._client)

    async def score(self, candidates: Candidates) -> Numbers:
        """Return the model's score of each candidate."""
        texts = [sendable(f"{row.title}\n{row.text}")[:TEXT_CHARACTERS] for row in candidates.rows]
        client = await self._clients.get()
        try:
            response = await client.post(self._address, json=self._body(sendable(candidates.query), texts))
        except network_errors() as error:
            raise RerankError(f"reranker {self.name!r} cannot be reached: {type(error).__name__}") from error
        if response.status_code != 200:
            raise RerankError(f"reranker {self.name!r} answered {response.status_code}")
        try:
            return _scores(response.json(), len(texts))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RerankError(f"reranker {self.name!r} gave no usable scores") from None

    async def warm(self) -> None:
        """Import the client before the first turn's clock runs."""
        await self._clients.get()

    async def close(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.take()
        if client is not None:
            await client.aclose()

    def _body(self, query: str, texts: list[str]) -> dict[str, Any]:
        if self._protocol == "tei":
            return {"query": query, "texts": texts, "truncate": True}
        count = "top_k" if self._protocol == "voyage" else "top_n"
        return {"model": self._model, "query": query, "documents": texts, count: len(texts)}

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx2.Timeout(30.0, connect=CONNECT_SECONDS)  # the caller's limit is shorter
        return httpx2.AsyncClient(headers=headers, follow_redirects=False, trust_env=False, timeout=timeout)


def _scores(answer: Any, count: int) -> Numbers:
    """Read the scores in the order of the texts; raises ValueError unless each text has one number."""
    rows = answer if isinstance(answer, list) else answer.get("results") or answer["data"]
    scores = np.full(count, np.nan)
    for row in rows:
        value = row["relevance_score"] if "relevance_score" in row else row["score"]
        if not 0 <= row["index"] < count:
            raise ValueError("an index beyond the texts")
        scores[row["index"]] = float(value)
    if not np.isfinite(scores).all():
        raise ValueError("a text without a score")
    return scores
