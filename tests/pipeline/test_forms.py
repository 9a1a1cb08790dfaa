"""Forms: what is asked for has a look, and a text has it or not."""

from __future__ import annotations

import pytest

from pipeline.extractive.exact import lacking
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


@pytest.mark.parametrize(
    ("question", "text", "missing"),
    [
        (
            "What does a licence cost per seat?",
            "Costs: spending by model, a forecast of a month.",
            True,
        ),
        ("What does a wash cost?", "Washing: a wash costs 2 euros.", False),
        ("What does a wash cost?", "Parking: a place costs 30 euros.", True),
        ("When was the mill founded?", "The mill: it is a school for weavers.", True),
        ("When was the mill founded?", "The mill: it was built in 1874.", False),
        ("When was the fee charged?", "Nothing is said.", False),
        ("What is the mill and when was it founded?", "The mill is a school.", True),
        ("Who founded the mill?", "The mill is a school.", True),
        ("Who founded the mill?", "The mill was raised by Ada Rye.", False),
        ("and who wrote the play?", "Its author is Ada Rye; the play is long.", False),
        ("Who runs the mill?", "The mill is a school.", False),
    ],
)
def test_a_price_or_year_must_stand_where_the_thing_is_told(question: str, text: str, missing: bool) -> None:
    assert unmet(question, [text]) is missing


def test_the_name_of_the_product_tells_no_text() -> None:
    texts = ["Acme: it costs 5 euros to park.", "Acme: it has doors.", "Acme: it is large."]
    assert unmet("What does an Acme licence cost?", texts)
    assert unmet("When was Acme founded?", ["Acme: it answers questions.", "Acme: 14 people use it."])


def test_a_number_told_in_a_row_of_numbers_is_there() -> None:
    texts = [
        "It exits with 0 when it did it, with 1 when it failed and with 2 when called wrongly.",
        "code 7",
    ]
    assert not lacking("What does exit code 2 mean?", texts)
    assert lacking("What does exit code 3 mean?", texts)
    assert not lacking("port 7860 is taken", ["The chat is at http://127.0.0.1:7860.", "--port 7900"])
    assert lacking("bus 7861", ["The chat is at 7860.", "bus 7900"])
