-- Histograms of whole days (UTC), out of those of their hours.
insert into {to}daily_histograms
select metric, day, door, array_agg(bucket order by bucket), array_agg(n order by bucket), workspace
from (
    select metric, day, door, bucket, cast(sum(n) as bigint) as n, workspace
    from (
        select metric, date_trunc('day', hour at time zone 'UTC') at time zone 'UTC' as day, door,
               unnest(buckets) as bucket, unnest(counts) as n, workspace
        from hourly_histograms
        where hour >= $since and hour < $until
    ) as spread
    group by metric, day, door, bucket, workspace
) as counted
group by metric, day, door, workspace
