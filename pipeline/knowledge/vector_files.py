"""Vectors kept by what they were made from, so that nothing is embedded twice."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.knowledge.embedding import PassageVectors, Spans

log = logging.getLogger(__name__)
MAGIC = b"AVEC"
_HEAD = struct.Struct(
    "<4s16sIII"
)  # magic, key, rows, dimensions, 1 when the rows after the first are sentences


def key(text: str, spans: Spans) -> bytes:
    """Return the key of a text with its sentence spans."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(np.array(spans, np.int32).tobytes())
    return digest.digest()


class VectorFile:
    """An append-only file of float16 vectors, one per embedder.

    Each record is one `os.write`, so several processes may append at once. It only saves work: a
    damaged file is started anew.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        name = hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()
        self.path = folder / f"{name}.vectors"
        self._places: dict[bytes, tuple[int, int, int, int]] = {}
        self._read = 0
        self._scan()

    def get(self, key: bytes) -> PassageVectors | None:
        """Return the vectors stored under the key, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        offset, rows, dimensions, sentences = place
        with self.path.open("rb") as file:
            file.seek(offset)
            data = np.frombuffer(file.read(rows * dimensions * 2), np.float16)
        return unpack(data.reshape(rows, dimensions), bool(sentences))

    def put(self, pairs: Sequence[tuple[bytes, PassageVectors]]) -> None:
        """Append vectors under their keys."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._scan()
        if self.path.exists() and self.path.stat().st_size != self._read:
            self._restart()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for pair, vectors in pairs:
                rows = pack(vectors)
                head = _HEAD.pack(MAGIC, pair, *rows.shape, vectors.sentences is not None)
                os.write(handle, head + rows.tobytes())
        finally:
            os.close(handle)
        self._scan()

    def _scan(self) -> None:
        """Learn the records appended since the last scan."""
        if not self.path.exists():
            return
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(self._read)
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, entry, rows, dimensions, sentences = _HEAD.unpack(head)
                offset = file.tell()
                end = offset + rows * dimensions * 2
                if magic != MAGIC or not rows or end > size:
                    return
                self._places[entry] = (offset, rows, dimensions, sentences)
                self._read = end
                file.seek(end)

    def _restart(self) -> None:
        log.warning("%s is damaged and started anew", self.path.name)
        self.path.unlink(missing_ok=True)
        self._places.clear()
        self._read = 0


def pack(vectors: PassageVectors) -> np.ndarray:
    """Stack the text's vector and its sentences' as float16 rows."""
    rows = [vectors.vector[None]] if vectors.sentences is None else [vectors.vector[None], vectors.sentences]
    return np.concatenate(rows).astype(np.float16)


def unpack(rows: np.ndarray, sentences: bool) -> PassageVectors:
    """Undo `pack`; float16 has cost a little length, so the rows are normalised again."""
    full = rows.astype(np.float32)
    full /= np.maximum(np.linalg.norm(full, axis=1, keepdims=True), 1e-9)
    return PassageVectors(full[0], full[1:] if sentences else None)
