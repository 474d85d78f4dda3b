-- Hours of an organization with more contacts than events.
select organization_id, event_type, event_count, unique_contacts, hour as label
from analytics.hourly_events
where hour >= :start and hour < :end
    and (unique_contacts > event_count or unique_contacts < 1)
limit 1
