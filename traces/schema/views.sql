-- What readers see: the drained rows (`stored`) and the journal's live tail (`live`) as one.
create view turns as
    select * from stored.turns union all by name select * from live.turns;
create view payloads as
    select * from stored.payloads union all by name select * from live.payloads;
create view spans as
    select * from stored.spans union all by name select * from live.spans;
create view passages as
    select * from stored.passages union all by name select * from live.passages;
create view usages as
    select * from stored.usages union all by name select * from live.usages;

-- Every score ever given, changed minds included.
create view score_history as
    select * from stored.scores union all by name select * from live.scores;

-- The scores in force: of what a person said about a turn, the last word counts.
create view scores as
    select * from score_history where source not in ('user', 'reviewer')
    union all
    select * exclude (age) from (
        select *, row_number() over (
            partition by turn_id, name, source, user_id order by created_at desc, score_id desc
        ) as age
        from score_history
        where source in ('user', 'reviewer')
    ) where age = 1;

-- The newest record of a run, and of a case in a run, is in force.
create view runs as
    select * exclude (written_ns, age) from (
        select *, row_number() over (partition by run_id order by written_ns desc) as age
        from (select * from stored.runs union all by name select * from live.runs)
    ) where age = 1;
create view cases as
    select * exclude (written_ns, age) from (
        select *, row_number() over (partition by run_id, case_id order by written_ns desc) as age
        from (select * from stored.cases union all by name select * from live.cases)
    ) where age = 1;

-- What the live tail touches is rolled up anew, over the stored and the live rows, by traces/rollups.py.
create table live.dirty (hour timestamptz not null);
create table live.dirty_days (day timestamptz not null);
create table live.dirty_talks (hour timestamptz not null);
create table live.dirty_conversations (conversation_id text not null);
create view hourly as
    select * from stored.hourly where hour not in (select hour from live.dirty)
    union all by name select * from live.hourly;
create view hourly_models as
    select * from stored.hourly_models where hour not in (select hour from live.dirty)
    union all by name select * from live.hourly_models;
create view hourly_histograms as
    select * from stored.hourly_histograms where hour not in (select hour from live.dirty)
    union all by name select * from live.hourly_histograms;
create view hourly_stages as
    select * from stored.hourly_stages where hour not in (select hour from live.dirty)
    union all by name select * from live.hourly_stages;
create view hourly_caches as
    select * from stored.hourly_caches where hour not in (select hour from live.dirty)
    union all by name select * from live.hourly_caches;
create view daily as
    select * from stored.daily where day not in (select day from live.dirty_days)
    union all by name select * from live.daily;
create view daily_histograms as
    select * from stored.daily_histograms where day not in (select day from live.dirty_days)
    union all by name select * from live.daily_histograms;
create view daily_sides as
    select * from stored.daily_sides where day not in (select day from live.dirty_days)
    union all by name select * from live.daily_sides;
create view daily_users as
    select * from stored.daily_users where day not in (select day from live.dirty_days)
    union all by name select * from live.daily_users;
create view hourly_talks as
    select * from stored.hourly_talks where hour not in (select hour from live.dirty_talks)
    union all by name select * from live.hourly_talks;
create view hourly_left as
    select * from stored.hourly_left where hour not in (select hour from live.dirty_talks)
    union all by name select * from live.hourly_left;
create view rolled as select * from stored.rolled;
create view conversations as
    select * from stored.conversations
    where conversation_id not in (select conversation_id from live.dirty_conversations)
    union all by name select * from live.conversations;

-- What a sorter makes of the stored turns; those of the tail it has not seen yet.
create view sortings as select * from stored.sortings;
create view topics as select * from stored.topics;
create view asked as select * from stored.asked;
create view missing as select * from stored.missing;
create view latest as select * from stored.latest;
create view hourly_topics as select * from stored.hourly_topics;
create view daily_topics as select * from stored.daily_topics;
