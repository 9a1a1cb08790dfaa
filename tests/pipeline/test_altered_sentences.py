"""Sentences that say something else than their passage are marked, of domains the weights did not see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalsets import fit_support
from evalsets.fit_support import Altered
from pipeline.guardrails.deviation import WEIGHTS, threshold
from pipeline.guardrails.support import check, features
from pipeline.text.polarity import contrary
from pipeline.text.sentences import stem
from tests.factories import make_passage

PASSAGES = [
    make_passage(
        n=1,
        title="Loans",
        text="Books are lent for 28 days and films for 7 days. A loan can be extended twice unless somebody "
        "waits for the book. Fines are paid at the desk in the hall, in cash or by card.",
    ),
    make_passage(
        n=2,
        title="Bicycles",
        text="Rented bicycles are unlocked with the code that is sent by text message. "
        "Return them before 22:00 at any station of the ring. "
        "The front brake must be checked before each ride.",
    ),
    make_passage(
        n=3,
        title="Swimming",
        text="The pool is heated to 27 degrees in winter. Children under 10 swim only with an adult. "
        "Lockers need a coin of one euro, which comes back.",
    ),
]
TRUE = [
    "Books are lent for 28 days, films for 7 [1].",
    "You can extend a loan twice unless somebody waits for the book [1].",
    "Fines can be paid in cash or by card at the desk in the hall [1].",
    "Rented bicycles are unlocked with a code sent by text message [2].",
    "Check the front brake before each ride [2].",
    "Return the bicycle at any station of the ring before 22:00 [2].",
    "In winter the pool is heated to 27 degrees [3].",
    "Children under 10 may swim only with an adult [3].",
]
ALTERED = {
    "number": [
        "Books are lent for 14 days [1].",
        "Return them before 23:30 at any station of the ring [2].",
        "The pool is heated to 31 degrees in winter [3].",
    ],
    "negation": [
        "A loan cannot be extended [1].",
        "The front brake need not be checked before each ride [2].",
        "Lockers do not need a coin of one euro [3].",
    ],
    "opposite": [
        "Return them after 22:00 at any station of the ring [2].",
        "Rented bicycles are locked with the code that is sent by text message [2].",
        "The rear brake must be checked before each ride [2].",
    ],
    "name": [
        "Fines are paid at the desk in Bergen Street [1].",
        "Rented scooters are unlocked with the code QX-19 that is sent by text message [2].",
        "Lockers need a token of Mr Albers [3].",
    ],
    "citation": [
        "Books are lent for 28 days and films for 7 days [2].",
        "The front brake must be checked before each ride [3].",
        "The pool is heated to 27 degrees in winter [1].",
    ],
    "addition": [
        "Books are lent for 28 days and delivered to your house by drone [1].",
        "The front brake must be checked before each ride by a certified mechanic [2].",
        "Children under 10 swim only with an adult and wear an orange cap [3].",
    ],
    "translation": [
        "Die Bücher werden für 60 Tage ausgeliehen und können dann verlängert werden [1].",
        "Das Becken wird im Winter auf 35 Grad geheizt und ist für alle offen [3].",
    ],
}
FAIR = """Stalls are set up from 6:30 on. The red hall has 40 stalls and costs 12 euros a day, the blue hall
has 25 stalls and costs 9 euros. Apples are weighed at the gate; pears are sold by the piece. A permit is
valid for three weeks and is issued by the warden, Ines Falk. Tents must be tied down when it is windy.

