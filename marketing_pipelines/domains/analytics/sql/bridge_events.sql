-- Writes bus events about contacts as events of these contacts' activity, each once; those of a load
-- have a row for each of its contacts.
with told as (
    select event.id, event.organization_id, contact.id as contact_id,
           'bus:' || event.id
               || case when event.contact_id is null then ':' || contact.id else '' end as event_id,
           case event.type
               when 'email.replied' then 'replied'
               when 'form.submitted' then 'form_submission'
               else event.type
           end as event_type,
           coalesce((event.payload ->> 'tick')::timestamptz, (event.payload ->> 'at')::timestamptz,
                    event.published_at) as occurred_at,
           event.payload - case
               when event.payload ->> 'at' is null then array['contacts', 'at']
               else array['contacts']
           end as properties
    from ops.bus_events as event
    cross join lateral (
        select event.contact_id as id where event.contact_id is not null
        union all
        select listed::bigint from jsonb_array_elements_text(event.payload -> 'contacts') as listed
    ) as named
    join crm.contacts as contact
        on contact.id = named.id and contact.organization_id = event.organization_id
    where event.id = any(:ids)
)
insert into analytics.contact_activity (
    organization_id, event_id, contact_id, event_type, occurred_at, received_at, properties
)
select organization_id, event_id, contact_id, event_type, occurred_at,
       greatest(occurred_at, cast(:now as timestamptz)), properties
from told
where not exists (
    select from analytics.event_keys as held
    where held.organization_id = told.organization_id and held.event_id = told.event_id
)
order by id, contact_id
