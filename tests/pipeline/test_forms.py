"""Forms: what is asked for has a look, and a text has it or not."""

from __future__ import annotations

import pytest

from pipeline.extractive.forms import unmet


@pytest.mark.parametrize(
    ("question", "text", "missing"),
    [
        ("What phone number can I call for help?", "Ask on the mailing list.", True),
        ("What phone number can I call for help?", "Call +49 30 123456.", False),
        ("And which phone number is it?", "There are 2 lists.", True),
        ("Show a phone number on the login screen", "Set the banner text.", False),
        ("What is the price of a support contract?", "Report problems to us.", True),
        ("How much does it cost?", "It is free.", False),
        ("What is the email address?", "Write to the mailing list.", False),
        ("How do I print?", "Press Print.", False),
    ],
)
def test_unmet(question: str, text: str, missing: bool) -> None:
    assert unmet(question, [text]) is missing
