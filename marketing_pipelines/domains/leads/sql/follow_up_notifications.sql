-- The notifications of the follow-ups that a tick wrote a task for.
select task.owner_id as user_id, task.contact_id, 'follow_up' as kind, task.title,
       concat_ws(
           ' ', format('The follow-up was set for %s UTC.',
                       to_char(task.due_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
           contact.follow_up_note
       ) as text,
       'contact:' || task.contact_id as ref, task.subject, task.period
from crm.tasks as task
join crm.contacts as contact on contact.id = task.contact_id
where task.organization_id = :organization_id and task.job = :job and task.created_at = :tick
