"""Writes the ledger out: whole turns as JSON lines, tables as Parquet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import orjson

from traces.ledger import Ledger
from traces.queries.turns import traces
from traces.rows import TABLES

_BATCH = 200


def export_jsonl(
    ledger: Ledger, out: Path, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Write one whole trace a line, oldest first; returns how many. `out` appears when it is complete."""
    rows = ledger.rows(
        """
        select turn_id from turns
        where (cast($since as timestamptz) is null or started_at >= $since)
          and (cast($until as timestamptz) is null or started_at < $until)
        order by started_at, turn_id
        """,
        since=since,
        until=until,
    )
    ids = [row["turn_id"] for row in rows]
    draft = out.with_name(out.name + ".new")
    with draft.open("wb") as file:
        for at in range(0, len(ids), _BATCH):
            for trace in traces(ledger, ids[at : at + _BATCH]):
                file.write(orjson.dumps(trace, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(out)
    return len(ids)


def export_parquet(ledger: Ledger, folder: Path) -> list[Path]:
    """Write `<table>.parquet` for every table; returns the files.

    The ledger must come from `store.read(exporting=True)`: the usual one may not write files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{table}.parquet" for table in TABLES]
    for table, file in zip(TABLES, files, strict=True):
        ledger.write_parquet(f"table {table}", file)
    return files
