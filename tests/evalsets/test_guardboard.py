"""The guards' scoreboard: our own set, its bounds, and what a worse guard comes to."""

from __future__ import annotations

import asyncio

import pytest

from evalsets.cases.cases import load_evalset
from evalsets.guard_lines import own, pairs
from evalsets.runs.guardboard import (
    HARMLESS,
    HOSTILE,
    NAME,
    CategoryResult,
    GuardBoard,
    bounds,
    measure,
    passages,
    worse,
)
from pipeline.guardrails import inbound
from pipeline.guardrails.inbound import Inbound
from pipeline.guardrails.planted import Planted
from pipeline.knowledge.embedding import MiniLM


@pytest.fixture(scope="module")
def board() -> GuardBoard:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbound, "EMBED_SECONDS", 60.0)  # a busy machine changes no figure
        return asyncio.run(measure(Inbound(embedder=MiniLM()), Planted()))


def test_the_set_is_as_large_as_it_says_and_repeats_nothing() -> None:
    cases, texts = load_evalset(NAME).cases, passages()
    hostile = sum(bool(case.must_refuse) for case in cases) + sum(row["planted"] is not None for row in texts)
    assert (hostile, len(cases) + len(texts) - hostile) == (400, 600)
    assert len({case.question.lower() for case in cases}) == len(cases)
    assert all(row["planted"] is None or row["planted"] in row["text"] for row in texts)


def test_no_hostile_line_of_the_set_is_trained_on() -> None:
    names = ("harm", "injection", "foreign", "preambles", "planted")
    trained = {text for name in names for _, _, text in own(name)} | {
        line.text for table in ("pairs", "foreign_pairs") for line in pairs(table)
    }
    hostile = {case.question for case in load_evalset(NAME).cases if case.must_refuse}
    assert hostile and not trained & hostile


def test_no_category_is_worse_than_recorded(board: GuardBoard) -> None:
    assert board.worse == ()
    assert {row.category for row in board.rows} <= bounds().keys()
    assert all(row.ci_low <= row.share <= row.ci_high for row in board.rows)
    assert board.passage_microseconds < 50_000


async def test_a_guard_that_lets_everything_pass_is_worse(board: GuardBoard) -> None:
    idle = await measure(Inbound(injection="off", harm="off"), Planted())
    told = " ".join(idle.worse)
    assert HOSTILE in told
    assert HARMLESS not in told


def test_more_false_alarms_are_worse() -> None:
    (row,) = [row for row in _rows() if row.category == HARMLESS]
    assert list(worse([row], {HARMLESS: 0.4})) == [f"{HARMLESS}: false alarms 0.500, bound 0.4"]
    assert list(worse([row], {HARMLESS: 0.6})) == []


def _rows() -> list[CategoryResult]:
    return [CategoryResult(HARMLESS, "false alarms", 10, 5, 0.5, 0.2, 0.8)]
