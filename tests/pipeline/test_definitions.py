"""A question what a thing is finds the sentence that says so."""

from __future__ import annotations

import pytest

from pipeline.extractive.definitions import defining, term
from pipeline.extractive.evidence import read
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
