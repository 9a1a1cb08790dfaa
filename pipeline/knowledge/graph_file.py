"""As much of the ONNX file format as a graph of our own needs: reads a model's tensors, writes a model."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int | str, ...]  # a name stands for a length that differs from run to run

# Numbers of fields in onnx.proto, and of data types.
_MODEL_IR, _MODEL_GRAPH, _MODEL_OPSETS = 1, 7, 8
_GRAPH_NODES, _GRAPH_NAME, _GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 1, 2, 5, 11, 12
_NODE_INPUTS, _NODE_OUTPUTS, _NODE_OPERATOR, _NODE_ATTRIBUTES, _NODE_DOMAIN = 1, 2, 4, 5, 7
_NODE_ENDS = (_NODE_INPUTS, _NODE_OUTPUTS)
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_DATA = 1, 2, 8, 9
_TYPES = {1: np.dtype("<f4"), 2: np.dtype("u1"), 3: np.dtype("i1"), 7: np.dtype("<i8"), 9: np.dtype("?")}
_NUMBERS = {kind: number for number, kind in _TYPES.items()}

IR_VERSION, OPSET = 10, 17
OWN_OPERATORS = "com.microsoft"  # the domain of what onnxruntime knows beside the standard
_OWN = frozenset({"BiasGelu", "MatMulIntegerToFloat", "MultiHeadAttention"})


def tensors(model: bytes) -> dict[str, Array]:
    """Return the constants of a model by name, in the file's order, as views; ValueError when it is none."""
    graph = next((value for field, value in _fields(memoryview(model)) if field == _MODEL_GRAPH), None)
    if not isinstance(graph, memoryview):
        raise ValueError("the file holds no graph")
    rows = (value for field, value in _fields(graph) if field == _GRAPH_TENSORS)
    return dict(_tensor(row) for row in rows if isinstance(row, memoryview))


def showing(model: bytes, weights: Sequence[str], shape: Shape) -> tuple[bytes, list[str]]:
    """Return a model that also gives what the operations with these weights result in, and their names.

    A message that stands in a file twice is read as one, so outputs are added behind it. Raises ValueError.
    """
    graph = next((value for field, value in _fields(memoryview(model)) if field == _MODEL_GRAPH), None)
    results: dict[str, str] = {}
    for field, node in _fields(graph) if isinstance(graph, memoryview) else ():
        if field == _GRAPH_NODES and isinstance(node, memoryview):
            parts = [(part, bytes(value).decode()) for part, value in _fields(node) if part in _NODE_ENDS]
            result = next((name for part, name in parts if part == _NODE_OUTPUTS), "")
            results.update({name: result for part, name in parts if part == _NODE_INPUTS})
    if missing := [name for name in weights if name not in results]:
        raise ValueError(f"no operation has the weights {missing}")
    names = [results[name] for name in weights]
    outputs = (_bytes(_GRAPH_OUTPUTS, _value(name, np.float32, shape)) for name in names)
    return model + _bytes(_MODEL_GRAPH, b"".join(outputs)), names


