"""Writes the vectors that our graph must give: `python -m pipeline.knowledge.probes_build`.

They are those of the model's own graph. Needed again only when the model is exchanged.
"""

from __future__ import annotations

import numpy as np

from pipeline.knowledge.embedding import PROBES, MiniLM

TEXTS = (
    "How do I change my password?",
    "The committee will meet again on Thursday to talk about the budget for the coming year.",
    "Error E-104: the pump stops after 30 seconds and the red lamp is on",
    "whales",
)


def vectors() -> np.ndarray:
    """Return the texts' vectors by the model's own graph."""
    return np.stack([MiniLM().vector(text) for text in TEXTS])


if __name__ == "__main__":
    np.savez_compressed(PROBES, texts=np.array(TEXTS), vectors=vectors())
