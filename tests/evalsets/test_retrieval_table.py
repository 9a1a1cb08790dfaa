"""The table of retrieval: every way orders the same documents, and the right one leads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from evalsets import retrieval_table
from evalsets.retrieval_table import WAYS, LabelledQuestion, ShelfInMemory
from pipeline.knowledge.embedding import MiniLM
from tests.fake_embedder import WordEmbedder

TEXTS = {
    "kettle": "The kettle holds two litres. Descale it with vinegar.",
    "toaster": "The toaster browns bread. Empty its crumb tray.",
    "lamp": "The lamp takes a small bulb. Switch it off before you change it.",
}


@pytest.fixture
async def standing(tmp_path: Path) -> ShelfInMemory:
    rows = [{"id": name, "title": name.title(), "text": text} for name, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    embedder = cast("MiniLM", WordEmbedder())
    return ShelfInMemory(await retrieval_table.shelve(tmp_path / "corpus.jsonl", embedder), embedder)


async def test_every_way_finds_the_document_that_has_the_words(standing: ShelfInMemory) -> None:
    found = await retrieval_table.orders(standing, "How do I descale the kettle?")
    assert found.keys() == set(WAYS)
    assert {documents[0] for documents in found.values()} == {"kettle"}


async def test_a_line_has_recall_with_its_interval_and_gain(standing: ShelfInMemory) -> None:
    cases = [
        LabelledQuestion("Descale the kettle", frozenset({"kettle"})),
        LabelledQuestion("bread", frozenset({"nowhere"})),
    ]
    line = await retrieval_table.row("ours", standing, cases)
    assert line.startswith("| ours (2) | 0.500 (0.09 to 0.91) / 0.500 |")
    assert line.count("|") == len(WAYS) + 2


def test_relevant_documents_come_from_the_qrels(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\n")
    rows = [{"id": "q1", "text": "Why?", "rewrite": "Why is it so?"}, {"id": "q2", "text": "Who?"}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert retrieval_table.beir(tmp_path, "rewrite") == [LabelledQuestion("Why is it so?", frozenset({"a"}))]
