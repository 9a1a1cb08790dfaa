"""Gives the passages of a knowledge base the expansions they lack."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pipeline.knowledge.chunking import Chunk
from pipeline.knowledge.expansion import Expander
from pipeline.knowledge.shelf import EXPANSION
from pipeline.knowledge.tables import lacking, plainly

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

    from pipeline.knowledge.index import Knowledge

log = logging.getLogger(__name__)
ROWS = 128  # expanded and stored at a time


def expander(knowledge: Knowledge, chunks: int) -> Expander | None:
    """Return what expands the passages of a knowledge base with so many chunks; None where nothing does."""
    choice = knowledge.expander
    return None if choice is None or chunks > knowledge.memory_chunks or choice.trouble else choice


async def complete(knowledge: Knowledge, kb: str) -> bool:
    """Expand the passages that lack it; say whether those in force do, so that a release is due.

    What was expanded before an interruption stays. Only for who is writing the knowledge base.
    """
    table = await knowledge.table(kb)
    with plainly(kb):
        use = expander(knowledge, await table.count_rows())
    if use is None:
        return False
    table = await knowledge.completed(kb)
    with plainly(kb):
        if (count := await lacking(table)) > ROWS:
            log.warning("%d passages of %r get the words they are about, 30 a second", count, kb)
        while rows := (await _lacking(table).limit(ROWS).to_arrow()):
            await _expand(table, rows, use)
        return await lacking(await knowledge.in_force(kb)) > 0


def _lacking(table: AsyncTable) -> Any:
    return table.query().where(f"{EXPANSION} IS NULL")


async def _expand(table: AsyncTable, rows: Any, use: Expander) -> None:
    import pyarrow as pa

    texts = [
        Chunk("", "", title, "", text, 0, ()).embedded[0]
        for title, text in zip(rows["title"].to_pylist(), rows["text"].to_pylist(), strict=True)
    ]
    expansions = await asyncio.to_thread(use.expand, texts)
    place = rows.schema.get_field_index(EXPANSION)
    rows = rows.set_column(place, rows.schema.field(place), pa.array(expansions, pa.binary()))
    await table.merge_insert("chunk_id").when_matched_update_all().execute(rows)
