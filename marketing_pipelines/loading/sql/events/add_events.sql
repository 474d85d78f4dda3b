-- PostgreSQL. Stores the events that are left in the batch, all of them new or all of them
-- corrections: the trigger on the table claims new ids fastest when no other is among them.
insert into analytics.contact_activity
    (organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
     received_at, properties)
select organization.id,
       loaded.event_id,
       contact.id,
       loaded.event_type,
       case when campaign.id is not null then 'campaign' end,
       campaign.id,
       loaded.occurred_at at time zone 'UTC',
       loaded.received_at at time zone 'UTC',
       case
           when loaded.extras is null then loaded.properties
           else nullif(
               (select coalesce(jsonb_object_agg(key, value), '{}')
                from jsonb_each(loaded.extras) where value <> 'null')
               || coalesce(loaded.properties, '{}'), '{}')
       end
from loaded_events as loaded
join event_organizations as organization on organization.number = loaded.organization
join event_contact_ids as contact on contact.number = loaded.contact
left join event_campaigns as campaign on campaign.number = loaded.campaign
