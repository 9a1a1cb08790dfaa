"""Which knowledge bases go whole into the prompt, and as a model may read them."""

from __future__ import annotations

from pipeline.context.whole import everything
from pipeline.errors import KnowledgeError
from pipeline.guardrails.planted import Planted
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.shelf import Shelf


class Wholes:
    """The small knowledge bases, each read and looked at once a version."""

    def __init__(self, knowledge: Knowledge, planted: Planted, budget: int) -> None:
        self.budget = budget  # tokens; 0: never
        self._knowledge = knowledge
        self._planted = planted
        self._kept: dict[str, tuple[str, tuple[RetrievedChunk, ...] | None]] = {}

    async def of(self, retrieved: Retrieved) -> tuple[RetrievedChunk, ...] | None:
        """Return the whole of the version that was searched; None when it is too large or newer by now."""
        kb, version = retrieved.kb, retrieved.index_version
        if not self.budget or version is None:
            return None
        if kb not in self._kept or self._kept[kb][0] != version:
            try:
                shelf = await self._knowledge.open(kb)
            except KnowledgeError:
                return None
            if shelf.version != version:
                return None
            self._kept[kb] = version, await self._read(retrieved, shelf)
        return self._kept[kb][1]

    async def _read(self, retrieved: Retrieved, shelf: Shelf) -> tuple[RetrievedChunk, ...] | None:
        passages = await everything(shelf, self.budget, retrieved.kb)
        if passages is None:
            return None
        whole = Retrieved("", None, passages, retrieved.kb, retrieved.index_version, retrieved.embedder)
        return self._planted.look(whole, len(passages))[0].candidates
