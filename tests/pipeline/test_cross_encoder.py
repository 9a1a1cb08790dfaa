"""The embedded model reads question and segment together where the weights are, else it goes by words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline import providers
from pipeline.extractive.crossing import crossed, pieces_of
from pipeline.extractive.evidence import read
from pipeline.extractive.extractive import WAITING, Extractive
from pipeline.extractive.segments import segments
from pipeline.knowledge import cross_encoder
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.knowledge.weights_file import WeightsError
from pipeline.models.model import Prompt, Stop, Text
from pipeline.settings import load_settings
from pipeline.text.sentences import sentences
from tests.factories import make_passage
from tests.pipeline.turns import ask, make_pipeline, recorded

LAMP = (
    "The lamp has three levels of light. Its battery lasts nine hours.\n\n"
    "## Questions\n\n"
    "### Can I leave the lamp out in the rain?\n\n"
    "Yes. The lamp is proof against rain, but it must not lie in water.\n\n"
    "### How do I clean the lamp?\n\n"
    "1. Take the battery out.\n2. Wipe the glass with a dry cloth.\n3. Put the battery back.\n"
)
MISSING = CrossEncoder().trouble
needs_weights = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


class Given:
    """Scores by the words that a segment has, in the model's place."""

    trouble = None

    def __init__(self, **scores: float) -> None:
        self.given = scores
        self.read: list[str] = []

    def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
        self.read += texts
        return np.array([max((s for w, s in self.given.items() if w in t), default=-11.0) for t in texts])


def retrieved(*pages: tuple[str, str]) -> Retrieved:
    candidates = tuple(
        RetrievedChunk(
            make_passage("t", n, title=title, text=text, document_id=title, chunk_id=f"{title}#0"),
            tuple(sentences(text)),
        )
        for n, (title, text) in enumerate(pages, 1)
    )
    return Retrieved("", None, candidates, "kb", "1", "test")


async def answer(encoder: object, question: str, *pages: tuple[str, str]) -> tuple[str, Stop]:
    pieces: list[str] = []
    model = Extractive(encoder)  # pyright: ignore[reportArgumentType] scores of the test's own
    async for event in model.stream(Prompt("", (), question, retrieved(*pages)), 5.0):
        if isinstance(event, Text):
            pieces.append(event.text)
        elif isinstance(event, Stop):
            return "".join(pieces), event
    raise AssertionError("no Stop")


async def way(model: Extractive) -> str | None:
    """Return which way a model says its answer was chosen."""
    prompt = Prompt("", (), "How long does the battery of the lamp last?", retrieved(("Lamp", LAMP)))
    events = [event async for event in model.stream(prompt, 5.0)]
    assert isinstance(events[-1], Stop)
    return events[-1].chosen_by


def test_a_page_is_parted_into_paragraphs_and_its_answered_questions() -> None:
    parts = segments(read("How do I clean the lamp?", retrieved(("Lamp", LAMP))))
    assert [part.entry for part in parts] == [False, True, True]
    assert parts[0].text("Lamp").startswith("Lamp. The lamp has three levels")
    assert parts[1].text("Lamp").startswith("Can I leave the lamp out in the rain? Yes.")
    assert [len(part.sentences) for part in parts] == [2, 2, 3]


async def test_the_best_segment_answers_whole_and_under_its_question_when_it_says_yes() -> None:
    said, stop = await answer(Given(rain=9.0), "may my lamp get wet", ("Lamp", LAMP))
    assert said == (
        "**Can I leave the lamp out in the rain?** "
        "Yes. The lamp is proof against rain, but it must not lie in water [1]."
    )
    assert not stop.abstained


async def test_steps_under_a_question_stay_a_list() -> None:
    said, _ = await answer(Given(Wipe=9.0), "how is the lamp cleaned", ("Lamp", LAMP))
    assert said.startswith("1. Take the battery out [1].\n2. Wipe the glass")


async def test_a_task_is_answered_by_the_steps_of_the_page_that_was_chosen() -> None:
    text = (
        "A hidden network does not say its name.\n\nTo join it:\n\n1. Open Wi-Fi.\n2. Press Hidden network."
    )
    said, _ = await answer(Given(hidden=9.0), "How do I join a hidden network?", ("Networks", text))
    assert "1. Open Wi-Fi [1].\n2. Press Hidden network [1]." in said


@pytest.mark.parametrize(
    ("question", "steps"),
    [("switch to my headset", True), ("What is a headset?", False), ("Can a headset be lent?", False)],
)
async def test_of_two_that_are_as_near_the_steps_answer_a_task_alone(question: str, steps: bool) -> None:
    text = (
        "A headset is lent at the desk of the library, with a headset bag.\n\n"
        "1. Open Sound and choose the headset.\n2. Press Test to hear the headset."
    )
    said, _ = await answer(Given(headset=6.0), question, ("Headset", text))
    assert ("1. Open Sound" in said) == steps


async def test_steps_that_answer_another_question_of_the_page_stay_out() -> None:
    said, _ = await answer(Given(nine=9.0), "Can I use the lamp for a whole night?", ("Lamp", LAMP))
    assert "nine hours [1]" in said and "Wipe" not in said


ROAD = (
    "The road was built of stone in two layers by the guild of masons, who came from the north.\n\n"
    "Its surface was made even with sand, which had to be brought anew after each winter.\n\n"
    "The toll was six pence for a cart."
)


async def test_a_paragraph_is_told_with_a_neighbour_that_is_nearly_as_good() -> None:
    said, _ = await answer(Given(layers=6.0, sand=4.0), "Describe how the road was made", ("Road", ROAD))
    assert "in two layers" in said and "\n\nIts surface" in said and "toll" not in said


