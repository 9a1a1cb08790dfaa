"""Whether anything answers: the fit finds what tells, and its line loses as many as it may."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from evalsets.cases.evalset import Evalset
from evalsets.fit_answerability import LOST, ReadQuestions, clapnq, elsewhere, fit_strength, gather, line, row
from pipeline.extractive.answerability import FEATURES, LEAST
from pipeline.extractive.evidence import WEIGHTS
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.found import Retrieved
from tests.pipeline.test_cross_encoder import LAMP, Given, retrieved
from traces.records import Case


def table(documents: str, seed: int, count: int = 300) -> ReadQuestions:
    """Questions whose second feature tells whether they can be answered; the best score tells nothing."""
    rng = np.random.default_rng(seed)
    answerable = np.arange(count) % 3 > 0
    rows = rng.normal(size=(count, len(FEATURES)))
    rows[:, 1] += 3 * answerable
    return ReadQuestions(documents, answerable, rows, rng.normal(size=count))


def test_the_fit_finds_what_tells_and_loses_as_many_as_it_may() -> None:
    tables = {"one": table("a", 1), "two": table("b", 2)}
    bias, weights = fit_strength(tables)
    assert weights[1] > 3 * max(abs(weights[0]), abs(weights[2]))
    lost = np.mean([t.lost(t.rows @ weights + bias, 0.0) for t in tables.values()])
    assert LOST - 0.02 < lost <= LOST


def test_the_line_is_the_mean_over_the_sets_not_over_the_questions() -> None:
    small, large = table("a", 3, 30), table("b", 4, 3000)
    tables = {"small": small, "large": large}
    scores = {"small": small.rows[:, 1] - 10, "large": large.rows[:, 1]}  # a scale of its own
    height = line(scores, tables)
    assert np.mean([tables[name].lost(scores[name], height) for name in tables]) <= LOST
    assert tables["small"].lost(scores["small"], height) <= 2 * LOST


def test_a_set_is_read_by_sets_over_other_documents() -> None:
    tables = {"one": table("a", 1), "two": table("b", 2), "three": table("a", 5)}
    assert set(elsewhere("a", tables)) == {"two"}
    shown = row("one", tables["one"], elsewhere("a", tables))
    cells = [cell.strip() for cell in shown.strip("| ").split("|")]
    assert cells[0] == "one (200, 100)"
    assert float(cells[1]) < 0.7 < 0.95 < float(cells[3])
    simple, ours = (float(cells[n].split(" / ")[0]) for n in (2, 4))
    assert ours < simple - 0.4


class Shelf:
    """One page, or nothing."""

    async def retrieve(self, question: str) -> Retrieved:
        return retrieved(("Lamp", LAMP)) if "lamp" in question else retrieved()


async def test_questions_without_an_answer_are_read_and_talk_is_not() -> None:
    kinds = {"may the lamp get wet": "answerable", "who made it": "unanswerable", "hello": "conversational"}
    cases = tuple(Case("", question, question, answerability=kind) for question, kind in kinds.items())
    encoder: CrossEncoder = Given(rain=4.0)  # pyright: ignore[reportAssignmentType] scores of the test's own
    read = await gather(Evalset("lamps", "", cases), Shelf(), encoder)
    assert read.answerable.tolist() == [True, False]
    assert read.best.tolist() == [4.0, LEAST] and read.rows[1, 1] == LEAST


def test_questions_of_clapnq_become_cases(tmp_path: Path) -> None:
    rows = [{"id": "q1", "question": "who", "answerable": True}]
    rows += [{"id": "q2", "question": "when", "answerable": False}]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    kinds = {case.case_id: case.answerability for case in clapnq(tmp_path).cases}
    assert kinds == {"q1": "answerable", "q2": "unanswerable"}


def test_the_file_has_the_weights_by_name() -> None:
    stored = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert set(stored["strength_crossed"]) == {"bias", *FEATURES}
