-- How often turns of some hours looked into each cache, and what that saved. What is no number counts as none.
insert into {to}hourly_caches
select hour, door, name, count(*),
       count(*) filter (where hit = 'true'),
       count(*) filter (where wrong is not null),
       count(*) filter (where wrong = 'true'),
       sum(cast(case when abs(seconds) < 1e12 then seconds end as numeric(38, 12))),
       sum(cast(case when abs(usd) < 1e12 then usd end as numeric(38, 12))),
       workspace
from (
    select date_trunc('hour', t.started_at) as hour, t.door, s.name,
           coalesce(t.workspace, 'default') as workspace,
           s.attributes->>'hit' as hit, s.attributes->>'false' as wrong,
           case when s.attributes->>'saved_seconds' ~ '{number}'
                then cast(s.attributes->>'saved_seconds' as double precision) end as seconds,
           case when s.attributes->>'saved_usd' ~ '{number}'
                then cast(s.attributes->>'saved_usd' as double precision) end as usd
    from spans as s join turns as t on t.turn_id = s.turn_id
    where s.turn_id >= $first_id and s.turn_id <= $last_id
      and t.started_at >= $since and t.started_at < $until
      and (not $only or date_trunc('hour', t.started_at) = any($hours))
      and s.kind = 'cache'
) as looks
group by hour, door, name, workspace
