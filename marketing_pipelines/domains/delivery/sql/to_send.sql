-- For each message of a batch: its content, its contact, and the reason not to send it, if any.
-- A column of the contact takes precedence over an attribute of the same name. A webhook goes to a
-- system, so only a suppression of webhooks stops it.
select
    message.id,
    message.program_kind,
    program.status as program_status,
    suppression.reason as suppressed,
    case when message.channel <> 'webhook' and message.kind = 'marketing'
        then delivery.consent_problem(
            message.organization_id, message.contact_id, message.category_id,
            delivery.address_of('email', contact.email)
        )
    end as consent,
    content.content,
    coalesce(organization.name, organization.external_id) as organization,
    organization.settings -> 'tracking' as tracking,
    case message.channel
        when 'email' then contact.email
        when 'sms' then contact.phone
        when 'push' then contact.attributes ->> 'push_token'
        else content.content ->> 'url'
    end as recipient,
    domain.id as domain_id, domain.per_second, domain.paused_until, domain.from_address, domain.from_name, domain.reply_to, domain.headers,
    organization.external_id as organization_name,
    concat_ws(' ', contact.first_name, contact.last_name) as name,
    jsonb_strip_nulls(
        contact.attributes
        || jsonb_strip_nulls(to_jsonb(contact) - array['id', 'organization_id', 'attributes'])
    ) as fields
from delivery.messages as message
left join delivery.contents as content on content.id = message.content_id
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
left join delivery.sending_domains as domain
    on message.channel = 'email' and domain.id = coalesce(
        message.domain_id, delivery.default_domain(message.organization_id)
    )
left join lifecycle.programs as program
    on program.kind = message.program_kind and program.id = message.program_id
left join lateral delivery.suppression_for(
    message.organization_id, message.contact_id, message.channel,
    delivery.address_of(message.channel, delivery.address_given(
        message.channel, contact.email, contact.phone, contact.attributes
    )),
    message.kind, :now
) as suppression on true
where message.id = any(:ids)
