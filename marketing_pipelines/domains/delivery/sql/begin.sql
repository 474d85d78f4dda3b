-- Notes that the handing-over of a claimed message begins, and judges its recipient once more: the
-- reason not to send it, or null. An exit or goal that the contact reached since the claim is one.
-- No row: the claim is lost.
update delivery.messages as message
set state = 'sending', leased_until = :leased_until
where message.id = :id and message.claim = :claim and message.state in ('claimed', 'sending')
returning coalesce(
    (
        select suppression.reason
        from delivery.suppression_for(
            message.organization_id, message.contact_id, message.channel, message.address,
            message.kind, :now
        ) as suppression
    ),
    (
        select delivery.consent_problem(
            message.organization_id, message.contact_id, message.category_id,
            delivery.address_of('email', contact.email)
        )
        from crm.contacts as contact
        where contact.id = message.contact_id
            and message.kind = 'marketing' and message.channel <> 'webhook'
    ),
    (
        select enrolment.reason
        from lifecycle.enrolments as enrolment
        left join lifecycle.steps as last_step on last_step.id = enrolment.step_id
        where enrolment.program_kind = message.program_kind
            and enrolment.program_id = message.program_id
            and enrolment.contact_id = message.contact_id
            and enrolment.rotation = message.rotation
            and enrolment.status = 'exited' and enrolment.reason in ('goal', 'exit')
            -- A step `exit` may give a reason of that name.
            and last_step.type is distinct from 'exit'
    )
) as problem
