-- Ends claimed contacts that are due and satisfy a condition of their program's exit or goal; if both
-- hold, the goal counts. Their queued messages are suppressed. The event that enrolled a contact does
-- not count.
with reached as materialized (
    select distinct on (batch.enrolment_id) batch.enrolment_id, batch.program_id, batch.contact_id,
           batch.rotation, batch.step_id, ending.reason, event.event_id,
           coalesce(event.occurred_at, :tick) as at
    from batch
    join planned_endings as ending using (program_id)
    join lifecycle.enrolments as enrolment on enrolment.id = batch.enrolment_id
    left join lateral (
        select activity.event_id, activity.occurred_at
        from analytics.contact_activity as activity
        where activity.contact_id = batch.contact_id
            and activity.event_type = ending.event_type
            and activity.occurred_at >= enrolment.entered_at
            and activity.occurred_at < :tick
            and activity.event_id is distinct from batch.let_in_by
        order by activity.occurred_at, activity.event_id
        limit 1
    ) as event on true
    where is_due(batch)
        and (event.event_id is not null
             or exists (
                 select from branch_answers as answer
                 where answer.question_id = ending.ending_id
                     and answer.contact_id = batch.contact_id
             )
             or ending.left_segment
                 and exists (
                     select from lifecycle.triggers as trigger
                     where trigger.id = enrolment.trigger_id
                         and trigger.segment_id is not null
                         and not exists (
                             select from segments.memberships as membership
                             where membership.segment_id = trigger.segment_id
                                 and membership.contact_id = batch.contact_id
                                 and membership.left_at is null
                         )
                 ))
    order by batch.enrolment_id, ending.reason desc, at, event.event_id
),
goals as (
    insert into lifecycle.goals (enrolment_id, at, event_id)
    select enrolment_id, at, event_id from reached where reason = 'goal'
    on conflict do nothing
),
silenced as (
    update delivery.messages as message
    set state = 'suppressed', reason = reached.reason
    from reached
    join lifecycle.steps as step
        on step.program_kind = :kind and step.program_id = reached.program_id
    where message.step_id = step.id
        and message.contact_id = reached.contact_id
        and message.rotation = reached.rotation
        and message.state = 'queued'
)
insert into outcomes (enrolment_id, step_id, outcome, reason)
select enrolment_id, step_id, 'exited', reason from reached
