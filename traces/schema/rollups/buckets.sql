-- Histograms of the turns of some hours, by door.
insert into {to}hourly_buckets
select metric, hour, door, bucket, count(*)
from (
    select metric, hour, door,
           case when value > 0 then cast(floor(ln(value) / ln({ratio})) as integer) else {zero} end as bucket
    from (
        select metric, date_trunc('hour', started_at) as hour, door,
               case metric when 'seconds' then seconds when 'first_token' then first_token_seconds
                           else cost_usd end as value
        from turns cross join (values ('seconds'), ('first_token'), ('cost')) as metrics (metric)
        where started_at >= $since and started_at < $until
          and (not $only or date_trunc('hour', started_at) = any($hours))
    ) as valued
    where value is not null
) as placed
group by metric, hour, door, bucket
