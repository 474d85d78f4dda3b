-- Queues one mail to each user who takes notifications by mail, with those of a job and tick that no
-- mail has. Returns the number of mails.
with mailed as (
    update crm.notifications as notification
    set mailed_at = notification.created_at
    from crm.users as users
    where notification.organization_id = :organization_id and notification.job = :job
        and notification.created_at = :tick and notification.mailed_at is null
        and users.id = notification.user_id
        and coalesce(users.notify_by_mail, :by_default)
    returning notification.id, notification.user_id, notification.title, notification.text
),
numbered as (
    select mailed.*,
           row_number() over (partition by user_id order by id) as place,
           count(*) over (partition by user_id) as total
    from mailed
),
mails as (
    select user_id, max(total) as total, max(title) as title, max(text) as text,
           jsonb_agg(jsonb_build_object('title', title, 'text', text) order by place) as items
    from numbered
    where place <= :most
    group by user_id
),
written as (
    insert into delivery.messages (
        organization_id, channel, user_id, kind, priority, domain_id, content_id, variables,
        due_at, queued_at
    )
    select :organization_id, 'email', user_id, 'transactional', :priority, :domain_id, :content_id,
           case
               when total = 1 then jsonb_build_object('title', title, 'text', text)
               else jsonb_build_object(
                   'title', total || ' notifications',
                   'items', items,
                   'text', case when total > :most
                       then 'The first ' || cast(:most as bigint) || ' of ' || total || ':'
                       else '' end
               )
           end,
           :tick, :tick
    from mails
    order by user_id
    returning 1
)
select count(*) from written
