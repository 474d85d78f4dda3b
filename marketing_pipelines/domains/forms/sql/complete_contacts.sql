-- Fills the empty fields of contacts with the values of new and changed submissions. Another value gives
-- way only where the mapping overwrites it, or where it is the one that the submission had before. A
-- contact that only rows or messages named is known by a form from now on. Contacts are locked in
-- their order, so that two statements do not wait for each other.
with given as (
    select distinct on (own.contact_id, field.name)
           own.contact_id, field.name, field.value,
           own.former ->> (cast(:columns as jsonb) ->> field.name) as former
    from read_submissions as own
    cross join lateral jsonb_each(own.fields) as field (name, value)
    where own.is_changed and own.contact_id is not null and own.contact_name is null
    order by own.contact_id, field.name, own.submitted_at desc nulls last, own.position desc
),
locked as materialized (
    select contact.*
    from crm.contacts as contact
    where contact.organization_id = :organization_id
        and contact.id in (
            select contact_id from read_submissions where is_changed and contact_name is null
        )
    order by contact.id
    for no key update
),
allowed as (
    select locked.id, given.name, given.value
    from given
    join locked on locked.id = given.contact_id
    cross join lateral (
        select case when given.name = any(:written) then to_jsonb(locked) ->> given.name
                   else locked.attributes ->> given.name end as value
    ) as present
    where coalesce(btrim(present.value), '') = ''
        or given.name = any(:overwritten)
        or present.value = given.former
),
filled as (
    select locked.id, coalesce(jsonb_object_agg(allowed.name, allowed.value)
                               filter (where allowed.name is not null), '{}') as fields
    from locked
    left join allowed on allowed.id = locked.id
    group by locked.id
),
planned as (
    select locked.id,
           coalesce(fields ->> 'email', locked.email) as email,
           coalesce(fields ->> 'phone', locked.phone) as phone,
           coalesce(fields ->> 'first_name', locked.first_name) as first_name,
           coalesce(fields ->> 'last_name', locked.last_name) as last_name,
           coalesce(fields ->> 'follow_up_note', locked.follow_up_note) as follow_up_note,
           coalesce(fields ->> 'lifecycle_stage', locked.lifecycle_stage) as lifecycle_stage,
           locked.attributes || (fields - cast(:written as text[])) as attributes,
           case when locked.source in ('stub', 'api') then :source else locked.source end as source
    from locked
    join filled on filled.id = locked.id
)
update crm.contacts as contact
set email = planned.email, phone = planned.phone, first_name = planned.first_name,
    last_name = planned.last_name, follow_up_note = planned.follow_up_note,
    lifecycle_stage = planned.lifecycle_stage, attributes = planned.attributes,
    source = planned.source
from planned
where contact.id = planned.id
    and (contact.email, contact.phone, contact.first_name, contact.last_name,
         contact.follow_up_note, contact.lifecycle_stage, contact.attributes, contact.source)
        is distinct from (planned.email, planned.phone, planned.first_name, planned.last_name,
                          planned.follow_up_note, planned.lifecycle_stage, planned.attributes,
                          planned.source)
