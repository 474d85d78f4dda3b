-- Makes the contacts that no submission found, with the values of their submissions: of several values
-- the one submitted last.
with given as (
    select distinct on (own.contact_name, field.name) own.contact_name, field.name, field.value
    from read_submissions as own
    cross join lateral jsonb_each(own.fields) as field (name, value)
    where own.contact_name is not null
    order by own.contact_name, field.name, own.submitted_at desc nulls last, own.position desc
),
made as (
    select contact_name, jsonb_object_agg(name, value) as fields
    from given
    group by contact_name
)
insert into crm.contacts (
    organization_id, external_id, email, phone, first_name, last_name, follow_up_note,
    lifecycle_stage, attributes, source, created_at
)
select :organization_id, contact_name, fields ->> 'email', fields ->> 'phone',
       fields ->> 'first_name', fields ->> 'last_name', fields ->> 'follow_up_note',
       fields ->> 'lifecycle_stage', fields - cast(:written as text[]), :source, :tick
from made
order by contact_name
on conflict (organization_id, external_id) do nothing
