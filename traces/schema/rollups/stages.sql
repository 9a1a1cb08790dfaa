-- What became of the passage that each search liked best, for the turns of some hours. One whose best passage
-- lay under the floor is "nothing near": retrieval found nothing to lose.
insert into {to}hourly_stages
select hour, door, search, stage, count(*), workspace
from (
    select date_trunc('hour', t.started_at) as hour, t.door,
           coalesce(t.workspace, 'default') as workspace,
           p.vector_rank = 1 as by_vector, p.text_rank = 1 as by_words,
           case when not t.hit then 'nothing near'
                when p.cited then 'cited'
                when p.n is not null then 'unused'
                else 'budget or rank' end as stage
    from passages as p join turns as t on t.turn_id = p.turn_id
    where p.turn_id >= $first_id and p.turn_id <= $last_id
      and t.started_at >= $since and t.started_at < $until
      and (not $only or date_trunc('hour', t.started_at) = any($hours))
      and t.hit is not null and (p.vector_rank = 1 or p.text_rank = 1)
) as placed cross join (values ('vector'), ('words')) as searches (search)
where case search when 'vector' then by_vector else by_words end
group by hour, door, search, stage, workspace