class Graph:
    """A graph that is written node by node; names of results are made up."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, array: Array) -> str:
        """Add an array; return its name."""
        name, kind = f"c{len(self._constants)}", array.dtype.newbyteorder("<")
        shape = b"".join(_number(_TENSOR_SHAPE, length) for length in array.shape)
        content = np.ascontiguousarray(array, kind).tobytes()
        head = shape + _number(_TENSOR_TYPE, _NUMBERS[kind]) + _bytes(_TENSOR_NAME, name.encode())
        self._constants.append(head + _bytes(_TENSOR_DATA, content))
        return name

    def node(self, operator: str, *inputs: str, **attributes: float | tuple[int, ...]) -> str:
        """Add an operation with one result; return the result's name."""
        [result] = self.nodes(operator, 1, *inputs, **attributes)
        return result

    def nodes(
        self, operator: str, results: int, *inputs: str, **attributes: float | tuple[int, ...]
    ) -> list[str]:
        """Add an operation with so many results; return their names."""
        names = [f"r{len(self._nodes)}.{number}" for number in range(results)]
        parts = [_bytes(_NODE_INPUTS, name.encode()) for name in inputs]
        parts += [_bytes(_NODE_OUTPUTS, name.encode()) for name in names]
        parts.append(_bytes(_NODE_OPERATOR, operator.encode()))
        parts += [_bytes(_NODE_ATTRIBUTES, _attribute(*item)) for item in attributes.items()]
        if operator in _OWN:
            parts.append(_bytes(_NODE_DOMAIN, OWN_OPERATORS.encode()))
        self._nodes.append(b"".join(parts))
        return names

    def named(self, result: str, name: str) -> None:
        """Give a result the name under which it is asked for."""
        self._nodes.append(
            _bytes(_NODE_INPUTS, result.encode())
            + _bytes(_NODE_OUTPUTS, name.encode())
            + _bytes(_NODE_OPERATOR, b"Identity")
        )

    def model(self, inputs: dict[str, tuple[type, Shape]], outputs: dict[str, tuple[type, Shape]]) -> bytes:
        """Return the model as onnxruntime reads it."""
        parts = [_bytes(_GRAPH_NODES, node) for node in self._nodes]
        parts += [_bytes(_GRAPH_NAME, b"graph")]
        parts += [_bytes(_GRAPH_TENSORS, constant) for constant in self._constants]
        parts += [_bytes(_GRAPH_INPUTS, _value(name, *kind)) for name, kind in inputs.items()]
        parts += [_bytes(_GRAPH_OUTPUTS, _value(name, *kind)) for name, kind in outputs.items()]
        opsets = [_bytes(1, domain) + _number(2, version) for domain, version in _opsets()]
        head = _number(_MODEL_IR, IR_VERSION) + b"".join(_bytes(_MODEL_OPSETS, opset) for opset in opsets)
        return head + _bytes(_MODEL_GRAPH, b"".join(parts))


def _opsets() -> Iterator[tuple[bytes, int]]:
    yield b"", OPSET
    yield OWN_OPERATORS.encode(), 1


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: whole numbers as such, all else as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"a field of kind {kind}")
        size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
        if at + size > len(message):
            raise ValueError("the file ends inside a field")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError("the file ends inside a number")


def _tensor(row: memoryview) -> tuple[str, Array]:
    shape: list[int] = []
    name, kind, content = "", 0, memoryview(b"")
    for field, value in _fields(row):
        if field == _TENSOR_SHAPE:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif field == _TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif field == _TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif field == _TENSOR_DATA and isinstance(value, memoryview):
            content = value
    if kind not in _TYPES:
        raise ValueError(f"tensor {name!r} has the unknown type {kind}")
    return name, np.frombuffer(content, _TYPES[kind]).reshape(shape)


def _packed(numbers: memoryview) -> list[int]:
    values, at = list[int](), 0
    while at < len(numbers):
        value, at = _varint(numbers, at)
        values.append(value)
    return values


def _number(field: int, value: int) -> bytes:
    return _encoded(field << 3) + _encoded(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _encoded(field << 3 | 2) + _encoded(len(content)) + content


def _encoded(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _attribute(name: str, value: float | tuple[int, ...]) -> bytes:
    head = _bytes(1, name.encode())
    if isinstance(value, tuple):
        return head + b"".join(_number(8, item) for item in value) + _number(20, 7)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + _encoded(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)


def _value(name: str, kind: type, shape: Shape) -> bytes:
    lengths = (
        _number(1, length) if isinstance(length, int) else _bytes(2, length.encode()) for length in shape
    )
    dimensions = b"".join(_bytes(1, length) for length in lengths)
    tensor = _number(1, _NUMBERS[np.dtype(kind).newbyteorder("<")]) + _bytes(2, dimensions)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))
