"""Makes the documents of an evalset searchable, in a knowledge base of their own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from evalsets.cases import jsonl
from evalsets.cases.evalset import Evalset, EvalsetError
from pipeline.knowledge import ingest
from pipeline.knowledge.documents import Document

if TYPE_CHECKING:
    from pipeline.knowledge.index import Knowledge
    from pipeline.knowledge.ingest import Progress

SAMPLE_KB = "sample"


async def prepare(evalset: Evalset, knowledge: Knowledge, progress: Progress | None = None) -> str | None:
    """Return the knowledge base to ask, indexing the evalset's documents first when it brings any.

    None means the one in force. A corpus is indexed under a name made of its own content and the
    embedder, so that a second run finds it ready and an interrupted one goes on.
    """
    if evalset.kb is not None:
        return await _warmed(evalset.kb, knowledge)
    if evalset.sample:
        await ingest.ensure_sample(knowledge, SAMPLE_KB, progress)
        return await _warmed(SAMPLE_KB, knowledge)
    if evalset.corpus is None:
        return None
    digest = hashlib.sha256(evalset.corpus.read_bytes() + knowledge.embedder.fingerprint.encode())
    kb = f"eval-{digest.hexdigest()[:12]}"
    problems: list[str] = []
    documents = [
        Document(
            str(row.get("_id", row.get("id"))),
            row.get("title") or "",
            row.get("text") or "",
            row.get("url") or "",
        )
        for _, row in jsonl.objects(evalset.corpus, problems)
    ]
    if problems:
        raise EvalsetError(problems)
    await ingest.store(documents, kb, knowledge, progress)
    return await _warmed(kb, knowledge)


async def _warmed(kb: str, knowledge: Knowledge) -> str:
    """Load what the first question would otherwise wait for, so that its time is like the others'."""
    await knowledge.embedder.embed_query("warm up")
    await knowledge.open(kb)
    return kb
