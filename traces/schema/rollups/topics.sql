-- The turns of some hours, or all, by the topic that a sorter gave them.
insert into {to}hourly_topics
with chosen as (
    select t.turn_id, date_trunc('hour', t.started_at) as hour, t.door, a.topic, a.fit, t.outcome, t.cost_usd,
           coalesce(t.workspace, 'default') as workspace,
           case when abs(t.cost_usd) < 1e12 then t.cost_usd else sign(t.cost_usd) * 1e12 end as usd,
           c.ended = t.started_at as last
    from turns as t
    join asked as a on a.turn_id = t.turn_id
    left join conversations as c
        on c.conversation_id = t.conversation_id and c.workspace = coalesce(t.workspace, 'default')
    where t.started_at >= $since and t.started_at < $until and a.started_at >= $since and a.started_at < $until
      and (not $only or date_trunc('hour', t.started_at) = any($hours))
), thumbs as (
    select turn_id, min(value) as value
    from (
        select s.turn_id, s.value, row_number() over (
            partition by s.turn_id, s.source, s.user_id order by s.created_at desc, s.score_id desc) as age
        from {scores} as s join chosen on chosen.turn_id = s.turn_id
        where s.turn_id >= $first_id and s.turn_id <= $last_id and s.name = 'feedback'
    ) as words
    where age = 1 and value is not null group by turn_id
)
select hour, door, topic, fit, count(*),
       count(*) filter (where outcome = 'refused'),
       count(*) filter (where outcome in ({no_answer})),
       count(thumbs.value),
       count(*) filter (where thumbs.value <= 0),
       count(cost_usd),
       sum(cast(usd as numeric(38, 12))),
       count(*) filter (where last),
       workspace
from chosen left join thumbs on thumbs.turn_id = chosen.turn_id
group by 1, 2, 3, 4, workspace
