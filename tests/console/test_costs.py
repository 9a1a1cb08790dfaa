"""The Costs page, `answerdeck costs` and what the Overview says of budgets."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console import cli
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.spending import Spending
from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal
from traces.records import Usage

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANSWERDECK_BUDGETS__DAY_USD", "1.0")
    journal = Journal(tmp_path / "journal")
    for number in range(40):
        usd = None if number == 7 else 0.01
        trace = make_trace(cost_usd=usd, started_at=NOW - timedelta(hours=number * 6), user_id="ada")
        usage = Usage(trace.turn.turn_id, 1, "answer", "openai:gpt-6-luna", 1000, 100, cost_usd=usd)
        journal.write(replace(trace, usages=(usage,)))
    journal.close()
    return tmp_path


def spend(folder: Path, usd: float, user: str = "ada") -> None:
    spending = Spending(folder / "spending.sqlite")
    Budget(spending, SpendingLimits(day_usd=1.0)).settle(f"t{usd}{user}", user, usd, 0)
    spending.close()


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["answerdeck", "costs", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_page_shows_spending_users_and_a_forecast(folder: Path) -> None:
    spend(folder, 0.6)
    app = page("costs")
    assert not app.exception
    html = shown(app)
    assert "is half used" in html
    assert "unpriced: 1 turns" in html
    names = re.findall("<dt>([^<]*)<", html)
    assert names[:3] == ["Today (UTC)", "This month (UTC)", "Month&#x27;s end"]
    assert "as answered" in html


def test_the_overview_says_when_a_budget_is_used_up(folder: Path) -> None:
    spend(folder, 1.2)
    assert f"The budget of {NOW:%Y-%m-%d} is used up" in shown(page("overview"))


def test_without_a_model_call_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    assert "No costs yet" in shown(page("costs"))


def test_show_and_forecast_from_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(folder, 0.6)
    seen: dict[str, Any] = json.loads(command(capsys, monkeypatch, "show", "--json"))
    assert seen["models"] == [
        {"model": "openai:gpt-6-luna", "cost_usd": pytest.approx(0.39), "turns": 40, "unpriced": 1}
    ]
    assert seen["budget"]["budgets"][0]["spent_usd"] == pytest.approx(0.6)
    switches = ("forecast", "--json", "--model", "openai:gpt-6-luna", "--conversations", "1000")
    told = json.loads(command(capsys, monkeypatch, *switches))
    assert told["basis"]["turns"] == 40
    assert told["forecast"][-1]["usd"] == pytest.approx(1000 * (1000 * 0.1 + 100 * 0.5) / 1e6)


def test_an_unknown_assumption_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["answerdeck", "costs", "forecast", "--assume", "talks=3"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "talks" in capsys.readouterr().err


def doctored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, tuple[Any, str]]:
    monkeypatch.setattr(sys, "argv", ["answerdeck", "doctor", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    return {row["what"]: (row["ok"], row["found"]) for row in json.loads(capsys.readouterr().out)}


def test_doctor_says_whether_the_peak_fits_and_what_no_budget_counts(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_MODELS__PRIMARY", "local:mine")
    monkeypatch.setenv("ANSWERDECK_MODELS__LOCAL__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("ANSWERDECK_MODELS__LOCAL__TOKENS_PER_MINUTE", "50000")
    monkeypatch.setenv("ANSWERDECK_MODELS__LOCAL__REQUESTS_PER_MINUTE", "500")
    monkeypatch.setenv("ANSWERDECK_LIMITS__EXPECTED_TURNS_PER_MINUTE", "100")
    found = doctored(capsys, monkeypatch)
    assert found["local requests a minute"][0] is True
    fits, about = found["local tokens a minute"]
    assert fits is False
    assert about.startswith("100 turns a minute need 702,400 of 50,000")
    assert found["price of local:mine"][0] is False
