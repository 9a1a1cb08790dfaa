"""Which version of a prompt answers a conversation: the canary, the one in force, or the last sound one."""

from __future__ import annotations

import hashlib
import logging

from pipeline.prompts.force import Force
from pipeline.prompts.library import Library, PromptError, PromptVersion

log = logging.getLogger(__name__)


def choose(library: Library, force: Force, name: str, conversation_id: str) -> PromptVersion:
    """Return the version for a conversation; the same one for all its turns while a canary lasts.

    A file that is not as it was promoted is never used: the version in force before it answers, and
    `trouble` says so. Raises PromptError when none is left.
    """
    standing = force.standing(name)
    canary = standing.canary
    if canary is not None and lot(canary.label, conversation_id) < canary.share:
        version = _sound(library, canary.label, canary.fingerprint)
        if isinstance(version, PromptVersion):
            return version
        log.error("the canary is not used: %s", version)
    reasons: list[str] = []
    for label, fingerprint in reversed(standing.trail):
        version = _sound(library, label, fingerprint)
        if isinstance(version, PromptVersion):
            if reasons:
                log.error("%s answers instead: %s", label, "; ".join(reasons))
            return version
        reasons.append(version)
    raise PromptError(f"no version of {name!r} can be used: {'; '.join(reasons)}")


def trouble(library: Library, force: Force) -> str | None:
    """Say which versions in force cannot be used and what answers instead; None when all can."""
    problems: list[str] = []
    for name in force.names:
        standing = force.standing(name)
        wrong = _sound(library, *standing.trail[-1])
        if isinstance(wrong, str):
            older = (label for label, mark in reversed(standing.trail[:-1])
                     if isinstance(_sound(library, label, mark), PromptVersion))  # fmt: skip
            problems.append(f"{wrong}; {next(older, 'nothing')} answers instead")
        if standing.canary is not None:
            wrong = _sound(library, standing.canary.label, standing.canary.fingerprint)
            if isinstance(wrong, str):
                problems.append(f"the canary is not used: {wrong}")
    return "; ".join(([force.trouble] if force.trouble else []) + problems) or None


def lot(label: str, conversation_id: str) -> float:
    """Return where in 0..1 a conversation falls; a canary of a larger share keeps the ones it had."""
    digest = hashlib.sha256(f"{label}:{conversation_id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _sound(library: Library, label: str, fingerprint: str | None) -> PromptVersion | str:
    """Return the version if its file is as it came into force, else what is wrong."""
    try:
        version = library.get(label)
    except (PromptError, OSError) as error:
        return str(error)
    if fingerprint is not None and version.fingerprint != fingerprint:
        return f"{label} came into force as {fingerprint} but its file is now {version.fingerprint}"
    return version
