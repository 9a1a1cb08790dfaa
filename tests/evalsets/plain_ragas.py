"""Run as a process: RAGAS as it comes against our adapter, on the same canned replies. Prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any
from zlib import crc32

from evalsets.judges import ragas_worker

ragas_worker.forbid()

from ragas.embeddings.base import BaseRagasEmbedding  # noqa: E402
from ragas.llms.base import InstructorBaseRagasLLM  # noqa: E402

from evalsets.judges import ragas_metrics  # noqa: E402
from evalsets.judges.task import JudgeTask  # noqa: E402
from evalsets.metrics.table import JUDGED  # noqa: E402
from tests.judge_stub import filled  # noqa: E402


class Canned(InstructorBaseRagasLLM):
    """Verdicts drawn from the prompt, so that scores differ and both sides hear the same."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def generate(self, prompt: str, response_model: Any) -> Any:
        raise NotImplementedError

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        self.prompts.append(prompt)
        schema = response_model.model_json_schema()
        value = filled(schema, schema)
        for place, one in enumerate([value, *value.get("statements", []), *value.get("classifications", [])]):
            for key in ("verdict", "attributed", "noncommittal"):
                if isinstance(one, dict) and key in one:
                    one[key] = crc32(f"{place}{prompt}".encode()) % 2
        return response_model.model_validate(value)

    async def ask(self, prompt: str, shape: Any) -> Any:
        return await self.agenerate(prompt, shape)


class Letters(BaseRagasEmbedding):
    """Counts letters."""

    def embed_text(self, text: str, **_: Any) -> list[float]:
        return [1.0 + text.lower().count(letter) for letter in "aeiounst"]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        return self.embed_text(text)

    async def embed_query(self, text: str) -> list[float]:
        return self.embed_text(text)


def sample(i: int) -> dict[str, Any]:
    return {
        "user_input": f"How do I add printer {i} to “Settings”?",
        "response": f'Open the panel.\nPress key {i} \\ then "Add". It\'s input: {{}} done.',
        "reference": f"Open Printers and press Add {i}.",
        "retrieved_contexts": [f"Panel {i}: press the key.", "Elsewhere é.", "Output: nothing"],
    }


async def main() -> None:
    found: dict[str, Any] = {}
    for name in JUDGED:
        ours, theirs = Canned(), Canned()
        judge: Any = ours
        judge.open = _account
        made: Callable[..., Any] = ragas_metrics.metric
        fast = made(name, judge, Letters)
        extra = {"embeddings": Letters()} if name == "answer_relevancy" else {}
        plain = ragas_metrics.KINDS[name](llm=theirs, **extra)
        values = []
        for i in range(6):
            opinion = await ragas_metrics.measure(fast, JudgeTask(i, name, sample(i)), judge)
            inputs = {key: sample(i)[key] for key in JUDGED[name].needs}
            values.append((opinion.value, float((await plain.ascore(**inputs)).value), opinion.reason))
        found[name] = {"values": values, "same_prompts": ours.prompts == theirs.prompts}
    loaded = [
        name
        for name, module in sys.modules.items()
        if any(word in name for word in ragas_worker.FORBIDDEN) and getattr(module, "__file__", None)
    ]
    print(json.dumps({"metrics": found, "loaded": loaded}))


def _account() -> Any:
    from evalsets.judges.judge import JudgingCost

    return JudgingCost()


if __name__ == "__main__":
    asyncio.run(main())
