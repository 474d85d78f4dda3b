-- Events are append-only, but for the erasure of a person: it takes id and properties from events, and
-- leaves all that is counted.
create or replace function analytics.refuse_change() returns trigger
language plpgsql as $$
begin
    if exists (
        select id, occurred_at, organization_id, contact_id, event_type, source_type, source_id,
               received_at, inserted_at,
               coalesce(properties -> 'machine_open', 'false') = 'true', 'erased:' || id
        from before_change
        except all
        select id, occurred_at, organization_id, contact_id, event_type, source_type, source_id,
               received_at, inserted_at,
               coalesce(properties -> 'machine_open', 'false') = 'true', event_id
        from after_change
        where properties is null or properties = '{"machine_open": true}'
    ) then
        raise feature_not_supported using message =
            'analytics.contact_activity is append-only: insert a new event instead of changing one';
    end if;
    return null;
end $$;
