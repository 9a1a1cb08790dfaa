-- After which turn people left: the conversations that began in an hour, by how many turns they have (12 stand
-- for more); `unhappy` did not end with an answer. Made out of `conversations` by traces/rollups.py.
create table hourly_left (
    hour timestamptz not null,
    door text not null,
    turn bigint not null,
    ended bigint not null,
    unhappy bigint not null
);
insert into hourly_left
select date_trunc('hour', began at time zone 'UTC') at time zone 'UTC', door, least(turns, 12),
       count(*), count(*) filter (where outcome <> 'answered')
from conversations
group by 1, 2, 3;

-- The newest sorted turn of each question that is missing somewhere, by its words and door. Made by the sorter.
create table latest (
    words bigint not null,
    door text not null,
    started_at timestamptz not null,
    turn_id text not null,
    outcome text not null
);
insert into latest
select words, door, started_at, turn_id, outcome
from (
    select *, row_number() over (partition by words, door order by started_at desc, turn_id desc) as age
    from asked where words in (select words from missing)
) as aged
where age = 1;
