-- Organizations with a brief of the last day whose meeting has not begun at the tick.
select distinct organization.id, organization.external_id
from sales.meeting_briefs as brief
join crm.meetings as meeting on meeting.id = brief.meeting_id
join crm.organizations as organization on organization.id = brief.organization_id
where brief.created_at <= :tick
    and brief.created_at > cast(:tick as timestamptz) - interval '1 day'
    and meeting.starts_at >= :tick
order by organization.id
