"""Rebuilds the vectors of the shipped handbook after an edit: `python -m pipeline.knowledge.sample_build`.

A page without its vector still loads, but every first start then embeds it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.knowledge import vector_files
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.embedding import MiniLM, Spans
from pipeline.knowledge.expansion import Expander
from pipeline.knowledge.ingest import SAMPLE, Ready, sample, sample_vectors


async def embed() -> tuple[int, int]:
    """Write vectors.npz, embedding only chunks that lack a vector; return chunks, and how many lacked one."""
    embedder = MiniLM()
    ready = sample_vectors(embedder)
    texts = [piece.embedded for document in sample() for piece in chunk(document)]
    keys = [vector_files.key(*text) for text in texts]
    lacking = {key: text for key, text in zip(keys, texts, strict=True) if key not in ready}
    fresh = await embedder.embed_passages(
        [text for text, _ in lacking.values()], [spans for _, spans in lacking.values()]
    )
    ready.update(zip(lacking, fresh, strict=True))
    await asyncio.to_thread(_expand, ready, dict(zip(keys, texts, strict=True)))
    expansions = [ready[key].expansion for key in keys]
    packed = [vector_files.pack(ready[key]) for key in keys]
    np.savez_compressed(
        SAMPLE / "vectors.npz",
        fingerprint=np.array(embedder.fingerprint),
        keys=np.array([list(key) for key in keys], np.uint8),
        ends=np.cumsum([len(rows) for rows in packed]),
        rows=np.concatenate(packed),
        expanded=np.array([-1 if expansion is None else len(expansion) for expansion in expansions]),
        expansions=np.frombuffer(b"".join(expansion or b"" for expansion in expansions), np.uint8),
    )
    return len(keys), len(lacking)


def _expand(ready: Ready, texts: Mapping[bytes, tuple[str, Spans]]) -> None:
    """Give the word pieces to chunks that lack them; without the model each first start does."""
    expander = Expander()
    for key, (text, _) in texts.items():
        if ready[key].expansion is None and expander.trouble is None:
            ready[key] = replace(ready[key], expansion=expander.expand([text])[0])


if __name__ == "__main__":
    print("{} chunks, {} embedded afresh".format(*asyncio.run(embed())))
