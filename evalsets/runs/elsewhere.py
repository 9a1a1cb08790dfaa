"""A pipeline whose turns run on workers elsewhere; what they were is recorded here, each once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evalsets.runs.answer_cache import REPETITION, remember
from pipeline.errors import AnswerdeckError
from pipeline.events import Event, Question, last_event
from pipeline.turn import Pipeline
from pipeline.workers import Workers
from traces.journal import Journal
from traces.records import Trace


class WorkerPipeline:
    """Asks workers what its pipeline would be asked, and writes their traces to its pipeline's journal.

    A worker that dies takes no trace with it: another one asks the turn again. `changed` are settings
    that the workers change of their own environment's.
    """

    def __init__(
        self, pipeline: Pipeline, workers: Workers, changed: Mapping[str, Any], *, cache: bool
    ) -> None:
        self._workers = workers
        self._order = (json.dumps(changed), cache)
        self.rules, self.force = pipeline.rules, pipeline.force
        self.journal, self.store = pipeline.journal, pipeline.store

    async def answer(self, question: Question) -> AsyncGenerator[Event]:
        last, trace = await self._workers.run(answer, *self._order, REPETITION.get(), question)
        if trace is not None:
            self.journal.write(trace)
        if last is not None:
            yield last

    async def retrieve(self, question: Question) -> Trace:
        trace = await self._workers.run(retrieve, *self._order, question)
        self.journal.write(trace)
        return trace


class Bench:
    """A worker's own pipeline, in an event loop of its own; its journal is thrown away."""

    def __init__(self, changed: Mapping[str, Any], *, cache: bool) -> None:
        from pipeline.build import build
        from pipeline.settings import load_settings

        self.loop = asyncio.new_event_loop()
        self._folder = TemporaryDirectory(prefix="answerdeck-worker-")
        settings = load_settings(**changed)
        self.pipeline = build(settings, journal=Journal(Path(self._folder.name)))
        self._ready: set[str | None] = set()
        if cache:
            remember(self.pipeline, settings.data_dir)

    async def ready(self, kb: str | None) -> None:
        """Load what a first turn would wait for, without a turn's limits; what fails the turn will say."""
        if kb in self._ready:
            return
        self._ready.add(kb)
        with suppress(AnswerdeckError):
            await self.pipeline.knowledge.embedder.embed_query("warm up")
            await self.pipeline.retriever.warm()
            await self.pipeline.knowledge.open(kb or self.pipeline.rules.kb)

    async def answer(self, question: Question) -> tuple[Event | None, Trace | None]:
        await self.ready(question.kb)
        traces: list[Trace] = []
        self.pipeline.observers.append(traces.append)
        try:
            last = await last_event(self.pipeline.answer(question))
        finally:
            self.pipeline.observers.remove(traces.append)
        return last, traces[-1] if traces else None

    async def retrieve(self, question: Question) -> Trace:
        await self.ready(question.kb)
        return await self.pipeline.retrieve(question)


def answer(
    changed: str, cache: bool, repetition: int, question: Question
) -> tuple[Event | None, Trace | None]:
    """Run a turn in a worker; return its last event and its trace."""
    bench = _bench(changed, cache)
    REPETITION.set(repetition)
    return bench.loop.run_until_complete(bench.answer(question))


def retrieve(changed: str, cache: bool, question: Question) -> Trace:
    """Run the retrieval of a turn in a worker."""
    bench = _bench(changed, cache)
    return bench.loop.run_until_complete(bench.retrieve(question))


@cache  # of the worker: its next turn finds everything open
def _bench(changed: str, cache: bool) -> Bench:
    return Bench(json.loads(changed), cache=cache)
