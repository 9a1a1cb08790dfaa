"""What the ledger needs of an open connection, in the SQL that both engines share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pandas


class Answers(Protocol):
    """An open connection that answers questions in the SQL both engines share."""

    def batches(self, sql: str, params: Mapping[str, Any], size: int) -> Iterator[list[dict[str, Any]]]: ...

    def columns(self, sql: str, params: Mapping[str, Any]) -> dict[str, Any]: ...

    def frame(self, sql: str, params: Mapping[str, Any]) -> pandas.DataFrame: ...

    def write_parquet(self, sql: str, out: Path) -> None: ...


@runtime_checkable
class Asking(Protocol):
    """An open connection that can be asked what a person wrote, and nothing else."""

    def ask(self, sql: str, most: int, seconds: float) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]: ...
