"""How far each segment of the journal has been drained, as the embedded store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import duckdb

_ASKED = {
    "main": "select segment, drained_to from marks",
    "stored": "select segment, drained_to from stored.marks",
}


def stored(
    connection: duckdb.DuckDBPyConnection, schema: Literal["main", "stored"] = "main"
) -> dict[str, int]:
    """Return how far each segment has been drained."""
    return dict(connection.execute(_ASKED[schema]).fetchall())


def put(connection: duckdb.DuckDBPyConnection, marks: Mapping[str, int]) -> None:
    """Set how far segments have been drained, within the current transaction."""
    for segment, end in marks.items():
        connection.execute(
            "insert into marks (segment, drained_to) values ($segment, $end)"
            " on conflict (segment) do update set drained_to = excluded.drained_to",
            {"segment": segment, "end": end},
        )
