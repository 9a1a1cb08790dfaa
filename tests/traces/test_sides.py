"""Live traffic side by side, and what retrieval did: counted by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.factories import make_passage, make_score, make_trace
from traces.journal import Journal
from traces.queries import searches
from traces.queries.sides import sides
from traces.queries.window import Window
from traces.store import Store

NOW = datetime.now(UTC)
WINDOW = Window(NOW - timedelta(hours=1), NOW + timedelta(minutes=1))


def write(folder: Path) -> Store:
    journal = Journal(folder / "journal")
    for number in range(4):
        made = make_trace(
            started_at=NOW, door="chat", 
            prompt="answer@v2" if number == 3 else "answer@v1", seconds=1.0 + number,
            cost_usd=None if number == 2 else 0.5, hit=number != 1, top_score=0.05 + number * 0.3,
            outcome="failed" if number == 1 else "answered", kb="handbook", index_version=f"v{number // 2}",
        )  # fmt: skip
        key = made.turn.turn_id
        first = make_passage(key, 1, vector_rank=1, text_rank=2, cited=number == 0)
        second = make_passage(key, 2, vector_rank=2, text_rank=1, n=None, cited=False)
        journal.write(replace(made, passages=(first, second)))
        journal.write(make_score(key, "groundedness", 0.5 + number / 10, source="online"))
        journal.write(make_score(key, value=1.0 if number else -1.0))
    journal.write(make_trace(started_at=NOW, door="eval"))
    journal.write(make_trace(started_at=NOW, door="chat", prompt=None, model=None, hit=None, top_score=None))
    journal.close()
    return Store(folder)


def test_each_pair_of_prompt_and_model_is_counted(tmp_path: Path) -> None:
    with write(tmp_path).read() as ledger:
        first, second = sides(ledger, WINDOW)
    assert (first.prompt, first.model, first.turns, first.errors) == ("answer@v1", "extractive", 3, 1)
    assert (first.searched, first.hits, first.rated, first.up) == (3, 2, 3, 2)
    assert (first.cost_n, first.cost_mean, first.seconds_mean) == (2, 0.5, 2.0)
    assert first.grounded_n == 3 and round(first.grounded_mean or 0, 6) == 0.6
    assert (second.prompt, second.turns, second.seconds_sd) == ("answer@v2", 1, None)


def test_retrieval_is_counted_by_nearness_stage_and_version(tmp_path: Path) -> None:
    with write(tmp_path).read() as ledger:
        scores, stages = searches.scores(ledger, WINDOW), searches.stages(ledger, WINDOW)
        versions = searches.versions(ledger, WINDOW)
    assert sum(scores) == 4 and scores[1] == 1 and scores[19] == 1
    assert stages["vector"] == {"cited": 1, "unused": 2, "nothing near": 1}
    assert stages["words"] == {"budget or rank": 3, "nothing near": 1}
    assert {(one.index_version, one.searched, one.hits) for one in versions} == {("v0", 2, 1), ("v1", 2, 2)}
