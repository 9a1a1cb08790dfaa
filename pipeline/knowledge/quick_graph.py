"""MiniLM for one text at a time, from the weights of the installed model: int8 times int8, fused, unpadded.

The model's own graph unpacks its int8 matrices and multiplies in float32, over operations that onnxruntime
cannot fuse. Here the same matrices stay int8 with the scale of each column, so they are not rounded
anew; the states between them are rounded for each product. That is fine enough because the few
channels in which this model keeps values five times as large as in all others go by float32, and
each word piece has a scale of its own. Figures: the room's README.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.knowledge.graph_file import Array, Graph

LAYERS, HEADS = 6, 12
EPSILON = 1e-12
INPUT, OUTPUT = "ids", "mean"
INNER = (2, 3, 4)  # layers before the last whose means are given too
INNER_OUTPUT = "inner"  # their means, a row each
STATES = "states"  # the last layer's, a row for each word piece
LOUD = (63, 99, 127, 157, 223, 267, 338, 383)  # channels with values up to 28; others stay below 5
LOWEST = -0.2  # of what GELU gives, in shares of a word piece's highest value
LEAST = 0.85  # that this value is taken for: GELU never goes below -0.17
_EMBEDDINGS = "inner.embeddings."


def quick_graph(weights: Mapping[str, Array], longest: int) -> bytes:
    """Return the graph from the word pieces of one text, `longest` at most, to their states and means.

    Raises ValueError or KeyError when the weights are not those of MiniLM with int8 matrices.
    """
    return _Writer(weights).model(longest)


class _Writer:
    """Writes the layers one after the other; a matrix is taken from the file when its turn comes."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._graph = Graph()
        self._matrices = [name[:-2] for name in weights if name.startswith("val_") and name.endswith("_q")]
        if len(self._matrices) != 6 * LAYERS:
            raise ValueError(f"the model has {len(self._matrices)} matrices, not {6 * LAYERS}")

    def model(self, longest: int) -> bytes:
        """Return the whole model."""
        states = self._embedded(longest)
        inner: list[str] = []
        for layer in range(LAYERS):
            states = self._layer(states, f"inner.encoder.layer.{layer}.")
            if layer in INNER:
                inner.append(self._graph.node("ReduceMean", states, axes=(1,), keepdims=0))
        mean = self._graph.node("ReduceMean", states, axes=(1,), keepdims=0)
        self._graph.named(mean, OUTPUT)
        self._graph.named(states, STATES)
        self._graph.named(self._graph.node("Concat", *inner, axis=0), INNER_OUTPUT)
        width = len(self._weights[f"{_EMBEDDINGS}LayerNorm.bias"])
        outputs = {OUTPUT: (1, width), INNER_OUTPUT: (len(INNER), width), STATES: (1, "n", width)}
        return self._graph.model(
            {INPUT: (np.int64, (1, "n"))}, {name: (np.float32, shape) for name, shape in outputs.items()}
        )

    def _embedded(self, longest: int) -> str:
        """Return the sum of word, place and type; only the rows of the text's words are unpacked."""
        graph, words = self._graph, f"{_EMBEDDINGS}word_embeddings.weight"
        row = graph.node("Gather", graph.constant(self._weights[f"{words}_q"]), INPUT)
        scale = graph.node("Gather", graph.constant(self._weights[f"{words}_scale"]), INPUT)
        vectors = graph.node("Mul", graph.node("Cast", row, to=1), scale)
        begin, axis = graph.constant(np.array([0])), graph.constant(np.array([1]))
        length = graph.node("Gather", graph.node("Shape", INPUT), axis)
        places = graph.node("Slice", graph.constant(self._places(longest)[None]), begin, length, axis)
        return self._normed(vectors, places, f"{_EMBEDDINGS}LayerNorm")

    def _places(self, longest: int) -> Array:
        name = f"{_EMBEDDINGS}position_embeddings.weight"
        rows, scales = (self._weights[f"{name}_{part}"][:longest] for part in ("q", "scale"))
        return (
            rows.astype(np.float32) * scales + self._weights[f"{_EMBEDDINGS}token_type_embeddings.weight"][0]
        )

    def _layer(self, states: str, name: str) -> str:
        graph, attention = self._graph, f"{name}attention."
        parts = [self._weights[f"{attention}self.{part}.bias"] for part in ("query", "key", "value")]
        thirds = graph.constant(np.array([len(part) for part in parts]))
        heads = graph.nodes("Split", 3, self._products(states, 3), thirds, axis=2)
        bias = graph.constant(np.concatenate(parts))
        attended = graph.node("MultiHeadAttention", *heads, bias, num_heads=HEADS)
        attended = self._product(attended, self._next(1))
        states = self._normed(
            attended, states, f"{attention}output.LayerNorm", f"{attention}output.dense.bias"
        )
        bias = graph.constant(self._weights[f"{name}intermediate.dense.bias"])
        wide = graph.node("BiasGelu", self._products(states, 1), bias)
        narrow = self._narrowed(wide, self._next(1))
        return self._normed(narrow, states, f"{name}output.LayerNorm", f"{name}output.dense.bias")

    def _normed(self, states: str, beside: str, norm: str, bias: str | None = None) -> str:
        """Return the normalised sum of two states, and of a bias.

        Written out, since onnxruntime's own operation reads number by number: 19 ms a passage instead of 16.
        """
        graph = self._graph
        states = graph.node("Add", states, beside)
        if bias is not None:
            states = graph.node("Add", states, graph.constant(self._weights[bias]))
        mean = graph.node("ReduceMean", states, axes=(2,), keepdims=1)
        centred = graph.node("Sub", states, mean)
        square = graph.node("ReduceMean", graph.node("Mul", centred, centred), axes=(2,), keepdims=1)
        square = graph.node("Add", square, graph.constant(np.array(EPSILON, np.float32)))
        states = graph.node("Div", centred, graph.node("Sqrt", square))
        states = graph.node("Mul", states, graph.constant(self._weights[f"{norm}.weight"]))
        return graph.node("Add", states, graph.constant(self._weights[f"{norm}.bias"]))

    def _products(self, states: str, matrices: int) -> str:
        """Return normalised states times the next matrices: the loud channels by float32."""
        graph = self._graph
        matrix, scales = self._next(matrices)
        quiet = np.ones(len(matrix), np.float32)
        quiet[list(LOUD)] = 0
        product = self._product(graph.node("Mul", states, graph.constant(quiet)), (matrix, scales))
        loud = graph.node("Gather", states, graph.constant(np.array(LOUD)), axis=2)
        rows = graph.constant(matrix[list(LOUD)].astype(np.float32) * scales)
        return graph.node("Add", product, graph.node("MatMul", loud, rows))

    def _product(self, states: str, by: tuple[Array, Array]) -> str:
        """Return states, as large below zero as above, times an int8 matrix."""
        highest = self._graph.node("ReduceMax", self._graph.node("Abs", states), axes=(2,), keepdims=1)
        return self._multiplied(states, highest, 128, by)

    def _narrowed(self, wide: str, by: tuple[Array, Array]) -> str:
        """Return what GELU gave times an int8 matrix."""
        graph = self._graph
        least = graph.constant(np.array(LEAST, np.float32))
        highest = graph.node("Max", graph.node("ReduceMax", wide, axes=(2,), keepdims=1), least)
        return self._multiplied(wide, highest, round(-255 * LOWEST / (1 - LOWEST)), by)

    def _multiplied(self, states: str, highest: str, zero: int, by: tuple[Array, Array]) -> str:
        """Return states, rounded with one scale for each word piece, times a matrix.

        `highest` is each word piece's largest value, `zero` the whole number that stands for 0.
        """
        graph = self._graph
        step, nothing = np.array(1 / (255 - zero), np.float32), np.array(zero, np.uint8)
        even, middle = graph.constant(step), graph.constant(nothing)
        rounded = graph.node("QuantizeLinear", graph.node("Div", states, highest), even, middle)
        matrix, scales = map(graph.constant, by)
        product = graph.node("MatMulIntegerToFloat", rounded, matrix, even, scales, middle)
        return graph.node("Mul", product, highest)

    def _next(self, count: int) -> tuple[Array, Array]:
        """Return the next matrices of the file side by side, and the scales of their columns."""
        names, self._matrices = self._matrices[:count], self._matrices[count:]
        matrix = np.concatenate([self._weights[f"{name}_q"] for name in names], axis=1)
        return matrix, np.concatenate([self._weights[f"{name}_scale"][0] for name in names])
