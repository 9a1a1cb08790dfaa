"""Workspaces: what belongs to whom, what moves along, and files of an earlier version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.accounts import AccessError, Accounts
from pipeline.auth import Keys, Person, digest
from pipeline.context.memory import Memory
from pipeline.events import Answer
from pipeline.knowledge.ingest import store
from pipeline.models.scripted import Scripted
from pipeline.people import People
from pipeline.workspaces import Workspaces
from tests.pipeline.turns import DOCUMENTS, ask, make_pipeline
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
