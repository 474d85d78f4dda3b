-- The latest briefs of all organizations, or of one meeting, each with its meeting and the meeting's owner. A brief whose
-- meeting has another begin by now, or was cancelled, is outdated.
select organization.external_id as organization, meeting.title, meeting.starts_at,
       coalesce(owner.name, owner.external_id) as owner, brief.headline, brief.key_points,
       brief.talking_points, brief.questions, brief.writer, brief.created_at,
       meeting.status <> 'planned' or brief.version <> sales.version_of(meeting.starts_at)
           as is_outdated
from sales.meeting_briefs as brief
join crm.meetings as meeting on meeting.id = brief.meeting_id
join crm.organizations as organization on organization.id = brief.organization_id
left join crm.users as owner on owner.id = meeting.owner_id
where cast(:meeting_id as bigint) is null or brief.meeting_id = :meeting_id
order by brief.id desc
limit :most
