"""The events of a turn as server-sent events of our own protocol."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.events import Answer, Delta, Event, Retract, Sources, Started, public


def frame(event: Event) -> bytes:
    """Return an event of a turn as a server-sent event."""
    if isinstance(event, Delta):
        return b"event: delta\ndata: " + orjson.dumps({"text": event.text}) + b"\n\n"
    if isinstance(event, Started):
        return _frame("turn", {"turn_id": event.turn_id, "conversation_id": event.conversation_id})
    if isinstance(event, Sources):
        return _frame("sources", [public(passage) for passage in event.passages])
    if isinstance(event, Retract):
        return _frame("retract", {"text": event.text, "reason": event.reason})
    if isinstance(event, Answer):
        return _frame("done", event.to_dict())
    error = {"code": event.code, "message": event.message, "turn_id": event.turn_id}
    more = {} if event.retry_after is None else {"retry_after": event.retry_after}
    return _frame("error", error | more)


def _frame(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
