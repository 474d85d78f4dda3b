-- The latest due times of an action that routes took, the latest first.
select run.due_at, route.external_id as route, run.target, run.name,
       case run.state when 'done' then 'queued' else run.state end as state,
       case run.target when 'job' then run.run_id end as run_id, run.error
from actions.runs as run
join actions.routes as route on route.id = run.route_id
where run.action_id = :action_id
order by run.due_at desc, route.external_id
limit :most
