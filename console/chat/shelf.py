"""The list of a reader's conversations, and what can be done with one: find, name, pin, share."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial

from markupsafe import Markup

from console.chat import history
from console.chat.archive import Archive
from console.chat.history import Link
from console.chat.reader import Reader
from pipeline.guardrails.folding import clean

KEPT = 2000  # tabs whose search is remembered
LISTED = 100  # conversations


class ConversationShelf:
    """Draws the list for each tab, as its reader searched it last."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._searches: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def drawer(self, reader: Reader, conversation: str, link: Link | None = None) -> Markup | None:
        """Return the list with one conversation as the current one; None while it cannot be read."""
        search = self._searches.get((reader.user_id, reader.tab), "")
        listing = self._archive.of(reader).history.conversations
        conversations = await self._archive.call(reader, listing, reader.user_id, LISTED, search)
        if conversations is None:
            return None
        return history.drawer(
            conversations,
            conversation,
            datetime.now(UTC).date(),
            reader.login,
            search=search,
            link=link,
            tongue=reader.tongue,
        )

    def search(self, reader: Reader, text: str) -> None:
        """List only the conversations that have these words, until the search is emptied."""
        key = (reader.user_id, reader.tab)
        self._searches.pop(key, None)
        if text := clean(text).strip()[:200]:
            self._searches[key] = text
        while len(self._searches) > KEPT:
            self._searches.popitem(last=False)

    async def rename(self, reader: Reader, conversation: str, name: str) -> None:
        label = partial(self._archive.of(reader).history.label, title=clean(name))
        await self._archive.call(reader, label, reader.user_id, conversation)

    async def pin(self, reader: Reader, conversation: str, *, pinned: bool) -> None:
        label = partial(self._archive.of(reader).history.label, pinned=pinned)
        await self._archive.call(reader, label, reader.user_id, conversation)

    async def share(self, reader: Reader, conversation: str) -> Link | None:
        """Make a link to the conversation as it is now; None when there is no such one."""
        share = self._archive.of(reader).history.share
        token = await self._archive.call(reader, share, reader.user_id, conversation)
        return None if token is None else Link(conversation, f"shared/{token}")

    async def unshare(self, reader: Reader, conversation: str) -> Link | None:
        """End all links to the conversation; None when that cannot be done now."""
        unshare = self._archive.of(reader).history.unshare
        ended = await self._archive.call(reader, unshare, reader.user_id, conversation)
        return None if ended is None else Link(conversation, None)
