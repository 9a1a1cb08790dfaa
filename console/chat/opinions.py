"""What readers say about answers, and whether they asked for a person; a while after it was said."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from console.chat.archive import Archive
from console.chat.contact import hand_over
from console.chat.exchange import Exchange
from console.chat.reader import Reader
from console.chat.thread import REASONS, Contact, Rating
from pipeline.errors import ConversationsError, Refused
from pipeline.guardrails.inbound import clean

log = logging.getLogger(__name__)
KEPT = 2000  # ratings, and handed over conversations
LONGEST = 2000  # characters of what a reader writes


class Opinions:
    """Thumbs, comments and calls for a person, by turn."""

    def __init__(self, pipeline: Any, archive: Archive, webhook: str | None) -> None:
        self._pipeline, self._archive, self._webhook = pipeline, archive, webhook
        self._ratings: OrderedDict[str, Rating] = OrderedDict()
        self._contacts: OrderedDict[str, Contact] = OrderedDict()

    def rating(self, turn_id: str) -> Rating | None:
        """Return what was said about a turn."""
        return self._ratings.get(turn_id)

    def contact(self, exchange: Exchange) -> Contact | None:
        """Return how far a call for a person came; None where nobody can be called."""
        if self._webhook is None or exchange.state != "done":
            return None
        return self._contacts.get(exchange.turn_id, "offered")

    def close(self, turn_id: str) -> None:
        """Close the form of a thumb down; the thumb stays."""
        if self._ratings.get(turn_id) == "asking":
            self._rated(turn_id, "down")

    async def rate(self, reader: Reader, turn_id: str, value: str) -> None:
        """Record a thumb; a thumb down asks what was wrong."""
        rating: Rating = "up" if value == "up" else "asking"
        await self._feedback(reader, turn_id, rating, 1 if value == "up" else -1)

    async def comment(self, reader: Reader, turn_id: str, tags: Sequence[str], comment: str) -> None:
        """Record what was wrong with an answer."""
        chosen = [tag for tag in REASONS if tag in tags]
        text = clean(comment).strip()[:LONGEST] or None
        await self._feedback(reader, turn_id, "thanked", -1, text, chosen or None)

    async def call(self, reader: Reader, conversation: str, turn_id: str, value: str, message: str) -> None:
        """Open or close the form to a person, or hand the conversation over with a message."""
        if self._webhook is None:
            return
        memory, whose = self._archive.of(reader), (reader.user_id, conversation)
        turns = await self._archive.call(reader, memory.conversation, *whose)
        if not turns or turn_id not in {turn["turn_id"] for turn in turns}:
            return
        if value:
            state: Contact = "open" if value == "open" else "offered"
        else:
            title = await self._archive.call(reader, memory.history.title, *whose) or ""
            letter = (self._webhook, *whose, title, clean(message).strip()[:LONGEST], turns)
            state = "sent" if await asyncio.to_thread(hand_over, *letter) else "failed"
        _keep(self._contacts, turn_id, state)

    def _rated(self, turn_id: str, rating: Rating) -> None:
        _keep(self._ratings, turn_id, rating)

    async def _feedback(self, reader: Reader, turn_id: str, rating: Rating, value: int, *words: Any) -> None:
        """Record a thumb, with a comment and tags or without."""
        comment, tags = words or (None, None)
        try:
            await self._pipeline.feedback(turn_id, reader.user_id, value, comment, tags, reader.workspace)
        except (Refused, ConversationsError) as error:
            log.warning("feedback on turn %s not accepted: %s", turn_id, error)
            if isinstance(error, Refused) and error.status == 404:  # it is not the reader's
                return
            rating = "failed"
        self._rated(turn_id, rating)


def _keep(held: OrderedDict[str, Any], key: str, value: str) -> None:
    """Keep a value as the newest; the oldest go once there are too many."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > KEPT:
        held.popitem(last=False)
