-- How long the turns of whole days (UTC) took, by prompt and model.
insert into {to}daily_sides
select date_trunc('day', started_at at time zone 'UTC') at time zone 'UTC', door, prompt, model,
       case when seconds > 0 then cast(floor(ln(seconds) / ln({ratio})) as integer) else {zero} end, count(*),
       coalesce(workspace, 'default')
from turns
where started_at >= $since and started_at < $until and prompt is not null and seconds is not null
group by 1, 2, 3, 4, 5, 7
