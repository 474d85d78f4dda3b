-- Fills in what another mailbox shares of mails that were stored with less.
update inbox.email_messages as stored
set subject = mail.subject, text = mail.text, reply = mail.reply, snippet = mail.snippet,
    attachments = mail.attachments, raw_path = coalesce(mail.raw_path, stored.raw_path), share = mail.share
from jsonb_to_recordset(:mails) as mail (
    identity text, subject text, text text, reply text, snippet text, attachments jsonb,
    raw_path text, share text
)
where stored.organization_id = :organization_id and stored.identity = mail.identity
    and array_position(array['metadata', 'subject', 'full'], stored.share)
        < array_position(array['metadata', 'subject', 'full'], mail.share)
