"""Each case counts at the stage where the sentence that says the expected answer was lost."""

from __future__ import annotations

import pytest

from evalsets.answering import answering, says
from evalsets.sentence_losses import HEAD, losses, sentences_of, summary
from pipeline.knowledge.documents import Document
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.text.sentences import sentences
from tests.factories import make_passage
from traces.records import Case

PUMP = "The pump takes thin oil. Oil it twice a year.\n\nThe tank holds nine litres of rain water."
KILN = "The kiln reaches 900 degrees. Fire the kiln slowly, and open its vent."
GATE = "The gate squeaks. Grease its hinge."
SOURCES = sentences_of(
    [Document(name, name.title(), text, "") for name, text in (("pump", PUMP), ("kiln", KILN))]
)


class Shelf:
    """Finds what the test says."""

    def __init__(self, **pages: str) -> None:
        self.pages = pages

    async def retrieve(self, question: str) -> Retrieved:
        rows = tuple(
            RetrievedChunk(
                make_passage(n=n, rank=n, document_id=name, title=name.title(), text=text),
                tuple(sentences(text)),
                None,
            )
            for n, (name, text) in enumerate(self.pages.items(), 1)
        )
        return Retrieved(question, None, rows, "kb", None, None)


def case(question: str, reference: str | None, *pages: str) -> Case:
    return Case("run", "c1", question, reference=reference, relevant_ids=list(pages))


@pytest.mark.parametrize(
    ("shelf", "question", "reference", "stage"),
    [
        (Shelf(gate=GATE), "How hot does the kiln get?", "900 degrees", "page"),
        (Shelf(pump="The pump is green."), "How often do I oil the pump?", "Twice a year.", "chunk"),
        (
            Shelf(pump=PUMP),
            "Which colour has the lid of the barrel?",
            "The tank holds nine litres.",
            "silent",
        ),
        (Shelf(kiln=KILN), "What does the kiln reach?", "It reaches 900 degrees.", "quoted"),
        (Shelf(pump=PUMP, kiln=KILN), "Which oil does the pump take?", "Nine litres of rain.", "beside"),
        (Shelf(kiln=KILN, pump=PUMP), "How do I fire the kiln?", "The pump takes thin oil.", "elsewhere"),
    ],
)
async def test_a_case_counts_where_its_sentence_was_lost(
    shelf: Shelf, question: str, reference: str, stage: str
) -> None:
    pages = ("kiln",) if "kiln" in question and stage != "elsewhere" else ("pump",)
    [loss] = await losses([case(question, reference, *pages)], SOURCES, shelf)
    assert loss.stage == stage, loss.answer
    assert (loss.place is None) == (stage in ("page", "chunk"))
    assert bool(loss.answer) == (loss.quoted > 0)


async def test_a_set_is_a_line_and_cases_without_an_expected_sentence_are_left_out() -> None:
    cases = [
        case("What does the kiln reach?", "It reaches 900 degrees.", "kiln"),
        case("What does the kiln reach?", None, "kiln"),
        case("What does the kiln reach?", "Seven hundred poems.", "kiln"),
    ]
    table = await losses(cases, SOURCES, Shelf(kiln=KILN))
    assert summary("kilns", table) == "| kilns (1) | 0 | 0 | 0 | 0 | 0 | 1 | 1.00 | 1.00 | 1.0 |"
    assert HEAD.splitlines()[0].count("|") == summary("kilns", table).count("|")


def test_words_of_the_question_tell_less_of_an_answer() -> None:
    question, reference = "How much oil does the pump hold?", "The pump holds nine litres of oil."
    assert says(question, reference, "Nine litres.") > says(question, reference, "The pump holds oil.")
    texts = ["# Nine litres of oil in the pump", "It holds nine litres of oil.", "The pump is green."]
    assert answering(question, reference, texts) == {1}
    assert not answering(question, "About sixty.", texts) and not answering(question, "", texts)
