"""A fabrication never looks proven: sentences are checked as they stream, marked or left out."""

from __future__ import annotations

import pytest

from pipeline import notices
from pipeline.events import Answer, Delta
from pipeline.guardrails.marking import MARK, Marking, plain
from pipeline.models.scripted import Scripted
from tests.factories import make_passage
from tests.pipeline.turns import ask, make_pipeline, recorded

LID = "What happens when I close the lid?"
TRUE = "When you close the lid of your laptop, the laptop goes to sleep [1]."
FALSE = "It has 9000 employees [1]."
PASSAGES = [
    make_passage(
        n=1,
        title="Close the lid",
        text="When you close the lid of your laptop, the laptop goes to sleep to save power."
        " Open the lid to wake it again.",
    )
]
ANSWERS = [
    (f"{TRUE} {FALSE} The moon is made of old cheese.",
     f"{TRUE} {FALSE}{MARK} The moon is made of old cheese.{MARK}"),
    (f"1. {TRUE}\n2. {FALSE}\n", f"1. {TRUE}\n2. {FALSE}{MARK}"),
    ("The laptop does not go to sleep. [1] Open the lid to wake it again [1].",
     f"The laptop does not go to sleep. [1]{MARK} Open the lid to wake it again [1]."),
    (f"{TRUE}\n\n```\nrm everything [0]\n```\n", f"{TRUE}\n\n```\nrm everything [0]\n```"),
]  # fmt: skip


def marked(answer: str, policy: str, step: int) -> tuple[str, Marking]:
    marking = Marking(policy, PASSAGES)  # type: ignore[arg-type]  # a table of policies
    pieces = [marking.feed(answer[at : at + step]) for at in range(0, len(answer), step)]
    return ("".join(pieces) + marking.finish()).rstrip(), marking


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize(("answer", "shown"), ANSWERS)
def test_unsupported_sentences_are_marked_however_the_stream_is_cut(
    answer: str, shown: str, step: int
) -> None:
    assert marked(answer, "mark", step)[0] == shown
    assert marked(answer, "off", step)[0] == answer.rstrip()


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_retract_leaves_them_out_and_remembers_why(step: int) -> None:
    shown, marking = marked(f"{TRUE} {FALSE} Open the lid to wake it again [1].", "retract", step)
    assert shown == f"{TRUE} Open the lid to wake it again [1]."
    assert [one.text for one in marking.removed] == [FALSE]
    assert marking.removed[0].reasons


@pytest.mark.parametrize("step", [1, 1000])
def test_a_guess_after_not_found_is_taken_back(step: int) -> None:
    shown, marking = marked(
        "I could not find this in the documents. But you can edit xorg.conf.", "mark", step
    )
    assert shown == "I could not find this in the documents."
    assert len(marking.removed) == 1
    shown, _ = marked(f"I could not find the price. {TRUE}", "mark", step)
    assert shown.endswith(TRUE)


async def test_a_fabrication_is_marked_in_answer_api_and_trace() -> None:
    pipeline = await make_pipeline(Scripted(f"{TRUE} {FALSE}"))
    answer, events = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert answer.answer == f"{TRUE} {FALSE}{MARK}"
    assert plain(answer.answer) == f"{TRUE} {FALSE}"
    assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.answer
    checks = answer.to_dict()["answer_checks"]
    assert [one["support"] for one in checks] == ["supported", "unsupported"]
    evidence = checks[0]["evidence"]
    text = answer.passages[evidence["n"] - 1].text or ""
    assert text[evidence["start"] : evidence["end"]].startswith("When you close the lid")
    assert checks[1]["evidence"] is None
    spans = {span.name: span for span in recorded(pipeline, answer.turn_id).spans}
    assert spans["check answer"].attributes["sentences"][1]["support"] == "unsupported"


@pytest.mark.parametrize("reply", ["I don't know.", "The lid is made of aluminium and costs 40 euros."])
async def test_an_answer_without_a_citation_is_not_answered(reply: str) -> None:
    pipeline = await make_pipeline(Scripted(reply))
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice) == ("no_context", notices.UNCITED)


async def test_what_is_left_of_nothing_is_not_found() -> None:
    pipeline = await make_pipeline(Scripted(FALSE), rules={"ungrounded": "retract"})
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.answer, answer.outcome) == (notices.NOT_FOUND, "no_context")
