"""Makes every part from the settings and puts them together; names concrete classes, as `providers` does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from pipeline.access.people import People
from pipeline.access.workspaces import Workspaces
from pipeline.auth import DEFAULT, Keys
from pipeline.breaker import Breaker, Policy, Transition
from pipeline.breakers import Breakers, changes
from pipeline.configuration.data_folder import DataFolder
from pipeline.context.answers import AnswerCache
from pipeline.context.cache import KEYS, SIZE, SemanticCache
from pipeline.context.condenser import Condenser
from pipeline.context.conversation_tables import TABLES
from pipeline.context.fusion import SPARSE, Weights
from pipeline.context.memory import Memory
from pipeline.context.patience import LEISURE, Patience
from pipeline.context.reach import Reach
from pipeline.context.retrieval import Retriever
from pipeline.context.shared_cache import ANSWERS, PASSAGES, SharedShelves
from pipeline.databases.redis_server import RedisServer, rest
from pipeline.desk import desk
from pipeline.errors import ConfigurationError, KnowledgeError
from pipeline.guardrails.budget import Budget, SpendingLimits
from pipeline.guardrails.counts import Counts, SharedCounts
from pipeline.guardrails.planted import screen
from pipeline.guardrails.private import unnamed
from pipeline.guardrails.quota import Quota
from pipeline.guardrails.redis_counts import RedisCounts
from pipeline.guardrails.shared_spending import SharedSpending
from pipeline.guardrails.spending import Spending
from pipeline.knowledge.elsewhere import Elsewhere
from pipeline.knowledge.embedding import Embedder, EmbedError
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import ensure_sample
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model
from pipeline.models.prices import Prices
from pipeline.news import News
from pipeline.own_documents.private import spaces
from pipeline.prompts.library import Library, PromptError
from pipeline.prompts.shelves import PromptShelf, PromptShelves
from pipeline.providers import embedder, expander, extractive, model, paces, reranker, reranker_trouble
from pipeline.settings import Settings
from pipeline.shelving import accounts, force, library, mirror, shelf, workspaces
from pipeline.steps.admission import Admission
from pipeline.steps.guards import guards, moderator, rules
from pipeline.steps.keeping import Keeping
from pipeline.steps.parts import GivenParts, Parts
from pipeline.steps.whole import Wholes
from pipeline.turn import Pipeline
from traces.engine import EMBEDDED
from traces.journal import Journal
from traces.postgres.lease import Leases
from traces.postgres.tables import SharedTables
from traces.rewriting import Rewrite
from traces.store import Store

log = logging.getLogger(__name__)
SAMPLE_KB = "default"
LOCAL = Policy(slow_seconds=1.0, open_seconds=2.0, longest_open_seconds=15.0)  # files of this machine


def build(settings: Settings, **parts: Unpack[GivenParts]) -> Pipeline:
    """Return the pipeline the settings describe, with the parts given in place of its own.

    Raises ConfigurationError naming what is wrong.
    """
    check(settings)
    registry = parts.get("breakers") or breakers(settings)
    copies = None if "force" in parts else mirror(settings)
    if copies is not None:
        copies.follow(desk(settings).look)
    gateway, news = _gateway(settings, registry, parts)
    documents = parts.get("knowledge") or knowledge(settings)
    remembered = parts.get("memory") or memory(settings, registry.get("conversations", LOCAL))
    own = parts.get("spaces") or spaces(settings, remembered, documents.embedder)
    documents.private = None if own is None else own.knowledge
    looks = guards(settings, documents.embedder, moderator(settings, registry))
    owners = parts.get("workspaces") or workspaces(settings)
    prompts = parts.get("prompts") or library(settings, copies)
    in_force = parts.get("force") or force(settings, copies)
    rewrites = settings.models.primary != "extractive" or "models" in parts or "gateway" in parts
    return Pipeline(
        Parts(
            rules=parts.get("rules") or replace(rules(settings, looks), kb=_answering(settings, owners)),
            prompts=prompts,
            force=in_force,
            shelves=PromptShelves(
                settings.workspace,
                PromptShelf(prompts, in_force),
                lambda workspace: shelf(settings, copies, workspace),
            ),
            quota=parts.get("quota") or _quota(settings),
            admission=parts.get("admission") or _admission(settings),
            budget=parts.get("budget") or budget(settings),
            trials=parts.get("trials") or trials(settings),
            inbound=parts.get("inbound") or looks.inbound,
            planted=parts.get("planted") or looks.planted,
            memory=remembered,
            condenser=parts.get("condenser") or Condenser(gateway if rewrites else None),
            retriever=parts.get("retriever") or retriever(settings, documents, registry),
            gateway=gateway,
            outbound=parts.get("outbound") or looks.outbound,
            journal=parts.get("journal") or journal(settings),
            knowledge=documents,
            store=parts.get("store") or store(settings),
            wholes=Wholes(documents, looks.planted, settings.retrieval.whole_tokens),
            breakers=registry,
            keeping=_keeping(settings),
            mirror=copies,
            news=news,
            workspaces=owners,
            spaces=own,
            clock=parts.get("clock", time.perf_counter),
        )
    )


def _answering(settings: Settings, owners: Workspaces) -> str:
    """Return the knowledge base that answers; raises ConfigurationError when the workspace has none."""
    whose = settings.workspace
    if whose == DEFAULT or owners.of(settings.kb) == whose:
        return settings.kb
    if (kb := owners.main(whose, settings.kb)) is None:
        raise ConfigurationError(
            [f"workspace: {whose!r} has no knowledge base yet: answerdeck workspaces give {whose} NAME"]
        )
    return kb


def store(settings: Settings) -> Store:
    """Return the ledger's store."""
    return Store(settings.data_dir, settings.ledger.get_secret_value())


