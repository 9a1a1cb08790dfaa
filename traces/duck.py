"""The one place that imports duckdb: opens the store to write and to read, and names what is wrong."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import orjson

from traces import rollups, views
from traces.engine import Tables, Unfit
from traces.errors import Refused, StoreBusy, StoreDamaged, StoreError, StoreVersion
from traces.rollups import Touched

if TYPE_CHECKING:
    import duckdb
    import pandas

_OURS: dict[str, Any] = {"python_enable_replacements": False}  # or SQL could name Python variables
SCHEMA = Path(__file__).parent / "schema"
LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")  # beside the store; the latter two after a kill
ROLLUPS = 3  # the migration that makes the rollups, filled from what is there
WORKSPACES = 10  # the one that tells whose turns they sum up
_BUSY = ("set lock on file", "conflicting lock", "already attached", "different configuration")
_NEWER = ("newer version of duckdb", "with version number")
MOST_PARSED = 500
_PARSED: dict[str, duckdb.Statement] = {}  # a question costs as much to parse as to answer
atexit.register(_PARSED.clear)  # or duckdb complains that they outlive it
_DAMAGED = (
    "not a valid duckdb", "checksum", "corrupt", "replaying wal", "could not read enough bytes",
    "serialization error", "invalidated because of a previous fatal error",
)  # fmt: skip


@cache
def migrations() -> tuple[str, ...]:
    """Return the numbered migrations' SQL, in order; their count is the schema's version.

    Columns marked bulky get DuckDB's strongest compression (a third of the space for our texts).
    """
    texts = [path.read_text() for path in sorted(SCHEMA.glob("[0-9]*.sql"))]
    return tuple(text.replace("/* bulky */", "using compression zstd") for text in texts)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Raise what duckdb says about files as our own errors; mistakes in SQL pass through."""
    import duckdb

    try:
        yield
    except (duckdb.Error, RuntimeError) as error:
        text = str(error).lower()
        if any(mark in text for mark in _BUSY):
            raise StoreBusy(f"{what} is held by another process; try again") from error
        if any(mark in text for mark in _NEWER):
            raise StoreVersion(f"{what} was written by a newer DuckDB; update this program") from error
        if any(mark in text for mark in _DAMAGED):
            raise StoreDamaged(f"{what} is damaged: {str(error)[:200]}") from error
        if isinstance(error, duckdb.IOException | duckdb.TransactionException | duckdb.OutOfMemoryException):
            raise StoreError(f"{what} cannot be used: {str(error)[:200]}") from error
        raise


