"""Documents that wait to be indexed: what the chat, the metrics and the status say of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import notices
from pipeline.events import Answer
from pipeline.http.metrics import Metrics
from pipeline.knowledge.standing import Lag
from tests.pipeline.turns import ask, make_pipeline

WAITING = Lag(3, {}, ("Charging the forklift",))


@pytest.mark.parametrize(
    ("question", "lag", "expected"),
    [
        ("How long does the forklift charge?", WAITING, "'Charging the forklift' is not indexed yet"),
        ("When does the shop open?", WAITING, "3 documents are not indexed yet"),
        ("What does page 7 of the manual say?", Lag(9, {}, ("Manual page 1",)), "9 documents are not"),
        ("What does page 1 of the manual say?", Lag(9, {}, ("Manual page 1",)), "'Manual page 1' is not"),
        ("Who reads the page?", Lag(2, {}, ("The page of open positions in the north",)), "2 documents"),
        ("When does the shop open?", Lag(1), "1 document is not indexed yet"),
        ("How long does the forklift charge?", Lag(), None),
    ],
)
def test_the_document_a_question_needs_is_named(question: str, lag: Lag, expected: str | None) -> None:
    notice = notices.indexing(question, lag)
    assert notice is None if expected is None else notice is not None and notice.startswith(expected)


async def test_a_turn_says_so_until_the_ingestion_is_over(tmp_path: Path) -> None:
    pipeline = await make_pipeline(data_dir=tmp_path)
    question = "How do I turn on bounce keys?"
    before, _ = await ask(pipeline, question)
    pipeline.knowledge.lags.note(pipeline.rules.kb, replace(WAITING, since=time.time() - 50))
    during, _ = await ask(pipeline, question)
    metrics = Metrics(pipeline).text().decode()
    pipeline.knowledge.lags.note(pipeline.rules.kb, Lag())
    after, _ = await ask(pipeline, question)
    await pipeline.close()
    assert isinstance(before, Answer) and isinstance(during, Answer) and isinstance(after, Answer)
    assert (before.notice, after.notice) == (None, None)
    assert during.notice is not None and during.notice.startswith("3 documents")
    assert "answerdeck_index_lag_documents 3.0" in metrics
    seconds = next(line for line in metrics.splitlines() if line.startswith("answerdeck_index_lag_seconds "))
    assert 50 <= float(seconds.split()[1]) < 5000
