"""What the guard's models learn from likeness to our own lines: the marks, and the features of a fit.

The kernel's feature map is Nyström's (Williams and Seeger 2001): along the main directions of the marks'
own kernel, so that a ridge fit weighs them as a kernel machine would.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsets.guard_lines import LabelledText
from pipeline.guardrails.likeness import NAMES, Likeness, unit
from pipeline.knowledge.embedding import MiniLM

AXES = 64
MARKS = 2_400
SHORT = 300  # characters of the longest line that is a mark
WEIGHT = 3.0  # of the features beside the vectors
LEAST = 1e-3  # share of a direction below which it counts no more
CHUNK = 2_000  # texts at a time

Small = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Likenesses:
    """The marks as the file holds them, and the map to features: `basis` is marks by features.

    `mean` is the mean likeness to each mark.
    """

    arrays: dict[str, NDArray[Any]]
    likeness: Likeness
    basis: NDArray[np.float32]
    mean: NDArray[np.float32]

    def features(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features of texts, a row each."""
        return ((_to_marks(self.likeness, vectors) - self.mean) @ self.basis).astype(np.float32)

    def of_marks(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
        """Return the weight of each mark for weights of the features, and what the bias gains."""
        each = self.basis.astype(np.float64) @ weights
        return each.astype(np.float32), -float(self.mean @ each)


def likenesses(lines: Sequence[LabelledText]) -> Likenesses:
    """Choose the marks among our own lines, and the axes along which these and harmless questions differ.

    No set that a report leaves out has a part in them.
    """
    vectors = _rows([line for line in lines if _ours(line) or (line.kind == "plain" and not line.unseen)])
    layers = vectors.reshape(len(vectors), -1, MiniLM.dimensions)
    centre = layers.mean(axis=0).astype(np.float32)
    flat = unit(layers - centre).reshape(len(vectors), -1)
    _, directions = np.linalg.eigh(flat.T @ flat)
    axes = _small(directions[:, ::-1][:, :AXES])
    rough = Likeness(centre, axes.astype(np.float32), np.zeros((0, AXES), np.float32))
    marks = _small(rough.along(_rows(_marks(lines))))
    arrays: dict[str, NDArray[Any]] = dict(zip(NAMES, (centre, axes, marks), strict=True))
    likeness = Likeness.stored(arrays)
    values, parts = np.linalg.eigh(likeness.between(likeness.marks).astype(np.float64))
    basis = WEIGHT * parts / np.sqrt(np.maximum(values, LEAST))
    return Likenesses(arrays, likeness, basis.astype(np.float32), _to_marks(likeness, vectors).mean(axis=0))


def _ours(line: LabelledText) -> bool:
    return line.source.startswith("own:")


def _marks(lines: Sequence[LabelledText]) -> list[LabelledText]:
    own = [line for line in lines if _ours(line) and len(line.text) < SHORT]
    return random.Random(17).sample(own, min(MARKS, len(own)))


def _rows(lines: Sequence[LabelledText]) -> NDArray[np.float32]:
    return np.array([line.vector for line in lines], np.float32)


def _to_marks(likeness: Likeness, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([likeness.of(vectors[at : at + CHUNK]) for at in range(0, len(vectors), CHUNK)])


def _small(values: NDArray[np.float32]) -> Small:
    """Return values as whole numbers of a byte; their scale is lost."""
    return np.round(values * (127 / np.abs(values).max())).astype(np.int8)
