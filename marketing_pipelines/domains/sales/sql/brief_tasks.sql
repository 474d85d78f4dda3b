-- Open tasks about the attending contacts of each meeting, or about its deal; at most five, the first
-- due first.
with asked as (
    select distinct attending.meeting_id, attending.contact_id, cast(null as bigint) as deal_id
    from brief_attendees as attending
    where attending.contact_id is not null
    union
    select meeting.id, null, meeting.deal_id
    from crm.meetings as meeting
    where meeting.id = any(:meetings) and meeting.deal_id is not null
),
found as (
    select distinct asked.meeting_id, task.id, task.title, task.due_at
    from asked
    join crm.tasks as task
        on task.contact_id = asked.contact_id or task.deal_id = asked.deal_id
    where task.state = 'open' and task.created_at < :tick
),
ranked as (
    select found.*,
           row_number() over (partition by meeting_id order by due_at nulls last, id) as place
    from found
)
select meeting_id, id, title, due_at from ranked where place <= 5 order by meeting_id, place
