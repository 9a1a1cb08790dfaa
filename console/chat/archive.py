"""What is kept of conversations, as the page reads and changes it: beside the event loop, calm when away."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from console.chat.exchange import Exchange, recorded
from console.chat.reader import Reader
from pipeline.context.memory import Memory
from pipeline.errors import ConversationsError

log = logging.getLogger(__name__)
T = TypeVar("T")
LATEST = 100  # conversations as they were read last, to be shown while they cannot be read
NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


@dataclass(frozen=True, slots=True)
class Filed:
    """One conversation as it is kept."""

    turns: Sequence[Exchange] = ()
    versions: Mapping[str, Sequence[str]] | None = None  # set aside, by the turn after which they part
    facts: frozenset[str] = frozenset()  # ids of what is remembered of the reader


class Archive:
    """Reads and changes conversations for readers; what was read last stands in while they are away."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.away = False  # the last call failed
        self._latest: OrderedDict[tuple[str, str, str], Filed] = OrderedDict()

    def of(self, reader: Reader) -> Memory:
        """Return the conversations of the reader's workspace."""
        return self._memory.within(reader.workspace)

    async def filed(self, reader: Reader, conversation: str) -> Filed:
        """Return one of the reader's conversations; nothing when it is not theirs."""
        if not NAME.match(conversation):
            return Filed()
        key = (reader.workspace, reader.user_id, conversation)
        filed = await self.call(reader, _read, self.of(reader), reader.user_id, conversation)
        if filed is None:
            return self._latest.get(key, Filed())
        self._latest[key] = filed
        self._latest.move_to_end(key)
        while len(self._latest) > LATEST:
            self._latest.popitem(last=False)
        return filed

    def drop(self, reader: Reader, conversation: str) -> None:
        """Let nothing stand in for a conversation that was deleted."""
        self._latest.pop((reader.workspace, reader.user_id, conversation), None)

    async def call(self, reader: Reader, method: Callable[..., T], *values: Any) -> T | None:
        """Call what reads or changes conversations; None while they cannot be used."""
        try:
            result = await self.of(reader).ask(method, *values)
        except ConversationsError as error:
            if not self.away:
                log.warning("the chat page goes on without the conversations: %s", error)
            self.away = True
            return None
        self.away = False
        return result


def _read(memory: Memory, user_id: str, conversation: str) -> Filed:
    turns = memory.conversation(user_id, conversation) or []
    facts = memory.facts(user_id) if any(turn.get("memory") for turn in turns) else []
    return Filed(
        tuple(map(recorded, turns)),
        memory.history.versions(user_id, conversation),
        frozenset(fact.fact_id for fact in facts),
    )
