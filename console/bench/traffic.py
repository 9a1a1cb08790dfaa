"""Makes a ledger of many turns, the same for the same number: a month of a team's traffic, by SQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from evalsets.sorting import Sorter
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.ingest import sample
from traces import writers
from traces.embedded import Embedded
from traces.store import Store

DAYS = 30
SENTENCES = 1_500
RARE = "zanzibar"  # a word that one turn in ten thousand asks with
_IDS = """
    substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-7' || substr(m, 1, 3) || '-8' || substr(m, 4, 3)
    || '-' || substr(m, 8, 12)
"""
_TURNS = f"""
create temp table made as
with numbers as (
    select i, md5('turn' || i) as m, hash(i) as r, hash(i + 7) as s, hash(i * 3 + 1) as u,
           $since + to_microseconds(
               cast(i - $first as bigint) * $step + cast(hash(i) % $step as bigint)) as moment
    from range($first, $last) as t(i)
), placed as (
    select *, lpad(to_hex(cast(epoch_ms(moment) as bigint)), 12, '0') as h from numbers
)
select i, r, s, u, moment, {_IDS} as turn_id,
       md5('talk' || (i - i % (1 + (i // 7) % 5))) as conversation_id,
       'user-' || cast(floor(5000 * pow((u % 10007) / 10007.0, 3)) as integer) as user_id,
       case when s % 100 < 66 then 'chat' when s % 100 < 86 then 'api' when s % 100 < 92 then 'openai'
            when s % 100 < 96 then 'cli' else 'eval' end as door,
       case when u % 100 < 82 then 'answered' when u % 100 < 90 then 'no_context'
            when u % 100 < 94 then 'refused' when u % 100 < 97 then 'degraded'
            when u % 100 < 98 then 'cut' when u % 100 < 99 then 'abandoned' else 'failed' end as outcome,
       case r % 10 when 0 then 'extractive' when 1 then 'local:llama' when 2 then 'local:llama'
            when 3 then 'anthropic:claude-haiku-5-5' else 'openai:gpt-6-luna' end as model,
       'answer@v' || (1 + (i // 300000) % 4) as prompt,
       exp(0.2 + 0.6 * (-1.2 + (r % 1009) / 420.0)) as seconds,
       0.15 + pow((s % 1013) / 1013.0, 4) * 3 as first_token_seconds,
       round(0.0002 + 0.004 * pow((u % 1019) / 1019.0, 3), 7) as cost_usd
from placed
"""  # noqa: S608 - constants
_FILL = (
    """
    insert into turns by name
    select turn_id, conversation_id, user_id, door, moment as started_at,
           $sentences[1 + cast(r % $n as integer)] || case when i % 10007 = 0 then ' zanzibar?' else '?' end
               as question,
           outcome,
           $sentences[1 + cast(s % $n as integer)] || ' [1] ' || $sentences[1 + cast(u % $n as integer)]
               || ' [2] Reference ' || substr(m4, 1, 8) || '.' as answer,
           case when outcome = 'failed' then 'timeout' end as error_class,
           case when outcome = 'refused' then 'harm' end as refusal,
           'default' as kb, 'v' || (1 + i // 200000) as index_version, 'minilm' as embedder, prompt,
           substr(md5(prompt), 1, 8) as prompt_fingerprint, model, model as model_wanted,
           case when r % 3 = 0 then 'cheap' else 'strong' end as route, 'builtin' as guardrails,
           'bench' as code_version, seconds, first_token_seconds,
           900 + cast(r % 800 as bigint) as input_tokens,
           80 + cast(s % 200 as bigint) as output_tokens, cast(r % 500 as bigint) as cache_read_tokens,
           case when model in ('extractive', 'local:llama') then 0.0
                when r % 997 = 0 then null else cost_usd end as cost_usd,
           case when outcome = 'refused' then 0 else 1 end as attempts,
           0.15 + (u % 800) / 1000.0 as top_score,
           case when outcome = 'refused' then null else u % 100 < 88 end as hit, 5 as passages, 2 as citations
    from (select *, md5('ref' || i) as m4 from made)
    """,
    """
    insert into usages by name
    select turn_id, 1 as call, 'answer' as purpose, model, 900 + cast(r % 800 as bigint) as input_tokens,
           80 + cast(s % 200 as bigint) as output_tokens, cast(r % 500 as bigint) as cache_read_tokens,
           false as estimated,
           case when model in ('extractive', 'local:llama') then 0.0
                when r % 997 = 0 then null else cost_usd end as cost_usd, first_token_seconds, seconds
    from made where outcome <> 'refused'
    """,
    """
    insert into scores by name
    select md5('score' || i) as score_id, turn_id, 'groundedness' as name, (s % 101) / 100.0 as value,
           'online' as source, moment as created_at, 'lexical' as scorer, false as failed
    from made where outcome = 'answered' and door <> 'eval'
    """,
    """
    insert into scores by name
    select md5('thumb' || i) as score_id, turn_id, 'feedback' as name,
           case when s % 4 = 0 then -1.0 else 1.0 end as value, 'user' as source,
           moment + interval 1 minute as created_at, false as failed, user_id
    from made where r % 13 = 0 and door = 'chat'
    """,
    """
    insert into spans by name
    select turn_id, k as span_id, case when k = 0 then null else 0 end as parent_id,
           $names[k + 1] as name, $kinds[k + 1] as kind, k * 0.01 as start_seconds, seconds / 4 as seconds,
           case when k = 2 then case when r % 5 = 0 then json('{"hit": true, "saved_seconds": 0.02}')
                                     else json('{"hit": false}') end
                else json('{}') end as attributes
    from made, range(4) as t(k)
    """,
    """
    insert into passages by name
    select turn_id, k + 1 as rank, 'c' || ((r + k * 7) % 4000) as chunk_id,
           'd' || ((r + k * 7) % 400) as document_id, 'Page ' || ((r + k * 7) % 400) as title, '' as url,
           case when k < 3 then k + 1 end as n, 0.6 - k * 0.05 as vector_score,
           1 + (k + s % 3) % 5 as vector_rank, 4.0 - k as text_score, 1 + (k + u % 4) % 5 as text_rank,
           1.5 - k * 0.1 as fused_score, k + 1 as fused_rank, k = s % 4 as cited
    from made, range(5) as t(k)
    """,
)
_NAMES = ["turn", "retrieve", "semantic cache", "answer"]
_KINDS = ["turn", "retrieval", "cache", "model"]


def make(data_dir: Path, turns: int, until: datetime | None = None) -> None:
    """Write a store with so many turns of the month before `until`, its rollups and its index of words."""
    end = (until or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    a_day = -(-turns // DAYS)
    texts = _sentences()
    with writers.writing(data_dir / "traces.duckdb") as connection:
        connection.execute("set memory_limit = '2GB'")
        for day in range(DAYS):
            first, last = day * a_day, min((day + 1) * a_day, turns)
            if first >= last:
                break
            begin = end - timedelta(days=DAYS - day)
            step = max(86_400_000_000 // a_day, 1)
            bound: dict[str, Any] = {"since": begin, "first": first, "last": last, "step": step}
            more = {"sentences": texts, "n": len(texts), "names": _NAMES, "kinds": _KINDS}
            connection.begin()
            connection.execute(_TURNS, bound)
            for sql in _FILL:
                values = {name: value for name, value in more.items() if re.search(rf"\${name}\b", sql)}
                connection.execute(sql, values)
            connection.execute("drop table made")
            connection.commit()
        connection.begin()
        writers.DuckWriting(connection).rebuild()
        connection.commit()
    Embedded(data_dir).index_anew()
    Sorter(Store(data_dir)).sort()


def _sentences() -> list[str]:
    """Return sentences of our own handbook: words as often as people use them."""
    texts = (text.text for document in sample() for text in chunk(document))
    lines = (line.strip(" |#-*`") for text in texts for line in text.splitlines())
    return list(islice((line[:220] for line in lines if len(line) > 20), SENTENCES))
