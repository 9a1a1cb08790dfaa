"""What the console's tests share: a real Chromium, five made-up runs, a library with a candidate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.prompts.library import SHIPPED
from tests import synthetic
from tests.one_for_all import copied
from traces.journal import Journal
from traces.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="session", autouse=True)
def no_component_packages() -> Iterator[None]:
    """Spare every AppTest a look into the metadata of each installed package: none is a component of ours."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", list)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_looking_whether_a_page_is_drawn() -> Iterator[None]:
    """Wait for the thread that draws a page: Streamlit looks a thousand times a second whether it is done."""
    from streamlit.testing.v1 import local_script_runner

    look = local_script_runner.require_widgets_deltas

    def wait(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
        drawing = runner._script_thread
        if drawing is not None:
            drawing.join(timeout)
        look(
            runner, 0 if drawing is None or drawing.is_alive() else timeout
        )  # at 0 it ends what takes longer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: Playwright's loop must not outlive it, or async tests elsewhere fail."""
    if not CHROMIUM.exists():
        reason = f"{CHROMIUM} is missing: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def five_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the five made-up runs, to read; who writes makes a copy."""

    def make(folder: Path) -> None:
        journal = Journal(folder / "journal")
        for record in synthetic.runs():
            journal.write(record)
        journal.close()
        Store(folder).drain()

    return copied(tmp_path_factory, "runs", make)


@pytest.fixture(scope="session")
def busy_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with five days of made-up traffic and the five runs, to read or to copy."""
    return copied(
        tmp_path_factory, "busy", lambda folder: synthetic.write(folder, 700, cases=60, days=5, detailed=200)
    )


@pytest.fixture
def prompts_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configured library with answer@v1 and condense@v1 as shipped, and a candidate answer@v2."""
    folder = tmp_path / "prompts"
    for name in ("answer", "condense"):
        (folder / name).mkdir(parents=True)
        (folder / name / "v1.md").write_text((SHIPPED / name / "v1.md").read_text())
    text = (SHIPPED / "answer" / "v1.md").read_text().replace("short plain", "very <short>")
    (folder / "answer" / "v2.md").write_text(text)
    monkeypatch.setenv("ANSWERDECK_PROMPTS__FOLDER", str(folder))
    return folder
