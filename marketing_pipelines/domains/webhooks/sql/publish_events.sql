-- Writes a delivery for each event of the bus and endpoint of its organization that wants its type,
-- once; returns the endpoints with new deliveries. Numbers of this database are no data for others:
-- keys of the payload that hold some are left out, and contacts have their external ids.
insert into webhooks.deliveries (endpoint_id, event_id, type, contact_id, data, published_at, due_at)
select endpoint.id, 'event:' || event.id, event.type, event.contact_id,
       jsonb_build_object('organization', organization.external_id)
       || case when event.contact_id is null then '{}'
               else jsonb_build_object('contact', contact.external_id) end
       || event.payload - array['campaign_id', 'segment_id', 'contacts']
       || case when several.external_ids is null then '{}'
               else jsonb_build_object('contacts', several.external_ids) end,
       event.published_at, :now
from ops.bus_events as event
join crm.organizations as organization on organization.id = event.organization_id
join webhooks.endpoints as endpoint
    on endpoint.organization_id = event.organization_id
    and endpoint.state <> 'disabled'
    and endpoint.created_at <= event.published_at
    and (endpoint.event_types = '{}' or exists (
        select from unnest(endpoint.event_types) as pattern
        where event.type like replace(replace(pattern, '_', '\_'), '*', '%')))
left join crm.contacts as contact on contact.id = event.contact_id
left join lateral (
    select jsonb_agg(one.external_id order by one.id) as external_ids
    from crm.contacts as one
    where event.payload ? 'contacts'
        and one.id = any (array(
            select jsonb_array_elements_text(event.payload -> 'contacts')::bigint))
) as several on true
where event.id = any (:ids)
order by event.id, endpoint.id
on conflict (endpoint_id, event_id) do nothing
returning endpoint_id
