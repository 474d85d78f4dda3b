-- A notification to the owner of each meeting whose brief no user knows of yet. Its text ends with a
-- link to the brief, if the address of the pages is known.
select meeting.owner_id as user_id,
       (
           select min(attending.contact_id)
           from crm.meeting_contacts as attending
           where attending.meeting_id = meeting.id
       ) as contact_id,
       'meeting_brief' as kind,
       brief.headline as title,
       (
           select string_agg(heading || E'\n' || lines, E'\n\n' order by place)
           from (
               values (1, 'Key points', brief.key_points),
                      (2, 'Talking points', brief.talking_points),
                      (3, 'Questions', brief.questions)
           ) as part (place, heading, statements)
           cross join lateral (
               select string_agg('- ' || (statement ->> 'text'), E'\n' order by position) as lines
               from jsonb_array_elements(part.statements) with ordinality
                   as one (statement, position)
           ) as listed
           where lines is not null
       ) || coalesce(E'\n\n' || cast(:page as text) || meeting.id, '') as text,
       'meeting:' || meeting.id as ref, 'meeting ' || meeting.id as subject, brief.version as period
from sales.meeting_briefs as brief
join crm.meetings as meeting on meeting.id = brief.meeting_id
where brief.organization_id = :organization_id and brief.created_at <= :tick
    and brief.created_at > cast(:tick as timestamptz) - interval '1 day'
    and meeting.starts_at >= :tick and meeting.status = 'planned'
    and not exists (
        select from crm.notifications as known
        where known.job = :job and known.kind = 'meeting_brief'
            and known.subject = 'meeting ' || meeting.id and known.period = brief.version
    )
