"""What ingestions have left to do, by knowledge base, as small files beside the tables."""

from __future__ import annotations

from pathlib import Path

from pipeline.knowledge.standing import Lag
from pipeline.knowledge.tables import checked, plainly

SUFFIX = ".lag.json"


class Lags:
    """The lags of all knowledge bases of one folder, of which those that did not change are remembered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[int, Lag]] = {}

    def note(self, kb: str, lag: Lag) -> None:
        """Keep how far an ingestion is, for `status`."""
        with plainly(kb):
            lag.save(self.path(kb))

    def of(self, kb: str) -> Lag:
        """Return what an ingestion has left to do; cheap enough for every turn."""
        try:
            stamp = self.path(kb).stat().st_mtime_ns
        except OSError:
            return Lag()
        if kb not in self._read or self._read[kb][0] != stamp:
            self._read[kb] = stamp, Lag.load(self.path(kb))
        return self._read[kb][1]

    def every(self) -> dict[str, Lag]:
        """Return what is left to do, by knowledge base."""
        names = sorted(path.name.removesuffix(SUFFIX) for path in self._folder.glob(f"*{SUFFIX}"))
        return {kb: self.of(kb) for kb in names}

    def path(self, kb: str) -> Path:
        """Return the file of a knowledge base."""
        return self._folder / f"{checked(kb)}{SUFFIX}"