def journal(settings: Settings) -> Journal:
    """Return a journal that this process writes to."""
    return Journal(store(settings).journal, settings.traces.durability, mask=mask(settings))


def mask(settings: Settings) -> Rewrite | None:
    """Return what is done to each text before it is recorded or sent to a collector; None for nothing."""
    return unnamed(settings.guardrails.regions) if settings.traces.mask == "pii" else None


def knowledge(settings: Settings, vectors: Embedder | None = None) -> Knowledge:
    """Return the knowledge bases, embedded as the settings say or by the embedder given."""
    folder = DataFolder(settings.data_dir).knowledge
    releases = settings.knowledge.releases
    elsewhere = None
    if settings.knowledge.place != EMBEDDED:
        elsewhere = Elsewhere(settings.knowledge.place, Leases(settings.ledger.get_secret_value()))
    embeds = vectors or embedder(settings)
    return Knowledge(
        folder,
        embeds,
        releases=releases,
        screen=screen,
        elsewhere=elsewhere,
        expander=expander(settings),
    )


def retriever(settings: Settings, bases: Knowledge, registry: Breakers | None = None) -> Retriever:
    """Return retrieval as the settings want it.

    Without a server's breakers it is somebody's look at one question: that waits longer than a turn may.
    """
    search = settings.retrieval
    patience = LEISURE if registry is None else replace(Patience(), rerank=search.reranker_seconds)
    return Retriever(
        bases,
        candidates=search.candidates,
        passages=search.passages,
        weights=Weights(search.text_weight, SPARSE if search.sparse == "auto" else 0.0),
        reranker=reranker(settings),
        cache=_cache(settings),
        breakers=registry,
        patience=patience,
    )


def prices(settings: Settings) -> Prices:
    """Return what models cost, with the settings' own rates first."""
    own = settings.models.prices
    endpoints = {name: getattr(settings.models, name) for name in ("openai", "anthropic", "local")}
    return Prices(
        {name: rates.model_dump(exclude_none=True) for name, rates in own.items()},
        windows={
            name: endpoint.context_window for name, endpoint in endpoints.items() if endpoint.context_window
        },
    )


def people(settings: Settings) -> People:
    """Return who may come in: the keys of the environment, and users and keys made here."""
    keys = Keys(settings.auth.keys.get_secret_value())
    provider = settings.auth.oidc.issuer is not None
    return People(accounts(settings), keys, provider=provider, folder=DataFolder(settings.data_dir))


def spending(settings: Settings) -> Spending:
    """Return what adds up dollars: of this machine, or of all of them."""
    return _adding(settings, DataFolder(settings.data_dir).spending)


def _adding(settings: Settings, path: Path, space: str = "") -> Spending:
    server = sessions(settings, space)
    return Spending(path) if server is None else SharedSpending(path, server)


def budget(settings: Settings) -> Budget:
    """Return the budgets and what is used of them."""
    return Budget(spending(settings), limits(settings))


def limits(settings: Settings) -> SpendingLimits:
    """Return what people's turns may cost."""
    budgets = settings.budgets
    return SpendingLimits(budgets.user_day_usd, budgets.day_usd, budgets.month_usd, budgets.unpriced)


def trials(settings: Settings) -> Budget:
    """Return the budget of evals and replays, which is apart from the people's."""
    budgets, path = settings.budgets, DataFolder(settings.data_dir).trials
    sums = _adding(settings, path, "trials:")
    return Budget(sums, SpendingLimits(day_usd=budgets.eval_day_usd, unpriced=budgets.unpriced))


def reach(settings: Settings) -> Reach:
    """Return how far memory goes back in a conversation."""
    return Reach(settings.memory.turns, settings.memory.tokens)


def memory(settings: Settings, breaker: Breaker | None = None) -> Memory:
    """Return the conversations of all users."""
    limits, ledger = settings.memory, settings.ledger.get_secret_value()
    place = DataFolder(settings.data_dir).conversations
    if ledger != EMBEDDED:
        place = SharedTables(ledger, TABLES)
    return Memory(place, turns=limits.turns, tokens=limits.tokens, breaker=breaker)


def breakers(settings: Settings, policy: Policy | None = None) -> Breakers:
    """Return the breakers of this process, which keep their changes; `policy` holds for all of them."""
    return Breakers(DataFolder(settings.data_dir).breakers, policy=policy)


