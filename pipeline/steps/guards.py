"""Makes the guards and the rules of a turn from the settings, and the fingerprints that name them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.breaker import Policy
from pipeline.breakers import Breakers
from pipeline.guardrails.classifier import Classifier
from pipeline.guardrails.inbound import Inbound
from pipeline.guardrails.moderator import Handling, Moderator
from pipeline.guardrails.outbound import Outbound
from pipeline.guardrails.planted import Planted
from pipeline.knowledge.embedding import Embedder, MiniLM
from pipeline.settings import Settings
from pipeline.steps.live_turn import Rules
from pipeline.steps.routing import RouteModels


@dataclass(frozen=True, slots=True)
class Guards:
    """What looks at questions, passages and answers."""

    inbound: Inbound
    planted: Planted
    outbound: Outbound

    @property
    def fingerprint(self) -> str:
        """8 hex digits over the rules of all three."""
        return _fingerprint(self.inbound.fingerprint, self.planted.fingerprint, self.outbound.fingerprint)


def rules(settings: Settings, looks: Guards | None = None) -> Rules:
    """Return the values that shape a turn."""
    looks = looks or guards(settings)
    return Rules(
        kb=settings.kb,
        workspace=settings.workspace,
        passages=settings.retrieval.passages,
        floor=settings.retrieval.floor,
        scope=settings.guardrails.scope == "block",
        ungrounded=settings.guardrails.ungrounded,
        context_tokens=settings.memory.context_tokens,
        max_output_tokens=settings.models.max_output_tokens,
        turn_seconds=settings.limits.turn_seconds,
        model=settings.models.primary,
        guardrails=looks.fingerprint,
        code_version=code_version(),
        languages=MiniLM.languages if settings.embedder == "minilm" else None,
        routes=RouteModels(**settings.models.routes.model_dump()),
        retrieval=settings.retrieval.model_dump(),
    )


def moderator(settings: Settings, registry: Breakers) -> Moderator | None:
    """Return the moderator the settings name, or None."""
    wish = settings.guardrails.moderator
    if wish.protocol == "off":
        return None
    own = wish.key.get_secret_value()
    return Moderator(
        wish.protocol,
        base_url=wish.base_url,
        model=wish.model,
        key=own or (os.environ.get("OPENAI_API_KEY", "") if wish.protocol == "openai" else ""),
        breaker=registry.get("moderator", Policy(slow_seconds=wish.seconds)),
        seconds=wish.seconds,
        handling=Handling(dict(wish.categories), {str(label): way for label, way in wish.failing.items()}),
    )


def guards(settings: Settings, vectors: Embedder | None = None, moderated: Moderator | None = None) -> Guards:
    """Return the guards; their classifier knows the embedded model's vectors."""
    policies, classifier = settings.guardrails, _classifier()
    inbound = Inbound(
        question_characters=settings.limits.question_characters,
        injection=policies.injection,
        harm=policies.harm,
        classifier=classifier,
        embedder=vectors if isinstance(vectors, MiniLM) else MiniLM(),
        moderator=moderated,
    )
    planted = Planted(policies.planted, classifier)
    return Guards(
        inbound, planted, Outbound(pii=policies.pii, links=policies.links, regions=policies.regions)
    )


@cache  # a process reads its weights once
def _classifier() -> Classifier:
    return Classifier()


@cache  # what runs is what was there when the process began
def code_version() -> str:
    """Return 8 hex digits over the pipeline's sources: what is running, whatever its tag says."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:8]
