"""Orders the candidates by a cross-encoder that reads each beside the question, here and in a thread."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np

from pipeline.context.reranker import Candidates, CrowdError, EmbeddedReranker, Numbers, RerankError
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.shelf import StoredChunk
from pipeline.knowledge.weights_file import WeightsError

log = logging.getLogger(__name__)
READ = 8  # candidates, the best by the embedded score
CROSSED = 0.4  # weight of the cross-encoder's log odds beside the embedded score; see the room's README
WAITING = 2  # questions that are read or wait to be, from which on the embedded order stands at once
WARM = "What is read first?"


class PairReranker:
    """The embedded score and the cross-encoder's, summed; what is not read stays behind what is.

    One thread reads pair by pair, and stops between two when its question is given up.
    """

    name = "cross_encoder"

    def __init__(self, encoder: CrossEncoder) -> None:
        self._encoder = encoder
        self._embedded = EmbeddedReranker()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rerank")
        self._waiting = 0

    async def score(self, candidates: Candidates) -> Numbers:
        """Return a score per candidate."""
        if self._waiting >= WAITING:
            raise CrowdError(f"{self._waiting} other questions are being read")
        embedded = await self._embedded.score(candidates)
        first = np.argsort(-embedded, kind="stable")[:READ]
        texts = [_text(candidates.rows[number]) for number in first.tolist()]
        crossed = await self._read(candidates.query, texts)
        scores = np.full(len(embedded), crossed.min(initial=0.0))
        scores[first] = crossed
        return embedded + CROSSED * scores

    async def _read(self, question: str, texts: list[str]) -> Numbers:
        """Return the log odds of each text, read in the thread."""
        given_up = Event()
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._scores, question, texts, given_up)
        except WeightsError as error:
            raise RerankError(str(error)) from error
        finally:
            self._waiting -= 1
            given_up.set()

    def _scores(self, question: str, texts: list[str], given_up: Event) -> Numbers:
        scores = np.zeros(len(texts))
        for number, text in enumerate(texts):
            if given_up.is_set():
                break
            scores[number] = self._encoder.scores(question, [text])[0]
        return scores

    async def warm(self) -> None:
        """Read the weights before the first turn's clock runs; where they cannot be, each turn says so."""
        try:
            await self._read(WARM, [WARM])
        except RerankError as error:
            log.warning("the embedded order of passages stands: %s", error)

    async def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _text(row: StoredChunk) -> str:
    return f"{row.title}. {row.text}" if row.title else row.text
