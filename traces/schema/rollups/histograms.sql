-- Histograms of the turns of some hours, by door; `people` stands for all doors that people use, together.
insert into {to}hourly_histograms
select metric, hour, crowd, array_agg(bucket order by bucket), array_agg(n order by bucket), workspace
from (
    select metric, hour, case when together then 'people' else door end as crowd, bucket, count(*) as n,
           workspace
    from (
        select metric, hour, door, workspace,
               case when metric = 'near'
                        then cast(floor(least(greatest(value * {near}, 0), {near} - 1)) as integer)
                    when value > 0 then cast(floor(ln(value) / ln({ratio})) as integer) else {zero} end
                   as bucket
        from (
            select metric, date_trunc('hour', started_at) as hour, door,
                   coalesce(workspace, 'default') as workspace,
                   case metric when 'seconds' then seconds when 'first_token' then first_token_seconds
                               when 'near' then top_score else cost_usd end as value
            from turns cross join (values ('seconds'), ('first_token'), ('cost'), ('near')) as metrics (metric)
            where started_at >= $since and started_at < $until
              and (not $only or date_trunc('hour', started_at) = any($hours))
        ) as valued
        where value is not null
    ) as placed cross join (values (false), (true)) as crowds (together)
    where not together or door in ({people})
    group by 1, 2, 3, 4, workspace
) as counted
group by metric, hour, crowd, workspace
order by hour, metric, crowd
