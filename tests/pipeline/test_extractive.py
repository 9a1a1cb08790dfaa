"""The extractive model: every sentence stands in its passage, steps come whole, weak evidence abstains."""

from __future__ import annotations

import re

import numpy as np

from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.models.model import Prompt, Stop, Text
from pipeline.notices import NOT_FOUND
from pipeline.text.sentences import sentences
from tests.factories import make_passage

BOUNCE = """What to do when fingers press a key twice in a hurry.

Turn on bounce keys to skip a key that is pressed again too soon. To turn on bounce keys:
1. Press the search key and write Settings.
2. Click on Settings. The panel opens.
Note: You can search for it too. It is fast.
3. Set the Bounce Keys switch to on.

See Sticky keys for more information."""
CAT = (
    "The Harbour Blue is a cat with a silver-blue coat . However , the tail may have stripes . "
    "Its eyes are green . The Harbour Blue cat came from Visby in 1860 ."
)
CITATION = re.compile(r" \[(\d+)\]")


def prompt(question: str, *texts: str, cosine: float = 0.75, ranks: int = 5, **columns: int) -> Prompt:
    found = []
    for number, text in enumerate(texts, 1):
        spans = tuple(sentences(text))
        vectors = np.array([[cosine, (1 - cosine**2) ** 0.5]] * len(spans), np.float32)
        n = number if number <= ranks else None
        passage = make_passage(rank=number, text=text, title="Help", n=n, document_id=f"doc-{number}")
        found.append(RetrievedChunk(passage, spans, vectors))
    known = Retrieved(question, np.array([1, 0], np.float32), tuple(found), "default", None, None)
    return Prompt("Answer.", (), question, known, **columns)


async def answer(prompt: Prompt) -> tuple[list[str], Stop]:
    pieces: list[str] = []
    stop = None
    async for event in Extractive().stream(prompt, 5.0):
        if isinstance(event, Text):
            pieces.append(event.text)
        else:
            stop = event
    assert stop is not None
    return pieces, stop


async def test_a_procedure_comes_whole_with_its_lead() -> None:
    pieces, stop = await answer(prompt("How do I turn on bounce keys?", BOUNCE))
    text = "".join(pieces)
    assert "To turn on bounce keys:\n\n1. Press the search key and write Settings [1].\n" in text
    assert "2. Click on Settings. The panel opens [1].\n3. Set the Bounce Keys switch to on [1]." in text
    assert not text.startswith("Ignore")  # the page's summary says nothing more
    assert "search for it" not in text and "It is fast" not in text and "See Sticky" not in text
    assert not stop.abstained and stop.tokens.estimated and stop.reason == "stop"


async def test_every_cited_sentence_stands_in_its_passage() -> None:
    pieces, _ = await answer(prompt("where does the russian blue cat come from", CAT, BOUNCE))
    passages = {1: CAT, 2: BOUNCE}
    assert len(pieces) > 1
    for piece in pieces:
        (number,) = CITATION.findall(piece)
        assert CITATION.sub("", piece).strip() in passages[int(number)]


async def test_only_passages_of_the_prompt_are_cited() -> None:
    pieces, _ = await answer(prompt("How do I turn on bounce keys?", BOUNCE, CAT, ranks=1))
    assert set(CITATION.findall("".join(pieces))) == {"1"}


async def test_the_same_passage_twice_is_said_once() -> None:
    pieces, _ = await answer(prompt("where does the russian blue cat come from", CAT, CAT))
    said = [CITATION.sub("", piece).strip() for piece in pieces]
    assert len(said) == len(set(said))


async def test_a_sentence_that_leans_on_another_brings_it() -> None:
    pieces, _ = await answer(prompt("russian blue tail stripes", CAT))
    text = CITATION.sub("", "".join(pieces))
    assert "However" not in text or "silver-blue coat . However" in text


async def test_weak_evidence_abstains() -> None:
    pieces, stop = await answer(prompt("Who won the election in Peru?", BOUNCE, cosine=0.1))
    assert (pieces, stop.abstained) == ([NOT_FOUND], True)


async def test_no_passages_abstain() -> None:
    pieces, stop = await answer(prompt("How do I turn on bounce keys?"))
    assert (pieces, stop.abstained) == ([NOT_FOUND], True)


async def test_it_is_deterministic_and_keeps_to_its_length() -> None:
    asked = prompt("How do I turn on bounce keys?", BOUNCE, CAT)
    assert await answer(asked) == await answer(asked)
    pieces, stop = await answer(prompt("How do I turn on bounce keys?", BOUNCE, max_output_tokens=20))
    assert stop.reason == "length" and len(pieces) == 1


