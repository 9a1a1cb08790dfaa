"""Chooses the concrete classes: the only place that names them."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from pipeline.admission import Admission
from pipeline.breaker import Policy
from pipeline.breakers import Breakers
from pipeline.context.cache import SemanticCache
from pipeline.context.condenser import Condenser
from pipeline.context.memory import Memory
from pipeline.context.reranker import Embedded, Remote, Reranker
from pipeline.context.retrieval import Patience, Retriever
from pipeline.errors import ConfigurationError, KnowledgeError
from pipeline.extractive.extractive import Extractive
from pipeline.guardrails.budget import Budget, Limits
from pipeline.guardrails.classifier import Classifier
from pipeline.guardrails.counts import SharedCounts
from pipeline.guardrails.inbound import Inbound
from pipeline.guardrails.outbound import Outbound
from pipeline.guardrails.planted import Planted
from pipeline.guardrails.quota import Quota
from pipeline.guardrails.spending import Spending
from pipeline.knowledge.embedding import Embedder, EmbedError, MiniLM
from pipeline.knowledge.index import Knowledge
from pipeline.live_turn import Rules
from pipeline.models.gateway import Gateway
from pipeline.models.model import Model
from pipeline.models.pace import Pace
from pipeline.models.prices import Prices
from pipeline.prompts.force import Force
from pipeline.prompts.library import Library, PromptError
from pipeline.routing import Routes
from pipeline.settings import RERANKERS, Settings
from pipeline.turn import Pipeline
from traces.journal import Journal
from traces.store import Store

log = logging.getLogger(__name__)
SAMPLE_KB = "default"
LOCAL = Policy(slow_seconds=1.0, open_seconds=2.0, longest_open_seconds=15.0)  # files of this machine
LOCAL_KEY = "none"  # local servers want a key in the header and accept any


def build(settings: Settings) -> Pipeline:
    """Return the pipeline the settings describe; raises ConfigurationError naming what is wrong."""
    check(settings)
    data, limits = settings.data_dir, settings.limits
    breakers = Breakers(data / "breakers.jsonl")
    vectors = embedder(settings)
    inbound, planted = guards(settings, vectors)
    outbound = Outbound(pii=settings.guardrails.pii, links=settings.guardrails.links)
    bases = knowledge(settings, vectors)
    gateway = _gateway(settings, breakers)
    budgets = settings.budgets
    return Pipeline(
        rules=_rules(settings, _fingerprint(inbound.fingerprint, planted.fingerprint, outbound.fingerprint)),
        prompts=Library(settings.prompts.folder),
        force=Force(
            data / "audit.jsonl", {"answer": settings.prompts.answer, "condense": settings.prompts.condense}
        ),
        quota=Quota(
            limits.requests_per_minute, limits.tokens_per_minute, SharedCounts(data / "counts.sqlite")
        ),
        admission=Admission(
            limits.running_turns, limits.queued_turns, limits.queue_seconds, limits.user_turns
        ),
        budget=Budget(
            Spending(data / "spending.sqlite"),
            Limits(budgets.user_day_usd, budgets.day_usd, budgets.month_usd, budgets.unpriced),
        ),
        trials=Budget(
            Spending(data / "eval-spending.sqlite"),
            Limits(day_usd=budgets.eval_day_usd, unpriced=budgets.unpriced),
        ),
        inbound=inbound,
        planted=planted,
        memory=Memory(
            data / "conversations.sqlite",
            turns=settings.memory.turns,
            tokens=settings.memory.tokens,
            breaker=breakers.get("conversations", LOCAL),
        ),
        condenser=Condenser(None if settings.models.primary == "extractive" else gateway),
        retriever=retriever(settings, bases, breakers),
        gateway=gateway,
        outbound=outbound,
        journal=Journal(data / "journal", settings.traces.durability),
        knowledge=bases,
        store=Store(data),
        breakers=breakers,
    )


def knowledge(settings: Settings, vectors: Embedder | None = None) -> Knowledge:
    """Return the knowledge bases of the settings' data folder."""
    vectors = vectors or embedder(settings)
    return Knowledge(settings.data_dir / "knowledge", vectors, releases=settings.knowledge.releases)


def retriever(settings: Settings, bases: Knowledge, breakers: Breakers | None = None) -> Retriever:
    """Return retrieval as the settings want it."""
    return Retriever(
        bases,
        candidates=settings.retrieval.candidates,
        passages=settings.retrieval.passages,
        text_weight=settings.retrieval.text_weight,
        reranker=reranker(settings),
        cache=_cache(settings),
        breakers=breakers,
        patience=Patience(rerank=settings.retrieval.reranker_seconds),
    )


