-- Planned meetings that begin in the window and have no brief of their present begin; of meetings whose
-- brief failed before, also those that begin later than the tick.
select meeting.id, meeting.organization_id, meeting.title, meeting.starts_at, deal.company_id,
       organization.external_id as organization, coalesce(owner.name, owner.external_id) as owner,
       sales.version_of(meeting.starts_at) as version
from crm.meetings as meeting
join crm.organizations as organization on organization.id = meeting.organization_id
left join crm.deals as deal on deal.id = meeting.deal_id
left join crm.users as owner on owner.id = meeting.owner_id
where meeting.status = 'planned'
    and (
        meeting.starts_at >= :start and meeting.starts_at < :end
        or meeting.starts_at >= :tick and meeting.starts_at < :end
            and exists (
                select from ops.item_failures as failing
                where failing.job = :job and failing.item = 'meeting ' || meeting.id
                    and failing.first_failed_at < :tick
            )
    )
    and not exists (
        select from sales.meeting_briefs as brief
        where brief.meeting_id = meeting.id
            and brief.version = sales.version_of(meeting.starts_at)
    )
order by meeting.starts_at, meeting.id
