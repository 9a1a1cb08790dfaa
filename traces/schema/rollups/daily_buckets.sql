-- Histograms of whole days (UTC), out of those of their hours.
insert into {to}daily_buckets
select metric, date_trunc('day', hour at time zone 'UTC') at time zone 'UTC', door, bucket,
       cast(sum(n) as bigint), workspace
from hourly_buckets
where hour >= $since and hour < $until
group by 1, 2, 3, 4, workspace
