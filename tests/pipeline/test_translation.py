"""A sentence in another language than its passages is held by its numbers, units, names and denials."""

from __future__ import annotations

import pytest

from evalsets import fit_support
from pipeline.guardrails.support import check
from pipeline.text.foreign import denies, names, quantities
from pipeline.text.languages import leaning
from tests.factories import make_passage

PASSAGES = [
    make_passage(
        n=1,
        text="Lanterns are lent for 14 days against a deposit of 1.50 euros. The kiosk is open from"
        " 9:00 to 6 pm, in July until 20:30. The contact is Ada Lund, room K3."
        " A lantern must be cleaned twice a week."
        " Visitors may bring animals; radios are not allowed.",
    )
]


@pytest.mark.parametrize(
    "text",
    [
        "Laternen werden zwei Wochen lang gegen 1,50 Euro Pfand verliehen [1].",
        "Der Kiosk ist von 9 bis 18 Uhr geöffnet [1].",
        "En juillet, le kiosque est ouvert jusqu'à 20h30 [1].",
        "La persona de contacto es Ada Lund, en la sala K3 [1].",
        "A lanterna deve ser limpa duas vezes por semana [1].",
        "Les animaux sont admis [1].",
        "七月份营业到20:30，灯笼借14天 [1]。",
        "Les petites lanternes valent deux semaines [1].",
    ],
)
def test_a_true_translation_is_left_alone(text: str) -> None:
    assert check(text, PASSAGES).support == "unchecked"


@pytest.mark.parametrize(
    "text",
    [
        "Laternen werden drei Wochen lang verliehen [1].",
        "Les lanternes sont prêtées pendant 14 mois [1].",
        "La persona de contacto es Ada Moreno [1].",
        "La persona de contacto está en la sala K5 [1].",
        "A lanterna deve ser limpa quatro vezes por semana [1].",
        "Les animaux ne sont pas admis [1].",
        "七月份营业到21:30 [1]。",
        "Der Kiosk ist bis 19:30 Uhr geöffnet [1].",
    ],
)
def test_an_altered_translation_is_marked(text: str) -> None:
    verdict = check(text, PASSAGES)
    assert verdict.support == "unsupported" and verdict.reasons


def test_of_passages_in_other_languages_only_digits_are_held() -> None:
    german = [make_passage(n=1, text="Die Laternen werden für 14 Tage verliehen. Sie sind nicht kostenlos.")]
    assert check("The lanterns are lent for 14 days and are not free [1].", german).support == "unchecked"
    assert check("The lanterns are lent for 15 days [1].", german).support == "unsupported"


def test_our_own_translations_are_told_apart() -> None:
    rows = list(fit_support.translated("altered_translated.tsv"))
    marked = [check(f"{row.text} [1]", [make_passage(n=1, text=row.passages[0])]) for row in rows]
    wrong = [verdict.support == "unsupported" for verdict in marked]
    altered = [mark for mark, row in zip(wrong, rows, strict=True) if row.kind == "mistranslation"]
    true = [mark for mark, row in zip(wrong, rows, strict=True) if row.kind == "translation"]
    assert (len(true), len(altered)) == (120, 80)
    assert sum(true) <= 0.03 * len(true) and sum(altered) >= 0.8 * len(altered)


def test_numbers_names_and_denials_are_read() -> None:
    assert [(q.value, q.unit) for q in quantities("les trois derniers mois, 1.000 euros", "fr")] == [
        (3.0, "month"),
        (1000.0, "eur"),
    ]
    assert [q.value for q in quantities("一百二十天，十五周", "zh")] == [15.0]
    assert names("Fragen Sie Frau Lund oder Ada Berg in Raum K3") == ["Lund", "Berg"]
    assert denies("No, los perros no entran", "es") and not denies("No, los perros entran", "es")


def test_translations_that_no_rule_was_written_beside_are_told_apart() -> None:
    rows = list(fit_support.translated("altered_second.tsv"))
    marked = [check(f"{row.text} [1]", [make_passage(n=1, text=row.passages[0])]) for row in rows]
    wrong = {row.text for row, verdict in zip(rows, marked, strict=True) if verdict.support == "unsupported"}
    assert sum(row.kind == "translation" and row.text in wrong for row in rows) <= 3  # of 40
    assert sum(row.kind == "mistranslation" and row.text in wrong for row in rows) >= 28  # of 40


def test_a_short_sentence_leans_to_a_language() -> None:
    assert leaning("Familien mit kleinen Kindern gehen zuerst an Bord.") == "de"
    assert leaning("Brioche is free of egg.") is None
