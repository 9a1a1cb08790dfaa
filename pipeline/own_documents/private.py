"""Makes what people's own documents need from the settings, for `build` and for the process that reads."""

from __future__ import annotations

from functools import partial

from pipeline.configuration.data_folder import DataFolder
from pipeline.context.memory import Memory
from pipeline.guardrails.planted import screen
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.index import Knowledge
from pipeline.own_documents.intake import outside
from pipeline.own_documents.spaces import Bounds, Spaces
from pipeline.providers import embedder, expander
from pipeline.settings import Settings


def private(settings: Settings, vectors: Embedder | None = None) -> Knowledge:
    """Return people's own documents, each person's a knowledge base, with no versions to go back to."""
    folder = DataFolder(settings.data_dir).private
    embeds = vectors or embedder(settings)
    return Knowledge(folder, embeds, releases=1, screen=screen, expander=expander(settings))


def spaces(settings: Settings, remembered: Memory, vectors: Embedder) -> Spaces | None:
    """Return what takes people's own documents in; None where they may not bring any."""
    chat = settings.chat
    if chat.uploads == "off":
        return None
    bounds = Bounds(chat.upload_bytes, chat.upload_files, chat.upload_pages, chat.upload_days)
    bring = partial(outside, data_dir=settings.data_dir.absolute())
    return Spaces(remembered, private(settings, vectors), bounds, bring)
