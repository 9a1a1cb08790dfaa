"""The console in a real Chromium: it draws, links and reads without leaving this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.axe import violations
from tests.console.console_server import serving
from traces.alerts import standing
from traces.alerts.standing import Standing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
RUNS_OFF = "(e => e.scrollWidth - e.clientWidth)(document.querySelector('[data-testid=stMain]'))"
IDLE = "[data-testid='stApp'][data-test-script-state='notRunning']"


@pytest.fixture(scope="module")
def console(busy_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("console") / "data"
    shutil.copytree(busy_days, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANSWERDECK_DATA_DIR", raising=False)
        began = datetime.now(UTC) - timedelta(days=4)
        link = f"http://127.0.0.1:8501/turns?missed=true&last=7d&since={began:%Y-%m-%dT%H:%M:%S}&until=2100-01-01"
        with standing.keeping(folder) as book:
            book.standings["hit_rate"] = Standing(
                "hit_rate", "hit_rate", state="firing", text="The hit rate is 64 %.", began=began, link=link
            )
        with serving(folder) as address:
            yield address


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One window: its tabs share what they have fetched."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    yield context
    context.close()


@pytest.fixture
def tab(window: BrowserContext) -> Iterator[Page]:
    page = window.new_page()
    yield page
    page.close()


def go(tab: Page, address: str) -> None:
    tab.goto(address)
    tab.wait_for_selector(IDLE)


@pytest.mark.parametrize("path", ["/turns?range=30d", "/conversations?range=30d"])
def test_the_heads_of_a_list_stand_over_its_columns(console: str, tab: Page, path: str) -> None:
    go(tab, console + path)
    tab.locator("table.list.cards tbody tr").first.wait_for()
    heads, cells = tab.locator("table.list.cards thead th"), tab.locator("table.list.cards tbody tr").first
    for number in range(heads.count()):
        head, cell = heads.nth(number).bounding_box(), cells.locator("td").nth(number).bounding_box()
        assert head is not None and cell is not None
        assert abs(head["x"] - cell["x"]) < 2, number


def test_every_page_draws_and_asks_nobody_else(console: str, tab: Page) -> None:
    outside: list[str] = []
    local = (console, console.replace("http", "ws"), "data:", "blob:")
    tab.on("request", lambda request: None if request.url.startswith(local) else outside.append(request.url))
    for path, heading in (
        ("/?range=7d", "Overview"),
        ("/turns", "Turns"),
        ("/evals", "Evals"),
        ("/compare", "Compare"),
    ):
        go(tab, console + path)
        tab.get_by_role("heading", name=heading, level=1).wait_for()
        assert tab.get_by_test_id("stException").count() == 0
        if heading in ("Turns", "Evals"):  # the others are in the slow test of accessibility
            tab.wait_for_selector(IDLE)
            assert not violations(tab)
    assert outside == []


def test_an_alert_leads_to_its_turns_and_back(console: str, tab: Page) -> None:
    go(tab, f"{console}/?range=7d")
    tab.get_by_role("alert").filter(has_text="The hit rate is").get_by_text("Open the turns").click()
    tab.get_by_text("newest first").wait_for()
    assert "missed=true" in tab.url and "since=" in tab.url
    tab.locator("tr[data-open]").first.click()
    tab.get_by_text("← All turns").wait_for()
    assert "turn=" in tab.url
    tab.go_back()
    tab.get_by_text("newest first").wait_for()
    assert "missed=true" in tab.url


def test_a_pasted_id_opens_the_turn_and_a_step_shows_its_notes(console: str, tab: Page) -> None:
    go(tab, f"{console}/turns?last=7d&outcome=answered")
    turn = (tab.locator("tr[data-open]").first.get_attribute("data-open") or "").partition("turn=")[2]
    tab.get_by_label("Search").fill(turn)
    tab.keyboard.press("Enter")
    tab.get_by_text("Timeline").wait_for()
    assert tab.url.endswith(turn)
    tab.get_by_text("vector search").first.click()
    tab.locator(".pane:not([hidden])").filter(has_text="vector search").wait_for()
    tab.locator("a.cite").first.click()
    assert tab.locator("details.source[open]").count() == 1


def test_a_link_with_a_turn_opens_it_from_the_front_page(console: str, tab: Page) -> None:
    go(tab, f"{console}/turns?last=7d")
    turn = (tab.locator("tr[data-open]").first.get_attribute("data-open") or "").partition("turn=")[2]
    go(tab, f"{console}/?turn={turn}")
    tab.get_by_role("heading", name=f"Turn {turn[-8:]}").wait_for()


def test_nothing_runs_off_a_phone(console: str, tab: Page) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    for path in ("/?range=7d", "/turns?last=7d", "/evals", "/compare"):
        go(tab, console + path)
        tab.wait_for_timeout(800)
        assert tab.evaluate(RUNS_OFF) == 0, path
