-- Moves contacts to where the outcome of their step leads, or out of the program; returns what the
-- steps came to, by type. A step counts from the tick at which its contact comes to it, or from the
-- event that let the contact in, as long as every step before it only leads on.
with moved as (
    update batch
    set step_id = coalesce(target.step_id, batch.step_id),
        arrived_at = case when target.step_id is null then batch.arrived_at
            when step.type in ('enter', 'off', 'branch', 'split')
                then coalesce(batch.begins_at, :tick)
            else :tick end,
        begins_at = case when step.type in ('enter', 'off', 'branch', 'split') then batch.begins_at end,
        next_step_at = case
            when target.step_id is null then null
            when target.type <> 'wait' then :tick
            else coalesce(
                case when step.type in ('enter', 'off', 'branch', 'split') then batch.begins_at end,
                :tick
            ) + make_interval(
                secs => case when target.is_blocked then 0 else coalesce(target.wait_seconds, 0) end)
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
            when 'way' then step.way_ids[array_position(step.way_names, outcomes.way)]
            when 'done' then step.next_id when 'skipped' then step.next_id end
    where batch.enrolment_id = outcomes.enrolment_id
    returning step.step_id, step.type, outcome
)
select type, outcome, count(*) as number
from moved
where step_id > 0
group by type, outcome
