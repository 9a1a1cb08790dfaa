"""axe over the pages of chat and console: nobody is kept out by how a page is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import synthetic
from tests.console.chat_server import chat, server
from tests.console.console_server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["chat", "server"]
pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
IDLE = "[data-testid='stApp'][data-test-script-state='notRunning']"
UNDER_WAY = "#live .turn:is(.searching, .reading, .answering)"
# Violations of Streamlit's own page, which no code of ours writes: rule and the element it is about.
THEIRS = {
    ("list", 'data-testid="stSidebarNavItems"'),  # its sections of pages are no list items
    ("listitem", "<li class="),  # and its items lie a level too deep
    ("svg-img-alt", "metric_chart_"),  # the line in a tile; the tile's words say the figure
}
# few for every run; a run of the slow tests takes all
FEW = ("", "turns", "breakers", "evals")
MORE = (
    "costs",
    "topics",
    "conversations",
    "alerts",
    "models",
    "retrieval",
    "health",
    "settings",
    "sql",
    "people",
    "knowledge",
    "compare",
    "history",
    "annotate",
    "prompts",
    "playground",
)


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        reason = "axe-core is missing: npm install --no-save --no-package-lock --prefix . axe-core@4.13.0"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return AXE.read_text("utf-8")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("accessible")
    synthetic.write(folder, 60, days=2, detailed=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ANSWERDECK_DATA_DIR", raising=False)
        with serving(folder) as address:
            yield address


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    yield page
    page.close()


def violations(page: Page, axe: str) -> list[str]:
    """Return what axe finds on a page, without what is Streamlit's own."""
    page.evaluate(axe)
    report: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in report["violations"]
        for node in rule["nodes"]
        if not any(rule["id"] == name and part in node["html"] for name, part in THEIRS)
    ]


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_a_page_of_the_console_keeps_nobody_out(name: str, tab: Page, console: str, axe: str) -> None:
    tab.goto(f"{console}/{name}")
    tab.locator("h1").first.wait_for()
    tab.locator(IDLE).wait_for()
    assert not violations(tab, axe)


def test_the_chat_keeps_nobody_out(tab: Page, chat: str, axe: str) -> None:
    tab.goto(chat)
    box = tab.get_by_label("Your question", exact=True)
    box.wait_for()
    assert not violations(tab, axe)
    box.fill("How do I descale it?")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#live .bubble:has-text('descale it')")
    tab.wait_for_selector(UNDER_WAY, state="detached")
    assert not violations(tab, axe)
