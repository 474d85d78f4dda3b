-- The number of claimed contacts that ended, by status.
select status, count(*) as number
from batch
where status <> 'active'
group by status
