"""Makes a guard's verdict stricter by what a moderator says of a doubtful question."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.guardrails.moderator import Moderator, ModeratorError

log = logging.getLogger(__name__)
DISTRESS = ("self-harm", "self_harm")
FEARED = ("distress", "harm", "injection")  # our labels, the one whose message goes first


@dataclass(frozen=True, slots=True)
class ModeratorOpinion:
    """What came of asking: the signs for the trace, and why to refuse, with which message."""

    signs: tuple[str, ...] = ()
    refusal: str | None = None
    message: str = "harm"


async def opinion(moderator: Moderator, text: str, grey: Mapping[str, float]) -> ModeratorOpinion:
    """Ask about a question; `grey` are our own labels that are in doubt, each with its probability."""
    try:
        categories = await moderator.categories(text)
    except ModeratorError as error:
        log.warning("%s", error)
        return _unanswered(moderator, error.reason, grey)
    actions = {name: moderator.handling.action(name) for name in categories}
    signs = tuple(f"moderator:{name}" for name, action in actions.items() if action != "off")
    blocked = [name for name, action in actions.items() if action == "block"]
    if not blocked:
        return ModeratorOpinion(signs)
    distress = any(name.startswith(DISTRESS) for name in blocked)
    return ModeratorOpinion(signs, f"harm:moderator:{blocked[0]}", "self_harm" if distress else "harm")


def _unanswered(moderator: Moderator, reason: str, grey: Mapping[str, float]) -> ModeratorOpinion:
    """Say what is done without a verdict: by the label in doubt, open or closed as configured."""
    signs = (f"moderator:{reason}",)
    messages = {"distress": "self_harm", "harm": "harm", "injection": "injection"}
    for label in FEARED:
        if label in grey and moderator.handling.failing.get(label) == "closed":
            category = "injection" if label == "injection" else "harm"
            return ModeratorOpinion(signs, f"{category}:moderator:unanswered", messages[label])
    return ModeratorOpinion(signs)
