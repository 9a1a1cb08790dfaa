"""Compares our retrieval with simple ones: `python -m evalsets.retrieval_table DATA_FOLDER`.

Prints the Markdown table that the README of `pipeline` keeps: recall@5 / nDCG@5 with the 95 % interval of
recall, by documents. "Cross-encoder" is ours with `retrieval.reranker = "cross_encoder"`, whatever it takes;
two voices are ours without the learned-sparse one. BM25, dense search, reciprocal ranks
(RRF) and the weighted sum of their z-scores order the same chunks by the same vectors that ours reranks.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from evalsets import evidence_sets
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import messages
from evalsets.evidence_sets import lines
from evalsets.metrics.retrieval import retrieval
from evalsets.metrics.stats import summary
from pipeline.context.condenser import needs_history, rewrite
from pipeline.context.fusion import Weights, fuse
from pipeline.context.pairs import PairReranker
from pipeline.context.patience import LEISURE
from pipeline.context.reranker import EmbeddedReranker, Reranker
from pipeline.context.retrieval import Retriever
from pipeline.knowledge.cross_encoder import PASSAGE, CrossEncoder
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.expansion import Expander
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.rows import ReadyDocument, packed, schema, unpacked
from pipeline.knowledge.shelf import MemoryShelf, Scores
from traces.recorder import Nowhere, Recorder
from traces.records import Turn

WAYS = ("ours", "cross-encoder", "two voices", "BM25", "dense", "RRF", "z-fusion")
RRF = 60  # its usual constant (Cormack, Clarke and Büttcher, 2009)
WEIGHT = 0.3  # of the full-text z-scores, as configured
DEEP = 100  # chunks of each order that are collapsed to documents


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question and the documents that answer it."""

    question: str
    relevant: frozenset[str]


class ShelfInMemory:
    """A knowledge base that is one shelf in memory."""

    private = None

    def __init__(self, shelf: MemoryShelf, embedder: MiniLM) -> None:
        self.shelf = shelf
        self.embedder = embedder
        self.encoder = CrossEncoder(PASSAGE)

    def exists(self, kb: str) -> bool:
        return True

    async def open(self, kb: str) -> MemoryShelf:
        return self.shelf


async def shelve(path: Path, embedder: MiniLM) -> MemoryShelf:
    """Chunk, embed and index a corpus.jsonl as an ingestion does, in memory."""
    corpus = await evidence_sets.shelve(path, embedder)
    expander, expansions = Expander(), [None] * len(corpus.chunks)
    if expander.trouble is None:  # else there are two voices only
        texts = [chunk.embedded[0] for chunk in corpus.chunks]
        expansions = await asyncio.to_thread(expander.expand, texts)
    entries = [
        ReadyDocument(chunk.document_id, "", (chunk,), (replace(vectors, expansion=expansion),))
        for chunk, vectors, expansion in zip(corpus.chunks, corpus.vectors, expansions, strict=True)
    ]
    rows = packed(entries, schema(embedder.fingerprint, embedder.dimensions))
    return MemoryShelf("v1", embedder.fingerprint, *unpacked(rows, path.parent.name))


async def orders(standing: ShelfInMemory, question: str) -> dict[str, list[str]]:
    """Return the documents that each way finds, best first."""
    shelf = standing.shelf
    query = shelf.respelt(question)
    vector = await standing.embedder.embed_query(query)
    cosines, texts = await shelf.by_vector(vector), await shelf.by_text(query)
    pool = fuse(cosines, texts, Weights(WEIGHT))
    keys_by_way = {
        "BM25": texts.keys[np.argsort(-texts.values, kind="stable")],
        "dense": np.argsort(-cosines.values, kind="stable"),
        "RRF": np.argsort(-_reciprocal(cosines, texts), kind="stable"),
        "z-fusion": pool.keys[np.argsort(-pool.fused, kind="stable")],
    }
    documents = {
        way: [row.document_id for row in await shelf.rows(keys[:DEEP].tolist())]
        for way, keys in keys_by_way.items()
    }
    return documents | {
        "ours": await ours(standing, question),
        "cross-encoder": await ours(standing, question, reranker=PairReranker(standing.encoder)),
        "two voices": await ours(standing, question, Weights(WEIGHT, 0.0)),
    }


