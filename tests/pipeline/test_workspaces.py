"""Workspaces: what belongs to whom, what moves along, and files of an earlier version."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalsets.cases import team
from evalsets.cases.cases import list_sets, load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.release import gated
from pipeline import build, shelving
from pipeline.access.accounts import AccessError, Accounts, Unreachable
from pipeline.access.people import People
from pipeline.access.workspaces import Workspaces
from pipeline.auth import Keys, Person, digest
from pipeline.context.memory import Memory
from pipeline.errors import ConfigurationError
from pipeline.events import Answer
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.ingest import store
from pipeline.models.gateway import Gateway
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.prompts.library import PromptError
from pipeline.rehearsal.clock import Clock
from pipeline.settings import Settings, load_settings
from tests.pipeline.turns import DOCUMENTS, ask, make_pipeline, recorded
from traces.errors import Unknown

PASSWORD = "correct horse battery"


def test_what_nobody_gave_away_belongs_to_default(tmp_path: Path) -> None:
    workspaces = Workspaces(Accounts(tmp_path / "people.sqlite"))
    assert workspaces.main("default", "handbook") == "handbook"
    assert workspaces.readable("default", ["a", "b"]) == ["a", "b"]
    assert not (tmp_path / "people.sqlite").exists()  # looking adds no file
    workspaces.add("sales", "test")
    workspaces.give("sales", "b", "test")
    workspaces.give("sales", "a", "test")
    assert (workspaces.main("sales", "handbook"), workspaces.of("a")) == ("b", "sales")  # the first one given
    assert (workspaces.readable("default", "abc"), workspaces.readable("sales", "abc")) == (["c"], ["a", "b"])
    workspaces.give("sales", "handbook", "test")
    assert workspaces.main("default", "handbook") is None
    workspaces.give("default", "b", "test")
    assert workspaces.readable("default", "abc") == ["b", "c"]
    workspaces.close()


class Shared(Accounts):
    """Accounts in a database that may be away."""

    away = False
    asked = 0

    def rows(self, sql: str, *values: Any) -> list[Any]:
        self.asked += 1
        if self.away:
            raise Unreachable("users and keys cannot be asked")
        return super().rows(sql, *values)


def test_while_the_database_is_away_what_was_read_last_holds_after_a_restart_too(tmp_path: Path) -> None:
    accounts, clock, copy = Shared(tmp_path / "people.sqlite"), Clock(), tmp_path / "data" / "owners.json"
    workspaces = Workspaces(accounts, clock=clock, copy=copy)
    workspaces.add("sales", "test")
    for kb in ("prices", "handbook"):
        workspaces.give("sales", kb, "test")
    assert workspaces.main("sales", "handbook") == "prices"
    accounts.away = True
    for machine in (workspaces, Workspaces(accounts, clock=clock, copy=copy)):
        clock.now += 60.0
        assert machine.main("sales", "handbook") == "prices"  # the first one given still
        assert machine.main("default", "handbook") is None
        before = accounts.asked
        assert machine.readable("default", ["prices", "own"]) == ["own"]
        assert accounts.asked == before, "nobody waits for it again at once"
    accounts.away = False
    clock.now += 60.0
    workspaces.give("default", "handbook", "test")
    assert workspaces.main("default", "handbook") == "handbook"
    accounts.close()


@pytest.mark.parametrize("text", [None, "[1]", "{half"])
def test_where_nobody_ever_read_whose_they_are_the_configured_one_answers(
    tmp_path: Path, text: str | None
) -> None:
    accounts, copy = Shared(tmp_path / "people.sqlite"), tmp_path / "owners.json"
    if text is not None:
        copy.write_text(text)
    accounts.away = True
    workspaces = Workspaces(accounts, clock=Clock(), copy=copy)
    assert workspaces.main("default", "handbook") == "handbook"
    with pytest.raises(Unreachable):
        workspaces.of("prices")
    with pytest.raises(Unreachable):
        workspaces.main("sales", "handbook")


def test_who_and_what_is_in_it_keeps_a_workspace(tmp_path: Path) -> None:
    people = People(tmp_path / "people.sqlite", Keys(f"env:viewer:{digest('env')}:sales"))
    spaces = people.workspaces
    for name in ("sales", "default", "No Name", "x" * 33):
        if name == "sales":
            spaces.add(name, "test")
        else:
            with pytest.raises(AccessError):
                spaces.add(name, "test")
    with pytest.raises(Unknown, match="no workspace 'nowhere'"):
        people.add_user("ada", "user", PASSWORD, "test", "nowhere")
    people.add_user("ada", "editor", PASSWORD, "test")
    session = people.sign_in("ada", PASSWORD, "here")
    people.move_user("ada", "sales", "test")
    assert people.session(session) == Person("ada", "editor", "sales")  # at once
    key = people.new_key("bot", "user", "test", "sales")
    assert people.person(key) == Person("bot", "user", "sales")
    assert people.person("env") == Person("env", "viewer", "sales")
    with pytest.raises(AccessError, match="still has 1 users, 1 keys and 0 knowledge bases"):
        spaces.remove("sales", "test")
    people.move_user("ada", "default", "test")
    people.revoke("bot", "test")
    spaces.remove("sales", "test")
    assert [space.name for space in spaces.list()] == ["default"]
    with pytest.raises(AccessError, match="cannot be removed"):
        spaces.remove("default", "test")
    assert not Person("eva", "admin", "sales").keeps("user") and Person("eva", "admin").keeps("admin")
    people.close()


# The tables as they were before there were workspaces.
KEYS = """
create table keys (name text primary key, role text not null, digest text not null unique,
    revoked integer not null default 0, created_at text not null)
