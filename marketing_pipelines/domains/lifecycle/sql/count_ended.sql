-- How many in hand ended, and how.
select status, count(*) as number
from moving
where status <> 'active'
group by status
