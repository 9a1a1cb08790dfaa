"""A server for tests that answers what LanceDB's client asks of the hosted service, over real tables.

It knows the routes that the client of our version uses for what we do, as its source and the public
description of the protocol have them. Like the service it offers no way to delete old versions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lancedb
import pyarrow as pa
from lancedb.index import FTS, BTree, IvfRq
from lancedb.query import MatchQuery

KEY = "sk_of_the_team"
JSON, ARROW = "application/json", "application/vnd.apache.arrow.file"
Body = dict[str, Any]


class NotThere(Exception):
    """There is no such table, or no such version of it."""


class LanceService:
    """The tables of one database and the answers to what is asked of them; `routes` are those asked for."""

    def __init__(self, folder: Path) -> None:
        self._database = lancedb.connect(folder)
        self._lock = threading.Lock()  # of those who write
        self.routes: list[str] = []
        self.fails: int | None = None  # the status that every request is answered with

    def answer(self, path: str, query: dict[str, str], data: bytes) -> tuple[str, bytes]:
        """Return the media type and the body of an answer; raises NotThere."""
        parts = [part for part in path.split("/") if part]
        if parts[:2] == ["v1", "namespace"]:
            return JSON, json.dumps({"tables": self._database.list_tables().tables}).encode()
        name, route = parts[2], "/".join(parts[3:])
        self.routes.append(route)
        if route.startswith("index/") and route != "index/list":
            _, index, what = parts[3:]
            query |= {"index": index}
            route = f"index_{what}"
        body = json.loads(data) if data[:1] == b"{" else {}
        with self._lock:
            if route == "query":
                return ARROW, _written(_found(self._table(name, body), body))
            made: Callable[..., Any] = getattr(self, "_" + route.replace("/", "_"))
            return JSON, json.dumps(made(name, body | query, data)).encode()

    def _table(self, name: str, body: Body | None = None) -> Any:
        if name not in self._database.list_tables().tables:
            raise NotThere(f"Table {name} not found")
        table = self._database.open_table(name)
        if version := (body or {}).get("version"):
            try:
                table.checkout(int(version))
            except (ValueError, RuntimeError) as error:
                raise NotThere(f"Table {name} (version: {version}) not found") from error
        return table

    def _create(self, name: str, body: Body, data: bytes) -> Body:
        self._database.create_table(name, _read(data), exist_ok=body.get("mode") == "exist_ok")
        return {"version": self._table(name).version}

    def _drop(self, name: str, body: Body, data: bytes) -> Body:
        self._table(name)
        self._database.drop_table(name)
        return {}

    def _describe(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name, body)
        return {"name": name, "version": table.version, "schema": _schema(table.schema), "location": None}

    def _count_rows(self, name: str, body: Body, data: bytes) -> int:
        return self._table(name, body).count_rows(body.get("predicate"))

    def _insert(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name)
        table.add(_read(data))
        return {"version": table.version}

    def _merge_insert(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name)
        merge = table.merge_insert(body["on"])
        if body["when_matched_update_all"] == "true":
            merge = merge.when_matched_update_all()
        if body["when_not_matched_insert_all"] == "true":
            merge = merge.when_not_matched_insert_all()
        if body["when_not_matched_by_source_delete"] == "true":
            merge = merge.when_not_matched_by_source_delete(body["when_not_matched_by_source_delete_filt"])
        merge.execute(_read(data))
        return {"version": table.version}

    def _delete(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name)
        table.delete(body["predicate"])
        return {"version": table.version}

    def _add_columns(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name)
        table.add_columns({column["name"]: column["expression"] for column in body["new_columns"]})
        return {"version": table.version}

    def _create_index(self, name: str, body: Body, data: bytes) -> Body:
        kinds = {"FTS": FTS(), "BTREE": BTree(), "IVF_RQ": IvfRq(distance_type="cosine")}
        self._table(name).create_index(body["column"], config=kinds[body["index_type"]])
        return {}

    def _index_list(self, name: str, body: Body, data: bytes) -> Body:
        return {
            "indexes": [
                {"index_name": index.name, "columns": index.columns, "index_type": _kind(index.index_type)}
                for index in self._table(name, body).list_indices()
            ]
        }

    def _stats(self, name: str, body: Body, data: bytes) -> Body:
        return dict(self._table(name, body).stats())

    def _index_drop(self, name: str, body: Body, data: bytes) -> Body:
        self._table(name).drop_index(body["index"])
        return {}

    def _index_stats(self, name: str, body: Body, data: bytes) -> Body:
        stats = self._table(name, body).index_stats(body["index"])
        return {
            "num_indexed_rows": stats.num_indexed_rows,
            "num_unindexed_rows": stats.num_unindexed_rows,
            "index_type": _kind(stats.index_type),
        }

    def _tags_list(self, name: str, body: Body, data: bytes) -> Body:
        return {
            tag: {"version": held["version"], "manifestSize": held["manifest_size"]}
            for tag, held in self._table(name).tags.list().items()
        }

    def _tags_create(self, name: str, body: Body, data: bytes) -> Body:
        self._table(name).tags.create(body["tag"], body["version"])
        return {}

    def _tags_delete(self, name: str, body: Body, data: bytes) -> Body:
        self._table(name).tags.delete(body["tag"])
        return {}

    def _version_list(self, name: str, body: Body, data: bytes) -> Body:
        return {
            "versions": [
                {"version": held["version"], "timestamp": held["timestamp"].astimezone().isoformat()}
                | {"metadata": {}}
                for held in self._table(name).list_versions()
            ]
        }

    def _restore(self, name: str, body: Body, data: bytes) -> Body:
        table = self._table(name, body)
        table.restore()
        return {"version": table.version}


def _found(table: Any, body: Body) -> pa.Table:
    """Return the rows that a query asks for."""
    if full_text := body.get("full_text_query"):
        match = full_text["query"]["match"]
        words: Any = MatchQuery(match["terms"], match["column"])  # pyright: ignore[reportCallIssue] its fields have defaults
        query = table.search(words, query_type="fts")
    elif body.get("vector"):
        query = table.search(body["vector"], vector_column_name="vector").distance_type(body["distance_type"])
        query = query.nprobes(body["nprobes"])
        if body.get("refine_factor"):
            query = query.refine_factor(body["refine_factor"])
        if body.get("bypass_vector_index"):
            query = query.bypass_vector_index()
    else:
        query = table.search()
    if body.get("filter"):
        query = query.where(body["filter"])
    if body.get("columns"):
        query = query.select(body["columns"])
    if body.get("with_row_id"):
        query = query.with_row_id(True)
    return query.limit(min(body["k"], table.count_rows() or 1)).to_arrow()


def _kind(name: str) -> str:
    return {"BTree": "BTREE", "IvfRq": "IVF_RQ"}.get(name, name.upper())


def _schema(schema: pa.Schema) -> Body:
    """Return an Arrow schema as the protocol writes it."""
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    fields = [{"name": field.name, "type": _type(field.type), "nullable": field.nullable} for field in schema]
    return {"fields": fields, "metadata": metadata}


def _type(kind: pa.DataType) -> Body:
    if pa.types.is_fixed_size_list(kind):
        item = {"name": "item", "type": _type(kind.value_type), "nullable": True}
        return {"type": "fixed_size_list", "fields": [item], "length": kind.list_size}
    return {"type": str(kind)}


def _read(data: bytes) -> pa.Table:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[LanceService, str]]:
    """Serve the tables of a folder; yield the service and its address."""
    service = LanceService(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = _body(self)
            address = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            status, kind, answer = 200, JSON, b""
            if self.headers["x-api-key"] != KEY:
                status, answer = 401, b"invalid API key"
            elif service.fails is not None:
                status, answer = service.fails, b"no"
            else:
                try:
                    kind, answer = service.answer(address.path, query, data)
                except NotThere as error:
                    status, answer = 404, str(error).encode()
                except (ValueError, RuntimeError, AttributeError, KeyError) as error:
                    status, answer = 400, repr(error).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("phalanx-version", "0.6.0")  # how the service names its own version
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer)
            self.close_connection = True

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    pieces: list[bytes] = []
    while size := int(handler.rfile.readline(), 16):
        pieces.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(pieces)
