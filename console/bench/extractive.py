"""What a turn costs that the embedded model answers, from the question to the last event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from console.bench.corpus import KB, corpus, questions
from console.bench.figures import Figure
from console.bench.processes import BenchError
from pipeline.build import build, prepare
from pipeline.events import Answer, Question
from pipeline.knowledge.ingest import store
from pipeline.settings import load_settings

WARM_TURNS, TURNS = 5, 40


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Answer questions one after the other in this process."""
    progress("extractive turns")
    return asyncio.run(_turns(folder / "data", 10 if quick else TURNS))


async def _turns(data_dir: Path, turns: int) -> list[Figure]:
    pipeline = build(load_settings(data_dir=data_dir, kb=KB, models={"primary": "extractive"}))
    texts = corpus(pipeline.knowledge.embedder)
    await store(texts.documents, KB, pipeline.knowledge, ready=texts.vectors)
    await prepare(pipeline)
    cpu: list[float] = []
    wall: list[float] = []
    for number, question in enumerate(islice(questions(), WARM_TURNS + turns)):
        began, used = time.perf_counter(), time.process_time()
        last = [event async for event in pipeline.answer(Question(question, door="eval"))][-1]
        if not isinstance(last, Answer):
            raise BenchError(f"the turn had no answer: {last!r}")
        if number >= WARM_TURNS:
            wall.append((time.perf_counter() - began) * 1e3)
            cpu.append((time.process_time() - used) * 1e3)
    await pipeline.close()
    return [
        Figure("extractive", "CPU per turn, 1 user", "ms", tuple(cpu)),
        Figure("extractive", "whole turn, 1 user", "ms", tuple(wall)),
    ]
