"""Both parts of a two-part question, a verb with its particle, other things, rows without a head."""

from __future__ import annotations

import pytest

from pipeline.events import Answer
from pipeline.extractive.composing import compose
from pipeline.extractive.double import halves
from pipeline.extractive.home import others
from pipeline.extractive.reading import Reading, Sentence
from pipeline.extractive.rows import statements
from pipeline.knowledge.documents import Document
from pipeline.knowledge.found import RetrievedChunk
from pipeline.text.sentences import sentences
from pipeline.text.spelling import joinable, joined
from tests.factories import make_passage
from tests.pipeline.test_doubt import KILN, answer, prompt
from tests.pipeline.turns import ask, make_pipeline

SHED = ("shed", "The shed", "The shed opens at seven. Its key hangs beside the door of the shed.")


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is a kiln and what is a loom?", ("What is a kiln", "what is a loom?")),
        (
            "How do I fire a kiln and how do I clean it?",
            ("How do I fire a kiln", "how do I clean it?  (fire kiln)"),
        ),
        ("How do I add a cup? And how do I move it?", ("How do I add a cup", "how do I move it?  (add cup)")),
        ("Where is the kiln; who may use it?", ("Where is the kiln", "who may use it?  (kiln)")),
        ("Where is the kiln, and since when?", ("Where is the kiln", "since when is the kiln")),
        ("Who may use it and how often?", ("Who may use it", "how often may use it")),
        ("What do I need and how do I install it?", None),  # the first part asks nothing by itself
        ("What is the difference between a kiln and a loom?", None),
        ("How do I find and replace a shelf?", None),
        ("The kiln is hot and what is that?", None),
    ],
)
def test_a_question_that_asks_two_things_is_parted(question: str, parts: tuple[str, str] | None) -> None:
    assert halves(question) == parts


async def test_both_parts_are_answered() -> None:
    text = await answer(
        prompt("How do I start the kiln and when does the shed open?", KILN, SHED, cosines=(0.7, 0.7))
    )
    assert "Start the kiln at the panel [1]." in text and "The shed opens at seven [2]." in text


@pytest.mark.parametrize(
    ("text", "words", "written"),
    [
        ("How do I roll a prompt back?", {"rollback"}, "How do I rollback a prompt?"),
        ("Roll back", {"rollback"}, "rollback"),
        ("How do I roll a prompt back?", {"roll"}, "How do I roll a prompt back?"),
        ("How do I set up the kiln?", {"setup"}, "How do I set up the kiln?"),  # a common word
        ("go back to the kiln", {"rollback"}, "go back to the kiln"),
    ],
)
def test_a_verb_and_its_particle_are_one_word_where_documents_write_one(
    text: str, words: set[str], written: str
) -> None:
    assert joined(text, frozenset(words)) == written
    assert joinable(text, [" ".join(words)]) or text == written


@pytest.mark.parametrize(
    "document", ["A roll-back takes a second.", "ROLL‐BACK", "ﬁne: Rollback", "rollbacks"]
)
def test_the_letters_in_a_row_ask_for_the_vocabulary(document: str) -> None:
    assert joinable("How do I roll it back?", [document])
    assert not joinable("How do I roll it back?", ["Roll it and hold it back."])
    assert not joinable("How do I back the kiln?", [document])


def test_a_page_about_other_things_of_the_same_count_is_another() -> None:
    titles = ["Compare two kilns", "Compare two looms", "Compare looms", "Two kilns and a loom"]
    assert others("How do I compare two looms?", titles).tolist() == [1, 0, 0, 1]
    assert others("How do I compare looms?", ["Compare two looms"]).tolist() == [0]


def test_a_row_whose_head_is_in_another_chunk_reads_as_a_sentence() -> None:
    text = "| `kiln stop` | let it cool down |\n| `kiln log` | who fired it | daily |"
    assert [row for row, _, _ in statements(text, sentences(text))] == [
        "`kiln stop`: let it cool down.",
        "`kiln log`: who fired it; daily.",
    ]


@pytest.mark.parametrize(("chance", "there"), [(0.35, False), (0.5, True)])
def test_a_row_says_less_to_another_question_than_prose(chance: float, there: bool) -> None:
    texts = ("The oldest potter fires it at dawn.", "part: lamp; place: beside the door.")
    read = tuple(
        Sentence(text, 0, place, place, share, frozenset(text.split()), same_line=False)
        for place, (text, share) in enumerate(zip(texts, (0.6, chance), strict=True))
    )
    reading = Reading((RetrievedChunk(make_passage(n=1, text=" ".join(texts))),), read, 0.9, (1.0,))
    text = "".join(compose("Who fires it?", reading))
    assert "oldest potter" in text and ("lamp" in text) is there


async def test_each_of_two_questions_is_searched_for_and_answered() -> None:
    filler = [
        Document(f"mill-{n}", f"Mill rule {n}", f"Rule {n} of the mill is about lunch and hats.", "")
        for n in range(6)
    ]
    start = Document("lever", "Begin to grind", "Pull the red lever to start the mill.", "")
    stop = Document(
        "brake", "Rest the stones", "Turn the brass wheel to stop the mill. It brakes the stones.", ""
    )
    pipeline = await make_pipeline(documents=[*filler, start, stop])
    reply, _ = await ask(pipeline, "How do I start the mill and how do I stop the mill?")
    assert isinstance(reply, Answer)
    assert "red lever" in reply.answer
    assert "brass wheel" in reply.answer
    assert len(reply.answer.split("brass wheel")) == 2  # nothing is said twice
    ranks = [passage.rank for passage in reply.passages]
    assert ranks == sorted(set(ranks))
    assert searches(reply) == 3  # the whole and both parts
    reply, _ = await ask(pipeline, "Which wheel is of brass?")
    assert isinstance(reply, Answer)
    assert searches(reply) == 1


def searches(reply: Answer) -> int:
    assert reply.trace is not None
    return sum(span.name == "full-text search" for span in reply.trace.spans)
