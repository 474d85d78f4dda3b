-- Writes a task for each date of a follow-up that has come; one for each value of the date.
insert into crm.tasks (
    organization_id, contact_id, owner_id, title, due_at, job, subject, period, created_at
)
select contact.organization_id, contact.id, contact.owner_id,
       'Follow up with ' || coalesce(
           nullif(trim(concat_ws(' ', contact.first_name, contact.last_name)), ''),
           contact.email, contact.external_id
       ),
       contact.next_follow_up_at, :job, 'contact ' || contact.id, due.period, :tick
from crm.contacts as contact
cross join lateral (
    select to_char(
        contact.next_follow_up_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
    ) as period
) as due
where contact.organization_id = :organization_id and contact.next_follow_up_at <= :tick
    and not exists (
        select from crm.tasks as earlier
        where earlier.organization_id = contact.organization_id and earlier.job = :job
            and earlier.subject = 'contact ' || contact.id and earlier.period = due.period
    )
order by contact.id
on conflict (organization_id, job, subject, period) do nothing
