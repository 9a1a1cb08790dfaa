"""A process that is killed in the middle of turns: each line of stdin makes it fork one that answers."""

import asyncio
import os
import sys

from pipeline.events import Answer, Question, Started
from pipeline.knowledge.ingest import store
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.fake_embedder import WordEmbedder
from tests.pipeline.turns import DOCUMENTS, make_pipeline

WORDS = ["Open the ", "settings and ", "switch ", "bounce keys ", "on [1]."]


async def answer() -> None:
    model = Scripted(WORDS, gap_seconds=0.003)
    pipeline = await make_pipeline(
        model, documents=(), limits={"requests_per_minute": 10**6, "tokens_per_minute": 10**9}
    )
    pipeline.knowledge.embedder = WordEmbedder()
    if not pipeline.knowledge.exists("default"):
        await store(DOCUMENTS, "default", pipeline.knowledge)
    print("ready", os.getpid(), flush=True)
    while True:
        await asyncio.gather(*(one(pipeline) for _ in range(4)))


async def one(pipeline: Pipeline) -> None:
    async for event in pipeline.answer(Question("How do I turn on bounce keys?", user_id="ada")):
        if isinstance(event, Started):
            print("begun", event.turn_id, flush=True)
        elif isinstance(event, Answer):
            print("acked", event.turn_id, flush=True)


if __name__ == "__main__":
    import genai_prices  # noqa: F401  # before the forks: these take most of a second
    import lancedb  # noqa: F401

    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(answer())
        os.waitpid(child, 0)
        print("gone", flush=True)
