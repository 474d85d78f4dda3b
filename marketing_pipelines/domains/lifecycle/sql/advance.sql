-- Moves contacts to where the outcome of their step leads, or out of the program; returns what the
-- steps came to, by type.
with moved as (
    update moving
    set step_id = coalesce(target.step_id, moving.step_id),
        arrived_at = case when target.step_id is null then moving.arrived_at else :tick end,
        next_step_at = case when target.step_id is not null
            then cast(:tick as timestamptz) + make_interval(
                secs => case when target.type = 'wait' and not target.is_held
                    then coalesce(target.wait_seconds, 0) else 0 end)
            end,
        awaits = target.awaits,
        status = case when outcome in ('exited', 'failed') then outcome
            when target.step_id is null then 'completed' else 'active' end,
        reason = case when outcome in ('exited', 'failed') then outcomes.reason end,
        has_moved = true
    from outcomes
    join planned_steps as step using (step_id)
    left join planned_steps as target
        on target.step_id = case outcome
            when 'yes' then step.yes_id when 'no' then step.no_id
            when 'done' then step.next_id when 'skipped' then step.next_id end
    where moving.enrolment_id = outcomes.enrolment_id
    returning step.step_id, step.type, outcome
)
select type, outcome, count(*) as number
from moved
where step_id > 0
group by type, outcome
