"""The table of groundedness: answers that people rated, by ours and by plain precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalsets.groundedness_table import line, precision
from evalsets.judges import labelled


def _rows() -> list[dict[str, object]]:
    passage = "The kettle holds two litres. It is cleaned with vinegar once a month."
    answers = {
        "The kettle holds two litres.": 4,
        "It is cleaned with vinegar once a month.": 4,
        "The kettle is cleaned with a sponge.": 2,
        "Our friendly staff repair every toaster at home.": 1,
    }
    return [
        {"question": f"q{n}", "answer": answer, "contexts": [passage], "rating": rating}
        for n, (answer, rating) in enumerate(answers.items())
    ]


def test_a_line_holds_ours_beside_precision(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    _, name, kind, ours, plain, _, _ = line(labelled.load(str(path))).split("|")
    assert name.strip() == f"{tmp_path.name} (4)"
    assert kind.strip() == "Spearman"
    assert float(ours.split()[0]) > 0.9
    assert float(plain.split()[0]) > 0.9


def test_precision_is_the_share_of_content_words_that_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    first, _, third, last = labelled.load(str(path)).items
    assert precision(first) == 1.0
    assert precision(third) == pytest.approx(2 / 3)
    assert precision(last) == 0.0
