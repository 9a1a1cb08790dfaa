from pathlib import Path

import pytest

from pipeline.context.memory import Memory
from pipeline.errors import Refused
from pipeline.events import Answer, Message
from traces.ids import uuid7


def done(conversation: str, answer: str = "Yes [1].") -> Answer:
    return Answer(uuid7(), conversation, "answered", answer, (), (), {}, 0.0, 0.1, 0.2)


def test_recall_gives_the_last_turns_oldest_first(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite", turns=2)
    for number in range(4):
        memory.remember("ada", None, f"q{number}", done("c1", f"a{number}"))
    assert memory.recall("ada", "c1") == (
        Message("user", "q2"),
        Message("assistant", "a2"),
        Message("user", "q3"),
        Message("assistant", "a3"),
    )


def test_recall_stays_within_the_token_budget(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite", turns=6, tokens=60)
    memory.remember("ada", None, "old", done("c1", "x" * 400))
    memory.remember("ada", None, "new", done("c1", "short"))
    assert [message.text for message in memory.recall("ada", "c1")] == ["new", "short"]


def test_nobody_sees_or_deletes_anothers_conversation(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    memory.remember("ada", None, "secret", done("c1"))
    with pytest.raises(Refused) as refused:
        memory.recall("eve", "c1")
    assert refused.value.status == 404
    assert memory.conversation("eve", "c1") is None
    assert memory.history.conversations("eve") == []
    assert memory.forget("eve", "c1") is False
    assert memory.conversation("ada", "c1") is not None


def test_conversations_survive_a_restart_and_show_their_first_question(tmp_path: Path) -> None:
    first = Memory(tmp_path / "c.sqlite")
    first.remember("ada", "k1", "How do I print?", done("c1"))
    first.remember("ada", "k2", "And in colour?", done("c1"))
    first.close()
    again = Memory(tmp_path / "c.sqlite")
    (listed,) = again.history.conversations("ada")
    assert (listed["title"], listed["turns"]) == ("How do I print?", 2)
    turns = again.conversation("ada", "c1") or []
    assert [turn["question"] for turn in turns] == ["How do I print?", "And in colour?"]


def test_the_same_client_id_gives_the_same_turn_to_its_user_only(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    answer = done("c1")
    memory.remember("ada", "k1", "q", answer)
    memory.remember("ada", "k1", "q again", done("c1"))
    repeated = memory.repeated("ada", "k1") or {}
    assert repeated["turn_id"] == answer.turn_id
    assert memory.repeated("eve", "k1") is None
    assert len(memory.conversation("ada", "c1") or []) == 1


def test_a_damaged_file_is_put_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"this is not a database, but long enough to look like one" * 20)
    memory = Memory(path)
    assert memory.quarantined is not None
    assert memory.quarantined.read_bytes().startswith(b"this is not")
    memory.remember("ada", None, "q", done("c1"))
    assert memory.history.conversations("ada")


def test_forget_and_erase(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "c.sqlite")
    for conversation in ("c1", "c2", "c2"):
        memory.remember("ada", None, "q", done(conversation))
    assert memory.forget("ada", "c1") is True
    assert memory.erase("ada") == 2
    assert memory.history.conversations("ada") == []
