-- Mails of contacts that answer or forward one of these new mails of the owner, and were stored
-- before it: as an answer none of them counted so far.
with answers as (
    select distinct answer.id, answer.from_address, answer.subject, answer.reference_ids,
           least(
               greatest(coalesce(answer.sent_at, answer.received_at), answer.received_at - interval '7 days'),
               answer.received_at
           ) as at
    from inbox.email_messages as sent
    join inbox.email_messages as answer
        on answer.organization_id = sent.organization_id
        and answer.reference_ids @> array[sent.message_id]
    where sent.id = any(:ids) and sent.direction = 'out' and sent.message_id is not null
        and answer.id <> all(:ids) and answer.direction = 'in'
        and not answer.is_auto_reply and not answer.is_bounce
)
select answers.id, answers.at, sender.contact_id,
       case
           when answers.subject ~* '^\s*(fwd|fw|wg|tr|rv)\s*:' then 'forwarded'
           else 'replied'
       end as kind,
       true as is_late
from answers
join inbox.email_messages as mail on mail.id = answers.id
cross join lateral (
    select min(contact.id) as contact_id
    from crm.contacts as contact
    where contact.organization_id = :organization_id
        and delivery.address_of('email', contact.email) = answers.from_address
) as sender
where sender.contact_id is not null
    and (mail.received_at >= :connected_at or answers.at > :oldest)
    and not exists (
        select from inbox.email_messages as known
        where known.organization_id = :organization_id
            and known.message_id = any(answers.reference_ids)
            and known.direction = 'out' and known.id <> all(:ids)
    )
    and not exists (
        select
        from unnest(answers.reference_ids) as name
        join delivery.messages as message
            on message.organization_id = :organization_id
            and (
                message.id = delivery.message_of(name)
                or message.provider_message_id in (name, split_part(name, '@', 1))
            )
    )
order by answers.at, answers.id
