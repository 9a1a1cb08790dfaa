-- The ledger's tables: one per dataclass in traces/records.py, same names, same order.
-- Types and statements are those PostgreSQL and DuckDB share; /* bulky */ is a hint to duck.py.

create table turns (
    turn_id text not null,
    conversation_id text not null,
    user_id text not null,
    door text not null,
    started_at timestamptz not null,
    question text not null,
    outcome text not null,
    client_turn_id text,
    standalone text,
    answer text /* bulky */,
    error_class text,
    refusal text,
    kb text,
    index_version text,
    embedder text,
    prompt text,
    prompt_fingerprint text,
    model text,
    model_wanted text,
    route text,
    guardrails text,
    code_version text,
    seconds double precision,
    first_token_seconds double precision,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    cost_usd double precision,
    attempts bigint,
    stop_reason text,
    top_score double precision,
    hit boolean,
    passages bigint,
    citations bigint,
    run_id text,
    case_id text
);

create table payloads (
    turn_id text not null,
    prompt text /* bulky */,
    raw_response text /* bulky */
);

create table spans (
    turn_id text not null,
    span_id bigint not null,
    parent_id bigint,
    name text not null,
    kind text not null,
    start_seconds double precision not null,
    seconds double precision not null,
    attributes json not null,
    error text
);

create table passages (
    turn_id text not null,
    rank bigint not null,
    chunk_id text not null,
    document_id text not null,
    title text not null,
    url text not null,
    text text /* bulky */,
    n bigint,
    vector_score double precision,
    vector_rank bigint,
    text_score double precision,
    text_rank bigint,
    fused_score double precision,
    fused_rank bigint,
    rerank_score double precision,
    cited boolean not null
);

create table usages (
    turn_id text not null,
    call bigint not null,
    purpose text not null,
    model text not null,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    estimated boolean not null,
    cost_usd double precision,
    price_version text,
    first_token_seconds double precision,
    seconds double precision,
    stop_reason text,
    error_class text
);

create table scores (
    score_id text not null,
    turn_id text not null,
    name text not null,
    value double precision,
    source text not null,
    created_at timestamptz not null,
    scorer text,
    reason text,
    failed boolean not null,
    tags text,
    user_id text,
    run_id text,
    case_id text
);

-- Every state of a run; the view `runs` shows the newest of each (written_ns = when it was written).
create table runs (
    run_id text not null,
    evalset text not null,
    evalset_fingerprint text not null,
    variant text not null,
    state text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    prompt text,
    prompt_fingerprint text,
    model text,
    kb text,
    index_version text,
    guardrails text,
    code_version text,
    "only" text,
    settings json,
    cases bigint,
    done bigint,
    failed bigint,
    seed bigint,
    cost_usd double precision,
    seconds double precision,
    error text,
    written_ns bigint not null
);

create table cases (
    run_id text not null,
    case_id text not null,
    question text not null,
    history json,
    reference text,
    relevant_ids json,
    answerability text,
    must_refuse boolean,
    must_contain json,
    tags json,
    written_ns bigint not null
);

-- How far each journal segment has been moved into these tables, committed together with its rows.
create table marks (
    segment text not null primary key,
    drained_to bigint not null
);

create table migrations (
    version bigint not null,
    applied_at timestamptz not null
);