def breaker_changes(settings: Settings) -> list[Transition]:
    """Return the newest changes of breakers that were kept, newest first."""
    return changes(DataFolder(settings.data_dir).breakers)


def _quota(settings: Settings) -> Quota:
    limits = settings.limits
    several = settings.sessions.get_secret_value() != EMBEDDED or settings.server.workers > 1
    turns = limits.user_turns if several else None
    return Quota(limits.requests_per_minute, limits.tokens_per_minute, counts(settings), user_turns=turns)


def counts(settings: Settings) -> Counts:
    """Return where the limits of users are counted: by the workers here, or by all machines."""
    server = sessions(settings)
    return SharedCounts(DataFolder(settings.data_dir).counts) if server is None else RedisCounts(server)


def sessions(settings: Settings, space: str = "") -> RedisServer | None:
    """Return a connection to what all machines keep together, or to a space of it; None when alone."""
    address = settings.sessions.get_secret_value()
    return None if address == EMBEDDED else RedisServer(address, space=space, rests=rest(address), exact=True)


def _admission(settings: Settings) -> Admission:
    limits = settings.limits
    return Admission(limits.running_turns, limits.queued_turns, limits.queue_seconds, limits.user_turns)


def _gateway(settings: Settings, registry: Breakers, parts: GivenParts) -> tuple[Gateway, News | None]:
    """Return what asks the models, and what tells other machines of those that fail."""
    if "gateway" in parts:
        return parts["gateway"], None
    server, news = sessions(settings), None
    gateway = _models(settings, lambda change: _note(change, registry, news), parts.get("models"))
    if server is not None:
        news = News(server, lambda name, reason: gateway.doubt(name, f"another machine: {reason}"))
    return gateway, news


def _note(change: Transition, registry: Breakers, news: News | None) -> None:
    registry.note(change)
    if news is not None:
        news.tell(change)


def _models(
    settings: Settings, on_change: Callable[[Transition], None], models: Sequence[Model] | None
) -> Gateway:
    names = (settings.models.primary, settings.models.fallback)
    providers = [model(name, settings) for name in names if name and name != "extractive"]
    return Gateway(
        providers if models is None else models,
        extractive(settings),
        prices=prices(settings),
        policy=Policy(slow_seconds=settings.models.slow_seconds),
        make=lambda name: model(name, settings),
        paces=paces(settings),
        on_change=on_change,
    )


def check(settings: Settings) -> None:
    """Look at what the settings name, before anything starts; raises ConfigurationError."""
    _writable(settings.data_dir)
    problems = _prompt_problems(library(settings), settings)
    if (trouble := reranker_trouble(settings)) is not None:
        problems.append(trouble)
    if problems:
        raise ConfigurationError(problems)


async def prepare(pipeline: Pipeline) -> None:
    """Load the sample knowledge base on the very first start, and warm what the first turn needs.

    Never raises: the chat must start without documents too; what is wrong is logged and shows in /readyz.
    """
    bases, loaded = pipeline.knowledge, pipeline.knowledge.folder / "sample-loaded"
    try:
        if pipeline.rules.kb == SAMPLE_KB and not loaded.exists():
            await ensure_sample(bases, SAMPLE_KB)
            loaded.touch()
        await bases.embedder.embed_query("warm up")
        await pipeline.retriever.warm()
        await bases.open(pipeline.rules.kb)
        routes = pipeline.rules.routes
        await pipeline.gateway.warm(*(name for name in (routes.cheap, routes.strong) if name))
    except (KnowledgeError, EmbedError, OSError) as error:
        log.warning("knowledge base %r is not ready: %s", pipeline.rules.kb, error)


def _cache(settings: Settings) -> SemanticCache | None:
    cache, server = settings.cache, _cached(settings)
    if not cache.passages:
        return None
    shared = None if server is None else SharedShelves(SIZE, KEYS, server, PASSAGES, "passages")
    return SemanticCache(share=cache.share, sample=cache.checked, shelves=shared)


def _keeping(settings: Settings) -> Keeping | None:
    cache, server = settings.cache, _cached(settings)
    if not cache.answers:
        return None
    shared = None if server is None else SharedShelves(SIZE, KEYS * SIZE, server, ANSWERS, "answers")
    return Keeping(AnswerCache(share=cache.share, sample=cache.checked, shelves=shared))


def _cached(settings: Settings) -> RedisServer | None:
    """Return what the machines share their caches by: those that have the same documents."""
    address = settings.sessions.get_secret_value()
    together = address != EMBEDDED and settings.knowledge.place != EMBEDDED
    return RedisServer(address, texts=False, rests=rest(address)) if together else None


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        problem = f"data_dir: cannot write to {str(folder)!r} ({error.strerror}); set ANSWERDECK_DATA_DIR"
        raise ConfigurationError([problem]) from None


def _prompt_problems(prompts: Library, settings: Settings) -> list[str]:
    problems: list[str] = []
    for key in ("answer", "condense"):
        try:
            prompts.get_of(key, getattr(settings.prompts, key))
        except PromptError as error:
            problems.append(f"prompts.{key}: {error}")
    return problems
