"""A stage for eval runs: the real pipeline, with a table for the documents and a script for the model."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalsets.cases.evalset import Evalset, fingerprint
from pipeline import build
from pipeline.context.cache import CacheScope
from pipeline.errors import ModelError
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.models.gateway import Gateway
from pipeline.models.model import Prompt
from pipeline.models.prices import Prices
from pipeline.models.scripted import Reply, Scripted
from pipeline.prompts.library import SHIPPED, Library
from pipeline.settings import load_settings
from pipeline.steps import guards
from tests.factories import make_passage
from traces.recorder import Recorder
from traces.records import Case, Turn

ANSWER = "Open the panel and press the key. [1]"  # eight words, as many as ABSENT
ABSENT = "I could not find this in the documents."
WORDS = 8
MODEL = "local:scripted"


def make_set(count: int = 8, prefix: str = "c", **columns: Any) -> Evalset:
    """Answerable cases c0, c1, ..., the last one unanswerable."""
    cases = [
        Case(
            "",
            f"{prefix}{i}",
            f"How do I do {i}?",
            relevant_ids=[f"doc-{prefix}{i}"],
            answerability="answerable",
        )
        for i in range(count - 1)
    ]
    cases.append(Case("", f"{prefix}{count - 1}", "How much is it?", answerability="unanswerable"))
    return Evalset("small", fingerprint(cases), tuple(cases), **columns)


class Stage:
    """A pipeline that finds document doc-<case> for each case and answers from it.

    Of the cases in `wrong` the document is missed, in `absent` the model finds no answer, in
    `unreachable` it cannot be asked, in `broken` the search raises; `before` sees each turn first.
    """

    def __init__(
        self, folder: Path, *, usd: float | None = 0.001, models: tuple[str, ...] = (MODEL,)
    ) -> None:
        self.wrong: set[str] = set()
        self.absent: set[str] = set()
        self.unreachable: set[str] = set()
        self.broken: dict[str, Exception] = {}
        self.before: Callable[[Turn], None] = lambda _: None
        self.turns: list[Turn] = []
        self.models = [Scripted(self._reply, name=name) for name in models]
        settings = load_settings(data_dir=folder, limits={"user_turns": 1000})
        rates = {"input_per_million": 0.0, "output_per_million": (usd or 0.0) * 1e6 / WORDS}
        prices = Prices({} if usd is None else dict.fromkeys(models, rates))
        prompts = Library(_prompts(folder / "prompts"))
        rules = replace(guards.rules(settings), model=models[0], guardrails="gg", code_version="cc")
        self.pipeline = build.build(
            settings,
            rules=rules,
            prompts=prompts,
            retriever=self,
            clock=itertools.count(0, 0.001).__next__,  # each look at the clock takes a millisecond
            gateway=Gateway(self.models, Extractive(), prices=prices),
        )
        self.store, self.journal = self.pipeline.store, self.pipeline.journal

    async def retrieve(
        self, query: str, kb: str, recorder: Recorder, scope: CacheScope | None = None, own: str | None = None
    ) -> Retrieved:
        """Find the document of the turn's case, or another where the case is to go wrong."""
        turn = recorder.turn
        self.turns.append(turn)
        self.before(turn)
        case = turn.case_id or ""
        if case in self.broken:
            raise self.broken[case]
        document = "elsewhere" if case in self.wrong else f"doc-{case}"
        passage = make_passage(
            turn.turn_id,
            document_id=document,
            chunk_id=f"{document}#0",
            text="Open the panel and press the key.",
        )
        return Retrieved(query, None, (RetrievedChunk(passage),), kb, "v3", "words")

    async def warm(self) -> None:
        """There is nothing to warm."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _reply(self, prompt: Prompt) -> Reply:
        asked = {turn.turn_id: turn.case_id for turn in self.turns}
        case = asked[prompt.retrieved.candidates[0].passage.turn_id]
        if case in self.unreachable:
            return ModelError("timeout_connect", "nobody is there")
        return ABSENT if case in self.absent else ANSWER


def _prompts(folder: Path) -> Path:
    """Return the folder with the shipped prompts and a second version of the answer's."""
    if not folder.exists():
        shutil.copytree(SHIPPED, folder)
        shutil.copy(folder / "answer" / "v1.md", folder / "answer" / "v2.md")
    return folder
