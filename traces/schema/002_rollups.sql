-- What pages read of longer times: sums of hours and days, and one row for each conversation.
-- Written by traces/rollups.py only, in the transaction that changes the rows they are made of.
-- Sums are numeric, so that they come out the same in whatever order rows were added.

-- The turns of an hour that have these in common. `turns` and the like count turns, `rated` and `up`
-- ratings; `down` are the turns with a thumb down among them.
create table hourly (
    hour timestamptz not null,
    door text not null,
    model text,
    prompt text,
    kb text,
    route text,
    outcome text not null,
    turns bigint not null,
    newest timestamptz not null,
    searched bigint not null,
    hits bigint not null,
    called bigint not null,
    stopped bigint not null,
    unpriced bigint not null,
    cost_n bigint not null,
    cost_usd numeric(38, 12),
    cost_squares numeric(38, 12),
    seconds_n bigint not null,
    seconds numeric(38, 12),
    seconds_squares numeric(38, 12),
    rated bigint not null,
    up bigint not null,
    rated_turns bigint not null,
    down bigint not null,
    resolved bigint not null,
    grounded_n bigint not null,
    grounded numeric(38, 12),
    grounded_squares numeric(38, 12)
);

-- The calls of each model for the turns of an hour.
create table hourly_models (
    hour timestamptz not null,
    door text not null,
    model text not null,
    first_turn text not null,
    turns bigint not null,
    unpriced bigint not null,
    calls bigint not null,
    unpriced_calls bigint not null,
    cost_usd numeric(38, 12),
    input_tokens numeric(38, 0),
    output_tokens numeric(38, 0),
    cache_read_tokens numeric(38, 0),
    cache_write_tokens numeric(38, 0)
);

-- How many turns of an hour had a value in a bucket; metric is seconds, first_token or cost. The buckets
-- are logarithmic: see traces/histogram.py.
create table hourly_buckets (
    metric text not null,
    hour timestamptz not null,
    door text not null,
    bucket integer not null,
    n bigint not null
);

-- The same of whole days (UTC) that are over.
create table daily_buckets (
    metric text not null,
    day timestamptz not null,
    door text not null,
    bucket integer not null,
    n bigint not null
);

-- The same for each model, prompt, kb and outcome: `part` says what `name` is.
create table daily_parts (
    part text not null,
    name text,
    metric text not null,
    day timestamptz not null,
    door text not null,
    bucket integer not null,
    n bigint not null
);

-- Up to which day (not included) the daily tables are filled; one row.
create table rolled (
    through timestamptz not null
);

-- A conversation counts for the door it began at; `outcome` is that of its last turn.
create table conversations (
    conversation_id text not null,
    door text not null,
    user_id text not null,
    began timestamptz not null,
    ended timestamptz not null,
    first_id text not null,
    outcome text not null,
    turns bigint not null,
    answered bigint not null,
    cost_usd numeric(38, 12),
    unpriced bigint not null,
    rating double precision
);
