"""Where whole knowledge bases stop paying: `python -m evalsets.crossover [CASES]`.

Asks the demo questions over growing parts of the handbook, once with the passages that retrieval finds
and once with everything in the prompt. The provider is the loopback server of `pipeline.rehearsal`: it
speaks Anthropic's protocol and says what it is told to, so the table tells what a model could read and
what that costs at list prices, not how well a model reads. Tokens are estimated; a marked prefix is
written to the provider's cache by the first question and read by the others.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsets.cases.cases import load_evalset
from evalsets.cases.row import Case
from pipeline.build import build
from pipeline.events import Question, Sources
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import sample, sample_vectors, store
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.model import Tokens
from pipeline.models.prices import Prices
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import load_settings
from pipeline.text.tokens import estimate

MODEL = "claude-haiku-5-5"
SIZES = (5, 20, 50, 100)
CASES = 40  # questions of a size
EVERYTHING = 150_000  # tokens; more than any of these, and the model has room for them
FREE = {"requests_per_minute": 100_000, "tokens_per_minute": 1_000_000_000}
WRITTEN = 200  # tokens of an answer


@dataclass(frozen=True, slots=True)
class CrossoverResult:
    """What one way of asking gave: recall of the needed pages, tokens and dollars of a turn."""

    cases: int
    recall: float
    complete: float  # share of questions with every needed page in the prompt
    tokens: float
    usd: float  # with the provider's cache
    uncached_usd: float


def corpus(pages: int) -> tuple[list[Document], list[Case]]:
    """Return the first pages that the demo questions need, others after them, and the questions on them."""
    cases = [case for case in load_evalset("demo").cases if case.relevant_ids and not case.history]
    needed = dict.fromkeys(page for case in cases for page in case.relevant_ids or ())
    place = {page: number for number, page in enumerate(needed)}
    documents = sorted(sample(), key=lambda document: place.get(document.document_id, len(place)))[:pages]
    there = {document.document_id for document in documents}
    return documents, [case for case in cases if set(case.relevant_ids or ()) <= there]


def counted(bodies: Sequence[dict[str, Any]]) -> list[Tokens]:
    """Count tokens as a provider with a prompt cache does: a marked prefix is written once, then read."""
    pages_read: set[str] = set()
    counts: list[Tokens] = []
    for body in bodies:
        parts = [*body["system"], *(part for message in body["messages"] for part in _parts(message))]
        whole = sum(estimate(part["text"]) for part in parts)
        read = write = length = 0
        prefix = ""
        for part in parts:
            prefix, length = prefix + json.dumps(part["text"]), length + estimate(part["text"])
            if "cache_control" in part:
                read, write = (length, 0) if prefix in pages_read else (read, length - read)
                pages_read.add(prefix)
        counts.append(Tokens(whole, WRITTEN, read, write))
    return counts


async def measure(
    folder: Path, server: FaultServer, pages: int, budget: int, cases: int = CASES
) -> CrossoverResult:
    """Ask the questions on the first pages; `budget` is the largest knowledge base that goes whole."""
    server.reset()
    documents, cases_asked = corpus(pages)
    cases_asked = cases_asked[:cases]
    model = AnthropicMessages(MODEL, base_url=server.anthropic_url, api_key="none needed")
    settings = load_settings(data_dir=folder, retrieval={"whole_tokens": budget}, limits=FREE)
    pipeline = build(settings, models=[model])
    shares: list[float] = []
    try:
        knowledge = pipeline.knowledge
        await store(documents, pipeline.rules.kb, knowledge, ready=sample_vectors(knowledge.embedder))
        for case in cases_asked:
            needed, given = set(case.relevant_ids or ()), set[str]()
            async for event in pipeline.answer(Question(case.question, "crossover", "eval")):
                if isinstance(event, Sources):
                    given |= {passage.document_id for passage in event.passages}
            shares.append(len(given & needed) / len(needed))
    finally:
        await pipeline.close()
    counts = counted([request.body for request in server.requests])
    return CrossoverResult(
        len(cases_asked),
        _mean(shares),
        _mean([float(share == 1.0) for share in shares]),
        _mean([float(count.input_tokens or 0) for count in counts]),
        _mean([_usd(count) for count in counts]),
        _mean([_usd(Tokens(count.input_tokens, count.output_tokens)) for count in counts]),
    )


def table(rows: Sequence[tuple[int, CrossoverResult, CrossoverResult]]) -> str:
    """Return the table of sizes: passages beside the whole."""
    lines = [
        "| pages | questions | every needed page in the prompt: passages / whole | tokens a turn"
        " | USD per 1,000 turns | without the provider's cache |",
        "|---|---|---|---|---|---|",
    ]
    for pages, parts, whole in rows:
        lines.append(
            f"| {pages} | {parts.cases} | {parts.complete:.2f} / {whole.complete:.2f}"
            f" | {parts.tokens:,.0f} / {whole.tokens:,.0f} | {1000 * parts.usd:.2f} / {1000 * whole.usd:.2f}"
            f" | {1000 * parts.uncached_usd:.2f} / {1000 * whole.uncached_usd:.2f} |"
        )
    return "\n".join(lines)


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else [{"text": content}]


def _usd(count: Tokens) -> float:
    return Prices().cost(f"anthropic:{MODEL}", count).usd or 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


async def _main(cases: int) -> None:
    rows: list[tuple[int, CrossoverResult, CrossoverResult]] = []
    everything = len(sample())
    with FaultServer() as server, tempfile.TemporaryDirectory() as folder:
        for pages in (*(size for size in SIZES if size < everything), everything):
            place = Path(folder) / str(pages)
            parts = await measure(place / "parts", server, pages, 0, cases)
            whole = await measure(place / "whole", server, pages, EVERYTHING, cases)
            rows.append((pages, parts, whole))
    print(table(rows))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else CASES))