| Day | Opens | Closes |
| --- | --- | --- |
| Friday | 8:00 | 16:00 |
| Saturday | 7:00 | 13:00 |"""
IN_OTHER_WORDS = [
    "The warden, Ines Falk, issues permits.",
    "Yes, you can set up your stall from 6:30 on.",
    "The red hall costs 12 euros a day and the blue one 9 euros.",
    "On Friday it opens at 8:00 and closes at 16:00.",
    "When it is windy you must tie your tent down.",
    "Pears are sold by the piece, while apples are weighed at the gate.",
]
OF_SOMETHING_ELSE = [
    "Pears must be tied down when it is windy.",
    "Pears are weighed at the gate.",
    "Apples are sold by the piece.",
]
OF_ANOTHER_SORT = [
    "A permit is valid for three months.",
    "The red hall costs 12 euros a week.",
    "A permit is valid for three days and is issued by the warden, Ines Falk.",
]
DATA = Path(__file__).parents[3] / "shared" / "data"


def test_altered_sentences_of_every_kind_are_marked() -> None:
    marked = {
        kind: [check(text, PASSAGES).support == "unsupported" for text in texts]
        for kind, texts in ALTERED.items()
    }
    assert all(any(kinds) for kinds in marked.values()), marked
    flat = [one for kinds in marked.values() for one in kinds]
    assert sum(flat) >= 0.8 * len(flat), marked


@pytest.mark.parametrize("text", TRUE)
def test_a_true_sentence_is_not_marked(text: str) -> None:
    assert check(text, PASSAGES).support != "unsupported"


def test_a_true_translation_is_left_alone() -> None:
    verdict = check("Die Bücher werden für 28 Tage ausgeliehen und die Filme für 7 Tage [1].", PASSAGES)
    assert verdict.support == "unchecked"
    afternoon = [make_passage(n=1, text="The shop is open from 9 am to 6 pm. It is closed on Sundays.")]
    assert check("Der Laden ist von 9 bis 18 Uhr für alle offen [1].", afternoon).support == "unchecked"


@pytest.mark.parametrize("text", IN_OTHER_WORDS)
def test_joined_answering_and_passive_sentences_are_not_marked(text: str) -> None:
    assert check(f"{text} [1]", [make_passage(n=1, title="Fair", text=FAIR)]).support != "unsupported"


def test_a_quotation_with_code_and_its_citation_before_the_full_stop_is_never_marked() -> None:
    text = "`answerdeck eval run SET --no-cache` asks anew"
    passage = make_passage(n=1, text=f"The same prompt is not paid **twice**. {text}.")
    assert check(f"{text} [1].", [passage]).support != "unsupported"


@pytest.mark.parametrize("text", OF_SOMETHING_ELSE + OF_ANOTHER_SORT)
def test_what_a_passage_says_of_something_else_or_in_another_unit_is_marked(text: str) -> None:
    assert check(f"{text} [1]", [make_passage(n=1, title="Fair", text=FAIR)]).support == "unsupported"


@pytest.mark.parametrize(("rows", "most"), [(fit_support.unfitted, 0.05), (fit_support.second, 0.065)])
def test_sentences_that_no_fit_saw_are_marked(rows: Callable[[], Iterator[Altered]], most: float) -> None:
    written = list(rows())
    fitted = {row.passages for row in (*fit_support.own(), *fit_support.wider(), *fit_support.rephrased())}
    assert fitted.isdisjoint(row.passages for row in written)
    marked = [
        check(f"{row.text} [1]", [make_passage(n=1, title="", text=row.passages[0])]) for row in written
    ]
    wrong = [verdict.support == "unsupported" for verdict in marked]
    altered = [mark for mark, row in zip(wrong, written, strict=True) if row.kind not in fit_support.TRUE]
    true = [mark for mark, row in zip(wrong, written, strict=True) if row.kind in fit_support.TRUE]
    assert sum(altered) >= 0.80 * len(altered)
    assert sum(true) <= most * len(true)


OTHER_WORDS = [
    "If you own a boat, you're charged 30 euros for half an hour of craning.",
    "Kids may come along at no charge.",
    "It opens at six in the evening.",
]


@pytest.mark.parametrize("text", OTHER_WORDS)
def test_kindred_words_and_amounts_in_another_spelling_are_not_marked(text: str) -> None:
    harbour = "Boat owners pay 30 euros for 30 minutes of craning. Children travel free. It opens at 18:00."
    assert check(f"{text} [1]", [make_passage(n=1, title="Harbour", text=harbour)]).support != "unsupported"


def test_a_sentence_that_another_passage_says_cites_the_wrong_one() -> None:
    right = "You can extend a loan twice unless somebody waits for it [1]."
    wrong = check(right.replace("[1]", "[3]"), PASSAGES)
    assert wrong.support == "unsupported" and wrong.reasons[0].startswith("Passage 1 says it")
    assert check(right, PASSAGES).support != "unsupported"


def test_a_reader_is_told_what_is_not_there() -> None:
    verdict = check("Books are lent for 28 days and delivered to your house by drone [1].", PASSAGES)
    assert "'drone'" in " ".join(verdict.reasons)


def test_left_out_domains_are_marked_by_weights_that_did_not_see_them(tmp_path: Path) -> None:
    rows = [*fit_support.own(), *fit_support.handbook(), *fit_support.references()]
    every = fit_support.tabulate(rows)
    out = every.domains == "network"
    marked = fit_support.model(every, ~out)(every.features[out]) >= threshold()
    assert marked[~every.true[out]].mean() >= 0.75
    assert marked[every.true[out]].mean() <= 0.2  # 10 sentences


def test_shipped_weights_are_of_the_features_that_are_measured() -> None:
    shipped = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert set(shipped["weights"]) == set(fit_support.NAMES)
    assert set(fit_support.NAMES) < set(features("The pool is open.", PASSAGES))


@pytest.mark.skipif(not DATA.exists(), reason="the rated answers lie beside the checkout")
def test_rated_answers_are_read_sentence_by_sentence() -> None:
    rows = list(fit_support.rated(DATA))
    assert {row.of for row in rows} == {"mtrag_human_eval", "begin"}
    assert {row.kind for row in rows} == {"faithful", "not attributable"}


@pytest.mark.parametrize(
    ("word", "other", "against"),
    [
        ("before", "after", True),
        ("in", "out", True),
        ("valid", "invalid", True),
        ("mount", "unmount", True),
        ("in", "on", False),
        ("kiln", "loom", False),
        ("able", "unable", True),
    ],
)
def test_contrary_words_are_known_little_ones_too(word: str, other: str, against: bool) -> None:
    pair = stem(word), stem(other)
    assert contrary(*pair) is contrary(*pair[::-1]) is against


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The option kiln.limit is the highest heat [1].", "'kiln.limit' does not stand there."),
        ("Stop it with Ctrl-Z [1].", "'Ctrl-Z' does not stand there."),
        ("Give --hot to fire it [1].", "'--hot' does not stand there."),
    ],
)
def test_codes_are_compared_letter_by_letter(sentence: str, reason: str) -> None:
    text = (
        "The option kiln.heat is the highest heat, the limit of the kiln. Stop it with Ctrl-C. Give --fire to"
    )
    text += " fire it hot."
    verdict = check(sentence, [make_passage(n=1, text=text)])
    assert verdict.support == "unsupported" and reason in verdict.reasons