def guards(settings: Settings, vectors: Embedder | None = None) -> tuple[Inbound, Planted]:
    """Return the guards of questions and of passages; their classifier knows the embedded model's vectors."""
    guards, classifier = settings.guardrails, Classifier()
    inbound = Inbound(
        question_characters=settings.limits.question_characters,
        injection=guards.injection,
        harm=guards.harm,
        classifier=classifier,
        embedder=vectors if isinstance(vectors, MiniLM) else MiniLM(),
    )
    return inbound, Planted(guards.planted, classifier)


def _rules(settings: Settings, guardrails: str) -> Rules:
    return Rules(
        kb=settings.kb,
        passages=settings.retrieval.passages,
        floor=settings.retrieval.floor,
        scope=settings.guardrails.scope == "block",
        ungrounded=settings.guardrails.ungrounded,
        context_tokens=settings.memory.context_tokens,
        max_output_tokens=settings.models.max_output_tokens,
        turn_seconds=settings.limits.turn_seconds,
        model=settings.models.primary,
        guardrails=guardrails,
        code_version=code_version(),
        languages=MiniLM.languages if settings.embedder == "minilm" else None,
        routes=Routes(**settings.models.routes.model_dump()),
        retrieval=settings.retrieval.model_dump(),
    )


def _gateway(settings: Settings, breakers: Breakers) -> Gateway:
    names = [name for name in (settings.models.primary, settings.models.fallback) if name]
    overrides = settings.models.prices
    return Gateway(
        [model(name, settings) for name in names if name != "extractive"],
        Extractive(),
        prices=Prices({name: rates.model_dump(exclude_none=True) for name, rates in overrides.items()}),
        policy=Policy(slow_seconds=settings.models.slow_seconds),
        make=lambda name: model(name, settings),
        paces=paces(settings),
        on_change=breakers.note,
    )


def check(settings: Settings) -> None:
    """Look at what the settings name, before anything starts; raises ConfigurationError."""
    _writable(settings.data_dir)
    problems = _prompt_problems(Library(settings.prompts.folder), settings)
    if problems:
        raise ConfigurationError(problems)


async def prepare(pipeline: Pipeline) -> None:
    """Load the sample knowledge base on the very first start, and warm what the first turn needs.

    Never raises: the chat must start without documents too; what is wrong is logged and shows in /readyz.
    """
    from pipeline.knowledge.ingest import ensure_sample

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


def model(name: str, settings: Settings) -> Model:
    """Return the model with this name; raises ConfigurationError when there is none."""
    provider, _, label = name.partition(":")
    limits = {
        "connect_seconds": settings.models.connect_seconds,
        "first_token_seconds": settings.models.first_token_seconds,
        "gap_seconds": settings.models.gap_seconds,
    }
    if name == "extractive":
        return Extractive()
    if provider == "anthropic":
        from pipeline.models.anthropic import AnthropicMessages

        key = os.environ.get("ANTHROPIC_API_KEY", "")
        return AnthropicMessages(label, base_url=settings.models.anthropic.base_url, api_key=key, **limits)
    if provider in ("openai", "local"):
        from pipeline.models.openai import OpenAIChat

        endpoint = settings.models.openai if provider == "openai" else settings.models.local
        key = os.environ.get("OPENAI_API_KEY", "") if provider == "openai" else LOCAL_KEY
        return OpenAIChat(label, base_url=endpoint.base_url, api_key=key, provider=provider, **limits)
    raise ConfigurationError([f"models: {name!r} is unknown"])


def paces(settings: Settings) -> dict[str, Pace]:
    """Return the pace of each provider that has limits."""
    found: dict[str, Pace] = {}
    for provider in ("openai", "anthropic", "local"):
        endpoint = getattr(settings.models, provider)
        if endpoint.requests_per_minute or endpoint.tokens_per_minute:
            found[provider] = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
    return found


def embedder(settings: Settings) -> Embedder:
    """Return the embedder the settings name."""
    provider, _, label = settings.embedder.partition(":")
    if provider == "minilm":
        return MiniLM()
    from pipeline.knowledge.remote import RemoteEmbedder

    endpoint = settings.models.openai if provider == "openai" else settings.models.local
    key = os.environ.get("OPENAI_API_KEY", "") if provider == "openai" else LOCAL_KEY
    return RemoteEmbedder(label, base_url=endpoint.base_url, api_key=key)


def _cache(settings: Settings) -> SemanticCache | None:
    cache = settings.cache
    return SemanticCache(share=cache.share, sample=cache.checked) if cache.passages else None


def reranker(settings: Settings) -> Reranker:
    """Return the reranker the settings name."""
    protocol, _, label = settings.retrieval.reranker.partition(":")
    if protocol == "embedded":
        return Embedded()
    key = os.environ.get(RERANKERS[protocol] or "", "")
    return Remote(protocol, label, address=settings.retrieval.reranker_url, api_key=key)


def code_version() -> str:
    """Return 8 hex digits over the pipeline's sources: what is running, whatever its tag says."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]


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
            prompts.get(getattr(settings.prompts, key))
        except PromptError as error:
            problems.append(f"prompts.{key}: {error}")
    return problems
