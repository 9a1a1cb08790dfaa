"""Deletes from the disk what a knowledge base no longer holds: versions, rows and words in its indexes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.knowledge import versions
from pipeline.knowledge.tables import plainly

if TYPE_CHECKING:
    from pipeline.knowledge.index import Knowledge

MOMENT = timedelta(milliseconds=2)  # LanceDB warns of 0, which means the same


async def purge(knowledge: Knowledge, kb: str) -> None:
    """Write the rows in force and their indexes anew; no version stays to go back to."""
    async with knowledge.writing(kb):
        table = await knowledge.table(kb)
        with plainly(kb):
            await table.update(where="true", updates_sql={"title": "title"})  # every row moves
            for index in await table.list_indices():
                await table.drop_index(index.name)
        await knowledge.release(kb)
        table = await knowledge.table(kb)
        with plainly(kb):
            for tag in (await versions.tagged(table))[:-1]:
                await table.tags.delete(tag.name)
            await asyncio.sleep(2 * MOMENT.total_seconds())
            await table.optimize(cleanup_older_than=MOMENT, delete_unverified=True)
