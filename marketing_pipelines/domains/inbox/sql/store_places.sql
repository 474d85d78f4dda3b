-- Notes where mails lie; those that are not stored have no identity here.
insert into inbox.message_places (connection_id, folder, uidvalidity, uid, message_id)
select :connection_id, :folder, :uidvalidity, place.uid, mail.id
from jsonb_to_recordset(:places) as place (uid bigint, identity text)
left join inbox.email_messages as mail
    on mail.organization_id = :organization_id and mail.identity = place.identity
on conflict (connection_id, folder, uidvalidity, uid) do nothing
