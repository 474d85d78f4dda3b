-- Every deal that is open at the tick, of all organizations, with the begin of its silence.
create temporary table deal_silences on commit drop as
with last_of_deals as (
    select deal_id, max(occurred_at) as occurred_at
    from crm.timeline
    where deal_id is not null and occurred_at < :tick
        and kind in ('email', 'call', 'meeting', 'note')
    group by deal_id
),
last_of_contacts as (
    select contact_id, max(occurred_at) as occurred_at
    from crm.timeline
    where deal_id is null and contact_id is not null and occurred_at < :tick
        and kind in ('email', 'call', 'meeting', 'note')
    group by contact_id
),
-- The instant at which a meeting or task was planned is known only where it lies before it. A plan
-- that is made at the tick does not count, so that jobs of one instant need no order.
planned as (
    select meeting.deal_id, attending.contact_id
    from crm.meetings as meeting
    left join crm.meeting_contacts as attending
        on meeting.deal_id is null and attending.meeting_id = meeting.id
    where meeting.status = 'planned' and meeting.starts_at >= :tick
        and (meeting.created_at < :tick or meeting.created_at > meeting.starts_at)
    union all
    select task.deal_id, task.contact_id
    from crm.tasks as task
    where task.job <> :job and task.due_at > :tick
        and (task.state = 'open' or task.done_at >= :tick)
        and (task.created_at < :tick or task.created_at > task.due_at)
)
select opened.organization_id, opened.id as deal_id, opened.stage,
       greatest(opened.created_at, of_deal.occurred_at, of_contact.occurred_at) as silent_since,
       exists (select from planned where planned.deal_id = opened.id)
           or exists (
               select from planned
               where planned.deal_id is null and planned.contact_id = opened.contact_id
           ) as is_planned
from sales.open_deals(:tick) as opened
left join last_of_deals as of_deal on of_deal.deal_id = opened.id
left join last_of_contacts as of_contact on of_contact.contact_id = opened.contact_id
