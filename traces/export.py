"""Writes the ledger out: whole turns as JSON lines, tables as Parquet.

`read` opens the ledger. It is opened anew for each piece and let go between two: the drainer waits for
readers, and pages wait for the drainer, so a long export would stop them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import orjson

from traces.ledger import Ledger
from traces.queries.turns import traces
from traces.records import Trace
from traces.rows import TABLES

Read = Callable[[], AbstractContextManager[Ledger]]
_PIECE = 1_000  # turns: about half a second
_NEXT = """
    select turn_id, started_at from turns
    where (cast($since as timestamptz) is null or started_at >= $since)
      and (cast($until as timestamptz) is null or started_at < $until)
      and (cast($after as text) is null or started_at > cast($since as timestamptz) or turn_id > $after)
    order by started_at, turn_id limit $piece
"""


def export_jsonl(
    read: Read, out: Path, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Write one whole trace a line, oldest first; returns how many. `out` appears when it is complete.

    Turns that end meanwhile are in it when they began after the last one that was written before.
    """
    draft, written = out.with_name(out.name + ".new"), 0
    with draft.open("wb") as file:
        for piece in _pieces(read, since, until):
            written += len(piece)
            for trace in piece:
                file.write(orjson.dumps(trace, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(out)
    return written


def _pieces(read: Read, since: datetime | None, until: datetime | None) -> Iterator[list[Trace]]:
    after: str | None = None
    while True:
        with read() as ledger:
            rows = ledger.rows(_NEXT, since=since, until=until, after=after, piece=_PIECE)
            piece = traces(ledger, [row["turn_id"] for row in rows])
        yield piece
        if len(rows) < _PIECE:
            return
        since, after = rows[-1]["started_at"], rows[-1]["turn_id"]


def export_parquet(read: Read, folder: Path) -> list[Path]:
    """Write `<table>.parquet` for every table; returns the files.

    `read` must open the ledger by `store.read(exporting=True)`: the usual one may not write files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{table}.parquet" for table in TABLES]
    for table, file in zip(TABLES, files, strict=True):
        draft = file.with_name(file.name + ".new")
        with read() as ledger:
            ledger.write_parquet(f"table {table}", draft)
        draft.replace(file)
    return files
