"""The bare turn we compare with: MiniLM, numpy top 5 and the official openai client, nothing else.

Runs as its own process: `python -m console.bench.peer CORPUS.npz BASE_URL`. Each line on stdin is
{"questions": […], "users": N}; each line on stdout says how long those turns took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
from openai import AsyncOpenAI

from pipeline.knowledge.embedding import MiniLM

PASSAGES = 5
SYSTEM = "Answer the question from the passages. Cite them as [n]."


class Bare:
    """Retrieve, prompt, stream: no guardrails, no full text, no rerank, no trace."""

    def __init__(self, corpus: str, base_url: str) -> None:
        with np.load(corpus) as file:
            self._texts, self._vectors = file["texts"].tolist(), file["vectors"]
        self._embedder = MiniLM()
        self._client = AsyncOpenAI(base_url=base_url, api_key="bench", max_retries=0)

    async def turn(self, question: str) -> tuple[float, float]:
        """Answer one question; return the seconds to the first and to the last token."""
        began = time.perf_counter()
        first: float | None = None
        # By the model's own graph, as everybody runs it; texts of ours have a quicker one.
        vector = await asyncio.to_thread(self._embedder.vector, question)
        best = np.argsort(-(self._vectors @ vector))[:PASSAGES]
        passages = "\n\n".join(f"[{n}] {self._texts[place]}" for n, place in enumerate(best, 1))
        stream = await self._client.chat.completions.create(
            model="stub",
            messages=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"{passages}\n\n{question}"},
            ],
            stream=True,
            stream_options={"include_usage": True},
        )
        async for event in stream:
            if first is None and event.choices and event.choices[0].delta.content:
                first = time.perf_counter() - began
        return first or 0.0, time.perf_counter() - began

    async def batch(self, questions: Sequence[str], users: int) -> dict[str, object]:
        """Answer the questions, `users` at a time."""
        waiting, times = list(reversed(questions)), []

        async def user() -> None:
            while waiting:
                times.append(await self.turn(waiting.pop()))

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(user() for _ in range(users)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - began
        return {"firsts": [t[0] for t in times], "lasts": [t[1] for t in times], "cpu": cpu, "wall": wall}


async def main() -> None:
    bare = Bare(sys.argv[1], sys.argv[2])
    while line := await asyncio.to_thread(sys.stdin.readline):
        batch = json.loads(line)
        print(json.dumps(await bare.batch(batch["questions"], batch["users"])), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
