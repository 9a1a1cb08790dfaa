"""Runs an errand of a chat front end inside a turn: no model, and a search only for next questions."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipeline.errors import KnowledgeError
from pipeline.guardrails.planted import Planted
from pipeline.steps.live_turn import LiveTurn
from pipeline.steps.parts import Finder

NEXT = 5  # passages looked at for next questions
log = logging.getLogger(__name__)


async def errand(turn: LiveTurn, base: Callable[[LiveTurn], str], retriever: Finder, planted: Planted) -> str:
    """Return the reply; titles of documents that lie beside what was asked are the next questions.

    `base` says which knowledge base a turn may search, or raises KnowledgeError.
    """
    task = turn.question.task
    assert task is not None
    if task.kind != "follow_ups":
        return task.reply()
    try:
        retrieved = await retriever.retrieve(task.questions[-1], base(turn), turn.recorder, None)
    except KnowledgeError as error:
        log.warning("turn %s: no next questions: %s", turn.turn_id, error)
        return task.reply()
    retrieved, _ = planted.look(retrieved, NEXT)
    titles = list(dict.fromkeys(candidate.passage.title for candidate in retrieved.candidates))
    return task.reply(titles[1:])  # the first is what was just spoken of
