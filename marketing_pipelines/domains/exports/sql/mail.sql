-- Queues the mail that an export is ready, one for each active user that it names.
insert into delivery.messages (
    organization_id, channel, user_id, kind, priority, domain_id, content_id, variables, due_at,
    queued_at
)
select :organization_id, 'email', users.id, 'transactional', :priority, :domain_id, :content_id,
       jsonb_build_object(
           'url', cast(:url as text),
           'expires_at', cast(:expires_at as text),
           'size', cast(:size as text)
       ),
       :now, :now
from crm.users
where users.organization_id = :organization_id and users.id = any(:users) and users.active
order by users.id
