"""Amounts are the same however they are written, and words of like meaning are known."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.text.amounts import amounts, respelled
from pipeline.text.kindred import kindred
from pipeline.text.sentences import stem

NOTICE = (
    "Bills are due 14 days after they were sent. The desk works from 18:30 until noon, takes 0.40 euros,"
    " 50 percent or 1.20 metres, for 90 minutes, 12 months and 3 times a day."
)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("You have a fortnight.", "You have 14 days."),
        ("It costs 40 cents", "It costs 0.40 euros"),
        ("at half past six in the evening", "at 18:30"),
        ("at half past six", "at 18:30"),
        ("at 6:30 pm", "at 18:30"),
        ("until 12 o'clock", "until noon"),
        ("an hour and a half", "90 minutes"),
        ("one and a half hours", "90 minutes"),
        ("a year", "12 months"),
        ("120 cm", "1.20 metres"),
        ("pay half", "pay 50 percent"),
        ("three times a day", "3 times a day"),
    ],
)
def test_the_same_amount_is_written_as_the_passage_does(text: str, same: str) -> None:
    assert respelled(text, [NOTICE]) == same


@pytest.mark.parametrize(
    "text",
    [
        "You have a week.",
        "It costs 40 euros.",
        "at half past seven in the evening",
        "at 18:30 in the morning",
        "half full",
        "for 90 hours",
        "once you are there",
        "1.20 metres",
    ],
)
def test_another_amount_stays(text: str) -> None:
    assert respelled(text, [NOTICE]) == text


def test_amounts_do_not_overlap() -> None:
    places = amounts(NOTICE)
    assert all(one.end <= other.start for one, other in pairwise(places))


def test_kindred_are_of_like_meaning_both_ways() -> None:
    assert kindred(stem("mandatory"))[stem("compulsory")] > 0.7
    assert kindred(stem("compulsory"))[stem("mandatory")] > 0.7
    assert kindred("qwertz") == {}
