-- The latest entries of the timeline of some contacts, newest first.
select timeline.kind, timeline.direction, timeline.occurred_at, timeline.subject,
       left(timeline.text, 200) as text, timeline.source,
       contact.external_id as contact, coalesce(users.name, users.external_id) as user_name
from crm.timeline as timeline
join crm.contacts as contact on contact.id = timeline.contact_id
left join crm.users as users on users.id = timeline.user_id
where timeline.contact_id = any(:contacts) and timeline.occurred_at < :now
order by timeline.occurred_at desc, timeline.origin, timeline.origin_id desc
limit :limit
