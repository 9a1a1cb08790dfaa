"""Rebuilds the shipped sample: `python -m pipeline.knowledge.sample_build CORPUS.jsonl`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np

from pipeline.knowledge import vectors
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.ingest import SAMPLE, sample

FIELDS = ("id", "title", "text", "url", "section", "book", "credits")


def copy(corpus: Path) -> None:
    """Take the corpus over, with the fields that matter and the pages' credits."""
    rows = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
    lines = [json.dumps({name: row[name] for name in FIELDS}, ensure_ascii=False) for row in rows]
    (SAMPLE / "documents.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


async def embed() -> int:
    """Write vectors.npz for the sample's documents; returns the number of chunks."""
    embedder = MiniLM()
    texts = [one.embedded for document in sample() for one in chunk(document)]
    made = await embedder.embed_passages([text for text, _ in texts], [spans for _, spans in texts])
    packed = [vectors.pack(one) for one in made]
    np.savez_compressed(
        SAMPLE / "vectors.npz",
        fingerprint=np.array(embedder.fingerprint),
        keys=np.array([list(vectors.key(*text)) for text in texts], np.uint8),
        ends=np.cumsum([len(rows) for rows in packed]),
        rows=np.concatenate(packed),
    )
    return len(texts)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        copy(Path(sys.argv[1]))
    print(f"{asyncio.run(embed())} chunks")
