-- PostgreSQL. Stores the events of the batch that are new or were received earlier than the event
-- that holds their id; the trigger on the table keeps ids unique. Returns how many were stored and
-- how many of those took another's place. An id stands in the batch once. `offset 0` keeps the
-- planner at one index look-up an event, whatever it believes of the table.
with chosen as materialized (
    select organization.id as organization_id,
           loaded.event_id,
           contact.id as contact_id,
           loaded.event_type,
           campaign.id as campaign_id,
           loaded.occurred_at,
           loaded.received_at,
           case
               when loaded.extras is null then loaded.properties
               else nullif(
                   (select coalesce(jsonb_object_agg(key, value), '{}')
                    from jsonb_each(loaded.extras) where value <> 'null')
                   || coalesce(loaded.properties, '{}'), '{}')
           end as properties,
           held.received_at is not null as replaces
    from loaded_events as loaded
    join loaded_organizations as organization on organization.number = loaded.organization
    join loaded_contact_ids as contact on contact.number = loaded.contact
    left join loaded_campaigns as campaign on campaign.number = loaded.campaign
    left join lateral (
        select taken.received_at, taken.occurred_at
        from analytics.event_keys as taken
        where taken.organization_id = organization.id and taken.event_id = loaded.event_id
        offset 0
    ) as held on true
    where held.received_at is null
       or (loaded.received_at, loaded.occurred_at) < (held.received_at, held.occurred_at)
), stored as (
    insert into analytics.contact_activity
        (organization_id, event_id, contact_id, event_type, source_type, source_id, occurred_at,
         received_at, properties)
    select organization_id, event_id, contact_id, event_type,
           case when campaign_id is not null then 'campaign' end, campaign_id, occurred_at,
           received_at, properties
    from chosen
)
select count(*) as stored, count(*) filter (where replaces) as replaced from chosen
