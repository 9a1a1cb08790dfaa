"""Answers keep to the code, row, side and direction that was asked for."""

from __future__ import annotations

import pytest

from pipeline.events import Answer
from pipeline.extractive.exact import about_another, lacking
from pipeline.extractive.rows import narrowed, statements
from pipeline.guardrails.markup import Markup
from pipeline.knowledge.documents import Document
from pipeline.text.codes import codes, forms, parted, written
from pipeline.text.polarity import avoids, opposites
from pipeline.text.sentences import sentences
from pipeline.text.spelling import mended, respelt, vocabulary
from tests.pipeline.turns import ask, make_pipeline

FAULTS = Document(
    "faults",
    "Fault codes of the boiler",
    "E-104: The filter is clogged. Rinse the filter.\n\nE-1041: The pump is dry. Open the valve.\n\n"
    "E-1014: The door is ajar. Shut it.\n\nBUS:CAN/2 means that the cable is loose.",
    "",
)
TENTS = (
    Document(
        "alba", "Tent Alba", "Tent Alba costs 120.00 a week. It sleeps 4 people. Tent Alba has an awning.", ""
    ),
    Document(
        "bora", "Tent Bora", "Tent Bora costs 310.00 a week. It sleeps 9 people. Tent Bora has a stove.", ""
    ),
)
PRICES = Document(
    "fares",
    "Ferry fares",
    "| Line | Adult | Child |\n|---|---|---|\n| North | 14.50 | 7.00 |\n| South | 19.00 | 9.50 |\n",
    "",
)
LAMP = Document(
    "lamp",
    "Turn on the porch lamp",
    "Turn on the porch lamp to light the steps.\n\n1. Open the panel of the porch lamp.\n"
    "2. Switch the porch lamp switch to on.",
    "",
)
TOOL = Document("row-1", "Sander", "Article: Sander\nShelf: K17\nKeeper: Mo", "")


async def answer(question: str, *documents: Document) -> Answer:
    reply, _ = await ask(await make_pipeline(documents=documents), question)
    assert isinstance(reply, Answer)
    return reply


@pytest.mark.parametrize(
    ("question", "inside", "outside"),
    [
        ("What does E-104 mean?", "filter", "pump"),
        ("e1041", "pump", "filter is"),
        ("fault E-1014 what to do", "Shut it", "valve"),
        ("BUS:CAN/2", "cable", "door"),
    ],
)
async def test_a_code_is_answered_alone(question: str, inside: str, outside: str) -> None:
    reply = await answer(question, FAULTS)
    assert reply.outcome == "answered"
    assert inside in reply.answer
    assert outside not in reply.answer


async def test_a_code_or_number_that_is_not_there_is_not_answered_with_another() -> None:
    assert (await answer("What does E-10441 mean?", FAULTS)).outcome == "no_context"


PUMPS = Document(
    "pumps",
    "Pumps",
    "KX-7/B: The seal is changed every 70 days.\n\nKX-7/C: The seal is changed every 90 days.\n\n"
    "KX-77: The seal lasts for ever.\n\nLOG_NET.4 means that the link is lost.\n\n"
    "DN50 fits a hose of 2 inches.",
    "",
)


@pytest.mark.parametrize(
    ("question", "inside"),
    [
        ("how often is the seal of kx7b changed?", "70 days"),
        ("how often is the seal of the KX 7 B changed?", "70 days"),
        ("seal of KX-7B", "70 days"),
        ("seal of kx-7c", "90 days"),
        ("seal of kx77", "for ever"),
        ("lognet4", "link"),
        ("What fits a DN-50?", "hose"),
        ("What fits a dn 50?", "hose"),
        ("E 104", "filter"),
        ("what does e 1041 mean", "pump"),
    ],
)
async def test_a_code_is_known_without_its_punctuation(question: str, inside: str) -> None:
    reply = await answer(question, PUMPS, FAULTS)
    others = {"70 days", "90 days", "for ever", "link", "hose", "filter", "pump", "Shut"} - {inside}
    assert inside in reply.answer
    assert not [other for other in others if other in reply.answer]


@pytest.mark.parametrize(
    "question", ["seal of kx7d", "seal of KX 7 D", "What does e10 4 1 mean?", "what is E 105", "e1o4", "kx7"]
)
async def test_a_near_code_is_not_taken_for_it(question: str) -> None:
    assert (await answer(question, PUMPS, FAULTS)).outcome == "no_context"


BUSES = tuple(
    Document(f"row{bus}", str(bus), f"bus: {bus}\nleaves: {hour}:05\ndays: daily", "")
    for bus, hour in ((31, 7), (32, 9))
)


async def test_a_numbered_row_is_not_answered_with_another() -> None:
    assert "9:05" in (await answer("When does bus 32 leave?", *BUSES)).answer
    assert "7:05" not in (await answer("When does bus 32 leave?", *BUSES)).answer
    assert (await answer("When does bus 33 leave?", *BUSES)).outcome == "no_context"


def test_codes_are_written_as_the_documents_do() -> None:
    known = forms(["KX-7/B and E-104, E-10/4 or E-1/04", "The A-4 sheet, TCP/IP, v1.2 and V-12"])
    assert written("is kx 7 b like e 104?", known) == "is KX-7/B like E-104?"
    assert (
        written("kx77", forms(["KX-7/7"])) == "KX-7/7" and written("E 10 41", forms(["E-104/1"])) == "E 10 41"
    )
    assert written("E 10 4", known) == "E-10/4" and written("e-1.04", known) == "e-1.04"
    assert written("a 4 page letter, tcpip", known) == "a 4 page letter, TCP/IP"
    assert written("version v1.2, not v12", known) == "version v1.2, not v12"
    assert written("No code in this: 12 of 40.", known) == "No code in this: 12 of 40."
    assert parted("seal of kx7b") == "seal of kx7b kx 7 b" and parted("no code") == "no code"


