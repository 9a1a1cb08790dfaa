"""The passage that answers is found behind the first one; lists and comparisons are cut to what is asked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pipeline.extractive import home
from pipeline.extractive.compare import gathered
from pipeline.extractive.composing import compose
from pipeline.extractive.evidence import Page, Reading, read
from pipeline.extractive.exact import misnamed
from pipeline.extractive.extractive import _how
from pipeline.extractive.kinds import does
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from tests.factories import make_passage


def retrieved(*pages: tuple[str, str], question: str = "") -> Retrieved:
    found = tuple(
        RetrievedChunk(make_passage(n=n, rank=n, document_id=f"d{n}", title=title, text=text), (), None)
        for n, (title, text) in enumerate(pages, 1)
    )
    return Retrieved(question, None, found, "test", None, None)


def answer(question: str, *pages: tuple[str, str]) -> str:
    reading = read(question, retrieved(*pages, question=question))
    return "".join(compose(question, reading))


def test_the_page_that_has_the_question_s_words_answers_before_the_first() -> None:
    pages = (
        ("A private model", "Start a server. Give the model the price 0, so that its turns count as free."),
        ("The doctor", "The doctor looks at the set-up. It changes nothing and spends no money."),
    )
    question = "does the doctor spend money"
    page = Page(question, retrieved(*pages))
    assert page.home() == 1
    assert "spends no money" in answer(question, *pages)


def test_what_is_measured_of_a_passage_has_a_name() -> None:
    page = Page(
        "how do I start the pump", retrieved(("Pump", "Press the green key."), ("Door", "It is red."))
    )
    values = home.features(page)
    assert set(values) == set(home.FEATURES)
    assert values["first"].tolist() == [1.0, 0.0]
    assert home.share(np.zeros((1, 0)), np.zeros(0)).tolist() == [0.0]


@pytest.mark.parametrize(
    ("text", "doing"),
    [
        ("Press the green key.", True),
        ("To stop it, pull the lever.", True),
        ("Run `answerdeck up` again.", True),
        ("Comparing them only makes sense with a model.", False),
        ("The key is green.", False),
    ],
)
def test_a_sentence_that_says_what_to_do_is_known(text: str, doing: bool) -> None:
    assert does(text) is doing


def test_a_list_is_cut_to_the_items_that_are_asked_for() -> None:
    text = (
        "The table gives the page a look.\n\n- `name` is the name at the top.\n- `logo` is a picture file.\n"
        "- `examples` are questions to begin with.\n- `footer` is a line of small print."
    )
    said = answer("how do I change the logo", ("The page", text))
    assert "`logo`" in said
    assert "`footer`" not in said and "`examples`" not in said


def test_two_things_compared_are_told_once_each() -> None:
    text = (
        "Precision is the share of citations that are right. "
        "Recall is the share of documents that are cited. A model that quotes has a high precision."
    )
    again = "Recall is the share of documents that are cited."
    question = "What is the difference between precision and recall?"
    reading: Reading = read(question, retrieved(("Citations", text), ("Glossary", again), question=question))
    chosen = gathered(question, reading)
    assert chosen is not None
    assert [sentence.text.split()[0] for sentence in chosen] == ["Precision", "Recall"]


@pytest.mark.parametrize(
    "question",
    [
        "Heron vs Osprey battery",
        "compare the battery of the Heron and the Osprey",
        "Is the battery of the Osprey better than the Heron?",
        "Which has the longer battery, the Heron or the Osprey?",
    ],
)
def test_alike_sentences_with_other_figures_are_both_told(question: str) -> None:
    pages = (
        ("The Heron bike", "The Heron weighs 14 kg. Its battery lasts 60 km."),
        ("The Osprey bike", "The Osprey weighs 19 kg. Its battery lasts 95 km."),
    )
    chosen = gathered(question, read(question, retrieved(*pages, question=question)))
    assert chosen is not None
    said = " ".join(sentence.text for sentence in chosen)
    assert "60 km" in said and "95 km" in said


def test_the_most_of_a_thing_is_found_by_a_word_with_a_hyphen() -> None:
    pages = (
        ("The printer", "Its E-mail waits 5 minutes."),
        ("The scanner", "Its E-mail waits 9 minutes."),
    )
    question = "Which device has the longest e-mail delay?"
    chosen = gathered(question, read(question, retrieved(*pages, question=question)))
    assert chosen is not None
    assert [sentence.text.split()[3] for sentence in chosen] == ["9", "5"]


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("Which scooter is the heaviest?", "Hera Ajax Zephyr"),
        ("Which scooter is the lightest?", "Zephyr Ajax Hera"),
        ("Which scooter has the most range?", "Ajax Zephyr Hera"),
        ("Which scooter is the oldest?", "Hera Ajax Zephyr"),
        ("Which scooter is the cheapest?", "Ajax Hera Zephyr"),  # no column says it: all of them
    ],
)
def test_the_most_of_a_column_is_read_after_its_head(question: str, order: str) -> None:
    table = (
        "| Scooter | Built | Range | Weight |\n|---|---|---|---|\n| Ajax | 2019 | 90 km | 14 kg |\n"
        "| Hera | 2011 | 45 km | 38 kg |\n| Zephyr | 2024 | 60 km | 12 kg |\n"
    )
    chosen = gathered(question, read(question, retrieved(("Scooters", table), question=question)))
    assert chosen is not None
    assert " ".join(re.findall(r"Scooter: (\w+)", " ".join(s.text for s in chosen))) == order


def test_a_task_is_answered_by_the_page_with_steps() -> None:
    caveat = ("Versions", "Comparing two prompts only makes sense with a model. Prompts are compared.")
    steps = ("Compare two prompts", "1. Run both on the evalset.\n2. Open the page.\n3. Read the difference.")
    question = "How do I compare two prompts?"
    reading = read(question, retrieved(caveat, steps, question=question))
    assert "Read the difference" in "".join(compose(question, _how(question, reading)))


def test_a_name_bound_to_another_s_place_is_not_there() -> None:
    assert misnamed("When does the ferry to Berg leave?", ["The ferry to Sund leaves at 7."])
    assert not misnamed("When does the ferry to Sund leave?", ["The ferry to Sund leaves at 7."])
    assert not misnamed("Is there a road to Berg?", ["The ferry to Sund leaves at 7."])
