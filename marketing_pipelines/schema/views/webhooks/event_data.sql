-- The data of each event of the bus as receivers of webhooks get it: numbers of this database are no
-- data for others, so external ids stand in their place.
create or replace view webhooks.event_data as
select event.id as event_id,
       webhooks.cut_data(
           jsonb_build_object('organization', organization.external_id)
           || case when event.contact_id is null then '{}'
                   else jsonb_build_object('contact', contact.external_id) end
           || event.payload - array['campaign_id', 'segment_id', 'contacts']
           || case when several.external_ids is null then '{}'
                   else jsonb_build_object('contacts', several.external_ids) end
           || case when task.id is null then '{}'
                   else jsonb_build_object('task', coalesce(task.external_id, task.id::text)) end
       ) as data
from ops.bus_events as event
join crm.organizations as organization on organization.id = event.organization_id
left join crm.contacts as contact on contact.id = event.contact_id
left join crm.tasks as task
    on task.id = case when event.type = 'task.created' then (event.payload ->> 'task')::bigint end
left join lateral (
    select jsonb_agg(one.external_id order by one.id) as external_ids
    from crm.contacts as one
    where event.payload ? 'contacts'
        and one.id = any (array(
            select jsonb_array_elements_text(event.payload -> 'contacts')::bigint))
) as several on true;
comment on view webhooks.event_data is 'The data of events as receivers of webhooks get it';
comment on column webhooks.event_data.event_id is 'Event';
comment on column webhooks.event_data.data is 'Its data, with external ids';
