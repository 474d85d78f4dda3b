-- Due actions, those that were due first; locked, and without those that another run takes.
select action.id, action.cron, action.zone, action.next_at, action.until, action.catch_up
from actions.scheduled_actions as action
where action.state = 'active' and action.next_at <= :tick
order by action.next_at, action.id
limit :size
for no key update skip locked
