"""The console's door: who gets in, what each role sees and does, and how people and keys are made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit.testing.v1 import AppTest

from console.dashboard import bases, jobs, releases, visitor
from console.dashboard.door import Door
from pipeline.access import passwords
from pipeline.access.people import AccessError, People
from pipeline.auth import LOCAL, ROLES, Keys, Person, Role
from pipeline.configuration.data_folder import DataFolder
from pipeline.http.middleware import COOKIE
from tests.console.console_server import forgetting
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

PASSWORD = "correct horse battery"
APP = Path(visitor.__file__).with_name("app.py")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", (2**10, 8, 1))


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """One user of each role, in the data folder the console reads."""
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    opened = People(DataFolder(tmp_path).people, Keys(""))
    for role in ROLES:
        opened.add_user(role, role, PASSWORD, "boss")
    with forgetting(opened):
        yield opened


async def _page(_: Any) -> PlainTextResponse:
    return PlainTextResponse("inside")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("inside")
    await socket.close()


def window(people: People) -> TestClient:
    app = Starlette(routes=[WebSocketRoute("/_stcore/stream", _socket), Route("/{path:path}", _page)])
    return TestClient(Door(app, people=people), follow_redirects=False)


def test_nobody_gets_a_page_a_file_or_a_socket(people: People) -> None:
    door = window(people)
    for path in (
        "/",
        "/turns",
        "/_stcore/host-config",
        "/static/js/index.js",
        "/media/x.csv",
        "/_stcore/upload_file/x",
    ):
        assert door.get(path).status_code == 401, path
    away = door.get("/turns", headers={"accept": "text/html"})
    assert (away.status_code, away.headers["location"]) == (303, "/login")
    assert door.get("/_stcore/health").text == "inside"
    with pytest.raises(WebSocketDisconnect), door.websocket_connect("/_stcore/stream") as socket:
        socket.receive_text()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_in_or_is_told_why_not(people: People, role: Role) -> None:
    door = window(people)
    wrong = door.post("/login", data={"name": role, "secret": "wrong password"})
    assert (wrong.status_code, "not known" in wrong.text) == (401, True)
    assert door.post("/login", data={"name": role, "secret": PASSWORD}).status_code == 303
    if role == "user":
        assert door.get("/").status_code == 403
        assert "Only viewers" in door.get("/login").text
        return
    assert door.get("/turns").text == "inside"
    with door.websocket_connect("/_stcore/stream") as socket:
        assert socket.receive_text() == "inside"
    people.disable(role, "boss")
    assert door.get("/turns").status_code == 401


def test_other_sites_cannot_sign_anybody_in(people: People) -> None:
    entry = {"name": "admin", "secret": PASSWORD}
    door = window(people)
    assert door.post("/login", data=entry, headers={"origin": "https://evil.example"}).status_code == 403
    assert door.post("/login", data=entry, headers={"origin": "http://testserver"}).status_code == 303
    assert door.get("/logout").headers["location"] == "/login"
    assert door.get("/turns").status_code == 401


def test_without_users_everybody_of_this_machine_is_in(tmp_path: Path) -> None:
    people = People(tmp_path / "people.sqlite", Keys(""))
    door = window(people)
    assert door.get("/turns").text == "inside"
    assert door.get("/login").headers["location"] == "/"
    people.close()


def _enter() -> None:
    """Go to every page in turn."""
    from contextlib import suppress

    import streamlit as st

    from console.dashboard import visitor

    for which in (*visitor.PAGES, "a-page-without-an-entry"):
        with suppress(InterruptedError):
            visitor.enter(which)
            st.write(f"inside {which}")


def seen(monkeypatch: pytest.MonkeyPatch, token: str) -> AppTest:
    def end() -> None:  # of one page, not of the walk
        raise InterruptedError

    monkeypatch.setattr(visitor, "token", lambda: token)
    monkeypatch.setattr(visitor, "_end", end)
    return AppTest.from_function(_enter, default_timeout=30).run()


@pytest.mark.parametrize("role", ROLES)
def test_every_page_is_seen_by_the_roles_of_its_table(
    people: People, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    app = seen(monkeypatch, people.sign_in(role, PASSWORD, ""))
    table = {**visitor.PAGES, "a-page-without-an-entry": "admin"}
    allowed = [which for which, least in table.items() if ROLES.index(role) >= ROLES.index(least)]
    assert [element.value for element in app.markdown] == [f"inside {which}".strip() for which in allowed]
    assert len(app.error) == len(table) - len(allowed)
    assert all(role in error.value for error in app.error)


def test_a_session_that_ended_sees_no_page(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    app = seen(monkeypatch, "no-token")
    assert "session has ended" in app.warning[0].value
    assert not app.markdown


def test_every_page_of_the_console_has_its_role(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "token", lambda: people.sign_in("admin", PASSWORD, ""))
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    pages = app.session_state["pages"]
    assert set(pages) == set(visitor.PAGES) - {"home", "overview"}, "a page came or went: tell its role"
    monkeypatch.setattr(visitor, "token", lambda: "no-token")
    ended = AppTest.from_file(str(APP), default_timeout=60).run()
    assert "session has ended" in ended.warning[0].value
    assert not ended.title


DEEDS: dict[str, Role] = {"jobs": "editor", "promote": "approver", "rollback": "approver"}


def _act() -> None:
    import streamlit as st

    from console.dashboard import jobs, releases

    deeds = {
        "jobs": lambda: jobs.launch(None, "", "", [], ""),  # type: ignore[arg-type]  # never gets that far
        "promote": lambda: releases.promote("answer@v9"),
        "rollback": lambda: releases.rollback("answer"),
    }
    deeds[st.session_state["which"]]()
    st.write("done")


@pytest.mark.parametrize("deed", DEEDS)
def test_what_a_page_may_do_follows_the_role(
    people: People, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    below = ROLES[ROLES.index(DEEDS[deed]) - 1]
    monkeypatch.setattr(visitor, "token", lambda: people.sign_in(below, PASSWORD, ""))
    app = AppTest.from_function(_act, default_timeout=30)
    app.session_state["which"] = deed
    assert below in app.run().error[0].value
    assert not app.markdown
    assert not app.exception


def test_changes_are_recorded_under_the_name_that_signed_in(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = people.sign_in("approver", PASSWORD, "")
    monkeypatch.setattr(visitor, "token", lambda: token)
    assert releases.actor() == "approver"
    monkeypatch.setattr(visitor, "token", lambda: "no-token")
    with pytest.raises(PermissionError):
        releases.promote("answer@v9")
    with pytest.raises(PermissionError):
        jobs.launch(Path("/nowhere"), "x", "y", ["true"], "")
    monkeypatch.setattr(visitor, "visitor", lambda *_: LOCAL)
    assert releases.actor() not in ("approver", "local", "")


def test_people_and_keys_are_made_on_their_page(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    token = people.sign_in("admin", PASSWORD, "")
    monkeypatch.setattr(visitor, "token", lambda: token)
    app = AppTest.from_function(_people_page, default_timeout=30).run()
    app.text_input(key="add-name").set_value("eve")
    app.text_input(key="add-password").set_value("short")
    _press(app, "Add user").run()
    assert "10 to 1024" in app.error[0].value
    app.text_input(key="add-name").set_value("eve")
    app.text_input(key="add-password").set_value(PASSWORD)
    _press(app, "Add user").run()
    assert people.session(people.sign_in("eve", PASSWORD, ""))
    app.text_input(key="key-name").set_value("ci")
    _press(app, "Make key").run()
    key = app.code[0].value
    assert (person := people.person(key)) is not None
    assert person.name == "ci"
    app.run()
    assert not app.code
    app.selectbox(key="revoke-name").set_value("ci")
    _press(app, "Revoke").run()
    assert people.person(key) is None
    app.selectbox(key="disable-name").set_value("eve")
    _press(app, "Disable").run()
    with pytest.raises(AccessError):
        people.sign_in("eve", PASSWORD, "")
    assert {line.actor for line in people.events() if line.event == "key made"} == {"admin"}
    assert not app.exception


def test_workspaces_are_looked_after_on_the_page(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    token = people.sign_in("admin", PASSWORD, "")
    monkeypatch.setattr(visitor, "token", lambda: token)
    monkeypatch.setattr(bases, "names", lambda: ["contracts"])
    app = AppTest.from_function(_people_page, default_timeout=30).run()
    app.text_input(key="space-name").set_value("No Name")
    _press(app, "Add workspace").run()
    assert "names no workspace" in app.error[0].value
    app.text_input(key="space-name").set_value("sales")
    _press(app, "Add workspace").run()
    app.selectbox(key="given-base").set_value("contracts")
    app.selectbox(key="given-to").set_value("sales")
    _press(app, "Give").run()
    app.text_input(key="add-name").set_value("eva")
    app.text_input(key="add-password").set_value(PASSWORD)
    app.selectbox(key="add-workspace").set_value("sales")
    _press(app, "Add user").run()
    assert people.session(people.sign_in("eva", PASSWORD, "")) == Person("eva", "user", "sales")
    app.selectbox(key="removed-space").set_value("sales")
    _press(app, "Remove").run()
    assert "still has 1 users" in app.error[0].value
    assert [row.bases for row in people.workspaces.list()] == [(), ("contracts",)]
    assert not app.exception


def test_the_door_lets_in_viewers_of_every_workspace_and_no_users(people: People) -> None:
    people.workspaces.add("sales", "test")
    for role, status in (("user", 403), ("viewer", 200)):
        people.add_user(f"{role}-of-sales", role, PASSWORD, "test", "sales")
        token = people.sign_in(f"{role}-of-sales", PASSWORD, "")
        assert window(people).get("/", headers={"cookie": f"{COOKIE}={token}"}).status_code == status


def _people_page() -> None:
    from console.dashboard.views import people

    people.page()


def _press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).set_value(True)
    return app


def test_users_and_keys_by_command(terminal: Terminal) -> None:
    made = terminal.works("users", "add", "ada", "--role", "admin")
    assert "shown this once" in made
    assert json.loads(terminal.works("users", "list", "--json"))["users"][0]["role"] == "admin"
    terminal.works("users", "disable", "ada")
    assert "out" in terminal.works("users", "list")
    assert "new password" in terminal.works("users", "reset", "ada")
    key = json.loads(terminal.works("keys", "new", "ci", "--role", "viewer", "--json"))["key"]
    assert key not in terminal.works("keys", "list", "--json")
    assert "ci" in terminal.works("keys", "list")
    assert "shown this once" in terminal.works("keys", "new", "cd")
    terminal.works("keys", "revoke", "ci")
    assert "is there" in terminal.works("workspaces", "add", "sales")
    terminal.works("workspaces", "give", "sales", "contracts")
    assert "contracts" in terminal.works("workspaces", "list")
    terminal.works("users", "move", "ada", "--workspace", "sales")
    listed = json.loads(terminal.works("workspaces", "list", "--json"))["workspaces"][1]
    assert (listed["name"], listed["users"], listed["bases"]) == ("sales", 1, ["contracts"])
    terminal.works("users", "move", "ada")
    terminal.works("workspaces", "give", "default", "contracts")
    assert "gone" in terminal.works("workspaces", "remove", "sales")
    for wrong in (
        ("users", "add", "eva", "--workspace", "nowhere"),
        ("workspaces", "give", "default", "no name"),
        ("users", "add", "ada"),
        ("users", "add", "x", "--role", "king"),
        ("keys", "revoke", "nobody"),
    ):
        assert terminal(*wrong)[0] == 2, wrong
