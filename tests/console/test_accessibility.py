"""axe over the pages of the console that the quick tests leave out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests import synthetic
from tests.console.axe import violations
from tests.console.console_server import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IDLE = "[data-testid='stApp'][data-test-script-state='notRunning']"
PAGES = (
    "costs topics conversations alerts models retrieval health settings sql people knowledge breakers "
    "history compare home annotate prompts playground evals?part=Evalsets evals?asked=Another+chatbot"
)


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


@pytest.mark.parametrize("name", PAGES.split())
def test_a_page_keeps_nobody_out(name: str, tab: Page, console: str) -> None:
    tab.goto(f"{console}/{name}")
    tab.locator("h1").first.wait_for()
    tab.locator(IDLE).wait_for()
    assert not violations(tab)
