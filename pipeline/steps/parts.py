"""The parts of a pipeline: what `pipeline.build` makes, and what a caller may give in their place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from pipeline.access.workspaces import Workspaces
from pipeline.breakers import Breakers
from pipeline.context.cache import CacheScope
from pipeline.context.condenser import Condenser
from pipeline.context.memory import Memory
from pipeline.databases.mirror import Mirror
from pipeline.guardrails.budget import Budget
from pipeline.guardrails.inbound import Inbound
from pipeline.guardrails.outbound import Outbound
from pipeline.guardrails.planted import Planted
from pipeline.guardrails.quota import Quota
from pipeline.knowledge.found import Retrieved
from pipeline.knowledge.index import Knowledge
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model
from pipeline.news import News
from pipeline.own_documents.spaces import Spaces
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library
from pipeline.prompts.shelves import PromptShelves
from pipeline.steps.admission import Admission
from pipeline.steps.keeping import Keeping
from pipeline.steps.live_turn import Rules
from pipeline.steps.whole import Wholes
from traces.journal import Journal
from traces.recorder import Recorder
from traces.store import Store


class Finder(Protocol):
    """What finds the passages for a query."""

    async def retrieve(
        self, query: str, kb: str, recorder: Recorder, scope: CacheScope | None = None, own: str | None = None
    ) -> Retrieved: ...
    async def warm(self) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything a pipeline works with."""

    rules: Rules
    prompts: Library
    force: Force
    shelves: PromptShelves  # the prompts of every workspace
    quota: Quota
    admission: Admission
    budget: Budget
    trials: Budget
    inbound: Inbound
    planted: Planted
    memory: Memory
    condenser: Condenser
    retriever: Finder
    gateway: Gateway
    outbound: Outbound
    journal: Journal
    knowledge: Knowledge
    store: Store
    wholes: Wholes
    workspaces: Workspaces
    breakers: Breakers
    spaces: Spaces | None = None  # people's own documents; None: they may not bring any
    keeping: Keeping | None = None  # of answers; None: each is given anew
    news: News | None = None  # of other machines' breakers
    mirror: Mirror | None = None  # where several machines share prompts
    clock: Callable[[], float] = time.perf_counter


class GivenParts(TypedDict, total=False):
    """Parts that a caller gives; `models` stand where the providers would."""

    rules: Rules
    prompts: Library
    force: Force
    quota: Quota
    admission: Admission
    budget: Budget
    trials: Budget
    inbound: Inbound
    planted: Planted
    memory: Memory
    condenser: Condenser
    retriever: Finder
    models: Sequence[Model]
    gateway: Gateway
    outbound: Outbound
    journal: Journal
    knowledge: Knowledge
    store: Store
    breakers: Breakers
    workspaces: Workspaces
    spaces: Spaces
    clock: Callable[[], float]
