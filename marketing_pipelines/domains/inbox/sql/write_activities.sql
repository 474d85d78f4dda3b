-- Writes mails into the timeline: one that came for its sender, one that left for each contact among
-- its recipients. Messages of our own that a mail program keeps are in the timeline already.
insert into crm.activities (
    organization_id, external_id, kind, direction, contact_id, user_id, occurred_at, subject, text,
    source, ref
)
select mail.organization_id, 'mail:' || mail.id || ':' || named.contact_id, 'email', mail.direction,
       named.contact_id,
       case
           when mail.direction = 'in' or mail.from_address = :owner_address
               then cast(:owner_id as bigint)
           else (
               select min(users.id)
               from crm.users as users
               where users.organization_id = mail.organization_id
                   and delivery.address_of('email', users.email) = mail.from_address
           )
       end,
       least(coalesce(mail.sent_at, mail.received_at), mail.received_at),
       mail.subject, mail.snippet, 'mailbox', 'mail ' || mail.id
from inbox.email_messages as mail
cross join lateral (
    select min(sender.id) as contact_id
    from crm.contacts as sender
    where mail.direction = 'in' and sender.organization_id = mail.organization_id
        and delivery.address_of('email', sender.email) = mail.from_address
    having min(sender.id) is not null
    union all
    select unnest(mail.contact_ids)
    where mail.direction = 'out'
) as named
where mail.id = any(:ids) and not mail.is_auto_reply and not mail.is_bounce
    and not exists (
        select from delivery.messages as message
        where mail.direction = 'out' and message.organization_id = mail.organization_id
            and message.id = delivery.message_of(mail.message_id)
    )
order by mail.id, named.contact_id
-- A mail that another mailbox stored with less has the activity already.
on conflict (organization_id, external_id) do update
set subject = excluded.subject, text = excluded.text
