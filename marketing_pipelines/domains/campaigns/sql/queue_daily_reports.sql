-- Queues the mail of a daily report, one for each active admin with an address; an admin has one mail
-- for each last day, however often this runs.
insert into delivery.messages (
    organization_id, channel, user_id, kind, priority, domain_id, content_id, variables, due_at,
    queued_at, idempotency_key
)
select :organization_id, 'email', users.id, 'transactional', :priority, :domain_id, :content_id,
       cast(:variables as jsonb), :tick, :tick, keys.key
from crm.users
cross join lateral (
    select 'daily_report ' || cast(:last as date) || ' ' || users.id as key
) as keys
where users.organization_id = :organization_id and users.role = 'admin' and users.active
    and users.email is not null and users.notify_by_mail is not false
    and not exists (
        select from delivery.messages as earlier
        where earlier.organization_id = :organization_id and earlier.idempotency_key = keys.key
    )
order by users.id
