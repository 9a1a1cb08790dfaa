"""The weights of cross-encoder and words: a fit finds what tells, and each set is read by the others."""

from __future__ import annotations

import json

import numpy as np

from evalsets.fit_crossing import NAMES, CrossedCase, fit_segment, line, read_case
from pipeline.extractive.crossing import Crossed, Ranked
from pipeline.extractive.evidence import WEIGHTS, read
from pipeline.extractive.segments import segments
from tests.pipeline.test_cross_encoder import LAMP, retrieved
from traces.records import Case


def table(seed: int, count: int = 60) -> list[CrossedCase]:
    """Cases of which two in three have a right segment, which the cross-encoder tells."""
    rng = np.random.default_rng(seed)
    cases: list[CrossedCase] = []
    for number in range(count):
        segments_ = rng.normal(size=(6, 3)) * (3.0, 1.0, 0.0)
        right = np.zeros(6, bool)
        if number % 3 > 0:
            right[0] = True
            segments_[0, 0] += 8.0
        cases.append(CrossedCase(segments_, right))
    return cases


def test_the_fit_finds_which_of_them_tells() -> None:
    crossed, words, steps = fit_segment({"one": table(1), "two": table(2)})
    assert crossed > 0.2 and abs(words) < 1.0 and abs(steps) < 0.1


def test_a_set_is_read_by_the_weights_of_the_others() -> None:
    row = line("three", table(3), {"one": table(1), "two": table(2)})
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert cells[0] == "three (40)"
    assert float(cells[2]) > float(cells[1]) + 0.3  # the cross-encoder tells, the words do not


def test_a_segment_is_right_on_the_right_page_and_with_the_words_of_the_answer() -> None:
    reading = read("may the lamp get wet", retrieved(("Lamp", LAMP), ("Tent", LAMP)))
    ranked = tuple(Ranked(part, 0.0, float(n)) for n, part in enumerate(segments(reading)))
    case = Case(
        "c",
        "set",
        "may the lamp get wet",
        reference="It is proof against rain, and must not lie in water.",
        relevant_ids=["Lamp"],
        answerability="answerable",
    )
    known = read_case(case, Crossed(reading, ranked))
    assert known.right.tolist() == [False, True, False, False, False, False]


def test_the_file_has_the_weights_by_name() -> None:
    stored = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert set(stored["segment"]) == set(NAMES)
