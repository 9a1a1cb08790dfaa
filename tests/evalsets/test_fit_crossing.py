"""The weights of cross-encoder and words: a fit finds what tells, and each set is read by the others."""

from __future__ import annotations

import json

import numpy as np

from evalsets.fit_crossing import NAMES, STRENGTH, CrossedCase, fit_segment, fit_strength, line, read_case
from pipeline.extractive.crossing import Crossed, Ranked
from pipeline.extractive.evidence import WEIGHTS, read
from pipeline.extractive.segments import segments
from tests.pipeline.test_cross_encoder import LAMP, retrieved
from traces.records import Case


def table(seed: int, count: int = 60) -> list[CrossedCase]:
    """Cases in which the cross-encoder tells the right segment, and the strength what can be answered."""
    rng = np.random.default_rng(seed)
    cases: list[CrossedCase] = []
    for number in range(count):
        answerable = number % 3 > 0
        segments_ = rng.normal(size=(6, 3)) * (3.0, 1.0, 0.0)
        right = np.zeros(6, bool)
        if answerable:
            right[0] = True
            segments_[0, 0] += 8.0
        strength = np.array([rng.normal() + 3 * answerable, rng.normal(), rng.normal()])
        cases.append(CrossedCase(answerable, segments_, right, strength))
    return cases


def test_the_fit_finds_which_of_them_tells() -> None:
    crossed, words, steps = fit_segment({"one": table(1), "two": table(2)})
    assert crossed > 0.2 and abs(words) < 1.0 and abs(steps) < 0.1
    bias, weights = fit_strength({"one": table(1), "two": table(2)})
    assert weights[0] > 3 * abs(weights[1:]).max() and bias < 0


def test_a_set_is_read_by_the_weights_of_the_others() -> None:
    row = line("three", table(3), {"one": table(1), "two": table(2)})
    cells = [cell.strip() for cell in row.strip("| ").split("|")]
    assert cells[0] == "three (40)"
    assert float(cells[2]) > float(cells[1]) + 0.3  # the cross-encoder tells, the words do not
    assert float(cells[3]) > 0.9


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
    known = read_case(case, Crossed(reading, ranked), 0.7)
    assert known.answerable and known.right.tolist() == [False, True, False, False, False, False]
    assert known.strength[1] == 5.0 and known.strength[2] == 2.5


def test_the_file_has_the_weights_by_name() -> None:
    stored = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert set(stored["segment"]) == set(NAMES)
    assert set(stored["strength_crossed"]) == {"bias", *STRENGTH}