async def ours(
    standing: ShelfInMemory,
    question: str,
    weights: Weights = Weights(WEIGHT),
    reranker: Reranker = EmbeddedReranker(),
) -> list[str]:
    """Return the documents that the product retrieves, best first."""
    knowledge = cast("Knowledge", standing)  # it asks for no more of one
    retriever = Retriever(knowledge, weights=weights, reranker=reranker, patience=LEISURE)
    retrieved = await retriever.retrieve(question, "kb", unrecorded(question))
    await retriever.close()
    return [candidate.passage.document_id for candidate in retrieved.candidates]


def unrecorded(question: str) -> Recorder:
    """Return a recorder of a turn that is written nowhere."""
    return Recorder(Turn("t", "c", "u", "eval", datetime.now(UTC), question, "answered"), Nowhere())


def _reciprocal(cosines: Scores, texts: Scores) -> NDArray[np.float64]:
    """Return the sum of 1 / (RRF + rank) over both orders."""
    sums = np.zeros(len(cosines.values))
    for keys, values in ((cosines.keys, cosines.values), (texts.keys, texts.values)):
        order = np.argsort(-values, kind="stable")
        sums[keys[order]] += 1.0 / (RRF + 1 + np.arange(len(order)))
    return sums


async def row(name: str, standing: ShelfInMemory, cases: Sequence[LabelledQuestion]) -> str:
    """Return a set's line of the table."""
    scores: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for case in cases:
        for way, documents in (await orders(standing, case.question)).items():
            values = retrieval(list(dict.fromkeys(documents)), case.relevant)
            scores[way].append((values["recall@5"] or 0.0, values["ndcg@5"] or 0.0))
    cells = [f"{name} ({len(cases)})", *(_cell(scores[way]) for way in WAYS)]
    return f"| {' | '.join(cells)} |"


def _cell(pairs: Sequence[tuple[float, float]]) -> str:
    recalls = summary([recall for recall, _ in pairs])
    gain = float(np.mean([gain for _, gain in pairs]))
    return f"{recalls.mean:.3f} ({recalls.low:.2f} to {recalls.high:.2f}) / {gain:.3f}"


def beir(folder: Path, field: str = "text") -> list[LabelledQuestion]:
    """Return the questions of a folder that have relevant documents."""
    relevant = relevant_documents(folder)
    name = "questions" if (folder / "questions.jsonl").exists() else "queries"
    rows = lines(folder / f"{name}.jsonl")
    return [
        LabelledQuestion(entry.get(field) or entry["question"], relevant[entry["id"]])
        for entry in rows
        if entry["id"] in relevant
    ]


def condensed(folder: Path) -> list[LabelledQuestion]:
    """Return the last questions of mtrag_cloud as our rules make them stand alone."""
    relevant = relevant_documents(folder)
    cases: list[LabelledQuestion] = []
    for task in lines(folder / "tasks.jsonl"):
        if task["id"] in relevant:
            question, earlier = task["question"], messages(task["history"])
            leans = needs_history(question, earlier)
            cases.append(
                LabelledQuestion(rewrite(question, earlier) if leans else question, relevant[task["id"]])
            )
    return cases


def relevant_documents(folder: Path) -> Mapping[str, frozenset[str]]:
    labels: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            labels.setdefault(query, set()).add(document)
    return {query: frozenset(documents) for query, documents in labels.items()}


async def main(folder: Path) -> None:
    """Print the table; the cross-encoder's column needs its package."""
    if (trouble := CrossEncoder().trouble) is not None:
        raise SystemExit(trouble)
    embedder = MiniLM()
    print(f"| set (questions) | {' | '.join(WAYS)} |\n|{'---|' * (len(WAYS) + 1)}")
    cloud = ShelfInMemory(await shelve(folder / "mtrag_cloud/corpus.jsonl", embedder), embedder)
    for name, cases in (
        ("mtrag_cloud, last turn", beir(folder / "mtrag_cloud")),
        ("mtrag_cloud, condensed by rules", condensed(folder / "mtrag_cloud")),
        ("mtrag_cloud, people's rewrites", beir(folder / "mtrag_cloud", "rewrite")),
    ):
        print(await row(name, cloud, cases), flush=True)
    for name in ("demo_gnome_help", "clapnq_dev"):
        standing = ShelfInMemory(await shelve(folder / name / "corpus.jsonl", embedder), embedder)
        print(await row(name, standing, beir(folder / name)), flush=True)
    everyday = load_evalset("everyday")
    assert everyday.corpus is not None
    cases = [
        LabelledQuestion(case.question, frozenset(case.relevant_ids))
        for case in everyday.cases
        if case.relevant_ids
    ]
    standing = ShelfInMemory(await shelve(everyday.corpus, embedder), embedder)
    print(await row("everyday", standing, cases), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
