-- Removes the notes of those of these files that the rows of their mails name.
delete from inbox.raw_files as noted
using inbox.email_messages as mail
where noted.path = any(:paths) and mail.organization_id = noted.organization_id
    and mail.identity = noted.identity and mail.raw_path = noted.path
