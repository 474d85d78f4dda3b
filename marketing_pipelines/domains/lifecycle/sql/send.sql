-- Writes messages, except to contacts that must not or cannot be written to: they pass the step, or
-- leave; contacts that never consented pass it in any program. Of the contacts with one address the
-- one with the smallest number gets the message of a step and rotation; the others pass.
with asked as materialized (
    -- The category to which contacts must consent; none for an organization without categories.
    select step.step_id,
           coalesce(step.category_id, delivery.default_category(step.organization_id)) as category_id
    from planned_steps as step
    where step.type = :type and step.message_kind = 'marketing'
),
addressed as materialized (
    select batch.*, step.content_id, step.message_kind, step.priority, step.valid_seconds,
           step.category_id, step.domain_id, step.is_bulk, asked.category_id as asked_category_id,
           delivery.address_of('email', contact.email) as mail_address,
           delivery.address_given(
               :channel, contact.email, contact.phone, contact.attributes
           ) as given,
           delivery.address_of(
               :channel, delivery.address_given(
                   :channel, contact.email, contact.phone, contact.attributes
               )
           ) as address
    from batch
    join planned_steps as step using (step_id)
    left join asked using (step_id)
    join crm.contacts as contact
        on contact.id = batch.contact_id and contact.organization_id = batch.organization_id
    where step.type = :type and is_due(batch)
        and not step.is_blocked
),
judged as materialized (
    select addressed.*,
           coalesce(
               suppression.reason,
               consent.reason,
               case
                   when address is not null then null
                   when coalesce(given, '') ~ '[^[:space:]]' then 'invalid_number'
                   else 'no_address'
               end
           ) as problem
    from addressed
    left join lateral delivery.suppression_for(
        addressed.organization_id, addressed.contact_id, :channel, addressed.address,
        addressed.message_kind, :tick
    ) as suppression on true
    left join lateral delivery.consent_for(
        addressed.organization_id, addressed.contact_id, addressed.asked_category_id,
        addressed.mail_address
    ) as consent on addressed.asked_category_id is not null
),
written as (
    insert into delivery.messages (organization_id, channel, contact_id, address, kind, category_id,
                                   domain_id, priority, expires_at, program_kind, program_id,
                                   step_id, rotation, content_id, is_bulk, due_at, queued_at)
    select organization_id, :channel, contact_id, address, message_kind, category_id, domain_id,
           priority,
           case when valid_seconds = 0 then timestamptz '9999-12-31 00:00:00+00'
               else cast(:tick as timestamptz) + make_interval(secs => valid_seconds) end,
           :kind, program_id, step_id, rotation, content_id, is_bulk, :tick, :tick
    from judged
    where problem is null
    order by step_id, rotation, address, contact_id
    on conflict do nothing
    returning step_id, contact_id, rotation
),
ended as (
    select judged.enrolment_id, judged.step_id,
           case
               when judged.problem is not null then judged.problem
               when written.step_id is not null or exists (
                   select from delivery.messages as message
                   where message.step_id = judged.step_id
                       and message.contact_id = judged.contact_id
                       and message.rotation = judged.rotation
               ) then null
               else 'same_address'
           end as problem
    from judged
    left join written using (step_id, contact_id, rotation)
)
insert into outcomes
select enrolment_id, step_id,
       case
           when problem is null then 'done'
           when :leaves and problem not in ('same_address', 'not_subscribed', 'unconfirmed')
               then 'exited'
           else 'skipped'
       end,
       problem
from ended
