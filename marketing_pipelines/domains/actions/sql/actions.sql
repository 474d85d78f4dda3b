-- Actions of one organization or of all, the newest first.
select action.id, organization.external_id as organization, action.type, action.every,
       action.state, action.next_at, action.last_due_at, action.created_at
from actions.scheduled_actions as action
join crm.organizations as organization on organization.id = action.organization_id
where (cast(:organization_id as bigint) is null or action.organization_id = :organization_id)
    and (cast(:state as text) is null or action.state = :state)
    and (cast(:type as text) is null or action.type = :type)
    and (cast(:before as bigint) is null or action.id < :before)
order by action.id desc
limit :most
