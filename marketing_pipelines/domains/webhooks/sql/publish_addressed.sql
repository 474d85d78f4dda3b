-- Writes a delivery for each event that names its endpoint, once, whatever types the endpoint wants.
-- Returns the places in the list of those whose organization has the endpoint, enabled.
with addressed as (
    select given.place, endpoint.id as endpoint_id, given.event_id, given.type,
           webhooks.cut_data(
               jsonb_build_object('organization', organization.external_id) || given.data
           ) as data
    from unnest(
        cast(:organization_ids as bigint[]), cast(:endpoint_ids as bigint[]),
        cast(:event_ids as text[]), cast(:types as text[]), cast(:data as jsonb[])
    ) with ordinality as given (organization_id, endpoint_id, event_id, type, data, place)
    join webhooks.endpoints as endpoint
        on endpoint.id = given.endpoint_id
        and endpoint.organization_id = given.organization_id
        and endpoint.state <> 'disabled'
    join crm.organizations as organization on organization.id = given.organization_id
),
written as (
    insert into webhooks.deliveries (endpoint_id, event_id, type, data, published_at, due_at)
    select endpoint_id, event_id, type, data, :now, :now
    from addressed
    order by place
    on conflict (endpoint_id, event_id) do nothing
)
select place from addressed
