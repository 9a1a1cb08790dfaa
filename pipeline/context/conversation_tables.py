"""The tables of conversations, the same in a file of SQLite and in a shared database."""

from __future__ import annotations

from pipeline.context.history import SCHEMA
from pipeline.context.uploads import UPLOADS
from pipeline.databases import columns
from pipeline.databases.columns import WORKSPACE

_SCHEMA = """
create table if not exists exchanges (
    turn_id text primary key,
    conversation_id text not null,
    user_id text not null,
    client_turn_id text,
    asked_at text not null,
    question text not null,
    answer text not null,
    outcome text not null,
    done text not null
);
create index if not exists exchanges_conversation on exchanges (conversation_id, turn_id);
create index if not exists exchanges_user on exchanges (user_id, turn_id);
create unique index if not exists exchanges_client on exchanges (user_id, client_turn_id);
create table if not exists summaries (
    conversation_id text primary key,
    user_id text not null,
    turn_id text not null,
    text text not null
);
create table if not exists facts (
    fact_id text primary key,
    user_id text not null,
    slot text not null,
    text text not null,
    turn_id text not null,
    conversation_id text not null,
    said_at text not null,
    unique (user_id, slot)
);
"""
FILE_TABLES = _SCHEMA + SCHEMA + UPLOADS
_OWNED = ("summaries", "facts", "labels", "shares")
LATER = {
    **dict.fromkeys(_OWNED, (WORKSPACE,)),
    **dict.fromkeys(("exchanges", "aside"), (WORKSPACE, "kb text")),  # which documents a turn was asked
}
TABLES = FILE_TABLES + columns.statements(LATER)
