"""The trace store: DuckDB behind the journal, filled in short windows and read beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from traces import duck, segments
from traces.ledger import Ledger
from traces.locks import holding
from traces.rows import Damaged, Row, rows

TAIL_BYTES = 16 << 20
READER_WAITS_SECONDS = 2.0


class Store:
    """The traces of one data folder: `drain` moves the journal into DuckDB, `read` asks questions."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.journal = data_dir / "journal"
        self.path = data_dir / "traces.duckdb"

    @contextmanager
    def read(self, *, exporting: bool = False) -> Iterator[Ledger]:
        """Open the ledger for one page refresh; raises StoreBusy, StoreDamaged or StoreVersion."""
        with (
            holding(self.data_dir, "shared", READER_WAITS_SECONDS),
            duck.reading(self.path) as connection,
        ):
            marks = duck.marks(connection, "stored")
            blocks, hidden = segments.tail(self.journal, marks, TAIL_BYTES)
            duck.append_live(connection, tables(blocks))
            if not exporting:
                duck.lock_down(connection)
            yield Ledger(connection, self.path.name, hidden)


def tables(blocks: list[segments.Block]) -> dict[str, list[Row]]:
    """Return the rows of many journal lines by table; damaged lines are left to the drainer."""
    found: dict[str, list[Row]] = {}
    for block in blocks:
        for _, line in block.lines():
            try:
                for table, row in rows(line):
                    found.setdefault(table, []).append(row)
            except Damaged:
                continue
    return found
