"""Vectors kept by what they were made from, so that nothing is embedded twice."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.knowledge.embedding import PassageVectors, Spans

_HEAD = struct.Struct("<16sI")  # key, sentences (NONE when the embedder gives no sentence vectors)
NONE = 0xFFFFFFFF


def key(text: str, spans: Spans) -> bytes:
    """Return the key of a text with its sentence spans."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(np.array(spans, np.int32).tobytes())
    return digest.digest()


class VectorFile:
    """An append-only file of float16 vectors, one per embedder; a torn tail is ignored.

    Each record is one `os.write`, so several processes may append at once.
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        name = hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()
        self.path = folder / f"{name}-{dimensions}.vectors"
        self._dimensions = dimensions
        self._places: dict[bytes, tuple[int, int]] = {}
        for found, count, offset in self._scan():
            self._places[found] = (count, offset)

    def __contains__(self, found: bytes) -> bool:
        return found in self._places

    def get(self, wanted: bytes) -> PassageVectors | None:
        """Return the vectors stored under the key, or None."""
        place = self._places.get(wanted)
        if place is None:
            return None
        count, offset = place
        rows = 1 if count == NONE else 1 + count
        with self.path.open("rb") as file:
            file.seek(offset)
            data = np.frombuffer(file.read(rows * self._dimensions * 2), np.float16)
        return unpack(data.reshape(rows, self._dimensions), count != NONE)

    def put(self, pairs: Sequence[tuple[bytes, PassageVectors]]) -> None:
        """Append vectors under their keys."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for found, vectors in pairs:
                count = NONE if vectors.sentences is None else len(vectors.sentences)
                os.write(handle, _HEAD.pack(found, count) + pack(vectors).tobytes())
        finally:
            os.close(handle)
        for found, count, offset in self._scan():
            self._places[found] = (count, offset)

    def _scan(self) -> Iterator[tuple[bytes, int, int]]:
        if not self.path.exists():
            return
        size, width = self.path.stat().st_size, self._dimensions * 2
        with self.path.open("rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                found, count = _HEAD.unpack(head)
                offset = file.tell()
                end = offset + (1 if count == NONE else 1 + count) * width
                if end > size:
                    return
                yield found, count, offset
                file.seek(end)


def pack(vectors: PassageVectors) -> np.ndarray:
    """Stack the text's vector and its sentences' as float16 rows."""
    rows = [vectors.vector[None]] if vectors.sentences is None else [vectors.vector[None], vectors.sentences]
    return np.concatenate(rows).astype(np.float16)


def unpack(rows: np.ndarray, sentences: bool) -> PassageVectors:
    """Undo `pack`; float16 has cost a little length, so the rows are normalised again."""
    full = rows.astype(np.float32)
    full /= np.maximum(np.linalg.norm(full, axis=1, keepdims=True), 1e-9)
    return PassageVectors(full[0], full[1:] if sentences else None)
