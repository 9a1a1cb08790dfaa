"""Supported sentences score high, invented ones low; citations are read, hard input stays fast."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.guardrails.grounding import ground
from tests.factories import make_passage
from traces.records import Passage

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


@pytest.mark.parametrize("passages", [[], [PASSAGE]], ids=["no passages", "passages"])
def test_saying_that_nothing_is_known_is_grounded(passages: list[Passage]) -> None:
    answer = "I'm sorry, but the documents do not mention the price. Let me know if you have other questions."
    assert ground(answer, passages).score == 1.0
    assert ground(f"{answer} It costs ninety euros.", passages).score != 1.0


def test_what_is_not_known_lowers_no_answer() -> None:
    claim = "The delay is 300 ms."
    whole = ground(f"{claim} The documents do not say who invented the keyboard.", [PASSAGE]).score
    assert whole == ground(claim, [PASSAGE]).score


def test_the_number_of_a_list_that_runs_on_is_no_claim() -> None:
    steps = ground("Take two steps: Open Settings. 5. ", [PASSAGE])
    assert [sentence.text for sentence in steps.sentences if sentence.text.strip() == "5."] == []


def test_two_sentences_that_both_deny_do_not_contradict_each_other() -> None:
    passage = make_passage(title="Images", text="Encrypted images aren't scanned by the adviser.")
    denial = ground("No, the adviser does not scan encrypted images.", [passage]).score
    claim = ground("Yes, the adviser does scan encrypted images.", [passage]).score
    assert denial is not None and claim is not None
    assert denial > 0.7 > 0.65 > claim


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
