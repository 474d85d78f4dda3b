-- How many in hand ended, and how.
select status, count(*) as number
from batch
where status <> 'active'
group by status
