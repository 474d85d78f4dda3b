-- What segments need of the database: how stored values are read, and triggers that say which
-- contacts changed.

-- How a rule reads a value. Null, empty text and what cannot be read are null.
create function segments.as_text(value jsonb) returns text
language sql immutable parallel safe as $$
    select case jsonb_typeof(value)
        when 'string' then nullif(value #>> '{}', '')
        when 'number' then value #>> '{}'
        when 'boolean' then value #>> '{}'
    end
$$;
comment on function segments.as_text(jsonb) is 'A text, number or true/false as text; else null';

create function segments.text_as_number(value text) returns numeric
language sql immutable parallel safe as $$
    select case when value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$' and length(value) <= 200
        then value::numeric
    end
$$;
comment on function segments.text_as_number(text) is 'A decimal number from text; else null';

create function segments.as_number(value jsonb) returns numeric
language sql immutable parallel safe as $$
    select case jsonb_typeof(value)
        when 'number' then value::numeric
        when 'string' then case
            when value #>> '{}' ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$' and length(value #>> '{}') <= 200
            then (value #>> '{}')::numeric
        end
    end
$$;
comment on function segments.as_number(jsonb) is 'A number, or a decimal number from text; else null';

create function segments.as_boolean(value jsonb) returns boolean
language sql immutable parallel safe as $$
    select case
        when value in ('true'::jsonb, '"true"'::jsonb) then true
        when value in ('false'::jsonb, '"false"'::jsonb) then false
    end
$$;
comment on function segments.as_boolean(jsonb) is 'true or false, also from text; else null';

create function segments.is_present(value jsonb) returns boolean
language sql immutable parallel safe as $$
    select value is not null and value not in ('null'::jsonb, '""'::jsonb, '[]'::jsonb)
$$;
comment on function segments.is_present(jsonb) is 'Whether there is a value: neither null nor empty';

-- A shape and a calendar are checked instead of catching an error, which would cost a
-- subtransaction a row; the order of the checks is that of how often they decide.
create function segments.as_instant(value text, zone text) returns timestamptz
language plpgsql stable strict parallel safe as $$
declare
    local_time timestamp;
    usual timestamptz;
    earlier timestamptz;
    behind interval;
begin
    -- Most are plain days, and the first 28 exist in every month.
    if value !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$' or left(value, 4) = '0000' then
        if value !~ ('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            '([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?'
            '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$')
            or left(value, 4) = '0000'
            or substr(value, 9, 2) > '28' and substr(value, 9, 2)::integer > extract(
                day from (left(value, 8) || '01')::date + interval '1 month' - interval '1 day')
        then
            return null;
        end if;
        if length(value) > 16 and right(value, 1) = 'Z' then
            return left(value, -1)::timestamp at time zone 'UTC';
        elsif length(value) > 16 and substr(value, 17) ~ '[+-]' then
            local_time := regexp_replace(value, '[+-][0-9]{2}:?[0-9]{2}$', '')::timestamp;
            behind := make_interval(
                hours => substr(right(replace(value, ':', ''), 5), 1, 3)::integer,
                mins => (substr(right(replace(value, ':', ''), 5), 1, 1)
                    || right(value, 2))::integer);
            return (local_time - behind) at time zone 'UTC';
        end if;
    end if;
    -- Where clocks show a time twice, PostgreSQL takes the second; where never, the instant that
    -- they would have shown it at without the change.
    local_time := value::timestamp;
    usual := local_time at time zone zone;
    earlier := ((local_time - interval '1 hour') at time zone zone) + interval '1 hour';
    if earlier < usual and earlier at time zone zone = local_time then
        return earlier;
    end if;
    return usual;
end $$;
comment on function segments.as_instant(text, text) is
    'A day or instant written in ISO 8601, the first of its name in the zone where it has none; else null';

-- The version of a segment counts its rules.
create function segments.count_version() returns trigger
language plpgsql as $$
begin
    new.version := old.version + 1;
    return new;
end $$;

create trigger count_version
before update on segments.segments
for each row when (old.rule is distinct from new.rule)
execute function segments.count_version();

-- Memberships have no foreign key, which would cost more than writing them.
create function segments.end_memberships() returns trigger
language plpgsql as $$
begin
    delete from segments.memberships where segment_id in (select id from gone);
    return null;
end $$;

create trigger end_memberships
after delete on segments.segments
referencing old table as gone
for each statement execute function segments.end_memberships();

-- Notes which contacts a statement touched, one row per statement and organization. A statement
-- that touches very many says "many" instead: then everybody is evaluated, which is cheaper.
create function segments.note_touched() returns trigger
language plpgsql as $$
declare
    many constant integer := 20000;
begin
    if tg_argv[0] = 'id' then
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, case when count(*) <= many then array_agg(id order by id) end
        from touched group by organization_id order by organization_id;
    elsif (select count(*) from touched) > many then
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, case when count(*) <= many then array_agg(distinct contact_id) end
        from touched group by organization_id order by organization_id;
    else
        insert into segments.touched_contacts (organization_id, contact_ids)
        select organization_id, array_agg(distinct contact_id)
        from touched group by organization_id order by organization_id;
    end if;
    return null;
end $$;

create trigger note_touched_after_insert
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function segments.note_touched('contact_id');

create trigger note_touched_after_delete
after delete on analytics.contact_activity
referencing old table as touched
for each statement execute function segments.note_touched('contact_id');

create trigger note_touched_after_insert
after insert on crm.contacts
referencing new table as touched
for each statement execute function segments.note_touched('id');

create trigger note_touched_after_change
after update on crm.contacts
referencing new table as touched
for each statement execute function segments.note_touched('id');

create trigger note_touched_after_delete
after delete on crm.contacts
referencing old table as touched
for each statement execute function segments.note_touched('id');

create trigger note_touched_after_insert
after insert on segments.manual_members
referencing new table as touched
for each statement execute function segments.note_touched('contact_id');

create trigger note_touched_after_change
after update on segments.manual_members
referencing new table as touched
for each statement execute function segments.note_touched('contact_id');

create trigger note_touched_after_delete
after delete on segments.manual_members
referencing old table as touched
for each statement execute function segments.note_touched('contact_id');

-- In another zone every day of every rule is another.
create function segments.note_zone() returns trigger
language plpgsql as $$
begin
    insert into segments.touched_contacts (organization_id) values (new.id);
    return null;
end $$;

create trigger note_zone
after update on crm.organizations
for each row when (old.timezone is distinct from new.timezone)
execute function segments.note_zone();

-- Collects the keys of attributes, and the dotted paths into their objects, that contacts have.
create function segments.collect_fields() returns trigger
language plpgsql as $$
begin
    insert into segments.contact_fields (organization_id, field)
    with recursive keys as (
        select distinct touched.organization_id, key as field,
               case when jsonb_typeof(value) = 'object' then value end as value
        from touched, jsonb_each(touched.attributes)
        union
        select keys.organization_id, keys.field || '.' || below.key,
               case when jsonb_typeof(below.value) = 'object' then below.value end
        from keys, jsonb_each(keys.value) as below
        where keys.value is not null
    )
    select distinct organization_id, field
    from keys
    where not exists (
        select from segments.contact_fields as known
        where known.organization_id = keys.organization_id and known.field = keys.field
    )
    order by 1, 2
    on conflict do nothing;
    return null;
end $$;

create trigger collect_fields_after_insert
after insert on crm.contacts
referencing new table as touched
for each statement execute function segments.collect_fields();

create trigger collect_fields_after_change
after update on crm.contacts
referencing new table as touched
for each statement execute function segments.collect_fields();

insert into segments.contact_fields (organization_id, field)
with recursive keys as (
    select distinct organization_id, key as field,
           case when jsonb_typeof(value) = 'object' then value end as value
    from crm.contacts, jsonb_each(attributes)
    union
    select keys.organization_id, keys.field || '.' || below.key,
           case when jsonb_typeof(below.value) = 'object' then below.value end
    from keys, jsonb_each(keys.value) as below
    where keys.value is not null
)
select distinct organization_id, field from keys;

grant usage on schema segments to marketing_reader;
grant select on segments.segments, segments.memberships, segments.daily_sizes,
    segments.daily_overlaps to marketing_reader;
revoke all on all functions in schema segments from public;
