"""Supported sentences score high, invented ones low; citations are read, hard input stays fast."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.guardrails.grounding import ground
from tests.factories import make_passage

PASSAGE = make_passage(
    title="Bounce keys",
    text="Turn on bounce keys to skip a key that is pressed again too soon. Open Settings. "
    "The delay is 300 ms.",
)


def test_a_quotation_is_fully_grounded() -> None:
    grounding = ground("Open Settings [1]. The delay is 300 ms [1].", [PASSAGE])
    assert grounding.score == pytest.approx(1.0)
    assert [sentence.numbers for sentence in grounding.sentences] == [(1,), (1,)]


def test_invention_scores_below_paraphrase_below_quotation() -> None:
    quotation = ground("Turn on bounce keys to skip a key pressed again too soon.", [PASSAGE]).score
    paraphrase = ground("Bounce keys make the computer ignore repeated presses.", [PASSAGE]).score
    invention = ground("Our premium support team will gladly call you on Monday morning.", [PASSAGE]).score
    assert quotation is not None and paraphrase is not None and invention is not None
    assert quotation > paraphrase > invention
    assert invention < 0.4


def test_a_wrong_number_lowers_its_sentence() -> None:
    right = ground("The delay is 300 ms.", [PASSAGE]).sentences[0].score
    wrong = ground("The delay is 500 ms.", [PASSAGE]).sentences[0].score
    assert wrong < 0.7 < right


def test_list_numbers_are_not_claims() -> None:
    assert ground("7. Open Settings [1].", [PASSAGE]).sentences[0].score > 0.8


def test_words_far_apart_support_less_than_words_together() -> None:
    together = ground("The delay is 300 ms.", [PASSAGE]).score
    apart = ground("Ignore Settings, delay presses.", [PASSAGE]).score
    assert together is not None and apart is not None and together > apart


def test_nothing_to_check_is_none_and_nothing_to_check_with_is_zero() -> None:
    assert ground("", [PASSAGE]).score is None
    assert ground("… [1]", [PASSAGE]).score is None
    assert ground("Open Settings.", []).score == 0.0


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_scores_stay_between_zero_and_one(answer: str, text: str) -> None:
    grounding = ground(answer, [make_passage(text=text, title="")])
    scores = [sentence.score for sentence in grounding.sentences]
    assert all(0 <= score <= 1 + 1e-9 for score in [*scores, grounding.score or 0.0])


def test_a_long_answer_stays_fast() -> None:
    started = time.process_time()
    ground(PASSAGE.text * 40, [PASSAGE] * 20)  # pyright: ignore[reportOptionalOperand] the text is set
    assert time.process_time() - started < 20
