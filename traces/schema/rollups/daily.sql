-- The turns of whole days (UTC), out of those of their hours.
insert into {to}daily
select date_trunc('day', hour at time zone 'UTC') at time zone 'UTC',
       door, model, prompt, kb, index_version, route, outcome,
       cast(sum(turns) as bigint),
       min(oldest),
       max(newest),
       cast(sum(searched) as bigint),
       cast(sum(hits) as bigint),
       cast(sum(called) as bigint),
       cast(sum(stopped) as bigint),
       cast(sum(unpriced) as bigint),
       cast(sum(cost_n) as bigint),
       sum(cost_usd),
       sum(cost_squares),
       cast(sum(seconds_n) as bigint),
       sum(seconds),
       sum(seconds_squares),
       cast(sum(rated) as bigint),
       cast(sum(up) as bigint),
       cast(sum(rated_turns) as bigint),
       cast(sum(down) as bigint),
       cast(sum(resolved) as bigint),
       cast(sum(grounded_n) as bigint),
       sum(grounded),
       sum(grounded_squares),
       workspace
from hourly
where hour >= $since and hour < $until
group by 1, 2, 3, 4, 5, 6, 7, 8, workspace
