-- What the conversations that began on whole days (UTC) came to, by user; the doors of people are one crowd.
insert into {to}daily_users
select date_trunc('day', began at time zone 'UTC') at time zone 'UTC',
       case when door in ({people}) then 'people' else door end, user_id,
       count(*), cast(sum(turns) as bigint), sum(cost_usd), cast(sum(unpriced) as bigint), workspace
from conversations
where began >= $since and began < $until
group by 1, 2, 3, workspace
