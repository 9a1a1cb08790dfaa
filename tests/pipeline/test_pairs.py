"""The cross-encoder as the reranker: read in a thread, within a time limit, never at an answer's cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import build
from pipeline.breakers import Breakers
from pipeline.context.pairs import READ, WAITING, PairReranker
from pipeline.context.patience import Patience
from pipeline.context.reranker import Candidates, CrowdError
from pipeline.context.retrieval import Retriever
from pipeline.errors import ConfigurationError
from pipeline.knowledge import cross_encoder
from pipeline.knowledge.cross_encoder import PASSAGE, TEXT, CrossEncoder
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.shelf import StoredChunk
from pipeline.knowledge.weights_file import WeightsError
from pipeline.providers import reranker
from pipeline.settings import load_settings
from tests.factories import make_turn
from tests.fake_embedder import WordEmbedder
from traces.recorder import Collected, Recorder

MISSING = CrossEncoder().trouble
PAGES = [
    Document("battery", "Charge the battery", "Plug in the cable. The battery charges in an hour."),
    Document("screen", "Clean the screen", "Use a soft cloth for the battery screen."),
    Document("sound", "Louder sound", "Turn the dial of the battery speaker."),
]


class Given:
    """Scores by the words of a text, in the model's place."""

    trouble = None

    def __init__(
        self, by_word: Mapping[str, float] | None = None, *, seconds: float = 0.0, broken: bool = False
    ) -> None:
        self.by_word = by_word or {}
        self.seconds = seconds
        self.broken = broken
        self.texts: list[str] = []

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        if self.broken:
            raise WeightsError("the file of the package is another than ours")
        time.sleep(self.seconds)
        self.texts += texts
        return np.array([max((s for w, s in self.by_word.items() if w in t), default=-9.0) for t in texts])


def reading(encoder: Given) -> PairReranker:
    return PairReranker(encoder)  # pyright: ignore[reportArgumentType] scores of the test's own


@pytest.fixture
async def knowledge(tmp_path: Path) -> Knowledge:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())
    await store(PAGES, "kb", knowledge)
    return knowledge


async def ask(retriever: Retriever) -> tuple[list[str], dict[str, Any]]:
    """Return the documents in their order and what the span of the reranker says."""
    recorder = Recorder(make_turn(), Collected())
    retrieved = await retriever.retrieve("charge battery", "kb", recorder)
    spans = recorder.close().spans
    order = [candidate.passage.document_id for candidate in retrieved.candidates]
    return order, next(span.attributes for span in spans if span.name == "rerank")


def many(count: int) -> Candidates:
    rows = [StoredChunk(f"{n}", f"{n}", f"Page {n}", "", f"Text {n}.", (), None) for n in range(count)]
    fused = -np.arange(count, dtype=float)
    return Candidates("which text", None, rows, fused, np.full(count, np.nan), 0.0, 1.0)


async def test_what_is_read_best_comes_first(knowledge: Knowledge) -> None:
    encoder = Given({"dial": 20.0, "cloth": 10.0})
    order, span = await ask(Retriever(knowledge, reranker=reading(encoder), patience=Patience(rerank=10.0)))
    assert order == ["sound", "screen", "battery"]
    assert span["by"] == "cross_encoder" and "instead_of" not in span
    assert "Charge the battery. Plug in the cable. The battery charges in an hour." in encoder.texts


async def test_only_the_first_are_read_and_the_others_stay_behind_in_their_order() -> None:
    encoder = Given({f"Text {READ - 1}.": 9.0, f"Text {READ}.": 9.0})
    scores = await reading(encoder).score(many(READ + 4))
    order = np.argsort(-scores, kind="stable").tolist()
    assert len(encoder.texts) == READ
    assert order[READ:] == list(range(READ, READ + 4))
    assert order.index(READ - 1) < READ - 1
    assert len(await reading(Given()).score(many(0))) == 0


async def test_a_late_one_is_left_behind_and_read_no_further(knowledge: Knowledge) -> None:
    expected, _ = await ask(Retriever(knowledge))
    encoder = Given(seconds=0.2)
    order, span = await ask(Retriever(knowledge, reranker=reading(encoder), patience=Patience(rerank=0.05)))
    assert order == expected
    assert span["by"] == "embedded" and span["instead_of"] == "cross_encoder"
    await asyncio.sleep(0.5)
    assert len(encoder.texts) == 1


async def test_others_go_on_while_one_is_read() -> None:
    encoder = Given(seconds=0.1)
    work = asyncio.ensure_future(reading(encoder).score(many(3)))
    rounds = 0
    while not work.done():
        await asyncio.sleep(0.01)
        rounds += 1
    assert rounds > 5


async def test_a_crowd_gets_the_embedded_order_at_once_and_nothing_rests(knowledge: Knowledge) -> None:
    expected, _ = await ask(Retriever(knowledge))
    breakers, encoder = Breakers(), Given({"dial": 20.0}, seconds=0.05)
    patience = Patience(rerank=30.0)
    retriever = Retriever(knowledge, reranker=reading(encoder), breakers=breakers, patience=patience)
    answers = await asyncio.gather(*(ask(retriever) for _ in range(12)))
    turned_away = [order for order, span in answers if "instead_of" in span]
    assert len(turned_away) == 12 - WAITING and all(order == expected for order in turned_away)
    assert [order[0] for order, span in answers if "instead_of" not in span] == ["sound"] * WAITING
    assert breakers.by_name["reranker cross_encoder"].report().state == "closed"
    with pytest.raises(CrowdError):
        await asyncio.gather(*(retriever._reranker.score(many(2)) for _ in range(WAITING + 1)))


async def test_weights_that_cannot_be_read_leave_the_embedded_order(
    knowledge: Knowledge, caplog: pytest.LogCaptureFixture
) -> None:
    expected, _ = await ask(Retriever(knowledge))
    retriever = Retriever(knowledge, reranker=reading(Given(broken=True)))
    await retriever.warm()
    assert "another than ours" in caplog.text
    order, span = await ask(retriever)
    assert order == expected and "another than ours" in span["error"]
    await retriever.close()


def test_without_the_package_the_start_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_RETRIEVAL__RERANKER", "cross_encoder")
    settings = load_settings(data_dir=tmp_path)
    assert reranker(settings).name == "cross_encoder"
    absent = replace(cross_encoder.WEIGHTS, package="no-such-package-of-weights")
    monkeypatch.setattr(cross_encoder, "WEIGHTS", absent)
    with pytest.raises(ConfigurationError, match=r"retrieval\.reranker: .* not installed: make install"):
        build.check(settings)


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_a_passage_is_read_to_its_end() -> None:
    text = "The lamp stands in the hall of the house. " * 15 + "Its bulb has 40 watts."
    question = "How many watts has the bulb of the lamp?"
    [whole], [cut] = (CrossEncoder(most).scores(question, [text]) for most in (PASSAGE, TEXT))
    assert whole > cut + 2


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
async def test_the_true_weights_put_the_page_that_answers_first(knowledge: Knowledge) -> None:
    retriever = Retriever(
        knowledge, reranker=PairReranker(CrossEncoder(PASSAGE)), patience=Patience(rerank=60.0)
    )
    await retriever.warm()
    order, _ = await ask(retriever)
    assert order[0] == "battery"
