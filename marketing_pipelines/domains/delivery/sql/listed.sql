-- The latest messages, newest first, with their recipients and programs.
select message.id, organization.external_id as organization, message.channel,
       coalesce(contact.external_id, users.external_id) as recipient, message.address,
       program.external_id as program, message.state, message.attempts,
       coalesce(message.claimed_at, message.queued_at) as since,
       case when message.state = 'unknown'
           then message.claimed_at + delivery.unknown_span(organization.settings) end as waits_until,
       message.reason
from delivery.messages as message
join crm.organizations as organization on organization.id = message.organization_id
left join crm.contacts as contact on contact.id = message.contact_id
left join crm.users as users on users.id = message.user_id
left join lifecycle.programs as program
    on program.kind = message.program_kind and program.id = message.program_id
where (cast(:state as text) is null or message.state = :state)
    and (cast(:channel as text) is null or message.channel = :channel)
    and (cast(:organization as bigint) is null or message.organization_id = :organization)
order by message.id desc
limit :limit
