-- Marks that the handing-over of a claimed message begins, and how the one before ended; judges the
-- recipient once more: the reason not to send it, or null. An exit or goal that the contact reached
-- since the claim is one. No row: the claim is lost. Parameters: $1 the message, $2 its claim, $3 now,
-- $4 the end of its lease, $5 the message before, $6 its end.
with ended as (
    update delivery.handovers
    set ended = $6::jsonb
    where message_id = $5::bigint and claim = ($6::jsonb ->> 'claim')::bigint
),
-- The state is judged below: the index of claimed messages holds many, the key one.
held as materialized (
    select *
    from delivery.messages
    where id = $1::bigint and claim = $2::bigint
    for no key update
),
judged as materialized (
    select held.id, held.claim,
           coalesce(
               (
                   select suppression.reason
                   from delivery.suppression_for(
                       held.organization_id, held.contact_id, held.channel, held.address,
                       held.kind, $3::timestamptz
                   ) as suppression
               ),
               (
                   select consent.reason
                   from crm.contacts as contact
                   cross join lateral delivery.consent_for(
                       held.organization_id, held.contact_id, held.category_id,
                       delivery.address_of('email', contact.email)
                   ) as consent
                   where contact.id = held.contact_id
                       and held.kind = 'marketing'
               ),
               (
                   select enrolment.reason
                   from lifecycle.enrolments as enrolment
                   left join lifecycle.steps as last_step on last_step.id = enrolment.step_id
                   where enrolment.program_kind = held.program_kind
                       and enrolment.program_id = held.program_id
                       and enrolment.contact_id = held.contact_id
                       and enrolment.rotation = held.rotation
                       and enrolment.status = 'exited' and enrolment.reason in ('goal', 'exit')
                       -- A step `exit` may give a reason of that name.
                       and last_step.type is distinct from 'exit'
               )
           ) as problem
    from held
    where held.state = 'claimed'
),
begun as (
    insert into delivery.handovers (message_id, claim, leased_until)
    select id, claim, $4::timestamptz
    from judged
    where problem is null
)
select problem from judged
