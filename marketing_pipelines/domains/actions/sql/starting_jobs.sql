-- The first job after a number that no run has started, locked.
select run.id, run.name, run.run_id, run.action_id, run.due_at
from actions.runs as run
where run.state = 'starting' and run.id > :after
order by run.id
limit 1
for no key update skip locked
