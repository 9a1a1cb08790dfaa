"""Local users, API keys and sessions: what lets in, what no longer does, and what is kept of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from pipeline.access import passwords
from pipeline.access.accounts import ACCOUNTS
from pipeline.access.people import SESSION_SECONDS, TRIES, TRY_SECONDS, AccessError, People, Throttled
from pipeline.auth import Keys, Person, digest
from pipeline.http.api import create_app
from pipeline.http.middleware import COOKIE
from pipeline.models.scripted import Scripted
from pipeline.places import places
from pipeline.rehearsal.clock import Clock
from pipeline.settings import load_settings
from tests.databases import Databases
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline
from traces.errors import Unknown
from traces.places import DataSubject
from traces.postgres.tables import SharedTables

PASSWORD = "correct horse battery"
ASK = {"question": "What happens when I close the lid of my laptop?"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", (2**10, 8, 1))


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture(params=["file", "shared"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | SharedTables]:
    """Give a process its way to this machine's file, or to the tables that machines share."""
    if request.param == "file":
        return lambda: tmp_path / "people.sqlite"
    address = request.getfixturevalue("postgres").fresh()
    return lambda: SharedTables(address, ACCOUNTS, named=True)


@pytest.fixture
def people(place: Callable[[], Path | SharedTables], clock: Clock) -> Iterator[People]:
    opened = People(place(), Keys(f"env:viewer:{digest('from-env')}"), clock=clock)
    yield opened
    opened.close()


def test_a_user_signs_in_and_is_let_out(people: People) -> None:
    people.add_user("ada", "editor", PASSWORD, "boss")
    token = people.sign_in("ada", PASSWORD, "10.0.0.1")
    assert people.session(token) == Person("ada", "editor")
    people.end(token)
    assert people.session(token) is None
    for name, secret in (("ada", "wrong password"), ("eve", PASSWORD), ("ada", "")):
        with pytest.raises(AccessError, match="not known"):
            people.sign_in(name, secret, "10.0.0.1")


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_nothing_can_be_read_back(people: People, tmp_path: Path) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    key = people.new_key("ci", "editor", "boss")
    token = people.sign_in("", key, "")
    people.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("people.sqlite*"))
    for secret in (PASSWORD, key, token):
        assert secret.encode() not in kept
    assert (tmp_path / "people.sqlite").stat().st_mode & 0o077 == 0


def test_a_disabled_user_and_a_revoked_key_are_out_at_once_in_every_process(
    people: People, place: Callable[[], Path | SharedTables]
) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    key = people.new_key("ci", "editor", "boss")
    sessions = [
        people.sign_in("ada", PASSWORD, ""),
        people.sign_in("", key, ""),
        people.sign_in("", "from-env", ""),
    ]
    assert [people.session(token) for token in sessions] == [
        Person("ada", "user"), Person("ci", "editor"), Person("env", "viewer"),
    ]  # fmt: skip
    other = People(place(), Keys(""))
    other.disable("ada", "boss")
    other.revoke("ci", "boss")
    assert [people.session(token) for token in sessions] == [None, None, Person("env", "viewer")]
    assert other.session(sessions[2]) is None  # its key left the environment
    assert people.person(key) is None
    with pytest.raises(AccessError):
        people.sign_in("ada", PASSWORD, "")
    other.reset("ada", PASSWORD + "!", "boss")
    assert people.session(people.sign_in("ada", PASSWORD + "!", "")) == Person("ada", "user")
    assert people.session(sessions[0]) is None
    other.close()


def test_a_session_ends_by_itself(people: People, clock: Clock) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    token = people.sign_in("ada", PASSWORD, "")
    clock.now += SESSION_SECONDS - 1
    assert people.session(token) is not None
    clock.now += 2
    assert people.session(token) is None


def test_wrong_tries_are_held_back_for_a_while(people: People, clock: Clock) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    people.add_user("bob", "user", PASSWORD, "boss")
    for _ in range(TRIES["name"]):
        with pytest.raises(AccessError, match="not known"):
            people.sign_in("ada", "wrong", "10.0.0.1")
    with pytest.raises(Throttled, match="wait"):
        people.sign_in("ada", PASSWORD, "10.0.0.2")
    assert people.sign_in("bob", PASSWORD, "10.0.0.1")
    clock.now += TRY_SECONDS + 1
    assert people.sign_in("ada", PASSWORD, "10.0.0.1")
    for number in range(TRIES["address"]):
        with pytest.raises(AccessError):
            people.sign_in("", f"guess {number}", "10.0.0.9")
    with pytest.raises(Throttled):
        people.sign_in("", "from-env", "10.0.0.9")


def test_what_is_wrong_is_said(people: People) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    people.new_key("ci", "user", "boss")
    with pytest.raises(AccessError, match="already"):
        people.add_user("ada", "user", PASSWORD, "boss")
    with pytest.raises(AccessError, match="revoke it first"):
        people.new_key("ci", "user", "boss")
    with pytest.raises(AccessError, match="10 to 1024"):
        people.add_user("bob", "user", "short", "boss")
    with pytest.raises(AccessError, match="no name"):
        people.add_user("<b>", "user", PASSWORD, "boss")
    with pytest.raises(AccessError, match="no role"):
        people.new_key("x", "king", "boss")
    with pytest.raises(Unknown, match="users list"):
        people.disable("nobody", "boss")
    with pytest.raises(Unknown, match="keys list"):
        people.revoke("nobody", "boss")
    people.revoke("ci", "boss")
    assert people.new_key("ci", "user", "boss").startswith("ad_")


