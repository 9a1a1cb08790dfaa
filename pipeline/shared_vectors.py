"""Vectors of questions that an endpoint gave, kept for all machines in Redis under hashes of their texts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.databases.redis_server import RedisServer
from pipeline.errors import SessionsError
from pipeline.knowledge.embedding import RememberedVectors
from pipeline.knowledge.found import Vector

log = logging.getLogger(__name__)
SECONDS = 86_400


class SharedVectors(RememberedVectors):
    """The newest query vectors of this process, and those of all machines behind them."""

    def __init__(self, server: RedisServer, model: str) -> None:
        super().__init__()
        self._server = server
        self._model = model

    def get(self, text: str) -> Vector | None:
        vector = super().get(text)
        if vector is not None:
            return vector
        packed = self._ask(lambda client: client.get(self._name(text)))
        if not packed or len(packed) % 4:
            return None
        vector = np.frombuffer(packed, np.float32)
        super().put(text, vector)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        super().put(text, vector)
        self._ask(lambda client: client.set(self._name(text), vector.tobytes(), ex=SECONDS))

    def close(self) -> None:
        self._server.close()

    def _name(self, text: str) -> str:
        digest = hashlib.blake2b(f"{self._model}\0{text}".encode(), digest_size=20).hexdigest()
        return self._server.key(f"vector:{digest}")

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            return self._server.ask(question)
        except SessionsError as error:
            log.debug("the vectors of other machines are not used: %s", error)
            return None
