"""The gate says what its cases cannot show, and uses all that few cases do show."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest

from evalsets.metrics import stats, times
from evalsets.metrics.columns import Column
from evalsets.release import onward, power, sight
from evalsets.release.verdict import Check, Evidence, Verdict, VerdictSide
from evalsets.reports import compare
from evalsets.reports.compare import pair
from traces.records import Load, Run, RunSettings


def column(values: list[float]) -> Column:
    return Column(values={f"c{i}": value for i, value in enumerate(values)})


def losses(before: list[float], after: list[float], matters: float = 0.1) -> dict[str, sight.Loss]:
    a, b = {"groundedness": column(before)}, {"groundedness": column(after)}
    common = set(a["groundedness"].values)
    return sight.losses(pair(a, b, common), a, b, matters)


def test_five_of_five_cases_that_fall_are_seen() -> None:
    found = losses([1.0] * 5, [0.67] * 5)["groundedness"]
    assert found.p == pytest.approx(1 / 32)
    assert found.shown(0.1)


def test_five_equal_cases_cannot_tell() -> None:
    found = losses([1.0] * 5, [1.0] * 5)
    assert found["groundedness"].blind
    assert not found["groundedness"].shown(0.1)
    why = sight.unseen(found, 5, 0.1)
    assert why is not None and "cannot tell" in why.text and "at least 66 cases" in why.text
    assert why.more == 61
    assert sight.unseen(losses([1.0] * 70, [1.0] * 70), 70, 0.1) is None


def proof(evalset: str, more: int, reason: str) -> Evidence:
    """Return the evidence of a set with 20 cases, held back for a reason or, where that is empty, not."""
    side = VerdictSide("r1", "answer@v1 · m", "answer@v1", "m")
    reasons = (reason,) if reason else ()
    checks = tuple(Check("sight", "failed", text, more=more) for text in reasons)
    return Evidence(evalset, "answer@v1", 20, (), Verdict(evalset, side, side, "", checks), reasons)


@pytest.mark.parametrize(("more", "reasons"), [([46, 0], ["few", "lost"]), ([0], [""])])
def test_a_way_on_is_shown_only_where_nothing_but_cases_lack(more: list[int], reasons: list[str]) -> None:
    proofs = [
        proof(f"s{number}", lack, reason)
        for number, (lack, reason) in enumerate(zip(more, reasons, strict=True))
    ]
    how = {"add": "A", "override": "B", "policy": "C"}
    assert onward.way("answer@v2", proofs, **how) is None
    way = onward.way("answer@v2", [proof("pm", 46, "few")], **how)
    assert way is not None and way.count(".") == 1 and way.startswith("Nothing speaks against answer@v2")
    assert "20 cases of pm" in way and "46 more to pm (A)" in way and "(B)" in way and "(C)" in way


def test_noisy_scores_need_more_cases() -> None:
    random = np.random.default_rng(3)
    noisy = losses(list(random.random(80)), list(random.random(80)))["groundedness"]
    assert noisy.blind and noisy.needed > 80


@pytest.mark.parametrize("loss", [0.05, 0.1, 0.2, 0.5])
def test_the_stated_power_is_what_a_simulation_finds(loss: float) -> None:
    n, random = power.cases_needed(loss), np.random.default_rng(1)

    @cache  # which of the cases are lost makes no difference
    def shown(lost: int) -> bool:
        after = [0.0] * lost + [1.0] * (n - lost)
        return losses([1.0] * n, after, loss)["groundedness"].shown(loss)

    refused = sum(shown(int((random.random(n) < loss).sum())) for _ in range(400))
    assert refused / 400 == pytest.approx(power.power(n, loss), abs=0.06)
    assert power.power(n, loss) >= power.POWER > power.power(max(n // 2, 1), loss)


def test_a_candidate_that_is_no_worse_is_rarely_refused() -> None:
    random, refused = np.random.default_rng(2), 0
    for n in (5, 8, 20, 97):
        for _ in range(150):
            before, after = random.random(n), random.random(n)
            refused += losses(list(before), list(after))["groundedness"].shown(0.1)
    assert refused / 600 <= 0.06


def test_the_noise_of_the_arithmetic_is_no_difference() -> None:
    found = stats.paired([0.3, 0.1 + 0.2, 1.0], [0.1 + 0.2, 0.3, 1.0 - 5.6e-17])
    assert (found.difference, found.p, found.sd, found.detectable) == (0.0, 1.0, 0.0, None)
    both = pair({"seconds": column([0.3])}, {"seconds": column([0.1 + 0.2])}, {"c0"})[0]
    assert (both.wins, both.losses, both.ties) == ((), (), 1)


def test_times_that_are_truly_a_fifth_slower_are_found_in_heavy_noise() -> None:
    random, right, wrong = np.random.default_rng(5), 0, 0
    for _ in range(200):
        base = random.gamma(8, 0.05, 60)
        a, again = (base + random.pareto(1.5, 60) * 0.02 for _ in range(2))
        slow = base * 1.2 + random.pareto(1.5, 60) * 0.02
        found, equal = times.paired(a, slow), times.paired(a, again)
        right += found.p < 0.05 and found.low > 0
        wrong += equal.p < 0.05
    assert right >= 195
    assert wrong <= 16  # 5 % of 200, and its chance


def test_the_ranks_are_exact_for_few_cases() -> None:
    assert times.signed_rank([1, 2, 3, 4, 5]) == pytest.approx(2 / 32)
    assert times.signed_rank([1, -2, 3, -4, 5]) == pytest.approx(1.0, abs=0.2)
    assert times.signed_rank([0, 0]) == 1.0


def run(**columns: object) -> Run:
    return Run("r", "s", "f", "v", "finished", datetime.now(UTC), cases=20, **columns)  # type: ignore[arg-type] # of tests


def test_a_run_that_lost_its_cases_or_stood_still_may_not_decide() -> None:
    assert list(sight.broken("candidate", run(failed=1))) == []
    assert "2 of the candidate's 20 cases failed" in next(sight.broken("candidate", run(failed=2)))
    load = Load(2, 1.0, 8.0, 2, 11.0, 14.0)
    assert "stood still for 11.0 s" in next(sight.broken("baseline", run(settings=RunSettings(load=load))))


def test_times_of_separate_commands_decide_nothing() -> None:
    same = RunSettings(session="x")
    assert compare.untimed(run(settings=same), run(settings=same)) is None
    assert compare.untimed(run(), run()) == compare.APART
    other = run(settings=same, prompt="answer@v2", model="extractive")
    assert (
        compare.untimed(run(settings=same, prompt="answer@v1", model="extractive"), other) == compare.EMBEDDED
    )
