-- The open deals of each meeting: its own, and those of its attending contacts; its own first, then by
-- their number.
select distinct on (asked.meeting_id, asked.is_own, deal.id)
       asked.meeting_id, asked.is_own, deal.id, deal.name, deal.stage, sales.money(deal.amount, deal.currency) as amount, deal.expected_close_on,
       deal.company_id, deal.competitor
from (
    select meeting.id as meeting_id, meeting.deal_id, cast(null as bigint) as contact_id,
           true as is_own
    from crm.meetings as meeting
    where meeting.id = any(:meetings) and meeting.deal_id is not null
    union all
    select meeting_id, null, contact_id, false
    from brief_attendees
    where contact_id is not null
) as asked
join sales.open_deals(:tick) as deal
    on deal.id = asked.deal_id or asked.deal_id is null and deal.contact_id = asked.contact_id
order by asked.meeting_id, asked.is_own desc, deal.id
