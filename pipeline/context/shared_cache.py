"""What caches keep, shared by all machines through Redis; each has its own copy of what it served."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import orjson

from pipeline.context.answers import AnswerEntry, KeptAnswer
from pipeline.context.cache import CachedSearch, Shelves, Vectored
from pipeline.databases.redis_server import RedisServer
from pipeline.errors import SessionsError
from pipeline.knowledge.found import Retrieved, RetrievedChunk, Vector
from traces.ids import uuid7
from traces.records import Passage

log = logging.getLogger(__name__)
CACHED = "cache:"  # what the names of all entries on the server begin with
SECONDS = 900  # what nobody asked for so long is gone from the server
QUESTIONS = 256  # of a key on the server, the newest
E = TypeVar("E", bound=Vectored)


@dataclass(frozen=True, slots=True)
class Packing(Generic[E]):
    """How an entry becomes bytes, and an entry again; no pickle, which would run what it is given."""

    pack: Callable[[E], bytes]
    unpack: Callable[[bytes, Vector], E]


@dataclass(frozen=True, slots=True)
class KeptElsewhere:
    """What another machine keeps for a question."""

    vector: Vector
    name: str  # on the server


class SharedShelves(Shelves[E]):
    """Shelves of all machines: what this one lacks it looks for on the server.

    A question and its vector are read once; what is kept for it only when it is served. A server that is
    gone is not waited for: the machine's own copies serve.
    """

    def __init__(self, size: int, keys: int, server: RedisServer, packing: Packing[E], kind: str) -> None:
        super().__init__(size, keys)
        self._server = server
        self._packing = packing
        self._kind = kind
        self._read: OrderedDict[tuple[Any, ...], str] = OrderedDict()  # until where, by key

    def like(self, key: tuple[Any, ...], query: str, vector: Vector) -> E | None:
        entry = self._here(key, query, vector)
        if entry is None and self._catch_up(key):
            entry = self._here(key, query, vector)
        return entry

    def keep(self, key: tuple[Any, ...], query: str, entry: E) -> None:
        super().keep(key, query, entry)
        name, index = f"{self._index(key)}:{uuid7()}", self._server.key(self._index(key))
        fields: Any = {"question": query, "vector": entry.vector.tobytes(), "name": name}
        packed = self._packing.pack(entry)

        def tell(client: Any) -> None:
            with client.pipeline() as steps:
                steps.set(self._server.key(name), packed, ex=SECONDS)
                steps.xadd(index, fields, maxlen=QUESTIONS)
                steps.expire(index, SECONDS)
                steps.execute()

        self._ask(tell)

    def drop(self, key: tuple[Any, ...], query: str, vector: Vector) -> None:
        super().drop(key, query, vector)
        self._ask(lambda client: client.xadd(self._server.key(self._index(key)), {"question": query}))

    def forget_others(self, kb: str, version: str) -> None:
        super().forget_others(kb, version)
        for key in [key for key in self._read if key[1] == kb and key[2] != version]:
            del self._read[key]

    def _here(self, key: tuple[Any, ...], query: str, vector: Vector) -> E | None:
        """Return what is known here; what only the server keeps is fetched, and forgotten when it is gone."""
        while (entry := super().like(key, query, vector)) is not None:
            if not isinstance(entry, KeptElsewhere):
                return entry
            packed = self._ask(lambda client, name=entry.name: client.get(self._server.key(name)))
            shelf = self[key]
            question = shelf.alike(query, vector)
            assert question is not None
            try:
                shelf.put(question, self._packing.unpack(packed, entry.vector))
            except (TypeError, ValueError, KeyError, AttributeError):  # gone, or not ours
                shelf.drop(question)
        return None

    def _catch_up(self, key: tuple[Any, ...]) -> bool:
        """Read what others kept since; say whether there was anything."""
        last, name = self._read.get(key, "-"), self._server.key(self._index(key))
        since = last if last == "-" else f"({last}"
        rows = self._ask(lambda client: client.xrange(name, since, "+", count=QUESTIONS)) or []
        for number, fields in rows:
            self._read[key] = number.decode()
            self._take(key, fields)
        while len(self._read) > self._keys:
            self._read.popitem(last=False)
        return bool(rows)

    def _take(self, key: tuple[Any, ...], fields: dict[bytes, bytes]) -> None:
        question = fields[b"question"].decode()
        shelf = self.get(key)
        here = shelf is not None and question in shelf
        if b"name" not in fields:  # it proved wrong
            if shelf is not None and here:
                shelf.drop(question)
        elif not here:
            vector = np.frombuffer(fields[b"vector"], np.float32)
            super().keep(key, question, cast("E", KeptElsewhere(vector, fields[b"name"].decode())))

    def _index(self, key: tuple[Any, ...]) -> str:
        """Return the key's name on the server, which repeats nobody's name."""
        return f"{CACHED}{self._kind}:{hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()}"

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            return self._server.ask(question)
        except SessionsError as error:
            log.debug("the cache of all machines is not used: %s", error)
            return None


def _pack_passages(entry: CachedSearch) -> bytes:
    """Pack passages: a line of JSON, then the vectors of their sentences."""
    candidates = entry.retrieved.candidates
    rows = [
        {
            "passage": asdict(item.passage),
            "spans": item.spans,
            "shape": None if item.vectors is None else item.vectors.shape,
            "screened": [mark.hex() for mark in item.screened],
        }
        for item in candidates
    ]
    about = {"kb": entry.retrieved.kb, "version": entry.retrieved.index_version}
    head = about | {"embedder": entry.retrieved.embedder, "query": entry.retrieved.query}
    line = orjson.dumps(head | {"seconds": entry.seconds, "found": rows})
    blocks = [item.vectors.astype(np.float32).tobytes() for item in candidates if item.vectors is not None]
    return b"\n".join([line, b"".join(blocks)])


def _unpack_passages(packed: bytes, vector: Vector) -> CachedSearch:
    line, _, rest = packed.partition(b"\n")
    head, numbers = orjson.loads(line), np.frombuffer(rest, np.float32)
    candidates: list[RetrievedChunk] = []
    for row in head["found"]:
        vectors = None
        if row["shape"] is not None:
            size = int(np.prod(row["shape"]))
            vectors, numbers = numbers[:size].reshape(row["shape"]), numbers[size:]
        spans = tuple((begin, end) for begin, end in row["spans"])
        screened = tuple(bytes.fromhex(mark) for mark in row["screened"])
        candidates.append(RetrievedChunk(Passage(**row["passage"]), spans, vectors, screened))
    retrieved = Retrieved(
        head["query"], vector, tuple(candidates), head["kb"], head["version"], head["embedder"]
    )
    return CachedSearch(retrieved, vector, head["seconds"])


def _pack_answer(entry: AnswerEntry) -> bytes:
    return orjson.dumps(asdict(entry.answer))


def _unpack_answer(packed: bytes, vector: Vector) -> AnswerEntry:
    return AnswerEntry(vector, KeptAnswer(**orjson.loads(packed)))


PASSAGES = Packing(_pack_passages, _unpack_passages)
ANSWERS = Packing(_pack_answer, _unpack_answer)
