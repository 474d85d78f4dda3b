-- Messages to contacts by state, new contacts and failing items of each organization: rows of kind,
-- name and number. Mails to users, such as reports, are no activity.
select organization_id, 'message' as kind, state as name, count(*) as number
from delivery.messages
where user_id is null and queued_at >= :start and queued_at < :end
group by 1, 3
union all
select organization_id, 'contacts', '', count(*)
from crm.contacts
where source <> 'stub' and created_at >= :start and created_at < :end
group by 1
union all
select organization.id, 'failing', failure.job || ': ' || failure.item || ': ' || failure.error,
       failure.consecutive
from ops.item_failures as failure
join crm.organizations as organization
    on failure.item = 'organization ' || organization.external_id
    or right(failure.item, char_length(organization.external_id) + 4)
        = ' of ' || organization.external_id
order by 1, 2, 3
