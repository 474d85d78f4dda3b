-- Stores mails, each once. A mail that another mailbox stored gets what this one adds: what it shares,
-- and contacts that it made. Returns the numbers of new and changed mails. Contacts are the oldest of
-- each address.
insert into inbox.email_messages as stored (
    organization_id, identity, message_id, in_reply_to, reference_ids, from_address, to_addresses,
    cc_addresses, subject, text, reply, snippet, sent_at, received_at, direction, contact_ids,
    is_auto_reply, is_bounce, malformed, attachments, raw_path, content_hash, share
)
select distinct on (mail.identity)
       :organization_id, mail.identity, mail.message_id, mail.in_reply_to, mail.reference_ids,
       mail.from_address, mail.to_addresses, mail.cc_addresses, mail.subject, mail.text, mail.reply,
       mail.snippet, mail.sent_at, mail.received_at,
       case
           when mail.is_own then 'out'
           when exists (
               select from crm.contacts as sender
               where sender.organization_id = :organization_id
                   and delivery.address_of('email', sender.email) = mail.from_address
           ) then 'in'
       end,
       array(
           select min(contact.id)
           from crm.contacts as contact
           where contact.organization_id = :organization_id
               and delivery.address_of('email', contact.email) = any(mail.others)
           group by delivery.address_of('email', contact.email)
           order by 1
       ),
       mail.is_auto_reply, mail.is_bounce, mail.malformed, mail.attachments, mail.raw_path,
       mail.content_hash, mail.share
from jsonb_to_recordset(:mails) as mail (
    identity text, message_id text, in_reply_to text, reference_ids text[], from_address text,
    to_addresses text[], cc_addresses text[], others text[], subject text, text text, reply text,
    snippet text, sent_at timestamptz, received_at timestamptz, is_own boolean,
    is_auto_reply boolean, is_bounce boolean, malformed boolean, attachments jsonb, raw_path text,
    content_hash text, share text
)
order by mail.identity
on conflict (organization_id, identity) do update
set subject = coalesce(stored.subject, excluded.subject),
    text = coalesce(stored.text, excluded.text),
    reply = coalesce(stored.reply, excluded.reply),
    snippet = coalesce(stored.snippet, excluded.snippet),
    raw_path = coalesce(stored.raw_path, excluded.raw_path),
    direction = coalesce(stored.direction, excluded.direction),
    attachments = case
        when inbox.width_of(excluded.share) > inbox.width_of(stored.share) then excluded.attachments
        else stored.attachments
    end,
    share = case
        when inbox.width_of(excluded.share) > inbox.width_of(stored.share) then excluded.share
        else stored.share
    end,
    contact_ids = array(
        select distinct contact_id
        from unnest(stored.contact_ids || excluded.contact_ids) as contact_id
        order by contact_id
    )
where inbox.width_of(excluded.share) > inbox.width_of(stored.share)
    or not excluded.contact_ids <@ stored.contact_ids
returning id, identity, xmax = 0 as is_new
