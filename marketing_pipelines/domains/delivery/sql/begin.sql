-- Notes that the handing-over of a claimed message begins, and judges its recipient once more: the
-- reason not to send it, or null. No row: the claim is lost.
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
    )
) as problem
