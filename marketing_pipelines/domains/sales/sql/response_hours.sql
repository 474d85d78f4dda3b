-- The median hours between a contact's e-mail and the next e-mail or call of its owner, of the answers
-- of the day, by the owner's role.
with answers as (
    select answer.organization_id, answer.contact_id, answer.user_id, answer.occurred_at,
           users.role
    from crm.activities as answer
    join crm.contacts as contact
        on contact.id = answer.contact_id and contact.owner_id = answer.user_id
    join crm.users as users on users.id = answer.user_id
    where answer.occurred_at >= :start and answer.occurred_at < :end
        and (answer.kind = 'email' and answer.direction = 'out' or answer.kind = 'call')
),
answered as (
    select answers.organization_id, answers.role,
           extract(epoch from answers.occurred_at - received.occurred_at) / 3600 as hours
    from answers
    join crm.activities as received
        on received.contact_id = answers.contact_id and received.kind = 'email'
        and received.direction = 'in' and received.occurred_at < answers.occurred_at
    where not exists (
        select from crm.activities as earlier
        where earlier.contact_id = answers.contact_id and earlier.user_id = answers.user_id
            and (earlier.kind = 'email' and earlier.direction = 'out' or earlier.kind = 'call')
            and earlier.occurred_at > received.occurred_at
            and earlier.occurred_at < answers.occurred_at
    )
)
select organization_id, role, count(*) as answers,
       percentile_cont(0.5) within group (order by hours) as hours
from answered
group by organization_id, role
order by organization_id, role