async def test_a_neighbour_that_is_far_worse_stays_out() -> None:
    said, _ = await answer(Given(layers=6.0, sand=-6.0), "Describe how the road was made", ("Road", ROAD))
    assert "in two layers" in said and "sand" not in said


async def test_one_fact_is_told_without_its_neighbour() -> None:
    said, _ = await answer(Given(layers=6.0, sand=4.0), "Who built the road of stone?", ("Road", ROAD))
    assert "masons" in said and "sand" not in said


async def test_a_page_that_answers_questions_itself_is_told_without_a_neighbour() -> None:
    text = f"{ROAD}\n\n## Questions\n\n### Is the toll paid in coins?\n\nYes, in coins only."
    said, _ = await answer(Given(layers=6.0, sand=4.0), "Describe how the road was made", ("Road", text))
    assert "in two layers" in said and "sand" not in said


async def test_no_segment_near_the_question_means_silence() -> None:
    _, stop = await answer(Given(), "who invented the lamp shop", ("Lamp", LAMP))
    assert stop.abstained


async def test_a_segment_that_says_the_contrary_comes_last() -> None:
    text = "To switch the lamp off, press twice.\n\nTo switch the lamp on, press once."
    encoder = Given(off=9.0, once=1.0)
    said, _ = await answer(encoder, "How do I switch the lamp on?", ("Lamp", text))
    assert "press once" in said and "twice" not in said


async def test_two_things_compared_are_both_answered() -> None:
    pages = (
        ("The Heron bike", "The Heron weighs 14 kg. Its battery lasts 60 km."),
        ("The Osprey bike", "The Osprey weighs 19 kg. Its battery lasts 95 km."),
    )
    said, _ = await answer(Given(Heron=8.0, Osprey=6.0), "Heron vs Osprey battery", *pages)
    assert "60 km [1]" in said and "95 km [2]" in said


async def test_two_pages_compared_are_both_answered_by_what_stands_under_a_heading() -> None:
    pages = (
        ("The Heron bike", "## Data\n\nIts battery lasts 60 km."),
        ("The Osprey bike", "## Data\n\nIts battery lasts 95 km."),
    )
    said, _ = await answer(Given(Data=8.0), "Heron vs Osprey battery", *pages)
    assert "60 km [1]" in said and "95 km [2]" in said


async def test_what_cannot_be_read_is_answered_by_words(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Given):
        def scores(self, question: str, texts: Sequence[str]) -> np.ndarray:
            time.sleep(0.05)  # so that the first is known to be broken when the last begins
            raise WeightsError("the file is another")

    model = Extractive(Broken())  # pyright: ignore[reportArgumentType]
    prompt = Prompt("", (), "How long does the battery of the lamp last?", retrieved(("Lamp", LAMP)))

    async def text() -> str:
        return "".join([event.text async for event in model.stream(prompt, 5.0) if isinstance(event, Text)])

    said = await asyncio.gather(text(), text(), text())  # all wait when the first finds it broken
    assert all("nine hours" in each for each in said)
    assert "by words alone" in caplog.text
    assert await way(model) == "words alone: the file is another"


async def test_a_crowd_is_answered_by_words_without_a_wait() -> None:
    encoder = Given(battery=5.0)
    model = Extractive(encoder)  # pyright: ignore[reportArgumentType]
    prompt = Prompt("", (), "How long does the battery of the lamp last?", retrieved(("Lamp", LAMP)))

    ways = await asyncio.gather(*(way(model) for _ in range(3 * WAITING)))
    whole = len(segments(read(prompt.question, prompt.retrieved)))
    assert len(encoder.read) == WAITING * (whole + 1)  # the best once more, without its title
    assert ways.count("cross-encoder") == WAITING
    assert ways.count("words alone: 4 answers waited for the cross-encoder") == 2 * WAITING


def test_without_the_package_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(cross_encoder.WEIGHTS, package="no-such-package-of-weights")
    monkeypatch.setattr(cross_encoder, "WEIGHTS", absent)
    assert "make install" in str(CrossEncoder().trouble)
    with pytest.raises(WeightsError):
        cross_encoder._session.__wrapped__()


async def test_it_is_used_when_wanted_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = providers.extractive(load_settings())  # tests turn it off
    assert await way(model) == "words alone: models.cross_encoder is off"
    monkeypatch.setenv("ANSWERDECK_MODELS__CROSS_ENCODER", "true")
    assert (providers.extractive(load_settings())._encoder is None) == (MISSING is not None)
    absent = replace(cross_encoder.WEIGHTS, package="no-such-package-of-weights")
    monkeypatch.setattr(cross_encoder, "WEIGHTS", absent)
    model = providers.extractive(load_settings())
    assert await way(model) == (
        "words alone: the package no-such-package-of-weights is not installed: make install"
    )


async def test_a_turn_records_how_its_answer_was_chosen() -> None:
    pipeline = await make_pipeline()
    answer, _ = await ask(pipeline, "What happens when you close the lid?")
    attributes = [span.attributes for span in recorded(pipeline, answer.turn_id or "").spans]
    ways = [noted["chosen_by"] for noted in attributes if "chosen_by" in noted]
    assert ways == ["words alone: models.cross_encoder is off"]


@needs_weights
def test_the_true_weights_tell_an_answer_from_its_neighbour() -> None:
    encoder = CrossEncoder()
    question = "can the lamp stand outside in bad weather"
    whole = crossed(question, retrieved(("Lamp", LAMP)), encoder)
    assert "rain" in "".join(pieces_of(whole.ranked[0].segment, whole.reading))
    first = encoder.scores(question, ["The lamp is proof against rain.", "Invoices are sent in May."])
    assert first[0] > first[1] + 5
    assert np.array_equal(
        first, encoder.scores(question, ["The lamp is proof against rain.", "Invoices are sent in May."])
    )
