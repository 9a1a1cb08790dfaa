-- Some conversations, or all: see the table `conversations`.
insert into {to}conversations
with placed as (
    select conversation_id, workspace, turn_id, door, user_id, started_at, outcome, cost_usd, attempts,
           row_number() over (partition by conversation_id, workspace order by started_at, turn_id) as place,
           row_number() over (
               partition by conversation_id, workspace order by started_at desc, turn_id desc) as from_end
    from (
        select conversation_id, coalesce(workspace, 'default') as workspace, turn_id, door, user_id,
               started_at, outcome, cost_usd, attempts
        from turns
        where started_at >= $since and started_at < $until
          and (not $only or conversation_id = any($ids))
    ) as chosen
), thumbs as (
    select conversation_id, workspace, min(value) as rating
    from (
        select placed.conversation_id, placed.workspace, s.value, row_number() over (
            partition by s.turn_id, s.source, s.user_id order by s.created_at desc, s.score_id desc) as age
        from {scores} as s join placed on placed.turn_id = s.turn_id
        where s.turn_id >= $first_id and s.turn_id <= $last_id and s.name = 'feedback'
    ) as words
    where age = 1 and value is not null group by conversation_id, workspace
)
select placed.conversation_id,
       max(case when place = 1 then door end),
       max(user_id),
       min(started_at),
       max(started_at),
       max(case when place = 1 then turn_id end),
       max(case when from_end = 1 then outcome end),
       count(*),
       count(*) filter (where outcome = 'answered'),
       sum(cast(case when abs(cost_usd) < 1e12 then cost_usd else sign(cost_usd) * 1e12 end as numeric(38, 12))),
       count(*) filter (where cost_usd is null and attempts > 0),
       max(thumbs.rating),
       placed.workspace
from placed left join thumbs
    on thumbs.conversation_id = placed.conversation_id and thumbs.workspace = placed.workspace
group by placed.conversation_id, placed.workspace
order by 4, 1
