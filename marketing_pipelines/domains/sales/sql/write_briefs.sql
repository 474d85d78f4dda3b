-- Writes briefs, each version of a meeting once. Returns the numbers of new ones.
insert into sales.meeting_briefs (
    organization_id, meeting_id, version, headline, key_points, talking_points, questions, facts,
    writer, created_at
)
select organization_id, meeting_id, version, headline, key_points, talking_points, questions, facts,
       'rules', :tick
from jsonb_to_recordset(:briefs) as brief (
    organization_id bigint, meeting_id bigint, version text, headline text, key_points jsonb,
    talking_points jsonb, questions jsonb, facts jsonb
)
order by meeting_id
on conflict (meeting_id, version) do nothing
returning id, meeting_id
