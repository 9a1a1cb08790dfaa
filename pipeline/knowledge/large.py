"""A knowledge base too large for memory, searched through LanceDB's indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knowledge.found import Vector
from pipeline.knowledge.rows import matrix
from pipeline.knowledge.shelf import COLUMNS, MATCHES, PAGE, SCREENED, Keys, Scores, StoredChunk, row, spread
from pipeline.knowledge.tables import matching
from pipeline.text.codes import parted

if TYPE_CHECKING:
    from lancedb.table import AsyncTable

POOL = 200  # rows taken from each search
SAMPLE = 2_000  # rows whose cosines stand for all, to turn scores into z-scores
WANTED_RECALL = 0.95
QUERIES = 40  # stored vectors asked for their neighbours to measure the index


@dataclass(frozen=True, slots=True)
class Probes:
    """How the vector index is asked, and the share of true neighbours it then finds."""

    nprobes: int = 20
    refine: int = 5
    recall: float | None = None
    exact: bool = False  # the index does not find enough: every vector is compared

    @property
    def shown(self) -> str:
        """How the index is asked, in words for people."""
        if self.exact:
            return "IVF_RQ finds too few neighbours here, every vector is compared: recall 1.0"
        recall = "not measured" if self.recall is None else f"{self.recall:.3f}"
        return f"IVF_RQ, {self.nprobes} probes, refined {self.refine} times: recall {recall} of exact search"


LADDER = (
    Probes(20, 5),
    Probes(40, 10),
    Probes(80, 10),
    Probes(160, 20),
    Probes(320, 40),
    Probes(1_000, 60),
)
Guard = Callable[[], AbstractContextManager[None]]  # turns the store's errors into KnowledgeError


class TableShelf:
    """A Shelf whose keys are LanceDB's row ids at one version."""

    def __init__(
        self,
        version: str,
        embedder: str,
        chunks: int,
        table: AsyncTable,
        sample: NDArray[np.float32],
        probes: Probes,
        guard: Guard,
    ) -> None:
        self.version = version
        self.embedder = embedder
        self.chunks = chunks
        self._table = table
        self._sample = sample
        self._probes = probes
        self._guard = guard
        self._stored: list[str] | None = None  # the columns of a row, once they are known

    @property
    def dimensions(self) -> int:
        return self._sample.shape[1]

    @property
    def expanded(self) -> bool:
        return False  # so large a knowledge base is not read into memory

    async def by_vector(self, vector: Vector) -> Scores:
        """Return the nearest rows by cosine, as the vector index finds them."""
        with self._guard():
            query = nearest(self._table, vector, self._probes).limit(POOL)
            table = await query.select(["document_key", "position", "_distance"]).with_row_id().to_arrow()
        others = self._sample @ vector
        values = 1.0 - table["_distance"].to_numpy()
        return _scores(table, values, float(others.mean()), float(others.std()) or 1.0)

    def respelt(self, query: str) -> str:
        """Return the query with the parts of its codes; a large knowledge base's own words lie on disk."""
        return parted(query)

    async def by_text(self, query: str) -> Scores:
        """Return the rows that share words with the query, by BM25."""
        with self._guard():
            search = matching(self._table, query).limit(MATCHES)
            table = await search.select(["document_key", "position", "_score"]).with_row_id().to_arrow()
        values = table["_score"].to_numpy()
        mean, deviation = spread(values, self.chunks)
        return _scores(table.slice(0, POOL), values[:POOL], mean, deviation)

    async def by_pieces(self, query: str) -> Scores:
        """Return none: the learned-sparse voice is heard where all rows lie in memory."""
        return Scores.none()

    async def cosines(self, vector: Vector, keys: Keys) -> NDArray[np.float32]:
        """Return the exact cosine of each row with the vector."""
        with self._guard():
            taken = self._table.take_row_ids(keys.tolist()).select(["vector"]).with_row_id()
            table = await taken.to_arrow()
        order = np.argsort(table["_rowid"].to_numpy())
        values = matrix(table)[order] @ vector
        return values[np.argsort(np.argsort(keys))]

    async def rows(self, keys: Sequence[int]) -> list[StoredChunk]:
        """Return the rows in the order of the keys."""
        if self._stored is None:
            with self._guard():
                names = (await self._table.schema()).names
            self._stored = [name for name in (*COLUMNS, SCREENED) if name in names]
        return [row(entry, self.dimensions) for entry in await self._take(keys, self._stored)]

    async def keys(self, name: str) -> Keys:
        """Return the keys of a chunk, or of all chunks of a document, by its id."""
        literal = "'" + name.replace("'", "''") + "'"
        with self._guard():
            query = self._table.query().where(f"chunk_id = {literal} or document_id = {literal}")
            table = await query.select(["chunk_id"]).with_row_id().to_arrow()
        return table["_rowid"].to_numpy().astype(np.int64)

    async def _take(self, keys: Sequence[int], columns: list[str]) -> list[dict[str, Any]]:
        if not keys:
            return []
        with self._guard():
            rows = await self._table.take_row_ids(list(keys)).select(columns).with_row_id().to_list()
        by_key = {entry["_rowid"]: entry for entry in rows}
        return [by_key[key] for key in keys]


def nearest(table: AsyncTable, vector: Vector, probes: Probes) -> Any:
    """Return the vector query; always by cosine, the default would be L2."""
    query = table.query().nearest_to(vector).distance_type("cosine")
    if probes.exact:
        return query.bypass_vector_index()
    return query.nprobes(probes.nprobes).refine_factor(probes.refine)


async def drawn(table: AsyncTable, size: int = SAMPLE) -> NDArray[np.float32]:
    """Return vectors spread evenly over the table."""
    chunks = await table.count_rows()
    places = np.unique(np.linspace(0, chunks - 1, min(size, chunks)).astype(int)).tolist()
    return matrix(await table.take_offsets(places).select(["vector"]).to_arrow())


async def measure(table: AsyncTable) -> Probes:
    """Return the cheapest probes that find enough of the true neighbours of stored vectors.

    A stored vector is its own nearest neighbour, so that one does not count. When no step of the
    ladder suffices, the search stays exact.
    """
    queries = await drawn(table, QUERIES)
    exact = Probes(exact=True)
    truth = [await _neighbours(nearest(table, vector, exact)) for vector in queries]
    for probes in LADDER:
        shares = [
            len(set(await _neighbours(nearest(table, vector, probes))) & set(true)) / max(len(true), 1)
            for vector, true in zip(queries, truth, strict=True)
        ]
        recall = float(np.mean(shares))
        if recall >= WANTED_RECALL:
            return Probes(probes.nprobes, probes.refine, recall)
    return Probes(recall=1.0, exact=True)


async def _neighbours(query: Any) -> list[int]:
    rows = await query.select(["_distance"]).with_row_id().limit(11).to_arrow()
    return rows["_rowid"].to_pylist()[1:]


def load(path: Path) -> Probes:
    """Return the measured probes, or the cheapest when none are kept."""
    try:
        return Probes(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Probes()


def save(path: Path, probes: Probes) -> None:
    """Keep the measured probes."""
    path.write_text(json.dumps(asdict(probes)), "utf-8")


def _scores(table: Any, values: NDArray[np.float32], mean: float, deviation: float) -> Scores:
    keys = table["_rowid"].to_numpy().astype(np.int64)
    documents = np.array([int(key[:12], 16) for key in table["document_key"].to_pylist()], np.int64)
    pages = (documents << 15) + table["position"].to_numpy() // PAGE
    order = np.argsort(keys)
    return Scores(keys[order], values[order], pages[order], mean, deviation)
