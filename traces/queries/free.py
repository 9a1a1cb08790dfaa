"""Questions that people write themselves: one SELECT at a time, within limits of rows and seconds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from traces.errors import Refused
from traces.ledger import Ledger

MOST_ROWS = 5_000
SECONDS = 5.0  # the drainer waits for so long at most
TABLES = ("turns", "payloads", "spans", "passages", "usages", "scores", "score_history", "runs", "cases")
_NAME = re.compile(r"[^\x00-\x1f]{1,80}")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a question found. `cut` says that there was more than the rows shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool
    seconds: float


def ask(ledger: Ledger, sql: str, *, most: int = MOST_ROWS, seconds: float = SECONDS) -> QueryResult:
    """Return what one SELECT finds; raises Refused for anything else, and when it takes too long."""
    began = datetime.now(UTC)
    columns, rows = ledger.ask(sql, most + 1, seconds)
    took = (datetime.now(UTC) - began).total_seconds()
    return QueryResult(columns, tuple(rows[:most]), len(rows) > most, took)


@dataclass(frozen=True, slots=True)
class Saved:
    """A question that somebody keeps under a name."""

    name: str
    sql: str
    by: str
    at: str = field(default="")


def saved(path: Path) -> list[Saved]:
    """Return the questions kept in a file, by name; a damaged file is named in Refused."""
    try:
        return [Saved(**row) for row in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise Refused(f"{path} cannot be read ({error}); mend or remove it") from None


def keep(path: Path, name: str, sql: str, by: str) -> None:
    """Keep a question under a name, in the place of one of the same name; raises Refused."""
    if not _NAME.fullmatch(name.strip()):
        raise Refused("a name has 1 to 80 characters on one line")
    others = [question for question in saved(path) if question.name != name.strip()]
    _write(path, [*others, Saved(name.strip(), sql, by, datetime.now(UTC).isoformat(timespec="seconds"))])


def forget(path: Path, name: str) -> None:
    """Forget a kept question."""
    _write(path, [question for question in saved(path) if question.name != name])


def _write(path: Path, questions: Sequence[Saved]) -> None:
    rows = [
        {"name": question.name, "sql": question.sql, "by": question.by, "at": question.at}
        for question in sorted(questions, key=lambda result: result.name.casefold())
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
    half.replace(path)
