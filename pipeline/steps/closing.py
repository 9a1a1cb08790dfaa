"""Closes a turn: what is recorded of it, and what its caller is told."""

from __future__ import annotations

from dataclasses import replace

from pipeline import notices
from pipeline.citations import cited_numbers
from pipeline.events import Answer, Citation
from pipeline.steps.live_turn import LiveTurn
from traces.records import Passage, Trace


def record(turn: LiveTurn) -> Trace:
    """Write the turn's one trace, its passages as they were used, and settle what it cost."""
    recorder = turn.recorder
    cited = cited_numbers(turn.answer)
    rows = tuple(_row(turn.turn_id, passage, cited) for passage in recorder.passages)
    shown = {passage.n: passage.text for passage in turn.passages}
    turn.passages = tuple(replace(row, text=shown.get(row.n, row.text)) for row in rows if row.n is not None)
    recorder.retrieved(rows)
    citations = sum(row.cited for row in rows)
    recorder.note(answer=turn.answer or None, citations=citations, outcome=turn.outcome)
    if turn.groundedness is not None:
        recorder.score("groundedness", turn.groundedness, scorer="lexical")
    trace = recorder.close()
    turn.purse.settle(trace)
    return trace


def answer_of(turn: LiveTurn, trace: Trace) -> Answer:
    """Return what the caller is told at the end."""
    row = trace.turn
    return Answer(
        turn_id=row.turn_id,
        conversation_id=row.conversation_id,
        outcome=row.outcome,
        answer=turn.answer,
        citations=tuple(_citation(passage) for passage in turn.passages if passage.cited),
        passages=turn.passages,
        usage={
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "cache_read_tokens": row.cache_read_tokens,
            "cache_write_tokens": row.cache_write_tokens,
        },
        cost_usd=row.cost_usd,
        first_token_seconds=row.first_token_seconds,
        seconds=row.seconds,
        model=row.model,
        notice=None if turn.notice is None else notices.spoken(turn.notice, turn.tongue),
        answer_checks=turn.checks,
        memory=turn.recollection.to_dict(),
        searched=None if row.kb is None else row.standalone or row.question,
        kb=row.kb,
        prompt=row.prompt,
        trace=trace,
    )


def _row(turn_id: str, passage: Passage, cited: set[int]) -> Passage:
    """Return a passage as it is recorded: without its text when it did not reach the prompt."""
    text = None if passage.n is None else passage.text
    return replace(passage, turn_id=turn_id, text=text, cited=passage.n in cited)


def _citation(passage: Passage) -> Citation:
    assert passage.n is not None
    return Citation(passage.n, passage.chunk_id, passage.document_id, passage.title, passage.url, passage.kb)
