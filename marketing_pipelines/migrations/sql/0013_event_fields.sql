-- Which properties events of each type have or have had, so that rules cannot name others.

CREATE TABLE segments.event_fields (
    organization_id BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    field TEXT NOT NULL
);
CREATE INDEX ix_event_fields_organization_id_event_type ON segments.event_fields (organization_id, event_type);

-- Writers wait until the trigger is there as well, which collects the next ones.
lock table only analytics.contact_activity in share row exclusive mode;
insert into segments.event_fields (organization_id, event_type, field)
with recursive keys as (
    select distinct organization_id, event_type, key as field,
           case when jsonb_typeof(value) = 'object' then value end as value
    from analytics.contact_activity
    cross join lateral jsonb_each(properties)
    where jsonb_typeof(properties) = 'object'
    union
    select keys.organization_id, keys.event_type, keys.field || '.' || below.key,
           case when jsonb_typeof(below.value) = 'object' then below.value end
    from keys
    cross join lateral jsonb_each(keys.value) as below
    where keys.value is not null and length(keys.field) < 1000
),
placed as (
    select organization_id, event_type, field,
           row_number() over (partition by organization_id, event_type order by field) as place
    from (
        select distinct organization_id, event_type, field from keys
        union
        select distinct organization_id, event_type, '' from analytics.contact_activity
    ) as found
)
select organization_id, event_type, field from placed where place <= 501;
