"""Routes: which model is asked, and what happens when the cheap one's answer is not grounded."""

from __future__ import annotations

import pytest

from pipeline.events import Answer, Delta, Retract
from pipeline.models.scripted import Scripted
from pipeline.steps.routing import RouteModels, complexity
from pipeline.turn import Pipeline
from tests.factories import make_passage
from tests.pipeline.turns import ask, make_pipeline, recorded, said

LID = "What happens when I close the lid of my laptop?"
WHY = "Why does closing the lid suspend my laptop, and is that better than switching it off?"
SUSPENDS = "The laptop goes to sleep to save power [1]."
INVENTED = "Quantum elephants migrate towards purple glaciers every leap year, singing loudly."


async def routed(cheap: Scripted, strong: Scripted, **fields: object) -> Pipeline:
    routes = RouteModels(on=True, cheap="cheap", strong="strong", escalate_below=0.5)
    return await make_pipeline(strong, cheap, rules={"routes": routes})


@pytest.mark.parametrize(
    ("question", "hard"),
    [
        ("How do I turn on bounce keys?", False),
        ("Which key takes a screenshot?", False),
        ("What is the difference between slow keys and bounce keys?", True),
        ("How do I add a printer, and how do I share it?", True),
        ("Bluetooth is on but my mouse does not connect. What should I check?", True),
    ],
)
def test_words_tell_simple_from_complex(question: str, hard: bool) -> None:
    assert complexity(question, ()).complex is hard


def test_passages_and_history_count_a_little() -> None:
    spread = [make_passage(rank=rank, vector_score=0.4) for rank in (1, 2, 3)]
    found = complexity("How do I turn it off?", spread, needed_history=True)
    assert found.reasons == ("many documents", "weak evidence", "needs history")
    assert not found.complex


async def test_simple_questions_go_to_the_cheap_model_and_others_to_the_strong_one() -> None:
    cheap, strong = Scripted(SUSPENDS, name="cheap"), Scripted(SUSPENDS, name="strong")
    pipeline = await routed(cheap, strong)
    for question, route in ((LID, "cheap"), (WHY, "strong")):
        answer, _ = await ask(pipeline, question)
        assert isinstance(answer, Answer)
        turn = recorded(pipeline, answer.turn_id).turn
        assert (turn.route, turn.model, turn.attempts) == (route, route, 1)


async def test_an_ungrounded_cheap_answer_is_taken_back_and_answered_again() -> None:
    pipeline = await routed(Scripted(INVENTED, name="cheap"), Scripted(SUSPENDS, name="strong"))
    answer, events = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    retract = next(at for at, event in enumerate(events) if isinstance(event, Retract))
    assert "elephants" in said(events[:retract])
    assert said(events[retract:]) == answer.answer == SUSPENDS
    trace = recorded(pipeline, answer.turn_id)
    assert (trace.turn.route, trace.turn.model) == ("strong", "strong")
    assert [usage.model for usage in trace.usages] == ["cheap", "strong"]
    assert [score.name for score in trace.scores] == ["groundedness"]
    assert any(span.name == "escalate" for span in trace.spans)


async def test_the_openai_protocol_never_sees_the_answer_that_failed() -> None:
    pipeline = await routed(Scripted(INVENTED, name="cheap"), Scripted(SUSPENDS, name="strong"))
    answer, events = await ask(pipeline, LID, door="openai")
    assert isinstance(answer, Answer)
    assert not any(isinstance(event, Retract) for event in events)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == SUSPENDS


async def test_a_failing_route_falls_back_to_the_configured_model() -> None:
    from pipeline.errors import ModelError

    broken = Scripted(ModelError("auth", "no"), name="cheap")
    pipeline = await routed(broken, Scripted(SUSPENDS, name="strong"))
    answer, _ = await ask(pipeline, LID)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.model) == ("answered", "strong")
