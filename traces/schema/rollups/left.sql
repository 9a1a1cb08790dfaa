-- The conversations that began in some hours, by how many turns they have: see the table `hourly_left`.
insert into {to}hourly_left
select date_trunc('hour', began), door, least(turns, {most_turns}),
       count(*), count(*) filter (where outcome <> 'answered'), workspace
from conversations
where began >= $since and began < $until and (not $only or date_trunc('hour', began) = any($hours))
group by 1, 2, 3, workspace
