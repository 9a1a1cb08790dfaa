"""A follow-up that asks how to undo it is the contrary of the question before."""

from __future__ import annotations

import pytest

from pipeline.context.condenser import rewrite
from pipeline.context.undoing import undone
from pipeline.events import Message


@pytest.mark.parametrize(
    ("question", "before", "meant"),
    [
        (
            "and how do I undo that?",
            "How do I add a printer to the list?",
            "How do I remove a printer from the list?",
        ),
        (
            "and how do I get rid of it again?",
            "How do I install the driver?",
            "How do I uninstall the driver?",
        ),
        (
            "how do I take one out again?",
            "I want to put up and add shelves",
            "I want to put up and remove shelves",
        ),
        ("and the other way round?", "how can I enable the siren", "how can I disable the siren"),
        ("can I turn it back?", "How do I switch the pump on?", "How do I switch the pump off?"),
        ("and how do I revert that?", "Turn off the siren at night", "Turn on the siren at night"),
        ("how do I undo that?", "How do I paint a door?", None),  # no act whose contrary is known
        ("how do I clean it?", "How do I add a printer?", None),
        ("how do I undo that?", "How do I add " + "turn " * 800, None),
        ("how do I undo that?", "How long and how far does the new tram go until they add one?", None),
    ],
)
def test_undoing_is_the_contrary_act(question: str, before: str, meant: str | None) -> None:
    assert undone(question, before) == meant


def test_what_cannot_be_turned_round_keeps_its_topic() -> None:
    history = (Message("user", "How do I promote a draft?"), Message("assistant", "Press Promote."))
    assert rewrite("and how do I undo that?", history) == "and how do I undo that?  (promote draft)"
    history = (Message("user", "How do I import a draft?"), Message("assistant", "Press Import."))
    assert rewrite("and how do I undo that?", history) == "How do I remove a draft?"
