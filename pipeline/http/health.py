"""Whether this process can answer, and what stands in its way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pipeline.prompts.choice import trouble

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

log = logging.getLogger(__name__)
_FRESH_SECONDS = 2.0
NOTED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A thing that a turn depends on; `detail` says what is wrong."""

    name: str
    state: Literal["ok", "degraded", "down"]
    detail: str | None


@dataclass(frozen=True, slots=True)
class KnowledgeState(Dependency):
    """The knowledge base in force."""

    version: str | None
    documents: int


class Health:
    """Looks at each thing a turn depends on; an answer is good for two seconds."""

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float] = time.monotonic) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._prepared = False
        self._lock = asyncio.Lock()
        self._seen: tuple[float, list[Dependency]] | None = None

    async def prepare(self, work: Callable[[Pipeline], Awaitable[None]] | None) -> None:
        """Run what must be done once after the start; ready from then on, whatever came of it."""
        try:
            if work is not None:
                await work(self._pipeline)
        except Exception:  # the boundary of a start: the chat must come up, /readyz says what is wrong
            log.exception("the preparation after the start failed")
        finally:
            self._prepared, self._seen = True, None

    async def report(self, *, details: bool) -> dict[str, Any]:
        """Return the state of each dependency and breaker; what is wrong only with details."""
        async with self._lock:
            if self._seen is None or self._clock() - self._seen[0] > _FRESH_SECONDS:
                parts = [await self._knowledge(), await asyncio.to_thread(self._traces), self._prompts()]
                self._seen = (self._clock(), parts)
        dependencies = self._seen[1]
        parts = [asdict(part) for part in dependencies]
        reports = self._pipeline.report()
        breakers = [report.to_dict() for report in reports]
        if not details:
            parts = [{"name": part.name, "state": part.state} for part in dependencies]
            breakers = [
                {"name": report.name, "state": report.state}
                for report in reports
                if self._spoken_of(report.name)
            ]
        fine = all(part.state == "ok" for part in dependencies)
        fine = fine and all(report.state == "closed" for report in reports)
        state = "starting" if not self._prepared else "ok" if fine else "degraded"
        return {
            "ready": self._prepared,
            "state": state,
            "running_turns": self._pipeline.running,
            "waiting_turns": self._pipeline.admission.waiting,
            "stopping": self._pipeline.stopping,
            "dependencies": parts,
            "breakers": breakers,
            **({"budget": self._pipeline.budget.report().to_dict()} if details else {}),
        }

    def _spoken_of(self, name: str) -> bool:
        """Say whether anybody may hear of a breaker: what knowledge bases there are is not everybody's."""
        kind, _, kb = name.partition(" ")
        return kind not in ("knowledge", "full-text") or kb == self._pipeline.rules.kb

    async def _knowledge(self) -> KnowledgeState:
        status = await self._pipeline.knowledge.status(self._pipeline.rules.kb)
        detail = status.problem or (None if status.chunks else f"knowledge base {status.kb!r} is empty")
        state = "ok" if detail is None else "degraded" if status.chunks else "down"
        return KnowledgeState("knowledge", state, detail, status.version, status.documents)

    def _prompts(self) -> Dependency:
        detail = trouble(self._pipeline.prompts, self._pipeline.force)
        return Dependency("prompts", "degraded" if detail else "ok", detail)

    def _traces(self) -> Dependency:
        health = self._pipeline.store.health()
        notes = [health.trouble] if health.trouble else []
        if self._pipeline.unrecorded:
            notes.append(f"{self._pipeline.unrecorded} turns could not be recorded")
        notes += [f"{name} was put aside, damaged" for name in health.quarantined]
        notes += self._put_back()
        return Dependency("traces", "degraded" if notes else "ok", "; ".join(notes) or None)

    def _put_back(self) -> list[str]:
        """Look for files deleted under the server; what was put back stays a note for an hour."""
        pipeline = self._pipeline
        seen = (pipeline.journal.look(), pipeline.memory.look(), pipeline.budget.spending.look())
        now = datetime.now(UTC)
        return [f"{text} at {at:%H:%M} UTC" for at, text in filter(None, seen) if now - at < NOTED]
