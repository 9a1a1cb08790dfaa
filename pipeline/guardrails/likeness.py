"""How like a text is to lines of our own: what no sum over its vector's numbers can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 0.6  # how fast likeness falls with the distance
NAMES = ("likeness_centre", "likeness_axes", "likeness_marks")

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Likeness:
    """A Gaussian kernel between a text and the marks, our own lines, along the main axes of their vectors.

    `centre` is the mean vector, a row for each layer; `axes` are columns, as long as the layers'
    vectors together; `marks` are rows of length one, the lines along these axes.
    """

    centre: Matrix
    axes: Matrix
    marks: Matrix

    @classmethod
    def stored(cls, arrays: Mapping[str, Any]) -> Likeness:
        """Return the one that a file holds in small whole numbers, whose scale says nothing."""
        centre, axes, marks = (np.asarray(arrays[name], np.float32) for name in NAMES)
        return cls(centre, axes, unit(marks))

    def along(self, vectors: Matrix) -> Matrix:
        """Return the vectors of texts (a row each, layers in a row) along the axes, of length one."""
        layers = vectors.reshape(len(vectors), *self.centre.shape) - self.centre
        return unit(unit(layers).reshape(len(vectors), -1) @ self.axes)

    def of(self, vectors: Matrix) -> Matrix:
        """Return how like each text is to each mark, 0..1."""
        return self.between(self.along(vectors))

    def between(self, rows: Matrix) -> Matrix:
        """Return how like rows along the axes are to each mark."""
        return np.exp(2 * SHARPNESS * (rows @ self.marks.T - 1))


def unit(rows: Matrix) -> Matrix:
    """Return the rows of the last axis with length one."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.float32(1e-9))