async def test_a_comparison_takes_both_sides() -> None:
    reply = await answer("Is Alba cheaper than Bora?", *TENTS)
    assert "120.00" in reply.answer and "310.00" in reply.answer
    assert len(reply.citations) == 2


async def test_the_most_of_something_looks_at_all() -> None:
    reply = await answer("Which tent sleeps the most people?", *TENTS)
    assert reply.answer.index("9 people") < reply.answer.index("4 people")


async def test_a_row_is_answered_with_its_heads_and_alone() -> None:
    reply = await answer("What is the adult fare of the North line?", PRICES)
    assert "Line: North; Adult: 14.50" in reply.answer
    assert "South" not in reply.answer


async def test_a_record_is_one_statement() -> None:
    reply = await answer("Where is the sander?", TOOL)
    assert "Article: Sander; Shelf: K17; Keeper: Mo" in reply.answer


async def test_the_contrary_is_no_answer() -> None:
    assert "to on" in (await answer("How do I turn on the porch lamp?", LAMP)).answer
    reply = await answer("How do I turn off the porch lamp?", LAMP)
    assert "to on" not in reply.answer and "Turn on" not in reply.answer


async def test_a_follow_up_that_asks_something_else_does_not_get_the_same_answer_again() -> None:
    pipeline = await make_pipeline(documents=[LAMP])
    first, _ = await ask(pipeline, "How do I turn on the porch lamp?")
    again, _ = await ask(pipeline, "And how do I polish it?", conversation_id=first.conversation_id)  # pyright: ignore[reportAttributeAccessIssue] no failure
    assert isinstance(first, Answer) and isinstance(again, Answer)
    assert first.answer != again.answer


def test_element_names_in_code_stay_readable() -> None:
    text = "Use `<kbd>` and `</table>`, never `<script>`, `<kbd onclick=x>` or <b>bold</b> [1]."
    shown = Markup({1}, lambda _: False, []).window.feed(text, end=True)
    assert shown == "Use `<kbd>` and `</table>`, never `‹script›`, `‹kbd onclick=x›` or bold [1]."


def test_codes_have_one_spelling_and_quantities_are_none() -> None:
    assert codes("E-104, e1041 and BUS:CAN/2") == {"e104", "e1041", "buscan2"}
    assert not codes("10GB in 300ms, 1st of May, Wi-Fi, and/or")
    assert about_another("E-104", "E-1041: dry") and not about_another("E-104", "E104: clogged")
    assert lacking("pier 9", ["Pier 4: north", "Pier 5: south"])
    assert not lacking("step 9", ["Open the door."])


def test_typing_errors_are_mended_by_the_texts_own_words() -> None:
    known = vocabulary(["Pair your headphones with the keyboard."])
    assert mended(["hedphones", "keybord", "pair"], known) == {
        "hedphones": "headphones",
        "keybord": "keyboard",
    }
    assert mended(["house"], known) == {}
    pasted = [f"hzqx{letter}w" for letter in "abcdefghijklmnopqrstuvwxyz"] * 40 + ["hedphones"]
    assert mended(pasted, known) == {"hedphones": "headphones"}
    assert respelt("Hedphones?", known) == "headphones?"


def test_a_table_is_read_row_by_row() -> None:
    text = PRICES.text
    assert [part for part, _, _ in statements(text, sentences(text))] == [
        "Line: North; Adult: 14.50; Child: 7.00.",
        "Line: South; Adult: 19.00; Child: 9.50.",
    ]


def test_questions_how_not_to_are_told() -> None:
    assert avoids("How do I NOT lock the screen?") and avoids("how not to spill")
    assert not avoids("How do I lock the screen?")
    assert opposites("is it before noon", "after noon") and not opposites("before", "after", acts=True)


def test_a_row_whose_corner_is_empty_keeps_its_label() -> None:
    text = "| | Weekdays | Sunday |\n|---|---|---|\n| First tram | 5:12 | 8:12 |"
    [(row, _, _)] = statements(text, sentences(text))
    assert row == "First tram, Weekdays: 5:12; Sunday: 8:12."


@pytest.mark.parametrize(
    ("question", "row", "shown"),
    [
        ("When on a Sunday?", "First tram, Weekdays: 5:12; Sunday: 8:12.", "First tram, Sunday: 8:12."),
        ("Why is it red?", "Lamp: Net; Green: fine; Red: no signal.", "Lamp: Net; Red: no signal."),
        (
            "Fare for zones A and B?",
            "Fare: Day; Zone A: 6; Zones A and B: 7.",
            "Fare: Day; Zones A and B: 7.",
        ),
        ("What is it?", "Lamp: Net; Green: fine; Red: no signal.", "Lamp: Net; Green: fine; Red: no signal."),
    ],
)
def test_of_a_row_the_columns_asked_for_are_shown(question: str, row: str, shown: str) -> None:
    assert narrowed(question, row) == shown


def test_a_status_is_a_code_after_its_name_only() -> None:
    assert codes("HTTP 429, status 503. Error 7.") == {"429", "503"}
    assert codes("Wait 429 seconds, at 503 Main Street.") == frozenset()


async def test_the_passage_with_a_code_is_read_although_others_rank_before_it() -> None:
    near = [
        Document(
            f"d{i}", f"Pump setting {i}", f"The pump setting {i} is for the pump. What is it for? Pumps.", ""
        )
        for i in range(8)
    ]
    rare = Document("start", "Begin", "Open the hut and write `PUMP_DIR=north` on the slate by the door.", "")
    reply = await answer("what is the setting PUMP_DIR of the pump for", *near, rare)
    assert "PUMP_DIR=north" in reply.answer