async def test_steps_of_another_page_are_not_added() -> None:
    steps = "To turn on bounce keys:\n1. Open Settings.\n2. Switch Bounce Keys on."
    other = "3. Turn on the keypad for bounce keys.\n4. Press the key."
    pieces, _ = await answer(prompt("How do I turn on bounce keys?", steps, other))
    assert "3. " not in "".join(pieces)


async def test_a_step_is_not_said_again_after_the_steps() -> None:
    text = (
        "1. Press the Print key to take a screenshot.\n2. Click the round button.\n\n"
        "Screenshots are saved.\nPress the Print key to take a screenshot."
    )
    pieces, _ = await answer(prompt("How do I take a screenshot?", text))
    said = "".join(pieces)
    assert "2. Click the round button [1]." in said
    assert said.count("Press the Print key") == 1


async def test_a_title_glued_to_its_sentence_is_dropped() -> None:
    text = "Save your work before suspending You should save all of your work before you suspend."
    pieces, _ = await answer(prompt("Should I save my work before suspending?", text))
    assert "".join(pieces) == "You should save all of your work before you suspend [1]."


async def test_prose_is_short_and_marks_stand_before_the_citation() -> None:
    text = " ".join(f"Bounce keys help person number {i} to type!" for i in range(20))
    pieces, _ = await answer(prompt("Who do bounce keys help?", text))
    assert 1 <= len(pieces) <= 5
    assert all(piece.endswith("! [1]") for piece in pieces)


async def test_a_list_is_no_match_for_steps_when_a_task_is_asked() -> None:
    text = (
        "You can record a video of the screen.\n- Record a part of the screen\n- Record all of the screen\n\n"
        "To record a video of the screen:\n1. Press Print.\n2. Select the screen to record a video."
    )
    pieces, _ = await answer(prompt("How do I record a video of the screen?", text))
    assert "1. Press Print [1]." in "".join(pieces)


async def test_pictures_questions_and_pointers_are_left_out() -> None:
    text = (
        "![icon](https://example.org/icon.svg) [Bounce keys](https://b) ignore quick presses of one key. "
        "How do I use bounce keys? See the page of bounce keys. [Bounce keys](https://example.org)."
    )
    pieces, _ = await answer(prompt("What do bounce keys do?", text))
    assert "".join(pieces) == "Bounce keys ignore quick presses of one key [1]."


async def test_a_list_of_links_is_no_procedure() -> None:
    text = (
        "Bounce keys ignore quick presses. Learn about bounce keys:\n- [One](https://a)\n- [Two](https://b)"
    )
    pieces, _ = await answer(prompt("How do I use bounce keys?", text))
    assert "".join(pieces) == "Bounce keys ignore quick presses [1]."


async def test_a_title_before_itself_is_said_once() -> None:
    text = "Bounce keys Bounce keys ignore quick presses of one key."
    pieces, _ = await answer(prompt("What do bounce keys do?", text))
    assert "".join(pieces) == "Bounce keys ignore quick presses of one key [1]."


async def test_an_argument_begun_after_the_steps_is_not_cut_in_half() -> None:
    text = BOUNCE.replace(
        "See Sticky", "You may think that bounce keys slow you down. In practice they do not.\nSee"
    )
    pieces, _ = await answer(prompt("How do I turn on bounce keys?", text))
    assert "3. Set the Bounce Keys switch to on" in "".join(pieces)
    assert "You may think" not in "".join(pieces)


async def test_the_cheapest_of_several_is_a_matter_of_amounts_not_of_addresses_and_versions() -> None:
    pieces, _ = await answer(
        prompt(
            "Which kiln model is the cheapest?",
            "The kiln model Elm costs 1,200.50 euros.",
            "The kiln model Ash costs 2,5 euros an hour.",
            "The kiln model Yew has no price; its cost page lies at 10.0.0.7, version 3.11.4.",
        )
    )
    assert "".join(pieces).startswith("- The kiln model Ash") and "10.0.0.7" not in "".join(pieces)


async def test_steps_come_before_the_cautions_on_the_page() -> None:
    page = (
        "## Change the toner\n\nCaution: The drum is hot. Never touch it. Wear gloves for the toner.\n\n"
        "1. Open the front flap to change the toner.\n2. Pull out the old toner.\n3. Push in the new toner.\n"
    )
    pieces, _ = await answer(prompt("How do I change the toner?", page))
    said = "".join(pieces)
    assert said.startswith("1. Open the front flap") and said.index("3. Push") < said.index("Wear gloves")


async def test_what_must_be_before_steps_stays_before_them() -> None:
    page = (
        "Change the toner when a lamp blinks.\n\nTo change the toner:\n\n"
        "1. Open the front flap.\n2. Pull out the old toner.\n"
    )
    pieces, _ = await answer(prompt("How do I change the toner?", page))
    assert "To change the toner:\n\n1. Open" in "".join(pieces)
