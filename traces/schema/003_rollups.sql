-- The rollups of 002 anew, and more of them: what pages about models, prompts, retrieval, costs and
-- conversations read of longer times. Written by traces/rollups.py only, in the transaction that changes the
-- rows they are made of. Sums are numeric, so that they come out the same in whatever order rows were added.

drop table hourly;
drop table hourly_models;
drop table hourly_buckets;
drop table daily_buckets;
drop table daily_parts;
drop table rolled;
drop table conversations;

-- The turns of an hour that have these in common. `turns` and the like count turns, `rated` and `up`
-- ratings; `down` are the turns with a thumb down among them.
create table hourly (
    hour timestamptz not null,
    door text not null,
    model text,
    prompt text,
    kb text,
    index_version text,
    route text,
    outcome text not null,
    turns bigint not null,
    oldest timestamptz not null,
    newest timestamptz not null,
    searched bigint not null,
    hits bigint not null,
    called bigint not null,
    stopped bigint not null,
    unpriced bigint not null,
    cost_n bigint not null,
    cost_usd numeric(38, 12),
    cost_squares numeric(38, 18),
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

-- The same of whole days (UTC) that are over.
create table daily (
    day timestamptz not null,
    door text not null,
    model text,
    prompt text,
    kb text,
    index_version text,
    route text,
    outcome text not null,
    turns bigint not null,
    oldest timestamptz not null,
    newest timestamptz not null,
    searched bigint not null,
    hits bigint not null,
    called bigint not null,
    stopped bigint not null,
    unpriced bigint not null,
    cost_n bigint not null,
    cost_usd numeric(38, 12),
    cost_squares numeric(38, 18),
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

-- How many turns of an hour had a value in a bucket; metric is seconds, first_token, cost or near (the best
-- passage's cosine, in twentieths). The other buckets are logarithmic: see traces/histogram.py. The door
-- `people` stands for all that people use, together.
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

-- How many turns of a whole day (UTC) of a prompt and a model took as many seconds as a bucket says.
create table daily_sides (
    day timestamptz not null,
    door text not null,
    prompt text not null,
    model text,
    bucket integer not null,
    n bigint not null
);

-- What became of the passage that a search (vector or words) liked best, for the turns of an hour.
create table hourly_stages (
    hour timestamptz not null,
    door text not null,
    search text not null,
    stage text not null,
    turns bigint not null
);

-- How often turns of an hour looked into a cache, and what that saved; `false_hits` are of the `checked`.
create table hourly_caches (
    hour timestamptz not null,
    door text not null,
    name text not null,
    looked bigint not null,
    hits bigint not null,
    checked bigint not null,
    false_hits bigint not null,
    saved_seconds numeric(38, 12),
    saved_usd numeric(38, 12)
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

-- The conversations that began and that ended in an hour. Those that went on in a window are those that
-- began before its end, less those that ended before its begin.
create table hourly_talks (
    hour timestamptz not null,
    door text not null,
    began bigint not null,
    began_usd numeric(38, 12),
    began_priced bigint not null,
    began_priced_usd numeric(38, 12),
    ended bigint not null,
    ended_priced bigint not null,
    ended_priced_usd numeric(38, 12)
);

-- What a user's conversations that began on a day (UTC) came to; the crowd is `people` for all doors that
-- people use, or else the door.
create table daily_users (
    day timestamptz not null,
    crowd text not null,
    user_id text not null,
    conversations bigint not null,
    turns bigint not null,
    cost_usd numeric(38, 12),
    unpriced bigint not null
);
