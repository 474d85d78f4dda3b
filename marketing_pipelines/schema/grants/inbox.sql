grant usage on schema inbox to marketing_reader;
-- Neither addresses nor subjects and texts.
grant select (
    id, organization_id, thread_id, sent_at, received_at, direction, contact_ids, is_auto_reply,
    is_bounce, malformed, share
) on inbox.email_messages to marketing_reader;
grant select (connection_id, cut_off_at) on inbox.mailboxes to marketing_reader;
revoke all on all functions in schema inbox from public;
