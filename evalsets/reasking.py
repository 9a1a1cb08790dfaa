"""Asks open questions again when their documents may have come, of the embedded model, which is free."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from evalsets import assigned
from evalsets.assigned import Assigned, keyed
from evalsets.topics import Gap, gaps
from pipeline import build
from pipeline.desk import desk
from pipeline.events import Answer, Question
from traces.queries import asked
from traces.queries.asked import QuestionPlace
from traces.queries.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.turn import Pipeline

PAST = timedelta(days=30)
MOST = 50  # questions asked after one ingestion, those that people asked most often
EMBEDDED = "extractive"


@dataclass(frozen=True, slots=True)
class Reasked:
    """What became of an open question that was asked again by itself; its turn is in the ledger."""

    key: str
    turn_id: str
    outcome: str
    index_version: str | None
    asked_at: str

    @property
    def answered(self) -> bool:
        return self.outcome == "answered"

    def after(self, gap: Gap) -> bool:
        """Whether nobody asked it since."""
        return datetime.fromisoformat(self.asked_at) > gap.newest_at


def closed(gap: Gap, last: Assigned | None) -> bool:
    """Whether a question was closed by hand and not asked since."""
    return last is not None and last.closed and datetime.fromisoformat(last.at) > gap.newest_at


async def ask_again(settings: Settings, kb: str) -> list[Reasked]:
    """Ask the open questions of the last 30 days that this knowledge base had no answer to.

    What each gave is noted beside who looks after it.
    Raises StoreError when the ledger cannot be read, AnswerdeckError when the product cannot be built.
    """
    questions = _open(settings, kb)
    if not questions:
        return []
    pipeline = build.build(
        settings.model_copy(update={"models": settings.models.model_copy(update={"primary": EMBEDDED})})
    )
    results: list[Reasked] = []
    try:
        await build.prepare(pipeline)
        for gap, place in questions:
            if result := await _asked(pipeline, gap, place):
                _note(settings, result)
                results.append(result)
    finally:
        await pipeline.close()
    return results


def _note(settings: Settings, result: Reasked) -> None:
    """Keep the outcome beside who looks after the question."""
    row = {field.name: getattr(result, field.name) for field in fields(result)}
    with desk(settings).together():
        assigned.append(settings.data_dir, row)


def read(folder: Path) -> dict[str, Reasked]:
    """Return the newest outcome of each question by its key."""
    results: dict[str, Reasked] = {}
    for line in assigned.lines(folder):
        try:
            row = Reasked(**json.loads(line))
        except (ValueError, TypeError):
            continue
        results[row.key] = row
    return results


def _open(settings: Settings, kb: str) -> list[tuple[Gap, QuestionPlace]]:
    """Return the questions that wait for an answer from this knowledge base."""
    store = build.store(settings)
    if not store.journal.is_dir():
        return []
    desk(settings).look()
    assignments = assigned.read(settings.data_dir)
    now = datetime.now(UTC)
    with store.read() as ledger:
        waiting = [gap for gap in gaps(ledger, Window(now - PAST, now)) if not gap.answered]
        places = asked.places(ledger, [gap.newest_id for gap in waiting])
    pairs = [(gap, places[gap.newest_id]) for gap in waiting if gap.newest_id in places]
    return [
        (gap, place)
        for gap, place in pairs
        if place.kb == kb and not closed(gap, assignments.get(keyed(gap.key, place.workspace)))
    ][:MOST]


async def _asked(pipeline: Pipeline, gap: Gap, place: QuestionPlace) -> Reasked | None:
    question = Question(
        place.question,
        user_id="replay",
        door="replay",
        kb=place.kb,
        model=EMBEDDED,
        history=(),
        case_id=place.turn_id,  # whose words these are: an erasure follows it
        workspace=place.workspace,
    )
    answer: Answer | None = None
    async with aclosing(pipeline.answer(question)) as events:
        async for event in events:
            answer = event if isinstance(event, Answer) else answer
    if answer is None or answer.trace is None:
        return None  # it failed, which its turn says; the next ingestion asks again
    turn = answer.trace.turn
    return Reasked(gap.key, turn.turn_id, turn.outcome, turn.index_version, datetime.now(UTC).isoformat())
