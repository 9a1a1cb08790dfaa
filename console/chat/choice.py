"""What a tab is asked from: the knowledge base its reader chose, and the documents its reader brought."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from markupsafe import Markup

from console.chat import markup
from console.chat.archive import Archive
from console.chat.reader import Reader
from pipeline import notices
from pipeline.knowledge.reading.files import FILE_KINDS
from pipeline.own_documents.spaces import Spaces

KEPT = 2000  # tabs whose choice is remembered


class Choice:
    """Draws what can be chosen. A conversation that goes on keeps to what it was asked from last."""

    def __init__(self, pipeline: Any, archive: Archive) -> None:
        self._pipeline, self._archive = pipeline, archive
        self._spaces: Spaces | None = pipeline.spaces
        self._bases: dict[str, list[str]] = {}  # by workspace, the main one first
        self._chosen: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def look(self, reader: Reader) -> None:
        """Look which knowledge bases the reader may read now."""
        self._bases[reader.workspace] = await self._pipeline.bases(reader.workspace)

    def choose(self, reader: Reader, kb: str) -> None:
        """Ask this knowledge base from now on; one that is not the reader's to read changes nothing."""
        self.leave(reader)
        if kb in self._bases.get(reader.workspace, ()):
            self._chosen[reader.user_id, reader.tab] = kb
        while len(self._chosen) > KEPT:
            self._chosen.popitem(last=False)

    def leave(self, reader: Reader) -> None:
        """Forget what was chosen: the tab turns to another conversation."""
        self._chosen.pop((reader.user_id, reader.tab), None)

    def kb(self, reader: Reader) -> str | None:
        """Return what was chosen in the tab, while it may be read still; None: what answers by itself."""
        kb = self._chosen.get((reader.user_id, reader.tab))
        return kb if kb is not None and self._pipeline.readable(reader.workspace, kb) else None

    async def drawn(self, reader: Reader, conversation: str) -> Markup:
        """Return what can be chosen, and that the conversations cannot be reached; nothing without either."""
        bases, chosen = self._bases.get(reader.workspace, []), self.kb(reader)
        if chosen is None and conversation:
            memory = self._archive.of(reader)
            chosen = await self._archive.call(reader, memory.chosen, reader.user_id, conversation)
        own = await self._own(reader)
        shown = {"bases": bases, "chosen": chosen, "tongue": reader.tongue, "away": self._archive.away}
        return markup.render("choice.html", **shown, **own)

    async def discard(self, reader: Reader, document_id: str) -> None:
        """Remove one of the reader's documents."""
        if self._spaces is not None:
            await self._spaces.remove(reader.user_id, reader.workspace, document_id)

    async def _own(self, reader: Reader) -> dict[str, Any]:
        """Return what is shown of the reader's documents."""
        if self._spaces is None:
            return {"own": False}
        listing = self._spaces.listed
        uploads = await self._archive.call(reader, listing, reader.user_id, reader.workspace) or []
        files = [
            {
                "id": upload.upload_id,
                "name": upload.name,
                "state": upload.state,
                "pages": upload.pages,
                "sentence": notices.spoken(self._spaces.sentence(upload) or "", reader.tongue),
            }
            for upload in uploads
        ]
        busy = any(upload.state in ("waiting", "reading") for upload in uploads)
        return {"own": True, "files": files, "busy": busy, "kinds": FILE_KINDS.replace(" ", ",")}
