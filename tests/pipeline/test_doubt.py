"""When no page is sure to be meant, the embedded model says so and quotes the two likeliest, each by name."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.extractive.extractive import Extractive
from pipeline.extractive.reading import Reading, Sentence
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.models.model import Prompt, Text
from pipeline.talk import unsure
from pipeline.text.sentences import sentences
from tests.factories import make_passage

DOUBT = "I am not sure which of these you mean:"
KILN = ("kiln", "The kiln", "Start the kiln at the panel. Clean the shelves of the kiln every week.")
LOOM = ("loom", "The loom", "Start the loom at the pedal. Oil the bearings of the loom every month.")


def prompt(question: str, *pages: tuple[str, str, str], cosines: tuple[float, ...]) -> Prompt:
    candidates = []
    for number, ((document, title, text), cosine) in enumerate(zip(pages, cosines, strict=True), 1):
        spans = tuple(sentences(text))
        vectors = np.array([[cosine, (1 - cosine**2) ** 0.5]] * len(spans), np.float32)
        passage = make_passage(rank=number, text=text, title=title, n=number, document_id=document)
        candidates.append(RetrievedChunk(passage, spans, vectors))
    vector = np.array([1, 0], np.float32)
    return Prompt("", (), question, Retrieved(question, vector, tuple(candidates), "default", None, None))


async def answer(prompt: Prompt) -> str:
    return "".join(
        [event.text async for event in Extractive().stream(prompt, 5.0) if isinstance(event, Text)]
    )


async def test_two_pages_that_may_be_meant_are_both_quoted_by_name() -> None:
    text = await answer(prompt("How do I start the machine?", KILN, LOOM, cosines=(0.62, 0.8)))
    assert text.startswith(DOUBT)
    assert "**The kiln**\n\nStart the kiln at the panel [1]." in text
    assert "**The loom**\n\nStart the loom at the pedal [2]." in text


async def test_the_page_that_is_named_answers_alone() -> None:
    text = await answer(prompt("How do I start the loom?", KILN, LOOM, cosines=(0.5, 0.75)))
    assert DOUBT not in text
    assert "pedal [2]" in text and "panel" not in text


async def test_two_pages_that_say_the_same_leave_no_doubt() -> None:
    twin = ("twin", "The old kiln", KILN[2])
    text = await answer(prompt("How do I start the machine?", KILN, twin, cosines=(0.62, 0.8)))
    assert DOUBT not in text and "Start the kiln at the panel" in text


async def test_a_doubt_is_told_in_the_language_of_the_question() -> None:
    assert unsure("Wie starte ich die Maschine mit dem Pedal?").startswith("Ich bin nicht sicher")
    assert unsure("How do I start the machine?") == DOUBT


@pytest.mark.parametrize(
    ("chances", "rivals"),
    [
        ((0.5, 0.4, 0.1), ("a", "b")),
        ((0.3, 0.5, 0.2), ("b", "a")),
        ((0.8, 0.1, 0.1), ()),  # one is sure
        ((0.5, 0.1, 0.4), ("a", "c")),
        ((0.6, 0.15, 0.15), ()),  # nothing beside it is likely enough
    ],
)
def test_the_rivals_are_the_two_likeliest(chances: tuple[float, ...], rivals: tuple[str, ...]) -> None:
    pages = tuple(RetrievedChunk(make_passage(text="Start it.", document_id=name)) for name in "abc")
    read = tuple(
        Sentence("Start it.", number, 0, 0, 0.5, frozenset({"start"}), same_line=False, within=0.7)
        for number in range(3)
    )
    reading = Reading(pages, read, 0.9, chances)
    assert reading.rivals() == rivals
    assert [s.probability for s in reading.on("b").sentences] == [0.7]
