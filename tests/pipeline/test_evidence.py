"""Evidence: the answering sentence weighs most, strength tells an answer from a neighbour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extractive.evidence import ABSTAIN_BELOW, read, strength
from pipeline.extractive.kinds import kind, names
from pipeline.extractive.reading import choose
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.text.sentences import sentences
from tests.factories import make_passage

BRIGHTNESS = (
    "Change how bright the screen is when the battery runs low. To change the brightness of your screen, "
    "use the slider at the top. Many keyboards have two keys for it."
)
BACKUP = "Keep your backup in another building. A fire could destroy both copies."


def retrieved(*texts: str, vectors: list[list[list[float]]] | None = None) -> Retrieved:
    """One passage a text; `vectors` gives a unit vector per sentence, the query's is (1, 0)."""
    found = []
    for number, text in enumerate(texts, 1):
        given_ = None if vectors is None else np.array(vectors[number - 1], np.float32)
        passage = make_passage(rank=number, text=text, title="", n=number)
        found.append(RetrievedChunk(passage, tuple(sentences(text)), given_))
    query = None if vectors is None else np.array([1, 0], np.float32)
    return Retrieved("", query, tuple(found), "default", None, None)


NEAR, MIDDLE, FAR = [0.8, 0.6], [0.5, 0.866], [0.1, 0.995]


def test_the_answering_sentence_weighs_most_with_vectors() -> None:
    reading = read("How do I make my display dimmer?", retrieved(BRIGHTNESS, vectors=[[MIDDLE, NEAR, FAR]]))
    assert max(reading.sentences, key=lambda s: s.probability).position == 1


def test_the_answering_sentence_weighs_most_without_vectors() -> None:
    reading = read("How do I change the brightness of the screen?", retrieved(BRIGHTNESS, BACKUP))
    assert max(reading.sentences, key=lambda s: s.probability).passage == 0


def test_strength_falls_with_the_cosines() -> None:
    strong = strength("How do I dim the screen?", retrieved(BRIGHTNESS, vectors=[[NEAR, NEAR, NEAR]]))
    weak = strength("How do I dim the screen?", retrieved(BRIGHTNESS, vectors=[[FAR, FAR, FAR]]))
    assert weak < ABSTAIN_BELOW < strong


def test_strength_without_vectors() -> None:
    strong = strength("How do I change the brightness of the screen?", retrieved(BRIGHTNESS, BACKUP))
    weak = strength("Who won the football match in Madrid?", retrieved(BRIGHTNESS, BACKUP))
    assert weak < ABSTAIN_BELOW < strong


def test_a_missing_name_lowers_strength() -> None:
    vectors = [[MIDDLE, MIDDLE, MIDDLE]]
    known = strength("How do I set the screen brightness?", retrieved(BRIGHTNESS, vectors=vectors))
    unknown = strength("How do I set the Minecraft brightness?", retrieved(BRIGHTNESS, vectors=vectors))
    assert unknown < known


HELP = "You can get help with the desktop. Ask on the mailing list for help with the desktop."


def test_a_phone_number_must_be_there() -> None:
    asked = "What phone number can I call for help with the desktop?"
    near = [[NEAR, NEAR]]
    without = strength(asked, retrieved(HELP, vectors=near))
    assert (
        without
        < ABSTAIN_BELOW
        < strength(asked, retrieved(HELP + " Call +49 30 123456.", vectors=[[NEAR] * 3]))
    )
    assert strength("How do I show a phone number?", retrieved(HELP, vectors=near)) > without


def test_the_topic_of_a_follow_up_weighs_less_than_its_own_words() -> None:
    page = retrieved("Change the screen brightness. Keep your backup elsewhere.")
    first, second = read("And the backup?  (screen brightness)", page).sentences
    assert second.probability > read("And the backup screen brightness?", page).sentences[1].probability
    assert first.probability < read("And the backup screen brightness?", page).sentences[0].probability


def test_only_numbered_passages_are_read() -> None:
    everything = retrieved(BRIGHTNESS, BACKUP)
    unnumbered = RetrievedChunk(make_passage(rank=2, text=BACKUP, n=None), tuple(sentences(BACKUP)))
    some = Retrieved("", None, (everything.candidates[0], unnumbered), "default", None, None)
    assert {s.passage for s in read("brightness", some).sentences} == {0}


@pytest.mark.parametrize("question", ["", "?!", "the of and", "😀"])
def test_odd_questions_and_empty_pages(question: str) -> None:
    assert 0 <= strength(question, retrieved(BRIGHTNESS)) <= 1
    assert strength(question, retrieved()) == 0
    assert strength(question, retrieved("")) == 0


@given(st.lists(st.floats(0.01, 0.99), max_size=30))
def test_choose_takes_the_likeliest(probabilities: list[float]) -> None:
    chosen = choose(probabilities)
    left = [p for i, p in enumerate(probabilities) if i not in chosen]
    assert chosen == sorted(chosen)
    assert bool(chosen) == bool(probabilities)
    assert not left or min(probabilities[i] for i in chosen) >= max(left)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was it built?", "when"),
        ("how many users are there", "number"),
        ("who wrote it", "who"),
        ("How do I print?", "how"),
        ("print page 3", "other"),
    ],
)
def test_kind(question: str, expected: str) -> None:
    assert kind(question) == expected


def test_names_are_capitals_within_and_digits() -> None:
    assert names("How do I run Photoshop or GNOME 50 on iOS?") == {"photoshop", "gnom", "50", "ios"}
    assert names("Which one?") == set()


def test_what_one_side_buys_the_other_sells() -> None:
    page = retrieved("The driver sells single tickets only. A refund takes a week.")
    sentence = read("Can I buy a ticket from the driver?", page).sentences[0]
    assert not sentence.contrary


def test_an_act_is_met_by_another_word_for_it() -> None:
    page = retrieved("Press the lever to delete a rule.", BACKUP)
    assert strength("How do I erase a rule?", page) > strength("How do I paint a rule?", page)


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("When does the ferry leave?", "when"),
        ("and when exactly is it open?", "when"),
        ("since when is it there", "when"),
        ("What happens when it is full?", "other"),
        ("I want a note when the water is high", "other"),
    ],
)
def test_when_asks_for_a_time_only_as_a_question(question: str, asks: str) -> None:
    assert kind(question) == asks
