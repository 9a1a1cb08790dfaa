"""What is done with a running pipeline beside asking it: feedback, its state, stopping and closing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from pipeline import notices
from pipeline.auth import DEFAULT
from pipeline.breaker import Breaker, BreakerReport, Policy
from pipeline.breakers import reports
from pipeline.errors import KnowledgeError, Refused
from pipeline.steps.alarm import Alarms
from pipeline.steps.backlog import Backlog
from pipeline.steps.parts import Parts
from traces.errors import JournalError
from traces.ids import uuid7
from traces.records import Score, Trace

log = logging.getLogger(__name__)
JOURNAL = Policy(minimum_calls=3, slow_seconds=1.0, open_seconds=2.0, longest_open_seconds=15.0)


class Operations:
    """Holds the parts of a pipeline; they are given once and never replaced."""

    def __init__(self, parts: Parts) -> None:
        self.rules: Final = parts.rules
        self.prompts: Final = parts.prompts
        self.force: Final = parts.force
        self.shelves: Final = parts.shelves
        self.quota: Final = parts.quota
        self.admission: Final = parts.admission
        self.budget: Final = parts.budget
        self.trials: Final = parts.trials  # what evals and replays may spend; never the people's
        self.inbound: Final = parts.inbound
        self.planted: Final = parts.planted
        self.memory: Final = parts.memory
        self.condenser: Final = parts.condenser
        self.retriever: Final = parts.retriever
        self.gateway: Final = parts.gateway
        self.outbound: Final = parts.outbound
        self.knowledge: Final = parts.knowledge
        self.store: Final = parts.store
        self.wholes: Final = parts.wholes
        self.workspaces: Final = parts.workspaces
        self.spaces: Final = parts.spaces
        self.registry: Final = parts.breakers
        self.keeping: Final = parts.keeping
        self.mirror: Final = parts.mirror
        self.news: Final = parts.news
        self.journal: Final = parts.journal
        self.backlog: Final = Backlog(parts.journal, parts.breakers.get("journal", JOURNAL))
        self.observers: Final[list[Callable[[Trace], None]]] = []  # shown each turn's trace, at its end
        self._alarms = Alarms()
        self._chores: set[asyncio.Task[None]] = set()  # what turns left to do after their end
        self._clock = parts.clock

    @property
    def stopping(self) -> bool:
        """Whether no more turns are accepted."""
        return self._alarms.stopping

    @property
    def unrecorded(self) -> int:
        """Records that are not in the journal, a full disk for example: lost or waiting for it."""
        return self.backlog.lost + self.backlog.held

    @property
    def running(self) -> int:
        """How many turns are under way."""
        return self.admission.running

    async def feedback(
        self,
        turn_id: str,
        user_id: str,
        value: int,
        comment: str | None = None,
        tags: list[str] | None = None,
        workspace: str = DEFAULT,
    ) -> Score:
        """Record a thumb (1 or -1) on one of the user's own turns; raises Refused (404) otherwise."""
        memory = self.memory.within(workspace)
        if await memory.ask(memory.owner, turn_id) != user_id:
            raise Refused("turn_not_found", f"There is no turn {turn_id!r} of yours.", status=404)
        score = Score(
            score_id=uuid7(),
            turn_id=turn_id,
            name="feedback",
            value=float(value),
            source="user",
            created_at=datetime.now(UTC),
            reason=comment or None,
            tags=",".join(tags) if tags else None,
            user_id=user_id,
        )
        try:
            self.journal.write(score)
        except JournalError as error:
            log.error("feedback could not be recorded: %s", error)
            raise Refused("store_unwritable", notices.NOT_KEPT, status=503, retry_after=5.0) from None
        return score

    def readable(self, workspace: str, kb: str) -> bool:
        """Tell whether there is such a knowledge base and the people of the workspace may read it."""
        try:
            return self.workspaces.of(kb) == workspace and self.knowledge.exists(kb)
        except KnowledgeError:  # no name for one
            return False

    async def offers(self, workspace: str, kb: str) -> bool:
        """Tell what `readable` does; others need not wait meanwhile for a silent object store."""
        await self.knowledge.look(kb)
        return self.readable(workspace, kb)

    async def bases(self, workspace: str) -> list[str]:
        """Return the knowledge bases that the people of a workspace may read, its main one first."""
        names = self.workspaces.readable(workspace, await self.knowledge.names())
        main = self.workspaces.main(workspace, self.rules.kb)
        return sorted(names, key=lambda name: (name != main, name))

    def breakers(self) -> dict[str, Breaker]:
        """Return the breakers of all dependencies by name."""
        return {**self.gateway.breakers, **self.registry.by_name}

    def report(self) -> list[BreakerReport]:
        """Return the state of all breakers."""
        return reports(self.breakers())

    async def drain(self, seconds: float) -> int:
        """Accept no more turns, let those under way end within `seconds`, then cut them short.

        Returns how many had to be cut; each of them still tells its user and is recorded.
        """
        return await self._alarms.stop(seconds)

    async def close(self) -> None:
        """Flush and close what the pipeline holds open."""
        await asyncio.gather(*self._chores, return_exceptions=True)
        if self.spaces is not None:
            await self.spaces.close()
        if self.mirror is not None:
            self.mirror.close()
        if self.news is not None:
            self.news.close()
        if self.keeping is not None:
            self.keeping.close()
        self.backlog.close()
        await self.gateway.close()
        await self.retriever.close()
        if close := getattr(self.knowledge.embedder, "close", None):
            close()
        self.budget.spending.close()
        self.trials.spending.close()
        self.quota.close()
        self.memory.close()
        self.workspaces.close()
        self.journal.close()
