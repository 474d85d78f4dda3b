-- The last three activities of the attending contacts of each meeting, below the tick, latest first.
with known as (
    select distinct meeting_id, contact_id from brief_attendees where contact_id is not null
),
entries as materialized (
    select distinct timeline.kind, timeline.direction, timeline.contact_id, timeline.user_id,
           timeline.occurred_at, timeline.subject, timeline.origin, timeline.origin_id
    from crm.timeline as timeline
    where timeline.contact_id in (select contact_id from known) and timeline.occurred_at < :tick
        and timeline.kind in ('email', 'call', 'meeting', 'note')
),
-- A meeting of several contacts is one activity, that of the first by number.
once as (
    select distinct on (known.meeting_id, entries.origin, entries.origin_id)
           known.meeting_id, entries.*
    from known
    join entries using (contact_id)
    order by known.meeting_id, entries.origin, entries.origin_id, entries.contact_id
),
ranked as (
    select once.*,
           row_number() over (
               partition by meeting_id order by occurred_at desc, origin, origin_id desc
           ) as place
    from once
)
select ranked.meeting_id, ranked.origin || ':' || ranked.origin_id as row, ranked.kind,
       ranked.direction, ranked.contact_id, ranked.subject, ranked.occurred_at,
       coalesce(users.name, users.external_id) as user_name
from ranked
left join crm.users as users on users.id = ranked.user_id
where ranked.place <= 3
order by ranked.meeting_id, ranked.place
