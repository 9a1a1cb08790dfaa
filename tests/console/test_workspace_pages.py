"""Two workspaces in one console: people see their own alone, on every page and download; admins choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from console.dashboard import agreement, bases, data, exports, jobs, visitor, whose
from evalsets.cases import cases, team
from evalsets.cases.evalset import EvalsetError
from pipeline.access import passwords
from pipeline.access.people import People
from pipeline.auth import Keys, Person
from pipeline.configuration.data_folder import DataFolder
from pipeline.http.middleware import COOKIE
from pipeline.prompts.library import SHIPPED
from tests.console.console_server import forgetting, shown
from tests.console.terminal import Terminal
from tests.factories import make_passage, make_score, make_trace
from traces.alerts import changing, rules
from traces.alerts.standing import Standing, keeping
from traces.journal import Journal
from traces.queries.filter import Filter
from traces.records import Case, Record, Run, RunSettings, Trace
from traces.store import Store

PASSWORD = "correct horse battery"
NOW = datetime.now(UTC)
THEIRS, OURS = "zebra", "otter"  # a word of everything that is of `default`, and of `sales`
VIEWS = {
    "overview": [{"range": "7d"}],
    "turns": [{"last": "7d"}, {"turn": f"{THEIRS}-turn"}],
    "conversations": [{}, {"conversation": f"{THEIRS}-talk"}],
    "topics": [{"topics_last": "7d"}, {"topics_part": "Unanswered"}, {"topics_part": "Where people leave"}],
    "costs": [{}],
    "models": [{}],
    "searches": [{}],
    "evals": [{}, {"part": "Evalsets"}, {"part": "Evalsets", "set": f"{THEIRS}-set"}],
    "compare": [{"baseline": f"{THEIRS}-run"}],
    "history": [{}],
    "annotate": [{}],
    "prompts": [{}],
    "playground": [{}],
}


def records(word: str, workspace: str) -> Iterator[Record]:
    """Yield two answered turns and one without an answer, a thumb, and a run, with a word in all texts."""
    for number in range(3):
        trace = make_trace(
            turn_id=f"{word}-turn" if number == 0 else f"{word}-turn-{number}", door="chat", kb=f"{word}-kb",
            conversation_id=f"{word}-talk", user_id=f"{word}-user", question=f"Where is the {word} kept?",
            answer=f"The {word} is in [1].", model=f"openai:{word}", prompt=f"{word}@v1", workspace=workspace,
            outcome="answered" if number else "no_context", started_at=NOW - timedelta(minutes=40 + number),
        )  # fmt: skip
        key = trace.turn.turn_id
        usages = tuple(replace(usage, model=f"openai:{word}") for usage in trace.usages)
        passages = (make_passage(key, title=f"A {word}", text=word, document_id=word, kb=f"{word}-kb"),)
        yield Trace(trace.turn, trace.payload, trace.spans, passages, usages)
        yield make_score(key, value=-1.0, reason=f"not my {word}", user_id=f"{word}-user")
    settings = RunSettings(workspace=workspace, title=word)
    yield Run(
        f"{word}-run", f"{word}-set", "0123", f"{word}@v1", "finished", NOW, NOW, cases=1, done=1,
        prompt=f"{word}@v1", model=f"openai:{word}", settings=settings,
    )  # fmt: skip
    yield Case(f"{word}-run", "c1", f"Where is the {word} kept?")
    yield make_trace(door="eval", run_id=f"{word}-run", case_id="c1", question=word, workspace=workspace)


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """A data folder of `default` and `sales`: turns, runs, evalsets, prompts, and people of both."""
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(passwords, "COST", (2**10, 8, 1))
    journal = Journal(tmp_path / "journal")
    for record in (*records(THEIRS, "default"), *records(OURS, "sales")):
        journal.write(record)
    journal.close()
    Store(tmp_path).drain()
    opened = People(DataFolder(tmp_path).people, Keys(""))
    opened.workspaces.add("sales", "test")
    opened.workspaces.give("sales", f"{OURS}-kb", "test")
    opened.add_user("ada", "admin", PASSWORD, "test")
    opened.add_user("vic", "editor", PASSWORD, "test")
    opened.add_user("eva", "admin", PASSWORD, "test", "sales")
    team.save(f"{THEIRS}-set", [{"id": "c1", "question": f"Where is the {THEIRS}?"}], {"title": THEIRS})
    prompt = DataFolder(tmp_path).prompts / "answer" / "v9.md"
    prompt.parent.mkdir(parents=True)
    prompt.write_text((SHIPPED / "answer" / "v1.md").read_text() + f"Mind the {THEIRS}.\n")
    with forgetting(opened):
        yield opened


def _page() -> None:
    from importlib import import_module

    import streamlit as st

    from console.dashboard import boundary, visitor, whose

    which = st.session_state["which"]
    visitor.enter("retrieval" if which == "searches" else which)
    whose.pick()
    boundary.guarded(import_module(f"console.dashboard.views.{which}").page, which)()


def signed_in(people: People, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    token = people.sign_in(name, PASSWORD, "")
    monkeypatch.setattr(visitor, "token", lambda: token)
    return token


def look(which: str, **params: str) -> tuple[AppTest, str]:
    """Run a page; return it with all that it shows."""
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["which"] = which
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app, (str(app.main) + str(app.sidebar) + shown(app)).lower()


def test_nothing_of_another_workspace_is_on_any_page(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(people, "eva", monkeypatch)
    ours: set[str] = set()
    for which, addresses in VIEWS.items():
        for address in addresses:
            _, text = look(which, **address)
            asked_for = address.get("turn", "") + address.get("conversation", "") + address.get("set", "")
            assert THEIRS not in text.replace(asked_for or "\0", ""), f"{which} {address}"
            assert "our fault" not in text, f"{which} {address}"
            ours |= {which} if OURS in text else set()
    assert ours >= {"overview", "turns", "conversations", "topics", "costs", "models", "evals"}


def test_an_editor_of_default_sees_default_alone(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(people, "vic", monkeypatch)
    for which in ("overview", "turns", "costs", "evals"):
        _, text = look(which, workspace="sales", range="7d", last="7d")
        assert THEIRS in text and OURS not in text
    app, _ = look("sql")  # its figures are of all turns
    assert "Only admins" in app.error[0].value


def test_people_see_make_and_edit_the_alert_rules_of_their_workspace(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules.make(tmp_path, rules.shipped()["error_rate"], "default", by=THEIRS)
    changing.mute(tmp_path, "error_rate@default", 4.0, by=THEIRS)
    with keeping(tmp_path) as book:
        book.checked_at = NOW
        for key in ("error_rate@default", "silence"):
            book.standings[key] = Standing(key, key, "firing", NOW, NOW, text=THEIRS)
    signed_in(people, "eva", monkeypatch)
    assert "No rule is for sales alone" in shown(look("alerts")[0])
    app, _ = look("alerts", alerts="Rules", rule="error_rate@default")
    next(button for button in app.button if button.label == "Make it").click().run()
    assert rules.load(tmp_path)["error_rate@sales"].workspace == "sales"
    app, text = look("alerts", alerts="Rules", rule="error_rate@sales")
    next(box for box in app.text_input if box.label == "Limit").set_value("0.05")
    next(button for button in app.button if button.label == "Save as a new version").click().run()
    assert rules.load(tmp_path)["error_rate@sales"].limit == 0.05
    for section in ("Now", "Rules", "History", "Mute and test"):
        _, text = look("alerts", alerts=section)
        assert THEIRS not in text and "all rules" not in text and "our fault" not in text
    assert THEIRS not in look("overview")[1]
    signed_in(people, "ada", monkeypatch)
    assert THEIRS in look("alerts")[1] and THEIRS in look("overview")[1]


def test_an_admin_chooses_by_the_address_and_in_the_sidebar(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(people, "ada", monkeypatch)
    app, text = look("turns", last="7d")
    assert app.sidebar.selectbox[0].value == whose.ALL
    assert THEIRS in text and OURS in text
    app, text = look("turns", last="7d", workspace="sales")
    assert app.sidebar.selectbox[0].value == "sales"
    assert OURS in text and THEIRS not in text
    assert "workspace=sales" in app.get("link_button")[0].proto.url  # the download
    app.sidebar.selectbox[0].set_value("default").run()
    assert OURS not in (str(app.main) + shown(app)).lower()


def test_pages_of_the_installation_are_closed_to_other_workspaces(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(people, "eva", monkeypatch)
    closed = [address for address in visitor.PAGES if not visitor.sees(address)]
    assert sorted(closed) == ["breakers", "health", "people", "settings", "sql"]
    app, _ = look("health")
    assert "you belong to sales" in app.error[0].value


def test_documents_jobs_and_evalsets_are_those_of_the_workspace(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(people, "eva", monkeypatch)
    for change in (bases.read, bases.ingested, lambda kb: bases.rollback(kb, "v1")):
        with pytest.raises(data.Problem, match="no knowledge base"):
            change(f"{THEIRS}-kb")
    bases.keep(data.settings().data_dir, "otter-new", [])
    assert people.workspaces.of("otter-new") == "sales"
    assert bases.answering() == f"{OURS}-kb"
    assert jobs.environment()["ANSWERDECK_WORKSPACE"] == "sales"
    assert agreement.table() == ""
    with cases.belonging(whose.own()):
        assert team.names() == []
        with pytest.raises(EvalsetError, match="no evalset"):
            cases.load_evalset(f"{THEIRS}-set")


@pytest.mark.parametrize(
    ("name", "address", "words"),
    (
        ("eva", "", {OURS}),
        ("eva", "&workspace=default", {OURS}),
        ("vic", "&workspace=sales", {THEIRS}),
        ("ada", "", {OURS, THEIRS}),
        ("ada", "&workspace=sales", {OURS}),
    ),
)
def test_a_download_holds_what_the_person_may_see(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str, words: set[str]
) -> None:
    token = signed_in(people, name, monkeypatch)
    store = Store(tmp_path)
    app = Starlette(routes=exports.routes(people, lambda workspace: store.read(workspace=workspace)))
    path = exports.address("turns", Filter(NOW - timedelta(days=1), NOW + timedelta(hours=1)))
    answer = TestClient(app).get(f"/{path}{address}", headers={"cookie": f"{COOKIE}={token}"})
    assert {word for word in (OURS, THEIRS) if word in answer.text} == words


def test_with_one_workspace_there_is_nothing_to_choose() -> None:
    assert whose.of(Person("ada", "admin"), whose.ALL) is None
    assert whose.of(Person("vic", "viewer"), "sales") is None


def test_commands_read_one_workspace_or_all(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Terminal(monkeypatch, capsys)
    assert OURS in run.works("traces", "tail") and THEIRS in run.works("traces", "tail")
    ours = {"ANSWERDECK_WORKSPACE": "sales"}
    for text in (
        run.works("traces", "tail", "--workspace", "sales"),
        run.works("traces", "search", "kept", env=ours),
        run.works("eval", "list", env=ours),
    ):
        assert THEIRS not in text
    assert OURS in run.works("traces", "show", f"{OURS}-turn", "--workspace", "sales")
    code, _, error = run("traces", "show", f"{THEIRS}-turn", "--workspace", "sales")
    assert code == 1 and "there is no turn" in error
    run.works("traces", "export", "--out", str(tmp_path / "x.jsonl"), "--workspace", "sales")
    assert THEIRS not in (tmp_path / "x.jsonl").read_text()
    run.works("traces", "export", "--out", str(tmp_path / "x"), "--format", "parquet", "--workspace", "sales")
    code, _, error = run("traces", "tail", "--workspace", "nowhere")
    assert code == 2 and "no workspace 'nowhere'" in error
    code, _, error = run("alerts", "rules", "error_rate", "--workspace", "nowhere")
    assert code == 2 and "no workspace 'nowhere'" in error
