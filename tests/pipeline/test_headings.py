"""A heading hands its probability on, a pointer leads to the page it names, and "why" gets no steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.extractive.headings import inherited, pointed, prose
from pipeline.extractive.reading import Reading, Sentence
from pipeline.knowledge.found import RetrievedChunk
from tests.factories import make_passage
from tests.pipeline.test_doubt import answer, prompt


@dataclass
class Opened:
    texts: list[str]
    owner: list[int]
    passages: tuple[RetrievedChunk, ...] = ()


@pytest.mark.parametrize(
    ("texts", "owner", "probabilities", "under"),
    [
        (["# Ask again", "The estimate comes first.", "Look twice."], [0, 0, 0], [0.6, 0.1, 0.2], 0.54),
        (["# Ask again", "The estimate comes first.", "Look twice."], [0, 0, 0], [0.6, 0.1, 0.5], 0.1),
        (["4.2. Why ask again?", "The estimate comes first.", "Look."], [0, 0, 0], [0.6, 0.1, 0.2], 0.54),
        (["Ask again. Why so?", "The estimate comes first.", "Look."], [0, 0, 0], [0.6, 0.1, 0.2], 0.1),
        (["# Ask again", "The estimate comes first."], [0, 1], [0.6, 0.1], 0.1),  # another passage
        (["# Ask again", "1. Open it."], [0, 0], [0.6, 0.1], 0.1),
        (["# Ask again", "key: `a`; meaning: all."], [0, 0], [0.6, 0.1], 0.1),
    ],
)
def test_what_stands_under_a_heading_answers_it(
    texts: list[str], owner: list[int], probabilities: list[float], under: float
) -> None:
    assert inherited(Opened(texts, owner), np.array(probabilities))[1] == pytest.approx(under)


def test_a_heading_at_the_end_hands_nothing_on() -> None:
    assert inherited(Opened(["Look.", "# Ask"], [0, 0]), np.array([0.1, 0.6])).tolist() == [0.1, 0.6]
    assert prose("Look twice.") and not prose("| a | b |")


@pytest.mark.parametrize(
    ("text", "title", "document"),
    [
        ("Use a cheaper oven, see a small and a large oven.", "A small and a large oven", "b"),
        ("Use a cheaper oven, see [A small and a large oven](ovens).", "A small and a large oven", "b"),
        ("Use a cheaper oven.", "A small and a large oven", None),
        ("See the ovens.", "Ovens", None),  # one word names no page surely
    ],
)
def test_a_pointer_leads_to_the_page_it_names(text: str, title: str, document: str | None) -> None:
    pages = (
        RetrievedChunk(make_passage(text=text, document_id="a", title="Costs")),
        RetrievedChunk(make_passage(text="It is small.", document_id="b", title=title)),
    )
    best = Sentence(text, 0, 0, 0, 0.8, frozenset(), same_line=False)
    assert pointed(Reading(pages, (best,), 0.9, (0.7, 0.3))) == document


async def test_a_reason_is_no_steps() -> None:
    page = (
        "team",
        "The kiln for a team",
        "Without a key the kiln stays shut, because everybody could start the kiln.\n\n"
        "To let the team start the kiln:\n\n1. Cut a key for the kiln.\n2. Start the kiln with the key.",
    )
    text = await answer(prompt("Why can't I start the kiln without a key?", page, cosines=(0.8,)))
    assert "because everybody could start the kiln" in text and "1. Cut" not in text


async def test_what_explains_an_option_is_quoted_with_its_name() -> None:
    page = (
        "kiln",
        "Options of the kiln",
        "##### --shelf=<low|high> [default: low]\n\nSays where the bowls stand.\n\n"
        "##### --depth=<number>\n\nSays how many bowls are shown in the report of the kiln.",
    )
    text = await answer(prompt("How many bowls are shown in the report?", page, cosines=(0.8,)))
    assert text == "**`--depth=<number>`**\n\nSays how many bowls are shown in the report of the kiln [1]."
    prose = (
        "kiln",
        "The kiln",
        "## `Looking at reports`\n\nThe report of the kiln shows how many bowls there are.",
    )
    text = await answer(prompt("How many bowls are shown in the report?", prose, cosines=(0.8,)))
    assert "Looking" not in text
