-- Which topic each question belongs to. Made by the sorter (evalsets/sorting.py), never by a journal line:
-- erasing a person empties all of it, and it is made anew.

-- How the questions were told apart: `words` has what is needed to place a new one.
create table sortings (
    fit bigint not null,
    fitted_at timestamptz not null,
    turns bigint not null,
    words json not null
);

create table topics (
    topic bigint not null,
    name text not null,
    example text not null,
    words json not null
);

-- One row a turn. `topic` is null when it fits none; `words` stands for its content words, 0 without any.
create table asked (
    turn_id text not null,
    conversation_id text not null,
    started_at timestamptz not null,
    door text not null,
    outcome text not null,
    topic bigint,
    words bigint not null,
    fit bigint not null
);

-- The turns of an hour by topic; `ended` were the last of their conversation.
create table hourly_topics (
    hour timestamptz not null,
    door text not null,
    topic bigint,
    fit bigint not null,
    turns bigint not null,
    refused bigint not null,
    unanswered bigint not null,
    rated bigint not null,
    down bigint not null,
    cost_n bigint not null,
    cost_usd numeric(38, 12),
    ended bigint not null
);

-- The same of whole days (UTC) that are over.
create table daily_topics (
    day timestamptz not null,
    door text not null,
    topic bigint,
    turns bigint not null,
    refused bigint not null,
    unanswered bigint not null,
    rated bigint not null,
    down bigint not null,
    cost_n bigint not null,
    cost_usd numeric(38, 12),
    ended bigint not null
);
