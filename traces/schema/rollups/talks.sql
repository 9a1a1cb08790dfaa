-- The conversations that began and that ended in some hours, out of those there are.
insert into {to}hourly_talks
select hour, door,
       count(*) filter (where first),
       sum(cost_usd) filter (where first),
       count(*) filter (where first and unpriced = 0),
       sum(cost_usd) filter (where first and unpriced = 0),
       count(*) filter (where not first),
       count(*) filter (where not first and unpriced = 0),
       sum(cost_usd) filter (where not first and unpriced = 0),
       workspace
from (
    select date_trunc('hour', began) as hour, true as first, door, workspace, unpriced, cost_usd
    from conversations
    where began >= $since and began < $until and (not $only or date_trunc('hour', began) = any($hours))
    union all
    select date_trunc('hour', ended), false, door, workspace, unpriced, cost_usd
    from conversations
    where ended >= $since and ended < $until and (not $only or date_trunc('hour', ended) = any($hours))
) as ends
group by hour, door, workspace
