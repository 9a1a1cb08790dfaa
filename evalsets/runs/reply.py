"""Reads what another chatbot replied: its answer, whether it abstained, and the passages it shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from evalsets.metrics.unknowable import TargetView
from evalsets.runs.template import ReplyTemplate, Template, absent, at
from pipeline.citations import cited_numbers
from pipeline.errors import ModelError
from pipeline.talk import abstains
from traces.records import Outcome, Passage

_UNSURE = re.compile(
    r"^\W*((i am|i['’]m) )?(sorry|unfortunately|apologies)?\W*(but )?"
    r"i (do not|don['’]t) (know\b|have (any |enough |that )?information)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TargetReply:
    """What a target said, read by its template."""

    answer: str
    outcome: Outcome
    passages: tuple[Passage, ...]
    seen: TargetView
    stop: str | None


def read(body: Any, template: Template, turn_id: str, *, waited: bool = False) -> TargetReply:
    """Return what a decoded reply says; raises ModelError when the template finds no answer in it."""
    reading, host = template.reply, template.host
    answer, refusal = at(body, reading.answer), at(body, "choices.0.message.refusal")
    stop = at(body, "choices.0.finish_reason")
    refused = stop == "content_filter" or (isinstance(refusal, str) and bool(refusal))
    if refused and not (isinstance(answer, str) and answer.strip()):
        answer = refusal if isinstance(refusal, str) and refusal else "(refused without words)"
    if not isinstance(answer, str):
        raise ModelError("protocol", f"{host}: the reply has no text at {reading.answer!r}")
    if not answer.strip():
        raise ModelError("empty", f"{host}: the answer is empty")
    answer = _whole(answer)
    outcome: Outcome = "answered"
    if refused or _holds(answer, reading.refuses):
        outcome = "refused"
    elif abstains(answer) or _UNSURE.match(answer) or _holds(answer, reading.abstains):
        outcome = "no_context"
    passages, seen = _passages(body, reading, turn_id, cited_numbers(answer))
    seen = TargetView(**{**seen, "refusals": bool(reading.refuses), "waited": waited})
    return TargetReply(answer, outcome, passages, seen, stop if isinstance(stop, str) else None)


def _passages(
    body: Any, reading: ReplyTemplate, turn_id: str, cited: set[int]
) -> tuple[tuple[Passage, ...], dict[str, Any]]:
    """Return the passages of a reply in its order, and what of them cannot be known."""
    if reading.passages is None:
        reason = "the target does not show its passages"
        return (), {"search": reason, "texts": reason}
    rows = at(body, reading.passages)
    if absent(rows) or not isinstance(rows, list | None):
        return (), {"broken": f"the reply has no list at {reading.passages!r}"}
    passages = tuple(_passage(row, n, reading, turn_id, cited) for n, row in enumerate(rows or (), 1))
    lacks: dict[str, Any] = {}
    if any(not row.document_id for row in passages):
        lacks["search"] = f"a passage has nothing at {reading.id!r}, so it cannot be told which it is"
    if any(row.text is None for row in passages):
        lacks["texts"] = f"a passage has no text at {reading.text!r}"
    return passages, lacks


def _passage(row: Any, n: int, reading: ReplyTemplate, turn_id: str, cited: set[int]) -> Passage:
    plain = isinstance(row, str)
    key, title, url = (_plain(at(row, path)) for path in (reading.id, reading.title, reading.url))
    text = _plain(at(row, reading.text)) or (row if plain and reading.id != "." else "")
    worded = bool(text)
    return Passage(
        turn_id, n, key, key, title, url, text or None, n if worded else None, cited=worded and n in cited
    )


def _plain(value: Any) -> str:
    return _whole(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _whole(text: str) -> str:
    """Return the text without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _holds(answer: str, texts: Iterable[str]) -> bool:
    return any(text.casefold() in answer.casefold() for text in texts)