class DuckReading:
    """Answers questions through one connection; only an export may do more than select."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, name: str, touched: Touched, *, exporting: bool
    ) -> None:
        self._connection = connection
        self._name = name
        self._touched: Touched | None = touched  # by the live tail, and not rolled up yet
        self._exporting = exporting

    def _prepare(self, sql: str) -> Any:
        """Return the question in a text, parsed; the first about rollups has the live tail rolled up."""
        if self._touched is not None and self._touched.hours and rollups.ASKED.search(sql):
            rollups.roll_live(self._connection, self._touched)
            self._touched = None
        return sql if self._exporting else self._question(sql)

    def _question(self, sql: str) -> duckdb.Statement:
        """Return a text as the one question that it is, parsed once; refuse any other."""
        import duckdb

        if sql not in _PARSED:
            statements = self._connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise StoreError("the ledger answers one question at a time, and changes nothing: use select")
            if len(_PARSED) >= MOST_PARSED:
                _PARSED.clear()
            _PARSED[sql] = statements[0]
        return _PARSED[sql]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise duckdb's errors as our own; what a newer program made another way is no mistake in SQL."""
        import duckdb

        try:
            with naming(self._name):
                yield
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            ours, sql = len(migrations()), "select coalesce(max(version), 0) from stored.migrations"
            with suppress(duckdb.Error):
                if (new := self._connection.execute(sql).fetchall()[0][0]) > ours:
                    raise StoreVersion(f"{self._name} has schema version {new}, we know {ours}") from error
            raise

    def batches(self, sql: str, params: Mapping[str, Any], size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in lists of `size`, JSON columns decoded."""
        with self._reading():
            answer = self._connection.execute(self._prepare(sql), params)
            names = [column[0] for column in answer.description or ()]
            json_at = [column[0] for column in answer.description or () if str(column[1]) == "JSON"]
            while rows := answer.fetchmany(size):
                batch = [dict(zip(names, row, strict=True)) for row in rows]
                for row in batch if json_at else ():
                    for name in json_at:
                        if row[name] is not None:
                            row[name] = orjson.loads(row[name])
                yield batch

    def columns(self, sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer as one array a column; for many rows of numbers without a null."""
        with self._reading():
            return self._connection.execute(self._prepare(sql), params).fetchnumpy()

    def frame(self, sql: str, params: Mapping[str, Any]) -> pandas.DataFrame:
        """Return the answer as a dataframe; JSON columns stay text."""
        with self._reading(), warnings.catch_warnings():
            # DuckDB 2.0 drops columns in a way that pandas 3.1 deprecates
            warnings.filterwarnings("ignore", message="The inplace keyword", category=DeprecationWarning)
            return self._connection.execute(self._prepare(sql), params).df()

    def ask(self, sql: str, most: int, seconds: float) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return columns and at most so many rows of one SELECT a person wrote; raises Refused."""
        import duckdb

        clock = Timer(seconds, self._connection.interrupt)
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise Refused("write one SELECT: nothing else is allowed here, and one question at a time")
            question = self._prepare(sql)
            clock.start()
            answer = self._connection.execute(question)
            columns = tuple(column[0] for column in answer.description or ())
            return columns, answer.fetchmany(most)
        except duckdb.InterruptException:
            raise Refused(f"stopped: it took longer than {seconds:g} s; narrow it, say by time") from None
        except (duckdb.Error, RuntimeError) as error:
            raise Refused(str(error)) from None
        finally:
            clock.cancel()

    def write_parquet(self, sql: str, out: Path) -> None:
        """Write the answer to a Parquet file, unless the connection was locked down."""
        with self._reading():
            self._connection.sql(sql).write_parquet(str(out), compression="zstd", overwrite=True)


def writer(path: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to `attach_alone` the store at a path to; what it spills lies beside the store."""
    import duckdb

    config = _OURS | {"threads": 1, "temp_directory": f"{path}.tmp"}
    connection = duckdb.connect(":memory:", config=config)
    # dict_fsst costs five times the rest of a checkpoint; dictionary and zstd serve us as well
    connection.execute("set TimeZone = 'UTC'; set disabled_compression_methods = 'dict_fsst'")
    return connection


def attach_alone(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach the store to write, its schema brought up to date; made when there is no file."""
    if not path.exists():
        connection.execute("attach $path as stored", {"path": str(path)})
        connection.execute("detach stored")
        path.chmod(0o600)
    connection.execute("attach $path as stored", {"path": str(path)})
    connection.execute("use stored; set memory_limit = '512MB'")
    _migrate(connection)


def attach_unchanged(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Attach the store to read, whatever its schema, and return the version of that."""
    connection.execute("attach $path as stored (read_only)", {"path": str(path)})
    connection.execute("use stored")
    return version(connection)


def let_go(connection: duckdb.DuckDBPyConnection) -> bool:
    """Fold the store's log into its file and let go of it; False when the connection is of no more use."""
    import duckdb

    try:
        connection.execute("use memory.main; detach stored")
    except duckdb.Error:  # what was committed is in the log
        return False
    return True


def reader(path: Path, *, exporting: bool) -> duckdb.DuckDBPyConnection:
    """Return a connection with `live` tables and views over both, to `attach` the store at a path to.

    Unless it is for an export, files, network and settings are taken away from every statement that
    follows, but for the store's own file.
    """
    import duckdb

    # a second thread makes small questions dearer, and on busy cores later
    config = _OURS | {"threads": 1, "memory_limit": "1GB"}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set TimeZone = 'UTC'; attach ':memory:' as empty; use empty")
    _create(connection)
    connection.execute("attach ':memory:' as live; copy from database empty to live (schema)")
    views.make(connection)
    if not exporting:
        beside = [f"{path}{suffix}" for suffix in LOGS]
        connection.execute("set allowed_paths = $paths", {"paths": [str(path), *beside]})
        connection.execute("set enable_external_access = false; set lock_configuration = true")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach the store read-only as `stored`; an empty one in memory when there is no file."""
    with naming(path.name):
        if not path.exists():
            connection.execute(views.NO_STORE)
        else:
            result = attach_unchanged(connection, path)
            if result == 0:  # its drainer was killed while making it
                connection.execute(f"use memory.main; detach stored; {views.NO_STORE}")
            elif result < len(migrations()):
                raise StoreVersion(
                    f"{path.name} has schema version {result}, this program needs {len(migrations())};"
                    " the drainer updates it: start the chat or run `answerdeck traces drain`"
                )
        connection.execute("use memory.main")


def detach(connection: duckdb.DuckDBPyConnection) -> bool:
    """Let go of the store and forget the live rows; False when the connection is of no more use."""
    import duckdb

    try:
        connection.execute("use memory.main; detach stored")
        filled = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'live' and estimated_size > 0"
        ).fetchall()
        for (table,) in filled:
            connection.execute(f"delete from live.{table}")  # noqa: S608
    except duckdb.Error:  # an answer was not taken to its end
        return False
    return True


def append(connection: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    """Append rows to the tables of the current schema; raises Unfit when a value fits no column."""
    import duckdb

    for table, rows in tables.items():
        appender = connection.appender(table)
        try:
            appender.append_rows(rows)
            appender.flush()
        except (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException) as error:
            appender.clear()
            raise Unfit(str(error)) from error


def append_live(connection: duckdb.DuckDBPyConnection, tables: Tables) -> None:
    """Fill a reader's live tables; a row that fits none is left out here and named by the drainer."""
    connection.execute("use live")
    for table, rows in tables.items():
        newest = list(rows)
        connection.begin()
        try:
            append(connection, {table: newest})
            connection.commit()
        except Unfit:
            connection.rollback()
            for row in newest:
                with suppress(Unfit):
                    append(connection, {table: [row]})
    views.choose(connection, tables)


def compact(path: Path) -> None:
    """Write the store anew, so that nothing deleted is left in the file. The caller holds it alone."""
    import duckdb

    draft = path.with_name(path.name + ".compact")
    draft.unlink(missing_ok=True)
    with naming(path.name), duckdb.connect(":memory:", config=_OURS | {"memory_limit": "1GB"}) as connection:
        connection.execute("attach $path as stored", {"path": str(path)})
        connection.execute("attach $draft as fresh", {"draft": str(draft)})
        connection.execute("copy from database stored to fresh")
        connection.execute("detach fresh; detach stored")
    draft.replace(path)


def version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the schema version of the current catalog, 0 when it is empty."""
    import duckdb

    try:
        row = connection.execute("select max(version) from migrations").fetchone()
    except duckdb.CatalogException:
        return 0
    return (row[0] if row else None) or 0


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    for statements in migrations():
        connection.execute(statements)


def _migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Apply the migrations the store lacks with their numbers, all in one transaction."""
    stored = version(connection)
    if stored > len(migrations()):
        raise StoreVersion(
            f"the trace store has schema version {stored}, this program knows {len(migrations())};"
            " it is not written to: update this program"
        )
    if stored == len(migrations()):
        return
    connection.begin()
    for number, statements in enumerate(migrations()[stored:], stored + 1):
        connection.execute(statements)
        connection.execute("insert into migrations values ($n, now())", {"n": number})
    if 0 < stored < ROLLUPS or (0 < stored < WORKSPACES and rollups.shared(connection)):
        rollups.rebuild(connection)  # those of an older kind went with their tables, or are of all together
    connection.commit()
