-- Writes a delivery for each contact, to the endpoint of its step, once: the draft of one if the body
-- has templates. Contacts with a suppression of webhooks pass the step, and all do whose endpoint is
-- disabled. A step that an enrolment did earlier, and that was moved behind, does nothing again.
with due as materialized (
    select batch.enrolment_id, batch.step_id, step.endpoint_id, endpoint.organization_id,
           nullif(step.config -> 'body', 'null') as body, batch.contact_id,
           coalesce(
               suppression.reason, case when endpoint.state = 'disabled' then 'endpoint_disabled' end
           ) as problem
    from batch
    join planned_steps as step using (step_id)
    join webhooks.endpoints as endpoint on endpoint.id = step.endpoint_id
    left join lateral delivery.suppression_for(
        batch.organization_id, batch.contact_id, 'webhook', null, 'marketing', :tick
    ) as suppression on true
    where step.type = :type and is_due(batch)
        and not step.is_blocked
),
written as (
    insert into webhooks.deliveries (endpoint_id, event_id, type, contact_id, data, fields, state,
                                     published_at, due_at)
    select due.endpoint_id, format('step:%s:%s', due.enrolment_id, due.step_id), :event,
           due.contact_id, event.data, event.fields,
           case when event.fields is null then 'waiting' else 'draft' end, :tick, :tick
    from due
    join crm.contacts as contact on contact.id = due.contact_id
    cross join lateral lifecycle.step_event(due.step_id, contact, due.body) as event
    where due.problem is null
        and not exists (
            select from lifecycle.step_results as earlier
            where earlier.enrolment_id = due.enrolment_id and earlier.step_id = due.step_id
        )
    order by due.enrolment_id
    on conflict (endpoint_id, event_id) do nothing
)
insert into outcomes
select enrolment_id, step_id, case when problem is null then 'done' else 'skipped' end, problem
from due
