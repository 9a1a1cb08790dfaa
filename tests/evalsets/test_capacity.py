"""The model of a busy month: its sums by hand, its queue by Little's law, its first bottleneck by turns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from console.cli import main
from evalsets.capacity import BUSIEST_DAY, BUSIEST_HOUR, DAYS, PerTurn, Site, TooMany, busy_hour, plan, shape
from evalsets.forecast import Assumed

TALK = Assumed(turns=3, input=2000, output=200)
SITE = Site(cores=8, disk_bytes=1e15, workers=8, running_turns=1000)
TURN = PerTurn()


def test_a_month_adds_up() -> None:
    month = plan(TALK, 1_000_000, TURN, replace(SITE, payload_days=30, months=2))
    assert shape(TALK) == (3.0, 2200.0)
    assert (month.turns, month.tokens) == (3_000_000, 6_600_000_000)
    fresh = 30 / DAYS
    assert month.store_bytes == pytest.approx(3_000_000 * (2 * TURN.row_bytes + fresh * TURN.payload_bytes))
    texts = TURN.journal_bytes - TURN.slim_bytes
    assert month.journal_bytes == pytest.approx(3_000_000 * (2 * TURN.slim_bytes + fresh * texts))


@pytest.mark.parametrize(("turns", "seconds"), [(1.0, 2.0), (3.0, 4.0), (5.0, 9.0)])
def test_the_busy_hour_keeps_its_mean_and_littles_law(turns: float, seconds: float) -> None:
    figures = replace(TURN, seconds=seconds)
    peak = busy_hour(5_000_000, turns, 2200, figures)
    rate = 5_000_000 / DAYS * 7 * BUSIEST_DAY * BUSIEST_HOUR * turns / 3600
    assert peak.mean == pytest.approx(rate, rel=0.04)
    assert peak.mean < peak.second < 3 * peak.mean
    assert rate * seconds < peak.in_flight < 3 * rate * seconds
    assert peak.tokens_minute == pytest.approx(60 * 2200 * rate, rel=0.4)
    assert busy_hour(5_000_000, turns, 2200, figures) == peak


@pytest.mark.parametrize(
    ("site", "name", "switch"),
    [
        (replace(SITE, workers=1), "CPU of the processes", "serve --workers 8 --no-chat"),
        (SITE, "CPU of the processes", "more machines: ANSWERDECK_SESSIONS and ANSWERDECK_LEDGER"),
        (replace(SITE, cores=500, workers=50, running_turns=1), "turns at once", "limits.running_turns"),
        (replace(SITE, disk_bytes=1e9), "disk", "a larger disk"),
        (replace(SITE, tokens_per_minute=1000), "the provider's tokens a minute", "models.routes"),
        (replace(SITE, cores=500, workers=500), "draining into DuckDB", "ANSWERDECK_LEDGER=postgresql://"),
    ],
)
def test_what_gives_way_first_is_named_with_its_switch(site: Site, name: str, switch: str) -> None:
    heavy = replace(TURN, cpu_seconds=0.36, drained_per_second=20)
    first = plan(TALK, 10_000_000, heavy, site).first
    assert first is not None and first.name == name
    assert switch in first.switch and first.load > 1


def test_little_traffic_needs_one_process_and_no_switch() -> None:
    small = plan(TALK, 10_000, TURN, replace(SITE, workers=1))
    assert (small.first, small.processes, small.machines) == (None, 1, 1)
    assert small.limits[0].load < 1
    large = plan(TALK, 10_000_000, replace(TURN, cpu_seconds=0.4), SITE)
    assert large.machines == -(-large.peak.second * 0.4 // (0.7 * 8)) > 1
    assert large.processes >= large.machines


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(TooMany, match="at most 20,000,000 are played"):
        busy_hour(10**11, 3, 2200, TURN)


def test_the_command_shows_sizes_and_takes_own_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path / "none" / "yet"))
    assumed = ["answerdeck", "costs", "capacity", "--assume", "turns=3,input=2000,output=200"]
    for more in (
        ["--json", "--conversations", "1000000", "--per-turn", "cpu_seconds=2"],
        ["--conversations", "2000000"],
    ):
        monkeypatch.setattr("sys.argv", [*assumed, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        output = capsys.readouterr().out
        if "--json" in more:
            shown = json.loads(output)
            assert shown["plans"][0]["turns"] == 3_000_000
            assert shown["plans"][0]["first"]["name"] in ("CPU of the processes", "disk")
            assert shown["per_turn"]["cpu_seconds"] == 2
            assert all(usd > 0 for usd in shown["usd_per_million_conversations"].values())
        else:
            assert "2,000,000" in output and "gives way first" in output
            assert "per million conversations" in output
