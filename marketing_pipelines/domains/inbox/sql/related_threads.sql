-- The threads of the mails that each of these mails names, and of those that name it.
select mail.id, other.thread_id
from inbox.email_messages as mail
join inbox.email_messages as other
    on other.organization_id = mail.organization_id and other.message_id = any(mail.reference_ids)
where mail.id = any(:ids)
union
select mail.id, other.thread_id
from inbox.email_messages as mail
join inbox.email_messages as other
    on other.reference_ids @> array[mail.message_id]
    and other.organization_id = mail.organization_id
where mail.id = any(:ids) and mail.message_id is not null
