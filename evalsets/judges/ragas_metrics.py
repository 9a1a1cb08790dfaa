"""RAGAS's metrics over our judge. Imports RAGAS: only `ragas_worker` may import this file.

The metrics are RAGAS's own; two things are made faster without changing a score: the constant part of
each prompt is rendered once, and calls go through `evalsets.judges.judge`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, BinaryIO, TextIO, TypeVar

import numpy as np
import ragas
from pydantic import BaseModel
from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorBaseRagasLLM
from ragas.metrics.collections import (
    AnswerRelevancy,
    ContextPrecision,
    ContextRecall,
    FactualCorrectness,
    Faithfulness,
    NoiseSensitivity,
)
from ragas.prompt.metrics.base_prompt import BasePrompt

from evalsets.judges.judge import BudgetSpent, Judge, engage
from evalsets.judges.task import JudgeJob, JudgeTask, Opinion
from evalsets.metrics.table import JUDGED
from pipeline.errors import ModelError
from pipeline.knowledge.embedding import Embedder, EmbedError
from pipeline.providers import embedder
from pipeline.settings import load_settings

T = TypeVar("T", bound=BaseModel)
KINDS: dict[str, Any] = {
    "faithfulness": Faithfulness,
    "answer_relevancy": AnswerRelevancy,
    "context_precision": ContextPrecision,
    "context_recall": ContextRecall,
    "factual_correctness": FactualCorrectness,
    "noise_sensitivity": NoiseSensitivity,
}
NO_NUMBER = "the judge gave no verdict: it found no statement to look at"


_heard: ContextVar[list[BaseModel] | None] = ContextVar("heard", default=None)


class Adapter(InstructorBaseRagasLLM):
    """Lets RAGAS ask our judge, and keeps what it said to the sample at hand."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def generate(self, prompt: str, response_model: type[T]) -> T:
        return asyncio.run(self.agenerate(prompt, response_model))

    async def agenerate(self, prompt: str, response_model: type[T]) -> T:
        reply = await self._judge.ask(prompt, response_model)
        if (heard := _heard.get()) is not None:
            heard.append(reply)
        return reply


class Embeddings(BaseRagasEmbedding):
    """Lets RAGAS use the embedder that is configured."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def embed_text(self, text: str, **_: Any) -> list[float]:
        return asyncio.run(self.aembed_text(text))

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        return np.asarray(await self._embedder.embed_query(text), dtype=float).tolist()

    async def aembed_texts(self, texts: list[str], **_: Any) -> list[list[float]]:
        return [await self.aembed_text(text) for text in texts]


class Rendered:
    """A prompt whose constant part is rendered once; gives the same text as RAGAS's own, faster."""

    def __init__(self, prompt: BasePrompt[Any, Any]) -> None:
        self._prompt = prompt
        self._parts: dict[tuple[str, ...], tuple[str, str]] = {}

    def to_string(self, data: BaseModel) -> str:
        variant = tuple(str(getattr(data, key, "")) for key in ("atomicity", "coverage"))
        own = data.model_dump_json(indent=4, exclude_none=True)
        if variant not in self._parts:
            whole = self._prompt.to_string(data)
            before, reply, after = whole.rpartition(f"input: {own}")
            if not reply:
                return whole
            self._parts[variant] = (f"{before}input: ", after)
        before, after = self._parts[variant]
        return f"{before}{own}{after}"


def metric(name: str, judge: Judge, embedder: Callable[[], Embedder]) -> Any:
    """Return RAGAS's metric of this name, asking our judge."""
    kind = KINDS[name]
    extra = {"embeddings": Embeddings(embedder())} if name == "answer_relevancy" else {}
    scorer = kind(llm=Adapter(judge), **extra)
    for key, value in vars(scorer).items():
        if isinstance(value, BasePrompt) and name != "noise_sensitivity":  # whose prompts are other functions
            setattr(scorer, key, Rendered(value))
    return scorer


