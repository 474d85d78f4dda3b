-- PostgreSQL. Stores the staged events that are new or were received earlier than the event that
-- holds their id; the trigger on the table keeps ids unique. Returns how many were stored and how
-- many of those took another's place.
with winners as (
    select distinct on (organization_id, event_id) *
    from events_stage
    order by organization_id, event_id, received_at, occurred_at, event_type, contact_id, line
), chosen as materialized (
    select organization.id as organization_id,
           winner.event_id,
           contact.id as contact_id,
           winner.event_type,
           campaign.id as campaign_id,
           winner.occurred_at,
           winner.received_at,
           case
               when winner.extras is null then winner.properties
               else nullif(
                   (select coalesce(jsonb_object_agg(key, value), '{}')
                    from jsonb_each(winner.extras) where value <> 'null')
                   || coalesce(winner.properties, '{}'), '{}')
           end as properties,
           held.event_id is not null as replaces
    from winners as winner
    join crm.organizations as organization on organization.external_id = winner.organization_id
    join crm.contacts as contact
        on contact.organization_id = organization.id and contact.external_id = winner.contact_id
    left join campaigns.campaigns as campaign
        on campaign.organization_id = organization.id
        and campaign.external_id = winner.event_source
    left join analytics.event_keys as held
        on held.organization_id = organization.id and held.event_id = winner.event_id
    where held.event_id is null
       or (winner.received_at, winner.occurred_at) < (held.received_at, held.occurred_at)
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
