"""Every page over empty, tiny, large and hostile data: it draws, and nothing of the data becomes markup."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.console.console_server import VIEWS, page, shown
from tests.factories import make_passage, make_score, make_trace
from traces.journal import Journal
from traces.records import Case, Record, Run, Trace
from traces.store import Store

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
TRICK = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ **bold** [a](javascript:alert(1)) "
    "`'\"; \x01\x1b[31m \u202egnol\u202c מה =HYPERLINK(1) :material/bolt: {{x}} %s"
)
LONG = "why? " * 20_000
KEYS = (
    "turn run conversation topic kb job baseline runs evalset version prompt model range last via queue from "
    "as show q user since until p docs talks metric"
)


RENDERED = ("markdown", "caption", "error", "warning", "info", "success", "toast", "title", "header")
LABELLED = ("button", "selectbox", "text_input", "text_area", "toggle", "checkbox", "multiselect", "metric")


def hostile() -> Iterator[Record]:
    """Turns, ratings and runs whose every free text is a trick, and a question of 100 kB."""
    for number, text in enumerate((TRICK, LONG, TRICK, "?")):
        at = NOW - timedelta(minutes=7 * number)
        made = make_trace(
            turn_id=f"00000000-0000-7000-8000-00000000000{number}", started_at=at, door="chat", question=text,
            answer=text, model=TRICK, prompt=TRICK, user_id=TRICK, conversation_id=TRICK, standalone=text,
            error_class=TRICK, refusal=TRICK, hit=number > 2, top_score=0.0, 
            outcome="no_context" if number else "failed",
        )  # fmt: skip
        key = made.turn.turn_id
        passages = (make_passage(key, title=TRICK, text=text, url="javascript:alert(1)", document_id=TRICK),)
        yield Trace(made.turn, made.payload, made.spans, passages, made.usages)
        yield make_score(key, value=-1.0, reason=TRICK, user_id=TRICK)
    for number in range(2):
        run_id = f"run '{number}\" {TRICK}"
        yield Run(
            run_id, TRICK, "0123", TRICK, "finished", NOW - timedelta(hours=number), cases=1, done=1,
            error=TRICK, prompt=TRICK, model=TRICK,
        )  # fmt: skip
        made = make_trace(
            door="eval", run_id=run_id, case_id=TRICK, question=TRICK, answer=TRICK, started_at=NOW
        )
        yield made
        yield Case(run_id, TRICK, TRICK, reference=TRICK)
        of: dict[str, Any] = {"run_id": run_id, "case_id": TRICK, "source": "eval"}
        yield make_score(made.turn.turn_id, "completed", repetition=1, **of)
        change = 0.5 - 0.3 * number  # so that the case is shown as changed
        yield make_score(made.turn.turn_id, "groundedness", change, reason=TRICK, **of)


def write(folder: Path, records: Iterator[Record]) -> None:
    journal = Journal(folder / "journal")
    for record in records:
        journal.write(record)
    journal.close()


@pytest.fixture(scope="module")
def folders(busy_days: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data folder of each kind."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("empty", "tiny", "hostile")}
    made["large"] = busy_days
    write(made["tiny"], iter([make_trace(started_at=NOW)]))
    write(made["hostile"], hostile())
    Store(made["hostile"]).drain()  # the turn of "tiny" is still in the journal
    sets = made["hostile"] / "evalsets"
    sets.mkdir()
    (sets / "broken.jsonl").write_text('{"id": "a", "question": "x"}\n{"id": "b", "question":\n')
    (sets / "broken.toml").write_text('title = "$x$ <b>"\n')
    return made


def calm(app: Any) -> None:
    """Fail when a page shows an error of ours, or lets a text of the data become markup."""
    assert not app.exception, app.exception[0].value
    html = shown(app)
    assert "<script" not in html and "<img src=x" not in html and 'href="javascript' not in html
    texts = [element.value for element in itertools.chain(*(getattr(app, kind) for kind in RENDERED))]
    for kind in LABELLED:
        texts += [part for one in app.get(kind) for part in (one.proto.label, getattr(one.proto, "help", ""))]
    texts += [block.label for block in itertools.chain(app.tabs, app.expander)]
    for text in texts:
        assert "**bold**" not in text and "$x^2$" not in text and ":material/bolt:" not in text, text[:300]


SUMS = (
    "overview",
    "costs",
    "history",
    "topics",
    "models",
    "searches",
)  # pages that divide, and sort out much
DRAWN = [
    *itertools.product(["empty", "hostile"], sorted(VIEWS)),
    *itertools.product(["tiny", "large"], SUMS),
    *(("large", name) for name in ("turns", "evals", "compare")),
]


@pytest.mark.parametrize(("kind", "name"), DRAWN)
def test_a_page_draws_over(
    kind: str, name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders[kind]))
    app = page(name)
    calm(app)
    alone = ["The chat does not answer"] if name == "breakers" else []
    assert [one.value[2:26] for one in app.error] == alone


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_an_address_may_say_anything(
    name: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders["hostile"]))
    calm(page(name, **dict.fromkeys(KEYS.split(), TRICK)))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("turns", {"turn": "00000000-0000-7000-8000-000000000000"}),
        ("turns", {"last": "30d", "q": "why", "run": f"run '0\" {TRICK}"}),
        ("evals", {"run": f"run '0\" {TRICK}"}),
        ("compare", {"baseline": f"run '0\" {TRICK}", "runs": f"run '1\" {TRICK}"}),
        ("topics", {"topics_part": "Unanswered"}),
        ("playground", {"turn": "00000000-0000-7000-8000-000000000000"}),
    ],
)
def test_a_page_of_one_hostile_record_draws(
    name: str, params: dict[str, str], folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders["hostile"]))
    calm(page(name, **params))


def test_the_comparison_shows_a_hostile_case_as_text(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders["hostile"]))
    app = page("compare", baseline=f"run '0\" {TRICK}", runs=f"run '1\" {TRICK}")
    calm(app)
    _, _, changed = shown(app).partition('<details class="source">')
    titles = re.findall(r'class="title">(.*?)</span>', changed)
    assert len(titles) == 1 and titles[0].startswith("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img")
    texts = re.findall(r"<p[^>]*>(&lt;script&gt;alert.1.&lt;/script&gt;)", changed)
    assert len(texts) == 5, "both answers, both reasons and the reference"


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("turns", "turn", "No such turn"),
        ("evals", "run", "No such run"),
        ("conversations", "conversation", "No such conversation"),
        ("compare", "baseline", "No run nosuch here"),
    ],
)
def test_an_unknown_id_gets_a_calm_sentence(
    name: str, key: str, said: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders["large"]))
    app = page(name, **{key: "nosuch"})
    calm(app)
    assert said in shown(app) + "".join(one.value for one in app.warning)


def test_a_broken_evalset_is_named_with_its_line(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(folders["hostile"]))
    app = page("evals")
    assert "broken cannot be used: broken.jsonl line 2: not JSON" in app.warning[0].value
    assert "demo" in app.selectbox[0].options[0]


def test_an_error_of_ours_is_one_sentence_for_people_and_a_traceback_for_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from streamlit.testing.v1 import AppTest

    def script() -> None:
        from console.dashboard.boundary import guarded

        guarded(lambda: {}["lost"], "a page")()

    app = AppTest.from_function(script).run()
    assert not app.exception
    reference = re.search("reference `([0-9a-f]{8})`", app.error[0].value)
    assert reference and reference[1] in caplog.text
    assert "KeyError: 'lost'" in caplog.text and "lost" not in app.error[0].value.partition("under")[0][:60]


def test_what_a_control_is_bound_to_is_never_set_in_the_address() -> None:
    """Streamlit refuses it, and the person would see an error after the work was done."""
    bound, put = set[str](), dict[str, str]()
    for path in sorted((ROOT / "console" / "dashboard").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(one.arg == "bind" for one in node.keywords):
                keys = [one.value for one in node.keywords if one.arg == "key"]
                bound |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("_control", "_choice")):
                bound |= {str(one.value) for one in node.args[:2] if isinstance(one, ast.Constant)}
            if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                name = ast.literal_eval(node.slice) if ast.unparse(node.value) == "st.query_params" else None
                put |= {name: path.name} if name else {}
    assert {"version", "range", "last", "via", "outcome"} <= bound and "kb" in put
    assert not bound & put.keys()
