"""Cases of turns, questions of documents, and what reviewers say."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evalsets.cases import cases, from_turn, synthetic, team
from evalsets.cases.jsonl import objects
from evalsets.judges import reviews
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens
from tests.factories import make_passage, make_turn
from tests.pipeline.turns import DOCUMENTS, ask, make_pipeline, recorded
from traces.ids import uuid7
from traces.queries import reviews as asked
from traces.records import PRODUCTION, Payload, Score, Trace
from traces.store import Store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


async def test_a_thumbs_down_turn_becomes_a_case_that_the_next_run_asks() -> None:
    pipeline = await make_pipeline()
    await ask(pipeline, "How do I turn on bounce keys?", user_id="ada", conversation_id="c")
    last, _ = await ask(pipeline, "What happens when I close the lid?", user_id="ada", conversation_id="c")
    await pipeline.feedback(last.turn_id or "", "ada", -1, "wrong")
    found = recorded(pipeline, last.turn_id or "")
    with pipeline.store.read() as ledger:
        row = from_turn.draft(found, from_turn.earlier(ledger, found))
    await pipeline.close()
    assert row["question"] == "What happens when I close the lid?"
    assert [message["role"] for message in row["history"]] == ["user", "assistant"]
    assert row["tags"] == [f"turn:{last.turn_id}", "thumbs-down"]
    assert row.keys() == {"id", "question", "history", "tags"}  # what is right, only a person can say
    team.add("mine", row)
    assert cases.load_evalset("mine").cases[0].question == row["question"]


async def test_only_a_thumbs_up_takes_the_answer_as_the_reference() -> None:
    pipeline = await make_pipeline()
    last, _ = await ask(pipeline, "What happens when I close the lid?", user_id="ada", conversation_id="c")
    unrated = from_turn.draft(recorded(pipeline, last.turn_id or ""), [])
    await pipeline.feedback(last.turn_id or "", "ada", 1)
    row = from_turn.draft(recorded(pipeline, last.turn_id or ""), [])
    await pipeline.close()
    assert unrated.keys() == {"id", "question", "tags"}
    assert row["relevant_ids"] == ["lid"]
    assert row["reference"] and "[1]" not in row["reference"]


def test_a_refused_turn_suggests_no_reference() -> None:
    turn = make_turn(outcome="refused", answer="I cannot help with that.")
    row = from_turn.draft(Trace(turn, Payload(turn.turn_id), passages=(make_passage(turn.turn_id),)), [])
    assert row.keys() == {"id", "question", "tags"}


async def test_questions_by_rules_are_marked_and_judged_by_their_document() -> None:
    pipeline = await make_pipeline()
    chunks = await synthetic.passages(pipeline.knowledge, pipeline.rules.kb)
    await pipeline.close()
    made = synthetic.by_rules(chunks, 10)
    assert made.rows == synthetic.by_rules(chunks, 10).rows
    assert {row["relevant_ids"][0] for row in made.rows} <= {one.document_id for one in DOCUMENTS}
    assert all("synthetic" in row["tags"] and row["question"].endswith("?") for row in made.rows)
    team.save("made", made.rows, {"title": "x"})
    assert (
        cases.load_evalset("made")
        .warnings[0]
        .startswith(f"{len(made.rows)} of {len(made.rows)} questions are synthetic")
    )


@pytest.mark.parametrize(
    ("title", "question"),
    [
        ("Turn on bounce keys", "turn on bounce keys"),
        ("USB drives and disks", "USB drives and disks"),
        ("Why is it slow?", "Why is it slow?"),
        ("I can't connect", "I can't connect. What can I do?"),
        ("Misc", None),
    ],
)
def test_titles_become_questions(title: str, question: str | None) -> None:
    import random

    found = synthetic._of_title(title, random.Random(0))
    assert (found is None) if question is None else (found is not None and question in found)


async def test_a_model_writes_questions_and_other_replies_are_dropped() -> None:
    replies = iter(['{"question": "How?", "answer": "So."}', "I am sorry.", '```{"question": "Why?"}```'])

    class Writer:
        name = "writer"

        async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
            yield Text(next(replies))
            yield Stop("stop", Tokens(100, 10), self.name)

    pipeline = await make_pipeline()
    chunks = await synthetic.passages(pipeline.knowledge, pipeline.rules.kb)
    await pipeline.close()
    made = await synthetic.by_model(chunks[:3], 3, Writer())
    assert [row["question"] for row in made.rows] == ["How?", "Why?"]
    assert "the reply was no question" in made.dropped[0]
    assert (made.input_tokens, made.output_tokens) == (300, 30)


def test_kappa_is_that_of_the_textbook() -> None:
    assert reviews.kappa([(1, 1), (5, 5), (3, 3)]) == 1.0
    assert reviews.kappa([(1, 5), (5, 1)]) == -1.0
    assert reviews.kappa([(4, 4), (4, 4)]) is None
    # by hand: the squared distances 1, 0, 0, 0, 1, 1 against all pairs of their margins
    a, b = [1, 2, 3, 4, 5, 3], [2, 2, 3, 4, 4, 4]
    expected = sum((x - y) ** 2 for x in a for y in b) / 36
    assert reviews.kappa(list(zip(a, b, strict=True))) == pytest.approx(1 - (3 / 6) / expected)


def test_the_queue_and_the_agreement(folder: Path) -> None:
    from traces.journal import Journal

    journal = Journal(folder / "journal")
    turns = [make_turn() for _ in range(6)]
    for n, turn in enumerate(turns):
        journal.write(Trace(turn, Payload(turn.turn_id)))
        values = [("groundedness", n / 5, "online", None), ("feedback", -1.0 if n == 2 else 1.0, "user", "u")]
        values += [("faithfulness", reviews.value(min(n + 1, 5)), "reviewer", who) for who in ("ada", "ben")]
        for name, value, source, who in values:
            score = Score(uuid7(), turn.turn_id, name, value, source, datetime.now(UTC), user_id=who)  # type: ignore[arg-type]
            journal.write(score)
    journal.close()
    with Store(folder).read() as ledger:

        def ids(which: asked.Queue) -> list[str]:
            return [row.turn_id for row in asked.queue(ledger, which, reviewer="ada", doors=PRODUCTION)]

        assert ids("thumbs_down") == [turns[2].turn_id]
        assert ids("low_groundedness") == [turn.turn_id for turn in turns[:4]]
        assert ids("disagreement") == []
        assert sorted(ids("random")) == sorted(turn.turn_id for turn in turns)
        assert all(row.reviewed for row in asked.queue(ledger, "random", reviewer="ada", doors=PRODUCTION))
        rows = asked.given(ledger)
    (pair,) = reviews.pairs(rows, "faithfulness")
    assert (pair.reviewers, pair.n, pair.value) == (("ada", "ben"), 6, 1.0)
    found = reviews.grounded(rows)
    assert found["spearman"].value == pytest.approx(0.985, abs=0.01)
    assert found["auc"].value == 1.0


def test_shipped_data_has_no_line_that_is_no_object() -> None:
    problems: list[str] = []
    for path in cases.SETS.glob("*.jsonl"):
        list(objects(path, problems))
    assert problems == []
