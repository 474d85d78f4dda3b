-- A message as it would be queued for a contact now, with all that writing it takes, and the reason
-- for which the contact would not get it. It has no row, no counted links and no address for bounces.
select cast(:id as bigint) as id, organization.id as organization_id, message.channel,
       message.kind, message.content, 0 as content_id, cast(null as jsonb) as variables,
       cast(:now as timestamptz) as queued_at, cast(null as bigint) as user_id,
       coalesce(organization.name, organization.external_id) as organization,
       organization.external_id as organization_name, cast(null as jsonb) as tracking,
       cast(null as text) as bounce_address,
       coalesce(
           cast(:address as text),
           case message.channel
               when 'email' then nullif(btrim(contact.email, E' \t\r\n'), '')
               else present.address
           end
       ) as recipient,
       case
           when cast(:address as text) is not null then ''
           else concat_ws(' ', contact.first_name, contact.last_name)
       end as name,
       delivery.fields_of(contact) as fields,
       domain.domain, domain.from_address, domain.from_name, domain.reply_to, domain.headers,
       coalesce(category.external_id, 'general') as category,
       coalesce(suppression.reason, consent.reason) as problem
from crm.contacts as contact
join crm.organizations as organization on organization.id = contact.organization_id
cross join (
    select cast(:channel as text) as channel, cast(:kind as text) as kind,
           cast(:content as jsonb) as content
) as message
cross join lateral (
    select delivery.address_of(
        message.channel,
        delivery.address_given(
            message.channel, contact.email, contact.phone, contact.attributes
        )
    ) as address
) as present
left join delivery.sending_domains as domain
    on message.channel = 'email'
    and domain.id = coalesce(
        cast(:domain_id as bigint), delivery.default_domain(organization.id)
    )
left join delivery.categories as category
    on category.id = coalesce(
        cast(:category_id as bigint), delivery.default_category(organization.id)
    )
left join lateral delivery.suppression_for(
    organization.id, contact.id, message.channel, present.address, message.kind, :now
) as suppression on true
left join lateral delivery.consent_problem(
    organization.id, contact.id, cast(:category_id as bigint),
    delivery.address_of('email', contact.email)
) as consent (reason) on message.kind = 'marketing'
where contact.id = :contact_id and contact.organization_id = :organization_id
