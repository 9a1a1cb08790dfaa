-- Histograms of the turns of whole days (UTC), by each part of what they have in common.
insert into {to}daily_parts
select part, name, metric, day, door, bucket, count(*)
from (
    select part, name, metric, day, door,
           case when value > 0 then cast(floor(ln(value) / ln({ratio})) as integer) else {zero} end as bucket
    from (
        select part, metric, date_trunc('day', started_at at time zone 'UTC') at time zone 'UTC' as day, door,
               case part when 'model' then model when 'prompt' then prompt when 'kb' then kb
                         else outcome end as name,
               case metric when 'seconds' then seconds when 'first_token' then first_token_seconds
                           else cost_usd end as value
        from turns
        cross join (values ('seconds'), ('first_token'), ('cost')) as metrics (metric)
        cross join (values ('model'), ('prompt'), ('kb'), ('outcome')) as parts (part)
        where started_at >= $since and started_at < $until
    ) as valued
    where value is not null
) as placed
group by part, name, metric, day, door, bucket
