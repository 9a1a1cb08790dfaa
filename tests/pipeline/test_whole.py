"""A small knowledge base goes whole to a model with room: what it finds, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalsets.cases.cases import load as load_evalset
from pipeline.events import Answer, Sources
from pipeline.knowledge.ingest import sample, sample_vectors, store
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.models.tokens import estimate
from pipeline.rehearsal.server import FaultServer
from tests.pipeline.turns import ask, make_pipeline

MODEL = "claude-haiku-5-5"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def counted(bodies: list[dict[str, Any]]) -> list[Tokens]:
    """Count tokens as a provider with a prompt cache does: a marked prefix is written once, then read."""
    kept: set[str] = set()
    counts: list[Tokens] = []
    for body in bodies:
        parts = [*body["system"], *(part for message in body["messages"] for part in _parts(message))]
        whole = sum(estimate(part["text"]) for part in parts)
        read = write = length = 0
        prefix = ""
        for part in parts:
            prefix, length = prefix + json.dumps(part["text"]), length + estimate(part["text"])
            if "cache_control" in part:
                read, write = (length, 0) if prefix in kept else (read, length - read)
                kept.add(prefix)
        counts.append(Tokens(whole, 200, read, write))
    return counts


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"text": content}]


async def measured(
    folder: Path, server: FaultServer, pages: int, budget: int, questions: int = 12
) -> tuple[float, float, float]:
    """Return recall of the needed pages, tokens and dollars per turn over the sample's first pages."""
    server.reset()
    documents = sample()[:pages]
    there = {one.document_id for one in documents}
    cases = [one for one in load_evalset("demo").cases if one.relevant_ids and set(one.relevant_ids) <= there]
    model = AnthropicMessages(MODEL, base_url=server.anthropic_url, api_key="k")
    pipeline = await make_pipeline(model, documents=(), data_dir=folder, retrieval={"whole_tokens": budget})
    knowledge = pipeline.knowledge
    await store(documents, pipeline.rules.kb, knowledge, ready=sample_vectors(knowledge.embedder))
    recall: list[float] = []
    for case in cases[:questions]:
        needed = set(case.relevant_ids or ())
        answer, events = await ask(pipeline, case.question)
        shown = (event.passages for event in events if isinstance(event, Sources))
        assert isinstance(answer, Answer)
        given = {passage.document_id for passages in shown for passage in passages}
        recall.append(len(given & needed) / len(needed))
    await pipeline.close()
    counts = counted([request.body for request in server.requests])
    prices = Prices()
    dollars = [prices.cost(f"anthropic:{MODEL}", count).usd or 0.0 for count in counts]
    tokens = [count.input_tokens or 0 for count in counts]
    return sum(recall) / len(recall), sum(tokens) / len(tokens), sum(dollars) / len(dollars)


async def test_the_whole_finds_all_and_its_prefix_is_read_from_the_cache(
    tmp_path: Path, server: FaultServer
) -> None:
    parts = await measured(tmp_path / "parts", server, 100, 0)
    whole = await measured(tmp_path / "whole", server, 100, 25_000)
    assert parts[0] <= whole[0] == 1.0
    assert whole[1] > 3 * parts[1]
    uncached = Prices().cost(f"anthropic:{MODEL}", Tokens(round(whole[1]), 200)).usd
    assert uncached is not None and whole[2] < 0.5 * uncached


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
