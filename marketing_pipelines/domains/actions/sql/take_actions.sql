-- Takes locked due actions: each due time becomes a row for each route, and the action has its next
-- due time. Returns those rows, and a row without route for each due time that no route takes.
with due as (
    select action.id, action.organization_id, action.type, taken.due_at, taken.next_at,
           taken.is_missed
    from unnest(
        cast(:ids as bigint[]), cast(:due_at as timestamptz[]), cast(:next_at as timestamptz[]),
        cast(:is_missed as boolean[])
    ) as taken (id, due_at, next_at, is_missed)
    join actions.scheduled_actions as action on action.id = taken.id
),
moved as (
    update actions.scheduled_actions as action
    set next_at = due.next_at,
        last_due_at = case when due.is_missed then action.last_due_at else due.due_at end,
        state = case when due.next_at is not null then 'active'
            when due.is_missed and action.cron is null then 'skipped' else 'finished' end,
        ended_at = case when due.next_at is null then cast(:tick as timestamptz) end
    from due
    where action.id = due.id
),
routed as (
    select due.id as action_id, due.due_at, route.id as route_id, route.target, route.name
    from due
    left join actions.routes as route
        on route.organization_id = due.organization_id and route.enabled
        and (
            route.type = due.type
            or route.type like '%*' and starts_with(due.type, left(route.type, -1))
        )
    where not due.is_missed
),
written as (
    insert into actions.runs (action_id, due_at, route_id, target, name, state, created_at)
    select action_id, due_at, route_id, target, name,
           case target when 'job' then 'starting' else 'done' end, :tick
    from routed
    where route_id is not null
    order by action_id, route_id
    on conflict (action_id, due_at, route_id) do nothing
    returning id, action_id, due_at, target, name
)
select written.id, written.action_id, written.due_at, written.target, written.name,
       action.organization_id, action.type, action.payload
from written
join actions.scheduled_actions as action on action.id = written.action_id
union all
select null, routed.action_id, routed.due_at, null, null, due.organization_id, due.type, '{}'
from routed
join due on due.id = routed.action_id
where routed.route_id is null
