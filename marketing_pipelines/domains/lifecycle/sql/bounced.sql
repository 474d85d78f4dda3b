-- The first mail to a contact that bounced since it entered, as `unreachable` says why not.
select 'bounced' as reason, occurred_at as since
from analytics.contact_activity
where contact_id = :contact
    and event_type = 'bounced'
    and occurred_at >= :entered_at
    and occurred_at < :now
    and coalesce(properties ->> 'channel', 'email') not in ('sms', 'push')
order by occurred_at
limit 1
