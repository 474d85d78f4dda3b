-- Writes messages, except to contacts that must not or cannot be written to: they pass the step, or
-- leave.
with judged as materialized (
    select batch.*, step.content_id,
           coalesce(
               suppression.reason,
               case when :channel in ('email', 'sms', 'push') and coalesce(
                        case :channel
                            when 'email' then contact.email
                            when 'sms' then contact.phone
                            else contact.attributes ->> 'push_token'
                        end, '') = ''
                   then 'no_address' end
           ) as problem
    from batch
    join planned_steps as step using (step_id)
    join crm.contacts as contact
        on contact.id = batch.contact_id and contact.organization_id = batch.organization_id
    left join lateral (
        select suppressions.reason
        from delivery.suppressions
        where suppressions.contact_id = batch.contact_id
            and suppressions.channel in (:channel, 'all')
        order by suppressions.since
        limit 1
    ) as suppression on :channel <> 'webhook'
    where step.type = :type and is_due(batch)
        and not step.is_blocked
),
written as (
    insert into delivery.messages (organization_id, channel, contact_id, program_kind, program_id,
                                   step_id, rotation, content_id, due_at, queued_at)
    select organization_id, :channel, contact_id, :kind, program_id, step_id, rotation, content_id,
           :tick, :tick
    from judged
    where problem is null
    on conflict (step_id, contact_id, rotation) do nothing
)
insert into outcomes
select enrolment_id, step_id,
       case when problem is null then 'done' when :leaves then 'exited' else 'skipped' end, problem
from judged