def test_audit_lines_name_the_person(people: People) -> None:
    people.add_user("ada", "user", PASSWORD, "boss")
    people.end(people.sign_in("ada", PASSWORD, "10.0.0.1"))
    with pytest.raises(AccessError):
        people.sign_in("ada", "wrong", "10.0.0.7")
    lines = [(line.event, line.name, line.actor, line.detail) for line in people.events()]
    assert lines == [
        ("sign-in failed", "ada", None, "from 10.0.0.7"),
        ("signed out", "ada", "ada", None),
        ("signed in", "ada", "ada", "from 10.0.0.1"),
        ("user added", "ada", "boss", "user"),
    ]


def test_once_closed_it_stays_closed(tmp_path: Path) -> None:
    people = People(tmp_path / "people.sqlite", Keys(""))
    assert not people.closed
    assert not (tmp_path / "people.sqlite").exists()
    people.new_key("ci", "admin", "boss")
    people.revoke("ci", "boss")
    assert people.closed
    people.close()


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_an_erased_person_is_gone_from_it(people: People, tmp_path: Path) -> None:
    people.add_user("ada", "admin", PASSWORD, "boss")
    people.sign_in("ada", PASSWORD, "10.0.0.1")
    people.add_user("bob", "user", PASSWORD, "ada")
    ours = [place for place in places(tmp_path) if "people" in place.name]
    assert sum(place.erase(DataSubject("ada")) for place in ours) >= 4
    assert [place.left(DataSubject("ada")) for place in ours] == [[], []]
    assert [account.name for account in people.users()] == ["bob"]
    people.close()
    with sqlite3.connect(tmp_path / "people.sqlite") as db:
        assert not [line for line in db.iterdump() if "'ada'" in line]
    db.close()


async def test_while_the_shared_tables_are_away_only_keys_of_the_environment_let_in(
    tmp_path: Path, postgres: Databases
) -> None:
    tables = SharedTables(postgres.fresh(), ACCOUNTS, named=True)
    people = People(tables, Keys(f"env:admin:{digest('from-env')}"))
    key = people.new_key("ci", "admin", "boss")
    pipeline = await make_pipeline(Scripted("It suspends [1]."), data_dir=tmp_path)
    app = create_app(pipeline, load_settings(data_dir=tmp_path), people=people)
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        with_key, with_env = ({"authorization": f"Bearer {value}"} for value in (key, "from-env"))
        assert (await http.get("/v1/models", headers=with_key)).status_code == 200
        postgres.kill()
        try:
            refused = await http.get("/v1/models", headers=with_key)
            while refused.status_code == 200:  # a connection outlives its killed server for a moment
                refused = await http.get("/v1/models", headers=with_key)
            assert refused.status_code == 503
            assert "cannot be looked up right now" in refused.text
            assert int(refused.headers["retry-after"]) > 0
            assert (await http.get("/v1/models", headers=with_env)).status_code == 200
            assert (await http.get("/healthz")).status_code == 200
        finally:
            postgres.start()
        assert (await http.get("/v1/models", headers=with_key)).status_code == 200


async def test_a_running_server_closes_with_the_first_user_and_follows_every_change(tmp_path: Path) -> None:
    pipeline = await make_pipeline(Scripted(*["It suspends [1]."] * 9), data_dir=tmp_path)
    commands = People(tmp_path / "people.sqlite", Keys(""))  # as another process has it
    app = create_app(pipeline, load_settings(data_dir=tmp_path))
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        whole = {"accept": "application/json"}
        assert (await http.get("/login")).status_code == 303
        assert (await http.post("/api/chat", json=ASK, headers=whole)).status_code == 200
        commands.add_user("ada", "user", PASSWORD, "boss")
        assert (await http.post("/api/chat", json=ASK, headers=whole)).status_code == 401
        wrong = await http.post("/login", data={"name": "<b>ada", "secret": "x"})
        assert (wrong.status_code, "not known" in wrong.text, "<b>ada" in wrong.text) == (401, True, False)
        right = await http.post("/login", data={"name": "ada", "secret": PASSWORD})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        assert "HttpOnly" in right.headers["set-cookie"]
        assert (await http.post("/api/chat", json=ASK, headers=whole)).status_code == 200
        assert (await http.get("/metrics")).status_code == 403
        key = commands.new_key("ci", "viewer", "boss")
        bearer = {"authorization": f"Bearer {key}"}
        assert (await http.get("/metrics", headers=bearer)).status_code == 200
        commands.revoke("ci", "boss")
        assert (await http.get("/metrics", headers=bearer)).status_code == 401
        for _ in range(TRIES["name"]):
            await http.post("/login", data={"name": "bob", "secret": "x"})
        held = await http.post("/login", data={"name": "bob", "secret": "x"})
        assert held.status_code == 429
        assert int(held.headers["retry-after"]) > 60
        assert http.cookies[COOKIE]
        await http.post("/logout")
        assert (await http.post("/api/chat", json=ASK, headers=whole)).status_code == 401
    commands.close()


async def test_a_key_that_is_revoked_in_a_stream_ends_with_it(tmp_path: Path) -> None:
    pipeline = await make_pipeline(Scripted(["It ", 0.02, "suspends ", 0.02, "[1]."]), data_dir=tmp_path)
    commands = People(tmp_path / "people.sqlite", Keys(""))
    bearer = {"authorization": f"Bearer {commands.new_key('ci', 'user', 'boss')}"}
    app = create_app(pipeline, load_settings(data_dir=tmp_path))
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        async with http.stream("POST", "/api/chat", json=ASK, headers=bearer) as response:
            text = ""
            async for piece in response.aiter_text():
                if not text:
                    commands.revoke("ci", "boss")
                text += piece
        after = await http.post("/api/chat", json=ASK, headers=bearer)
    commands.close()
    assert "event: done" in text and "event: error" not in text  # what was begun is paid for
    assert after.status_code == 401
