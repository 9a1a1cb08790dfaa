"""Finds a file of weights that an installed package carries, of which nothing is imported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipeline.errors import AnswerdeckError


class WeightsError(AnswerdeckError):
    """A file of weights is missing, not the one that was measured, or cannot be opened."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file of a package, `name` from where the package is installed, and what it must be."""

    package: str
    name: str
    sha256: str

    def path(self) -> Path:
        """Return where the file lies; raises WeightsError when it is not there."""
        try:
            path = Path(str(distribution(self.package).locate_file(self.name)))
        except PackageNotFoundError:
            raise WeightsError(f"the package {self.package} is not installed: make install") from None
        if not path.is_file():
            raise WeightsError(f"the package {self.package} has no model: make install")
        return path

    def read(self) -> bytes:
        """Return what the file says; raises WeightsError when it is not the one that was measured."""
        content = self.path().read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise WeightsError(f"the file of the package {self.package} is another than ours: make install")
        return content
