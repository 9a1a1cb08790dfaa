"""Makes what answers, embeds, reranks or works by its name: the only place that names providers' classes."""

from __future__ import annotations

import os

from pipeline.configuration.sections import OWN_RERANKERS, RERANKERS
from pipeline.context.pairs import PairReranker
from pipeline.context.reranker import EmbeddedReranker, Remote, Reranker
from pipeline.databases.redis_server import RedisServer, rest
from pipeline.errors import ConfigurationError
from pipeline.extractive.extractive import Extractive
from pipeline.knowledge.cross_encoder import PASSAGE, CrossEncoder
from pipeline.knowledge.embedding import Embedder, MiniLM, RememberedVectors
from pipeline.knowledge.expansion import Expander
from pipeline.knowledge.remote import RemoteEmbedder
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.model import Model
from pipeline.models.openai import OpenAIChat
from pipeline.models.pace import Pace
from pipeline.ray_cluster import RayCluster
from pipeline.settings import Settings
from pipeline.shared_vectors import SharedVectors
from pipeline.workers import Processes, Workers, WorkersError
from traces.engine import EMBEDDED

WORKPLACES = "processes, processes:N, ray or ray://host:port"
LOCAL_KEY = "none"  # local servers want a key in the header and accept any


def model(name: str, settings: Settings) -> Model:
    """Return the model with this name; raises ConfigurationError when there is none."""
    provider, _, label = name.partition(":")
    limits = {
        "connect_seconds": settings.models.connect_seconds,
        "first_token_seconds": settings.models.first_token_seconds,
        "gap_seconds": settings.models.gap_seconds,
    }
    if name == "extractive":
        return extractive(settings)
    if provider == "anthropic":
        key = os.environ.get("ANTHROPIC_API_KEY", "")
        return AnthropicMessages(label, base_url=settings.models.anthropic.base_url, api_key=key, **limits)
    if provider in ("openai", "local"):
        endpoint = settings.models.openai if provider == "openai" else settings.models.local
        key = os.environ.get("OPENAI_API_KEY", "") if provider == "openai" else LOCAL_KEY
        return OpenAIChat(label, base_url=endpoint.base_url, api_key=key, provider=provider, **limits)
    raise ConfigurationError([f"models: {name!r} is unknown"])


def extractive(settings: Settings) -> Extractive:
    """Return the embedded model, with the cross-encoder where it is wanted and installed."""
    if not settings.models.cross_encoder:
        return Extractive(without="models.cross_encoder is off")
    encoder = CrossEncoder()
    return Extractive(None, encoder.trouble) if encoder.trouble else Extractive(encoder)


def paces(settings: Settings) -> dict[str, Pace]:
    """Return the pace of each provider that has limits."""
    limited: dict[str, Pace] = {}
    for provider in ("openai", "anthropic", "local"):
        endpoint = getattr(settings.models, provider)
        if endpoint.requests_per_minute or endpoint.tokens_per_minute:
            limited[provider] = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
    return limited


def expander(settings: Settings) -> Expander | None:
    """Return what gives passages the words they are about; None where the settings or the embedder forbid it.

    It reads English, and its weight was measured beside the embedded embedder alone.
    """
    return Expander() if settings.retrieval.sparse == "auto" and settings.embedder == "minilm" else None


def embedder(settings: Settings) -> Embedder:
    """Return the embedder the settings name."""
    base_url = embedder_url(settings)
    pace = paces(settings).get(settings.embedder.partition(":")[0])
    return embedder_of(settings.embedder, base_url, _vectors(settings, base_url), pace)


def embedder_url(settings: Settings) -> str | None:
    """Return the endpoint of the embedder; None without one, or for the provider's own."""
    provider = settings.embedder.partition(":")[0]
    if provider == "minilm":
        return None
    return (settings.models.openai if provider == "openai" else settings.models.local).base_url


def embedder_of(
    name: str, base_url: str | None, remembered: RememberedVectors | None = None, pace: Pace | None = None
) -> Embedder:
    """Return the embedder of a name, at an endpoint."""
    provider, _, label = name.partition(":")
    if provider == "minilm":
        return MiniLM()
    key = os.environ.get("OPENAI_API_KEY", "") if provider == "openai" else LOCAL_KEY
    return RemoteEmbedder(label, base_url=base_url, api_key=key, remembered=remembered, pace=pace)


def _vectors(settings: Settings, base_url: str | None) -> SharedVectors | None:
    """Return the vectors of questions that all machines keep together; None when this one is alone."""
    address = settings.sessions.get_secret_value()
    if address == EMBEDDED or settings.embedder == "minilm":
        return None
    return SharedVectors(
        RedisServer(address, texts=False, rests=rest(address)), f"{base_url} {settings.embedder}"
    )


def reranker(settings: Settings) -> Reranker:
    """Return the reranker the settings name."""
    name = settings.retrieval.reranker
    if name in OWN_RERANKERS:
        return PairReranker(CrossEncoder(PASSAGE)) if name == "cross_encoder" else EmbeddedReranker()
    protocol, _, label = name.partition(":")
    key = os.environ.get(RERANKERS[protocol] or "", "")
    return Remote(protocol, label, address=settings.retrieval.reranker_url, api_key=key)


def reranker_trouble(settings: Settings) -> str | None:
    """Say in one line why the reranker the settings name cannot work here; None when it can."""
    trouble = CrossEncoder().trouble if settings.retrieval.reranker == "cross_encoder" else None
    return trouble and f"retrieval.reranker: cross_encoder cannot be used: {trouble}"


def workers(place: str) -> Workers:
    """Return who works at a place, e.g. "processes:4" or "ray"; raises WorkersError."""
    kind, _, number = place.partition(":")
    if kind == "processes" and (not number or (number.isdecimal() and 0 < int(number) <= 1024)):
        return Processes(int(number) if number else None)
    if place == "ray" or place.startswith("ray://"):
        return RayCluster(None if place == "ray" else place)
    raise WorkersError(f"{place!r} is no place to work at; it can be {WORKPLACES}")
