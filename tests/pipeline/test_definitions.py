"""A question what a thing is finds the sentence that says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.extractive.evidence import read
from pipeline.text.definitions import defining, term
from tests.pipeline.test_evidence import retrieved


@pytest.mark.parametrize(
    ("question", "stems"),
    [
        ("What is a weir?", {"weir"}),
        ("and what's the lock gate here?", {"lock", "gate"}),
        ("what does a weir do", {"weir"}),
        ("What does sluice mean?", {"sluic"}),
        ("What is the price of the long red boat hire here?", set()),
        ("How do I open a weir?", set()),
    ],
)
def test_the_thing_asked_for(question: str, stems: set[str]) -> None:
    assert term(question) == stems


def test_a_sentence_defines_what_it_begins_with() -> None:
    texts = [
        "A **weir** raises the water.",
        "Near a weir is a lock.",
        "Weirs are old.",
        "The weir keeper is Mo.",
    ]
    assert defining("What is a weir?", texts) == [True, False, True, False]
    assert defining("How do I open a weir?", texts) == [False] * 4
    texts = [
        "A dam with a gap is a **weir**.",
        "A weir is closed in May.",
        "# **Weir**",
        "Use the **weir gate**.",
    ]
    assert defining("What is a weir?", texts) == [True, False, False, False]


def test_the_defining_sentence_and_its_page_lead() -> None:
    pages = ("The red lock keeps a weir from the river.", "A weir raises the water of a river.")
    plain, asked = read("Where is a weir?", retrieved(*pages)), read("What is a weir?", retrieved(*pages))
    assert asked.chances[1] > plain.chances[1]


SLUICE = "# Sluice\n\nLet water run off slowly.\n\nA keeper opens the sluice by hand. The sluice is green."


@pytest.mark.parametrize(
    ("question", "title", "begins"),
    [
        ("What does a sluice do?", "Sluice", True),
        ("What is the sluice?", "The sluices", True),
        ("What is the sluice?", "What is a sluice? - The Book of Locks", True),
        ("What is the sluice?", "Locks · Sluice", False),
        ("What is the sluice?", "Sluice keepers", False),
        ("Who opens the sluice?", "Sluice", False),
    ],
)
def test_a_page_named_after_the_thing_begins_with_what_it_is(question: str, title: str, begins: bool) -> None:
    [only] = retrieved(SLUICE).candidates
    passage = replace(only.passage, title=title, chunk_id="sluices.md#0")
    page = replace(retrieved(SLUICE), candidates=(replace(only, passage=passage),))
    reading = read(question, page)
    likeliest = max(reading.sentences, key=lambda sentence: sentence.probability)
    assert (likeliest.text == "Let water run off slowly.") is begins
