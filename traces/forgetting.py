"""Takes old texts and erased people out of the embedded store, its rollups included."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from traces import rollups

if TYPE_CHECKING:
    import duckdb


def forget_texts(connection: duckdb.DuckDBPyConnection, before: datetime) -> tuple[int, int]:
    """Forget the bulky texts of turns that started before a time; returns payloads, passages."""
    old = "turn_id in (select turn_id from turns where started_at < $before)"
    bound = {"before": before}
    connection.begin()
    payloads = connection.execute(f"delete from payloads where {old}", bound).fetchone()  # noqa: S608
    passages = connection.execute(
        f"update passages set text = null where text is not null and {old}",  # noqa: S608
        bound,
    ).fetchone()
    connection.commit()
    return (payloads or (0,))[0], (passages or (0,))[0]


def erase_user(
    connection: duckdb.DuckDBPyConnection,
    user_id: str,
    more_turns: Collection[str] = (),
    cases: Collection[str] = (),
) -> tuple[set[str], int]:
    """Delete a user's turns (and `more_turns`) with all that belongs to them, scores and cases too."""
    connection.begin()
    rows = connection.execute("select turn_id from turns where user_id = $user", {"user": user_id}).fetchall()
    ids, of_cases = [*(row[0] for row in rows), *more_turns], list(cases)
    scored = connection.execute(
        "select distinct turn_id from scores where user_id = $user or case_id = any($cases)",
        {"user": user_id, "cases": of_cases},
    ).fetchall()
    changed = rollups.of_turns(connection, {*ids, *(row[0] for row in scored)})
    scores = connection.execute(
        "delete from scores where user_id = $user or turn_id = any($ids) or case_id = any($cases)",
        {"user": user_id, "ids": ids, "cases": of_cases},
    ).fetchone()
    for statement in (
        "delete from payloads where turn_id = any($ids)",
        "delete from spans where turn_id = any($ids)",
        "delete from passages where turn_id = any($ids)",
        "delete from usages where turn_id = any($ids)",
        "delete from turns where turn_id = any($ids)",
    ):
        connection.execute(statement, {"ids": ids})
    connection.execute("delete from cases where case_id = any($cases)", {"cases": of_cases})
    rollups.forget_topics(connection)
    rollups.roll(connection, changed)
    connection.commit()
    return set(ids), (scores or (0,))[0]
