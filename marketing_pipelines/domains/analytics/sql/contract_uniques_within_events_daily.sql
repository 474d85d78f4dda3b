-- Days or months of an organization with more contacts than events.
select organization_id, event_type, event_count, unique_contacts, date as label
from analytics.event_aggregates
where date = any(cast(:dates as date[]))
    and (unique_contacts > event_count or unique_contacts < 1)
limit 1
