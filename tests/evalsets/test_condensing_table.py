"""The table of condensing: a follow-up finds its page once its topic is named, by rules or by a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from evalsets.condensing_table import FollowUp, follow_ups, row
from evalsets.retrieval_table import ShelfInMemory, shelve
from pipeline.events import Message
from pipeline.knowledge.embedding import MiniLM
from tests.fake_embedder import WordEmbedder

TEXTS = {
    "kettle": "The kettle holds two litres.",
    "bread": "The toaster browns bread.",
    "lamp": "The lamp takes a small bulb.",
    **{f"other{n}": f"Drawer {n} holds spoons that hold much of it." for n in range(6)},
}


async def test_a_line_compares_last_question_rules_and_rewrites(tmp_path: Path) -> None:
    rows = [{"id": name, "title": "", "text": text} for name, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    embedder = cast("MiniLM", WordEmbedder())
    standing = ShelfInMemory(await shelve(tmp_path / "corpus.jsonl", embedder), embedder)
    history = (Message("user", "Where is the kettle?"), Message("assistant", "In the kitchen."))
    case = FollowUp("How much can it hold?", history, "How many litres are two?", frozenset({"kettle"}))
    line = await row("own", standing, [case, case], None)
    _, name, last, rules, people, _ = line.split("|")
    assert name == " own (2) "
    assert last.startswith(" 0.000")
    assert rules.startswith(" 1.000")
    assert "+1.000" in people


def test_follow_ups_are_read_with_their_history(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nb\tkettle\t1\n")
    said = [{"role": "user", "text": "Kettles?"}, {"role": "agent", "text": "Yes."}]
    tasks = [
        {"id": "a", "question": "Kettles?", "rewrite": "Kettles?", "history": []},
        {"id": "b", "question": "How big?", "rewrite": "How big are kettles?", "history": said},
    ]
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    [task] = follow_ups(tmp_path)
    assert (task.history[1].role, task.rewritten, task.relevant) == (
        "assistant",
        "How big are kettles?",
        {"kettle"},
    )
    (tmp_path / "tasks.jsonl").unlink()
    turns = [
        {"user": "Kettles?", "standalone": "Kettles?", "relevant": ["kettle"]},
        {"user": "How big?", "standalone": "How big are kettles?", "relevant": ["kettle"]},
    ]
    (tmp_path / "conversations.jsonl").write_text(json.dumps({"turns": turns}) + "\n")
    [turn] = follow_ups(tmp_path)
    assert (turn.question, turn.history) == ("How big?", (Message("user", "Kettles?"),))
