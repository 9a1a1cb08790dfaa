"""Compares ways to condense follow-ups: `python -m evalsets.condensing_table DATA_FOLDER [URL MODEL]`.

Prints the Markdown table that the README of `pipeline` keeps: recall@5 by documents on the follow-ups of
each set alone, with its 95 % interval, and how much more each way finds than the last question as it is. The
scripted model gives the rewrites that people wrote for the set; URL and MODEL name a real one, on a server
that speaks the OpenAI protocol.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalsets.cases.evalset import messages
from evalsets.evidence_sets import lines
from evalsets.metrics.retrieval import retrieval
from evalsets.metrics.stats import summary
from evalsets.retrieval_table import ShelfInMemory, ours, relevant_documents, shelve, unrecorded
from pipeline.context.condenser import Condenser
from pipeline.events import Message
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.embedding import MiniLM
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.prompts.library import Library

SETS = ("mtrag_cloud", "demo_gnome_help")
LAST, RULES, PEOPLE = "last question", "rules", "scripted model with people's rewrites"
SECONDS = 60.0  # for a real model: a small one on a busy machine is slow


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question within a conversation, as people rewrote it, and the documents that answer it."""

    question: str
    history: tuple[Message, ...]
    rewritten: str
    relevant: frozenset[str]


def follow_ups(folder: Path) -> list[FollowUp]:
    """Return the labelled questions of a set that stand in a conversation."""
    if (folder / "tasks.jsonl").exists():
        return _tasks(folder)
    turns = [turn for row in lines(folder / "conversations.jsonl") for turn in _turns(row["turns"])]
    return [turn for turn in turns if turn.history and turn.relevant]


def _tasks(folder: Path) -> list[FollowUp]:
    labels = relevant_documents(folder)
    return [
        FollowUp(task["question"], messages(task["history"]), task["rewrite"], labels[task["id"]])
        for task in lines(folder / "tasks.jsonl")
        if task["id"] in labels and task["history"]
    ]


def _turns(turns: Sequence[dict[str, object]]) -> list[FollowUp]:
    """Return each turn with the questions before it; these conversations have no answers."""
    questions = [str(turn["user"]) for turn in turns]
    return [
        FollowUp(
            questions[place],
            tuple(Message("user", text) for text in questions[:place]),
            str(turn["standalone"]),
            frozenset(map(str, turn["relevant"])) if isinstance(turn["relevant"], list) else frozenset(),
        )
        for place, turn in enumerate(turns)
    ]


async def recalls(standing: ShelfInMemory, cases: Sequence[FollowUp], model: Model | None) -> list[float]:
    """Return the recall@5 of each follow-up, condensed by the rules, or by a model as a turn does it."""
    version = Library().get("condense@v1")
    gateway = None if model is None else Gateway([model], Extractive(), prices=Prices())
    condenser = Condenser(gateway, seconds=SECONDS)
    values: list[float] = []
    for case in cases:
        if isinstance(model, Scripted):
            model.script(case.rewritten)
        recorder = unrecorded(case.question)
        query = await condenser.condense(case.question, case.history, version, recorder)
        values.append(_recall(await ours(standing, query), case))
    return values


def _recall(documents: Sequence[str], case: FollowUp) -> float:
    return retrieval(list(dict.fromkeys(documents)), case.relevant)["recall@5"] or 0.0


async def row(name: str, standing: ShelfInMemory, cases: Sequence[FollowUp], real: Model | None) -> str:
    """Return a set's line of the table."""
    last = [_recall(await ours(standing, case.question), case) for case in cases]
    ways = [await recalls(standing, cases, model) for model in (None, Scripted(), *([real] if real else []))]
    cells = [f"{name} ({len(cases)})", _cell(last), *(f"{_cell(way)}, {_gain(way, last)}" for way in ways)]
    return f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float]) -> str:
    interval = summary(values)
    return f"{interval.mean:.3f} ({interval.low:.2f} to {interval.high:.2f})"


def _gain(values: Sequence[float], last: Sequence[float]) -> str:
    gain = summary(list(np.subtract(values, last)))
    return f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


async def main(folder: Path, url: str | None = None, name: str = "") -> None:
    """Print the table."""
    embedder = MiniLM()
    real = (
        OpenAIChat(name, base_url=url, provider="local", first_token_seconds=SECONDS, gap_seconds=SECONDS)
        if url
        else None
    )
    heads = [LAST, RULES, PEOPLE, *([real.name] if real else [])]
    print(f"| follow-ups | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for part in SETS:
        standing = ShelfInMemory(await shelve(folder / part / "corpus.jsonl", embedder), embedder)
        print(await row(part, standing, follow_ups(folder / part), real), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:4]))