"""
EXCHANGES = """
create table exchanges (turn_id text primary key, conversation_id text not null, user_id text not null,
    client_turn_id text, asked_at text not null, question text not null, answer text not null,
    outcome text not null, done text not null)
"""


def test_files_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    old, kept = tmp_path / "people.sqlite", tmp_path / "conversations.sqlite"
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute(KEYS)
        db.execute("insert into keys values ('ci', 'editor', ?, 0, '2026-01-01')", (digest("k"),))
    people = People(old, Keys(""))
    assert people.person("k") == Person("ci", "editor", "default")
    people.close()
    with closing(sqlite3.connect(kept, isolation_level=None)) as db:
        db.execute(EXCHANGES)
        row = ("t", "c", "ada", None, "2026-01-01", "Why?", "So.", "answered", "{}")
        db.execute("insert into exchanges values (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    for _ in range(2):  # a second opening changes nothing
        memory = Memory(kept)
        assert [message.text for message in memory.recall("ada", "c")] == ["Why?", "So."]
        assert memory.within("sales").conversation("ada", "c") is None
        assert memory.chosen("ada", "c") is None
        memory.close()


async def test_a_moved_person_leaves_conversations_links_and_facts_behind() -> None:
    pipeline = await make_pipeline(Scripted("It sleeps [1]."))
    answer, _ = await ask(pipeline, "My name is Ada. What does the lid do?", user_id="ada")
    assert isinstance(answer, Answer)
    while pipeline._chores:
        await next(iter(pipeline._chores))
    here, there = pipeline.memory, pipeline.memory.within("sales")
    token = here.history.share("ada", answer.conversation_id)
    assert token and here.history.shared(token) and here.facts("ada")
    assert there.history.shared(token) is None and there.facts("ada") == []
    assert there.history.conversations("ada") == [] and there.owner(answer.turn_id) is None
    assert not there.forget("ada", answer.conversation_id) and here.conversation(
        "ada", answer.conversation_id
    )
    assert not there.history.label("ada", answer.conversation_id, title="mine now")
    await pipeline.close()


async def test_a_conversation_goes_on_with_what_it_was_asked_from() -> None:
    pipeline = await make_pipeline(Scripted("It sleeps [1]."))
    await store(DOCUMENTS[1:2], "lids", pipeline.knowledge)
    fields = {"user_id": "ada", "conversation_id": "c"}
    first, _ = await ask(pipeline, "What does the lid do?", kb="lids", **fields)
    then, _ = await ask(pipeline, "And how does the laptop wake?", **fields)
    other, _ = await ask(pipeline, "What does the lid do?", user_id="ada")
    assert isinstance(first, Answer) and isinstance(then, Answer) and isinstance(other, Answer)
    assert (first.kb, then.kb, other.kb) == ("lids", "lids", "default")
    assert (
        {passage.kb for passage in then.passages} == {"lids"} == {citation.kb for citation in first.citations}
    )
    await pipeline.knowledge.remove("lids")
    after, _ = await ask(pipeline, "And how does the laptop wake?", **fields)
    assert isinstance(after, Answer) and after.kb == "default"  # it is gone
    await pipeline.close()


@pytest.fixture
def teams(tmp_path: Path) -> tuple[Settings, Settings, Settings]:
    """Return the settings of who works for `default`, for sales and for support."""
    people = build.people(load_settings(data_dir=tmp_path))
    for name in ("sales", "support"):
        people.workspaces.add(name, "test")
    people.close()
    return (
        load_settings(data_dir=tmp_path),
        load_settings(data_dir=tmp_path, workspace="sales"),
        load_settings(data_dir=tmp_path, workspace="support"),
    )


def new_prompt(settings: Settings, text: str) -> str:
    """Write a version of the answer prompt, put it in force and return its label."""
    prompts = shelving.library(settings)
    first = prompts.get("answer@v1")
    path = prompts.new("answer", first, first.text.replace("# system\n", f"# system\n{text}\n"))
    version = prompts.get(f"answer@{path.stem}")
    shelving.force(settings).change(version.label, version.fingerprint, action="promote", actor="test")
    return version.label


def test_a_version_of_one_workspace_is_none_of_another(teams: tuple[Settings, ...]) -> None:
    labels = [new_prompt(settings, f"You serve team {place}.") for place, settings in enumerate(teams)]
    assert len(set(labels)) == 3  # so a label names one version everywhere: in turns, charts and canaries
    for settings, own in zip(teams, labels, strict=True):
        listed = {version.label for version in shelving.library(settings).versions()}
        assert listed & set(labels) == {own} and "answer@v1" in listed
        assert shelving.force(settings).label("answer") == own
        for other in set(labels) - {own}:
            with pytest.raises(PromptError, match=f"there is no prompt '{other}'"):
                shelving.library(settings).get(other)


async def test_each_asks_with_the_prompt_of_its_own_workspace(teams: tuple[Settings, ...]) -> None:
    labels = [new_prompt(settings, f"You serve team {place}.") for place, settings in enumerate(teams)]
    model = Scripted(*["It goes to sleep [1]."] * 9)
    pipeline = await make_pipeline(model, data_dir=teams[0].data_dir)
    for kb, workspace in (("s", "sales"), ("t", "support")):
        pipeline.workspaces.give(workspace, kb, "test")
        await store(DOCUMENTS, kb, pipeline.knowledge)
    for place, workspace in enumerate(("default", "sales", "support")):
        who = {"user_id": "ada", "workspace": workspace}
        answer, _ = await ask(pipeline, "What does the lid of a laptop do?", **who)
        assert isinstance(answer, Answer) and answer.outcome == "answered", answer
        assert f"You serve team {place}." in model.prompts[-1].render()
        theirs = labels[(place + 1) % 3]
        asked, _ = await ask(pipeline, "And the lid of a desk?", **who, prompts={"answer": theirs})
        assert not isinstance(asked, Answer) or asked.outcome != "answered"
    await pipeline.close()


async def test_commands_of_a_workspace_use_its_prompts_documents_and_sets(
    teams: tuple[Settings, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, sales, _ = teams
    with pytest.raises(ConfigurationError, match="'sales' has no knowledge base yet"):
        build.build(sales)
    with pytest.raises(ConfigurationError, match="there is no workspace 'nowhere'"):
        build.build(sales.model_copy(update={"workspace": "nowhere"}))
    label = new_prompt(sales, "You sell.")
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(sales.data_dir))
    monkeypatch.setenv("ANSWERDECK_WORKSPACE", "sales")
    owners = shelving.workspaces(sales)
    owners.give("sales", "offers", "test")
    owners.close()
    pipeline = build.build(
        load_settings(), gateway=Gateway([Scripted("It sleeps [1].")], Extractive(), prices=Prices())
    )
    await store(DOCUMENTS, "offers", pipeline.knowledge)
    answer, _ = await ask(pipeline, "What does the lid of a laptop do?", door="eval")
    assert isinstance(answer, Answer)
    turn = recorded(pipeline, answer.turn_id).turn
    assert (turn.prompt, turn.workspace, turn.kb) == (label, "sales", "offers")
    await pipeline.close()
    team.save("prices", [{"id": "1", "question": "How much?"}], {"title": "Prices"})
    gated.choose(load_settings(), ["prices"])
    assert "prices" in {row.name for row in list_sets()} and load_settings().gate.evalsets == ["prices"]
    for name in ("default", "support"):
        monkeypatch.setenv("ANSWERDECK_WORKSPACE", name)
        assert "prices" not in {row.name for row in list_sets()}
        assert load_settings().gate.evalsets == ["demo"]
        with pytest.raises(EvalsetError, match="no evalset 'prices'"):
            load_evalset("prices")
    with pytest.raises(AccessError, match="1 knowledge bases"):
        build.people(load_settings()).workspaces.remove("sales", "test")


def test_what_a_workspace_wrote_is_not_left_to_the_next_of_its_name(teams: tuple[Settings, ...]) -> None:
    new_prompt(teams[1], "You sell.")
    spaces = shelving.workspaces(teams[0])
    with pytest.raises(AccessError, match="still has prompts or evalsets in 'sales'"):
        spaces.remove("sales", "test")
    shutil.rmtree(teams[1].own.path)
    spaces.remove("sales", "test")
    spaces.close()
