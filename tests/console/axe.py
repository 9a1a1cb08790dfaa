"""axe, the judge of accessibility, over a page in a browser; its script comes from npm, as in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
INSTALL = "npm install --no-save --no-package-lock --prefix . axe-core@4.13.0"
# Violations of Streamlit's own page, which no code of ours writes: the rule, and a part of its element.
THEIRS = {
    ("list", 'data-testid="stSidebarNavItems"'),  # its sections of pages are no list items
    ("listitem", "<li class="),  # and its pages lie a level too deep
    ("svg-img-alt", "metric_chart_"),  # the line in a tile; the tile's words say the figure
}


def violations(page: Page) -> list[str]:
    """Return what axe finds on a page, without what is Streamlit's own."""
    if not SCRIPT.exists():
        reason = f"axe-core is missing: {INSTALL}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    page.evaluate(SCRIPT.read_text("utf-8"))
    report: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in report["violations"]
        for node in rule["nodes"]
        if not any(rule["id"] == name and part in node["html"] for name, part in THEIRS)
    ]
