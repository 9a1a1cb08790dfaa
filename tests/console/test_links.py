"""Deep links: what a page shows is in its address, and an address brings it back."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal

VIEWS = Path(__file__).parents[2] / "console" / "dashboard"
CHOOSING = ("tabs", "pagination", "segmented_control")  # never the field of a form


def test_what_chooses_a_view_is_kept_in_the_address() -> None:
    """Tabs, pages, sections and searches; what goes into a form is not a view."""
    loose: list[str] = []
    for path in sorted(VIEWS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            label = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            chooses = node.func.attr in CHOOSING or label in ("Search", "By", "Variant", "Against")
            bound = {"bind", "key"} <= {keyword.arg for keyword in node.keywords}
            if ast.unparse(node.func.value) == "st" and chooses and not bound:
                loose.append(f"{path.name} line {node.lineno}")
    assert not loose


def test_a_name_in_the_address_belongs_to_one_control() -> None:
    """Streamlit drops a parameter that a control of another page owns."""
    owner: dict[str, str] = {}
    for path in sorted(VIEWS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(keyword.arg == "bind" for keyword in node.keywords):
                (key,) = (keyword.value for keyword in node.keywords if keyword.arg == "key")
                if isinstance(key, ast.Constant):
                    assert owner.setdefault(str(key.value), path.name) == path.name, key.value


@pytest.fixture
def turn_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    journal = Journal(tmp_path / "journal")
    turn = make_trace(started_at=datetime.now(UTC), door="chat", user_id="ada")
    journal.write(turn)
    journal.close()
    return turn.turn.turn_id


def test_an_address_brings_a_view_back(turn_id: str) -> None:
    app = page("turns", turn=turn_id, tab="Versions")
    assert not app.exception and app.session_state["tab"] == "Versions"
    html = shown(page("configuration", setting="retrieval.floor"))
    assert "retrieval.floor" in html and "retrieval.passages" not in html
    app = page("prompts", prompt_tab="Audit log", against="answer@v1")
    assert app.session_state["prompt_tab"] == "Audit log" and not app.exception
    app = page("playground", turn=turn_id, passages="Search anew")
    assert [box.value for box in app.selectbox][2] == "fresh"
    app = page("costs", talks_a_month="500", caching="off")
    assert app.number_input[0].value == 500 and not app.exception


def test_an_address_with_nonsense_shows_the_usual_view(turn_id: str) -> None:
    app = page("turns", turn=turn_id, tab="nosuch")
    assert not app.exception and app.session_state["tab"] == "Answer"
    assert page("costs", talks_a_month="-7", caching="x").number_input[0].value == 1_000_000
