-- For each claimed message: its content, its recipient, and the status of its program now. A column
-- of the contact takes precedence over an attribute of the same name.
select
    message.id,
    message.program_kind,
    message.user_id,
    program.status as program_status,
    content.content,
    coalesce(organization.name, organization.external_id) as organization,
    organization.settings -> 'tracking' as tracking,
    organization.settings #>> '{delivery,bounce_address}' as bounce_address,
    case message.channel
        when 'email' then btrim(coalesce(contact.email, users.email), E' \t\r\n')
        -- Devices of the contact, but for those that no longer exist.
        when 'push' then (
            select string_agg(device.token, ' ' order by device.place)
            from regexp_split_to_table(message.address, '\s+')
                with ordinality as device (token, place)
            where not exists (
                select from delivery.suppression_for(
                    message.organization_id, null, 'push', device.token, message.kind,
                    message.claimed_at
                )
            )
        )
        else message.address
    end as recipient,
    domain.id as domain_id, domain.per_second, domain.paused_until, domain.from_address,
    domain.from_name, domain.reply_to, domain.headers, organization.external_id as organization_name,
    coalesce(nullif(concat_ws(' ', contact.first_name, contact.last_name), ''), users.name, '')
        as name,
    delivery.fields_of(contact) as fields
from delivery.messages as message
left join delivery.contents as content on content.id = message.content_id
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact
    on contact.id = message.contact_id and contact.organization_id = message.organization_id
left join delivery.sending_domains as domain
    on message.channel = 'email' and domain.id = coalesce(
        message.domain_id, delivery.default_domain(message.organization_id)
    )
left join crm.users as users
    on users.id = message.user_id and users.organization_id = message.organization_id
left join lifecycle.programs as program
    on program.kind = message.program_kind and program.id = message.program_id
where message.id = any(:ids)
