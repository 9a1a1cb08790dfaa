"""The colours of models, outcomes and steps: mid-tones that read on light and on dark."""

from __future__ import annotations

from collections.abc import Sequence

MODELS = ("#6366f1", "#0ea5e9", "#f59e0b", "#10b981", "#d946ef", "#f43f5e", "#14b8a6", "#84cc16", "#a16207")
OUTCOMES = {
    "answered": "#10b981",
    "no_context": "#f59e0b",
    "refused": "#64748b",
    "degraded": "#8b5cf6",
    "cut": "#f97316",
    "abandoned": "#94a3b8",
    "failed": "#ef4444",
}
KINDS = {
    "turn": "#94a3b8",
    "guard": "#f59e0b",
    "memory": "#8b5cf6",
    "retrieval": "#10b981",
    "model": "#6366f1",
    "cache": "#14b8a6",
    "store": "#0ea5e9",
}
NEUTRAL = "#94a3b8"
GOOD, BAD = "#10b981", "#ef4444"


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """Give each model its colour by its place in the ledger's order of first use, so it never changes."""
    return {model: MODELS[place % len(MODELS)] for place, model in enumerate(models)}
