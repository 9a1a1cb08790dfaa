"""Whether anything read answers: a title alone does not, and strange words of a question are allowed for."""

from __future__ import annotations

import pytest

from pipeline.extractive.answerability import FEATURES, LEAST, MOST, features, odds, strength, unmatched
from pipeline.extractive.crossing import crossed
from pipeline.extractive.evidence import read
from pipeline.extractive.segments import segments
from pipeline.knowledge.cross_encoder import CrossEncoder
from tests.pipeline.test_cross_encoder import LAMP, Given, needs_weights, retrieved

SONG = "It was recorded in March and reached the ninth place of the charts in the summer after."


def given(**scores: float) -> CrossEncoder:
    return Given(**scores)  # pyright: ignore[reportReturnType] scores of the test's own


def test_what_only_its_title_matches_is_weaker_than_what_its_text_says() -> None:
    question = "who sings open the door"
    reading = read(question, retrieved(("Open the Door", SONG)))
    segment = segments(reading)[0]
    by_title = strength(reading, segment, 6.0, given(Door=6.0))
    by_text = strength(reading, segment, 6.0, given(charts=6.0))
    assert by_title < by_text - 0.2
    assert features(reading, segment, 6.0, given(Door=6.0))[1] == LEAST
    assert features(reading, segment, 6.0, given(charts=9.0))[1] == 6.0  # never more than with it


@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("may the lamp get wet", 1),  # "wet"; the others are there, or say nothing
        ("may the lamp stand outdoors overnight", 3),
        ("and is it proof?  (lamp lie snow)", 0),  # words of the turn before do not count
    ],
)
def test_words_of_the_question_that_a_text_lacks(question: str, count: int) -> None:
    assert unmatched(question, "The lamp is proof against rain.") == count


def test_words_beyond_some_do_not_count() -> None:
    question = "lamp " + " ".join(f"word{n}" for n in range(40))
    reading = read(question, retrieved(("Lamp", LAMP)))
    assert features(reading, segments(reading)[0], 1.0, given())[2] == MOST


def test_without_a_segment_all_is_lowest() -> None:
    reading = read("lamp", retrieved())
    assert features(reading, None, LEAST, given()) == (odds(0.0), LEAST, 0.0)
    assert len(FEATURES) == 3


@needs_weights
def test_the_true_weights_are_silent_on_a_title_alone() -> None:
    encoder = CrossEncoder()
    whole = crossed("who sings open the door", retrieved(("Open the Door", SONG)), encoder)
    answered = crossed("how long does the battery of the lamp last", retrieved(("Lamp", LAMP)), encoder)
    assert whole.reading.strength < 0.5 < answered.reading.strength
