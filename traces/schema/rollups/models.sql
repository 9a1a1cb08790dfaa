-- The calls of each model for the turns of some hours.
insert into {to}hourly_models
select date_trunc('hour', t.started_at), t.door, u.model,
       min(u.turn_id),
       count(distinct u.turn_id),
       count(distinct u.turn_id) filter (where u.cost_usd is null),
       count(*),
       count(*) filter (where u.cost_usd is null),
       sum(cast(case when abs(u.cost_usd) < 1e12 then u.cost_usd else sign(u.cost_usd) * 1e12 end
           as numeric(38, 12))),
       cast(sum(u.input_tokens) as numeric(38, 0)),
       cast(sum(u.output_tokens) as numeric(38, 0)),
       cast(sum(u.cache_read_tokens) as numeric(38, 0)),
       cast(sum(u.cache_write_tokens) as numeric(38, 0)),
       coalesce(t.workspace, 'default')
from usages as u join turns as t on t.turn_id = u.turn_id
where u.turn_id >= $first_id and u.turn_id <= $last_id
  and t.started_at >= $since and t.started_at < $until
  and (not $only or date_trunc('hour', t.started_at) = any($hours))
group by 1, 2, 3, 14
