"""The misroute rate: counted per label, with its interval."""

from __future__ import annotations

import pytest

from evalsets.cases.cases import load_evalset
from evalsets.metrics.routing import Routed, misroutes
from pipeline.steps.routing import Complexity
from traces.records import Case


def one(label: str, score: float, part: str = "test") -> Routed:
    return Routed(Case("r", "c", "q", tags=[label, part]), label, Complexity(score, ()))


def test_misroutes_are_counted_by_what_they_cost() -> None:
    found = misroutes([one("simple", 0), one("simple", 1.5), one("complex", 2), one("complex", 0, "tune")])
    assert (found.n, found.rate, found.simple_to_strong, found.complex_to_cheap) == (4, 0.5, 1, 1)
    assert found.low == pytest.approx(0.150, abs=0.001)
    assert misroutes([one("simple", 0), one("complex", 0, "tune")], "test").wrong == 0


def test_the_shipped_set_is_labelled_throughout() -> None:
    cases = load_evalset("routing").cases
    assert len(cases) == 80
    assert all(len({"simple", "complex"} & set(case.tags or ())) == 1 for case in cases)
