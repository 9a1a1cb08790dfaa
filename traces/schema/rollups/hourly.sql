-- The turns of some hours, with their ratings and groundedness: see the table `hourly`.
insert into {to}hourly
with chosen as (
    select turn_id, coalesce(workspace, 'default') as workspace, started_at, door, model, prompt, kb, index_version, route, outcome, hit, attempts, error_class,
           cost_usd, case when abs(cost_usd) < 1e12 then cost_usd else sign(cost_usd) * 1e12 end as usd,
           case when abs(cost_usd) < 1e9 then cost_usd else sign(cost_usd) * 1e9 end as squared, seconds,
           case when abs(seconds) < 1e12 then seconds else sign(seconds) * 1e12 end as lasted
    from turns
    where started_at >= $since and started_at < $until
      and (not $only or date_trunc('hour', started_at) = any($hours))
), thumbs as (
    -- the last word of a person counts, and of several people the worst
    select turn_id, min(value) as value, count(*) as rated, count(*) filter (where value > 0) as up
    from (
        select s.turn_id, s.value, row_number() over (
            partition by s.turn_id, s.source, s.user_id order by s.created_at desc, s.score_id desc) as age
        from {scores} as s join chosen on chosen.turn_id = s.turn_id
        where s.turn_id >= $first_id and s.turn_id <= $last_id and s.name = 'feedback'
    ) as words
    where age = 1 and value is not null group by turn_id
), grounded as (
    select s.turn_id, max(case when abs(s.value) < 1e12 then s.value else sign(s.value) * 1e12 end) as value, min(s.value) as least
    from {scores} as s join chosen on chosen.turn_id = s.turn_id
    where s.turn_id >= $first_id and s.turn_id <= $last_id and s.name = 'groundedness'
      and s.source = 'online' and s.value is not null
    group by s.turn_id
)
select date_trunc('hour', started_at), door, model, prompt, kb, index_version, route, outcome,
       count(*),
       min(started_at),
       max(started_at),
       count(hit),
       count(*) filter (where hit),
       count(*) filter (where attempts > 0),
       count(*) filter (where error_class = 'budget'),
       count(*) filter (where cost_usd is null and attempts > 0),
       count(cost_usd),
       sum(cast(usd as numeric(38, 12))),
       sum(cast(squared * squared as numeric(38, 18))),
       count(seconds),
       sum(cast(lasted as numeric(38, 12))),
       sum(cast(lasted * lasted as numeric(38, 12))),
       cast(coalesce(sum(thumbs.rated), 0) as bigint),
       cast(coalesce(sum(thumbs.up), 0) as bigint),
       count(thumbs.value),
       count(*) filter (where thumbs.value <= 0),
       count(*) filter (
           where outcome = 'answered' and grounded.least >= {grounded} and coalesce(thumbs.value, 0) >= 0),
       count(grounded.value),
       sum(cast(grounded.value as numeric(38, 12))),
       sum(cast(grounded.value * grounded.value as numeric(38, 12))),
       workspace
from chosen
left join thumbs on thumbs.turn_id = chosen.turn_id
left join grounded on grounded.turn_id = chosen.turn_id
group by 1, 2, 3, 4, 5, 6, 7, 8, workspace
