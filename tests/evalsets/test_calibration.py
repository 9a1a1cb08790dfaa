"""Scorers against people: the shipped sets, the arithmetic, and what a judge may decide."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.judges import calibration, labelled
from evalsets.judges.agreement import agree, auc, between_people, spearman
from evalsets.metrics.metric import SCORER
from pipeline.knowledge.ingest import sample

PUBLIC = Path(__file__).parents[2].parent / "shared" / "data"


def public(name: str) -> labelled.LabelledSet:
    """Return a public set of labels that lies beside the checkout, or skip the test."""
    if not (PUBLIC / name).is_dir():
        pytest.skip(f"the public set {name} is not beside the checkout (../shared/data)")
    return labelled.load(str(PUBLIC / name))


def test_our_groundedness_agrees_with_the_shipped_labels() -> None:
    handbook = labelled.load("handbook")
    found = calibration.calibrate(handbook, "groundedness", SCORER, calibration.grounded(handbook))
    assert (found.kind, found.n, found.failed) == ("auc", 300, 0)
    assert found.value is not None
    assert found.value >= 0.8


def test_the_shipped_labels_are_about_the_handbook_as_it_is() -> None:
    pages = {page.document_id: page.text for page in sample()}
    rows = [
        json.loads(line) for line in (labelled.SHIPPED / "handbook/labels.jsonl").read_text().splitlines()
    ]
    assert len({row["id"] for row in rows}) == len(rows) == 300
    kinds = Counter(row["kind"] for row in rows)
    wrong = ("number changed", "negated", "name swapped", "addition", "half supported")
    assert kinds == dict.fromkeys(("supported", *wrong), 50)
    for row in rows:
        assert (row["label"] == "supported") == (row["kind"] == "supported")
        assert all(text in pages[row["page"]].splitlines() for text in row["contexts"]), row["id"]


def test_our_groundedness_agrees_with_people() -> None:
    begin, rated = public("begin"), public("mtrag_human_eval")
    found = calibration.calibrate(begin, "groundedness", SCORER, calibration.grounded(begin))
    assert (found.kind, found.n, found.failed) == ("auc", 421, 0)
    assert found.value is not None
    assert found.value >= 0.95
    found = calibration.calibrate(rated, "groundedness", SCORER, calibration.grounded(rated))
    assert (found.kind, found.n) == ("spearman", 129)
    assert found.value is not None
    assert found.value >= 0.63
    assert found.ci_low is not None
    assert found.ci_low < found.value
    assert found.people == pytest.approx(0.42, abs=0.03)
    assert found.plain()["spearman"] == found.value


def test_the_measures_are_the_standard_ones() -> None:
    a, b = np.array([1.0, 2, 2, 3]), np.array([1.0, 3, 2, 4])
    assert spearman(a, b) == pytest.approx(0.9487, abs=1e-4)
    assert spearman(np.ones(4), b) == 0.0
    assert auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1.0, 1, 0, 0])) == pytest.approx(0.875)
    assert auc(a, np.ones(4)) is None
    assert between_people([(1, 1, 1), (2, 2, 2), (3, 3, 3)]) == pytest.approx(1.0)
    assert agree([], [], [], "auc").value is None


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [
        {"answer": "Press the key.", "contexts": ["Press the key."], "label": "faithful"},
        {"answer": "Sell the moon.", "contexts": ["Press the key."], "label": 0},
        {"answer": "Press it.", "contexts": [{"text": "Press the key."}], "label": True},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    known = labelled.load(str(path))
    assert (known.name, known.kind) == ("mine", "label")
    found = calibration.calibrate(known, "groundedness", SCORER, calibration.grounded(known))
    assert found.value == 1.0
    path.write_text('{"answer": "x", "label": "perhaps"}\n{"label": 1}\n')
    with pytest.raises(EvalsetError) as caught:
        labelled.load(str(path))
    assert len(caught.value.problems) == 2
    with pytest.raises(EvalsetError, match="handbook"):
        labelled.load("nowhere")


def test_a_judge_below_the_floor_may_not_decide(tmp_path: Path) -> None:
    judge = "ragas-0.4.3/openai:x@1"
    used = [("faithfulness", judge), ("groundedness", SCORER)]
    assert "never held" in calibration.distrust(tmp_path, used, 0.4)["faithfulness"]
    handbook = labelled.load("handbook")
    weak = [(float(i % 2), None) for i in range(300)]
    calibration.remember(tmp_path, calibration.calibrate(handbook, "faithfulness", judge, weak))
    assert "under the floor of 0.4" in calibration.distrust(tmp_path, used, 0.4)["faithfulness"]
    good = [(one.truth, None) for one in handbook.items]
    calibration.remember(tmp_path, calibration.calibrate(handbook, "faithfulness", judge, good))
    assert calibration.distrust(tmp_path, used, 0.4) == {}
    assert len(calibration.on_record(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "count"), [("everyday", 50), ("walkup", 125), ("newcomer", 82), ("visitor", 234)]
)
def test_the_graded_answers_are_those_of_their_evalset(name: str, count: int) -> None:
    path = labelled.SHIPPED / name / "labels.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    questions = {case.case_id: case for case in load_evalset(name).cases}
    ratings = {"right": 1.0, "long": 0.75, "partly": 0.5, "silent": 0.0, "wrong": 0.0, "beside": 0.0}
    assert len(labelled.load(name).items) == len(rows) == count
    for row in rows:
        case = questions[row["id"]]
        assert (row["question"], row.get("reference")) == (case.question, case.reference)
        assert row["rating"] == ratings[row["grade"]]
