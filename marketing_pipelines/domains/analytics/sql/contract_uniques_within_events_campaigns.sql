-- Campaign days with more contacts than events of a type.
select organization_id, event_type, event_count, unique_contacts, date as label
from analytics.campaign_daily_stats
cross join lateral (
    values ('sent', sent, unique_sent), ('delivered', delivered, unique_delivered),
           ('opened', opened, unique_opened), ('clicked', clicked, unique_clicked),
           ('bounced', bounced, unique_bounced), ('complained', complained, unique_complained),
           ('unsubscribed', unsubscribed, unique_unsubscribed)
) as per_type (event_type, event_count, unique_contacts)
where date = any(cast(:dates as date[]))
    and (unique_contacts > event_count or machine_opened > opened)
limit 1