async def measure(scorer: Any, task: JudgeTask, judge: Judge) -> Opinion:
    """Score one sample.

    Raises BudgetSpent. A value is a number from 0 to 1; all else is a failure with its reason.
    """
    name, account, heard = task.metric, judge.open(), list[BaseModel]()
    _heard.set(heard)
    value, reason = None, None
    try:
        result = await scorer.ascore(**{key: task.sample[key] for key in JUDGED[name].needs})
        value = float(result.value)
    except ModelError as error:
        reason = f"{error.error_class}: {error}"
    except (EmbedError, ValueError, IndexError, TypeError) as error:  # RAGAS on verdicts of odd numbers
        reason = f"RAGAS cannot use the judge's reply ({type(error).__name__}: {str(error)[:120]})"
    if value is not None and not math.isfinite(value):
        value, reason = None, NO_NUMBER
    if value is not None and not -1e-9 <= value <= 1 + 1e-9 and name != "answer_relevancy":
        value, reason = None, f"the judge's verdicts are off the scale ({value:g})"
    value = value if value is None else min(max(value, -1.0), 1.0)
    return Opinion(task.place, name, value, reason or why(heard), account.bill)


def why(heard: Iterable[BaseModel]) -> str | None:
    """Return in one line what the judge held against the sample, from its own reasons."""
    verdicts = [verdict for reply in heard for verdict in _verdicts(reply)]
    if not verdicts:
        return None
    against = [f"{what[:100]!r}: {reason[:160]}" for what, right, reason in verdicts if not right]
    count = f"{len(verdicts) - len(against)} of {len(verdicts)} verdicts positive"
    return "; ".join([count, *against[:3]])


def _verdicts(reply: BaseModel) -> Iterator[tuple[str, bool, str]]:
    reply_fields = reply.model_dump()
    for part in (reply_fields, *reply_fields.get("statements", ()), *reply_fields.get("classifications", ())):
        if isinstance(part, dict) and ("verdict" in part or "attributed" in part):
            right = bool(part.get("verdict", part.get("attributed")))
            yield part.get("statement", "passage"), right, part.get("reason", "")


async def serve(job: JudgeJob, lines: BinaryIO, out: TextIO) -> None:
    """Score the samples of a job, `concurrency` at a time, until its input ends."""
    settings = load_settings()
    judge = await engage(job, settings)
    out.write(json.dumps({"ready": True, "ragas": ragas.__version__, "judge": judge.fingerprint}) + "\n")
    scorers: dict[str, Any] = {}
    waiting: asyncio.Queue[JudgeTask | None] = asyncio.Queue()

    async def work() -> None:
        while (task := await waiting.get()) is not None:
            name = task.metric
            if name not in scorers:
                scorers[name] = metric(name, judge, lambda: embedder(settings))
            try:
                opinion = await measure(scorers[name], task, judge)
            except BudgetSpent:
                opinion = Opinion(task.place, name, stopped=True)
            out.write(json.dumps(opinion.to_dict(), allow_nan=False) + "\n")
        waiting.put_nowait(None)

    loop = asyncio.get_running_loop()
    reader = threading.Thread(target=_read, args=(lines, loop, waiting), daemon=True)
    reader.start()
    async with asyncio.TaskGroup() as group:
        for _ in range(job.concurrency):
            group.create_task(work())
    out.write(json.dumps({"done": True, "calls": judge.bill.calls, "usd": judge.bill.usd}) + "\n")


def _read(lines: BinaryIO, loop: asyncio.AbstractEventLoop, waiting: asyncio.Queue[JudgeTask | None]) -> None:
    """Hand the lines of the input to the loop. Its end is our parent's: nothing more may be asked or paid."""
    for line in lines:
        message = json.loads(line)
        loop.call_soon_threadsafe(waiting.put_nowait, None if message.get("end") else JudgeTask.read(message))
    os._exit(1)
