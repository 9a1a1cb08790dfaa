-- The turns of whole days (UTC) by topic, out of those of their hours.
insert into {to}daily_topics
select date_trunc('day', hour at time zone 'UTC') at time zone 'UTC', door, topic,
       cast(sum(turns) as bigint),
       cast(sum(refused) as bigint),
       cast(sum(unanswered) as bigint),
       cast(sum(rated) as bigint),
       cast(sum(down) as bigint),
       cast(sum(cost_n) as bigint),
       sum(cost_usd),
       cast(sum(ended) as bigint),
       workspace
from hourly_topics
where hour >= $since and hour < $until
group by 1, 2, 3, workspace
