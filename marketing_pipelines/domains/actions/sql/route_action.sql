-- Leads a due time of an action that no route took to the routes that take it now; returns them.
with action as (
    select id, organization_id, type, payload
    from actions.scheduled_actions
    where id = :action_id
),
written as (
    insert into actions.runs (action_id, due_at, route_id, target, name, state, created_at)
    select action.id, :due_at, route.id, route.target, route.name,
           case route.target when 'job' then 'starting' else 'done' end, :tick
    from action
    join actions.routes as route
        on route.organization_id = action.organization_id and route.enabled
        and (
            route.type = action.type
            or route.type like '%*' and starts_with(action.type, left(route.type, -1))
        )
    order by route.id
    on conflict (action_id, due_at, route_id) do nothing
    returning id, action_id, due_at, target, name
)
select written.id, written.action_id, written.due_at, written.target, written.name,
       action.organization_id, action.type, action.payload
from written
cross join action
