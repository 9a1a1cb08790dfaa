"""The Alerts page: what fires, rules edited with versions, history, mutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.console.console_server import page, shown
from traces.alerts import rules, standing
from traces.alerts.standing import Standing, keeping, note

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


def field(app: AppTest, label: str) -> Any:
    return next(one for one in app.text_input if one.label == label)


def fire(folder: Path) -> None:
    began = NOW - timedelta(minutes=20)
    one = Standing(
        "error_rate", "error_rate", "firing", began, began, text="9 of 100 <turns> failed.", cause="v2"
    )
    with keeping(folder) as book:
        book.standings["error_rate"] = one
        book.checked_at = NOW
    note(folder, "firing", one, NOW)


def test_before_the_first_check_it_says_how_to_have_one(folder: Path) -> None:
    app = page("alerts")
    assert not app.exception
    assert "Nothing was judged yet" in shown(app)
    assert "Nothing happened yet" in shown(page("alerts", alerts="History"))


def test_what_fires_is_shown_with_its_cause_and_kept_in_the_history(folder: Path) -> None:
    fire(folder)
    app = page("alerts")
    assert not app.exception
    html = shown(app)
    assert "firing" in html and "9 of 100 &lt;turns&gt; failed." in html and "v2" in html
    assert "Error rate" in html
    assert "error_rate" in shown(page("alerts", alerts="History"))


def test_a_rule_is_changed_as_a_new_version_and_taken_back(folder: Path) -> None:
    app = page("alerts", alerts="Rules", rule="error_rate")
    assert not app.exception
    field(app, "Limit").set_value("0,05")
    field(app, "Why").set_value("too loud")
    app = press(app, "Save as a new version")
    assert not app.exception
    assert rules.load(folder)["error_rate"].limit == 0.05
    assert "limit: 0.01 → 0.05" in shown(app) and "too loud" in shown(app)
    app = press(app, "Take it back")
    assert not app.exception
    assert (rules.load(folder)["error_rate"].limit, rules.load(folder)["error_rate"].version) == (0.01, 2)


def test_a_limit_that_cannot_be_is_refused_with_the_bounds(folder: Path) -> None:
    app = page("alerts", alerts="Rules", rule="error_rate")
    field(app, "Limit").set_value("7")
    app = press(app, "Save as a new version")
    assert not app.exception
    assert "must be between 0 and 1" in app.error[0].value
    field(app, "Limit").set_value("1,250")
    app = press(app, "Save as a new version")
    assert "may be 1250 or 1.250" in app.error[0].value
    assert rules.edits(folder) == []


def test_hours_of_a_mute_are_read_with_a_comma_and_refused_when_wrong(folder: Path) -> None:
    for text, said in (
        ("0", "more than 0"),
        ("800", "720 at most"),
        ("soon", "not a number"),
        ("", "how many"),
    ):
        app = page("alerts", alerts="Mute and test")
        field(app, "Hours").set_value(text)
        app = press(app, "Mute")
        assert not app.exception and said in app.error[0].value, text
    assert standing.read(folder).mutes == {}
    field(app, "Hours").set_value("0,5")
    press(app, "Mute")
    (until,) = standing.read(folder).mutes.values()
    assert timedelta(minutes=29) < until - datetime.now(UTC) < timedelta(minutes=31)


def test_a_rule_is_muted_and_heard_again(folder: Path) -> None:
    fire(folder)
    app = page("alerts", alerts="Mute and test")
    app.selectbox[0].set_value("error_rate").run()
    app = press(app, "Mute")
    assert not app.exception
    assert "error_rate" in standing.read(folder).mutes
    muted = page("alerts", alerts="Mute and test").markdown[-1].value
    assert muted.startswith("Muted until") and muted.endswith(": Error rate")
    assert "muted" in shown(page("alerts"))
    press(page("alerts", alerts="Mute and test"), "End it")
    assert standing.read(folder).mutes == {}


def test_the_quiet_hours_that_hold_are_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = [caption.value for caption in page("alerts", alerts="Mute and test").caption]
    assert any(caption.startswith("No quiet hours are set") for caption in captions)
    monkeypatch.setenv("ANSWERDECK_ALERTS__QUIET_HOURS", "22:00-07:00 Europe/Berlin")
    captions = [caption.value for caption in page("alerts", alerts="Mute and test").caption]
    assert any("Quiet hours 22:00-07:00 Europe/Berlin: notices wait" in caption for caption in captions)


def test_nobody_to_tell_is_said_and_no_test_is_offered(folder: Path) -> None:
    app = page("alerts", alerts="Mute and test")
    assert any("Nobody" in caption.value for caption in app.caption)
    assert "Send a test message" not in [one.label for one in app.button]
