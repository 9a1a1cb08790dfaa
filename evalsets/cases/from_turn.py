"""Makes a case of a turn: what was asked and answered, filled in for a person to correct."""

from __future__ import annotations

from typing import Any

from pipeline.citations import unmarked
from traces.ledger import Ledger
from traces.places import SOURCE_TAG
from traces.queries import listing
from traces.queries.turns import traces
from traces.records import Trace

KEPT_BEFORE = 6  # turns of the conversation that become the history


def draft(trace: Trace, before: list[Trace]) -> dict[str, Any]:
    """Return the case a turn suggests, as a line of an evalset.

    Only where a person gave a thumbs-up, the answer stands as the reference and the cited documents as
    the relevant ones. Of any other turn nobody has said that it is right, so the case has neither
    until a person gives them.
    """
    turn = trace.turn
    row: dict[str, Any] = {"id": f"turn-{turn.turn_id[-12:]}", "question": turn.question}
    history = [message for earlier in before[-KEPT_BEFORE:] for message in _said(earlier)]
    if history:
        row["history"] = history
    thumbs = [score.value for score in trace.scores if score.name == "feedback" and score.value is not None]
    thumb = thumbs[-1] if thumbs else 0.0
    if thumb > 0 and turn.outcome == "answered" and turn.answer:
        row["reference"] = unmarked(turn.answer).strip()
        row["relevant_ids"] = list(
            dict.fromkeys(passage.document_id for passage in trace.passages if passage.cited)
        )
        row["answerability"] = "answerable"
    row["tags"] = [f"{SOURCE_TAG}{turn.turn_id}"]  # so that erasing a person finds the case
    if thumb < 0:
        row["tags"].append("thumbs-down")
    return {key: value for key, value in row.items() if value != []}


def earlier(ledger: Ledger, trace: Trace) -> list[Trace]:
    """Return the turns of the same conversation that came before, oldest first."""
    ids = listing.conversation(ledger, trace.turn.conversation_id, trace.turn.started_at)
    if trace.turn.turn_id not in ids:
        return []
    before = ids[: ids.index(trace.turn.turn_id)][-KEPT_BEFORE:]
    return traces(ledger, before) if before else []


def _said(trace: Trace) -> list[dict[str, str]]:
    turn = trace.turn
    if turn.outcome not in ("answered", "no_context") or not turn.answer:
        return []
    return [
        {"role": "user", "text": turn.question},
        {"role": "assistant", "text": unmarked(turn.answer).strip()},
    ]
