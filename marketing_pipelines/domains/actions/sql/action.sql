-- An action with the name of its organization.
select action.id, organization.external_id as organization, action.type, action.payload,
       action.every, action.zone, action.run_at, action.until, action.catch_up, action.state,
       action.next_at, action.last_due_at, action.created_at, action.ended_at
from actions.scheduled_actions as action
join crm.organizations as organization on organization.id = action.organization_id
where action.id = :action_id
    and (cast(:organization_id as bigint) is null or action.organization_id = :organization_id)
