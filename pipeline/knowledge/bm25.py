"""Full-text search of a shelf that lies in memory: BM25 over stemmed words, no query language.

A user's quotes, operators and brackets are words or nothing here, so no question can break it.
The formula is that of Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework: BM25
and Beyond", with Lucene's idf, which is never negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.text.codes import codes, forms
from pipeline.text.sentences import words
from pipeline.text.spelling import vocabulary

K1 = 1.2
B = 0.75
QUERY_WORDS = 256  # distinct words of a query that are looked up; a pasted log has thousands

Places = NDArray[np.int64]


class Bm25:
    """An inverted index of texts by their place in a list; about 10 bytes a distinct word of a text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        self._words: dict[str, int] = {}
        self.vocabulary = vocabulary(texts)
        self.codes = forms(texts)
        counts = [Counter(map(self._number, [*words(text), *_whole(text)])) for text in texts]
        lengths = np.array([count.total() for count in counts], np.float64)
        terms = np.fromiter((term for count in counts for term in count), np.int64)
        times = np.fromiter((n for count in counts for n in count.values()), np.float64)
        places = np.repeat(np.arange(self._size, dtype=np.int32), [len(count) for count in counts])
        by_term = np.argsort(terms, kind="stable")
        self._places = places[by_term]
        self._ends = np.cumsum(np.bincount(terms, minlength=len(self._words)))
        holding = np.bincount(terms, minlength=len(self._words))
        rarity = np.log1p((self._size - holding + 0.5) / (holding + 0.5))
        relative = lengths[places] / max(lengths.mean(), 1.0) if self._size else lengths
        weights = rarity[terms] * times * (K1 + 1) / (times + K1 * (1 - B + B * relative))
        self._weights = weights[by_term].astype(np.float32)

    def search(self, query: str) -> tuple[Places, NDArray[np.float32]]:
        """Return the places of the texts that share a word with the query, in order, and their scores."""
        scores = np.zeros(self._size, np.float32)
        for term in self._terms(query):
            postings = slice(self._ends[term - 1] if term else 0, self._ends[term])
            scores[self._places[postings]] += self._weights[postings]
        places = np.flatnonzero(scores)
        return places, scores[places]

    def _terms(self, query: str) -> list[int]:
        numbers = (self._words.get(word) for word in dict.fromkeys([*words(query), *_whole(query)]))
        return [term for term in numbers if term is not None][:QUERY_WORDS]

    def _number(self, word: str) -> int:
        return self._words.setdefault(word, len(self._words))


def _whole(text: str) -> list[str]:
    """Return the codes of a text as words by themselves, so that EX_KB is more than an EX and a KB."""
    return [f"={code}" for code in codes(text)]
