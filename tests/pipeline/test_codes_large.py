"""Codes in a knowledge base that is too large for memory: found exactly, however they are typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.events import Answer
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from tests.fake_embedder import WordEmbedder
from tests.pipeline.turns import ask, make_pipeline

PARTS = ("pump", "valve", "motor", "sensor", "belt", "filter", "fan", "relay")
ACTS = ("Replace", "Clean", "Tighten", "Calibrate", "Grease", "Inspect", "Rinse")
SPECIAL = {
    "E-1041": "Refill the coolant tank.",
    "E-104": "Restart the conveyor.",
    "E-1014": "Close the rear door.",
    "KX-7/B": "Swap the ribbon cartridge.",
    "KX-7/C": "Reset the label printer.",
}


def rows(count: int) -> Iterator[Document]:
    """Yield small rows, each with a code of its own; the special ones lie far apart."""
    special = iter(SPECIAL.items())
    for number in range(count):
        if number % (count // len(SPECIAL)) == 3 and (entry := next(special, None)):
            code, remedy = entry
        else:
            code = f"{'EFGH'[number % 4]}-{20_000 + number}"
            remedy = f"{ACTS[number % len(ACTS)]} the {PARTS[number % len(PARTS)]} of line {number}."
        yield Document(f"row{number}", "Error codes", f"Code: {code}\nRemedy: {remedy}")


@pytest.mark.parametrize(
    ("count", "memory_chunks"),
    [(400, 300), pytest.param(12_000, 10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
async def test_codes_are_found_exactly_on_disk(tmp_path: Path, count: int, memory_chunks: int) -> None:
    knowledge = Knowledge(tmp_path / "knowledge", WordEmbedder(), memory_chunks=memory_chunks)
    pipeline = await make_pipeline(documents=tuple(rows(count)), parts={"knowledge": knowledge})
    shelf = await knowledge.open(pipeline.rules.kb)
    assert (type(shelf).__name__, shelf.chunks) == ("TableShelf", count)
    questions = {code: f"What is the remedy for error code {code}?" for code in SPECIAL}
    questions |= {
        "KX-7/B ": "what does kx7b mean, which remedy?",
        "E-104 ": "remedy for e104",
        "E-1041 ": "E 1041 remedy",
    }
    wrong: list[tuple[str, str]] = []
    for code, question in questions.items():
        answer, _ = await ask(pipeline, question)
        assert isinstance(answer, Answer)
        others = [remedy for name, remedy in SPECIAL.items() if name != code.strip()]
        if SPECIAL[code.strip()].rstrip(".") not in answer.answer or any(
            o.rstrip(".") in answer.answer for o in others
        ):
            wrong.append((question, answer.answer))
    missing, _ = await ask(pipeline, "What is the remedy for error code E-10417?")
    assert isinstance(missing, Answer)
    assert not any(remedy.rstrip(".") in missing.answer for remedy in SPECIAL.values())
    assert not wrong
    await pipeline.close()
