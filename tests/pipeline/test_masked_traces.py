"""`traces.mask`: no personal data reaches the ledger by any door, and the conversation stays as written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import httpx2
import orjson
import pytest

from pipeline import build
from pipeline.guardrails.private import unnamed
from pipeline.http.api import create_app
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.factories import make_score, make_trace
from tests.pipeline.test_spans import request, span
from tests.pipeline.turns import ask, make_pipeline
from traces.export import export_jsonl, export_parquet
from traces.journal import Journal
from traces.records import Case, Door, Payload, Span

PRIVATE = {
    "mail": "jane.doe@example.co.uk",
    "phone": "+1 415 555 2671",
    "phone of a region": "030 901820",
    "card": "4111 1111 1111 1111",
    "id of a region": "86095742719",
    "social security": "078-05-1120",
    "account": "DE89 3704 0044 0532 0130 00",
}
ASKED = "What happens when I close the lid? I am " + ", ".join(PRIVATE.values()) + "."
MASKED = load_settings(traces={"mask": "pii"}, guardrails={"regions": ["US", "DE"]})


@pytest.mark.parametrize("name", PRIVATE)
def test_each_kind_is_masked_wherever_it_stands(name: str) -> None:
    mask, value = unnamed(("US", "DE")), PRIVATE[name]
    for text in (value, f"It is {value}.", f"Password: {value}", f"see https://example.com/u?of={value}&x=1"):
        assert value not in mask(text) and "removed]" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "Restart 3 of the 12 servers on 2026-11-29 at 03:15:00.",
        "answerdeck 1.2.3 listens at 127.0.0.1:7860",
        "turn 01976f2c-1234-7abc-8def-0123456789ab",
        "a decorator such as @cached, 100,000 times",
        "",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert unnamed(("US", "DE"))(text) == text


async def test_nothing_personal_is_recorded_by_any_door(tmp_path: Path) -> None:
    model = Scripted(f"The laptop goes to sleep [1]. Yours is {PRIVATE['phone']}.")
    pipeline = await make_pipeline(model, traces={"mask": "pii"}, guardrails={"regions": ["US", "DE"]})
    door_to_all = httpx2.ASGITransport(create_app(pipeline, MASKED))
    asked: dict[str, str] = {}
    for door in get_args(Door):
        answer, _ = await ask(pipeline, ASKED, door=door, user_id=f"by-{door}")
        asked[door] = str(answer.turn_id)
    last = asked["chat"]
    await pipeline.feedback(last, "by-chat", -1, comment=f"Write to {PRIVATE['mail']}")
    async with httpx2.AsyncClient(transport=door_to_all, base_url="http://127.0.0.1") as client:
        foreign = request(span(1, None, {"input.value": ASKED, "output.value": ASKED, "note": ASKED}))
        assert (await client.post("/v1/traces", json=foreign)).status_code == 200
    (talk,) = pipeline.memory.history.conversations("by-chat", 1)
    shown = pipeline.memory.conversation("by-chat", talk["conversation_id"])
    assert shown is not None and shown[0]["question"] == ASKED
    await pipeline.close()
    (segment,) = pipeline.store.journal.glob("*.jsonl")
    lines = segment.read_text()
    pipeline.store.drain()
    assert export_jsonl(pipeline.store.read, tmp_path / "all.jsonl") == len(asked) + 1
    export_parquet(partial(pipeline.store.read, exporting=True), tmp_path / "tables")
    with pipeline.store.read() as ledger:
        assert ledger.rows("select count(*) as n from turns")[0]["n"] == len(asked) + 1
        (row,) = ledger.rows("select question from turns where turn_id = $id", id=last)
        hits = ledger.rows("select count(*) as n from scores where reason like '%removed%'")
    assert row["question"].startswith("What happens when I close the lid? I am [e-mail removed], [phone")
    assert hits == [{"n": 1}]
    lines += (tmp_path / "all.jsonl").read_text()
    assert "[card number removed]" in lines
    assert [name for name, value in PRIVATE.items() if value in lines] == []


def test_each_free_text_of_each_record_is_masked(tmp_path: Path) -> None:
    journal = Journal(tmp_path, mask=build.mask(MASKED))
    trace = make_trace(question=ASKED, answer=ASKED, standalone=ASKED)
    key = trace.turn.turn_id
    spans = (Span(key, 0, None, "turn", "turn", 0.0, 0.1, {"query": ASKED, "all": [{"of": ASKED}]}, ASKED),)
    passages = tuple(replace(passage, title=ASKED, text=ASKED) for passage in trace.passages)
    scores = (make_score(key, reason=ASKED, tags=ASKED),)
    records = [
        replace(trace, spans=spans, passages=passages, scores=scores, payload=Payload(key, ASKED, ASKED)),
        scores[0],
        Case("run", "1", ASKED, [{"role": "user", "text": ASKED}], ASKED, ["lid"], must_contain=[ASKED]),
    ]
    for record in records:
        journal.write(record)
    journal.begin(trace.turn)
    journal.close()
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_text()
    assert len(lines.splitlines()) == 4 and key in lines
    assert [name for name, value in PRIVATE.items() if value in lines] == []


def test_without_the_policy_texts_are_recorded_as_they_are(tmp_path: Path) -> None:
    assert build.mask(load_settings()) is None
    journal = Journal(tmp_path)
    journal.write(make_trace(question=ASKED))
    journal.close()
    (file,) = tmp_path.glob("*.jsonl")
    assert orjson.loads(file.read_bytes())["turn"]["question"] == ASKED
