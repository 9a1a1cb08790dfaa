"""A small knowledge base goes whole to a model with room: what it finds, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalsets import crossover
from pipeline.events import Answer, Sources
from pipeline.models.anthropic import AnthropicMessages
from pipeline.rehearsal.server import FaultServer
from tests.pipeline.turns import ask, make_pipeline

MODEL = "claude-haiku-5-5"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


async def test_the_whole_finds_all_and_its_prefix_is_read_from_the_cache(
    tmp_path: Path, server: FaultServer
) -> None:
    parts = await crossover.measure(tmp_path / "parts", server, 50, 0, 5)
    whole = await crossover.measure(tmp_path / "whole", server, 50, 60_000, 5)
    assert parts.cases == whole.cases == 5
    assert parts.recall <= whole.recall == whole.complete == 1.0
    assert whole.tokens > 3 * parts.tokens
    assert whole.usd < 0.5 * whole.uncached_usd
    assert crossover.table([(50, parts, whole)]).endswith(f" / {1000 * whole.uncached_usd:.2f} |")


def test_a_small_part_of_the_handbook_answers_questions_of_its_own() -> None:
    documents, cases = crossover.corpus(20)
    there = {document.document_id for document in documents}
    assert len(there) == 20 and len(cases) >= 12
    assert all(set(case.relevant_ids or ()) <= there for case in cases)


async def test_the_switch_is_in_the_trace_and_follows_model_and_size(
    tmp_path: Path, server: FaultServer
) -> None:
    model = AnthropicMessages(MODEL, base_url=server.anthropic_url, api_key="k")
    question = "How do I turn on bounce keys?"
    for name, models, budget, whole in (
        ("room", (model,), 25_000, True),
        ("off", (model,), 0, False),
        ("small", (model,), 60, False),
        ("extractive", (), 25_000, False),
    ):
        pipeline = await make_pipeline(*models, data_dir=tmp_path / name, retrieval={"whole_tokens": budget})
        answer, events = await ask(pipeline, question)
        assert isinstance(answer, Answer) and answer.trace is not None
        [span] = [span for span in answer.trace.spans if span.name == "assemble"]
        assert span.attributes["whole"] is whole, name
        [sources] = [event for event in events if isinstance(event, Sources)]
        assert [passage.n for passage in sources.passages] == list(range(1, len(sources.passages) + 1))
        assert len({passage.chunk_id for passage in sources.passages}) == len(sources.passages)
        await pipeline.close()


async def test_a_prompt_that_overflows_is_asked_again_with_passages(
    tmp_path: Path, server: FaultServer
) -> None:
    server.script("status?code=400&type=invalid_request_error&message=prompt%20is%20too%20long")
    model = AnthropicMessages(MODEL, base_url=server.anthropic_url, api_key="k")
    pipeline = await make_pipeline(model, data_dir=tmp_path)
    answer, _ = await ask(pipeline, "How do I turn on bounce keys?")
    await pipeline.close()
    assert isinstance(answer, Answer)
    assert len(server.requests) >= 1
