"""Scores a sentence for harm, injection, distress and planted instructions: one linear model a label.

Features: the sentence's embedding, which the turn computes anyway, the means of three layers within, which
the same reading gives, hashed words, word pairs and triples and letter sequences, and for harm how like the
vectors are to those of our own lines. Fitted by `python -m evalsets.fit_guard`; data card: classifier.md.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.guardrails.folding import fold
from pipeline.guardrails.likeness import NAMES, Likeness

Label = Literal["harm", "injection", "distress", "planted"]
LABELS: tuple[Label, ...] = ("harm", "injection", "distress", "planted")
BY_WORDS: tuple[Label, ...] = ("planted",)  # vectors did not help there
LANGUAGES = frozenset({"en"})  # of the embedder; texts in others have models of their own
WEIGHTS = Path(__file__).parent / "classifier.npz"
BUCKETS = 1 << 13
CHARACTERS = 1_500  # of a text that are looked at
LETTERS = (4, 5)  # lengths of the letter sequences within a word
VECTOR_WEIGHT = 1.5  # of each layer's vector beside the hashed words; all have length 1 before it
_WORD = re.compile(r"[^\W_]+|[\u3040-\u30ff\u3400-\u9fff]")
_HAN = re.compile(r"([\u3040-\u30ff\u3400-\u9fff])")

Vector = NDArray[np.float32]
Buckets = NDArray[np.int64]


def buckets(text: str, context: Iterable[str] = ()) -> Buckets:
    """Return the numbers of the hashed features that a text has, in ascending order.

    `context` adds features of where the text stands.
    """
    folded = fold(text[:CHARACTERS])
    words = _WORD.findall(folded if folded.isascii() else _HAN.sub(r" \1 ", folded))
    features = [f"0 {name}" for name in context]
    features += [f"2 {a} {b}" for a, b in pairwise(words)]
    features += [f"3 {a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)]
    crc = zlib.crc32
    numbers = {crc(feature.encode()) % BUCKETS for feature in features}
    numbers.update(*map(_alone, set(words)))
    return np.array(sorted(numbers), dtype=np.int64)


@lru_cache(maxsize=20_000)
def _alone(word: str) -> frozenset[int]:
    """Return the numbers of a word and of its letter sequences; most words come again."""
    framed = f"^{word}$"
    lengths = LETTERS if len(word) > 2 else ()
    parts = (framed[at : at + length] for length in lengths for at in range(len(framed) - length + 1))
    return frozenset(zlib.crc32(part.encode()) % BUCKETS for part in (f"1 {word}", *parts))


class Classifier:
    """Reads the weights once; each call costs well under a millisecond. Raises ConfigurationError.

    The file holds per label `<label>` (bias, scale of the calibration, its offset, threshold, then
    the weights of the vector and of the buckets), `<label>_words` for texts without a vector, and
    `<label>_foreign` and `<label>_foreign_words` for texts in other languages than LANGUAGES. A model
    that heeds likeness has `<model>_marks` too, the weight of each mark.
    """

    def __init__(self, path: Path = WEIGHTS) -> None:
        try:
            source = path.read_bytes()
            with np.load(path, allow_pickle=False) as stored:
                self._weights = {name: stored[name].astype(np.float32) for name in stored.files}
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"{path.name} cannot be read: {error}; reinstall answerdeck"]) from None
        missing = sorted({*_models(), *NAMES} - self._weights.keys())
        if missing:
            raise ConfigurationError(
                [f"{path.name} has no weights for {missing}; run evalsets.fit_guard and fit_foreign"]
            )
        self._likeness = Likeness.stored(self._weights)
        self.fingerprint = hashlib.sha256(source).hexdigest()[:8]

    def probability(
        self, label: Label, features: Buckets, vector: Vector | None = None, *, foreign: bool = False
    ) -> float:
        """Return the calibrated probability, 0..1; `features` are the text's buckets."""
        name = _name(label, vector=vector is not None, foreign=foreign)
        weights = self._weights[name]
        bias, scale, offset, _ = weights[:4]
        dense, sparse = weights[4:-BUCKETS], weights[-BUCKETS:]
        value = float(bias)
        if len(features):
            value += float(sparse[features].sum()) / float(np.sqrt(len(features)))
        if vector is not None:
            value += VECTOR_WEIGHT * float(dense @ vector)
            marks = self._weights.get(f"{name}_marks")
            value += 0.0 if marks is None else float(self._likeness.of(vector[np.newaxis])[0] @ marks)
        return 1.0 / (1.0 + float(np.exp(-np.clip(scale * value + offset, -30, 30))))

    def threshold(self, label: Label, *, vector: bool, foreign: bool = False) -> float:
        """Return the probability from which a text counts as having the label."""
        return float(self._weights[_name(label, vector=vector, foreign=foreign)][3])


def _models() -> set[str]:
    """Return the names of the models that a file must have."""
    fitted = {_name(label, vector=True, foreign=foreign) for label in LABELS for foreign in (False, True)}
    words = {_name(label, vector=False, foreign=foreign) for label in LABELS for foreign in (False, True)}
    by_words = {f"{label}{kind}" for label in BY_WORDS for kind in ("", "_foreign", "_foreign_words")}
    return (fitted | words) - by_words


def _name(label: Label, *, vector: bool, foreign: bool) -> str:
    """Return under which name the file holds the model for such a text."""
    return f"{label}{'_foreign' if foreign else ''}{'' if vector else '_words'}"
