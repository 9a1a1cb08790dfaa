"""Each sentence is held against what it cites: numbers, direction, negation, names, other languages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.citations import cited_numbers
from pipeline.guardrails.support import check, checks, contradicts
from pipeline.text.polarity import contradicted, numbers, opposites
from tests.factories import make_passage

PASSAGES = [
    make_passage(
        n=1,
        title="Kettle",
        text="The kettle holds 1.7 litres. Switch the lamp to on before you fill it. "
        "The kettle is covered for 14 months. Ana Berg looks after returns.",
    ),
    make_passage(n=2, title="Toaster", text="The toaster browns bread. It has two slots."),
]


@pytest.mark.parametrize(
    ("sentence", "support"),
    [
        ("The kettle holds 1.7 litres [1].", "supported"),
        ("The kettle holds 2.7 litres [1].", "unsupported"),
        ("The kettle is covered for 14 days [1].", "unsupported"),
        ("The kettle is not covered for 14 months [1].", "unsupported"),
        ("Switch the lamp to off before you fill it [1].", "unsupported"),
        ("The kettle holds 1.7 litres [2].", "unsupported"),
        ("The kettle holds 1.7 litres [7].", "unsupported"),
        ("The moon is made of old cheese [1].", "unsupported"),
        ("Carl Voss looks after returns [1].", "unsupported"),
        ("The kettle holds 1.7 litres.", "uncited"),
        ("Der Kessel fasst mit dem Deckel eine Menge und ist aus Stahl [1].", "unchecked"),
        ("Follow these steps:", "unchecked"),
        ("You're welcome!", "unchecked"),
        ("I could not find this in the documents.", "unchecked"),
    ],
)
def test_a_sentence_is_held_against_what_it_cites(sentence: str, support: str) -> None:
    found = check(sentence, PASSAGES)
    assert found.support == support
    assert found.text == sentence


def test_the_sentence_to_highlight_is_the_one_that_says_it() -> None:
    found = check("The kettle is covered for 14 months [1].", PASSAGES)
    assert found.evidence is not None
    text = PASSAGES[found.evidence.n - 1].text or ""
    assert text[found.evidence.start : found.evidence.end] == "The kettle is covered for 14 months."
    assert check("The kettle is covered for 15 months [1].", PASSAGES).evidence is None


def test_a_contradiction_is_named() -> None:
    assert check("Switch the lamp to off before you fill it [1].", PASSAGES).reasons == (
        "It says 'off' where the passage says 'on'.",
    )


def test_a_citation_after_the_full_stop_belongs_to_its_sentence() -> None:
    found = checks("The kettle holds 1.7 litres. [1] The toaster browns bread. [2]", PASSAGES)
    assert [one.support for one in found] == ["supported", "supported"]


def test_a_citation_at_the_end_of_a_line_covers_what_it_supports() -> None:
    found = checks(
        "The toaster browns bread. It was built by elves at night. It has two slots [2].", PASSAGES
    )
    assert [one.support for one in found] == ["supported", "uncited", "supported"]


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("It takes two days[1]. See [2][12] and (by ship[3]).", {1, 2, 3, 12}),
        ("print(reply.choices[0].message.content) [2]", {2}),
        ("Take `argv[1]`, rows[3].name or set x[4] = 5 [2].", {2}),
    ],
)
def test_the_index_of_a_code_listing_is_no_citation(answer: str, numbers: set[int]) -> None:
    assert cited_numbers(answer) == numbers


def test_code_between_fences_is_not_checked() -> None:
    code = "```python\nslots = toaster[2], toaster[1]\n```"
    answer = f"The toaster browns bread [2].\n\n{code}\n\nIt has two slots [2]."
    assert [one.support for one in checks(answer, PASSAGES) if one.numbers] == ["supported"] * 2


def test_a_quotation_with_its_citation_before_the_full_stop_contradicts_nothing() -> None:
    passage = make_passage(text="Never pour water into acid: acid is poured into water.")
    assert not contradicts("Acid is poured into water [1].", [passage])


@pytest.mark.parametrize(
    ("text", "other", "pair"),
    [
        ("turn off the lamp", "Turn the lamp on.", ("off", "on")),
        ("disable the lamp", "Switch the lamp to on.", ("disabl", "on")),
        ("unmount the drive", "Mount the drive.", ("unmount", "mount")),
        ("how to lock the door", "Unlock the door.", ("lock", "unlock")),
    ],
)
def test_opposites_are_seen(text: str, other: str, pair: tuple[str, str]) -> None:
    assert pair in opposites(text, other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Put the lamp on the desk", "The handle comes off"),
        ("turn off the lamp", "Turn the lamp on or off."),
        ("enable the lamp", "Turn on the lamp"),
        ("disable the lamp", "Turn off the lamp"),
    ],
)
def test_what_is_no_opposite_is_none(text: str, other: str) -> None:
    assert not [pair for pair in opposites(text, other) if "on" not in pair or "off" in text]


def test_a_negation_denies_the_words_after_it() -> None:
    assert contradicted("The lamp is not covered.", "The lamp is covered.") == {"cover"}
    assert not contradicted("The lamp is not covered.", "The lamp is not covered by it.")


def test_numbers_have_one_spelling_and_a_unit() -> None:
    assert numbers("1,000 ms, 30.00 euros, three seats and 14%") == (
        ("1000", "ms"),
        ("30", "euros"),
        ("3", "seats"),
        ("14", "percent"),
    )


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_judged(sentence: str, text: str) -> None:
    for found in checks(sentence, [make_passage(n=1, text=text)]):
        assert found.score is None or 0 <= found.score <= 1


def test_a_denial_about_the_matter_is_a_claim() -> None:
    passage = make_passage(n=1, title="Images", text="Images that are obsolete cannot start a machine.")
    denial = "An obsolete image is no longer available to start a machine of yours."
    assert check(denial, [passage]).support == "uncited"
    assert check("The documents do not say how images are made.", [passage]).support == "unchecked"
